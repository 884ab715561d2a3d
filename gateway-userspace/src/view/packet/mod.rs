//! Packets that somebody watches.

mod headers;

use std::net::IpAddr;

use gateway_common::{
    observe::{PacketRecord, WatchCount},
    tuple::{Direction, FlowKey},
    verdict::Reason,
};
use jiff::Timestamp;
use serde::{Serialize, Serializer};

use self::headers::Headers;
use super::RuleRefView;
use crate::{protocol, settings::Policy};

/// What things are called, of which packets know numbers only.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// The uplink.
    pub uplink: &'a str,
    /// The policy in force.
    pub policy: &'a Policy,
}

/// A packet, what became of it, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PacketView {
    /// When it was judged, to a jiffy.
    #[serde(serialize_with = "in_ms")]
    pub time: Timestamp,
    /// `in` or `out`.
    pub direction: &'static str,
    /// The uplink's name.
    pub uplink: String,
    /// The uplink's index.
    pub ifindex: u32,
    /// `pass` or `drop`.
    pub verdict: &'static str,
    /// The reason's name.
    pub reason: &'static str,
    /// The IP protocol's name, or its number in digits; `null` of what is no IP packet.
    pub proto: Option<String>,
    /// `ipv4` or `ipv6`; `null` as for `proto`.
    pub family: Option<&'static str>,
    /// Where the packet comes from; `null` as for `proto`.
    pub source: Option<IpAddr>,
    /// The port there; `null` where there is none.
    pub source_port: Option<u16>,
    /// Where it goes to; `null` as for `proto`.
    pub destination: Option<IpAddr>,
    /// The port there; `null` where there is none.
    pub destination_port: Option<u16>,
    /// The outer VLAN identifier, `null` without a tag.
    pub vlan: Option<u16>,
    /// Of TCP segments: the flags that are set, in lower case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp_flags: Option<Vec<&'static str>>,
    /// Of ICMP messages: the type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icmp_type: Option<u8>,
    /// Of ICMP messages: the code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icmp_code: Option<u8>,
    /// Packets that this is on the wire.
    pub packets: u32,
    /// Their bytes as the counters have them: from the IP header on.
    pub bytes: u64,
    /// The rule that decided, or `null`.
    pub rule: Option<RuleRefView>,
    /// The subnet whose route the policy looked at, or `null`.
    pub subnet: Option<String>,
}

impl PacketView {
    /// What a record says; `None` of one that no packet path of ours wrote.
    #[must_use]
    pub fn new(record: &PacketRecord, time: Timestamp, names: &Names<'_>) -> Option<Self> {
        let (reason, direction) = (record.reason()?, record.direction()?);
        let snap_bytes = record.snap.len().min(record.snap_bytes as usize);
        let headers = Headers::read(&record.snap[..snap_bytes]);
        let ends = Ends::of_key(&record.key, direction).or_else(|| headers.ends.clone());
        let vlan = (record.offloaded_vlan != 0).then_some(record.offloaded_vlan & 0xfff);
        Some(Self {
            time,
            direction: direction.name(),
            uplink: names.uplink.to_owned(),
            ifindex: record.ifindex,
            verdict: reason.verdict().name(),
            reason: reason.name(),
            proto: ends.as_ref().map(|ends| protocol::name(ends.protocol)),
            family: ends.as_ref().map(|ends| family(ends.source)),
            source: ends.as_ref().map(|ends| ends.source),
            source_port: ends.as_ref().and_then(|ends| ends.source_port),
            destination: ends.as_ref().map(|ends| ends.destination),
            destination_port: ends.as_ref().and_then(|ends| ends.destination_port),
            vlan: vlan.and_then(|vlan| u16::try_from(vlan).ok()).or(headers.vlan),
            tcp_flags: headers.tcp_flags,
            icmp_type: headers.icmp.map(|(kind, _)| kind),
            icmp_code: headers.icmp.map(|(_, code)| code),
            packets: record.counted_packets,
            bytes: record.counted_bytes,
            rule: rule(record, reason, names.policy),
            subnet: subnet(record, reason, names.policy),
        })
    }
}

/// What is missing from what was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MissingView {
    /// Always `missing`, which nothing else that is shown has.
    pub event: &'static str,
    /// Reports that were made.
    pub reported: u64,
    /// Those that the limit did not allow.
    pub limited: u64,
    /// Those that were lost because they came too fast.
    pub lost: u64,
}

impl From<&WatchCount> for MissingView {
    fn from(count: &WatchCount) -> Self {
        let WatchCount { reported, limited, lost, .. } = *count;
        Self { event: "missing", reported, limited, lost }
    }
}

/// Where a packet comes from and goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Ends {
    protocol: u8,
    source: IpAddr,
    source_port: Option<u16>,
    destination: IpAddr,
    destination_port: Option<u16>,
}

impl Ends {
    /// As the packet path knows them, if it does.
    fn of_key(key: &FlowKey, direction: Direction) -> Option<Self> {
        if key.family == 0 {
            return None;
        }
        let port = |port: u16| (port != 0).then_some(port);
        let inside = (key.inside.to_ip(), port(key.inside_port));
        let outside = (key.outside.to_ip(), port(key.outside_port));
        let (source, destination) = match direction {
            Direction::Inbound => (outside, inside),
            Direction::Outbound => (inside, outside),
        };
        Some(Self {
            protocol: key.protocol,
            source: source.0,
            source_port: source.1,
            destination: destination.0,
            destination_port: destination.1,
        })
    }
}

const fn family(address: IpAddr) -> &'static str {
    match address {
        IpAddr::V4(_) => "ipv4",
        IpAddr::V6(_) => "ipv6",
    }
}

/// The rule that decided.
fn rule(record: &PacketRecord, reason: Reason, policy: &Policy) -> Option<RuleRefView> {
    let rule = policy.rules.get(record.rule as usize).filter(|_| reason.is_of_rule())?;
    Some(RuleRefView { number: record.rule as usize + 1, name: rule.name.clone() })
}

/// The subnet of the inside address.
fn subnet(record: &PacketRecord, reason: Reason, policy: &Policy) -> Option<String> {
    let subnet = policy.subnets.get(record.subnet as usize);
    subnet.filter(|_| reason.is_of_policy()).map(|subnet| subnet.name.clone())
}

pub(super) fn in_ms<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{time:.3}"))
}

#[cfg(test)]
pub(crate) mod tests;
