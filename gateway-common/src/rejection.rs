//! Delayed rejects, for those who want RFC 6092's more open gateway: whoever opens a connection
//! from outside in vain learns of it, but only after six seconds, and only if inside has not opened
//! the same meanwhile (RFC6092-REC-34, RFC6092-REC-39). An error at once would break a simultaneous
//! opening. The packet path only reports such openings; a process sends the errors.

use crate::{
    bytes::PacketBytes, flow::tcp::Segment, gateway::Workspace, limits::QUOTED_BYTES_MAX,
    packet::Packet, tables::Tables, tuple::FlowKey, verdict::Reason,
};

/// An opening from outside that was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Unsolicited {
    /// The flow that it would belong to.
    pub key: FlowKey,
    /// How many bytes of `quoted` count.
    pub quoted_len: u32,
    /// The beginning of the packet, from its IP header on.
    pub quoted: [u8; QUOTED_BYTES_MAX],
}

/// Reports a packet that is dropped for `reason`, if it opens a connection and nothing but the lack
/// of a flow is against it.
#[inline(never)]
pub fn report<B: PacketBytes, T: Tables>(
    reason: Reason,
    bytes: &B,
    tables: &T,
    workspace: &Workspace,
) {
    let Workspace { packet, key, .. } = workspace;
    let lacks_flow = matches!(reason, Reason::NoFlow | Reason::FlowExpired);
    if lacks_flow && is_opening(packet) {
        let network = &packet.network;
        tables.report(bytes, key, network.offset, network.end.saturating_sub(network.offset));
    }
}

/// Whether a packet opens a connection. Of SCTP only an INIT has a verification tag of zero
/// (RFC 9260 section 8.5.1).
#[inline(always)]
fn is_opening(packet: &Packet) -> bool {
    let is_init = packet.is_sctp() && packet.transport.sctp.tag == 0;
    !packet.network.destination.is_multicast()
        && (is_init || packet.segment() == Some(Segment::Syn))
}
