//! Data on the SYN (RFC 9293 section 3.4, RFC 7413), and answers that do not fit an opening.

use super::prelude::*;

pub(super) fn rows() -> Vec<Row> {
    FAMILIES
        .into_iter()
        .flat_map(|family| {
            [
                both(family),
                refused_data(family),
                part_of_the_data(family),
                without_data_after_all(family),
                with_data_after_all(family),
                answered_and_closed(family),
                wrong_answer(family),
                wrong_answer_to_data(family),
                answer_with_another_number(family),
            ]
        })
        .collect()
}

/// A Fast Open cookie.
const COOKIE: [u8; 10] = [34, 10, 1, 2, 3, 4, 5, 6, 7, 8];

fn both(family: Family) -> Row {
    let l = tcp_flow(family);
    row(&["RFC9293-SYNDATA", "RFC6092-REC-31"], format!("{family:?}: data on both SYNs"))
        .outbound(l.segment_out(flag::SYN).tcp_options(&COOKIE).payload(b"question"), opens(&l))
        .inbound(l.segment_back(SYN_ACK).payload(b"answer"), belongs_to(&l))
        .inbound(l.segment_back(flag::ACK | flag::PSH).payload(b"more"), belongs_to(&l))
        .outbound(l.segment_out(flag::ACK), belongs_to(&l).promoted())
}

fn refused_data(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC9293-SYNDATA", "RFC6092-REC-31"],
        format!("{family:?}: outside takes the SYN only, so the data is sent again"),
    )
    .outbound(l.segment_out(flag::SYN).tcp_options(&COOKIE).payload(b"question"), opens(&l))
    .inbound(l.segment_back(SYN_ACK).acknowledging_less(8), belongs_to(&l))
    .inbound(l.segment_back(SYN_ACK).acknowledging_less(8), belongs_to(&l))
    .outbound(l.segment_out(flag::ACK).behind(8).payload(b"question"), belongs_to(&l).promoted())
    .inbound(l.segment_back(flag::ACK), belongs_to(&l))
    .inbound(l.segment_back(flag::ACK).acknowledging_more(1), refused(Reason::TcpWindow))
}

fn part_of_the_data(family: Family) -> Row {
    let l = tcp_flow(family);
    row(&["RFC9293-SYNDATA"], format!("{family:?}: outside takes a part of the data on the SYN"))
        .outbound(l.segment_out(flag::SYN).payload(&[0; 1_400]), opens(&l))
        .inbound(l.segment_back(SYN_ACK).acknowledging_less(900), belongs_to(&l))
        .outbound(
            l.segment_out(flag::ACK).behind(900).payload(&[0; 900]),
            belongs_to(&l).promoted(),
        )
        .inbound(l.segment_back(flag::ACK), belongs_to(&l))
}

/// RFC 7413 section 4.1.3: the data may be what a middlebox does not like.
fn without_data_after_all(family: Family) -> Row {
    let l = tcp_flow(family);
    row(&["RFC9293-SYNDATA"], format!("{family:?}: inside repeats its SYN without the data"))
        .outbound(l.segment_out(flag::SYN).tcp_options(&COOKIE).payload(b"question"), opens(&l))
        .outbound(l.segment_out(flag::SYN), belongs_to(&l))
        .inbound(l.segment_back(SYN_ACK).acknowledging_less(8), belongs_to(&l))
        .outbound(l.segment_out(flag::SYN).payload(b"question"), belongs_to(&l))
        .outbound(l.segment_out(flag::ACK).behind(8), belongs_to(&l).promoted())
        .outbound(l.segment_out(flag::ACK).behind(8).payload(b"question"), belongs_to(&l))
        .inbound(l.segment_back(flag::ACK), belongs_to(&l))
}

/// The data has to count, so this is another opening, although with the same number.
fn with_data_after_all(family: Family) -> Row {
    let l = tcp_flow(family);
    let syn = |data: &[u8]| l.segment_out(flag::SYN).sequence(5_000).payload(data);
    row(&["RFC9293-SYNDATA"], format!("{family:?}: inside repeats its SYN with data on it"))
        .outbound(syn(b""), opens(&l))
        .outbound(syn(b"question"), opens(&l).replacing(FlowEvent::Replaced))
        .outbound(syn(b"question"), belongs_to(&l))
        .inbound(l.segment_back(SYN_ACK), belongs_to(&l))
        .outbound(l.segment_out(flag::ACK), belongs_to(&l).promoted())
}

fn answered_and_closed(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC9293-SYNDATA", "RFC6092-REC-31"],
        format!("{family:?}: outside answers and closes before inside has confirmed anything"),
    )
    .outbound(l.segment_out(flag::SYN).payload(b"question"), opens(&l))
    .inbound(l.segment_back(SYN_ACK), belongs_to(&l))
    .inbound(l.segment_back(flag::ACK).payload(b"answer"), belongs_to(&l))
    .inbound(l.segment_back(FIN_ACK), belongs_to(&l).marked(mark::FIN))
    .then(&l, FlowState::CloseWait)
    .outbound(l.segment_out(flag::ACK), belongs_to(&l).promoted())
    .outbound(l.segment_out(FIN_ACK), belongs_to(&l).marked(mark::FIN))
    .inbound(l.segment_back(flag::ACK), belongs_to(&l).marked(mark::LAST_ACK))
    .then(&l, FlowState::TimeWait)
}

fn wrong_answer(family: Family) -> Row {
    let l = tcp_flow(family);
    let answer = || l.segment_back(SYN_ACK);
    row(&["E129", "RFC5382-S9"], format!("{family:?}: an answer to a SYN that inside did not send"))
        .outbound(l.segment_out(flag::SYN), opens(&l))
        .inbound(answer().acknowledging_less(1), refused(Reason::TcpWindow))
        .inbound(answer().acknowledging_more(1), refused(Reason::TcpWindow))
        .inbound(answer().acknowledging_more(1 << 31), refused(Reason::TcpWindow))
        .inbound(answer().acknowledge(0).payload(b"data"), refused(Reason::TcpWindow))
        .then(&l, FlowState::SynSent)
        .inbound(answer(), belongs_to(&l))
}

fn wrong_answer_to_data(family: Family) -> Row {
    let l = tcp_flow(family);
    let answer = || l.segment_back(SYN_ACK);
    row(
        &["E129", "RFC9293-SYNDATA"],
        format!("{family:?}: an answer to data that was not on the SYN"),
    )
    .outbound(l.segment_out(flag::SYN).payload(b"question"), opens(&l))
    .inbound(answer().acknowledging_more(1), refused(Reason::TcpWindow))
    .inbound(answer().acknowledging_less(9), refused(Reason::TcpWindow))
    .then(&l, FlowState::SynSent)
    .inbound(answer().acknowledging_less(8), belongs_to(&l))
}

/// Outside lost its state between two answers, or the first one was forged.
fn answer_with_another_number(family: Family) -> Row {
    let l = tcp_flow(family);
    row(&["RFC6092-REC-31", "RFC5382-S9"], format!("{family:?}: the last answer to the SYN counts"))
        .outbound(l.segment_out(flag::SYN), opens(&l))
        .inbound(l.segment_back(SYN_ACK).ahead(1 << 29).window(1), belongs_to(&l))
        .inbound(l.segment_back(SYN_ACK), belongs_to(&l))
        .outbound(l.segment_out(flag::ACK), belongs_to(&l).promoted())
        .inbound(l.segment_back(flag::ACK).payload(b"data"), belongs_to(&l))
        .inbound(l.segment_back(flag::ACK).ahead(1 << 29), refused(Reason::TcpWindow))
}
