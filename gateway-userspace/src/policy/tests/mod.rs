//! The compiled policy against the policy as written.

mod doubts;
mod equivalence;
mod model;
mod prefixes;
mod random;
mod scale;

use crate::settings::{Policy, Settings};

/// The policy of a configuration file.
#[track_caller]
fn policy(text: &str) -> Policy {
    match Settings::parse(text, 1 << 30) {
        Ok((settings, _)) => settings.policy,
        Err(problems) => panic!("{problems:#?} in\n{text}"),
    }
}
