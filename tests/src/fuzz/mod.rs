//! What fuzzers check, as ordinary functions: each takes any bytes, and panics when something does
//! not hold.
//!
//! ```text
//! libFuzzer (the package `fuzz`) ─┐
//! fuzz/seeds, fuzz/regressions ───┼─► TARGETS ─► gateway-common, gateway-userspace
//!   (cargo test) ─────────────────┘
//! ```

mod config;
mod flow_log;
mod flows;
mod parser;
mod pinned;
mod policy;
mod related;
mod tcp;

pub mod mutate;
pub mod policies;
pub mod stories;
pub mod tape;
pub mod worlds;

use std::path::{Path, PathBuf};

/// Something that is fuzzed.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, and that of its binary and of its directories.
    pub name: &'static str,
    /// What it checks, in one line.
    pub about: &'static str,
    /// The check.
    pub run: fn(&[u8]),
    /// What the fuzzer begins with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// Everything that is fuzzed.
pub const TARGETS: [Target; 8] = [
    Target {
        name: "parser",
        about: "frames: offsets lie within the packet, and another parser reads the same",
        run: parser::run,
        seeds: parser::seeds,
    },
    Target {
        name: "flows",
        about: "sequences of frames: each direction keeps to its half, and flows add up",
        run: flows::run,
        seeds: flows::seeds,
    },
    Target {
        name: "tcp",
        about: "a TCP connection: states go forward, wherever its numbers begin",
        run: tcp::run,
        seeds: tcp::seeds,
    },
    Target {
        name: "related",
        about: "ICMP errors: what passes quotes a packet of a live flow",
        run: related::run,
        seeds: related::seeds,
    },
    Target {
        name: "policy",
        about: "policies: the tables say what reading the rules from the top says",
        run: policy::run,
        seeds: policy::seeds,
    },
    Target {
        name: "config",
        about: "configuration files: settings, or complaints that name lines",
        run: config::run,
        seeds: config::seeds,
    },
    Target {
        name: "flow_log",
        about: "flow logs: lines have their fields, and the journal is read as it was written",
        run: flow_log::run,
        seeds: flow_log::seeds,
    },
    Target {
        name: "pinned",
        about: "pinned maps: whatever is in them is shown or refused",
        run: pinned::run,
        seeds: pinned::seeds,
    },
];

impl Target {
    /// The target of this name.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn named(name: &str) -> Self {
        let found = TARGETS.iter().find(|target| target.name == name);
        *found.unwrap_or_else(|| panic!("no target {name}"))
    }

    /// Where inputs to begin with are kept.
    #[must_use]
    pub fn seeds_dir(&self) -> PathBuf {
        directory().join("seeds").join(self.name)
    }

    /// Where inputs are kept that showed a mistake.
    #[must_use]
    pub fn regressions_dir(&self) -> PathBuf {
        directory().join("regressions").join(self.name)
    }
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

/// Some of many, evenly.
fn some<T>(of: Vec<T>, count: usize) -> Vec<T> {
    let step = of.len().div_ceil(count).max(1);
    of.into_iter().step_by(step).collect()
}
