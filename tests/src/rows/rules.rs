//! Rules for what inside opens, the order of rules, and rules that only watch.

use super::{
    icmp::{Error, error},
    prelude::*,
};

pub(super) fn rows() -> Vec<Row> {
    let mut rows = vec![groups(), icmp_types()];
    for family in FAMILIES {
        rows.extend([
            open_by_default(family),
            denied(family),
            order(family),
            live_flows_ask_nothing(family),
            nothing_but_answers(family),
            nothing_but_pongs(family),
            parts_and_errors(family),
            errors_from_outside(family),
            shadows_out(family),
            shadows_in(family),
            lists(family),
        ]);
    }
    rows
}

/// No mail, no UDP but to E:5000, nothing to X, no protocol 47.
const RESTRICTED: &str = r#"
    [[rule]]
    direction = "out"
    action = "deny"
    proto = "tcp"
    ports = [25, "465-587"]
    [[rule]]
    direction = "out"
    action = "allow"
    proto = "udp"
    ports = 5000
    to = ["10.2.0.1", "2a00:2::1"]
    [[rule]]
    direction = "out"
    action = "deny"
    proto = "udp"
    [[rule]]
    direction = "out"
    action = "deny"
    to = ["10.9.0.0/16", "2a00:9::/32"]
    [[rule]]
    direction = "out"
    action = "deny"
    proto = 47
"#;

fn denied_by(rule: u32) -> Expect {
    refused(Reason::RuleDenied).by_rule(rule).of_no_subnet()
}

fn no_flow() -> Expect {
    refused(Reason::NoFlow).of_no_subnet()
}

fn open_by_default(family: Family) -> Row {
    let (l, p) = (tcp_flow(family), ping_flow(family));
    row(&[], format!("{family:?}: what no rule denies may be opened by inside, and answered"))
        .policy(RESTRICTED)
        .established(&l)
        .answered(&p)
        .inbound(from(OUTSIDE, INSIDE, family).tcp(443, 25, flag::SYN), no_flow())
        .inbound(from(STRANGER, INSIDE, family).udp(5000, 40_001), no_flow())
}

fn denied(family: Family) -> Row {
    let out = || from(INSIDE, OUTSIDE, family);
    row(&[], format!("{family:?}: what a rule denies has no flow, whatever it looks like"))
        .policy(RESTRICTED)
        .outbound(out().tcp(40_000, 25, flag::SYN), denied_by(0))
        .inbound(from(OUTSIDE, INSIDE, family).tcp(25, 40_000, SYN_ACK), no_flow())
        .outbound(out().tcp(40_000, 25, flag::ACK), denied_by(0))
        .outbound(out().tcp(40_000, 25, FIN_ACK), denied_by(0))
        .outbound(out().tcp(40_000, 25, flag::RST), denied_by(0))
        .outbound(out().tcp(40_000, 25, flag::SYN | flag::FIN), denied_by(0))
        .outbound(out().tcp(40_000, 465, flag::SYN), denied_by(0))
        .outbound(out().tcp(40_000, 587, flag::SYN), denied_by(0))
        .outbound(out().udp(40_000, 53), denied_by(2))
        .inbound(from(OUTSIDE, INSIDE, family).udp(53, 40_000), no_flow())
        .outbound(from(INSIDE, STRANGER, family).tcp(40_000, 443, flag::SYN), denied_by(3))
        .outbound(from(INSIDE, STRANGER, family).echo_request(7, 1), denied_by(3))
        .outbound(out().protocol(47, &[0; 8]), denied_by(4))
}

fn order(family: Family) -> Row {
    let u = udp_flow(family);
    let ports = |first: u16, last: u16| {
        let open = |port| Flow::tcp(INSIDE.ip(family), 40_000, OUTSIDE.ip(family), port);
        [open(first), open(last)]
    };
    let row = row(&[], format!("{family:?}: the first rule that matches decides, and counts"))
        .policy(RESTRICTED)
        .outbound(u.out(), opens(&u).by_rule(1))
        .inbound(u.back(), belongs_to(&u))
        .outbound(from(INSIDE, STRANGER, family).udp(40_001, 5000), denied_by(2))
        .outbound(from(INSIDE, STRANGER, family).tcp(40_000, 25, flag::SYN), denied_by(0));
    // Around the ports that are denied.
    [ports(24, 26), ports(464, 588)]
        .concat()
        .iter()
        .fold(row, |row, flow| row.outbound(flow.segment_out(flag::SYN), opens(flow)))
}

