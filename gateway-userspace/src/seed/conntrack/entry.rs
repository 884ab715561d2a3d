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
            match attribute {
                ConntrackAttribute::CtaTupleOrig(parts) => tuples[0] = Some(tuple(parts)?),
                ConntrackAttribute::CtaTupleReply(parts) => tuples[1] = Some(tuple(parts)?),
                ConntrackAttribute::CtaStatus(found) => status = *found,
                ConntrackAttribute::CtaProtoInfo(parts) => {
                    (tcp_state, opener_closed) = tcp(parts);
                }
                ConntrackAttribute::Other(other) if other.kind() == ZONE => zone = number(other)?,
                _ => {}
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
    let (mut source, mut destination, mut protocol) = (None, None, None);
    let (mut source_port, mut destination_port) = (0, 0);
    let (mut icmp_type, mut icmp_id, mut zone) = (None, None, 0);
    for part in parts {
        match part {
            TupleAttribute::Ip(addresses) => {
                for address in addresses {
                    match address {
                        IPTuple::SourceAddress(address) => source = Some(*address),
                        IPTuple::DestinationAddress(address) => destination = Some(*address),
                        _ => {}
                    }
                }
            }
            TupleAttribute::Proto(parts) => {
                for part in parts {
                    match part {
                        ProtoTuple::Protocol(number) => protocol = Some(u8::from(*number)),
                        ProtoTuple::SourcePort(port) => source_port = *port,
                        ProtoTuple::DestinationPort(port) => destination_port = *port,
                        ProtoTuple::Other(other) => match other.kind() {
                            ICMP_ID | ICMPV6_ID => icmp_id = Some(number(other)?),
                            ICMP_TYPE | ICMPV6_TYPE => icmp_type = value(other).first().copied(),
                            _ => {}
                        },
                        _ => {}
                    }
                }
            }
            TupleAttribute::Other(other) if other.kind() == TUPLE_ZONE => zone = number(other)?,
            _ => {}
        }
    }
    let (source, destination) = (source?, destination?);
    let tuple = Tuple { source, destination, source_port, destination_port, icmp_type, icmp_id };
    Some((tuple, protocol?, zone))
}

/// The state of TCP, and whether the side that opened the connection closed it first.
fn tcp(parts: &[ProtoInfo]) -> (Option<u8>, bool) {
    let (mut state, mut opener_closed) = (None, false);
    for part in parts {
        let ProtoInfo::TCP(parts) = part else { continue };
        for part in parts {
            match part {
                ProtoInfoTCP::State(number) => state = Some(*number),
                ProtoInfoTCP::OriginalFlags(found) => {
                    opener_closed = found.flags & CLOSED_FIRST != 0;
                }
                _ => {}
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
