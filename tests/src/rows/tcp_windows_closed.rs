//! Windows that are scaled, closed, or seen through selective acknowledgements.

use super::prelude::*;

pub(super) fn rows() -> Vec<Row> {
    FAMILIES
        .into_iter()
        .flat_map(|family| {
            [
                scaled(family),
                scaled_by_one_side_only(family),
                scale_too_large(family),
                scale_of_zero(family),
                zero_window_of_outside(family),
                zero_window_of_inside(family),
                no_window_at_all(family),
                selective(family),
                selective_not_permitted(family),
                selective_of_data_never_sent(family),
                duplicate_selective(family),
            ]
        })
        .collect()
}

fn scaled(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC6092-REC-32", "RFC5382-S9"],
        format!("{family:?}: both sides scale their windows, but not those of their SYNs"),
    )
    .outbound(l.segment_out(flag::SYN).tcp_options(&option::scale(7)), opens(&l))
    .inbound(l.segment_back(SYN_ACK).tcp_options(&option::scale(3)), belongs_to(&l))
    .inbound(l.segment_back(flag::ACK).ahead(140_000), refused(Reason::TcpWindow))
    .outbound(l.segment_out(flag::ACK).window(10_000), belongs_to(&l).promoted())
    .inbound(
        l.segment_back(flag::ACK).window(50_000).ahead(1_279_900).payload(&[0; 100]),
        belongs_to(&l),
    )
    .outbound(l.segment_out(flag::ACK).window(10_000).acknowledging_less(1_280_000), belongs_to(&l))
    .inbound(l.segment_back(flag::ACK).ahead(1_300_000), refused(Reason::TcpWindow))
    .inbound(l.segment_back(flag::ACK).window(50_000).behind(1_280_000), belongs_to(&l))
    .outbound(l.segment_out(flag::ACK).ahead(399_900).payload(&[0; 100]), belongs_to(&l))
    .outbound(l.segment_out(flag::ACK).ahead(400_001), belongs_to(&l).out_of_step())
}

fn scaled_by_one_side_only(family: Family) -> Row {
    let l = tcp_flow(family);
    let (inside, outside) = (&option::scale(7)[..], &option::scale(3)[..]);
    let far = || l.segment_back(flag::ACK).ahead(132_000);
    row(&["RFC6092-REC-32"], format!("{family:?}: windows are scaled only if both sides want to"))
        .established_with(&l, inside, &[])
        .inbound(far(), refused(Reason::TcpWindow))
        .replacing(FlowEvent::Replaced)
        .established_with(&l, &[], outside)
        .inbound(far(), refused(Reason::TcpWindow))
        .replacing(FlowEvent::Replaced)
        .established_with(&l, inside, outside)
        .inbound(far(), belongs_to(&l))
}

fn scale_too_large(family: Family) -> Row {
    let l = tcp_flow(family);
    row(&["E137"], format!("{family:?}: a window scale above 14 counts as 14"))
        .established_with(&l, &option::scale(15), &option::scale(255))
        .inbound(l.segment_back(flag::ACK).window(1), belongs_to(&l))
        .outbound(l.segment_out(flag::ACK).window(u16::MAX), belongs_to(&l))
        .inbound(l.segment_back(flag::ACK).ahead((65_535 << 14) - 100), belongs_to(&l))
}

fn scale_of_zero(family: Family) -> Row {
    let l = tcp_flow(family);
    row(&["RFC6092-REC-32"], format!("{family:?}: a window scale of zero is one"))
        .established_with(&l, &option::scale(0), &option::scale(4))
        .inbound(l.segment_back(flag::ACK).window(50_000), belongs_to(&l))
        .outbound(l.segment_out(flag::ACK).ahead(799_000), belongs_to(&l))
        .inbound(l.segment_back(flag::ACK).ahead(1_000_000), refused(Reason::TcpWindow))
}

fn zero_window_of_outside(family: Family) -> Row {
    let l = tcp_flow(family);
    let full = || l.segment_back(flag::ACK).window(0);
    row(&["RFC9293-WIN0"], format!("{family:?}: inside probes a closed window"))
        .outbound(l.segment_out(flag::SYN), opens(&l))
        .inbound(l.segment_back(SYN_ACK).window(10), belongs_to(&l))
        .outbound(l.segment_out(flag::ACK).payload(&[0; 10]), belongs_to(&l).promoted())
        .inbound(full(), belongs_to(&l))
        .outbound(l.segment_out(flag::ACK).payload(b"p"), belongs_to(&l))
        .inbound(full().acknowledging_less(1), belongs_to(&l))
        .outbound(l.segment_out(flag::ACK).behind(1).payload(b"p"), belongs_to(&l))
        .inbound(l.segment_back(flag::ACK | flag::URG).window(0), belongs_to(&l))
        .outbound(l.segment_out(flag::ACK).payload(b"p"), belongs_to(&l))
        .inbound(l.segment_back(flag::ACK).window(1_000), belongs_to(&l))
        .outbound(l.segment_out(flag::ACK).payload(&[0; 1_000]), belongs_to(&l))
}

