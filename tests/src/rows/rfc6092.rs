//! The switches that make the gateway as open as RFC 6092 has it.

use super::{
    icmp::{Error, error},
    prelude::*,
};

pub(super) fn rows() -> Vec<Row> {
    let mut rows = vec![authentication()];
    for family in FAMILIES {
        rows.extend([
            endpoints(family),
            endpoints_of_tcp(family),
            endpoints_of_other_protocols(family),
            endpoints_of_pings(family),
            endpoints_end(family),
            endpoints_are_renewed(family),
            endpoints_and_policy(family),
            endpoints_off(family),
            ipsec(family),
            ipsec_denied(family),
            transparent(family),
            transparent_but(family),
        ]);
    }
    rows
}

fn open_endpoint() -> Expect {
    passed(Reason::EndpointAllowed)
}

fn endpoints(family: Family) -> Row {
    let u = udp_flow(family);
    let (e, x) = (|| from(OUTSIDE, INSIDE, family), || from(STRANGER, INSIDE, family));
    let answer = Flow::udp(INSIDE.ip(family), 40_001, STRANGER.ip(family), 6000);
    row(
        &["RFC6092-REC-17"],
        format!(
            "{family:?}: UDP, independent of endpoints: anybody answers to where inside sent from"
        ),
    )
    .config(|config| config.endpoint_independent = 1)
    .inbound(x().udp(6000, 40_001), refused(Reason::NoFlow))
    .asked(&u)
    .inbound(u.back(), belongs_to(&u))
    .inbound(e().udp(5001, 40_001), open_endpoint())
    .inbound(x().udp(6000, 40_001), open_endpoint())
    .inbound(x().udp(6000, 40_002), refused(Reason::NoFlow))
    .inbound(x().udp_lite(6000, 40_001), refused(Reason::NoFlow))
    .inbound(x().tcp(6000, 40_001, flag::SYN), refused(Reason::NoFlow))
    .inbound(x().udp(6000, 40_001).vlan(7), refused(Reason::NoFlow))
    .inbound(from(STRANGER, INSIDE_OTHER, family).udp(6000, 40_001), refused(Reason::NoFlow))
    .answered(&answer)
}

fn endpoints_of_tcp(family: Family) -> Row {
    let l = tcp_flow(family);
    let x = Flow::tcp(INSIDE.ip(family), 40_000, STRANGER.ip(family), 6000);
    row(&["RFC6092-REC-33"], format!("{family:?}: TCP, independent of endpoints"))
        .config(|config| config.endpoint_independent = 1)
        .inbound(x.segment_back(flag::SYN), refused(Reason::NoFlow))
        .outbound(l.segment_out(flag::SYN), opens(&l))
        .inbound(x.segment_back(flag::SYN), open_endpoint())
        .outbound(x.segment_out(SYN_ACK), passed(Reason::Stateless))
        .inbound(x.segment_back(flag::ACK), open_endpoint())
        .outbound(x.segment_out(flag::ACK).payload(b"hello"), opens(&x).marked(mark::PICKED_UP))
        .inbound(x.segment_back(flag::ACK), belongs_to(&x))
        .wait(7_438)
        .inbound(from(ROUTER, INSIDE, family).tcp(6000, 40_000, flag::SYN), open_endpoint())
        .wait(2)
        .inbound(from(ROUTER, INSIDE, family).tcp(6000, 40_000, flag::SYN), refused(Reason::NoFlow))
}

fn endpoints_of_other_protocols(family: Family) -> Row {
    let flow = Flow::protocol(INSIDE.ip(family), OUTSIDE.ip(family), 253, &[0; 20]);
    let x = |number| from(STRANGER, INSIDE, family).protocol(number, &[0; 20]);
    row(&["RFC6092-REC-11"], format!("{family:?}: other protocols, independent of endpoints"))
        .config(|config| config.endpoint_independent = 1)
        .inbound(x(253), refused(Reason::NoFlow))
        .asked(&flow)
        .inbound(x(253), open_endpoint())
        .inbound(x(254), refused(Reason::NoFlow))
}

fn endpoints_of_pings(family: Family) -> Row {
    let p = ping_flow(family);
    let x = || from(STRANGER, INSIDE, family);
    row(
        &["RFC6092-REC-11"],
        format!("{family:?}: an endpoint of echo requests is none for requests"),
    )
    .config(|config| config.endpoint_independent = 1)
    .asked(&p)
    .inbound(x().echo_reply(7, 1), open_endpoint())
    .inbound(x().echo_reply(8, 1), refused(Reason::NoFlow))
    .inbound(x().echo_request(7, 1), refused(Reason::PingRefused))
}

