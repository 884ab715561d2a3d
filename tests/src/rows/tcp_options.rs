//! TCP options: what the opening ones announce, and lists that make no sense.

use std::iter;

use super::prelude::*;

pub(super) fn rows() -> Vec<Row> {
    FAMILIES
        .into_iter()
        .flat_map(|family| {
            [
                usual(family),
                unknown(family),
                contradictory_from_inside(family),
                contradictory_from_outside(family),
                too_many(family),
                no_options(family),
                ignored_later(family),
            ]
        })
        .collect()
}

/// As Linux sends them: maximum segment size, SACK permitted, timestamps, window scale.
const LINUX: [u8; 20] = [2, 4, 5, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7];
/// And on every other segment.
const TIMESTAMP: [u8; 12] = [1, 1, 8, 10, 1, 2, 3, 5, 9, 9, 9, 9];

fn usual(family: Family) -> Row {
    let l = tcp_flow(family);
    let out = || l.segment_out(flag::ACK).tcp_options(&TIMESTAMP);
    let back = || l.segment_back(flag::ACK).tcp_options(&TIMESTAMP);
    row(&["RFC6092-REC-31"], format!("{family:?}: the options that every host sends"))
        .established_with(&l, &LINUX, &LINUX)
        .outbound(out().payload(b"question"), belongs_to(&l))
        .inbound(back().payload(b"answer").ahead(1 << 20), belongs_to(&l))
        .outbound(out(), belongs_to(&l))
        .inbound(back().ahead(1 << 25), refused(Reason::TcpWindow))
}

fn unknown(family: Family) -> Row {
    let l = tcp_flow(family);
    // An experimental option, TCP authentication, a Fast Open request, then a window scale.
    let options = [200, 4, 1, 2, 29, 4, 7, 7, 34, 2, 254, 5, 9, 9, 9, 3, 3, 2];
    row(&["RFC9293-OPT"], format!("{family:?}: unknown options are stepped over"))
        .established_with(&l, &options, &options)
        .inbound(l.segment_back(flag::ACK).ahead(200_000), belongs_to(&l))
        .inbound(l.segment_back(flag::ACK).ahead(600_000), refused(Reason::TcpWindow))
}

/// Lists that contradict themselves: of length zero or one, beyond the header, in mid-option.
const CONTRADICTORY: [&[u8]; 6] =
    [&[2, 0, 5, 0xb4], &[3, 1, 7, 1], &[1, 1, 1, 8], &[3, 255, 15, 0], &[4, 2, 3, 5], &[254]];

/// Each of these lists opens a connection in place of the one before.
fn replacing_each_other() -> impl Iterator<Item = (&'static [u8], Option<FlowEvent>)> {
    let first = iter::once(None);
    CONTRADICTORY.into_iter().zip(first.chain(iter::repeat(Some(FlowEvent::Replaced))))
}

fn contradictory_from_inside(family: Family) -> Row {
    let l = tcp_flow(family);
    let row = row(
        &["RFC9293-OPT", "E138"],
        format!("{family:?}: inside's options make no sense, so nothing is checked"),
    );
    replacing_each_other().fold(row, |row, (options, replaced)| {
        row.replacing(replaced)
            .outbound(
                l.segment_out(flag::SYN).tcp_options(options),
                opens(&l).marked(mark::UNCHECKED),
            )
            .inbound(l.segment_back(SYN_ACK), belongs_to(&l))
            .outbound(l.segment_out(flag::ACK), belongs_to(&l).promoted())
            .inbound(l.segment_back(flag::ACK).ahead(1 << 30), belongs_to(&l))
    })
}

fn contradictory_from_outside(family: Family) -> Row {
    let l = tcp_flow(family);
    let row = row(
        &["RFC9293-OPT", "E138"],
        format!("{family:?}: outside's options make no sense, so nothing is checked"),
    );
    replacing_each_other().fold(row, |row, (options, replaced)| {
        row.replacing(replaced)
            .outbound(l.segment_out(flag::SYN).tcp_options(&option::scale(7)), opens(&l))
            .inbound(
                l.segment_back(SYN_ACK).tcp_options(options),
                belongs_to(&l).marked(mark::UNCHECKED),
            )
            .outbound(l.segment_out(flag::ACK), belongs_to(&l).promoted())
            .inbound(l.segment_back(flag::ACK).ahead(1 << 30), belongs_to(&l))
    })
}

fn too_many(family: Family) -> Row {
    let l = tcp_flow(family);
    row(&["RFC9293-OPT", "E138"], format!("{family:?}: more options than any host sends"))
        .outbound(l.segment_out(flag::SYN).tcp_options(&[1; 40]), opens(&l).marked(mark::UNCHECKED))
        .inbound(
            l.segment_back(SYN_ACK).tcp_options(&[1; 40]),
            belongs_to(&l).marked(mark::UNCHECKED),
        )
        .outbound(l.segment_out(flag::ACK), belongs_to(&l).promoted())
        .inbound(l.segment_back(flag::ACK).ahead(1 << 30), belongs_to(&l))
}

fn no_options(family: Family) -> Row {
    let l = tcp_flow(family);
    row(&["RFC9293-OPT"], format!("{family:?}: a list that ends at once announces nothing"))
        .established_with(&l, &[0, 3, 3, 7], &[1, 0, 3, 3, 7])
        .inbound(l.segment_back(flag::ACK).ahead(132_000), refused(Reason::TcpWindow))
}

/// Options that belong to openings mean nothing later, and broken ones do no harm.
fn ignored_later(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC9293-OPT", "E138"],
        format!("{family:?}: openings' options on later segments, and broken ones, are ignored"),
    )
    .established_with(&l, &option::scale(1), &option::scale(1))
    .outbound(l.segment_out(flag::ACK).tcp_options(&option::scale(14)), belongs_to(&l))
    .inbound(l.segment_back(flag::ACK).tcp_options(&[5, 0, 5, 0]), belongs_to(&l))
    .inbound(l.segment_back(flag::ACK).tcp_options(&[1; 40]), belongs_to(&l))
    .inbound(l.segment_back(flag::ACK).ahead(300_000), refused(Reason::TcpWindow))
}
