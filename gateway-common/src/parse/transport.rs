//! Transport headers.

use network_types::{sctp::SctpHdr, tcp::TcpHdr, udp::UdpHdr};

use super::network::Network;
use crate::{
    bytes::PacketBytes,
    packet::{
        IcmpHeader, Layout, Ports, SctpChunks, SctpHeader, TcpHeader, TcpOptions, Transport,
        TransportKind, layout,
    },
    verdict::Reason,
};

/// The part of the ICMP header that every message has.
const ICMP_HEADER_LEN: usize = 8;
/// Type, flags and length.
pub(super) const SCTP_CHUNK_HEADER_LEN: usize = 4;

/// Reads the transport header into `transport`, which counts only on success, and returns its
/// length, which every segment of an offloaded packet repeats.
// In place: returned, it would be put together on the stack and then copied.
#[inline(always)]
pub(super) fn parse<B: PacketBytes>(
    bytes: &B,
    network: &Network,
    transport: &mut Transport,
) -> Result<usize, Reason> {
    *transport = Transport::default();
    if network.fragment.is_later() {
        transport.kind = TransportKind::LaterFragment;
        return Ok(0);
    }
    match layout(network.family, network.protocol) {
        Layout::Tcp => tcp(bytes, network, transport),
        Layout::Udp => udp(bytes, network, transport),
        Layout::Ports(header_len) => {
            let header = read::<8, _>(bytes, network, header_len)?;
            transport.set_ports(TransportKind::Ports, &header);
            Ok(header_len)
        }
        Layout::Sctp => sctp(bytes, network, transport),
        Layout::Icmp => icmp(bytes, network, transport),
        Layout::Portless => Ok(0),
        Layout::Missing => {
            transport.kind = TransportKind::Missing;
            Ok(0)
        }
        Layout::Impossible => Err(Reason::TransportMalformed),
    }
}

// The checksum is the host's (RFC9293-CSUM). The header is whole and no longer than the segment
// (E127, E128).
#[expect(
    clippy::cast_possible_truncation,
    reason = "a header has at most 60 bytes, and no packet 4 GiB"
)]
#[inline(always)]
fn tcp<B: PacketBytes>(
    bytes: &B,
    network: &Network,
    transport: &mut Transport,
) -> Result<usize, Reason> {
    let header = read::<{ TcpHdr::LEN }, _>(bytes, network, TcpHdr::LEN)?;
    let header_len = usize::from(header[12] >> 4) * 4;
    if header_len < TcpHdr::LEN || header_len > network.payload_len() {
        return Err(Reason::TransportMalformed);
    }
    transport.set_ports(TransportKind::Tcp, &header);
    transport.tcp = TcpHeader {
        sequence: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
        acknowledgement: u32::from_be_bytes([header[8], header[9], header[10], header[11]]),
        payload_len: (network.payload_len() - header_len) as u32,
        window: u16::from_be_bytes([header[14], header[15]]),
        flags: header[13],
        header_len: header_len as u8,
        is_partial: network.fragment.is_first(),
        options: TcpOptions::default(),
    };
    Ok(header_len)
}

#[inline(always)]
fn udp<B: PacketBytes>(
    bytes: &B,
    network: &Network,
    transport: &mut Transport,
) -> Result<usize, Reason> {
    let header = read::<{ UdpHdr::LEN }, _>(bytes, network, UdpHdr::LEN)?;
    let datagram_len = usize::from(u16::from_be_bytes([header[4], header[5]]));
    // The length is that of the whole datagram, of which a first fragment is a part and which
    // under segmentation offload may be larger than the field can say. Otherwise it is no less than
    // the header and no more than there is (E142), but may be less (E143). A checksum of zero is the
    // host's to judge (E144).
    let is_partial = network.fragment.is_first() || bytes.segments() > 1;
    if !is_partial && !(UdpHdr::LEN..=network.payload_len()).contains(&datagram_len) {
        return Err(Reason::TransportMalformed);
    }
    transport.set_ports(TransportKind::Ports, &header);
    Ok(UdpHdr::LEN)
}

#[inline(always)]
fn sctp<B: PacketBytes>(
    bytes: &B,
    network: &Network,
    transport: &mut Transport,
) -> Result<usize, Reason> {
    const LEN: usize = SctpHdr::LEN + SCTP_CHUNK_HEADER_LEN;
    let header = read::<LEN, _>(bytes, network, LEN)?;
    // The length counts the chunk's own header (RFC 9260 section 3.2, E148).
    let chunk_len = usize::from(u16::from_be_bytes([header[14], header[15]]));
    let is_beyond = SctpHdr::LEN + chunk_len > network.payload_len();
    if chunk_len < SCTP_CHUNK_HEADER_LEN || (is_beyond && !network.fragment.is_first()) {
        return Err(Reason::TransportMalformed);
    }
    let tag = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
    transport.set_ports(TransportKind::Sctp, &header);
    transport.sctp = SctpHeader { tag, chunks: SctpChunks::default() };
    Ok(SctpHdr::LEN)
}

// Both versions' messages have at least eight bytes (E110).
#[inline(always)]
fn icmp<B: PacketBytes>(
    bytes: &B,
    network: &Network,
    transport: &mut Transport,
) -> Result<usize, Reason> {
    let header = read::<ICMP_HEADER_LEN, _>(bytes, network, ICMP_HEADER_LEN)?;
    let body = match bytes.read::<1>(network.transport_offset + ICMP_HEADER_LEN) {
        Some([byte]) if network.payload_len() > ICMP_HEADER_LEN => byte,
        Some(_) | None => 0,
    };
    let rest = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
    transport.kind = TransportKind::Icmp;
    transport.icmp = IcmpHeader { kind: header[0], code: header[1], rest, body };
    Ok(ICMP_HEADER_LEN)
}

/// The first `N` bytes of a transport header of which `needed` must be inside the packet.
#[inline(always)]
fn read<const N: usize, B: PacketBytes>(
    bytes: &B,
    network: &Network,
    needed: usize,
) -> Result<[u8; N], Reason> {
    // A first fragment must hold the whole header, also a second one that would replace the first's
    // (RFC1858-DIRECT, RFC3128-3, RFC7112-5a, E33, E40, E73).
    let short =
        if network.fragment.is_first() { Reason::FragmentTiny } else { Reason::TransportMalformed };
    if network.payload_len() < needed {
        return Err(short);
    }
    bytes.read::<N>(network.transport_offset).ok_or(short)
}

impl Transport {
    /// Takes in a protocol's ports, which are the first four bytes of its header.
    #[inline(always)]
    fn set_ports<const N: usize>(&mut self, kind: TransportKind, header: &[u8; N]) {
        const { assert!(N >= 4) };
        self.kind = kind;
        self.ports = Ports {
            source: u16::from_be_bytes([header[0], header[1]]),
            destination: u16::from_be_bytes([header[2], header[3]]),
        };
    }
}
