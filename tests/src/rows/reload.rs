//! Policies that replace each other: a packet sees one of them whole, and a flow is asked once
//! whether the new one allows it.

use super::{
    admission::{SERVICES, WEB, let_in, published, web},
    icmp::{Error, error},
    prelude::*,
};

pub(super) fn rows() -> Vec<Row> {
    let rows = FAMILIES.into_iter().flat_map(|family| {
        [
            allowed(family),
            allowed_half_open(family),
            the_same_again(family),
            forbidden(family),
            forbidden_half_open(family),
            forbidden_by_route(family),
            allowed_again(family),
            opened_anew(family),
            closed_and_reopened(family),
            refused_segments_ask_nothing(family),
            admitted(family),
            admitted_revoked(family),
            admitted_forgotten(family),
            without_flows(family),
            errors(family),
            pings(family),
            learned_from_nothing(family),
            missing_tables(family),
            missing_tables_of_no_policy(family),
            hits_begin_anew(family),
        ]
    });
    rows.collect()
}

const NO_WEB: &str = r#"
    [[rule]]
    direction = "out"
    action = "deny"
    proto = "tcp"
    ports = 443
"#;
const NO_MAIL: &str = r#"
    [[rule]]
    direction = "out"
    action = "deny"
    proto = "tcp"
    ports = 25
    [[rule]]
    direction = "out"
    action = "allow"
    proto = ["tcp", "udp"]
"#;

fn revoked() -> Expect {
    refused(Reason::PolicyRevoked).of_no_subnet()
}

fn allowed(family: Family) -> Row {
    let l = tcp_flow(family);
    row(&[], format!("{family:?}: what both policies allow goes on, whoever sends first"))
        .established(&l)
        .policy(NO_MAIL)
        .inbound(l.segment_back(flag::ACK).payload(b"data"), belongs_to(&l))
        .outbound(l.segment_out(flag::ACK), belongs_to(&l))
        .policy("")
        .outbound(l.segment_out(flag::ACK).payload(b"data"), belongs_to(&l))
        .inbound(l.segment_back(flag::ACK), belongs_to(&l))
        .policy(NO_MAIL)
        .policy("[[subnet]]\nname = 'all'\nprefix = '10.1.0.0/16'\n[[subnet]]\nname = 'all6'\nprefix = '2a00:1::/32'")
        .inbound(l.segment_back(flag::ACK).payload(b"data"), belongs_to(&l))
        .then(&l, FlowState::Established)
}

fn allowed_half_open(family: Family) -> Row {
    let (l, u) = (tcp_flow(family), udp_flow(family));
    row(&[], format!("{family:?}: also between an opening and its answer"))
        .asked(&u)
        .outbound(l.segment_out(flag::SYN), opens(&l))
        .policy(NO_MAIL)
        .inbound(l.segment_back(SYN_ACK), belongs_to(&l))
        .policy("")
        .outbound(l.segment_out(flag::ACK), belongs_to(&l).promoted())
        .policy(NO_MAIL)
        .outbound(u.out(), belongs_to(&u))
        .policy("")
        .inbound(u.back(), belongs_to(&u))
}

fn the_same_again(family: Family) -> Row {
    let l = tcp_flow(family);
    (0..5).fold(
        row(&[], format!("{family:?}: the same policy again and again"))
            .policy(NO_MAIL)
            .outbound(l.segment_out(flag::SYN), opens(&l).by_rule(1))
            .inbound(l.segment_back(SYN_ACK), belongs_to(&l))
            .outbound(l.segment_out(flag::ACK), belongs_to(&l).promoted()),
        |row, _| {
            row.policy(NO_MAIL)
                .inbound(l.segment_back(flag::ACK).payload(b"data"), belongs_to(&l))
                .outbound(l.segment_out(flag::ACK), belongs_to(&l))
                .inbound(l.segment_back(flag::ACK).payload(b"data"), belongs_to(&l))
        },
    )
}

