//! Services that the policy publishes: what comes in needs no flow, and gets one when inside shows
//! that somebody is there.

use super::{
    icmp::{Error, error},
    prelude::*,
};

/// What I offers: rules 0 for web, 1 for names, 2 for associations, 3 and 4 for ping. Everything else that
/// anybody begins is denied, also from inside, by rule 5.
pub(super) const SERVICES: &str = r#"
    [[rule]]
    direction = "in"
    action = "allow"
    proto = "tcp"
    ports = 443
    to = ["10.1.0.5", "2a00:1::5"]
    [[rule]]
    direction = "in"
    action = "allow"
    proto = "udp"
    ports = 53
    to = ["10.1.0.5", "2a00:1::5"]
    [[rule]]
    direction = "in"
    action = "allow"
    proto = "sctp"
    ports = 2905
    to = ["10.1.0.5", "2a00:1::5"]
    [[rule]]
    direction = "in"
    action = "allow"
    proto = "icmp"
    icmp_types = [8]
    [[rule]]
    direction = "in"
    action = "allow"
    proto = "icmpv6"
    icmp_types = [128]
    [[rule]]
    direction = "out"
    action = "deny"
"#;
pub(super) const WEB: u32 = 0;
pub(super) const NAMES: u32 = 1;
pub(super) const ASSOCIATIONS: u32 = 2;
pub(super) const OUT: u32 = 5;

/// The rule that lets pings in.
const fn ping_rule(family: Family) -> u32 {
    match family {
        Family::Ipv4 => 3,
        Family::Ipv6 => 4,
    }
}

pub(super) fn rows() -> Vec<Row> {
    let rows = FAMILIES.into_iter().flat_map(|family| {
        [
            handshake(family),
            server_speaks_first(family),
            flood(family),
            forged_handshake(family),
            refused_by_host(family),
            closed(family),
            reset(family),
            opened_anew(family),
            opened_anew_in_vain(family),
            ports_of_inside(family),
            both_open(family),
            not_published(family),
            datagrams(family),
            fragments(family),
            fragmented_segment(family),
            errors(family),
            ping(family),
            ping_allowed_too(family),
            nonsense(family),
        ]
    });
    rows.collect()
}

/// E:50000 comes to the web server of I.
pub(super) fn web(family: Family) -> Flow {
    Flow::tcp(INSIDE.ip(family), 443, OUTSIDE.ip(family), 50_000)
}

/// E:50000 comes to the name server of I.
fn names(family: Family) -> Flow {
    Flow::udp(INSIDE.ip(family), 53, OUTSIDE.ip(family), 50_000)
}

/// A rule lets it in, and nothing remembers that.
pub(super) fn let_in(rule: u32) -> Expect {
    passed(Reason::RuleAllowed).by_rule(rule)
}

/// Inside answers, and nothing remembers that.
pub(super) fn published() -> Expect {
    passed(Reason::Published)
}

fn no_flow() -> Expect {
    refused(Reason::NoFlow).of_no_subnet()
}

impl Row {
    /// A handshake that outside begins with a published service.
    pub(super) fn visited(self, flow: &Flow) -> Self {
        self.inbound(flow.segment_back(flag::SYN), let_in(WEB))
            .outbound(flow.segment_out(SYN_ACK), published())
            .inbound(flow.segment_back(flag::ACK), let_in(WEB))
    }

    /// The same, and inside goes on: a flow that outside opened.
    pub(super) fn admitted(self, flow: &Flow) -> Self {
        self.visited(flow)
            .inbound(flow.segment_back(flag::ACK).payload(b"GET"), let_in(WEB))
            // That could answer a forged segment behind a forged SYN, data cannot.
            .outbound(flow.segment_out(flag::ACK), published())
            .outbound(flow.segment_out(flag::ACK).payload(b"200"), admits(flow))
    }

    /// The same, established.
    pub(super) fn admitted_for_good(self, flow: &Flow) -> Self {
        self.admitted(flow)
            .inbound(flow.segment_back(flag::ACK).payload(b"/"), belongs_to(flow))
            .outbound(flow.segment_out(flag::ACK), belongs_to(flow).promoted())
    }
}

fn handshake(family: Family) -> Row {
    let w = web(family);
    row(&[], format!("{family:?}: a published service has a flow once its host goes on"))
        .policy(SERVICES)
        .admitted(&w)
        .then(&w, FlowState::Established)
        .inbound(w.segment_back(flag::ACK).payload(b"/"), belongs_to(&w))
        .outbound(w.segment_out(flag::ACK).payload(b"200"), belongs_to(&w).promoted())
        .then(&w, FlowState::Established)
        .inbound(w.segment_back(flag::ACK), belongs_to(&w))
}

