//! Which ICMP messages may come in at all (RFC 4890, RFC 5508 REQ-10 and REQ-11).

use super::prelude::*;

pub(super) fn rows() -> Vec<Row> {
    let unassigned = || (154..=199).chain(202..=254);
    vec![
        quench_and_redirect(),
        unsolicited_ipv4(),
        wrong_family(),
        refused_types(&["RFC4890-4.3.4-SEAMOBY", "RFC4890-4.4.3"], "Seamoby", 150..=150),
        refused_types(&["RFC4890-4.3.5-RR", "RFC4890-4.4.3"], "router renumbering", 138..=138),
        refused_types(&["RFC4890-4.3.2-MIP", "RFC4890-4.4.3"], "mobility", 144..=147),
        refused_types(&["RFC4890-4.3.5-NI", "RFC4890-4.4.4-NI"], "node information", 139..=140),
        refused_types(
            &["RFC4890-4.3.5-EXP", "RFC4890-4.4.5"],
            "experimental types",
            [100, 101, 200, 201],
        ),
        refused_types(&["RFC4890-4.3.5-EXT", "RFC4890-4.4.5"], "reserved types", [127, 255]),
        refused_types(
            &["RFC4890-4.3.4-UNINFO", "RFC4890-4.4.5"],
            "unassigned messages",
            unassigned(),
        ),
        unassigned_errors(),
        outbound_messages(),
        node_information_exchange(),
        renumbering_group(),
        scopes_differ(),
        other_destinations(),
        last_hop(),
    ]
}

fn refused_types(
    ids: &'static [&'static str],
    what: &str,
    kinds: impl IntoIterator<Item = u8>,
) -> Row {
    let row = row(ids, format!("{what} of ICMPv6 from outside"));
    kinds.into_iter().fold(row, |row, kind| {
        let message = from(OUTSIDE, INSIDE, Family::Ipv6).icmp(kind, 0, [0, 7, 0, 1], &[0; 40]);
        row.inbound(message, refused(Reason::IcmpType))
    })
}

fn unassigned_errors() -> Row {
    let u = udp_flow(Family::Ipv6);
    let row = row(
        &["RFC4890-4.3.4-UNERR", "RFC4890-4.4.4-UNERR", "E113"],
        "unassigned ICMPv6 errors, even about a live flow",
    );
    [0].into_iter().chain(5..=99).chain(102..=126).fold(row.asked(&u), |row, kind| {
        let error = from(ROUTER, INSIDE, Family::Ipv6).icmp_error(kind, 0, 0, &u.out().ip_bytes());
        row.inbound(error, refused(Reason::IcmpType))
    })
}

fn quench_and_redirect() -> Row {
    let l = tcp_flow(Family::Ipv4);
    let quote = l.segment_out(flag::ACK).ip_bytes();
    let message =
        |kind, code| from(ROUTER, INSIDE, Family::Ipv4).icmp_error(kind, code, 0x0a03_0001, &quote);
    row(&["RFC5508-REQ-10", "E105"], "source quench and redirect about a live flow")
        .established(&l)
        .inbound(message(4, 0), refused(Reason::IcmpType))
        .inbound(message(5, 0), refused(Reason::IcmpType))
        .inbound(message(5, 1), refused(Reason::IcmpType))
}

fn unsolicited_ipv4() -> Row {
    let message = |kind| from(OUTSIDE, INSIDE, Family::Ipv4).icmp(kind, 0, [0, 7, 0, 1], &[0; 12]);
    let row = row(&["RFC5508-REQ-11", "E106"], "ICMP messages that nobody asked for")
        .established(&tcp_flow(Family::Ipv4))
        .asked(&ping_flow(Family::Ipv4));
    [1, 2, 6, 7, 9, 10, 13, 15, 16, 17, 18, 30, 40, 42, 255]
        .into_iter()
        .fold(row, |row, kind| row.inbound(message(kind), refused(Reason::IcmpType)))
        .inbound(message(14), refused(Reason::NoFlow))
        .inbound(message(8), refused(Reason::PingRefused))
}

