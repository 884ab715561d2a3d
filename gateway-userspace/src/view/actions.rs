//! Answers of commands that do something.

use std::path::PathBuf;

use serde::Serialize;

use super::{PolicyView, RulesetView};
use crate::settings::Problem;

/// The answer of `attach`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AttachView {
    /// The gateway.
    pub name: String,
    /// Whether the gateway is new; otherwise it was updated and keeps its flows and counters.
    pub created: bool,
    /// The interfaces it protects.
    pub uplinks: Vec<AttachedUplinkView>,
    /// The connections that were there and got their flows; `null` if none of the uplinks is new,
    /// or with `--no-seed`.
    pub seeded: Option<SeededView>,
    /// Within how many seconds it has to be confirmed; `null` when it stays in any case.
    pub confirm_secs: Option<u32>,
    /// What the operator should know, one sentence each.
    pub notes: Vec<String>,
}

/// The connections that were there when a gateway was attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SeededView {
    /// Flows of the host's own sockets.
    pub sockets: u64,
    /// Flows that only connection tracking knew of.
    pub conntrack: u64,
    /// Connections on an uplink that got no flow; a note says why.
    pub skipped: u64,
}

/// An interface that is protected now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AttachedUplinkView {
    /// Its name.
    pub name: String,
    /// Its index.
    pub ifindex: u32,
    /// Whether it is new in the gateway; otherwise its programs were replaced in place.
    pub created: bool,
    /// The ingress hook: `xdp`, `xdp-generic` or `tc`.
    pub hook: &'static str,
    /// How the egress program is attached: `tcx` or `clsact`.
    pub egress: &'static str,
}

/// The answer of `confirm`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConfirmView {
    /// The gateway.
    pub name: String,
    /// How much time there still was.
    pub left_ms: u64,
}

/// The answer of `detach`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DetachView {
    /// The gateways that were detached.
    pub detached: Vec<String>,
    /// What the operator should know, one sentence each.
    pub notes: Vec<String>,
}

/// The answer of `check` for a valid file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckView {
    /// The file.
    pub file: PathBuf,
    /// What is doubtful about it.
    pub warnings: Vec<WarningView>,
    /// What `attach` would do with it on this machine.
    pub settings: SettingsView,
}

/// Something doubtful about a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WarningView {
    /// The line, counted from one.
    pub line: usize,
    /// What is doubtful, and why.
    pub message: String,
}

impl From<Problem> for WarningView {
    fn from(Problem { line, message }: Problem) -> Self {
        Self { line, message }
    }
}

/// Settings with every default filled in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SettingsView {
    /// The gateway's name; `null` without a name and without uplinks.
    pub name: Option<String>,
    /// The interfaces to protect.
    pub uplinks: Vec<String>,
    /// The ingress hook asked for.
    pub hook: &'static str,
    /// Where unset timeouts come from.
    pub profile: &'static str,
    /// Entries of the table of new flows.
    pub half_open_max: u32,
    /// Entries of the table of established flows.
    pub established_max: u32,
    /// Kernel memory that both tables take.
    pub flow_memory_bytes: u64,
    /// Everything that the packet path reads.
    #[serde(flatten)]
    pub policy: PolicyView,
    /// Subnets, rules and lists.
    #[serde(flatten)]
    pub ruleset: RulesetView,
}

/// The answer of `man`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ManView {
    /// The pages that were written, sorted.
    pub pages: Vec<PathBuf>,
}

/// Text that is printed as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct TextView {
    /// The text.
    pub text: String,
}