fn live_flows_ask_nothing(family: Family) -> Row {
    let u = udp_flow(family);
    row(&[], format!("{family:?}: a flow is judged when it opens, and again when it is over"))
        .policy(RESTRICTED)
        .outbound(u.out(), opens(&u).by_rule(1))
        .outbound(u.out(), belongs_to(&u))
        .inbound(u.back(), belongs_to(&u))
        .outbound(u.out(), belongs_to(&u).promoted())
        .wait(301)
        .inbound(u.back(), refused(Reason::FlowExpired).of_no_subnet())
        .outbound(u.out(), opens(&u).by_rule(1).replacing(FlowEvent::Expired))
}

fn nothing_but_answers(family: Family) -> Row {
    let l = tcp_flow(family);
    let w = Flow::tcp(INSIDE.ip(family), 22, OUTSIDE.ip(family), 50_000);
    let nothing_out = r#"
        [[rule]]
        direction = "out"
        action = "deny"
        [[rule]]
        direction = "in"
        action = "allow"
        proto = "tcp"
        ports = 22"#;
    let let_in = || passed(Reason::RuleAllowed).by_rule(1);
    row(&[], format!("{family:?}: rules are stateful: who may come in may be answered"))
        .policy(nothing_out)
        .outbound(l.segment_out(flag::SYN), denied_by(0))
        .inbound(w.segment_back(flag::SYN), let_in())
        .outbound(w.segment_out(SYN_ACK), passed(Reason::Published))
        .inbound(w.segment_back(flag::ACK), let_in())
        .outbound(w.segment_out(flag::ACK).payload(b"SSH"), admits(&w))
        .inbound(w.segment_back(flag::ACK), belongs_to(&w))
        .outbound(w.segment_out(flag::ACK), belongs_to(&w).promoted())
        .outbound(w.segment_out(flag::RST), belongs_to(&w).resetting())
        // To open anew is something else.
        .outbound(w.segment_out(flag::SYN), denied_by(0))
}

fn nothing_but_pongs(family: Family) -> Row {
    row(&[], format!("{family:?}: also the pings that `[allow]` lets in are answered"))
        .config(|config| config.allow_ping = 1)
        .policy("[[rule]]\ndirection = 'out'\naction = 'deny'")
        .inbound(from(OUTSIDE, INSIDE, family).echo_request(7, 1), passed(Reason::PingAllowed))
        .outbound(from(INSIDE, OUTSIDE, family).echo_reply(7, 1), passed(Reason::Stateless))
}

fn parts_and_errors(family: Family) -> Row {
    let u = udp_flow(family);
    let [_, second]: [Packet; 2] =
        u.out().payload(&[0x5a; 2_000]).fragments(7, 1_480).try_into().expect("two fragments");
    let (kind, code) = if family == Family::Ipv4 { (3, 3) } else { (1, 4) };
    let unreachable = from(INSIDE, OUTSIDE, family).icmp_error(kind, code, 0, &u.back().ip_bytes());
    row(
        &["RFC5508-REQ-5", "E42"],
        format!("{family:?}: later fragments and errors belong to something that was judged"),
    )
    .policy("[[rule]]\ndirection = 'out'\naction = 'deny'")
    .outbound(second, passed(Reason::Stateless))
    .outbound(unreachable, passed(Reason::Stateless))
}

fn errors_from_outside(family: Family) -> Row {
    let l = tcp_flow(family);
    let quote = l.segment_out(flag::ACK).ip_bytes();
    let denied = from(INSIDE, OUTSIDE, family).tcp(40_000, 25, flag::SYN).ip_bytes();
    row(&["RFC6092-REC-36"], format!("{family:?}: errors pass that are about what may go out"))
        .policy(RESTRICTED)
        .established(&l)
        .inbound(error(family, Error::TooBig(1_280), &quote), related())
        .inbound(error(family, Error::TooBig(1_280), &denied), refused(Reason::IcmpUnrelated))
}

fn groups() -> Row {
    let out = |group: &str| {
        let source =
            if group.contains(':') { INSIDE.ip(Family::Ipv6) } else { INSIDE.ip(Family::Ipv4) };
        Packet::ip(source, group).udp(40_000, 5000)
    };
    row(&["RFC6092-REC-2"], "rules may deny what goes to groups; none of it has a flow")
        .policy(
            r#"[[rule]]
            direction = "out"
            action = "deny"
            to = ["ff0e::/16", "224.0.1.0/24"]"#,
        )
        .outbound(out("ff0e::1"), denied_by(0))
        .outbound(out("224.0.1.1"), denied_by(0))
        .outbound(out("ff02::fb"), passed(Reason::Stateless))
        .outbound(out("224.0.0.251"), passed(Reason::Stateless))
        // What must not cross the uplink is no rule's.
        .outbound(out("ff05::1:3"), refused(Reason::MulticastScope))
}