fn wrong_family() -> Row {
    let icmpv6_in_ipv4 =
        from(OUTSIDE, INSIDE, Family::Ipv4).protocol(58, &[129, 0, 0, 0, 0, 7, 0, 1]);
    let icmp_in_ipv6 = from(OUTSIDE, INSIDE, Family::Ipv6).protocol(1, &[0, 0, 0, 0, 0, 7, 0, 1]);
    row(&["E109"], "each version's ICMP inside the other")
        .asked(&ping_flow(Family::Ipv4))
        .asked(&ping_flow(Family::Ipv6))
        .both_ways(&icmpv6_in_ipv4, &refused(Reason::TransportMalformed))
        .both_ways(&icmp_in_ipv6, &refused(Reason::TransportMalformed))
}

fn outbound_messages() -> Row {
    let row = row(
        &["RFC4890-4.3.4-UNINFO", "RFC4890-4.3.2-MIP"],
        "messages from inside that are no queries open nothing",
    );
    [0, 100, 129, 138, 139, 144, 146, 150, 160, 200, 255].into_iter().fold(row, |row, kind| {
        let message = from(INSIDE, OUTSIDE, Family::Ipv6).icmp(kind, 0, [0, 7, 0, 1], &[0; 16]);
        row.outbound(message, passed(Reason::Stateless))
    })
}

fn node_information_exchange() -> Row {
    let message = |from: Packet, kind| from.icmp(kind, 0, [0, 7, 0, 1], &[0; 24]);
    row(&["RFC4890-4.3.5-NI", "RFC4890-4.4.4-NI"], "a node information query is not answered")
        .outbound(message(from(INSIDE, OUTSIDE, Family::Ipv6), 139), passed(Reason::Stateless))
        .inbound(message(from(OUTSIDE, INSIDE, Family::Ipv6), 140), refused(Reason::IcmpType))
}

fn renumbering_group() -> Row {
    let message = Packet::ip("2a00:2::1", "ff05::2").icmp(138, 0, [0; 4], &[0; 16]);
    row(&["RFC4890-4.3.5-RR"], "router renumbering to all routers of the site")
        .inbound(message, refused(Reason::IcmpType))
}

fn scopes_differ() -> Row {
    row(&["RFC4890-4.1a"], "an echo request from the link to a host behind the gateway")
        .inbound(
            Packet::ip("fe80::a", INSIDE_OTHER.v6).echo_request(7, 1),
            refused(Reason::PingRefused),
        )
        .inbound(Packet::ip("fe80::a", INSIDE_OTHER.v6).echo_reply(7, 1), refused(Reason::NoFlow))
}

fn other_destinations() -> Row {
    let to_nobody = || Packet::ip(OUTSIDE.v6, "2a00:77::1");
    let quote = Packet::ip("2a00:77::1", OUTSIDE.v6).udp(40_001, 5000).ip_bytes();
    row(&["RFC4890-4.1c", "RFC7084-WPD-5"], "packets to an address that no inside host has used")
        .inbound(to_nobody().echo_request(7, 1), refused(Reason::PingRefused))
        .inbound(to_nobody().echo_reply(7, 1), refused(Reason::NoFlow))
        .inbound(to_nobody().icmp_error(1, 0, 0, &quote), refused(Reason::IcmpUnrelated))
        .inbound(to_nobody().icmp(138, 0, [0; 4], &[]), refused(Reason::IcmpType))
        .inbound(to_nobody().tcp(443, 22, flag::SYN), refused(Reason::NoFlow))
}

fn last_hop() -> Row {
    let packet = from(STRANGER, INSIDE_OTHER, Family::Ipv6).hop_limit(1).udp(40_000, 33_434);
    row(&["RFC4890-4.3.3-HL1"], "a packet that would make the gateway answer \"time exceeded\"")
        .inbound(packet, refused(Reason::NoFlow))
}
