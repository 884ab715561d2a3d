//! From an explanation to what is answered.

use gateway_common::{
    bytes::PacketBytes,
    counter::FlowEvent,
    packet::TransportKind,
    policy::{Decision, NO_RULE, Route},
    timeouts::Ticks,
    tuple::Family,
    verdict::Reason,
};

use super::{
    WhyChangeView, WhyFieldView, WhyFlowView, WhyHintView, WhyNearFlowView, WhyPacketView,
    WhyPolicyView, WhyRuleView, WhySubnetView, WhyView,
};
use crate::{
    protocol,
    settings::policy::Policy,
    view::{FlowView, RuleTextView},
    why::{
        self, Change, Dissection, Explanation, Field, Frame, KnownFlow, Located, NearFlow,
        extension_name, place, tcp_flags,
    },
};

impl WhyView {
    /// An explanation of what becomes of `frame` under `policy`.
    #[must_use]
    pub fn new(explanation: &Explanation, frame: &Frame, policy: &Policy) -> Self {
        let reason = explanation.outcome.reason;
        let hint = why::hint(explanation, policy);
        let asked = asked(explanation).map(|asked| policy_view(asked, explanation, policy));
        let fields = explanation.fields.iter().filter(|field| {
            let rule = asked.as_ref().and_then(|asked| asked.rule.as_ref());
            let is_by_rule = matches!(reason, Reason::RuleAllowed | Reason::RuleDenied);
            !is_by_rule || rule.is_none_or(|rule| restricts(&rule.text, field.field))
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
                .filter(|change| !is_told_otherwise(change))
                .map(|change| change_view(change, explanation))
                .collect(),
            hint: hint.map(|hint| WhyHintView { text: hint.text, snippet: hint.snippet }),
            notes: Vec::new(),
        }
    }
}

impl WhyFieldView {
    fn new(located: &Located, made_up_len: usize) -> Self {
        let Located { name, offset, len, value, .. } = located.clone();
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
fn restricts(rule: &RuleTextView, field: Field) -> bool {
    if field == Field::DestinationPort {
        !rule.ports.is_empty()
    } else if field == Field::IcmpType {
        !rule.icmp_types.is_empty()
    } else if field == Field::Source {
        !rule.from.is_empty()
    } else if field == Field::Destination {
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

/// What the policy said. The packet path need not ask it where there is nothing but a default route.
fn asked(explanation: &Explanation) -> Option<Decision> {
    let is_by_default = explanation.config.policy.is_egress_only()
        && matches!(
            explanation.outcome.reason,
            Reason::NoFlow | Reason::FlowExpired | Reason::FlowCreated | Reason::TcpState
        );
    let asked = explanation.asked.map(|asked| asked.decision);
    asked.or_else(|| is_by_default.then(Decision::default))
}

fn policy_view(decision: Decision, explanation: &Explanation, policy: &Policy) -> WhyPolicyView {
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

/// Whether a change is only the counter of another one.
const fn is_told_otherwise(change: &Change) -> bool {
    matches!(change, Change::Counted(FlowEvent::Created | FlowEvent::Promoted))
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
        Change::Removed(table, _) => WhyChangeView::FlowRemoved { table: table.name() },
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
