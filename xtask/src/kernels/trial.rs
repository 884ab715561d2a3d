//! What is tried on a kernel, and whether it held.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::{
    plan::{Outcome, Plan, Step, log_name},
    selection::{REFUSED, Selection, WORKS},
};
use crate::{
    process::{brief, cargo, workspace},
    test_output,
};

/// Guests load what the tests use: nothing loads modules by itself there.
const MODULES: [&str; 8] =
    ["veth", "8021q", "sch_ingress", "cls_bpf", "act_bpf", "nf_conntrack", "nf_tables", "nft_ct"];
/// How many times longer than elsewhere tests wait for anything in a guest.
const PATIENCE: &str = "10";
/// What a line of the test of loading begins with.
const VERIFIED: &str = "verified ";

/// The binaries of the tests, by name.
pub(super) struct Binaries(BTreeMap<String, PathBuf>);

/// A message of cargo's, as far as it is of interest.
#[derive(Deserialize)]
struct Message {
    executable: Option<PathBuf>,
    target: Option<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

impl Binaries {
    /// Builds them, for this machine: guests use its files.
    ///
    /// # Errors
    /// When they cannot be built.
    pub(super) fn build() -> Result<Self> {
        let mut tests = cargo();
        tests.args(["test", "--no-run"]);
        for Selection { binary, .. } in WORKS.iter().chain(&REFUSED) {
            tests.args(["--test", binary]);
        }
        let mut eigw = cargo();
        eigw.args(["build", "--bin", "eigw"]);
        let mut binaries = BTreeMap::new();
        for command in [&mut tests, &mut eigw] {
            command.args(["--message-format", "json-render-diagnostics"]);
            let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
            let output = output.with_context(|| format!("starting {}", brief(command)))?;
            if !output.status.success() {
                bail!("{} failed: {}", brief(command), output.status);
            }
            binaries.extend(executables(&String::from_utf8_lossy(&output.stdout)));
        }
        Ok(Self(binaries))
    }

    fn path(&self, name: &str) -> Result<&Path> {
        self.0.get(name).map(PathBuf::as_path).with_context(|| format!("cargo built no {name}"))
    }

    /// What a guest has to do.
    ///
    /// # Errors
    /// When a binary is missing.
    pub(super) fn plan(&self, selections: &[&Selection]) -> Result<Plan> {
        let eigw = self.path("eigw")?.display().to_string();
        let environment = [
            ("EIGW_BINARY", eigw.as_str()),
            ("EIGW_TEST_PATIENCE", PATIENCE),
            // Tests may do to a guest what they must not do to a machine.
            ("EIGW_TEST_GUEST", "1"),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let steps = selections.iter().map(|selection| {
            let mut arguments = vec!["--nocapture", "--include-ignored", "--exact"];
            arguments.extend(selection.tests);
            Ok(Step {
                name: selection.name.to_owned(),
                program: self.path(selection.binary)?.to_owned(),
                arguments: arguments.into_iter().map(str::to_owned).collect(),
                directory: workspace().join("tests"),
                environment: environment.clone().into(),
                limit_secs: selection.limit_secs,
            })
        });
        let steps = steps.collect::<Result<_>>()?;
        Ok(Plan { modules: MODULES.map(str::to_owned).into(), steps })
    }
}

/// Whether a step held: how many tests passed, or why it did not.
pub(super) fn judge(
    selection: &Selection,
    outcome: Option<&Outcome>,
    share: &Path,
) -> Result<u32, String> {
    let Some(outcome) = outcome else { return Err("not reached".to_owned()) };
    if outcome.code != Some(0) {
        return Err(match (outcome.code, outcome.note.as_str()) {
            (_, note) if !note.is_empty() => note.to_owned(),
            (Some(code), _) => format!("exit code {code}"),
            (None, _) => "killed".to_owned(),
        });
    }
    let log = fs::read_to_string(share.join(log_name(selection.name))).unwrap_or_default();
    passed_all(selection.tests.len(), &log)
}

fn passed_all(expected: usize, log: &str) -> Result<u32, String> {
    let passed = test_output::passed(log);
    if passed as usize == expected {
        Ok(passed)
    } else {
        Err(format!("{passed} of {expected} ran"))
    }
}

/// How many instructions the verifier looked at, by program.
pub(super) fn verified(share: &Path) -> BTreeMap<String, u64> {
    let log = fs::read_to_string(share.join(log_name("loads"))).unwrap_or_default();
    verified_in(&log)
}

fn verified_in(log: &str) -> BTreeMap<String, u64> {
    let counts = log.lines().filter_map(|line| {
        let (program, count) = line.strip_prefix(VERIFIED)?.split_once(' ')?;
        Some((program.to_owned(), count.parse().ok()?))
    });
    counts.collect()
}

/// The executables that cargo's messages name.
fn executables(messages: &str) -> Vec<(String, PathBuf)> {
    let executable = |line: &str| {
        let message: Message = serde_json::from_str(line).ok()?;
        Some((message.target?.name, message.executable?))
    };
    messages.lines().filter_map(executable).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_are_found_among_messages() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"aya"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"e2e"},"executable":"/t/deps/e2e-1"}
{"reason":"build-finished","success":true}
not JSON"#;
        assert_eq!(executables(messages), [("e2e".to_owned(), PathBuf::from("/t/deps/e2e-1"))]);
    }

    #[test]
    fn counts_of_instructions_are_found_in_the_log() {
        let log =
            "running 1 test\nverified egress_tc 1234\nverified clock 9\nverified\ntest x ... ok";
        let expected = [("clock".to_owned(), 9), ("egress_tc".to_owned(), 1234)];
        assert_eq!(verified_in(log), expected.into());
    }

    #[test]
    fn a_test_that_is_not_there_is_a_failure() {
        let log = "running 1 test\ntest result: ok. 1 passed; 0 failed; 0 ignored\n";
        assert_eq!(passed_all(1, log), Ok(1));
        assert_eq!(passed_all(2, log), Err("1 of 2 ran".to_owned()));
        assert_eq!(passed_all(1, ""), Err("0 of 1 ran".to_owned()));
    }

    #[test]
    fn what_did_not_end_well_says_why() {
        let share = tempfile::tempdir().expect("a directory");
        let selection = &WORKS[0];
        let judged = |outcome: Option<&Outcome>| judge(selection, outcome, share.path());
        assert_eq!(judged(None), Err("not reached".to_owned()));
        let outcome = |code, note: &str| Outcome {
            name: selection.name.to_owned(),
            code,
            seconds: 1.0,
            note: note.to_owned(),
        };
        assert_eq!(judged(Some(&outcome(Some(101), ""))), Err("exit code 101".to_owned()));
        assert_eq!(
            judged(Some(&outcome(None, "stopped after 9 s"))),
            Err("stopped after 9 s".to_owned())
        );
        assert_eq!(judged(Some(&outcome(Some(0), ""))), Err("0 of 1 ran".to_owned()));
    }
}
