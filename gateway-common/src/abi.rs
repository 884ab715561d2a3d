//! What the BPF programs and user space must agree on beyond the types themselves.

/// Grows with every change to the layout or meaning of a shared map.
/// `pod::tests::layout_changes_need_a_new_abi_version` fails when the layout changes silently.
pub const ABI_VERSION: u32 = 5;

/// The oldest version of which a gateway can be upgraded in place: its
/// [`Config`](crate::config::Config) means the same, so new programs run with it until the upgrade
/// is complete.
pub const ABI_OLDEST: u32 = 4;

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
    /// Array of `u64`: the two bitmaps of the [presence filter](crate::presence), one behind the
    /// other. User space maps it into its memory.
    pub const PRESENCE: &str = "PRESENCE";
    /// Array with one [`Control`](crate::presence::Control): what the presence filter goes by.
    pub const PRESENCE_CONTROL: &str = "PRESENCE_CTRL";
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
    /// Two maps from [`Direction`](crate::tuple::Direction) × 256 + protocol number to
    /// [`ProtocolClasses`](crate::policy::ProtocolClasses), like all maps of a policy one for each
    /// of two policies, of which [`Config`](crate::config::Config) names the one in force.
    pub const POLICY_PROTOCOLS: &str = "POLICY_PROTOCOLS";
    /// Two arrays from destination port or ICMP type to the number of a class.
    pub const POLICY_SELECTORS: &str = "POLICY_SELECTORS";
    /// Two arrays of [`Levels`](crate::policy::Levels), indexed by
    /// [`Levels::index`](crate::policy::Levels::index).
    pub const POLICY_LEVELS: &str = "POLICY_LEVELS";
    /// Two hashes of [`PrefixKey`](crate::policy::PrefixKey) →
    /// [`AddressClass`](crate::policy::AddressClass).
    pub const POLICY_PREFIXES: &str = "POLICY_PREFIXES";
    /// Two arrays of [`Class`](crate::policy::Class).
    pub const POLICY_CLASSES: &str = "POLICY_CLASSES";
    /// Two arrays of `u64`: the words of the classes' bit vectors.
    pub const POLICY_WORDS: &str = "POLICY_WORDS";
    /// Two arrays of [`Rule`](crate::policy::Rule).
    pub const POLICY_RULES: &str = "POLICY_RULES";
    /// Two arrays of [`Hits`](crate::counter::Hits): for each CPU, one for each rule, one for each
    /// subnet and one for addresses that no subnet covers; see
    /// [`Summary::places`](crate::policy::Summary::places).
    pub const POLICY_HITS: &str = "POLICY_HITS";
    /// Two arrays of blocks of text: the policy as people read it, for user space only.
    pub const POLICY_TEXT: &str = "POLICY_TEXT";
    /// LRU hash of [`EndpointKey`](crate::endpoint::EndpointKey) → deadline in ticks: inside
    /// endpoints that opened flows lately, for `endpoint_independent_filtering`.
    pub const ENDPOINTS: &str = "ENDPOINTS";
    /// Ring of [`Unsolicited`](crate::rejection::Unsolicited): openings from outside that were
    /// dropped, for `delayed_reject`.
    pub const REJECTS: &str = "REJECTS";
    /// Ring of [`FlowRecord`](crate::record::FlowRecord): every flow that ended.
    pub const RECORDS: &str = "RECORDS";
    /// Array with one `u64`: how many flows have ended so far, recorded or not.
    pub const RECORDS_WRITTEN: &str = "RECORDS_WRITTEN";
    /// Array with one `u32`: all bits of [`want`](crate::observe::want) that any observer has.
    pub const OBSERVED: &str = "OBSERVED";
    /// Array of [`Watch`](crate::observe::Watch): what each observer wants.
    pub const WATCHES: &str = "WATCHES";
    /// Array of [`WatchCount`](crate::observe::WatchCount), one for each observer.
    pub const WATCH_COUNTS: &str = "WATCH_COUNTS";
    /// Array of rings, one for each observer: of [`PacketRecord`](crate::observe::PacketRecord) or,
    /// when it watches flows, of [`FlowRecord`](crate::record::FlowRecord).
    pub const OBSERVERS: &str = "OBSERVERS";
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
    /// The program that user space runs to remove expired flows: takes up to
    /// [`RECLAIMED_MAX`](crate::limits::RECLAIMED_MAX) flow keys as its packet, returns how many of
    /// them were expired.
    pub const RECLAIM: &str = "reclaim";
    /// The program that user space runs to enter a flow that was there before the gateway: takes a
    /// [`Seed`](crate::seed::Seed) as its packet, returns an [`Entered`](crate::seed::Entered), or
    /// 0 if there is no configuration. Only attaching runs it, so it is not pinned.
    pub const SEED: &str = "seed";
}

/// The maps of a policy that the packet path decides and counts with.
pub const POLICY_TABLES: [&str; 8] = [
    name::POLICY_PROTOCOLS,
    name::POLICY_SELECTORS,
    name::POLICY_LEVELS,
    name::POLICY_PREFIXES,
    name::POLICY_CLASSES,
    name::POLICY_WORDS,
    name::POLICY_RULES,
    name::POLICY_HITS,
];