fn forbidden(family: Family) -> Row {
    let l = tcp_flow(family);
    row(&[], format!("{family:?}: a flow that the new policy forbids ends at its next packet"))
        .established(&l)
        .policy(NO_WEB)
        .inbound(l.segment_back(flag::ACK).payload(b"data"), revoked())
        // Nothing that arrives removes a flow.
        .then(&l, FlowState::Established)
        .inbound(l.segment_back(flag::RST), revoked())
        .outbound(l.segment_out(flag::ACK), revoked().ending(&l, FlowEvent::Revoked))
        .outbound(l.segment_out(flag::ACK), refused(Reason::RuleDenied).by_rule(0).of_no_subnet())
        .inbound(l.segment_back(flag::ACK), refused(Reason::NoFlow).of_no_subnet())
        .outbound(l.segment_out(flag::SYN), refused(Reason::RuleDenied).by_rule(0).of_no_subnet())
}

fn forbidden_half_open(family: Family) -> Row {
    let (l, u) = (tcp_flow(family), udp_flow(family));
    let nothing = "[[rule]]\ndirection = 'out'\naction = 'deny'";
    row(&[], format!("{family:?}: also one that is not established"))
        .answered(&u)
        .outbound(l.segment_out(flag::SYN), opens(&l))
        .policy(nothing)
        .inbound(l.segment_back(SYN_ACK), revoked())
        .outbound(l.segment_out(flag::SYN), revoked().ending(&l, FlowEvent::Revoked))
        .inbound(u.back(), revoked())
        .then(&u, FlowState::Replied)
        .outbound(u.out(), revoked().ending(&u, FlowEvent::Revoked))
        .outbound(u.out(), refused(Reason::RuleDenied).by_rule(0).of_no_subnet())
}

fn forbidden_by_route(family: Family) -> Row {
    let l = tcp_flow(family);
    row(&[], format!("{family:?}: a route forbids as rules do"))
        .established(&l)
        .policy("[gateway]\ndefault_route = 'blocked'")
        .inbound(l.segment_back(flag::ACK), revoked())
        .outbound(l.segment_out(flag::ACK), revoked().ending(&l, FlowEvent::Revoked))
        .outbound(l.segment_out(flag::ACK), refused(Reason::RouteBlocked).of_no_subnet())
}

fn allowed_again(family: Family) -> Row {
    let l = tcp_flow(family);
    row(&[], format!("{family:?}: a flow of which inside sent nothing meanwhile is allowed again"))
        .established(&l)
        .policy(NO_WEB)
        .inbound(l.segment_back(flag::ACK).payload(b"data"), revoked())
        .policy(NO_MAIL)
        .inbound(l.segment_back(flag::ACK).payload(b"data"), belongs_to(&l))
        .outbound(l.segment_out(flag::ACK), belongs_to(&l))
}

fn opened_anew(family: Family) -> Row {
    let l = tcp_flow(family);
    row(&[], format!("{family:?}: an opening on the ports of a forbidden flow is its next packet"))
        .established(&l)
        .policy(NO_WEB)
        .outbound(l.segment_out(flag::SYN), revoked().ending(&l, FlowEvent::Revoked))
        .policy("")
        .established(&l)
}

fn closed_and_reopened(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC9293-TW", "E132"],
        format!("{family:?}: a connection that was closed before opens anew"),
    )
    .closed(&l)
    .policy(NO_MAIL)
    .replacing(FlowEvent::Closed)
    .outbound(l.segment_out(flag::SYN), opens(&l).by_rule(1).renewing(&l))
    .inbound(l.segment_back(SYN_ACK), belongs_to(&l))
}

fn refused_segments_ask_nothing(family: Family) -> Row {
    let l = tcp_flow(family);
    row(&[], format!("{family:?}: what the flow refuses renews nothing"))
        .established(&l)
        .policy(NO_MAIL)
        .inbound(l.segment_back(flag::RST).behind(5), refused(Reason::TcpWindow))
        .inbound(l.segment_back(flag::SYN), refused(Reason::TcpState).of_no_subnet())
        // What inside sends in vain does.
        .outbound(l.segment_out(flag::SYN | flag::FIN), passed(Reason::Stateless).renewing(&l))
        .inbound(l.segment_back(flag::ACK), belongs_to(&l))
}

