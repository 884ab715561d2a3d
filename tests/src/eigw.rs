//! The real `eigw` binary, run as an operator runs it.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
    time::Instant,
};

use serde_json::Value;

use crate::{
    topology::{Lab, UPLINK},
    wait::{PATIENCE, patient},
};

/// The gateway's name in the labs.
pub const NAME: &str = "wan";

/// Where inbound packets are filtered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// XDP in the driver.
    Xdp,
    /// XDP behind the driver.
    XdpGeneric,
    /// TC ingress.
    Tc,
}

impl Hook {
    /// Every hook.
    pub const ALL: [Self; 3] = [Self::Xdp, Self::XdpGeneric, Self::Tc];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Xdp => "xdp",
            Self::XdpGeneric => "xdp-generic",
            Self::Tc => "tc",
        }
    }
}

/// The path of the `eigw` binary: `EIGW_BINARY` if that is set, otherwise the workspace's own,
/// which cargo brings up to date once per process.
///
/// # Panics
/// If it cannot be built.
#[must_use]
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| env::var_os("EIGW_BINARY").map_or_else(build, PathBuf::from))
}

/// What a run of `eigw` left: its exit code and what it said.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
}

impl Answer {
    /// What it printed, provided that it succeeded.
    ///
    /// # Panics
    /// If it did not.
    #[track_caller]
    #[expect(clippy::must_use_candidate, reason = "most callers only want the assertion")]
    pub fn success(self) -> String {
        assert_eq!(self.code, Some(0), "eigw failed:\n{}{}", self.stdout, self.stderr);
        self.stdout
    }

    /// Its complaint, provided that it failed with this exit code and printed nothing.
    ///
    /// # Panics
    /// If it did otherwise, or did not say what the matter is.
    #[track_caller]
    #[must_use]
    pub fn failure(self, code: i32) -> String {
        assert_eq!(
            (self.code, self.stdout.as_str()),
            (Some(code), ""),
            "eigw did not fail as it should:\n{}",
            self.stderr
        );
        assert!(!self.stderr.trim().is_empty(), "eigw failed without a word");
        self.stderr
    }
}

impl From<Output> for Answer {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Lab {
    /// An `eigw` command for the gateway's namespace and this lab's BPF file system.
    #[must_use]
    pub fn eigw_command(&self, arguments: &[impl AsRef<OsStr>]) -> Command {
        let mut command = Command::new(binary());
        command.args(["--netns", self.gateway.name(), "--bpffs"]).arg(self.bpffs.path());
        command.args(arguments);
        command
    }

    /// Runs `eigw` to its end.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn eigw(&self, arguments: &[impl AsRef<OsStr>]) -> Answer {
        let mut command = self.eigw_command(arguments);
        command.output().unwrap_or_else(|error| panic!("start {command:?}: {error}")).into()
    }

