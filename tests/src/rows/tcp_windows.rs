//! Whether the numbers of a segment fit (RFC 5382 section 9, RFC 5961).
//!
//! Windows are 65535 bytes here, and not scaled, unless a row says otherwise.

use super::prelude::*;

pub(super) fn rows() -> Vec<Row> {
    FAMILIES
        .into_iter()
        .flat_map(|family| {
            [
                inside_the_window(family),
                across_the_edge(family),
                beyond_the_window(family),
                far_beyond_the_window(family),
                repeated(family),
                old(family),
                another_answer(family),
                never_sent(family),
                never_sent_to_inside(family),
                inside_knows_better(family),
                fin_from_inside(family),
                impatient_inside(family),
                first_fragment(family),
                padding(family),
                wrapping(family),
                picked_up(family),
                one_opening_seen(family),
                early_data(family),
            ]
        })
        .chain([offloaded(Family::Ipv4, 40), offloaded(Family::Ipv6, 60)])
        .collect()
}

fn inside_the_window(family: Family) -> Row {
    let l = tcp_flow(family);
    let data = |bytes: usize| l.segment_back(flag::ACK | flag::PSH).payload(&vec![0; bytes]);
    row(&["RFC6092-REC-31"], format!("{family:?}: segments that overtake each other"))
        .established(&l)
        .inbound(data(100).ahead(65_435), belongs_to(&l))
        .outbound(l.segment_out(flag::ACK).acknowledging_less(65_535), belongs_to(&l))
        .inbound(data(100).behind(65_535), belongs_to(&l))
        .inbound(data(1_000).behind(65_435), belongs_to(&l))
        .outbound(l.segment_out(flag::ACK), belongs_to(&l))
        .outbound(l.segment_out(flag::ACK).ahead(2_000).payload(&[0; 100]), belongs_to(&l))
        .outbound(l.segment_out(flag::ACK).behind(2_100).payload(&[0; 2_000]), belongs_to(&l))
        .inbound(l.segment_back(flag::ACK), belongs_to(&l))
}

fn across_the_edge(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC6092-REC-31"],
        format!("{family:?}: what begins in the window may end beyond it, for hosts take a part"),
    )
    .established(&l)
    .inbound(l.segment_back(flag::ACK).ahead(65_500).payload(&[0; 100]), belongs_to(&l))
    .outbound(l.segment_out(flag::ACK).acknowledging_less(65), belongs_to(&l))
    .outbound(l.segment_out(flag::ACK).ahead(65_535).payload(&[0; 100]), belongs_to(&l))
    .inbound(l.segment_back(flag::ACK).behind(65).payload(&[0; 65]), belongs_to(&l))
}

fn beyond_the_window(family: Family) -> Row {
    let l = tcp_flow(family);
    let data = || l.segment_back(flag::ACK).payload(&[0; 100]);
    row(
        &["RFC5382-S9"],
        format!("{family:?}: outside sends a little more than it was granted, and may be answered"),
    )
    .established(&l)
    .inbound(data().ahead(65_536), belongs_to(&l).overshooting())
    .outbound(l.segment_out(flag::ACK).acknowledging_less(100), belongs_to(&l))
    .outbound(l.segment_out(flag::ACK), belongs_to(&l))
    .inbound(data().ahead(130_000), belongs_to(&l).overshooting())
    .then(&l, FlowState::Established)
}

fn far_beyond_the_window(family: Family) -> Row {
    let l = tcp_flow(family);
    let row = row(
        &["RFC5382-S9", "RFC5961-5.2"],
        format!("{family:?}: segments from outside that no host would take change nothing"),
    )
    .established(&l);
    [flag::ACK, FIN_ACK, flag::ACK | flag::PSH | flag::URG]
        .into_iter()
        .flat_map(|flags| [132_000, 1 << 20, 1 << 30, (1 << 31) - 1].map(|far| (flags, far)))
        .fold(row, |row, (flags, far)| {
            let segment = l.segment_back(flags).payload(&[0; 100]).ahead(far);
            row.inbound(segment, refused(Reason::TcpWindow))
        })
        .then(&l, FlowState::Established)
        .inbound(l.segment_back(flag::ACK).payload(&[0; 100]), belongs_to(&l))
}