fn zero_window_of_inside(family: Family) -> Row {
    let l = tcp_flow(family);
    let full = || l.segment_out(flag::ACK).window(0);
    let probe = || l.segment_back(flag::ACK).payload(b"p");
    row(&["RFC9293-WIN0"], format!("{family:?}: outside probes a closed window"))
        .outbound(l.segment_out(flag::SYN).window(10), opens(&l))
        .inbound(l.segment_back(SYN_ACK), belongs_to(&l))
        .outbound(l.segment_out(flag::ACK).window(10), belongs_to(&l).promoted())
        .inbound(l.segment_back(flag::ACK).payload(&[0; 10]), belongs_to(&l))
        .outbound(full(), belongs_to(&l))
        .inbound(probe(), belongs_to(&l))
        .outbound(full().acknowledging_less(1), belongs_to(&l))
        .inbound(probe().behind(1), belongs_to(&l))
        // Old segments and acknowledgements are still acceptable.
        .inbound(l.segment_back(flag::ACK).behind(1), belongs_to(&l))
        .outbound(l.segment_out(flag::ACK).window(10), belongs_to(&l))
        .inbound(l.segment_back(flag::RST), belongs_to(&l).resetting())
}

fn no_window_at_all(family: Family) -> Row {
    let l = tcp_flow(family);
    row(&["RFC9293-WIN0"], format!("{family:?}: both sides begin with closed windows"))
        .outbound(l.segment_out(flag::SYN).window(0), opens(&l))
        .inbound(l.segment_back(SYN_ACK).window(0), belongs_to(&l))
        .outbound(l.segment_out(flag::ACK).window(0), belongs_to(&l).promoted())
        .inbound(l.segment_back(flag::ACK).window(0).payload(b"p"), belongs_to(&l))
        .outbound(l.segment_out(flag::ACK).window(100), belongs_to(&l))
        .inbound(l.segment_back(flag::ACK).window(100).payload(&[0; 100]), belongs_to(&l))
        .outbound(l.segment_out(flag::ACK).payload(&[0; 100]), belongs_to(&l))
}

/// Of what outside sends a part is lost. What inside says about the rest moves its window on.
fn selective(family: Family) -> Row {
    let l = tcp_flow(family);
    let options = option::scale_and_sack(0);
    row(&["RFC6092-REC-31"], format!("{family:?}: selective acknowledgements move the window"))
        .established_with(&l, &options, &options)
        .inbound(l.segment_back(flag::ACK).ahead(30_000).payload(&[0; 1_000]), belongs_to(&l))
        .outbound(
            l.segment_out(flag::ACK).acknowledging_less(31_000).sacks(&[(30_000, 31_000)]),
            belongs_to(&l),
        )
        .inbound(l.segment_back(flag::ACK).ahead(60_000).payload(&[0; 1_000]), belongs_to(&l))
        .outbound(
            l.segment_out(flag::ACK).acknowledging_less(92_000).sacks(&[
                (91_000, 92_000),
                (30_000, 31_000),
                (0, 500),
                (700, 900),
            ]),
            belongs_to(&l),
        )
        .inbound(l.segment_back(flag::ACK).behind(92_000).payload(&[0; 1_000]), belongs_to(&l))
        .outbound(l.segment_out(flag::ACK).payload(&[0; 500]), belongs_to(&l))
        .inbound(
            l.segment_back(flag::ACK).acknowledging_less(500).sacks(&[(100, 500)]),
            belongs_to(&l),
        )
}

fn selective_not_permitted(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC6092-REC-31"],
        format!("{family:?}: nobody who does not want them gets selective acknowledgements"),
    )
    .established_with(&l, &option::SACK_PERMITTED, &[])
    .inbound(l.segment_back(flag::ACK).ahead(30_000).payload(&[0; 1_000]), belongs_to(&l))
    .outbound(
        l.segment_out(flag::ACK).acknowledging_less(31_000).sacks(&[(30_000, 31_000)]),
        belongs_to(&l),
    )
}

fn selective_of_data_never_sent(family: Family) -> Row {
    let l = tcp_flow(family);
    let sack = option::SACK_PERMITTED;
    row(
        &["RFC5961-5.2", "RFC5382-S9"],
        format!("{family:?}: selective acknowledgements of what was never sent"),
    )
    .established_with(&l, &sack, &sack)
    .inbound(l.segment_back(flag::ACK).sacks(&[(1, 2)]), refused(Reason::TcpWindow))
    .outbound(l.segment_out(flag::ACK).payload(&[0; 100]), belongs_to(&l))
    .inbound(
        l.segment_back(flag::ACK).acknowledging_less(100).sacks(&[(10, 20), (90, 101)]),
        refused(Reason::TcpWindow),
    )
    .inbound(
        l.segment_back(flag::ACK).acknowledging_less(100).sacks(&[(10, 20), (90, 100)]),
        belongs_to(&l),
    )
}

/// RFC 2883: a block below the acknowledgment number says what arrived twice.
fn duplicate_selective(family: Family) -> Row {
    let l = tcp_flow(family);
    let sack = option::SACK_PERMITTED;
    row(&["RFC6092-REC-31"], format!("{family:?}: duplicates are acknowledged selectively too"))
        .established_with(&l, &sack, &sack)
        .outbound(l.segment_out(flag::ACK).payload(&[0; 100]), belongs_to(&l))
        .outbound(l.segment_out(flag::ACK).behind(100).payload(&[0; 100]), belongs_to(&l))
        .inbound(l.segment_back(flag::ACK).sacks(&[(-100, 0)]), belongs_to(&l))
}
