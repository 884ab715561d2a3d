//! Echo, and ICMP errors about live flows.

use super::prelude::*;

pub(super) fn rows() -> Vec<Row> {
    let mut rows = vec![timestamp(), too_big_for_ipv6(), too_big_for_ipv4()];
    for family in FAMILIES {
        rows.extend([
            echo(family),
            echo_lifetime(family),
            echo_large_and_short(family),
            every_unreachable(family),
            every_error(family),
            error_during_handshake(family),
            error_ends_nothing(family),
            error_refreshes_nothing(family),
            error_about_ping(family),
            errors_about_other_protocols(family),
            error_with_wrong_checksum(family),
            outbound_error(family),
            late_error(family),
            after_the_flow(family),
        ]);
    }
    rows
}

/// The types and codes of the errors that both versions have.
#[derive(Clone, Copy)]
pub(super) enum Error {
    Unreachable(u8),
    TooBig(u32),
    TimeExceeded(u8),
    ParameterProblem(u8),
}

/// An error of a router on the way that quotes these bytes.
pub(super) fn error(family: Family, error: Error, quote: &[u8]) -> Packet {
    let packet = from(ROUTER, INSIDE, family);
    match (family, error) {
        (Family::Ipv4, Error::Unreachable(code)) => packet.icmp_error(3, code, 0, quote),
        (Family::Ipv4, Error::TooBig(mtu)) => packet.icmp_error(3, 4, mtu, quote),
        (Family::Ipv4, Error::TimeExceeded(code)) => packet.icmp_error(11, code, 0, quote),
        (Family::Ipv4, Error::ParameterProblem(code)) => packet.icmp_error(12, code, 0, quote),
        (Family::Ipv6, Error::Unreachable(code)) => packet.icmp_error(1, code, 0, quote),
        (Family::Ipv6, Error::TooBig(mtu)) => packet.icmp_error(2, 0, mtu, quote),
        (Family::Ipv6, Error::TimeExceeded(code)) => packet.icmp_error(3, code, 0, quote),
        (Family::Ipv6, Error::ParameterProblem(code)) => packet.icmp_error(4, code, 6, quote),
    }
}

fn echo(family: Family) -> Row {
    let p = ping_flow(family);
    let reply = |host, id, sequence| from(host, INSIDE, family).echo_reply(id, sequence);
    row(
        &["RFC5508-REQ-1", "RFC4890-4.3.1-ECHO", "RFC4890-4.4.1-ECHO", "E107", "E108"],
        format!("{family:?}: echo replies to whom asked, as often as they come"),
    )
    .inbound(p.back(), refused(Reason::NoFlow))
    .asked(&p)
    .inbound(reply(OUTSIDE, 7, 1), belongs_to(&p))
    .inbound(reply(OUTSIDE, 7, 1), belongs_to(&p))
    .inbound(reply(OUTSIDE, 8, 1), refused(Reason::NoFlow))
    .inbound(reply(STRANGER, 7, 1), refused(Reason::NoFlow))
    .inbound(from(OUTSIDE, INSIDE, family).echo_request(7, 1), refused(Reason::PingRefused))
    .outbound(p.out(), belongs_to(&p).promoted())
    .inbound(reply(OUTSIDE, 7, 2), belongs_to(&p))
}

fn echo_lifetime(family: Family) -> Row {
    let p = ping_flow(family);
    row(&["RFC5508-REQ-2"], format!("{family:?}: an echo reply may take a minute"))
        .asked(&p)
        .wait(59)
        .inbound(p.back(), belongs_to(&p))
        .wait(61)
        .inbound(p.back(), refused(Reason::FlowExpired))
}

fn echo_large_and_short(family: Family) -> Row {
    let p = ping_flow(family);
    row(&["E110"], format!("{family:?}: an echo reply of any length that holds its header"))
        .asked(&p)
        .inbound(p.back().payload(&[0x5a; 1_200]), belongs_to(&p))
        .inbound(p.back().cut_transport(8), belongs_to(&p))
        .inbound(p.back().cut_transport(7), refused(Reason::TransportMalformed))
        .inbound(p.back().cut_transport(0), refused(Reason::TransportMalformed))
        .outbound(p.out().cut_transport(7), refused(Reason::TransportMalformed))
}