fn repeated(family: Family) -> Row {
    let l = tcp_flow(family);
    let (out, back) = (|| l.segment_out(flag::ACK), || l.segment_back(flag::ACK));
    row(&["RFC6092-REC-31"], format!("{family:?}: data and acknowledgements, sent again"))
        .established(&l)
        .outbound(out().payload(b"question"), belongs_to(&l))
        .outbound(out().payload(b"question").behind(8), belongs_to(&l))
        .inbound(back(), belongs_to(&l))
        .inbound(back(), belongs_to(&l))
        .inbound(back().payload(b"answer"), belongs_to(&l))
        .inbound(back().payload(b"answer").behind(6), belongs_to(&l))
        .inbound(back().payload(b"answer, and more").behind(6), belongs_to(&l))
        .outbound(out(), belongs_to(&l))
        .outbound(out().acknowledging_less(10), belongs_to(&l))
}

fn old(family: Family) -> Row {
    let l = tcp_flow(family);
    let (out, back) = (|| l.segment_out(flag::ACK), || l.segment_back(flag::ACK));
    let ignored = || belongs_to(&l).without_refresh();
    row(
        &["RFC5961-5.2", "RFC5382-S9"],
        format!("{family:?}: very old segments and acknowledgements pass, and keep nothing alive"),
    )
    .established(&l)
    .inbound(back().acknowledging_less(66_001), ignored())
    .inbound(back().acknowledging_less(1 << 30).payload(b"old"), ignored())
    .inbound(back().behind(65_536), ignored())
    .inbound(l.segment_back(FIN_ACK).behind(70_000), ignored())
    .inbound(back().behind(1 << 30).payload(b"old"), ignored())
    .inbound(back().acknowledging_less(66_000), belongs_to(&l))
    .inbound(back().behind(65_535), belongs_to(&l))
    .outbound(out().behind(70_000), ignored())
    .outbound(out().acknowledging_less(70_000), ignored())
    .outbound(l.segment_out(FIN_ACK).behind(70_000), ignored())
    .then(&l, FlowState::Established)
}

fn another_answer(family: Family) -> Row {
    let l = tcp_flow(family);
    let answer = || l.segment_back(SYN_ACK);
    let ignored = || belongs_to(&l).without_refresh();
    row(
        &["RFC5961-4.2", "RFC5382-S9"],
        format!("{family:?}: a SYN/ACK on an open connection is answered, but never believed"),
    )
    .established(&l)
    .inbound(answer(), ignored())
    .inbound(answer().ahead(1_000), ignored())
    .inbound(answer().ahead(65_537), ignored())
    .inbound(answer().behind(1 << 20), ignored())
    .inbound(answer().ahead(1 << 20), refused(Reason::TcpWindow))
    .inbound(answer().acknowledging_more(1), refused(Reason::TcpWindow))
    .then(&l, FlowState::Established)
}

fn never_sent(family: Family) -> Row {
    let l = tcp_flow(family);
    let back = || l.segment_back(flag::ACK);
    row(
        &["RFC5961-5.2", "RFC5382-S9"],
        format!("{family:?}: outside acknowledges what inside has not sent"),
    )
    .established(&l)
    .inbound(back().acknowledging_more(1), refused(Reason::TcpWindow))
    .inbound(back().acknowledging_more(1 << 30).payload(b"data"), refused(Reason::TcpWindow))
    .inbound(l.segment_back(FIN_ACK).acknowledging_more(1), refused(Reason::TcpWindow))
    .then(&l, FlowState::Established)
    .outbound(l.segment_out(flag::ACK).payload(b"?"), belongs_to(&l))
    .inbound(back().acknowledging_more(1), refused(Reason::TcpWindow))
    .inbound(back(), belongs_to(&l))
}

