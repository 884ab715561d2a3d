//! Packets to be sent or run, right by default and wrong on request.
//!
//! A packet is written down from its addresses inwards and becomes bytes at the end:
//!
//! ```
//! use tests::packet::{Packet, flag};
//!
//! let reply = Packet::ip("2a00:2::1", "2a00:1::5").tcp(443, 40000, flag::SYN | flag::ACK);
//! let frame = reply.clone().vlan(10).frame();
//! let error = Packet::ip("2a00:9::9", "2a00:1::5").icmp_error(1, 4, 0, &reply.mirror().ip_bytes());
//! let tiny = Packet::ip("10.0.0.1", "10.0.0.2").fragment(0, true).protocol(6, &[0; 8]);
//! # _ = (frame, error, tiny);
//! ```
//!
//! Lengths, next headers and checksums follow from the rest. The `set_…` methods overwrite bytes
//! before checksums are taken, so that a packet that lies about one thing is right in all others.

mod bytes;
mod extension;
pub mod link;
pub mod tcp;
#[cfg(test)]
mod tests;
mod transport;

use std::net::IpAddr;

use gateway_common::tuple::Family;

use crate::address::ToIp;
use extension::Extension;
use tcp::Numbers;
use transport::Checksum;

/// TCP flags.
pub mod flag {
    /// No more data from the sender.
    pub const FIN: u16 = 0x001;
    /// Synchronize sequence numbers.
    pub const SYN: u16 = 0x002;
    /// Reset the connection.
    pub const RST: u16 = 0x004;
    /// Push data.
    pub const PSH: u16 = 0x008;
    /// The acknowledgment field counts.
    pub const ACK: u16 = 0x010;
    /// The urgent pointer counts.
    pub const URG: u16 = 0x020;
    /// Explicit congestion notification: echo.
    pub const ECE: u16 = 0x040;
    /// Explicit congestion notification: window reduced.
    pub const CWR: u16 = 0x080;
    /// Accurate ECN, once the nonce sum; the first of the bits that used to be reserved.
    pub const AE: u16 = 0x100;
}

/// The 802.1Q tag protocol identifier.
pub const TAG: u16 = 0x8100;
/// The 802.1ad (provider) tag protocol identifier.
pub const PROVIDER_TAG: u16 = 0x88a8;

/// A packet in the making. See the module's documentation.
#[derive(Clone, Debug)]
#[must_use]
pub struct Packet {
    source_mac: [u8; 6],
    destination_mac: [u8; 6],
    tags: Vec<(u16, u16)>,
    ethertype: Option<u16>,
    network: Network,
    protocol: u8,
    transport: Vec<u8>,
    checksum: Checksum,
    checksum_kept: Kept,
    numbers: Numbers,
    upper_len: Option<usize>,
    payload: Vec<u8>,
    trailer: Vec<u8>,
    network_edits: Vec<Edit>,
    transport_edits: Vec<Edit>,
    frame_len: Option<usize>,
}

#[derive(Clone, Debug)]
enum Network {
    /// Not IP: the payload follows the link header.
    None,
    Ip(Ip),
}

#[derive(Clone, Debug)]
struct Ip {
    source: IpAddr,
    destination: IpAddr,
    hop_limit: u8,
    identification: u32,
    /// Traffic class; the IPv4 type of service.
    class: u8,
    flow_label: u32,
    /// IPv4: the three flags and the offset in units of eight bytes.
    fragment: u16,
    /// IPv4 options, padded to four bytes.
    options: Vec<u8>,
    extensions: Vec<Extension>,
    header_checksum_is_bad: bool,
}

/// Whether the transport checksum is to be what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    Right,
    Wrong,
    Absent,
}

/// Bytes that overwrite what would stand there.
#[derive(Clone, Debug)]
struct Edit {
    offset: usize,
    bytes: Vec<u8>,
}

impl Packet {
    /// An IP packet of the family of its addresses, so far with an empty payload of protocol 253
    /// (for experiments).
    ///
    /// # Panics
    /// If the addresses are of different families.
    pub fn ip(source: impl ToIp, destination: impl ToIp) -> Self {
        let (source, destination) = (source.to_ip(), destination.to_ip());
        assert_eq!(source.is_ipv4(), destination.is_ipv4(), "{source} and {destination}");
        Self::link(Network::Ip(Ip {
            source,
            destination,
            hop_limit: 64,
            identification: 0,
            class: 0,
            flow_label: 0,
            fragment: 0,
            options: Vec::new(),
            extensions: Vec::new(),
            header_checksum_is_bad: false,
        }))
    }

    /// A frame of any other ethertype.
    pub fn ethertype(ethertype: u16, payload: &[u8]) -> Self {
        Self { ethertype: Some(ethertype), ..Self::link(Network::None) }.payload(payload)
    }

    /// An 802.3 frame with LLC, as spanning tree uses it: a length in place of the ethertype.
    ///
    /// # Panics
    /// If `payload` is longer than such a frame can be.
    pub fn llc(payload: &[u8]) -> Self {
        assert!(payload.len() <= 1500, "802.3 frames carry at most 1500 bytes");
        Self::ethertype(bytes::length(payload.len()), payload)
    }

    fn link(network: Network) -> Self {
        Self {
            source_mac: [0x02, 0, 0, 0, 0, 0xaa],
            destination_mac: [0x02, 0, 0, 0, 0, 0xbb],
            tags: Vec::new(),
            ethertype: None,
            network,
            protocol: 253,
            transport: Vec::new(),
            checksum: Checksum::None,
            checksum_kept: Kept::Right,
            numbers: Numbers::default(),
            upper_len: None,
            payload: Vec::new(),
            trailer: Vec::new(),
            network_edits: Vec::new(),
            transport_edits: Vec::new(),
            frame_len: None,
        }
    }