fn server_speaks_first(family: Family) -> Row {
    let w = web(family);
    row(&[], format!("{family:?}: a published service that speaks first"))
        .policy(SERVICES)
        .visited(&w)
        .outbound(w.segment_out(flag::ACK | flag::PSH).payload(b"220"), admits(&w))
        .inbound(w.segment_back(flag::ACK), belongs_to(&w))
        .outbound(w.segment_out(flag::ACK | flag::PSH).payload(b"250"), belongs_to(&w).promoted())
}

fn flood(family: Family) -> Row {
    let l = tcp_flow(family);
    let row = row(
        &["E150", "RFC4787-REQ-11"],
        format!("{family:?}: forged openings to a published service, and its answers"),
    )
    .established(&l)
    .policy(
        r#"[[rule]]
        direction = "in"
        action = "allow"
        proto = "tcp"
        ports = 443"#,
    )
    .inbound(l.segment_back(flag::ACK), belongs_to(&l));
    let row = (0..100_u8).fold(row, |row, number| {
        let syn = from(STRANGER, INSIDE, family).tcp(50_000, 443, flag::SYN);
        let syn = syn.set_network(if family == Family::Ipv4 { 14 } else { 20 }, &[number]);
        let answer = from(INSIDE, STRANGER, family).tcp(443, 50_000, SYN_ACK);
        let answer = answer.set_network(if family == Family::Ipv4 { 18 } else { 36 }, &[number]);
        row.wait(0).inbound(syn, let_in(WEB)).wait(0).outbound(answer, published())
    });
    row.inbound(l.segment_back(flag::ACK), belongs_to(&l))
}

fn forged_handshake(family: Family) -> Row {
    let w = web(family);
    let row = row(
        &["E150"],
        format!("{family:?}: nor do forged segments behind them, which the host acknowledges"),
    )
    .policy(SERVICES)
    .inbound(w.segment_back(flag::SYN), let_in(WEB))
    .outbound(w.segment_out(SYN_ACK), published());
    (0..3).fold(row, |row, _| {
        row.inbound(w.segment_back(flag::ACK).payload(b"forged"), let_in(WEB))
            .outbound(w.segment_out(flag::ACK), published())
    })
}

fn refused_by_host(family: Family) -> Row {
    let w = web(family);
    row(&[], format!("{family:?}: nobody listens where the policy publishes"))
        .policy(SERVICES)
        .inbound(w.segment_back(flag::SYN), let_in(WEB))
        .outbound(w.segment_out(flag::RST | flag::ACK), published())
        .inbound(w.segment_back(flag::RST), let_in(WEB))
        .outbound(w.segment_out(FIN_ACK), published())
}

fn closed(family: Family) -> Row {
    let w = web(family);
    row(&[], format!("{family:?}: a published connection ends like any other"))
        .policy(SERVICES)
        .admitted(&w)
        .inbound(w.segment_back(FIN_ACK), belongs_to(&w).marked(mark::FIN))
        .then(&w, FlowState::CloseWait)
        .outbound(w.segment_out(FIN_ACK), belongs_to(&w).marked(mark::FIN).promoted())
        .inbound(w.segment_back(flag::ACK), belongs_to(&w).marked(mark::LAST_ACK))
        .then(&w, FlowState::TimeWait)
        // Over, it leaves the policy's word, which suffices.
        .wait(121)
        .inbound(w.segment_back(flag::ACK), let_in(WEB))
        .outbound(w.segment_out(flag::RST), published())
}

fn reset(family: Family) -> Row {
    let w = web(family);
    row(&[], format!("{family:?}: outside resets a published connection"))
        .policy(SERVICES)
        .admitted_for_good(&w)
        .inbound(w.segment_back(flag::RST).behind(5), refused(Reason::TcpWindow))
        .inbound(w.segment_back(flag::RST), belongs_to(&w).resetting())
        .then(&w, FlowState::Closed)
}

fn opened_anew(family: Family) -> Row {
    let w = web(family);
    row(&[], format!("{family:?}: outside opens anew on the ports of a published connection"))
        .policy(SERVICES)
        .admitted_for_good(&w)
        .inbound(w.segment_back(flag::SYN), let_in(WEB))
        .then(&w, FlowState::Established)
        .outbound(w.segment_out(SYN_ACK), published().ending(&w, FlowEvent::Replaced))
        .inbound(w.segment_back(flag::ACK), let_in(WEB))
        .outbound(w.segment_out(flag::ACK).payload(b"SSH"), admits(&w))
        // The same while the flow is half open.
        .inbound(w.segment_back(flag::SYN), let_in(WEB))
        .outbound(w.segment_out(SYN_ACK), published().ending(&w, FlowEvent::Replaced))
        .outbound(w.segment_out(SYN_ACK), published())
}

