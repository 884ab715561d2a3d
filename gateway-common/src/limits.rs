//! Every size and bound in one place.

/// VLAN tags the parser follows: 802.1ad outside 802.1Q.
pub const VLAN_TAGS_MAX: usize = 2;

/// IPv6 extension headers the parser follows before it gives up. RFC 8200 names six kinds and
/// lets destination options appear twice, in any order (RFC8200-4.1); Linux's own tracker stops at
/// twelve (E62).
pub const EXTENSION_HEADERS_MAX: usize = 8;

/// The longest IPv4 header's options, in bytes.
pub const IPV4_OPTIONS_BYTES_MAX: usize = 40;

/// How far into a frame headers are looked for, in bytes. A chain must fit the smallest IPv6
/// packet every link carries (RFC7112-5c), with room for the link's own header.
pub const HEADER_OFFSET_MAX: usize = 2047;

/// TCP options, padding included, that are read before a list counts as unreadable. Hosts in use
/// send six at most.
pub const TCP_OPTIONS_MAX: usize = 16;

/// The largest window scale (RFC 7323 section 2.3).
pub const WINDOW_SCALE_MAX: u8 = 14;

/// SCTP chunks of one packet that are looked at. What controls an association comes before any data
/// (RFC 9260 section 6.10), two or three chunks of it at most.
pub const SCTP_CHUNKS_MAX: usize = 8;

/// Entries of `[link] pass_ethertypes`.
pub const PASS_ETHERTYPES_MAX: usize = 8;

/// Entries of `[martians] except`, including the one that user space adds for a ULA uplink.
pub const MARTIAN_EXCEPTIONS_MAX: usize = 16;

/// The least and the most entries that `established_max = "auto"` chooses.
pub const ESTABLISHED_AUTO_ENTRIES: (u32, u32) = (16_384, 1_048_576);

/// `half_open_max = "auto"` is `established_max` divided by this.
pub const HALF_OPEN_AUTO_DIVISOR: u32 = 4;

/// What one flow costs in kernel memory, in bytes: the hash element's header and links (48), key
/// and value rounded up to eight, and its share of the bucket array (16).
pub const FLOW_MEMORY_BYTES: u64 =
    (48 + (size_of::<crate::tuple::FlowKey>() + 4) + size_of::<crate::flow::FlowEntry>() + 16)
        as u64;

/// Datagrams whose later fragments may follow; a flood of them can only push out each other.
pub const DATAGRAMS_MAX: u32 = 8_192;

/// How long later fragments may follow a first one, in seconds: the IPv6 reassembly time
/// (RFC8200-4.5-REASM), which is the longer of the two families'.
pub const DATAGRAM_SECS: u32 = 60;

/// Host pairs that talk, remembered so that fragments may overtake each other.
pub const PEERS_MAX: u32 = 65_536;

/// How long a pair of hosts counts as talking after inside last sent, in seconds.
pub const PEER_SECS: u32 = 360;

/// How often a flow that keeps sending renews its pair, in seconds. Well below [`PEER_SECS`], so
/// that an active pair never lapses.
pub const PEER_RENEW_SECS: u32 = 60;

/// Inside hosts whose openings and established flows are accounted for; of more, those that did
/// not open any for longest count as new.
pub const HOSTS_MAX: u32 = 65_536;

/// Unconfirmed flows one inside host may hold with `half_open_per_host = "auto"`:
/// `half_open_max` divided by this.
pub const HALF_OPEN_PER_HOST_AUTO_DIVISOR: u32 = 8;

/// Rules of a policy: 64 for each bit of the aggregates of bit vectors over them.
pub const RULES_MAX: usize = 10_240;

/// Words of a bit vector over the rules.
pub const RULE_WORDS: usize = RULES_MAX / 64;

/// Words of an aggregate, which has a bit for each word of such a vector.
pub const RULE_AGGREGATE_WORDS: usize = RULE_WORDS.div_ceil(64);

/// Subnets of a policy.
pub const SUBNETS_MAX: usize = crate::policy::NO_SUBNET as usize;

/// Policies whose tables the kernel holds: the one in force and the one before or behind it.
pub const POLICY_SLOTS: usize = 2;

/// Bytes of a block of the policy's text.
pub const POLICY_TEXT_BLOCK_BYTES: usize = 4_096;

/// Prefix lengths of one family in the mapped form: all but that of the family itself.
pub const PREFIX_LENGTHS_MAX: usize = 128;

/// Inside endpoints remembered for `endpoint_independent_filtering`.
pub const ENDPOINTS_MAX: u32 = 65_536;

/// Bytes that are kept of an opening from outside which is to be rejected: the IP header with its
/// usual extensions, and what tells the connection.
pub const QUOTED_BYTES_MAX: usize = 128;

/// Bytes of the ring in which such openings wait for the process that rejects them; a power of two
/// and a multiple of the page size.
pub const REJECTS_BYTES: usize = 65_536;

/// Bytes of the ring in which the records of flows that ended wait for the process that keeps them:
/// more than 20,000 records. A power of two and a multiple of the page size.
pub const RECORDS_BYTES: usize = 4 << 20;

/// Flows that are reclaimed in one go.
pub const RECLAIMED_MAX: usize = 64;

/// Observers at a time.
pub const OBSERVERS_MAX: usize = 4;

/// Bytes of an observer's ring; a power of two and a multiple of the page size.
pub const OBSERVER_RING_BYTES: usize = 1 << 20;

/// Bytes of a packet that an observer gets; a power of two.
pub const SNAP_BYTES_MAX: usize = 256;

/// Words of a set of reasons; a power of two.
pub const OBSERVED_REASON_WORDS: usize = 2;

/// Interfaces one gateway may protect.
pub const UPLINKS_MAX: usize = 16;

const _: () = assert!(crate::verdict::Reason::COUNT <= 64 * OBSERVED_REASON_WORDS);
const _: () = assert!(RULES_MAX.is_multiple_of(64));
const _: () = assert!(PEER_RENEW_SECS < PEER_SECS);
const _: () = assert!(size_of::<crate::flow::FlowEntry>() <= 128);
