//! Later fragments carry no ports, so they are judged by what is known about their datagram or,
//! when they overtake the first fragment, about the two hosts.
//!
//! A lone later fragment cannot be reassembled without a first one that was admitted by its
//! ports, so letting it through never delivers anything unsolicited (RFC4787-REQ-14, E36). What
//! overlaps is left to the host, which discards the whole datagram (RFC8200-4.5-OVERLAP,
//! RFC5722-4).

use crate::{
    config::Config,
    endpoint,
    limits::{DATAGRAM_SECS, PEER_RENEW_SECS, PEER_SECS},
    packet::{Packet, key},
    tables::Tables,
    timeouts::Ticks,
    tuple::{Address, Direction, FlowKey, VlanPath},
    verdict::Reason,
};

/// A datagram whose first fragment matched a live flow (RFC8200-4.5-REASM).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct DatagramKey {
    /// The sender, outside.
    pub source: Address,
    /// The receiver, inside.
    pub destination: Address,
    /// The IP identification; 16 bits for IPv4.
    pub id: u32,
    /// The VLAN the datagram came in.
    pub vlan: VlanPath,
    /// What the fragments' headers announce: part of the reassembly key for IPv4, and for both
    /// families what keeps an admitted UDP datagram from vouching for TCP fragments (RFC1858-PROTO,
    /// E41).
    pub protocol: u8,
    /// 4 or 6.
    pub family: u8,
    /// Zero.
    pub zero: u16,
}

/// Two hosts of which the inside one recently sent to the outside one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct PeerKey {
    /// The address on this side of the uplink.
    pub inside: Address,
    /// The address on the other side.
    pub outside: Address,
    /// The VLAN they talk in.
    pub vlan: VlanPath,
    /// IP protocol number.
    pub protocol: u8,
    /// 4 or 6.
    pub family: u8,
    /// Zero.
    pub zero: u16,
}

impl DatagramKey {
    /// The key of the datagram that an inbound fragment belongs to.
    #[inline(always)]
    const fn of(packet: &Packet) -> Self {
        Self {
            source: packet.network.source,
            destination: packet.network.destination,
            id: packet.network.fragment.id,
            vlan: packet.vlan,
            protocol: packet.network.fragment.protocol,
            family: packet.network.family.version(),
            zero: 0,
        }
    }
}

impl PeerKey {
    /// The two hosts of a flow.
    #[inline(always)]
    const fn of(flow: &FlowKey) -> Self {
        Self {
            inside: flow.inside,
            outside: flow.outside,
            vlan: flow.vlan,
            protocol: flow.protocol,
            family: flow.family,
            zero: 0,
        }
    }
}

/// Judges an inbound later fragment: of a reply (E35, E74), or unsolicited (E37).
// Not inlined, like the other functions here that build keys: these paths are rare, and their keys
// would take a third of the caller's stack.
#[inline(never)]
pub fn judge<T: Tables>(packet: &Packet, tables: &T) -> Reason {
    let now = tables.now();
    let live = |deadline: Option<Ticks>| deadline.is_some_and(|deadline| now < deadline);
    let hosts = key(&packet.network, packet.vlan, Direction::Inbound, 0, 0);
    if live(tables.datagram(&DatagramKey::of(packet))) || live(tables.peer(&PeerKey::of(&hosts))) {
        Reason::Fragment
    } else {
        Reason::FragmentUnsolicited
    }
}

/// Lets the later fragments follow an admitted inbound packet that is the first of several.
#[inline(never)]
pub fn admit_rest<T: Tables>(packet: &Packet, config: &Config, tables: &T) {
    let deadline = tables.now() + config.ticks(DATAGRAM_SECS);
    tables.admit_datagram(&DatagramKey::of(packet), deadline);
}

/// Notes that inside opened a flow to these hosts.
#[inline(never)]
pub fn note_peer<T: Tables>(flow: &FlowKey, now: Ticks, config: &Config, tables: &T) {
    tables.note_peer(&PeerKey::of(flow), now + config.ticks(PEER_SECS));
}

/// Notes it again when inside goes on sending: once in each period of [`PEER_RENEW_SECS`], told
/// by the last time it sent, so that no packet but the first of a period pays for it.
#[inline(always)]
pub fn renew_peer<T: Tables>(
    flow: &FlowKey,
    last_sent: Ticks,
    now: Ticks,
    config: &Config,
    tables: &T,
) {
    let period = config.ticks(PEER_RENEW_SECS).0.max(1);
    if now.0 / period != last_sent.0 / period {
        note_peer(flow, now, config, tables);
        endpoint::note(flow, now, config, tables);
    }
}
