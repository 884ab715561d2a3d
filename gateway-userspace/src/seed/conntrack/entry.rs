//! An entry of connection tracking, as the kernel lists it.

use std::net::IpAddr;

use netlink_packet_core::{DefaultNla, Nla as _, ParseableParametrized as _};
use netlink_packet_netfilter::conntrack::{
    ConntrackAttribute, ConntrackMessage, IPTuple, ProtoInfo, ProtoInfoTCP, ProtoTuple, Status,
    Tuple as TupleAttribute,
};

use super::super::End;

/// Bytes of `struct nfgenmsg`, which comes before the attributes.
const HEADER_BYTES: usize = 4;
/// The kernel's `IPCTNL_MSG_CT_NEW`, as which entries are listed.
const NEW: u8 = 0;
/// Attributes that the parser leaves as they are: the kernel's `CTA_ZONE`, `CTA_TUPLE_ZONE` and
/// `CTA_PROTO_ICMP*`.
const ZONE: u16 = 18;
const TUPLE_ZONE: u16 = 3;
const ICMP_ID: u16 = 4;
const ICMP_TYPE: u16 = 5;
const ICMPV6_ID: u16 = 7;
const ICMPV6_TYPE: u16 = 8;
/// The kernel's `IP_CT_TCP_FLAG_CLOSE_INIT`: this side sent its FIN first.
const CLOSED_FIRST: u8 = 0x04;

/// The packets of one direction, as they arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tuple {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    pub(crate) icmp_type: Option<u8>,
    pub(crate) icmp_id: Option<u16>,
}

impl Tuple {
    pub(super) const fn source_end(&self) -> End {
        End { address: self.source, port: self.source_port }
    }

    pub(super) const fn destination_end(&self) -> End {
        End { address: self.destination, port: self.destination_port }
    }
}

/// An entry, as far as flows are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The direction of the packet that opened the connection.
    pub(crate) original: Tuple,
    /// The other direction.
    pub(crate) reply: Tuple,
    /// IP protocol number.
    pub(crate) protocol: u8,
    /// Packets of both directions were seen.
    pub(crate) has_reply: bool,
    /// The entry is about to go, or was never a connection.
    pub(crate) is_over: bool,
    /// The kernel's `TCP_CONNTRACK_*`, of TCP.
    pub(crate) tcp_state: Option<u8>,
    /// Whether the side that opened the connection closed it first.
    pub(crate) opener_closed: bool,
    /// The zone; 0 is the default.
    pub(crate) zone: u16,
}

impl Entry {
    /// Reads a message; `None` if it is no entry, or one without what every entry has.
    pub(crate) fn parse(payload: &[u8]) -> Option<Self> {
        let attributes = payload.get(HEADER_BYTES..)?;
        let message = ConntrackMessage::parse_with_param(attributes, NEW).ok()?;
        let ConntrackMessage::New(attributes) = message else { return None };
        let mut tuples = [None, None];
        let mut status = Status::empty();
        let mut zone = 0;
        let (mut tcp_state, mut opener_closed) = (None, false);
        for attribute in &attributes {
            if let ConntrackAttribute::CtaTupleOrig(parts) = attribute {
                tuples[0] = Some(tuple(parts)?);
            } else if let ConntrackAttribute::CtaTupleReply(parts) = attribute {
                tuples[1] = Some(tuple(parts)?);
            } else if let ConntrackAttribute::CtaStatus(found) = attribute {
                status = *found;
            } else if let ConntrackAttribute::CtaProtoInfo(parts) = attribute {
                (tcp_state, opener_closed) = tcp(parts);
            } else if let ConntrackAttribute::Other(other) = attribute
                && other.kind() == ZONE
            {
                zone = number(other)?;
            }
        }
        let [Some((original, protocol, one)), Some((reply, _, other))] = tuples else {
            return None;
        };
        Some(Self {
            original,
            reply,
            protocol,
            has_reply: status.contains(Status::SeenReply),
            is_over: status.intersects(Status::Dying | Status::Template | Status::Untracked),
            tcp_state,
            opener_closed,
            zone: zone | one | other,
        })
    }
}

/// A direction with its protocol and its zone.
fn tuple(parts: &[TupleAttribute]) -> Option<(Tuple, u8, u16)> {
    let mut addresses = None;
    let mut transport = None;
    let mut zone = 0;
    for part in parts {
        if let TupleAttribute::Ip(parts) = part {
            addresses = Some(ends(parts)?);
        } else if let TupleAttribute::Proto(parts) = part {
            transport = Some(protocol(parts)?);
        } else if let TupleAttribute::Other(other) = part
            && other.kind() == TUPLE_ZONE
        {
            zone = number(other)?;
        }
    }
    let (source, destination) = addresses?;
    let Protocol { number, source_port, destination_port, icmp_type, icmp_id } = transport?;
    let tuple = Tuple { source, destination, source_port, destination_port, icmp_type, icmp_id };
    Some((tuple, number, zone))
}

/// Source and destination.
fn ends(parts: &[IPTuple]) -> Option<(IpAddr, IpAddr)> {
    let (mut source, mut destination) = (None, None);
    for part in parts {
        if let IPTuple::SourceAddress(address) = part {
            source = Some(*address);
        } else if let IPTuple::DestinationAddress(address) = part {
            destination = Some(*address);
        }
    }
    Some((source?, destination?))
}

/// A protocol, and what its header has of a connection.
#[derive(Default)]
struct Protocol {
    number: u8,
    source_port: u16,
    destination_port: u16,
    icmp_type: Option<u8>,
    icmp_id: Option<u16>,
}

fn protocol(parts: &[ProtoTuple]) -> Option<Protocol> {
    let mut found = Protocol::default();
    let mut has_number = false;
    for part in parts {
        if let ProtoTuple::Protocol(protocol) = part {
            (found.number, has_number) = ((*protocol).into(), true);
        } else if let ProtoTuple::SourcePort(port) = part {
            found.source_port = *port;
        } else if let ProtoTuple::DestinationPort(port) = part {
            found.destination_port = *port;
        } else if let ProtoTuple::Other(other) = part {
            match other.kind() {
                ICMP_ID | ICMPV6_ID => found.icmp_id = Some(number(other)?),
                ICMP_TYPE | ICMPV6_TYPE => found.icmp_type = value(other).first().copied(),
                _ => {}
            }
        }
    }
    has_number.then_some(found)
}

/// The state of TCP, and whether the side that opened the connection closed it first.
fn tcp(parts: &[ProtoInfo]) -> (Option<u8>, bool) {
    let (mut state, mut opener_closed) = (None, false);
    for part in parts {
        let ProtoInfo::TCP(parts) = part else { continue };
        for part in parts {
            if let ProtoInfoTCP::State(number) = part {
                state = Some(*number);
            } else if let ProtoInfoTCP::OriginalFlags(found) = part {
                opener_closed = found.flags & CLOSED_FIRST != 0;
            }
        }
    }
    (state, opener_closed)
}

/// A number of two bytes in network byte order.
fn number(attribute: &DefaultNla) -> Option<u16> {
    value(attribute).first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}

fn value(attribute: &DefaultNla) -> Vec<u8> {
    let mut value = vec![0; attribute.value_len()];
    attribute.emit_value(&mut value);
    value
}
