//! Why a packet gets its verdict.

use std::{net::IpAddr, path::PathBuf};

use gateway_common::{
    bytes::PacketBytes,
    packet::TransportKind,
    policy::{NO_RULE, Route},
    tables::Table,
    timeouts::Ticks,
    tuple::Family,
};
use ipnet::IpNet;
use serde::Serialize;

use super::{FlowView, RuleTextView};
use crate::{
    protocol,
    settings::policy::Policy,
    why::{
        self, Asked, Change, Dissection, Explanation, Frame, KnownFlow, Located, NearFlow,
        extension_name, place, tcp_flags,
    },
};

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
    /// What the policy said; `null` when it was not asked.
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

impl WhyView {
    /// An explanation of what becomes of `frame` under `policy`.
    #[must_use]
    pub fn new(explanation: &Explanation, frame: &Frame, policy: &Policy) -> Self {
        let reason = explanation.outcome.reason;
        let hint = why::hint(explanation, policy);
        let asked = explanation.asked.map(|asked| policy_view(&asked, explanation, policy));
        let fields = explanation.fields.iter().filter(|field| {
            let rule = asked.as_ref().and_then(|asked| asked.rule.as_ref());
            let is_by_rule = matches!(reason.name(), "rule-allowed" | "rule-denied");
            !is_by_rule || rule.is_none_or(|rule| restricts(&rule.text, field))
        });
        Self {
            verdict: reason.verdict().name(),
            reason: reason.name(),
            explanation: reason.explanation(),
            documentation: format!("docs/reasons.md#{}", reason.name()),
            direction: explanation.direction.name(),
            gateway: None,
            file: None,
            generation: explanation.config.generation,
            packet: packet(&explanation.dissection, frame),
            fields: fields.map(|field| WhyFieldView::new(field, frame.made_up_len)).collect(),
            flow: explanation.flow.map(|flow| WhyFlowView::new(&flow, explanation)),
            nearest: explanation
                .nearest
                .iter()
                .map(|near| WhyNearFlowView::new(near, explanation))
                .collect(),
            policy: asked,
            changes: explanation
                .changes
                .iter()
                .map(|change| change_view(change, explanation))
                .collect(),
            hint: hint.map(|hint| WhyHintView { text: hint.text, snippet: hint.snippet }),
            notes: Vec::new(),
        }
    }
}

impl WhyFieldView {
    fn new(located: &Located, made_up_len: usize) -> Self {
        let Located { name, offset, len, value } = located.clone();
        Self { name, offset: offset.and_then(|at| at.checked_sub(made_up_len)), len, value }
    }
}

impl WhyFlowView {
    fn new(flow: &KnownFlow, explanation: &Explanation) -> Self {
        let Explanation { config, now, .. } = explanation;
        let deadline = flow.entry.deadline(&flow.key, config);
        Self {
            table: flow.table.name(),
            expired_ms: (!flow.is_live).then(|| span_ms(*now, deadline, explanation)),
            flow: FlowView::new(&flow.key, &flow.entry, *now, config),
        }
    }
}

impl WhyNearFlowView {
    fn new(near: &NearFlow, explanation: &Explanation) -> Self {
        let Explanation { config, now, .. } = explanation;
        let NearFlow { table, key, entry, differences } = near;
        let is_live = entry.is_live(key, *now, config);
        let flow = KnownFlow { table: *table, key: *key, entry: *entry, is_live };
        Self {
            differs: differences.iter().map(|difference| difference.name()).collect(),
            flow: WhyFlowView::new(&flow, explanation),
        }
    }
}

/// Whether a rule says anything about a field.
fn restricts(rule: &RuleTextView, field: &Located) -> bool {
    let name = field.name.as_str();
    if name.ends_with(".dst_port") {
        !rule.ports.is_empty()
    } else if name.ends_with(".type") {
        !rule.icmp_types.is_empty()
    } else if name.ends_with(".src") {
        !rule.from.is_empty()
    } else if name.ends_with(".dst") {
        !rule.to.is_empty()
    } else {
        !rule.proto.is_empty()
    }
}