fn timestamp() -> Row {
    let request = from(INSIDE, OUTSIDE, Family::Ipv4).icmp(13, 0, [0, 7, 0, 1], &[0; 12]);
    let reply = || from(OUTSIDE, INSIDE, Family::Ipv4).icmp(14, 0, [0, 7, 0, 1], &[0; 12]);
    let flow = Flow::new(request, INSIDE.v4, 7, OUTSIDE.v4, 13, 1);
    let p = ping_flow(Family::Ipv4);
    row(&["RFC5508-REQ-10"], "a timestamp exchange and an echo with the same identifier")
        .asked(&p)
        .inbound(reply(), refused(Reason::NoFlow))
        .asked(&flow)
        .inbound(reply(), belongs_to(&flow))
        .inbound(p.back(), belongs_to(&p))
}

fn every_unreachable(family: Family) -> Row {
    let u = udp_flow(family);
    let row = row(
        &["RFC6092-REC-18", "RFC4890-4.3.1-DU", "RFC4890-4.4.1-ERR", "RFC5508-REQ-4"],
        format!("{family:?}: unreachable for any reason, also for one nobody knows"),
    )
    .asked(&u);
    (0..=7).chain([200]).fold(row, |row, code| {
        row.inbound(error(family, Error::Unreachable(code), &u.out().ip_bytes()), related())
    })
}

fn every_error(family: Family) -> Row {
    let l = tcp_flow(family);
    let quote = l.segment_out(flag::ACK).payload(&[0; 500]).ip_bytes();
    let row = row(
        &[
            "RFC6092-REC-36",
            "RFC4787-REQ-12",
            "RFC4890-4.3.1-PTB",
            "RFC4890-4.3.1-TE0",
            "RFC4890-4.3.1-PP12",
            "RFC4890-4.3.2-TE1",
            "RFC4890-4.3.2-PP0",
            "RFC4890-4.4.2",
            "RFC5508-REQ-10",
            "RFC2979-3.1.1",
            "RFC7112-5b",
            "RFC8200-4.5-TE",
            "E88",
            "E113",
        ],
        format!("{family:?}: every kind of error about a connection, from any router"),
    )
    .established(&l);
    [
        Error::Unreachable(1),
        Error::TooBig(1_400),
        Error::TimeExceeded(0),
        Error::TimeExceeded(1),
        Error::ParameterProblem(0),
        Error::ParameterProblem(1),
        Error::ParameterProblem(2),
        Error::ParameterProblem(3),
    ]
    .into_iter()
    .fold(row, |row, kind| row.inbound(error(family, kind, &quote), related()))
    .inbound(l.segment_back(flag::ACK), belongs_to(&l))
}

fn error_during_handshake(family: Family) -> Row {
    let l = tcp_flow(family);
    let syn = l.segment_out(flag::SYN);
    row(
        &["RFC6092-REC-37", "RFC5382-REQ-10", "E98"],
        format!("{family:?}: an error does not end a connection that is being opened"),
    )
    .outbound(syn.clone(), opens(&l))
    .inbound(error(family, Error::Unreachable(4), &syn.ip_bytes()), related())
    .then(&l, FlowState::SynSent)
    .inbound(l.segment_back(flag::SYN | flag::ACK), belongs_to(&l))
    .outbound(l.segment_out(flag::ACK), belongs_to(&l).promoted())
    .inbound(error(family, Error::Unreachable(4), &l.segment_out(flag::ACK).ip_bytes()), related())
    .inbound(l.segment_back(flag::ACK), belongs_to(&l))
}

fn error_ends_nothing(family: Family) -> Row {
    let u = udp_flow(family);
    row(
        &["RFC6092-REC-19", "RFC4787-REQ-12"],
        format!("{family:?}: an error neither ends a UDP flow nor makes it shorter"),
    )
    .asked(&u)
    .inbound(error(family, Error::Unreachable(3), &u.out().ip_bytes()), related())
    .wait(118)
    .inbound(u.back(), belongs_to(&u))
}

fn error_refreshes_nothing(family: Family) -> Row {
    let u = udp_flow(family);
    row(&["RFC6092-REC-19", "E88"], format!("{family:?}: an error keeps no flow alive"))
        .asked(&u)
        .wait(60)
        .inbound(error(family, Error::TooBig(1_400), &u.out().ip_bytes()), related())
        .wait(61)
        .inbound(u.back(), refused(Reason::FlowExpired))
}

fn error_about_ping(family: Family) -> Row {
    let p = ping_flow(family);
    let other = from(INSIDE, OUTSIDE, family).echo_request(8, 1).ip_bytes();
    row(
        &["RFC5508-REQ-6", "E97"],
        format!("{family:?}: an error about an echo request changes nothing about its flow"),
    )
    .asked(&p)
    .inbound(error(family, Error::TimeExceeded(0), &p.out().ip_bytes()), related())
    .inbound(error(family, Error::Unreachable(3), &p.out().quote(60)), related())
    .inbound(error(family, Error::Unreachable(3), &other), refused(Reason::IcmpUnrelated))
    .wait(56)
    .inbound(p.back(), belongs_to(&p))
}

