//! What runs in the guest, and what came of it: files in the directory that machine and guest share.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

/// The guest's orders, as JSON in the shared directory.
pub(super) const PLAN: &str = "plan.json";
/// What the guest did so far: an [`Outcome`] a line.
pub(super) const OUTCOMES: &str = "outcomes.jsonl";
/// The name of the first outcome, which is not a step's.
pub(super) const BOOT: &str = "boot";

/// The guest's orders.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Plan {
    /// Kernel modules that are loaded first.
    pub(super) modules: Vec<String>,
    pub(super) steps: Vec<Step>,
}

/// A program that runs in the guest.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Step {
    /// What the step and its log are called.
    pub(super) name: String,
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
    pub(super) directory: PathBuf,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) limit_secs: u64,
}

/// How a step ended.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Outcome {
    pub(super) name: String,
    /// Its exit code; none if it was killed, by its limit or otherwise.
    pub(super) code: Option<i32>,
    pub(super) seconds: f32,
    /// What is worth a word besides.
    pub(super) note: String,
}

/// The name of a step's log.
pub(super) fn log_name(step: &str) -> String {
    format!("{step}.log")
}

/// Reads what the guest wrote so far; the last line may be half there.
pub(super) fn outcomes(text: &str) -> Vec<Outcome> {
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_read_while_they_are_written() {
        let line = |name: &str| {
            let outcome =
                Outcome { name: name.to_owned(), code: Some(0), seconds: 1.5, note: String::new() };
            serde_json::to_string(&outcome).expect("plain data")
        };
        let text = format!("{}\n{}\n{}", line("boot"), line("rows"), &line("e2e")[..9]);
        let names: Vec<_> = outcomes(&text).into_iter().map(|outcome| outcome.name).collect();
        assert_eq!(names, ["boot", "rows"]);
    }
}
