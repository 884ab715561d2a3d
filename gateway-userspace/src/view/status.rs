//! Gateways and their uplinks.

use serde::Serialize;

use super::{FlowTablesView, PolicyView};

/// The answer of `status`: an array, also for one gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct StatusView {
    /// The gateways, sorted by name.
    pub gateways: Vec<GatewayView>,
}

/// One gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GatewayView {
    /// Its name.
    pub name: String,
    /// `armed`, `standby` (everything passes) or `unknown` (no valid configuration: everything
    /// is dropped).
    pub mode: &'static str,
    /// The layout of its maps.
    pub abi_version: u32,
    /// The interfaces it protects.
    pub uplinks: Vec<UplinkView>,
    /// How full the flow tables are.
    pub flows: FlowTablesView,
    /// The policy in force.
    #[serde(flatten)]
    pub policy: PolicyView,
}

/// An interface that a gateway protects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UplinkView {
    /// Its name when the gateway was attached.
    pub name: String,
    /// Its index.
    pub ifindex: u32,
    /// Whether it still exists.
    pub present: bool,
    /// The ingress hook: `xdp`, `xdp-generic` or `tc`.
    pub hook: &'static str,
    /// The program that judges what comes in; `null` when it is no longer attached.
    pub ingress: Option<AttachmentView>,
    /// The program that judges what goes out; `null` when it is no longer attached.
    pub egress: Option<AttachmentView>,
}

/// A program on a hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AttachmentView {
    /// The kernel's identifier of the program.
    pub program_id: u32,
    /// How it is attached: `xdp`, `tcx` or `clsact`.
    pub attachment: &'static str,
}
