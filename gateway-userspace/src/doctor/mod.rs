//! What an operator should know about the machine and its interfaces before anything is attached.
//!
//! Facts are gathered without changing anything and, as far as possible, without privileges; what
//! they mean is judged apart from that.

mod interface;
mod machine;

use serde::Serialize;

pub(crate) use interface::{InterfaceFacts, judge as judge_interface};
pub(crate) use machine::{MachineFacts, judge as judge_machine};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// All is well.
    Ok,
    /// It works, but not as well as it could.
    Warning,
    /// Attaching fails.
    Problem,
}

impl Severity {
    /// The name used in output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// The outcome of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check's name, which stays what it is.
    pub check: &'static str,
    /// How bad it is.
    pub verdict: Severity,
    /// What was found, and what to expect of it.
    pub found: String,
    /// What to do about it; `null` when nothing is to be done.
    pub advice: Option<String>,
}

fn ok(check: &'static str, found: impl Into<String>) -> Finding {
    Finding { check, verdict: Severity::Ok, found: found.into(), advice: None }
}

fn warning(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Finding {
    let (found, advice) = (found.into(), Some(advice.into()));
    Finding { check, verdict: Severity::Warning, found, advice }
}

fn problem(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Finding {
    let (found, advice) = (found.into(), Some(advice.into()));
    Finding { check, verdict: Severity::Problem, found, advice }
}
