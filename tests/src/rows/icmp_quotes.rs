//! What ICMP errors quote.

use super::{
    icmp::{Error, error},
    prelude::*,
};

pub(super) fn rows() -> Vec<Row> {
    let mut rows = vec![options_in_quote(), extensions_in_quote(), malformed_ipv4_quote()];
    for family in FAMILIES {
        rows.extend([
            unrelated(family),
            not_the_receivers(family),
            reversed(family),
            short(family),
            truncated_packet(family),
            transport_checksum(family),
            other_version(family),
            fragments(family),
            about_errors(family),
            extended(family),
            in_vlan(family),
        ]);
    }
    rows
}

fn header_len(family: Family) -> usize {
    match family {
        Family::Ipv4 => 20,
        Family::Ipv6 => 40,
    }
}

/// The error that the rows here use, about these bytes.
fn unreachable(family: Family, quote: &[u8]) -> Packet {
    error(family, Error::Unreachable(1), quote)
}

fn unrelated(family: Family) -> Row {
    let u = udp_flow(family);
    let other = |port| from(INSIDE, OUTSIDE, family).udp(40_001, port).ip_bytes();
    let stranger = from(INSIDE, STRANGER, family).udp(40_001, 5000).ip_bytes();
    row(
        &["RFC6092-REC-10", "RFC5508-REQ-4", "RFC2979-3.1.1b", "RFC4890-4.4.4-UNERR", "E96"],
        format!("{family:?}: errors about packets that no flow sent"),
    )
    .inbound(unreachable(family, &u.out().ip_bytes()), refused(Reason::IcmpUnrelated))
    .inbound(
        error(family, Error::TooBig(1_400), &u.out().ip_bytes()),
        refused(Reason::IcmpUnrelated),
    )
    .asked(&u)
    .inbound(unreachable(family, &other(5001)), refused(Reason::IcmpUnrelated))
    .inbound(unreachable(family, &stranger), refused(Reason::IcmpUnrelated))
}

fn not_the_receivers(family: Family) -> Row {
    let u = udp_flow(family);
    let error = |quote: &Packet| {
        let (kind, code) = if family == Family::Ipv4 { (3, 1) } else { (1, 0) };
        from(ROUTER, INSIDE_OTHER, family).icmp_error(kind, code, 0, &quote.ip_bytes())
    };
    row(
        &["RFC4890-4.1b", "E95"],
        format!("{family:?}: an error to one host about another host's packet"),
    )
    .asked(&u)
    .inbound(error(&u.out()), refused(Reason::IcmpQuote))
}

fn reversed(family: Family) -> Row {
    let u = udp_flow(family);
    row(&["RFC6092-REC-10", "E94"], format!("{family:?}: an error about a packet from outside"))
        .answered(&u)
        .inbound(unreachable(family, &u.back().ip_bytes()), refused(Reason::IcmpQuote))
}

fn short(family: Family) -> Row {
    let l = tcp_flow(family);
    let quote = |len| l.segment_out(flag::ACK).payload(&[0; 100]).quote(len);
    let header_len = header_len(family);
    row(
        &["RFC6092-REC-36", "E89", "E90"],
        format!("{family:?}: a quote must reach to the ports, and need not go further"),
    )
    .established(&l)
    .inbound(unreachable(family, &quote(header_len + 8)), related())
    .inbound(unreachable(family, &quote(header_len + 4)), related())
    .inbound(unreachable(family, &quote(header_len + 3)), refused(Reason::IcmpQuote))
    .inbound(unreachable(family, &quote(header_len + 2)), refused(Reason::IcmpQuote))
    .inbound(unreachable(family, &quote(header_len)), refused(Reason::IcmpQuote))
    .inbound(unreachable(family, &quote(header_len - 1)), refused(Reason::IcmpQuote))
    .inbound(unreachable(family, &[]), refused(Reason::IcmpQuote))
    // What follows the packet in the frame is not part of the quote.
    .inbound(
        unreachable(family, &quote(header_len + 2))
            .trailer(&quote(header_len + 8)[header_len + 2..]),
        refused(Reason::IcmpQuote),
    )
}

fn truncated_packet(family: Family) -> Row {
    let u = udp_flow(family);
    let quote = u.out().payload(&[0; 1_400]).quote(header_len(family) + 8);
    row(&["RFC5508-REQ-3", "E103"], format!("{family:?}: a quote is shorter than it says"))
        .asked(&u)
        .inbound(unreachable(family, &quote), related())
}

fn transport_checksum(family: Family) -> Row {
    let u = udp_flow(family);
    row(&["RFC5508-REQ-3", "E103"], format!("{family:?}: a quoted checksum may be wrong"))
        .asked(&u)
        .inbound(unreachable(family, &u.out().bad_checksum().ip_bytes()), related())
        .inbound(unreachable(family, &u.out().no_checksum().ip_bytes()), related())
}

fn other_version(family: Family) -> Row {
    let other = match family {
        Family::Ipv4 => udp_flow(Family::Ipv6),
        Family::Ipv6 => udp_flow(Family::Ipv4),
    };
    row(&["E102"], format!("{family:?}: an error about a packet of the other version"))
        .asked(&other)
        .inbound(unreachable(family, &other.out().ip_bytes()), refused(Reason::IcmpQuote))
}

