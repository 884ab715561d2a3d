//! Why a packet gets its verdict.

mod build;

use std::{net::IpAddr, path::PathBuf};

use ipnet::IpNet;
use serde::Serialize;

use super::{FlowView, RuleTextView};

/// The answer of `why`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WhyView {
    /// `pass` or `drop`.
    pub verdict: &'static str,
    /// The reason's name.
    pub reason: &'static str,
    /// The reason in a sentence.
    pub explanation: &'static str,
    /// Where the documentation has it.
    pub documentation: String,
    /// `in` or `out`.
    pub direction: &'static str,
    /// The gateway that was asked; `null` when it was a file.
    pub gateway: Option<String>,
    /// The configuration file that was asked; `null` when it was a gateway.
    pub file: Option<PathBuf>,
    /// The policy's generation.
    pub generation: u32,
    /// The packet as it was understood.
    pub packet: WhyPacketView,
    /// The header fields that decided.
    pub fields: Vec<WhyFieldView>,
    /// The flow that the packet was taken for, live or expired; `null` when there is none.
    pub flow: Option<WhyFlowView>,
    /// Flows that are almost the one that was looked for and not found.
    pub nearest: Vec<WhyNearFlowView>,
    /// What the policy said; `null` when its opinion did not matter.
    pub policy: Option<WhyPolicyView>,
    /// What the packet would change, beside the counter of its reason.
    pub changes: Vec<WhyChangeView>,
    /// What would let it pass; `null` when it does.
    pub hint: Option<WhyHintView>,
    /// What was assumed, in whole sentences.
    pub notes: Vec<String>,
}

/// A packet as it was understood. What it does not have, or what could not be read, is `null`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WhyPacketView {
    /// `ipv4` or `ipv6`.
    pub family: Option<&'static str>,
    /// The protocol's name, or its number.
    pub proto: Option<String>,
    /// The source address.
    pub source: Option<IpAddr>,
    /// The source port.
    pub source_port: Option<u16>,
    /// The destination address.
    pub destination: Option<IpAddr>,
    /// The destination port.
    pub destination_port: Option<u16>,
    /// The flags of a TCP segment, such as `syn,ack`.
    pub tcp_flags: Option<String>,
    /// The ICMP type.
    pub icmp_type: Option<u8>,
    /// The ICMP code.
    pub icmp_code: Option<u8>,
    /// The outer VLAN identifier.
    pub vlan: Option<u16>,
    /// The inner VLAN identifier.
    pub vlan_inner: Option<u16>,
    /// `first fragment`, `later fragment` or `atomic fragment`.
    pub fragment: Option<&'static str>,
    /// The IPv6 extension headers, by name or number.
    pub extension_headers: Vec<String>,
    /// Whether another host inside sent it.
    pub forwarded: bool,
    /// Bytes in the frame, without what was made up.
    pub frame_bytes: usize,
}

/// A header field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WhyFieldView {
    /// Its name, such as `tcp.dst_port`.
    pub name: String,
    /// Where it starts in what was given; `null` for what is no field of its own.
    pub offset: Option<usize>,
    /// Bytes that it takes.
    pub len: usize,
    /// What it says.
    pub value: String,
}

/// A flow and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WhyFlowView {
    /// `half_open` or `established`.
    pub table: &'static str,
    /// How long its time has been over; `null` for a live flow.
    pub expired_ms: Option<u64>,
    /// The flow as `flow show` has it.
    #[serde(flatten)]
    pub flow: FlowView,
}

/// A flow that is almost the one that was looked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WhyNearFlowView {
    /// The names of the fields in which it differs.
    pub differs: Vec<&'static str>,
    /// The flow.
    #[serde(flatten)]
    pub flow: WhyFlowView,
}

/// What the policy said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WhyPolicyView {
    /// The rule that decided; `null` when none did.
    pub rule: Option<WhyRuleView>,
    /// The shadow rule that would have decided; `null` without one.
    pub shadow_rule: Option<WhyRuleView>,
    /// The subnet of the inside address; `null` when none covers it.
    pub subnet: Option<WhySubnetView>,
    /// The route of the inside address.
    pub route: &'static str,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WhyRuleView {
    /// Its place among the rules, counted from one.
    pub number: usize,
    /// Its line in the file; `null` for one that a switch of `[rfc6092]` made.
    pub line: Option<usize>,
    /// What it says.
    #[serde(flatten)]
    pub text: RuleTextView,
}

/// A subnet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WhySubnetView {
    /// Its name.
    pub name: String,
    /// Its line in the file.
    pub line: usize,
    /// Its addresses.
    pub prefix: IpNet,
}

/// Something that the packet would change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum WhyChangeView {
    /// A flow is opened.
    FlowOpened {
        /// Its state.
        state: &'static str,
        /// Time until it is forgotten if nothing happens.
        expires_in_ms: u64,
    },
    /// The flow is updated.
    FlowUpdated {
        /// Its state before.
        state: &'static str,
        /// Its state after.
        state_after: &'static str,
        /// Whether it is kept alive by that.
        refreshed: bool,
        /// Time until it is forgotten then, if nothing happens.
        expires_in_ms: u64,
    },
    /// The flow moves to the table of established flows.
    FlowPromoted,
    /// A flow is removed.
    FlowRemoved {
        /// From where.
        table: &'static str,
    },
    /// Later fragments of the datagram may follow.
    FragmentsAdmitted {
        /// For how long.
        for_ms: u64,
    },
    /// Fragments between the two hosts may overtake the first.
    PeerNoted {
        /// For how long.
        for_ms: u64,
    },
    /// Anybody may send to the inside endpoint.
    EndpointNoted {
        /// For how long.
        for_ms: u64,
    },
    /// The opening takes from the inside host's allowance.
    HostCharged,
    /// A rule, or the subnet to which something is refused, counts a hit.
    Hit {
        /// `rule` or `subnet`.
        of: &'static str,
        /// The rule's number or the subnet's, counted from one; `null` where no subnet covers the
        /// address.
        number: Option<u32>,
    },
    /// The opening is rejected some seconds later.
    Reported,
    /// Something is counted that happens to flows.
    Counted {
        /// Its name.
        event: &'static str,
    },
}

/// What would let the packet pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WhyHintView {
    /// For people.
    pub text: String,
    /// What to add to the configuration file; `null` when that is not it.
    pub snippet: Option<String>,
}

/// Which way a packet travels, in words.
pub(crate) const fn travel(direction: &str) -> &'static str {
    match direction.as_bytes() {
        b"in" => "inbound: it arrives on the uplink",
        _ => "outbound: it leaves on the uplink",
    }
}

#[cfg(test)]
mod tests {
    use gateway_common::tuple::Direction;

    use super::*;

    #[test]
    fn directions_are_told_in_words() {
        assert!(travel(Direction::Inbound.name()).starts_with("inbound"));
        assert!(travel(Direction::Outbound.name()).starts_with("outbound"));
    }
}
