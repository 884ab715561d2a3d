//! IPv4 options (RFC 7126).

use super::prelude::*;

pub(super) fn rows() -> Vec<Row> {
    vec![
        no_operation(),
        source_routes(),
        refused_options(&["RFC7126-RR"], "record route", &[7]),
        refused_options(
            &["RFC7126-TS/SID/…"],
            "timestamps and obsolete options",
            &[68, 136, 11, 12, 82, 142, 145, 147, 149, 151, 152],
        ),
        refused_options(&["RFC7126-EXP"], "experimental options", &[30, 94, 158, 222]),
        ignored_options(&["RFC7126-RA", "E20"], "router alert", &[148]),
        ignored_options(&["RFC7126-SEC"], "security labels", &[130, 133, 134]),
        ignored_options(&["RFC7126-QS"], "quick start", &[25]),
        ignored_options(&["RFC7126-UNK"], "unknown options", &[200, 255, 2, 40]),
        lengths_lie(),
    ]
}

fn l() -> Flow {
    tcp_flow(Family::Ipv4)
}

fn reply(options: &[u8]) -> Packet {
    l().segment_back(flag::ACK).options(options)
}

fn no_operation() -> Row {
    let u = udp_flow(Family::Ipv4);
    row(&["RFC7126-NOP/EOL", "E18"], "padding options move the ports, nothing else")
        .established(&l())
        .inbound(reply(&[1; 4]), belongs_to(&l()))
        .inbound(reply(&[1; 40]), belongs_to(&l()))
        .inbound(reply(&[0; 4]), belongs_to(&l()))
        // What follows the end of the list is no option.
        .inbound(reply(&[1, 0, 131, 200]), belongs_to(&l()))
        .outbound(u.out().options(&[1; 40]), opens(&u))
        .inbound(from(STRANGER, INSIDE, Family::Ipv4).udp(53, 53).options(&[1; 40]), no_flow())
}

fn no_flow() -> Expect {
    refused(Reason::NoFlow)
}

fn source_routes() -> Row {
    let route = |kind| [1, kind, 7, 4, 10, 3, 0, 1];
    let u = udp_flow(Family::Ipv4);
    row(&["RFC7126-LSRR/SSRR", "E19"], "source routes are refused both ways")
        .established(&l())
        .inbound(reply(&route(131)), refused(Reason::SourceRoute))
        .inbound(reply(&route(137)), refused(Reason::SourceRoute))
        .inbound(
            reply(&[&[1; 29][..], &[137, 11, 4], &[0; 8]].concat()),
            refused(Reason::SourceRoute),
        )
        .outbound(u.out().options(&route(131)), refused(Reason::SourceRoute))
        .outbound(u.out().options(&route(137)), refused(Reason::SourceRoute))
}

fn refused_options(ids: &'static [&'static str], what: &str, kinds: &[u8]) -> Row {
    let row = row(ids, format!("{what} on a live flow")).established(&l());
    kinds.iter().fold(row, |row, &kind| {
        row.inbound(reply(&[kind, 4, 0, 0]), refused(Reason::Ipv4Option))
            .inbound(reply(&[1, 1, kind, 6, 0, 0, 0, 0]), refused(Reason::Ipv4Option))
    })
}

fn ignored_options(ids: &'static [&'static str], what: &str, kinds: &[u8]) -> Row {
    let row = row(ids, format!("{what} on a live flow")).established(&l());
    kinds.iter().fold(row, |row, &kind| {
        row.inbound(reply(&[kind, 4, 0, 0]), belongs_to(&l()))
            // The body of an option is not an option.
            .inbound(reply(&[1, kind, 7, 131, 137, 7, 68, 0]), belongs_to(&l()))
    })
}

fn lengths_lie() -> Row {
    row(&[], "option lengths that cannot be")
        .established(&l())
        .inbound(reply(&[200, 0, 1, 1]), refused(Reason::Ipv4Malformed))
        .inbound(reply(&[200, 1, 1, 1]), refused(Reason::Ipv4Malformed))
        .inbound(reply(&[200, 5, 1, 1]), refused(Reason::Ipv4Malformed))
        .inbound(reply(&[1, 1, 1, 200]), refused(Reason::Ipv4Malformed))
        .inbound(reply(&[200, 255, 1, 1]), refused(Reason::Ipv4Malformed))
}