fn fragments(family: Family) -> Row {
    let u = udp_flow(family);
    let [first, second]: [Packet; 2] =
        u.out().payload(&[0; 2_000]).fragments(9, 1_232).try_into().expect("two fragments");
    row(
        &["RFC4890-4.3.1-PTB", "RFC4890-4.3.2-TE1", "RFC8200-4.5-TE", "E92", "E93"],
        format!("{family:?}: a first fragment names its flow, a later one does not"),
    )
    .outbound(first.clone(), opens(&u))
    .outbound(second.clone(), passed(Reason::Stateless))
    .inbound(error(family, Error::TooBig(1_400), &first.ip_bytes()), related())
    .inbound(error(family, Error::TimeExceeded(1), &first.ip_bytes()), related())
    .inbound(error(family, Error::TooBig(1_400), &second.ip_bytes()), refused(Reason::IcmpQuote))
}

fn about_errors(family: Family) -> Row {
    let u = udp_flow(family);
    let (unreachable_kind, reply) = match family {
        Family::Ipv4 => (3, 0),
        Family::Ipv6 => (1, 129),
    };
    let our_error = from(INSIDE, OUTSIDE, family)
        .icmp_error(unreachable_kind, 3, 0, &u.back().ip_bytes())
        .ip_bytes();
    let our_reply = from(INSIDE, OUTSIDE, family).icmp(reply, 0, [0, 7, 0, 1], &[]).ip_bytes();
    row(&["E97"], format!("{family:?}: errors about errors, and about answers to pings"))
        .answered(&u)
        .asked(&ping_flow(family))
        .inbound(unreachable(family, &our_error), refused(Reason::IcmpQuote))
        .inbound(unreachable(family, &our_reply), refused(Reason::IcmpQuote))
}

fn extended(family: Family) -> Row {
    let l = tcp_flow(family);
    let mut quote = l.segment_out(flag::ACK).payload(&[0x5a; 300]).quote(128);
    // Version 2, and an object that says nothing (RFC 4884 section 7).
    quote.extend([0x20, 0, 0, 0, 0, 4, 1, 1]);
    // The length of the quote in words of four or eight bytes, where each version has it.
    let packet = from(ROUTER, INSIDE, family);
    let error = match family {
        Family::Ipv4 => packet.icmp(11, 0, [0, 32, 0, 0], &quote),
        Family::Ipv6 => packet.icmp(3, 0, [16, 0, 0, 0], &quote),
    };
    row(&["E104"], format!("{family:?}: an error with extensions behind the quote"))
        .established(&l)
        .inbound(error, related())
}

fn in_vlan(family: Family) -> Row {
    let u = udp_flow(family).in_vlan(10, 0);
    let error = || unreachable(family, &udp_flow(family).out().ip_bytes());
    row(&["E6"], format!("{family:?}: an error comes in the VLAN of its flow"))
        .asked(&u)
        .inbound(error().vlan(10), related())
        .inbound(error(), refused(Reason::IcmpUnrelated))
        .inbound(error().vlan(11), refused(Reason::IcmpUnrelated))
}

fn options_in_quote() -> Row {
    let u = udp_flow(Family::Ipv4);
    let quote = |options: &[u8], len| u.out().options(options).quote(len);
    row(&["RFC5508-REQ-3", "E101"], "a quoted packet's IPv4 options are stepped over")
        .asked(&u)
        .inbound(unreachable(Family::Ipv4, &quote(&[1; 4], 32)), related())
        .inbound(unreachable(Family::Ipv4, &quote(&[1; 40], 68)), related())
        .inbound(unreachable(Family::Ipv4, &quote(&[1; 40], 60)), refused(Reason::IcmpQuote))
        .inbound(unreachable(Family::Ipv4, &quote(&[1; 40], 30)), refused(Reason::IcmpQuote))
}

fn extensions_in_quote() -> Row {
    let u = udp_flow(Family::Ipv6);
    let chain = |len| u.out().hop_by_hop().destination_options().quote(len);
    let long = (0..9).fold(u.out(), |packet, _| packet.destination_options());
    row(&["E91"], "a quoted packet's IPv6 extension headers are walked through")
        .asked(&u)
        .inbound(unreachable(Family::Ipv6, &chain(64)), related())
        .inbound(unreachable(Family::Ipv6, &chain(60)), related())
        .inbound(unreachable(Family::Ipv6, &chain(56)), refused(Reason::IcmpQuote))
        .inbound(unreachable(Family::Ipv6, &chain(52)), refused(Reason::IcmpQuote))
        .inbound(unreachable(Family::Ipv6, &chain(44)), refused(Reason::IcmpQuote))
        .inbound(unreachable(Family::Ipv6, &long.ip_bytes()), refused(Reason::IcmpQuote))
}

fn malformed_ipv4_quote() -> Row {
    let u = udp_flow(Family::Ipv4);
    let quote = |first: u8| u.out().set_network(0, &[first]).ip_bytes();
    row(&["E102"], "a quote whose IPv4 header cannot be")
        .asked(&u)
        .inbound(unreachable(Family::Ipv4, &quote(0x44)), refused(Reason::IcmpQuote))
        .inbound(unreachable(Family::Ipv4, &quote(0x65)), refused(Reason::IcmpQuote))
        .inbound(unreachable(Family::Ipv4, &quote(0x4f)), refused(Reason::IcmpQuote))
}
