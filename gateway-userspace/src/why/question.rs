//! A packet made from what people know of it.

use std::net::IpAddr;

use etherparse::{
    EtherType, IpHeaders, IpNumber, Ipv4Extensions, Ipv4Header, Ipv6Extensions, Ipv6FlowLabel,
    Ipv6Header, PacketBuilder, TcpHeader, VlanId, err::packet::BuildVecWriteError,
};
use gateway_common::{
    flow::{FlowEntry, mark},
    tuple::{Address, Direction, FlowKey, VlanPath},
    wire::{icmp, icmpv6, tcp::flag},
};
use network_types::ip::IpProto;

use super::{frame::Frame, words::Endpoint};
use crate::protocol;

const TCP: u8 = IpProto::Tcp as u8;
const UDP: u8 = IpProto::Udp as u8;
const SCTP: u8 = IpProto::Sctp as u8;
const UDP_LITE: u8 = IpProto::UdpLite as u8;
const DCCP: u8 = IpProto::Dccp as u8;
const ICMP: u8 = IpProto::Icmp as u8;
const ICMPV6: u8 = IpProto::Ipv6Icmp as u8;

/// The port of a sender of whom none is known: any would do.
const ANY_PORT: u16 = 49_152;
/// Made-up link-layer addresses, which nobody looks at.
const SOURCE_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const DESTINATION_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
/// What most hosts send packets with.
const HOP_LIMIT: u8 = 64;

/// A TCP segment's numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// The sequence number.
    pub sequence: u32,
    /// The acknowledgement number.
    pub acknowledgement: u32,
}

impl Numbers {
    /// What a segment in `direction` would carry next on this flow, as far as that is known.
    #[must_use]
    pub fn next(entry: &FlowEntry, direction: Direction) -> Self {
        let (sender, receiver) = (entry.half(direction), entry.half(direction.opposite()));
        let sequence =
            if receiver.has(mark::ACKED) { receiver.granted.ack() } else { sender.sent.end() };
        Self { sequence, acknowledgement: receiver.sent.end() }
    }
}

/// What people know of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// IP protocol number.
    pub protocol: u8,
    /// Where it comes from.
    pub source: Endpoint,
    /// Where it goes to.
    pub destination: Endpoint,
    /// Which way it travels.
    pub direction: Direction,
    /// TCP's flags.
    pub flags: u8,
    /// TCP's numbers.
    pub numbers: Numbers,
    /// The ICMP type; an echo request's if it is not given.
    pub icmp_type: Option<u8>,
    /// The ICMP code.
    pub icmp_code: u8,
    /// The identifier of an ICMP query.
    pub icmp_id: u16,
    /// Its VLAN.
    pub vlan: Option<u16>,
    /// Whether another host inside sent it.
    pub is_forwarded: bool,
}

/// What a question lacks or contradicts itself in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuestionError {
    /// One address is IPv4 and one is IPv6.
    #[error("{0} and {1} are of different IP versions, which no packet has both of")]
    Families(IpAddr, IpAddr),
    /// A port is missing.
    #[error("{0} needs the destination's port, such as {1}; where it comes from may be left open")]
    PortMissing(String, String),
    /// A port is too many.
    #[error("{0} has no ports; leave them away")]
    PortSurplus(String),
    /// ICMP of the other IP version.
    #[error("{0} is not carried by {1}; use {2}")]
    WrongIcmp(&'static str, &'static str, &'static str),
    /// An ICMP message of which the type is not enough.
    #[error(
        "an ICMP message of type {0} is judged by more than its header: give the whole packet \
         with --packet"
    )]
    NeedsContent(u8),
    /// The VLAN is none.
    #[error("{0} is not a VLAN identifier from 1 to 4094")]
    Vlan(u16),
    /// The packet cannot be written.
    #[error("the packet cannot be made: {0}")]
    Unwritable(String),
}

impl Question {
    /// Makes sure that there is such a packet.
    ///
    /// # Errors
    /// [`QuestionError`].
    pub fn check(&self) -> Result<(), QuestionError> {
        let (source, destination) = (self.source, self.destination);
        if source.address.is_ipv4() != destination.address.is_ipv4() {
            return Err(QuestionError::Families(source.address, destination.address));
        }
        let name = protocol::name(self.protocol);
        if !has_ports(self.protocol) {
            if source.port.or(destination.port).is_some() {
                return Err(QuestionError::PortSurplus(name));
            }
        } else if destination.port.is_none() {
            let example = match destination.address {
                IpAddr::V4(address) => format!("{address}:443"),
                IpAddr::V6(address) => format!("[{address}]:443"),
            };
            return Err(QuestionError::PortMissing(name, example));
        }
        if let Some(vlan) = self.vlan.filter(|vlan| !(1..=4094).contains(vlan)) {
            return Err(QuestionError::Vlan(vlan));
        }
        self.check_icmp()
    }