fn never_sent_to_inside(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC6092-REC-32"],
        format!("{family:?}: inside acknowledges what came in some other way: no checks any more"),
    )
    .established(&l)
    .outbound(l.segment_out(flag::ACK).acknowledging_more(5_000), belongs_to(&l).out_of_step())
    .inbound(l.segment_back(flag::ACK).ahead(1 << 30).payload(b"data"), belongs_to(&l))
    .inbound(l.segment_back(flag::ACK).acknowledging_more(1 << 30), belongs_to(&l))
    .then(&l, FlowState::Established)
}

fn inside_knows_better(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC6092-REC-32"],
        format!("{family:?}: inside sends what does not fit: the records are behind, not inside"),
    )
    .established(&l)
    .outbound(l.segment_out(flag::ACK).ahead(1 << 20).payload(b"far"), belongs_to(&l).out_of_step())
    .then(&l, FlowState::Established)
    .inbound(l.segment_back(flag::ACK).acknowledging_more(1 << 20), belongs_to(&l))
    .outbound(l.segment_out(flag::ACK), belongs_to(&l))
    .inbound(l.segment_back(flag::ACK).ahead(1 << 30).payload(b"data"), belongs_to(&l))
    .then(&l, FlowState::Established)
}

fn fin_from_inside(family: Family) -> Row {
    let l = tcp_flow(family);
    let fin = l.segment_out(FIN_ACK).ahead(1 << 25);
    row(&["RFC6092-REC-32"], format!("{family:?}: the same for the end of what inside sends"))
        .established(&l)
        .outbound(fin, belongs_to(&l).out_of_step().marked(mark::FIN))
        .then(&l, FlowState::FinWait)
        .inbound(l.segment_back(FIN_ACK), belongs_to(&l).marked(mark::FIN))
        .inbound(l.segment_back(flag::ACK), belongs_to(&l).marked(mark::LAST_ACK))
        .then(&l, FlowState::TimeWait)
}

fn impatient_inside(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC5382-S9"],
        format!("{family:?}: inside sends a little more than it was granted, and may be answered"),
    )
    .established(&l)
    .outbound(
        l.segment_out(flag::ACK).ahead(65_536).payload(&[0; 100]),
        belongs_to(&l).overshooting(),
    )
    .inbound(l.segment_back(flag::ACK).acknowledging_more(1), refused(Reason::TcpWindow))
    .inbound(l.segment_back(flag::ACK), belongs_to(&l))
}

/// A datagram of a flow that was split on its way: nobody knows how long the segment is.
fn first_fragment(family: Family) -> Row {
    let l = tcp_flow(family);
    let first = l.segment_back(flag::ACK).payload(&[0; 1_004]).identification(7).fragment(0, true);
    row(&[], format!("{family:?}: after a fragmented segment numbers cannot be checked any more"))
        .established(&l)
        .inbound(first, belongs_to(&l).marked(mark::UNCHECKED).admitting(l.datagram(7)))
        .outbound(l.segment_out(flag::ACK).acknowledging_more(5_000), belongs_to(&l))
        .inbound(l.segment_back(flag::ACK).ahead(1 << 25), belongs_to(&l))
}

fn padding(family: Family) -> Row {
    let l = tcp_flow(family);
    let padded = l.segment_back(flag::ACK).trailer(&[0; 6]);
    row(&["E11"], format!("{family:?}: what pads a short frame is not data"))
        .established(&l)
        .inbound(padded.clone(), belongs_to(&l))
        .inbound(padded.payload(b"!"), belongs_to(&l))
        .outbound(l.segment_out(flag::ACK).trailer(&[0; 6]), belongs_to(&l))
        .inbound(l.segment_back(flag::ACK).acknowledging_more(1), refused(Reason::TcpWindow))
        .outbound(l.segment_out(flag::ACK).acknowledging_more(1), belongs_to(&l).out_of_step())
}

