//! IPv6 extension headers, and fragments of both families.

use super::{Network, Packet, bytes, transport::Checksum};

/// An extension header; the first byte of its `bytes` is filled in with what follows.
#[derive(Clone, Debug)]
pub(super) struct Extension {
    pub(super) protocol: u8,
    pub(super) bytes: Vec<u8>,
}

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;
const SHIM6: u8 = 140;

/// Six bytes of padding: the smallest options header has room for nothing else.
const PADDING: [u8; 6] = [1, 4, 0, 0, 0, 0];
/// The Router Alert option for multicast listener discovery, padded.
const ROUTER_ALERT: [u8; 6] = [5, 2, 0, 0, 1, 0];

/// IPv4's More Fragments flag.
const MORE: u16 = 0x2000;

impl Packet {
    /// Adds an extension header of any kind. The first byte of `bytes` will name what follows.
    pub fn extension(mut self, protocol: u8, bytes: &[u8]) -> Self {
        self.ip_mut().extensions.push(Extension { protocol, bytes: bytes.to_vec() });
        self
    }

    /// Adds a hop-by-hop options header with nothing but padding.
    pub fn hop_by_hop(self) -> Self {
        self.options_header(HOP_BY_HOP, &PADDING)
    }

    /// Adds a hop-by-hop options header with these options, padded to eight bytes.
    pub fn hop_by_hop_with(self, options: &[u8]) -> Self {
        self.options_header(HOP_BY_HOP, options)
    }

    /// Adds a hop-by-hop options header with a Router Alert for multicast listener discovery.
    pub fn router_alert(self) -> Self {
        self.options_header(HOP_BY_HOP, &ROUTER_ALERT)
    }

    /// Adds a destination options header with nothing but padding.
    pub fn destination_options(self) -> Self {
        self.options_header(DESTINATION_OPTIONS, &PADDING)
    }

    /// Adds a routing header of this type with one address.
    pub fn routing(self, kind: u8, segments_left: u8) -> Self {
        let mut header = vec![0, 2, kind, segments_left, 0, 0, 0, 0];
        header.extend([0x2a, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        self.extension(ROUTING, &header)
    }

    /// Adds an authentication header with a 12-byte check value. Its length counts in words of
    /// four bytes, unlike all others'.
    pub fn authentication(self) -> Self {
        let mut header = vec![0, 4, 0, 0];
        header.extend([0x5a; 20]);
        self.extension(AUTHENTICATION, &header)
    }

    /// Adds a Shim6 payload header.
    pub fn shim6(self) -> Self {
        self.extension(SHIM6, &[0, 0, 0x80, 1, 2, 3, 4, 5])
    }

    fn options_header(self, protocol: u8, options: &[u8]) -> Self {
        let len = (2 + options.len()).next_multiple_of(8);
        let mut header = vec![0, u8::try_from(len / 8 - 1).expect("at most 2048 bytes")];
        header.extend(options);
        // Pad1 options.
        header.resize(len, 0);
        self.extension(protocol, &header)
    }

    /// Makes this a fragment at `offset_units` × 8 bytes, with the [`identification`] set before.
    /// IPv6 gets a fragment header behind the extension headers there are.
    ///
    /// [`identification`]: Self::identification
    ///
    /// # Panics
    /// If the offset has more than 13 bits.
    pub fn fragment(mut self, offset_units: u16, more: bool) -> Self {
        assert!(offset_units < 1 << 13, "fragment offsets have 13 bits");
        let ip = self.ip_mut();
        if ip.source.is_ipv4() {
            ip.fragment = ip.fragment & 0xc000 | offset_units | if more { MORE } else { 0 };
            return self;
        }
        let mut header = vec![0, 0];
        header.extend((offset_units << 3 | u16::from(more)).to_be_bytes());
        header.extend(ip.identification.to_be_bytes());
        self.extension(FRAGMENT, &header)
    }

    /// The fragments that this datagram becomes when each carries `fragment_bytes`, in order.
    /// Extension headers are repeated before each fragment header, as headers for routers are.
    ///
    /// # Panics
    /// If `fragment_bytes` is no multiple of 8, or the datagram is too long.
    #[must_use]
    pub fn fragments(&self, id: u32, fragment_bytes: usize) -> Vec<Self> {
        assert!(fragment_bytes > 0 && fragment_bytes.is_multiple_of(8), "{fragment_bytes}");
        let whole = self.upper_layer();
        let chunks = whole.chunks(fragment_bytes);
        let last = chunks.len() - 1;
        let fragment = |(index, chunk): (usize, &[u8])| {
            let offset = bytes::length(index * fragment_bytes / 8);
            let mut part = self.clone();
            part.transport.clear();
            part.transport_edits.clear();
            part.upper_len = None;
            part.checksum = Checksum::None;
            part.identification(id).fragment(offset, index < last).payload(chunk)
        };
        chunks.enumerate().map(fragment).collect()
    }

    /// The protocol number that the IP header announces: of the first extension header or of the
    /// transport.
    pub(super) fn first_protocol(&self) -> u8 {
        match &self.network {
            Network::Ip(ip) => ip.extensions.first().map_or(self.protocol, |first| first.protocol),
            Network::None => self.protocol,
        }
    }

    /// The extension headers, linked.
    pub(super) fn extension_bytes(&self) -> Vec<u8> {
        let extensions = &self.ip_ref().extensions;
        let next = extensions.iter().skip(1).map(|extension| extension.protocol);
        let mut linked = Vec::new();
        for (extension, next) in extensions.iter().zip(next.chain([self.protocol])) {
            linked.push(next);
            linked.extend(extension.bytes.iter().skip(1));
        }
        linked
    }
}