    fn check_icmp(&self) -> Result<(), QuestionError> {
        let needs_content = match (self.protocol, self.source.address) {
            (ICMP, IpAddr::V6(_)) => {
                return Err(QuestionError::WrongIcmp("icmp", "IPv6", "icmpv6"));
            }
            (ICMPV6, IpAddr::V4(_)) => {
                return Err(QuestionError::WrongIcmp("icmpv6", "IPv4", "icmp"));
            }
            (ICMP, IpAddr::V4(_)) => matches!(
                self.icmp_kind(),
                icmp::UNREACHABLE | icmp::TIME_EXCEEDED | icmp::PARAMETER_PROBLEM
            ),
            (ICMPV6, IpAddr::V6(_)) => matches!(
                self.icmp_kind(),
                icmpv6::UNREACHABLE..=icmpv6::PARAMETER_PROBLEM
                    | icmpv6::LISTENER_QUERY..=icmpv6::REDIRECT
                    | icmpv6::INVERSE_SOLICITATION..=icmpv6::LISTENER_REPORT_V2
                    | icmpv6::CERTIFICATION_PATH_SOLICITATION
                    | icmpv6::CERTIFICATION_PATH_ADVERTISEMENT
                    | icmpv6::MULTICAST_ROUTER_ADVERTISEMENT
                    ..=icmpv6::MULTICAST_ROUTER_TERMINATION
            ),
            _ => false,
        };
        if needs_content {
            return Err(QuestionError::NeedsContent(self.icmp_kind()));
        }
        Ok(())
    }

    /// The ICMP type.
    fn icmp_kind(&self) -> u8 {
        self.icmp_type.unwrap_or(match self.source.address {
            IpAddr::V4(_) => icmp::ECHO_REQUEST,
            IpAddr::V6(_) => icmpv6::ECHO_REQUEST,
        })
    }

    /// The port of the sender: any, if it was left open.
    #[must_use]
    pub fn source_port(&self) -> u16 {
        self.source.port.unwrap_or(ANY_PORT)
    }

    /// Whether the sender's port was left open where there is one.
    #[must_use]
    pub fn is_source_port_open(&self) -> bool {
        has_ports(self.protocol) && self.source.port.is_none()
    }

    /// The key of the flow that the packet would belong to, for protocols with ports.
    #[must_use]
    pub fn flow_key(&self) -> FlowKey {
        let source = (Address::from(self.source.address), self.source_port());
        let destination =
            (Address::from(self.destination.address), self.destination.port.unwrap_or(0));
        let (inside, outside) = match self.direction {
            Direction::Inbound => (destination, source),
            Direction::Outbound => (source, destination),
        };
        FlowKey {
            inside: inside.0,
            outside: outside.0,
            inside_port: inside.1,
            outside_port: outside.1,
            vlan: VlanPath { outer: self.vlan.unwrap_or(0), inner: 0 },
            protocol: self.protocol,
            family: if self.source.address.is_ipv4() { 4 } else { 6 },
            zero: 0,
        }
    }

    /// The smallest real packet that this is.
    ///
    /// # Errors
    /// [`QuestionError`].
    pub fn frame(&self) -> Result<Frame, QuestionError> {
        self.check()?;
        let bytes = if matches!(self.protocol, TCP | UDP | ICMP | ICMPV6) {
            let mut bytes = Vec::new();
            let written = self.write(self.headers(0)?, &mut bytes);
            written.map_err(|error| QuestionError::Unwritable(error.to_string()))?;
            bytes
        } else {
            self.other()?
        };
        Ok(Frame { bytes, is_forwarded: self.is_forwarded, made_up_len: 0 })
    }