fn icmp_types() -> Row {
    let timestamp = from(INSIDE, OUTSIDE, Family::Ipv4).icmp(13, 0, [0, 7, 0, 1], &[0; 12]);
    let flow = Flow::new(timestamp, INSIDE.v4, 7, OUTSIDE.v4, 13, 1);
    let p = ping_flow(Family::Ipv4);
    let asked = || from(OUTSIDE, INSIDE, Family::Ipv4).icmp(13, 0, [0, 9, 0, 1], &[0; 12]);
    let answer = || from(INSIDE, OUTSIDE, Family::Ipv4).icmp(14, 0, [0, 9, 0, 1], &[0; 12]);
    let types = r#"
        [[rule]]
        direction = "out"
        action = "deny"
        proto = "icmp"
        icmp_types = ["0-7", "9-255"]
        [[rule]]
        direction = "in"
        action = "allow"
        proto = "icmp"
        icmp_types = [13]"#;
    row(&["RFC5508-REQ-11"], "rules for types of ICMP messages")
        .policy("[[rule]]\ndirection = 'out'\naction = 'deny'\nproto = 'tcp'")
        .inbound(asked(), refused(Reason::IcmpType).of_no_subnet())
        .outbound(flow.out(), opens(&flow))
        .policy(types)
        .inbound(asked(), passed(Reason::RuleAllowed).by_rule(1))
        .outbound(answer(), passed(Reason::Published))
        .outbound(
            flow.out(),
            refused(Reason::PolicyRevoked).of_no_subnet().ending(&flow, FlowEvent::Revoked),
        )
        .outbound(flow.out(), denied_by(0))
        .answered(&p)
}

/// Rules 0 and 2 watch, 1 and 3 decide.
const WATCHED: &str = r#"
    [[rule]]
    direction = "out"
    action = "deny"
    proto = "tcp"
    shadow = true
    [[rule]]
    direction = "out"
    action = "allow"
    proto = "tcp"
    ports = 443
    [[rule]]
    direction = "out"
    action = "allow"
    proto = "udp"
    shadow = true
    [[rule]]
    direction = "out"
    action = "deny"
    proto = "udp"
    [[rule]]
    direction = "in"
    action = "allow"
    proto = "tcp"
    ports = "1-1024"
    shadow = true
    [[rule]]
    direction = "in"
    action = "allow"
    proto = "tcp"
    ports = 22
"#;

fn shadows_out(family: Family) -> Row {
    let l = tcp_flow(family);
    let other = Flow::tcp(INSIDE.ip(family), 40_000, OUTSIDE.ip(family), 80);
    let p = ping_flow(family);
    row(&[], format!("{family:?}: a shadow rule counts what inside opens, and decides nothing"))
        .policy(WATCHED)
        .outbound(l.segment_out(flag::SYN), opens(&l).by_rule(0).by_rule(1))
        .inbound(l.segment_back(SYN_ACK), belongs_to(&l))
        .outbound(l.segment_out(flag::ACK), belongs_to(&l).promoted())
        .outbound(other.segment_out(flag::SYN), opens(&other).by_rule(0))
        .outbound(from(INSIDE, OUTSIDE, family).udp(40_001, 5000), denied_by(3).by_rule(2))
        .asked(&p)
}

fn shadows_in(family: Family) -> Row {
    let to = |port| from(STRANGER, INSIDE, family).tcp(50_000, port, flag::SYN);
    let answer = |port| from(INSIDE, STRANGER, family).tcp(port, 50_000, SYN_ACK);
    row(&[], format!("{family:?}: and so does one for what outside opens"))
        .policy(WATCHED)
        .inbound(to(22), passed(Reason::RuleAllowed).by_rule(4).by_rule(5))
        .outbound(answer(22), passed(Reason::Published))
        .inbound(to(80), no_flow().by_rule(4))
        // Nothing is published on this port, so this is something that inside begins.
        .outbound(answer(80), passed(Reason::Stateless).by_rule(0))
        .inbound(to(8080), no_flow())
}

fn lists(family: Family) -> Row {
    let friends = r#"
        [prefix_list.friends]
        prefixes = ["10.2.0.0/24", "10.2.0.2", "2a00:2::/64", "2a00:2::2"]
        [[rule]]
        direction = "in"
        action = "deny"
        from = ["10.2.0.2", "2a00:2::2"]
        [[rule]]
        direction = "in"
        action = "allow"
        proto = "tcp"
        ports = 22
        from = "@friends""#;
    let syn = |source| from(source, INSIDE, family).tcp(50_000, 22, flag::SYN);
    let other = syn(OUTSIDE).set_network(if family == Family::Ipv4 { 15 } else { 23 }, &[2]);
    row(&[], format!("{family:?}: a rule for the hosts of a list"))
        .policy(friends)
        .inbound(syn(OUTSIDE), passed(Reason::RuleAllowed).by_rule(1))
        .inbound(syn(STRANGER), no_flow())
        .inbound(other, denied_by(0))
}
