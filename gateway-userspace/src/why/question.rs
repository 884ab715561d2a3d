//! A packet made from what people know of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{
    Ethernet2Header, IpNumber, Ipv4Header, Ipv6FlowLabel, Ipv6Header, PacketBuilder,
    PacketBuilderStep, TcpHeader, VlanId, err::packet::BuildVecWriteError,
};
use gateway_common::{
    flow::{FlowEntry, mark},
    tuple::{Address, Direction, FlowKey, VlanPath},
    wire::{icmp, icmpv6, tcp::flag},
};
use network_types::ip::IpProto;

use super::frame::Frame;
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
/// What most hosts send packets with.
const HOP_LIMIT: u8 = 64;

/// An address and perhaps a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The address.
    pub address: IpAddr,
    /// The port.
    pub port: Option<u16>,
}

impl std::str::FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let (address, port) = match bracketed {
            Some((address, "")) => (address, None),
            Some((address, rest)) => (address, Some(rest.strip_prefix(':').unwrap_or(rest))),
            // Of an IPv6 address without brackets nobody knows where a port would begin.
            None if text.matches(':').count() == 1 => {
                text.split_once(':').map_or((text, None), |(address, port)| (address, Some(port)))
            }
            None => (text, None),
        };
        let address = address.parse().map_err(|_| {
            format!(
                "'{text}' is not an address with or without a port, such as 192.0.2.1:443, \
                 [2001:db8::1]:443 or 2001:db8::1"
            )
        })?;
        let port = port.map(|port| {
            port.parse().map_err(|_| format!("'{port}' in '{text}' is not a port from 0 to 65535"))
        });
        Ok(Self { address, port: port.transpose()? })
    }
}

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