fn endpoints_end(family: Family) -> Row {
    let u = udp_flow(family);
    let x = || from(STRANGER, INSIDE, family).udp(6000, 40_001);
    row(&["RFC6092-REC-17"], format!("{family:?}: nobody but inside keeps an endpoint open"))
        .config(|config| config.endpoint_independent = 1)
        .asked(&u)
        .wait(298)
        .inbound(x(), open_endpoint())
        .wait(3)
        .inbound(x(), refused(Reason::NoFlow))
}

fn endpoints_are_renewed(family: Family) -> Row {
    let u = udp_flow(family);
    let x = || from(STRANGER, INSIDE, family).udp(6000, 40_001);
    row(&["RFC6092-REC-17"], format!("{family:?}: an endpoint stays open while inside sends"))
        .config(|config| config.endpoint_independent = 1)
        .asked(&u)
        .wait(100)
        .outbound(u.out(), belongs_to(&u))
        .wait(100)
        .outbound(u.out(), belongs_to(&u))
        .wait(200)
        .inbound(x(), open_endpoint())
}

fn endpoints_and_policy(family: Family) -> Row {
    let u = udp_flow(family);
    let x = || from(STRANGER, INSIDE, family).udp(6000, 40_001);
    let denial = "[[rule]]\ndirection = 'in'\naction = 'deny'\nfrom = ['10.9.0.9', '2a00:9::9']";
    row(
        &["RFC6092-REC-17"],
        format!("{family:?}: what a rule denies or a route blocks is no endpoint's"),
    )
    .config(|config| config.endpoint_independent = 1)
    .asked(&u)
    .inbound(x(), open_endpoint())
    .policy(denial)
    .inbound(x(), refused(Reason::RuleDenied).by_rule(0).of_no_subnet())
    .inbound(from(ROUTER, INSIDE, family).udp(6000, 40_001), open_endpoint())
    .inbound(from(ROUTER, INSIDE, family).udp(6000, 1), refused(Reason::NoFlow).of_no_subnet())
    .policy("[[rule]]\ndirection = 'in'\naction = 'allow'\nproto = 'udp'")
    .inbound(x(), passed(Reason::RuleAllowed).by_rule(0))
    .policy("[gateway]\ndefault_route = 'blocked'")
    .inbound(x(), refused(Reason::RouteBlocked).of_no_subnet())
    .policy(super::subnets::SUBNETS)
    .inbound(x(), open_endpoint())
    .inbound(
        from(INSIDE_OTHER, INSIDE, family).udp(6000, 40_001),
        refused(Reason::IngressSpoof).of_subnet(super::subnets::office(family)),
    )
}

fn endpoints_off(family: Family) -> Row {
    let u = udp_flow(family);
    row(&["RFC6092-REC-17"], format!("{family:?}: by default only who was asked may answer"))
        .asked(&u)
        .inbound(from(STRANGER, INSIDE, family).udp(6000, 40_001), refused(Reason::NoFlow))
}

const IPSEC: &str = "[rfc6092]\nunsolicited_ipsec = true\n";

fn ipsec(family: Family) -> Row {
    let x = || from(STRANGER, INSIDE, family);
    let from_inside = || from(INSIDE, STRANGER, family);
    let let_in = |rule| passed(Reason::RuleAllowed).by_rule(rule);
    let no_flow = || refused(Reason::NoFlow).of_no_subnet();
    let too_big = |packet: Packet| error(family, Error::TooBig(1_280), &packet.ip_bytes());
    row(
        &["RFC6092-REC-22", "RFC6092-REC-23", "RFC6092-REC-24", "RFC6092-REC-25", "RFC6092-REC-26"],
        format!("{family:?}: ESP, HIP and key exchange come in unasked where a switch says so"),
    )
    .inbound(x().protocol(50, &[0; 40]), refused(Reason::NoFlow))
    .inbound(x().protocol(139, &[0; 40]), refused(Reason::NoFlow))
    .inbound(x().udp(500, 500), refused(Reason::NoFlow))
    .policy(IPSEC)
    .inbound(x().protocol(50, &[0; 40]), let_in(0))
    .outbound(from_inside().protocol(50, &[1; 40]), passed(Reason::Published))
    .inbound(too_big(from_inside().protocol(50, &[1; 40])), related())
    .inbound(too_big(from_inside().protocol(253, &[1; 40])), refused(Reason::IcmpUnrelated))
    .inbound(x().protocol(139, &[0; 40]), let_in(0))
    .inbound(x().udp(500, 500), let_in(1))
    .inbound(x().udp(40_000, 500), let_in(1))
    .outbound(from_inside().udp(500, 40_000), passed(Reason::Published))
    .inbound(x().udp(4500, 4500), no_flow())
    .inbound(x().udp(500, 501), no_flow())
    .inbound(x().tcp(500, 500, flag::SYN), no_flow())
}