fn packet(dissection: &Dissection, frame: &Frame) -> WhyPacketView {
    let vid = |vid: u16| (vid != 0).then_some(vid);
    let vlan = dissection.link.map(|link| link.vlan).unwrap_or_default();
    let extensions = dissection.extensions.iter().map(|header| match extension_name(header.kind) {
        "" => header.kind.to_string(),
        name => name.to_owned(),
    });
    let mut view = WhyPacketView {
        family: dissection.family().map(|family| match family {
            Family::Ipv4 => "ipv4",
            Family::Ipv6 => "ipv6",
        }),
        proto: dissection.protocol().map(protocol::name),
        source: dissection.addresses.map(|(source, _)| source.to_ip()),
        destination: dissection.addresses.map(|(_, destination)| destination.to_ip()),
        vlan: vid(vlan.outer),
        vlan_inner: vid(vlan.inner),
        extension_headers: extensions.collect(),
        forwarded: frame.is_forwarded,
        frame_bytes: frame.len().saturating_sub(frame.made_up_len),
        ..WhyPacketView::default()
    };
    let Some(packet) = dissection.packet else { return view };
    view.fragment = place(packet.network.fragment.place);
    let transport = packet.transport;
    match transport.kind {
        TransportKind::Tcp | TransportKind::Sctp | TransportKind::Ports => {
            view.source_port = Some(transport.ports.source);
            view.destination_port = Some(transport.ports.destination);
        }
        TransportKind::Icmp => {
            view.icmp_type = Some(transport.icmp.kind);
            view.icmp_code = Some(transport.icmp.code);
        }
        TransportKind::Portless | TransportKind::Missing | TransportKind::LaterFragment => {}
    }
    view.tcp_flags = packet.is_tcp().then(|| tcp_flags(transport.tcp.flags));
    view
}

fn policy_view(asked: &Asked, explanation: &Explanation, policy: &Policy) -> WhyPolicyView {
    let decision = asked.decision;
    let subnet = policy.subnets.get(usize::from(decision.subnet));
    WhyPolicyView {
        rule: rule_view(decision.rule, policy),
        shadow_rule: rule_view(decision.shadow, policy),
        route: subnet.map_or_else(
            || Route::decode(explanation.config.policy.default_route).name(),
            |subnet| subnet.route.name(),
        ),
        subnet: subnet.map(|subnet| WhySubnetView {
            name: subnet.name.clone(),
            line: subnet.line,
            prefix: subnet.prefix,
        }),
    }
}

fn rule_view(index: u32, policy: &Policy) -> Option<WhyRuleView> {
    let rule = policy.rules.get(index as usize).filter(|_| index != NO_RULE)?;
    Some(WhyRuleView {
        number: index as usize + 1,
        line: (rule.line != 0).then_some(rule.line),
        text: RuleTextView::new(rule, policy),
    })
}

fn span_ms(later: Ticks, earlier: Ticks, explanation: &Explanation) -> u64 {
    // A zeroed configuration, which no armed gateway has, must not divide by zero.
    later.since(earlier).to_ms(explanation.config.ticks_per_sec.max(1))
}

fn change_view(change: &Change, explanation: &Explanation) -> WhyChangeView {
    let Explanation { config, now, direction, .. } = explanation;
    let until = |deadline: Ticks| span_ms(deadline, *now, explanation);
    match change {
        Change::Opened(key, entry) => WhyChangeView::FlowOpened {
            state: entry.state(key).name(),
            expires_in_ms: until(entry.deadline(key, config)),
        },
        Change::Updated(key, before, after) => WhyChangeView::FlowUpdated {
            state: before.state(key).name(),
            state_after: after.state(key).name(),
            refreshed: before.half(*direction).seen != after.half(*direction).seen,
            expires_in_ms: until(after.deadline(key, config)),
        },
        Change::Promoted(_) => WhyChangeView::FlowPromoted,
        Change::Removed(table, _) => WhyChangeView::FlowRemoved { table: Table::name(*table) },
        Change::FragmentsAdmitted(deadline) => {
            WhyChangeView::FragmentsAdmitted { for_ms: until(*deadline) }
        }
        Change::PeerNoted(deadline) => WhyChangeView::PeerNoted { for_ms: until(*deadline) },
        Change::EndpointNoted(deadline) => {
            WhyChangeView::EndpointNoted { for_ms: until(*deadline) }
        }
        Change::HostCharged => WhyChangeView::HostCharged,
        Change::Hit(place) => hit(*place, explanation),
        Change::Reported => WhyChangeView::Reported,
        Change::Counted(event) => WhyChangeView::Counted { event: event.name() },
    }
}

/// Whose hit it is that is counted at `place`.
fn hit(place: u32, explanation: &Explanation) -> WhyChangeView {
    let policy = explanation.config.policy;
    match place.checked_sub(policy.rules) {
        None => WhyChangeView::Hit { of: "rule", number: Some(place + 1) },
        Some(subnet) => WhyChangeView::Hit {
            of: "subnet",
            number: (subnet < policy.subnets).then_some(subnet + 1),
        },
    }
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