/// The flags of TCP segments by the names that people use for them.
///
/// # Errors
/// What is wrong with the text, for people.
pub fn opening_flags(text: &str) -> Result<u8, String> {
    let mut flags = 0;
    for word in text.split(['-', ',', '+', '/']) {
        flags |= match word.to_ascii_lowercase().as_str() {
            "syn" => flag::SYN,
            "ack" => flag::ACK,
            "fin" => flag::FIN,
            "rst" => flag::RST,
            "psh" => flag::PSH,
            "urg" => flag::URG,
            "none" => 0,
            other => {
                return Err(format!(
                    "'{other}' is none of syn, ack, fin, rst, psh, urg and none, joined with '-'"
                ));
            }
        };
    }
    Ok(flags)
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
        match (self.protocol, self.source.address) {
            (ICMP, IpAddr::V6(_)) => {
                return Err(QuestionError::WrongIcmp("icmp", "IPv6", "icmpv6"));
            }
            (ICMPV6, IpAddr::V4(_)) => {
                return Err(QuestionError::WrongIcmp("icmpv6", "IPv4", "icmp"));
            }
            (ICMP, IpAddr::V4(_)) => match self.icmp_kind() {
                kind @ (icmp::UNREACHABLE | icmp::TIME_EXCEEDED | icmp::PARAMETER_PROBLEM) => {
                    return Err(QuestionError::NeedsContent(kind));
                }
                _ => {}
            },
            (ICMPV6, IpAddr::V6(_)) => match self.icmp_kind() {
                kind @ (icmpv6::UNREACHABLE..=icmpv6::PARAMETER_PROBLEM
                | icmpv6::LISTENER_QUERY..=icmpv6::REDIRECT
                | icmpv6::INVERSE_SOLICITATION..=icmpv6::LISTENER_REPORT_V2
                | icmpv6::CERTIFICATION_PATH_SOLICITATION
                    ..=icmpv6::CERTIFICATION_PATH_ADVERTISEMENT
                | icmpv6::MULTICAST_ROUTER_ADVERTISEMENT
                    ..=icmpv6::MULTICAST_ROUTER_TERMINATION) => {
                    return Err(QuestionError::NeedsContent(kind));
                }
                _ => {}
            },
            _ => {}
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
        let ethernet = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
        let (source, destination) = (self.source.address, self.destination.address);
        let bytes = match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                self.write(self.ipv4(ethernet, source, destination)?)
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                self.write(self.ipv6(ethernet, source, destination)?)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
                return Err(QuestionError::Families(source, destination));
            }
        };
        let bytes = bytes.map_err(|error| QuestionError::Unwritable(error.to_string()))?;
        Ok(Frame { bytes, is_forwarded: self.is_forwarded, made_up_len: 0 })
    }

    fn ipv4(
        &self,
        ethernet: PacketBuilderStep<Ethernet2Header>,
        source: Ipv4Addr,
        destination: Ipv4Addr,
    ) -> Result<PacketBuilderStep<etherparse::IpHeaders>, QuestionError> {
        let header = Ipv4Header::new(
            0,
            HOP_LIMIT,
            IpNumber(self.protocol),
            source.octets(),
            destination.octets(),
        )
        .map_err(|error| QuestionError::Unwritable(error.to_string()))?;
        self.link(ethernet, etherparse::IpHeaders::Ipv4(header, Default::default()))
    }

    fn ipv6(
        &self,
        ethernet: PacketBuilderStep<Ethernet2Header>,
        source: Ipv6Addr,
        destination: Ipv6Addr,
    ) -> Result<PacketBuilderStep<etherparse::IpHeaders>, QuestionError> {
        let header = Ipv6Header {
            traffic_class: 0,
            flow_label: Ipv6FlowLabel::ZERO,
            payload_length: 0,
            next_header: IpNumber(self.protocol),
            hop_limit: HOP_LIMIT,
            source: source.octets(),
            destination: destination.octets(),
        };
        self.link(ethernet, etherparse::IpHeaders::Ipv6(header, Default::default()))
    }

    fn link(
        &self,
        ethernet: PacketBuilderStep<Ethernet2Header>,
        ip: etherparse::IpHeaders,
    ) -> Result<PacketBuilderStep<etherparse::IpHeaders>, QuestionError> {
        let Some(vlan) = self.vlan else { return Ok(ethernet.ip(ip)) };
        let vlan = VlanId::try_new(vlan).map_err(|_| QuestionError::Vlan(vlan))?;
        Ok(ethernet.single_vlan(vlan).ip(ip))
    }

    fn write(
        &self,
        ip: PacketBuilderStep<etherparse::IpHeaders>,
    ) -> Result<Vec<u8>, BuildVecWriteError> {
        let (source, destination) = (self.source_port(), self.destination.port.unwrap_or(0));
        let mut bytes = Vec::new();
        let rest = [self.icmp_id.to_be_bytes(), [0, 1]].concat();
        let rest = [rest[0], rest[1], rest[2], rest[3]];
        match self.protocol {
            TCP => ip.tcp_header(self.tcp(source, destination)).write_to_vec(&mut bytes, &[])?,
            UDP => ip.udp(source, destination).write_to_vec(&mut bytes, &[])?,
            ICMP => ip
                .icmpv4_raw(self.icmp_kind(), self.icmp_code, rest)
                .write_to_vec(&mut bytes, &self.icmp_body())?,
            ICMPV6 => ip
                .icmpv6_raw(self.icmp_kind(), self.icmp_code, rest)
                .write_to_vec(&mut bytes, &[])?,
            other => {
                let upper = upper_layer(other, source, destination);
                ip.write_to_vec(&mut bytes, IpNumber(other), &upper)?;
            }
        }
        Ok(bytes)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read_as_people_write_them() {
        let read =
            |text: &str| text.parse::<Endpoint>().map(|it| (it.address.to_string(), it.port));
        assert_eq!(read("192.0.2.1"), Ok(("192.0.2.1".to_owned(), None)));
        assert_eq!(read("192.0.2.1:443"), Ok(("192.0.2.1".to_owned(), Some(443))));
        assert_eq!(read("2a00:1::5"), Ok(("2a00:1::5".to_owned(), None)));
        assert_eq!(read("[2a00:1::5]"), Ok(("2a00:1::5".to_owned(), None)));
        assert_eq!(read("[2a00:1::5]:443"), Ok(("2a00:1::5".to_owned(), Some(443))));
        for wrong in ["", "x", "192.0.2.1:", "192.0.2.1:65536", "[2a00:1::5", "[2a00:1::5]:x"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn flags_are_read_in_any_order() {
        assert_eq!(opening_flags("syn"), Ok(flag::SYN));
        assert_eq!(opening_flags("SYN-ACK"), Ok(flag::SYN | flag::ACK));
        assert_eq!(opening_flags("ack,fin"), Ok(flag::FIN | flag::ACK));
        assert_eq!(opening_flags("none"), Ok(0));
        assert!(opening_flags("sin").is_err() && opening_flags("").is_err());
    }
}