fn authentication() -> Row {
    let bytes = [6, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1];
    let over_ipv4 = || from(STRANGER, INSIDE, Family::Ipv4).protocol(51, &bytes);
    let over_ipv6 =
        || from(STRANGER, INSIDE, Family::Ipv6).tcp(40_000, 22, flag::SYN).authentication();
    row(
        &["RFC6092-REC-21"],
        "AH comes in unasked where a switch says so, over IPv6 whatever it protects",
    )
    .inbound(over_ipv4(), refused(Reason::NoFlow))
    .inbound(over_ipv6(), refused(Reason::NoFlow))
    .policy(IPSEC)
    .inbound(over_ipv4(), passed(Reason::RuleAllowed).by_rule(0))
    .inbound(over_ipv6(), passed(Reason::RuleAllowed).by_rule(0))
}

fn ipsec_denied(family: Family) -> Row {
    let denial = "[[rule]]\ndirection = 'in'\naction = 'deny'\nproto = 'esp'\n";
    let x = || from(STRANGER, INSIDE, family);
    row(&["RFC6092-REC-22"], format!("{family:?}: rules of the file come first"))
        .policy([denial, IPSEC].concat())
        .inbound(x().protocol(50, &[0; 40]), refused(Reason::RuleDenied).by_rule(0).of_no_subnet())
        .inbound(x().protocol(139, &[0; 40]), passed(Reason::RuleAllowed).by_rule(1))
        .inbound(x().udp(500, 500), passed(Reason::RuleAllowed).by_rule(2))
}

fn transparent(family: Family) -> Row {
    let w = Flow::tcp(INSIDE.ip(family), 22, STRANGER.ip(family), 50_000);
    let x = || from(STRANGER, INSIDE, family);
    let routed = || passed(Reason::RouteAllowed);
    row(
        &["RFC6092-REC-49"],
        format!("{family:?}: a transparent gateway lets in what nobody asked for"),
    )
    .inbound(w.segment_back(flag::SYN), refused(Reason::NoFlow))
    .policy("[rfc6092]\ntransparent = true")
    .inbound(w.segment_back(flag::SYN), routed())
    .outbound(w.segment_out(SYN_ACK), passed(Reason::Published))
    .inbound(w.segment_back(flag::ACK), routed())
    .outbound(w.segment_out(flag::ACK).payload(b"SSH"), admits(&w))
    .inbound(x().udp(1, 2), routed())
    .inbound(x().echo_request(7, 1), routed())
    .inbound(x().protocol(50, &[0; 40]), routed())
    .inbound(x().protocol(253, &[0; 8]), routed())
    // Martians may stay out.
    .inbound(from(INSIDE, INSIDE, family).udp(1, 2), refused(Reason::Land))
    .policy("")
    .inbound(x().udp(1, 2), refused(Reason::NoFlow))
    .inbound(w.segment_back(flag::ACK), refused(Reason::PolicyRevoked))
}

fn transparent_but(family: Family) -> Row {
    let text = [
        "[rfc6092]\ntransparent = true\n[[rule]]\ndirection = 'in'\naction = 'deny'\nproto = 'udp'\n",
        super::subnets::SUBNETS,
    ];
    let office = super::subnets::office(family);
    row(&["RFC6092-REC-49"], format!("{family:?}: what is denied or blocked remains so"))
        .policy(text.concat())
        .inbound(
            from(STRANGER, INSIDE, family).tcp(50_000, 22, flag::SYN),
            passed(Reason::RouteAllowed),
        )
        .inbound(
            from(STRANGER, INSIDE, family).udp(1, 2),
            refused(Reason::RuleDenied).by_rule(0).of_subnet(office),
        )
        .inbound(
            Packet::ip(
                STRANGER.ip(family),
                if family == Family::Ipv4 { "10.1.7.7" } else { "2a00:1:0:7::7" },
            )
            .tcp(50_000, 22, flag::SYN),
            refused(Reason::RouteBlocked).of_subnet(4 + office),
        )
}