    /// The IP header before an upper layer of `upper_len` bytes.
    fn headers(&self, upper_len: u16) -> Result<IpHeaders, QuestionError> {
        let next = IpNumber(self.protocol);
        match (self.source.address, self.destination.address) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let (source, destination) = (source.octets(), destination.octets());
                let header = Ipv4Header::new(upper_len, HOP_LIMIT, next, source, destination);
                let mut header =
                    header.map_err(|error| QuestionError::Unwritable(error.to_string()))?;
                header.header_checksum = header.calc_header_checksum();
                Ok(IpHeaders::Ipv4(header, Ipv4Extensions::default()))
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let header = Ipv6Header {
                    traffic_class: 0,
                    flow_label: Ipv6FlowLabel::ZERO,
                    payload_length: upper_len,
                    next_header: next,
                    hop_limit: HOP_LIMIT,
                    source: source.octets(),
                    destination: destination.octets(),
                };
                Ok(IpHeaders::Ipv6(header, Ipv6Extensions::default()))
            }
            (source @ IpAddr::V4(_), destination @ IpAddr::V6(_))
            | (source @ IpAddr::V6(_), destination @ IpAddr::V4(_)) => {
                Err(QuestionError::Families(source, destination))
            }
        }
    }

    /// A packet of a protocol that is written by its number: etherparse takes the numbers of
    /// extension headers for a promise of such headers, and panics.
    fn other(&self) -> Result<Vec<u8>, QuestionError> {
        let upper =
            upper_layer(self.protocol, self.source_port(), self.destination.port.unwrap_or(0));
        // It has a few bytes.
        let upper_len = u16::try_from(upper.len()).unwrap_or(u16::MAX);
        let (ether_type, ip) = match self.headers(upper_len)? {
            IpHeaders::Ipv4(header, _) => (EtherType::IPV4, header.to_bytes().to_vec()),
            IpHeaders::Ipv6(header, _) => (EtherType::IPV6, header.to_bytes().to_vec()),
        };
        let [source, destination] = [SOURCE_MAC, DESTINATION_MAC];
        let mut bytes = [destination, source].concat();
        if let Some(vlan) = self.vlan {
            bytes.extend(EtherType::VLAN_TAGGED_FRAME.0.to_be_bytes());
            bytes.extend(vlan.to_be_bytes());
        }
        bytes.extend(ether_type.0.to_be_bytes());
        Ok([bytes, ip, upper].concat())
    }

    fn write(&self, ip: IpHeaders, bytes: &mut Vec<u8>) -> Result<(), BuildVecWriteError> {
        let ethernet = PacketBuilder::ethernet2(SOURCE_MAC, DESTINATION_MAC);
        let vlan = self.vlan.and_then(|vlan| VlanId::try_new(vlan).ok());
        let ip = match vlan {
            Some(vlan) => ethernet.single_vlan(vlan).ip(ip),
            None => ethernet.ip(ip),
        };
        let (source, destination) = (self.source_port(), self.destination.port.unwrap_or(0));
        let [high, low] = self.icmp_id.to_be_bytes();
        let (kind, code, query) = (self.icmp_kind(), self.icmp_code, [high, low, 0, 1]);
        match self.protocol {
            TCP => ip.tcp_header(self.tcp(source, destination)).write_to_vec(bytes, &[]),
            UDP => ip.udp(source, destination).write_to_vec(bytes, &[]),
            ICMP => ip.icmpv4_raw(kind, code, query).write_to_vec(bytes, &self.icmp_body()),
            _ => ip.icmpv6_raw(kind, code, query).write_to_vec(bytes, &[]),
        }
    }

    fn tcp(&self, source: u16, destination: u16) -> TcpHeader {
        let has = |bit: u8| self.flags & bit != 0;
        let Numbers { sequence, acknowledgement } = self.numbers;
        let mut header = TcpHeader::new(source, destination, sequence, 64_240);
        header.acknowledgment_number = acknowledgement;
        header.syn = has(flag::SYN);
        header.ack = has(flag::ACK);
        header.fin = has(flag::FIN);
        header.rst = has(flag::RST);
        header.psh = has(flag::PSH);
        header.urg = has(flag::URG);
        header
    }

    /// What timestamps have behind their header.
    fn icmp_body(&self) -> Vec<u8> {
        let is_timestamp =
            matches!(self.icmp_kind(), icmp::TIMESTAMP_REQUEST | icmp::TIMESTAMP_REPLY);
        vec![0; if is_timestamp { 12 } else { 0 }]
    }
}

/// Whether a protocol has ports that the packet path reads.
const fn has_ports(protocol: u8) -> bool {
    matches!(protocol, TCP | UDP | SCTP | UDP_LITE | DCCP)
}

/// The smallest upper layer of the other protocols.
fn upper_layer(protocol: u8, source: u16, destination: u16) -> Vec<u8> {
    let ports = [source.to_be_bytes(), destination.to_be_bytes()].concat();
    match protocol {
        // An INIT (RFC 9260 section 3.3.2) with a tag, a window and one stream each way.
        SCTP => {
            let init = [1, 0, 0, 20, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1];
            [&ports[..], &[0; 8], &init].concat()
        }
        UDP_LITE => [&ports[..], &[0; 4]].concat(),
        // A request (RFC 4340 section 5.2): data offset, type and sequence number.
        DCCP => [&ports[..], &[5, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]].concat(),
        _ => vec![0; 8],
    }
}
