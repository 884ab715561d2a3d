//! What both IP versions have in common, behind which nothing asks for the version again.

use network_types::ip::IpProto;

use super::{ipv4, ipv6};
use crate::{
    bytes::PacketBytes,
    tuple::{Address, Family},
    verdict::Reason,
};

/// The largest datagram that fragments make, counted behind the header that numbers them.
const DATAGRAM_BYTES_MAX: usize = 65_535;

/// Whether the bytes hold a packet or the beginning of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// A packet of its own: everything its header announces must be there.
    Whole,
    /// The beginning of a packet, quoted by an ICMP error: lengths and checksums may be those of
    /// the whole one (RFC5508-REQ-3, RFC 4443 section 2.4).
    Quoted,
}

/// A packet's place in a fragmented datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fragment {
    /// The place.
    pub place: Place,
    /// What each fragment's header says is in the datagram: for IPv6 the first header behind the
    /// fragment header, which need not be the upper layer. Zero when it is not fragmented.
    pub protocol: u8,
    /// The datagram's identification; zero when it is not fragmented.
    pub id: u32,
}

impl Fragment {
    /// Places a packet of which the header says that it is a fragment: `payload_len` bytes from
    /// `first_byte` on of the datagram `id`, with more to come or not.
    ///
    /// # Errors
    ///
    /// [`Reason::FragmentMalformed`] for what no sender makes, [`Reason::FragmentTiny`] for the
    /// tricks of RFC 1858 and RFC 3128.
    #[inline(always)]
    pub(super) fn place(
        first_byte: usize,
        payload_len: usize,
        more: bool,
        protocol: u8,
        id: u32,
    ) -> Result<Self, Reason> {
        // All but the last fragment hold whole units of eight bytes (RFC8200-4.5-MULT8, E76), of
        // which one is enough (RFC791-68), and none is empty or ends behind the largest datagram
        // (RFC8200-4.5-65535, RFC791-65535, E38).
        let partial_unit = more && !payload_len.is_multiple_of(8);
        if partial_unit || payload_len == 0 || first_byte + payload_len > DATAGRAM_BYTES_MAX {
            return Err(Reason::FragmentMalformed);
        }
        // At offset 8 a fragment would replace the flags of the TCP header that was judged, and at
        // 16 nothing of it any more (RFC1858-INDIRECT, RFC1858-4.2, E34, E75).
        if first_byte == 8 && protocol == IpProto::Tcp as u8 {
            return Err(Reason::FragmentTiny);
        }
        let place = if first_byte == 0 { Place::First } else { Place::Later };
        Ok(Self { place, protocol, id })
    }

    /// Whether the transport header went with an earlier fragment.
    #[must_use]
    #[inline(always)]
    pub fn is_later(&self) -> bool {
        self.place == Place::Later
    }

    /// Whether more fragments follow this one, which holds the transport header.
    #[must_use]
    #[inline(always)]
    pub fn is_first(&self) -> bool {
        self.place == Place::First
    }
}

/// Where in its datagram a packet stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// Not fragmented.
    #[default]
    Whole,
    /// All of a datagram behind an IPv6 fragment header: no fragment at all (RFC6946-4).
    Atomic,
    /// The first of several.
    First,
    /// A later one, without a transport header.
    Later,
}

/// What the network layer says about a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// The IP version.
    pub family: Family,
    /// The upper-layer protocol's number.
    pub protocol: u8,
    /// Hop limit or time to live.
    pub hop_limit: u8,
    /// Whether a hop-by-hop header with a router alert option came first (RFC 2711).
    pub router_alert: bool,
    /// Whether an authentication header is among the extension headers (RFC 4302).
    pub is_authenticated: bool,
    /// The packet's place in a fragmented datagram.
    pub fragment: Fragment,
    /// Where it comes from.
    pub source: Address,
    /// Where it goes to.
    pub destination: Address,
    /// Where the IP header starts.
    pub offset: usize,
    /// Where the upper layer starts.
    pub transport_offset: usize,
    /// Where the IP packet ends; frames may be longer (E11, E44).
    pub end: usize,
}

impl Network {
    /// Bytes of the upper layer.
    #[must_use]
    #[inline(always)]
    pub const fn payload_len(&self) -> usize {
        self.end.saturating_sub(self.transport_offset)
    }
}

/// Parses the IP header at `offset` and, for IPv6, the extension headers behind it, into
/// `network`, which counts only on success.
///
/// # Errors
///
/// The reason why the header cannot be what it says.
// Called for the packet itself and for the one an ICMP error quotes: one copy in the kernel.
#[inline(never)]
pub fn parse<B: PacketBytes>(
    bytes: &B,
    offset: usize,
    family: Family,
    scope: Scope,
    network: &mut Network,
) -> Result<(), Reason> {
    network.family = family;
    network.offset = offset;
    network.router_alert = false;
    network.is_authenticated = false;
    network.fragment = Fragment::default();
    match family {
        Family::Ipv4 => ipv4::parse(bytes, offset, scope, network),
        Family::Ipv6 => ipv6::parse(bytes, offset, scope, network),
    }
}

/// Where a packet of `announced` bytes at `offset` ends in this frame, if it does (E15, E43).
#[inline(always)]
pub(super) fn packet_end<B: PacketBytes>(
    bytes: &B,
    offset: usize,
    announced: usize,
    scope: Scope,
) -> Option<usize> {
    let end = offset + announced;
    match scope {
        Scope::Whole => (end <= bytes.len()).then_some(end),
        Scope::Quoted => Some(end),
    }
}
