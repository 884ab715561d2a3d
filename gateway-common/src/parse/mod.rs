//! From bytes to a [`Packet`]: link layer, network layer, transport layer, in this order and once.
//!
//! Every length is checked before it is used, every loop is bounded, and a header that
//! contradicts itself ends the walk with the reason that names it.

mod ipv4;
mod ipv6;
pub mod link;
pub mod network;
mod sctp_chunks;
mod tcp_options;
mod transport;

pub use self::{sctp_chunks::sctp_chunks, tcp_options::tcp_options};

use crate::{bytes::PacketBytes, packet::Packet, verdict::Reason};
use link::Link;
use network::{Network, Scope};

/// Parses the IP packet that `link` found into `packet`, which counts only on success.
///
/// # Errors
///
/// The reason why the packet cannot be what its headers say.
#[inline(always)]
pub fn packet<B: PacketBytes>(bytes: &B, link: &Link, packet: &mut Packet) -> Result<(), Reason> {
    packet.vlan = link.vlan;
    packet.is_forwarded = bytes.is_forwarded();
    let network = &mut packet.network;
    network::parse(bytes, link.network_offset, link.family(), Scope::Whole, network)?;
    upper_layer(bytes, packet)
}

/// Parses what the IP header carries.
// Not inlined: its headers would take a third of the caller's stack.
#[inline(never)]
fn upper_layer<B: PacketBytes>(bytes: &B, packet: &mut Packet) -> Result<(), Reason> {
    let header_len = transport::parse(bytes, &packet.network, &mut packet.transport)?;
    (packet.packets, packet.wire_bytes) = wire_size(bytes, &packet.network, header_len);
    Ok(())
}

/// Looks at what only the states of a flow are told by: TCP options, SCTP chunks. Most packets that
/// drop never come here.
#[inline(always)]
pub fn what_states_need<B: PacketBytes>(bytes: &B, packet: &mut Packet) {
    if packet.is_tcp() {
        tcp_options(bytes, packet);
    } else if packet.is_sctp() {
        sctp_chunks(bytes, packet);
    }
}

/// Packets and bytes as they cross the wire: each segment of an offloaded packet carries its own
/// copy of the headers.
#[inline(always)]
fn wire_size<B: PacketBytes>(bytes: &B, network: &Network, header_len: usize) -> (u32, u64) {
    let segments = bytes.segments();
    let headers = (network.transport_offset - network.offset + header_len) as u64;
    let extra = u64::from(segments.saturating_sub(1)) * headers;
    (segments, (network.end - network.offset) as u64 + extra)
}
