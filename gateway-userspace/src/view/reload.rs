//! What a reload did, or would do.

use std::path::PathBuf;

use serde::Serialize;

use super::FlowView;

/// The answer of `reload`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReloadView {
    /// The gateway.
    pub name: String,
    /// The configuration file.
    pub file: PathBuf,
    /// The generation of the policy that is in force now.
    pub generation: u32,
    /// How large it is.
    #[serde(flatten)]
    pub size: PolicySizeView,
    /// Time that compiling it took, and making and filling its tables.
    pub build_ms: u64,
    /// Time that putting them in force took, mostly waiting for packets under way.
    pub swap_ms: u64,
    /// Live flows that it does not allow: each ends with its next packet.
    pub flows_ended: usize,
    /// What the operator should know, one sentence each.
    pub notes: Vec<String>,
}

/// The answer of `reload --dry-run`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReloadPreviewView {
    /// The gateway.
    pub name: String,
    /// The configuration file.
    pub file: PathBuf,
    /// How large its policy is.
    #[serde(flatten)]
    pub size: PolicySizeView,
    /// Live flows that it does not allow.
    pub flows: Vec<EndingFlowView>,
    /// What the operator should know, one sentence each.
    pub notes: Vec<String>,
}

/// How large a policy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PolicySizeView {
    /// Rules.
    pub rules: usize,
    /// Subnets.
    pub subnets: usize,
    /// Prefixes of inside and of outside addresses that differ from what is around them.
    pub prefixes: usize,
}

/// A live flow that a policy does not allow, and why not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EndingFlowView {
    /// The flow.
    #[serde(flatten)]
    pub flow: FlowView,
    /// The name of the reason for which the policy would refuse to have it opened.
    pub reason: &'static str,
    /// The rule that decides; `null` when none does.
    pub rule: Option<RuleRefView>,
}

/// Which rule is meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleRefView {
    /// Its place among the rules, counted from one.
    pub number: usize,
    /// Its name.
    pub name: Option<String>,
}