fn opened_anew_in_vain(family: Family) -> Row {
    let w = web(family);
    row(
        &["RFC5961-4.2"],
        format!("{family:?}: a forged opening changes nothing about a published connection"),
    )
    .policy(SERVICES)
    .admitted_for_good(&w)
    .inbound(w.segment_back(flag::SYN), let_in(WEB))
    // The challenge.
    .outbound(w.segment_out(flag::ACK), belongs_to(&w))
    .inbound(w.segment_back(flag::ACK).payload(b"more"), belongs_to(&w))
}

fn ports_of_inside(family: Family) -> Row {
    let l = tcp_flow(family);
    let high_ports = r#"
        [[rule]]
        direction = "in"
        action = "allow"
        proto = "tcp"
        ports = "40000-49999""#;
    row(
        &["E131"],
        format!("{family:?}: outside opens on the ports of a connection that inside opened"),
    )
    .policy(high_ports.replace("40000", "40001"))
    .established(&l)
    .inbound(l.segment_back(flag::SYN), refused(Reason::TcpState).of_no_subnet())
    .policy(high_ports)
    .inbound(l.segment_back(flag::SYN), let_in(0))
    // It was not from outside that this flow was opened, so it stays.
    .outbound(l.segment_out(SYN_ACK), belongs_to(&l).without_refresh())
    .inbound(l.segment_back(flag::ACK), belongs_to(&l))
}

fn both_open(family: Family) -> Row {
    let w = web(family);
    row(&["RFC9293-SO", "E130"], format!("{family:?}: both open at once, on a published port"))
        .policy(SERVICES.split("[[rule]]").take(2).collect::<Vec<_>>().join("[[rule]]"))
        .outbound(w.segment_out(flag::SYN), opens(&w))
        .inbound(w.segment_back(flag::SYN), belongs_to(&w))
        .outbound(w.segment_out(SYN_ACK), belongs_to(&w))
        .inbound(w.segment_back(SYN_ACK), belongs_to(&w))
        .outbound(w.segment_out(flag::ACK), belongs_to(&w).promoted())
        .then(&w, FlowState::Established)
}

fn not_published(family: Family) -> Row {
    let other_host = from(OUTSIDE, INSIDE_OTHER, family);
    let to_inside = || from(OUTSIDE, INSIDE, family);
    let out = || from(INSIDE, OUTSIDE, family);
    let denied = || refused(Reason::RuleDenied).by_rule(OUT).of_no_subnet();
    row(&["RFC6092-REC-50"], format!("{family:?}: what is not published stays closed"))
        .policy(SERVICES)
        .inbound(other_host.tcp(50_000, 443, flag::SYN), no_flow())
        .inbound(to_inside().tcp(50_000, 80, flag::SYN), no_flow())
        .inbound(to_inside().tcp(443, 80, flag::ACK), no_flow())
        .inbound(to_inside().udp(50_000, 443), no_flow())
        .inbound(to_inside().echo_reply(7, 1), no_flow())
        // Nor is anything an answer that is not from there.
        .outbound(out().tcp(80, 50_000, SYN_ACK), denied())
        .outbound(out().tcp(80, 50_000, flag::ACK), denied())
        .outbound(out().udp(443, 50_000), denied())
        // Inside's own openings are none.
        .outbound(out().tcp(443, 50_000, flag::SYN), denied())
        .outbound(out().tcp(50_000, 443, flag::SYN), denied())
        .outbound(out().echo_request(7, 1), denied())
}

fn datagrams(family: Family) -> Row {
    let n = names(family);
    row(&[], format!("{family:?}: datagrams of a published service have no flow either way"))
        .policy(SERVICES)
        .inbound(n.back(), let_in(NAMES))
        .outbound(n.out(), published())
        .outbound(n.out(), published())
        .inbound(n.back(), let_in(NAMES))
        .inbound(from(STRANGER, INSIDE, family).udp(53, 53), let_in(NAMES))
        .outbound(from(INSIDE, STRANGER, family).udp(53, 53), published())
}

fn fragments(family: Family) -> Row {
    const ID: u32 = 0x1234;
    let n = names(family);
    let in_two = |packet: Packet| -> [Packet; 2] {
        let fragments = packet.payload(&[0x5a; 2_000]).fragments(ID, 1_480);
        fragments.try_into().expect("two fragments")
    };
    let [first, second] = in_two(n.back());
    let [answer_first, answer_second] = in_two(n.out());
    row(&["E35", "E37"], format!("{family:?}: a datagram to a published service in two fragments"))
        .policy(SERVICES)
        // It could be of anything.
        .inbound(second.clone(), refused(Reason::FragmentUnsolicited).of_no_subnet())
        .inbound(first, let_in(NAMES).admitting(n.datagram(ID)))
        .inbound(second, passed(Reason::Fragment))
        .outbound(answer_first, published())
        .outbound(answer_second, passed(Reason::Stateless))
}