fn errors_about_other_protocols(family: Family) -> Row {
    let host = |number| Flow::protocol(INSIDE.ip(family), OUTSIDE.ip(family), number, &[0; 20]);
    let out = || from(INSIDE, OUTSIDE, family);
    let ported = |packet, number| {
        Flow::new(packet, INSIDE.ip(family), 40_001, OUTSIDE.ip(family), 5000, number)
    };
    let flows = [
        host(50),
        host(135),
        ported(out().dccp(40_001, 5000), 33),
        ported(out().udp_lite(40_001, 5000), 136),
    ];
    let row = row(
        &["RFC6092-REC-23", "RFC6092-REC-30", "RFC6092-REC-45", "RFC6092-REC-46"],
        format!("{family:?}: errors about ESP, mobility, DCCP and UDP-Lite"),
    );
    flows.iter().fold(row, |row, flow| {
        let quote = flow.out().ip_bytes();
        let mut elsewhere = quote.clone();
        let last_of_destination = if family == Family::Ipv4 { 19 } else { 39 };
        elsewhere[last_of_destination] ^= 0x80;
        row.asked(flow)
            .inbound(error(family, Error::TooBig(1_400), &quote), related())
            .inbound(error(family, Error::Unreachable(1), &quote), related())
            .inbound(
                error(family, Error::TooBig(1_400), &elsewhere),
                refused(Reason::IcmpUnrelated),
            )
            .inbound(flow.back(), belongs_to(flow))
    })
}

fn error_with_wrong_checksum(family: Family) -> Row {
    let u = udp_flow(family);
    let error = error(family, Error::Unreachable(1), &u.out().ip_bytes());
    row(&["E111"], format!("{family:?}: the host checks an error's checksum"))
        .asked(&u)
        .inbound(error.bad_checksum(), related())
}

fn outbound_error(family: Family) -> Row {
    let u = udp_flow(family);
    let unreachable = if family == Family::Ipv4 { (3, 3) } else { (1, 4) };
    let error = |quote: &[u8]| {
        from(INSIDE, OUTSIDE, family).icmp_error(unreachable.0, unreachable.1, 0, quote)
    };
    row(
        &["RFC7857-7.1", "RFC5508-REQ-5", "E147"],
        format!("{family:?}: errors from inside pass, open nothing and refresh nothing"),
    )
    .outbound(error(&u.back().ip_bytes()), passed(Reason::Stateless))
    .answered(&u)
    .wait(200)
    .outbound(error(&u.back().ip_bytes()), passed(Reason::Stateless))
    .wait(101)
    .inbound(u.back(), refused(Reason::FlowExpired))
}

fn late_error(family: Family) -> Row {
    let u = udp_flow(family);
    row(&["RFC6092-REC-10"], format!("{family:?}: an error that comes after the flow is over"))
        .asked(&u)
        .wait(121)
        .inbound(
            error(family, Error::Unreachable(3), &u.out().ip_bytes()),
            refused(Reason::IcmpUnrelated),
        )
}

fn after_the_flow(family: Family) -> Row {
    let p = ping_flow(family);
    row(&["RFC5508-REQ-2"], format!("{family:?}: asking again after the time is over"))
        .answered(&p)
        .wait(61)
        .outbound(p.out(), opens(&p).replacing(FlowEvent::Expired))
        .inbound(p.back(), belongs_to(&p))
}

fn too_big_for_ipv6() -> Row {
    let l = tcp_flow(Family::Ipv6);
    let quote = l.segment_out(flag::ACK).ip_bytes();
    let too_big = |mtu| error(Family::Ipv6, Error::TooBig(mtu), &quote);
    row(&["RFC8021-4", "E99"], "no IPv6 link has an MTU below 1280")
        .established(&l)
        .inbound(too_big(1_280), related())
        .inbound(too_big(65_535), related())
        .inbound(too_big(1_279), refused(Reason::IcmpQuote))
        .inbound(too_big(0), refused(Reason::IcmpQuote))
}

fn too_big_for_ipv4() -> Row {
    let l = tcp_flow(Family::Ipv4);
    let quote = l.segment_out(flag::ACK).ip_bytes();
    let row = row(&["RFC2979-3.1.1", "E100"], "IPv4 links have any MTU, and old routers name none");
    [0, 68, 576, 65_535].into_iter().fold(row.established(&l), |row, mtu| {
        row.inbound(error(Family::Ipv4, Error::TooBig(mtu), &quote), related())
    })
}