fn admitted(family: Family) -> Row {
    let w = web(family);
    let nothing_out = SERVICES;
    row(&[], format!("{family:?}: a flow that outside opened is judged as an opening from outside"))
        .policy(SERVICES)
        .admitted_for_good(&w)
        .policy([nothing_out, "[prefix_list.unused]\nprefixes = []"].concat())
        .inbound(w.segment_back(flag::ACK).payload(b"more"), belongs_to(&w))
        .policy(SERVICES)
        .outbound(w.segment_out(flag::ACK), belongs_to(&w))
        .policy("[gateway]\ndefault_route = 'internet'")
        .inbound(w.segment_back(flag::ACK).payload(b"more"), belongs_to(&w))
        .inbound(w.segment_back(flag::SYN), passed(Reason::RouteAllowed))
        .outbound(w.segment_out(SYN_ACK), published().ending(&w, FlowEvent::Replaced))
}

fn admitted_revoked(family: Family) -> Row {
    let w = web(family);
    row(&[], format!("{family:?}: what is not published any more ends, though inside may open"))
        .policy(SERVICES)
        .admitted_for_good(&w)
        .policy("")
        .inbound(w.segment_back(flag::ACK).payload(b"more"), refused(Reason::PolicyRevoked))
        // Whatever inside repeats must not pick it up.
        .outbound(w.segment_out(flag::ACK), refused(Reason::PolicyRevoked).closing(&w))
        .then(&w, FlowState::Closed)
        .wait(239)
        .outbound(w.segment_out(flag::ACK), refused(Reason::PolicyRevoked).closing(&w))
        .wait(239)
        .inbound(w.segment_back(flag::ACK), refused(Reason::PolicyRevoked))
        .outbound(w.segment_out(flag::SYN), opens(&w).replacing(FlowEvent::Revoked))
        .then(&w, FlowState::SynSent)
}

fn admitted_forgotten(family: Family) -> Row {
    let w = web(family);
    row(&[], format!("{family:?}: inside has given up what is not published any more"))
        .policy(SERVICES)
        .admitted_for_good(&w)
        .policy("")
        .outbound(w.segment_out(flag::ACK), refused(Reason::PolicyRevoked).closing(&w))
        .wait(241)
        .inbound(w.segment_back(flag::ACK), refused(Reason::FlowExpired))
        .replacing(FlowEvent::Revoked)
        .outbound(w.segment_out(flag::ACK), opens(&w).marked(mark::PICKED_UP))
}

fn without_flows(family: Family) -> Row {
    let w = web(family);
    row(&[], format!("{family:?}: a handshake from outside between two policies"))
        .policy(SERVICES)
        .inbound(w.segment_back(flag::SYN), let_in(WEB))
        .outbound(w.segment_out(SYN_ACK), published())
        .policy(NO_MAIL)
        .inbound(w.segment_back(flag::ACK), refused(Reason::NoFlow).of_no_subnet())
        .outbound(w.segment_out(SYN_ACK), passed(Reason::Stateless).by_rule(1))
        .policy(SERVICES)
        .inbound(w.segment_back(flag::ACK), let_in(WEB))
        .outbound(w.segment_out(flag::ACK).payload(b"SSH"), admits(&w))
}

fn errors(family: Family) -> Row {
    let l = tcp_flow(family);
    let too_big = || error(family, Error::TooBig(1_280), &l.segment_out(flag::ACK).ip_bytes());
    row(
        &["RFC6092-REC-10"],
        format!("{family:?}: errors about a flow pass as long as the policy allows the flow"),
    )
    .established(&l)
    .policy(NO_MAIL)
    .inbound(too_big(), related())
    .policy(NO_WEB)
    .inbound(too_big(), refused(Reason::IcmpUnrelated))
    .then(&l, FlowState::Established)
}

