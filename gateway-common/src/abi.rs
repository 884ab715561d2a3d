//! What the BPF programs and user space must agree on beyond the types themselves.

/// Grows with every change to the layout or meaning of a shared map.
/// `pod::tests::layout_changes_need_a_new_abi_version` fails when the layout changes silently.
pub const ABI_VERSION: u32 = 2;

/// Names of maps and programs, as they appear in the BPF object and as pins.
pub mod name {
    /// Array of two [`Config`](crate::config::Config)s, of which `ACTIVE` names the one in force.
    pub const CONFIG: &str = "CONFIG";
    /// Array with one `u32`: the slot of `CONFIG` in force.
    pub const ACTIVE: &str = "ACTIVE";
    /// LRU hash of [`FlowKey`](crate::tuple::FlowKey) → [`FlowEntry`](crate::flow::FlowEntry):
    /// every flow that is not in `ESTABLISHED`.
    pub const HALF_OPEN: &str = "HALF_OPEN";
    /// Preallocated hash of the same types: flows that were answered and sent again.
    pub const ESTABLISHED: &str = "ESTABLISHED";
    /// LRU hash of [`DatagramKey`](crate::fragment::DatagramKey) → deadline in ticks.
    pub const DATAGRAMS: &str = "DATAGRAMS";
    /// LRU hash of [`PeerKey`](crate::fragment::PeerKey) → deadline in ticks.
    pub const PEERS: &str = "PEERS";
    /// LRU hash of [`HostKey`](crate::host::HostKey) → [`Paid`](crate::host::Paid): inside hosts
    /// that opened flows lately.
    pub const OPENERS: &str = "OPENERS";
    /// LRU hash of [`HostKey`](crate::host::HostKey) → `u64`: how many entries of `ESTABLISHED`
    /// an inside host holds.
    pub const HOLDERS: &str = "HOLDERS";
    /// Array of [`Overflow`](crate::host::Overflow): flows of hosts beyond their allowance.
    pub const OVERFLOW: &str = "OVERFLOW";
    /// Array with one `u64`: how many places of `OVERFLOW` have been taken so far.
    pub const OVERFLOW_TAKEN: &str = "OVERFLOW_TAKEN";
    /// Per-CPU array of [`Counter`](crate::counter::Counter), indexed by
    /// [`Reason::slot`](crate::verdict::Reason::slot).
    pub const VERDICTS: &str = "VERDICTS";
    /// Per-CPU array of `u64`, indexed by [`FlowEvent`](crate::counter::FlowEvent).
    pub const FLOW_EVENTS: &str = "FLOW_EVENTS";
    /// The XDP program for the uplink's ingress.
    pub const INGRESS_XDP: &str = "ingress_xdp";
    /// The TC program for the uplink's ingress, where XDP is not to be had.
    pub const INGRESS_TC: &str = "ingress_tc";
    /// The TC program for the uplink's egress.
    pub const EGRESS_TC: &str = "egress_tc";
    /// The program that user space runs to read the tick clock: eight bytes, host byte order.
    pub const CLOCK: &str = "clock";
    /// The program that user space runs to delete a flow: takes a
    /// [`FlowKey`](crate::tuple::FlowKey) as its packet, returns 1 if there was such a flow.
    pub const FORGET: &str = "forget";
}