    /// The link-layer addresses.
    pub const fn macs(mut self, source: [u8; 6], destination: [u8; 6]) -> Self {
        self.source_mac = source;
        self.destination_mac = destination;
        self
    }

    /// Adds an 802.1Q tag inside the tags there are.
    pub fn vlan(self, id: u16) -> Self {
        self.tag(TAG, id)
    }

    /// Adds a tag of this protocol identifier inside the tags there are; the tag may carry
    /// priority bits above the twelve of its VLAN.
    pub fn tag(mut self, tag_protocol: u16, control: u16) -> Self {
        self.tags.push((tag_protocol, control));
        self
    }

    /// Lies about the ethertype.
    pub const fn claim_ethertype(mut self, ethertype: u16) -> Self {
        self.ethertype = Some(ethertype);
        self
    }

    /// What follows the transport header, or whatever headers there are.
    pub fn payload(mut self, payload: &[u8]) -> Self {
        self.payload = payload.to_vec();
        self
    }

    /// Bytes behind the packet that it does not count as its own, like a short frame's padding.
    pub fn trailer(mut self, bytes: &[u8]) -> Self {
        self.trailer = bytes.to_vec();
        self
    }

    /// Cuts the frame to this many bytes, whatever its headers promise.
    pub const fn truncate(mut self, frame_len: usize) -> Self {
        self.frame_len = Some(frame_len);
        self
    }

    /// Cuts the frame so that only this much of the IP packet is left.
    pub fn truncate_ip(self, ip_len: usize) -> Self {
        let link_len = self.link_header().len();
        self.truncate(link_len + ip_len)
    }

    /// Overwrites bytes of the IP header, counted from its start, before its checksum is taken.
    pub fn set_network(mut self, offset: usize, bytes: &[u8]) -> Self {
        self.network_edits.push(Edit { offset, bytes: bytes.to_vec() });
        self
    }

    /// Overwrites bytes of the transport header, counted from its start, before the checksum is
    /// taken.
    pub fn set_transport(mut self, offset: usize, bytes: &[u8]) -> Self {
        self.transport_edits.push(Edit { offset, bytes: bytes.to_vec() });
        self
    }

    /// Makes the transport checksum wrong.
    pub const fn bad_checksum(mut self) -> Self {
        self.checksum_kept = Kept::Wrong;
        self
    }

    /// Leaves the transport checksum zero.
    pub const fn no_checksum(mut self) -> Self {
        self.checksum_kept = Kept::Absent;
        self
    }

    /// Cuts transport header and payload to this many bytes; the IP header counts what is left,
    /// the transport's own length and checksum still speak of the whole.
    pub const fn cut_transport(mut self, len: usize) -> Self {
        self.upper_len = Some(len);
        self
    }

    /// Makes the IPv4 header's checksum wrong.
    pub fn bad_header_checksum(mut self) -> Self {
        self.ip_mut().header_checksum_is_bad = true;
        self
    }

    /// The hop limit, or time to live.
    pub fn hop_limit(mut self, hops: u8) -> Self {
        self.ip_mut().hop_limit = hops;
        self
    }

    /// The traffic class, or type of service.
    pub fn class(mut self, class: u8) -> Self {
        self.ip_mut().class = class;
        self
    }

    /// The IPv6 flow label.
    pub fn flow_label(mut self, label: u32) -> Self {
        self.ip_mut().flow_label = label;
        self
    }

    /// The identification: of the IPv4 header, or of IPv6 fragments. Goes before [`fragment`].
    ///
    /// [`fragment`]: Self::fragment
    pub fn identification(mut self, id: u32) -> Self {
        self.ip_mut().identification = id;
        self
    }

    /// IPv4: sets the Don't Fragment flag.
    pub fn dont_fragment(mut self) -> Self {
        self.ip_mut().fragment |= 0x4000;
        self
    }

    /// IPv4: sets the reserved flag.
    pub fn reserved_flag(mut self) -> Self {
        self.ip_mut().fragment |= 0x8000;
        self
    }

    /// IPv4: adds options, which are padded to four bytes with end-of-list.
    ///
    /// # Panics
    /// If they do not fit an IPv4 header.
    pub fn options(mut self, options: &[u8]) -> Self {
        let ip = self.ip_mut();
        ip.options = options.to_vec();
        ip.options.resize(options.len().next_multiple_of(4), 0);
        assert!(ip.options.len() <= 40, "IPv4 has room for 40 bytes of options");
        self
    }

    /// The family, of an IP packet.
    ///
    /// # Panics
    /// If this is no IP packet.
    #[must_use]
    pub fn family(&self) -> Family {
        if self.ip_ref().source.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 }
    }

    /// The packet that answers this one: addresses and ports change places, an echo request
    /// becomes its reply. All else stays.
    pub fn mirror(&self) -> Self {
        let mut mirrored = self.clone().macs(self.destination_mac, self.source_mac);
        let ip = mirrored.ip_mut();
        (ip.source, ip.destination) = (ip.destination, ip.source);
        mirrored.mirror_transport();
        mirrored
    }

    fn ip_ref(&self) -> &Ip {
        match &self.network {
            Network::Ip(ip) => ip,
            Network::None => panic!("not an IP packet: {self:?}"),
        }
    }

    fn ip_mut(&mut self) -> &mut Ip {
        match &mut self.network {
            Network::Ip(ip) => ip,
            Network::None => panic!("not an IP packet"),
        }
    }
}