/// One end begins just below zero, the other just below where signed numbers change their sign.
fn wrapping(family: Family) -> Row {
    let l = tcp_flow(family);
    let row = row(&["RFC6092-REC-31"], format!("{family:?}: numbers wrap around"));
    (0..6)
        .fold(row.established(&l), |row, _| {
            row.outbound(l.segment_out(flag::ACK).payload(&[0; 8]), belongs_to(&l))
                .inbound(l.segment_back(flag::ACK).payload(&[0; 8]), belongs_to(&l))
        })
        .inbound(l.segment_back(flag::RST).ahead(70_000), refused(Reason::TcpWindow))
        .inbound(l.segment_back(flag::RST).behind(48), refused(Reason::TcpWindow))
        .inbound(l.segment_back(flag::ACK).acknowledging_more(1), refused(Reason::TcpWindow))
        .outbound(l.segment_out(flag::ACK).behind(48).payload(&[0; 48]), belongs_to(&l))
}

fn picked_up(family: Family) -> Row {
    let l = tcp_flow(family);
    let far = || l.segment_back(flag::ACK).payload(&[0; 100]);
    row(
        &["RFC6092-REC-32", "E136"],
        format!("{family:?}: a flow picked up in mid-stream has any window"),
    )
    .outbound(l.segment_out(flag::ACK), opens(&l).marked(mark::PICKED_UP))
    .inbound(far().ahead(1 << 30), belongs_to(&l))
    .outbound(l.segment_out(flag::ACK), belongs_to(&l).promoted())
    .inbound(far().behind(1 << 30).acknowledging_more(1 << 30), belongs_to(&l))
    .outbound(l.segment_out(flag::ACK).ahead(1 << 30), belongs_to(&l))
}

fn one_opening_seen(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC6092-REC-32"],
        format!("{family:?}: the answer to the opening came another way, so nothing is checked"),
    )
    .outbound(l.segment_out(flag::SYN), opens(&l))
    .outbound(l.segment_out(flag::ACK), belongs_to(&l).marked(mark::PICKED_UP))
    .then(&l, FlowState::Established)
    .inbound(l.segment_back(flag::ACK).ahead(1 << 20).payload(b"data"), belongs_to(&l))
    .outbound(l.segment_out(flag::ACK).acknowledging_more(1 << 20), belongs_to(&l).promoted())
    .inbound(l.segment_back(flag::ACK).acknowledging_more(1 << 20), belongs_to(&l))
}

/// Before inside has acknowledged anything, the window of its SYN counts from what came so far.
fn early_data(family: Family) -> Row {
    let l = tcp_flow(family);
    let row = row(&["RFC6092-REC-31"], format!("{family:?}: outside sends data with its answer"))
        .outbound(l.segment_out(flag::SYN).window(1_000), opens(&l))
        .inbound(l.segment_back(SYN_ACK), belongs_to(&l))
        .inbound(l.segment_back(flag::ACK).payload(&[0; 1_000]), belongs_to(&l))
        .inbound(l.segment_back(flag::ACK).ahead(2_100), refused(Reason::TcpWindow));
    row.outbound(l.segment_out(flag::ACK).window(2_000), belongs_to(&l).promoted())
        .inbound(l.segment_back(flag::ACK).payload(&[0; 2_000]), belongs_to(&l))
}

fn offloaded(family: Family, header_bytes: u64) -> Row {
    let l = tcp_flow(family);
    row(&[], format!("{family:?}: data of all segments of an offloaded packet may be acknowledged"))
        .established(&l)
        .outbound(
            l.segment_out(flag::ACK).payload(&[0; 3_000]),
            belongs_to(&l).counting(3_000 + 3 * header_bytes),
        )
        .segmented(3, 1_200)
        .inbound(l.segment_back(flag::ACK).acknowledging_less(600), belongs_to(&l))
        .inbound(l.segment_back(flag::ACK), belongs_to(&l))
        .inbound(l.segment_back(flag::ACK).acknowledging_more(1), refused(Reason::TcpWindow))
}