    /// Runs `eigw -j` and reads its answer.
    ///
    /// # Panics
    /// If it fails or does not answer with JSON.
    #[must_use]
    #[track_caller]
    pub fn eigw_json(&self, arguments: &[&str]) -> Value {
        let text = self.eigw(&[&["-j"], arguments].concat()).success();
        serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("eigw -j {arguments:?}: {error} in {text}"))
    }

    /// Protects the uplink in this hook.
    ///
    /// # Panics
    /// If that fails.
    #[track_caller]
    pub fn attach(&self, hook: Hook) {
        self.attach_with(hook, &[]);
    }

    /// Protects the uplink in this hook, with further arguments.
    ///
    /// # Panics
    /// If that fails.
    #[track_caller]
    pub fn attach_with(&self, hook: Hook, arguments: &[&str]) {
        let usual = ["attach", "--uplink", UPLINK, "--name", NAME, "--hook", hook.name()];
        self.eigw(&[&usual, arguments].concat()).success();
    }

    /// Takes the protection away.
    ///
    /// # Panics
    /// If that fails.
    #[track_caller]
    pub fn detach(&self) {
        self.eigw(&["detach", "--name", NAME]).success();
    }

    /// The live flows.
    ///
    /// # Panics
    /// If `eigw` fails.
    #[must_use]
    #[track_caller]
    pub fn flows(&self) -> Vec<Value> {
        self.flows_matching(&[])
    }

    /// The live flows that a filter chooses.
    ///
    /// # Panics
    /// If `eigw` fails.
    #[must_use]
    #[track_caller]
    pub fn flows_matching(&self, filter: &[&str]) -> Vec<Value> {
        let answer = self.eigw_json(&[&["flow", "show"], filter].concat());
        answer.as_array().unwrap_or_else(|| panic!("flow show answered {answer}")).clone()
    }

    /// Packets that met this reason on their way `in` or `out`, so far.
    ///
    /// # Panics
    /// If `eigw` fails.
    #[must_use]
    #[track_caller]
    pub fn packets(&self, direction: &str, reason: &str) -> u64 {
        let stats = self.eigw_json(&["stats", "show"]);
        let verdicts = stats["verdicts"].as_array().expect("stats have verdicts");
        let counted = verdicts
            .iter()
            .filter(|row| row["direction"] == direction && row["reason"] == reason)
            .map(|row| row["packets"].as_u64().expect("packets are a number"));
        counted.sum()
    }

    /// Runs `provoke` and waits until at least `packets` more packets from outside were dropped
    /// for `reason`.
    ///
    /// # Panics
    /// If they are not.
    #[track_caller]
    pub fn expect_drops<T>(&self, reason: &str, packets: u64, provoke: impl FnOnce() -> T) -> T {
        self.expect_packets("in", reason, packets, provoke)
    }

    /// Runs `provoke` and waits until at least `packets` more packets met `reason` on their way
    /// `in` or `out`.
    ///
    /// # Panics
    /// If they do not.
    #[track_caller]
    pub fn expect_packets<T>(
        &self,
        direction: &str,
        reason: &str,
        packets: u64,
        provoke: impl FnOnce() -> T,
    ) -> T {
        let before = self.packets(direction, reason);
        let result = provoke();
        let deadline = Instant::now() + patient(PATIENCE);
        while self.packets(direction, reason) < before + packets {
            assert!(
                Instant::now() < deadline,
                "waited in vain for {packets} packets {direction} as {reason}:\n{}",
                self.eigw(&["stats", "show"]).success()
            );
        }
        result
    }

    /// How many packets the rule of this name has decided.
    ///
    /// # Panics
    /// If there is none, or `eigw` fails.
    #[must_use]
    #[track_caller]
    pub fn hits(&self, rule: &str) -> u64 {
        let rules = self.eigw_json(&["rule", "show"]);
        let mut rows = rules.as_array().expect("rule show answers with an array").iter();
        let row = rows.find(|row| row["name"] == rule);
        let row = row.unwrap_or_else(|| panic!("no rule is called {rule}: {rules:#}"));
        row["hits"].as_u64().expect("hits are a number")
    }
}

/// Brings the binary beside this one up to date.
fn build() -> PathBuf {
    let this = env::current_exe().expect("the running program has a path");
    // Tests are in `deps` below the directory that has the binaries.
    let directory = this.ancestors().skip(1).find(|path| !path.ends_with("deps"));
    let binary = directory.expect("the running program is in a directory").join("eigw");
    if let Some(cargo) = env::var_os("CARGO") {
        let mut command = Command::new(cargo);
        command.args(["build", "--quiet", "--bin", "eigw"]);
        command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        if !cfg!(debug_assertions) {
            command.arg("--release");
        }
        let status = command.status().unwrap_or_else(|error| panic!("start {command:?}: {error}"));
        assert!(status.success(), "building eigw failed");
    }
    assert!(
        binary.exists(),
        "{} does not exist: build it, or set EIGW_BINARY to one",
        binary.display()
    );
    binary
}