fn pings(family: Family) -> Row {
    let p = ping_flow(family);
    let (protocol, kind) = if family == Family::Ipv4 { ("icmp", 8) } else { ("icmpv6", 128) };
    let no_ping = format!(
        "[[rule]]\ndirection = 'out'\naction = 'deny'\nproto = '{protocol}'\nicmp_types = [{kind}]"
    );
    row(&[], format!("{family:?}: an echo's flow is judged by the type of its requests"))
        .answered(&p)
        .policy(NO_MAIL)
        .inbound(p.back(), belongs_to(&p))
        .policy(no_ping)
        .inbound(p.back(), revoked())
        .outbound(p.out(), revoked().ending(&p, FlowEvent::Revoked))
        .outbound(p.out(), refused(Reason::RuleDenied).by_rule(0).of_no_subnet())
}

fn learned_from_nothing(family: Family) -> Row {
    let (l, w) = (tcp_flow(family), web(family));
    row(
        &[],
        format!("{family:?}: an opening that was refused is no flow for a policy that allows it"),
    )
    .policy(NO_WEB)
    .outbound(l.segment_out(flag::SYN), refused(Reason::RuleDenied).by_rule(0).of_no_subnet())
    .inbound(w.segment_back(flag::SYN), refused(Reason::NoFlow).of_no_subnet())
    .policy("")
    .inbound(l.segment_back(SYN_ACK), refused(Reason::NoFlow))
    .inbound(w.segment_back(flag::ACK), refused(Reason::NoFlow))
    .established(&l)
}

fn missing_tables(family: Family) -> Row {
    let (l, u) = (tcp_flow(family), udp_flow(family));
    let syn = || from(STRANGER, INSIDE, family).tcp(50_000, 22, flag::SYN);
    let subnets = super::subnets::SUBNETS;
    row(
        &["RFC7084-G-3"],
        format!("{family:?}: where a policy's tables are missing nothing new passes"),
    )
    .established(&l)
    .policy_without_tables(subnets)
    .inbound(syn(), refused(Reason::NoPolicy))
    .outbound(u.out(), refused(Reason::NoPolicy))
    .inbound(l.segment_back(flag::ACK), refused(Reason::PolicyRevoked))
    .policy(NO_MAIL)
    .inbound(l.segment_back(flag::ACK), belongs_to(&l))
    .policy_without_tables(subnets)
    .outbound(
        l.segment_out(flag::ACK),
        refused(Reason::PolicyRevoked).ending(&l, FlowEvent::Revoked),
    )
    .outbound(l.segment_out(flag::ACK), refused(Reason::NoPolicy))
}

fn missing_tables_of_no_policy(family: Family) -> Row {
    let l = tcp_flow(family);
    row(&[], format!("{family:?}: without subnets and rules there is nothing to look up"))
        .policy_without_tables("")
        .established(&l)
        .inbound(from(STRANGER, INSIDE, family).tcp(50_000, 22, flag::SYN), refused(Reason::NoFlow))
        .policy_without_tables("[gateway]\ndefault_route = 'blocked'")
        .inbound(l.segment_back(flag::ACK), refused(Reason::PolicyRevoked))
        .outbound(
            l.segment_out(flag::ACK),
            refused(Reason::PolicyRevoked).ending(&l, FlowEvent::Revoked),
        )
        .outbound(l.segment_out(flag::ACK), refused(Reason::RouteBlocked))
}

fn hits_begin_anew(family: Family) -> Row {
    let w = web(family);
    let syn = || w.segment_back(flag::SYN);
    row(&[], format!("{family:?}: each policy counts for itself"))
        .policy(SERVICES)
        .inbound(syn(), let_in(WEB))
        .inbound(syn(), let_in(WEB))
        .policy(SERVICES)
        .inbound(syn(), let_in(WEB))
        .inbound(from(STRANGER, INSIDE, family).udp(1, 2), refused(Reason::NoFlow).of_no_subnet())
        .policy(NO_MAIL)
        .inbound(syn(), refused(Reason::NoFlow).of_no_subnet())
}
