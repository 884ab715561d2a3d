//! Transport headers.

use gateway_common::tuple::Family;

use super::{Kept, Packet, bytes, tcp::TCP};

/// Where the transport checksum is and what it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checksum {
    None,
    /// The Internet checksum of the upper layer alone.
    Plain(usize),
    /// The Internet checksum of the pseudo-header and the upper layer.
    Pseudo(usize),
    /// CRC-32C of the upper layer.
    Crc(usize),
}

const ICMP: u8 = 1;
const UDP: u8 = 17;
const DCCP: u8 = 33;
const ICMPV6: u8 = 58;
const SCTP: u8 = 132;
const UDP_LITE: u8 = 136;

impl Packet {
    /// Any protocol, with these bytes as all there is of it. No checksum is filled in.
    pub fn protocol(self, protocol: u8, bytes: &[u8]) -> Self {
        self.transport(protocol, bytes.to_vec(), Checksum::None)
    }

    /// UDP. The length field counts the payload.
    pub fn udp(self, source_port: u16, destination_port: u16) -> Self {
        let mut header = bytes::ports(source_port, destination_port);
        header.extend([0; 4]);
        self.transport(UDP, header, Checksum::Pseudo(6))
    }

    /// UDP-Lite, whose checksum covers everything.
    pub fn udp_lite(self, source_port: u16, destination_port: u16) -> Self {
        let mut header = bytes::ports(source_port, destination_port);
        header.extend([0; 4]);
        self.transport(UDP_LITE, header, Checksum::Pseudo(6))
    }

    /// A DCCP Request with 48-bit sequence numbers.
    pub fn dccp(self, source_port: u16, destination_port: u16) -> Self {
        let mut header = bytes::ports(source_port, destination_port);
        // Data offset 5 words; type 0 (Request) with extended sequence numbers.
        header.extend([5, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
        self.transport(DCCP, header, Checksum::Pseudo(6))
    }

    /// SCTP with these chunks.
    pub fn sctp(self, source_port: u16, destination_port: u16, tag: u32, chunks: &[u8]) -> Self {
        let mut header = bytes::ports(source_port, destination_port);
        header.extend(tag.to_be_bytes());
        header.extend([0; 4]);
        header.extend(chunks);
        self.transport(SCTP, header, Checksum::Crc(8))
    }

    /// ICMP of the packet's own family: type, code, the four bytes behind the checksum, the rest.
    pub fn icmp(self, kind: u8, code: u8, word: [u8; 4], body: &[u8]) -> Self {
        let (protocol, checksum) = match self.family() {
            Family::Ipv4 => (ICMP, Checksum::Plain(2)),
            Family::Ipv6 => (ICMPV6, Checksum::Pseudo(2)),
        };
        let mut message = vec![kind, code, 0, 0];
        message.extend(word);
        message.extend(body);
        self.transport(protocol, message, checksum)
    }

    /// An echo request.
    pub fn echo_request(self, id: u16, sequence: u16) -> Self {
        let kind = match self.family() {
            Family::Ipv4 => 8,
            Family::Ipv6 => 128,
        };
        self.icmp(kind, 0, bytes::word(id, sequence), b"echo")
    }

    /// An echo reply.
    pub fn echo_reply(self, id: u16, sequence: u16) -> Self {
        let kind = match self.family() {
            Family::Ipv4 => 0,
            Family::Ipv6 => 129,
        };
        self.icmp(kind, 0, bytes::word(id, sequence), b"echo")
    }

    /// An ICMP error that quotes a packet; `value` is the MTU, the pointer, or zero.
    pub fn icmp_error(self, kind: u8, code: u8, value: u32, quote: &[u8]) -> Self {
        self.icmp(kind, code, value.to_be_bytes(), quote)
    }

    pub(super) fn transport(mut self, protocol: u8, header: Vec<u8>, checksum: Checksum) -> Self {
        self.protocol = protocol;
        self.transport = header;
        self.checksum = checksum;
        self
    }

    pub(super) fn mirror_transport(&mut self) {
        match self.protocol {
            TCP | UDP | UDP_LITE | DCCP | SCTP if self.transport.len() >= 4 => {
                self.transport[..4].rotate_left(2);
            }
            ICMP | ICMPV6 if !self.transport.is_empty() => {
                self.transport[0] = match (self.protocol, self.transport[0]) {
                    (ICMP, 8) => 0,
                    (ICMP, 0) => 8,
                    (ICMPV6, 128) => 129,
                    (ICMPV6, 129) => 128,
                    (_, other) => other,
                };
            }
            _ => {}
        }
    }

    /// Transport header and payload, with length and checksum filled in.
    pub(super) fn upper_layer(&self) -> Vec<u8> {
        let mut upper = self.transport.clone();
        upper.extend(&self.payload);
        if matches!(self.protocol, UDP | UDP_LITE) && self.checksum != Checksum::None {
            let len = bytes::length(upper.len());
            upper[4..6].copy_from_slice(&len.to_be_bytes());
        }
        if self.is_tcp() {
            self.number(&mut upper[..self.transport.len()]);
        }
        bytes::apply(&mut upper, &self.transport_edits);
        if self.checksum_kept != Kept::Absent {
            self.fill_in_checksum(&mut upper);
        }
        upper.truncate(self.upper_len.unwrap_or(usize::MAX));
        upper
    }

    fn fill_in_checksum(&self, upper: &mut [u8]) {
        let wrong = u16::from(self.checksum_kept == Kept::Wrong);
        match self.checksum {
            Checksum::None => {}
            Checksum::Plain(at) => {
                let sum = bytes::internet_checksum(upper) ^ wrong;
                put(upper, at, &sum.to_be_bytes());
            }
            Checksum::Pseudo(at) => {
                let ip = self.ip_ref();
                let sum = bytes::pseudo_checksum(ip.source, ip.destination, self.protocol, upper);
                put(upper, at, &(sum ^ wrong).to_be_bytes());
            }
            Checksum::Crc(at) => {
                let sum = bytes::crc32c(upper) ^ u32::from(wrong);
                put(upper, at, &sum.to_le_bytes());
            }
        }
    }
}

/// Stores a checksum where one was stored as zero, unless an edit put something there or cut the
/// header short.
fn put(upper: &mut [u8], at: usize, sum: &[u8]) {
    if let Some(field) = upper.get_mut(at..at + sum.len())
        && field.iter().all(|&byte| byte == 0)
    {
        field.copy_from_slice(sum);
    }
}
