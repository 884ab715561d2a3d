//! Why a packet gets its verdict, as lines.

use std::fmt::Write as _;

use super::ruleset::rule_cells;
use crate::{
    output::units::{duration, endpoint},
    view::{
        FlowView, WhyChangeView, WhyFieldView, WhyFlowView, WhyPacketView, WhyPolicyView,
        WhyRuleView, WhyView, travel,
    },
};

/// The column in which what is told begins.
const INDENT: usize = 12;

pub(super) fn why(view: &WhyView) -> String {
    let mut text = format!("{}: {}\n", view.verdict, view.reason);
    let mut line = |name: &str, value: &str| {
        let label = if name.is_empty() { String::new() } else { format!("{name}:") };
        writeln!(text, "{label:INDENT$}{value}").expect("writing to a string");
    };
    line("because", view.explanation);
    line("direction", travel(view.direction));
    line("packet", &packet(&view.packet));
    for (index, field) in view.fields.iter().enumerate() {
        line(if index == 0 { "decided by" } else { "" }, &self::field(field));
    }
    match &view.flow {
        Some(flow) => line("flow", &self::flow(flow)),
        None if view.nearest.is_empty() => line("flow", "none"),
        None => line("flow", "none; the nearest ones:"),
    }
    for near in &view.nearest {
        let differs = near.differs.join(" and ");
        line("", &format!("{}, other {differs}", flow(&near.flow)));
    }
    for (name, value) in policy(view.policy.as_ref()) {
        line(name, &value);
    }
    line("generation", &view.generation.to_string());
    match view.changes.split_first() {
        None => line("changes", "nothing but its counter"),
        Some(_) => {
            for (index, change) in view.changes.iter().enumerate() {
                line(if index == 0 { "changes" } else { "" }, &self::change(change));
            }
        }
    }
    for note in &view.notes {
        line("note", note);
    }
    if let Some(hint) = &view.hint {
        line("to pass", &hint.text);
        for snippet in hint.snippet.iter().flat_map(|snippet| snippet.lines()) {
            line("", &format!("    {snippet}"));
        }
    }
    line("see", &view.documentation);
    text
}

fn packet(packet: &WhyPacketView) -> String {
    let mut words = Vec::new();
    words.extend(packet.proto.clone());
    if let (Some(source), Some(destination)) = (packet.source, packet.destination) {
        let end = |address, port: Option<u16>| match port {
            // Port 0 is a port like any other here.
            Some(0) => format!("{address} port 0"),
            Some(port) => endpoint(address, port),
            None => endpoint(address, 0),
        };
        words.push(end(source, packet.source_port));
        words.push("→".to_owned());
        words.push(end(destination, packet.destination_port));
    } else {
        words.push("not IP, or no whole IP header".to_owned());
    }
    let mut text = words.join(" ");
    let details = [
        packet.tcp_flags.as_ref().map(|flags| format!("flags {flags}")),
        packet.icmp_type.map(|kind| format!("type {kind}")),
        packet.icmp_code.map(|code| format!("code {code}")),
        packet.fragment.map(str::to_owned),
        (!packet.extension_headers.is_empty())
            .then(|| format!("extension headers {}", packet.extension_headers.join(", "))),
        packet.vlan.map(|vlan| format!("VLAN {vlan}")),
        packet.vlan_inner.map(|vlan| format!("inner VLAN {vlan}")),
        packet.forwarded.then(|| "forwarded".to_owned()),
        Some(format!("{} bytes", packet.frame_bytes)),
    ];
    for detail in details.into_iter().flatten() {
        text.push_str(", ");
        text.push_str(&detail);
    }
    text
}

fn field(field: &WhyFieldView) -> String {
    match field.offset {
        Some(offset) => format!("{} at byte {offset} = {}", field.name, field.value),
        None => format!("{} = {}", field.name, field.value),
    }
}

fn flow(flow: &WhyFlowView) -> String {
    let WhyFlowView { table, expired_ms, flow } = flow;
    let FlowView { proto, local, local_port, remote, remote_port, state, idle_ms, .. } = flow;
    let (local, remote) = (endpoint(*local, *local_port), endpoint(*remote, *remote_port));
    let time = match expired_ms {
        Some(ms) => format!("expired {} ago", duration(*ms)),
        None => format!("expires in {}", duration(flow.expires_in_ms)),
    };
    let idle = duration(*idle_ms);
    format!("{proto} {local} ↔ {remote}, {state}, table {table}, idle {idle}, {time}")
}

fn policy(policy: Option<&WhyPolicyView>) -> Vec<(&'static str, String)> {
    let Some(policy) = policy else { return Vec::new() };
    let mut lines =
        vec![("rule", policy.rule.as_ref().map_or_else(|| "none matches".to_owned(), rule))];
    lines.extend(policy.shadow_rule.as_ref().map(|shadow| ("shadow", rule(shadow))));
    lines.push((
        "subnet",
        match &policy.subnet {
            Some(subnet) => {
                let (name, prefix, line) = (&subnet.name, subnet.prefix, subnet.line);
                format!("{name} {prefix} (line {line}), route {}", policy.route)
            }
            None => format!("none, so default_route {}", policy.route),
        },
    ));
    lines
}

fn rule(rule: &WhyRuleView) -> String {
    let [name, direction, action, proto, ports, from, to, _] = rule_cells(&rule.text);
    let line = rule.line.map_or_else(String::new, |line| format!(" (line {line})"));
    let number = rule.number;
    format!(
        "{number} {name}{line}: {direction} {action} {proto}, ports {ports}, from {from} to {to}"
    )
}

fn change(change: &WhyChangeView) -> String {
    match change {
        WhyChangeView::FlowOpened { state, expires_in_ms } => {
            format!(
                "opens a flow ({state}), which expires in {} unless more comes",
                duration(*expires_in_ms)
            )
        }
        WhyChangeView::FlowUpdated { state, state_after, refreshed, expires_in_ms } => {
            let verb = if *refreshed { "refreshes" } else { "is counted in" };
            let states = if state == state_after {
                (*state).to_owned()
            } else {
                format!("{state} → {state_after}")
            };
            format!(
                "{verb} the flow ({states}), which then expires in {}",
                duration(*expires_in_ms)
            )
        }
        WhyChangeView::FlowPromoted => {
            "moves the flow to the table of established flows".to_owned()
        }
        WhyChangeView::FlowRemoved { table } => format!("removes a flow from {table}"),
        WhyChangeView::FragmentsAdmitted { for_ms } => {
            format!("lets later fragments of the datagram in for {}", duration(*for_ms))
        }
        WhyChangeView::PeerNoted { for_ms } => {
            format!("lets the two hosts' fragments overtake the first for {}", duration(*for_ms))
        }
        WhyChangeView::EndpointNoted { for_ms } => {
            format!("lets anybody send to the inside endpoint for {}", duration(*for_ms))
        }
        WhyChangeView::HostCharged => "takes from the inside host's allowance".to_owned(),
        WhyChangeView::Hit { of, number: Some(number) } => format!("is a hit of {of} {number}"),
        WhyChangeView::Hit { of, number: None } => {
            format!("counts as refused where no {of} covers the address")
        }
        WhyChangeView::Reported => "is reported, to be rejected six seconds later".to_owned(),
        WhyChangeView::Counted { event } => format!("counts the event {event}"),
    }
}
