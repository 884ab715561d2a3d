//! From a description to bytes.

use std::net::IpAddr;

use etherparse::checksum::Sum16BitWords;
use gateway_common::tuple::Family;

use super::{Edit, Ip, Network, Packet};

impl Packet {
    /// The frame.
    #[must_use]
    pub fn frame(&self) -> Vec<u8> {
        let mut frame = self.link_header();
        match &self.network {
            Network::Ip(_) => frame.extend(self.ip_bytes()),
            Network::None => frame.extend(&self.payload),
        }
        frame.extend(&self.trailer);
        frame.truncate(self.frame_len.unwrap_or(usize::MAX));
        frame
    }

    /// The IP packet alone, without link header and trailer.
    ///
    /// # Panics
    /// If this is no IP packet.
    #[must_use]
    pub fn ip_bytes(&self) -> Vec<u8> {
        let ip = self.ip_ref();
        let mut rest = self.extension_bytes();
        rest.extend(self.upper_layer());
        let mut packet = match self.family() {
            Family::Ipv4 => self.ipv4_header(ip, rest.len()),
            Family::Ipv6 => self.ipv6_header(ip, rest.len()),
        };
        packet.extend(rest);
        packet
    }

    /// The first `len` bytes of the IP packet, as an ICMP error quotes it.
    #[must_use]
    pub fn quote(&self, len: usize) -> Vec<u8> {
        let mut packet = self.ip_bytes();
        packet.truncate(len);
        packet
    }

    /// The length of the IP packet: what the counters count.
    #[must_use]
    pub fn ip_len(&self) -> u64 {
        self.ip_bytes().len() as u64
    }

    /// Addresses, tags and ethertype.
    pub(super) fn link_header(&self) -> Vec<u8> {
        let mut header = [self.destination_mac, self.source_mac].concat();
        for (tag_protocol, control) in &self.tags {
            header.extend(tag_protocol.to_be_bytes());
            header.extend(control.to_be_bytes());
        }
        let ethertype = self.ethertype.unwrap_or_else(|| match self.family() {
            Family::Ipv4 => 0x0800,
            Family::Ipv6 => 0x86dd,
        });
        header.extend(ethertype.to_be_bytes());
        header
    }

    fn ipv4_header(&self, ip: &Ip, rest_len: usize) -> Vec<u8> {
        let (IpAddr::V4(source), IpAddr::V4(destination)) = (ip.source, ip.destination) else {
            unreachable!("the family was just asked for");
        };
        let header_len = 20 + ip.options.len();
        let words = u8::try_from(header_len / 4).expect("at most 60 bytes");
        let [.., id_high, id_low] = ip.identification.to_be_bytes();
        let mut header = vec![4 << 4 | words, ip.class];
        header.extend(length(header_len + rest_len).to_be_bytes());
        header.extend([id_high, id_low]);
        header.extend(ip.fragment.to_be_bytes());
        header.extend([ip.hop_limit, self.first_protocol(), 0, 0]);
        header.extend(source.octets());
        header.extend(destination.octets());
        header.extend(&ip.options);
        apply(&mut header, &self.network_edits);
        let sum = internet_checksum(&header) ^ u16::from(ip.header_checksum_is_bad);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        header
    }

    fn ipv6_header(&self, ip: &Ip, rest_len: usize) -> Vec<u8> {
        let (IpAddr::V6(source), IpAddr::V6(destination)) = (ip.source, ip.destination) else {
            unreachable!("the family was just asked for");
        };
        let first_word = 6 << 28 | u32::from(ip.class) << 20 | ip.flow_label;
        let mut header = first_word.to_be_bytes().to_vec();
        header.extend(length(rest_len).to_be_bytes());
        header.extend([self.first_protocol(), ip.hop_limit]);
        header.extend(source.octets());
        header.extend(destination.octets());
        apply(&mut header, &self.network_edits);
        header
    }
}

/// A length as headers carry it.
pub(super) fn length(len: usize) -> u16 {
    u16::try_from(len).unwrap_or_else(|_| panic!("{len} bytes are too many for a packet"))
}

/// Two ports, as most transports begin.
pub(super) fn ports(source: u16, destination: u16) -> Vec<u8> {
    word(source, destination).to_vec()
}

/// Two 16-bit fields.
pub(super) const fn word(high: u16, low: u16) -> [u8; 4] {
    ((high as u32) << 16 | low as u32).to_be_bytes()
}

/// Overwrites what the edits say.
pub(super) fn apply(header: &mut [u8], edits: &[Edit]) {
    for Edit { offset, bytes } in edits {
        let end = offset + bytes.len();
        let len = header.len();
        let Some(field) = header.get_mut(*offset..end) else {
            panic!("bytes {offset}..{end} are not in a header of {len} bytes");
        };
        field.copy_from_slice(bytes);
    }
}

/// The Internet checksum of `bytes`.
pub(super) fn internet_checksum(bytes: &[u8]) -> u16 {
    Sum16BitWords::new().add_slice(bytes).ones_complement().to_be()
}

/// The Internet checksum of the pseudo-header and `upper`; never zero, which means "none" in UDP.
pub(super) fn pseudo_checksum(
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    upper: &[u8],
) -> u16 {
    let mut sum = Sum16BitWords::new();
    for address in [source, destination] {
        sum = match address {
            IpAddr::V4(v4) => sum.add_4bytes(v4.octets()),
            IpAddr::V6(v6) => sum.add_16bytes(v6.octets()),
        };
    }
    sum.add_2bytes(length(upper.len()).to_be_bytes())
        .add_2bytes([0, protocol])
        .add_slice(upper)
        .to_ones_complement_with_no_zero()
        .to_be()
}

/// SCTP's checksum (RFC 9260 appendix A), bit by bit: packets here are short.
pub(super) fn crc32c(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ if crc & 1 == 1 { POLYNOMIAL } else { 0 };
        }
    }
    !crc
}