fn fragmented_segment(family: Family) -> Row {
    const ID: u32 = 0x1234;
    let w = web(family);
    let segment = w.segment_back(flag::ACK).payload(&[0x5a; 2_000]);
    let [first, second] = segment.fragments(ID, 1_480).try_into().expect("two fragments");
    row(&["E35"], format!("{family:?}: a segment to a published service in two fragments"))
        .policy(SERVICES)
        .visited(&w)
        .inbound(first, let_in(WEB).admitting(w.datagram(ID)))
        .inbound(second, passed(Reason::Fragment))
}

fn errors(family: Family) -> Row {
    let (w, n) = (web(family), names(family));
    let about = |packet: Packet| error(family, Error::TooBig(1_280), &packet.ip_bytes());
    let unrelated = || refused(Reason::IcmpUnrelated);
    let row = row(
        &["RFC6092-REC-10", "RFC5508-REQ-4"],
        format!("{family:?}: path MTU discovery works for what is published, and only for that"),
    )
    .policy(SERVICES)
    .inbound(about(n.out()), related())
    .inbound(about(w.segment_out(SYN_ACK)), related())
    .inbound(about(w.segment_out(flag::ACK).payload(b"200")), related())
    .inbound(about(from(INSIDE, OUTSIDE, family).tcp(80, 50_000, SYN_ACK)), unrelated())
    .inbound(about(from(INSIDE, OUTSIDE, family).udp(54, 50_000)), unrelated())
    .inbound(about(from(INSIDE, OUTSIDE, family).tcp(50_000, 443, flag::SYN)), unrelated());
    // Also about the flow.
    row.admitted(&w).inbound(about(w.segment_out(flag::ACK).payload(b"200")), related())
}

fn ping(family: Family) -> Row {
    let (inside, outside) = (|| from(INSIDE, OUTSIDE, family), || from(OUTSIDE, INSIDE, family));
    let group = if family == Family::Ipv4 { "224.0.0.1" } else { "ff02::1" };
    row(
        &["RFC4890-4.3.1-ECHO", "RFC4890-4.4.1-ECHO"],
        format!("{family:?}: a rule lets pings in, and their answers out"),
    )
    .policy(SERVICES)
    .inbound(outside().echo_request(7, 1), let_in(ping_rule(family)))
    .outbound(inside().echo_reply(7, 1), published())
    .inbound(outside().echo_request(7, 2).payload(&[0; 64]), let_in(ping_rule(family)))
    .inbound(Packet::ip(OUTSIDE.ip(family), group).echo_request(7, 1), refused(Reason::PingRefused))
    .outbound(inside().echo_reply(7, 2), published())
}

fn ping_allowed_too(family: Family) -> Row {
    let (inside, outside) = (|| from(INSIDE, OUTSIDE, family), || from(OUTSIDE, INSIDE, family));
    let web_only = SERVICES.split("[[rule]]").take(2).collect::<Vec<_>>().join("[[rule]]");
    let no_ping = "[[rule]]\ndirection = 'in'\naction = 'deny'";
    let cut = "[gateway]\ndefault_route = 'blocked'";
    row(&[], format!("{family:?}: pings that `[allow]` lets in may be denied all the same"))
        .config(|config| config.allow_ping = 1)
        .policy(web_only)
        .inbound(outside().echo_request(7, 1), passed(Reason::PingAllowed))
        .outbound(inside().echo_reply(7, 1), passed(Reason::Stateless))
        .policy(SERVICES)
        .inbound(outside().echo_request(7, 1), let_in(ping_rule(family)))
        .outbound(inside().echo_reply(7, 1), published())
        .policy(no_ping)
        .inbound(
            outside().echo_request(7, 1),
            refused(Reason::RuleDenied).by_rule(0).of_no_subnet(),
        )
        .policy(cut)
        .inbound(outside().echo_request(7, 1), refused(Reason::RouteBlocked).of_no_subnet())
}

fn nonsense(family: Family) -> Row {
    let w = web(family);
    let land = from(INSIDE, INSIDE, family).tcp(443, 443, flag::SYN);
    row(&["E123"], format!("{family:?}: no rule lets in what cannot be"))
        .policy(SERVICES)
        .inbound(w.segment_back(flag::SYN | flag::FIN), refused(Reason::TcpFlags))
        .inbound(w.segment_back(0), refused(Reason::TcpFlags))
        .inbound(land, refused(Reason::Land))
        .both_ways(&w.back().cut_transport(10), &refused(Reason::TransportMalformed))
}
