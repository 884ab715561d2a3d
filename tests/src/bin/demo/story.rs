//! Telling what happens, and keeping count of what was expected.

use std::{fmt::Display, io::Write as _};

use anyhow::{Result, ensure};
use tests::topology::{GATEWAY, GATEWAY_INSIDE, INSIDE, Lab, OUTSIDE, ROUTER, ROUTER_OUTSIDE};

/// The demo so far.
#[derive(Debug, Default)]
pub(crate) struct Story {
    held: u32,
    all: u32,
}

impl Story {
    /// How many expectations held, of how many.
    pub(crate) const fn score(&self) -> (u32, u32) {
        (self.held, self.all)
    }

    /// Whether every expectation held so far.
    pub(crate) const fn holds(&self) -> bool {
        self.held == self.all
    }

    /// Draws the lab.
    #[expect(clippy::unused_self, reason = "the story is told through one value")]
    pub(crate) fn picture(&self) {
        println!("The lab: four network namespaces, connected by veth pairs.\n");
        println!(
            "  {:<16} {:<34} {:<32} outside",
            "inside ────────", "──────── gateway ────────────────", "──────── router ────────"
        );
        println!(
            "  {:<16} {:<16}  {:<16} {:<16}  {:<14} {}",
            INSIDE.v4, GATEWAY_INSIDE.v4, GATEWAY.v4, ROUTER.v4, ROUTER_OUTSIDE.v4, OUTSIDE.v4
        );
        println!(
            "  {:<16} {:<16}  {:<16} {:<16}  {:<14} {}",
            INSIDE.v6, GATEWAY_INSIDE.v6, GATEWAY.v6, ROUTER.v6, ROUTER_OUTSIDE.v6, OUTSIDE.v6
        );
    }

    /// Begins a new part.
    #[expect(clippy::unused_self, reason = "the story is told through one value")]
    pub(crate) fn chapter(&self, title: &str) {
        println!("\n{title}");
    }

    /// Says something in passing.
    #[expect(clippy::unused_self, reason = "the story is told through one value")]
    pub(crate) fn note(&self, text: &str) {
        println!("  {text}");
    }

    /// Tries something that should work, and marks whether it did.
    pub(crate) fn check(&mut self, what: impl Display, attempt: impl FnOnce() -> Result<String>) {
        self.all += 1;
        match attempt() {
            Ok(detail) => {
                self.held += 1;
                println!("  ✓ {what}: {detail}");
            }
            Err(error) => println!("  ✗ {what}: {error:#}"),
        }
    }

    /// Runs `eigw` for all to see.
    pub(crate) fn command(&mut self, lab: &Lab, arguments: &[&str]) {
        println!("\n  $ eigw {}", arguments.join(" "));
        _ = std::io::stdout().flush();
        let status = lab.eigw_command(arguments).status();
        let succeed = || {
            let status = status?;
            ensure!(status.success(), "it ended with {status}");
            Ok("done".to_owned())
        };
        self.check(format!("eigw {}", arguments[0]), succeed);
    }
}
