//! Both ends open at the same time (RFC 9293 section 3.5).

use super::prelude::*;

pub(super) fn rows() -> Vec<Row> {
    FAMILIES
        .into_iter()
        .flat_map(|family| {
            [
                plain(family),
                everything_twice(family),
                data_on_both_openings(family),
                data_on_the_answer(family),
                data_before_the_answer(family),
                acknowledged_without_answer(family),
                wrong_acknowledgement(family),
                reset_by_outside(family),
                reset_by_inside(family),
                ended_at_once(family),
                not_after_an_answer(family),
                seen_late(family),
            ]
        })
        .collect()
}

fn plain(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC9293-SO", "RFC6092-REC-31", "RFC5382-REQ-2/2a", "RFC7857-2", "E130"],
        format!("{family:?}: both ends open at the same time"),
    )
    .outbound(l.segment_out(flag::SYN).tcp_options(&option::scale(2)), opens(&l))
    .inbound(l.segment_back(flag::SYN).tcp_options(&option::scale(3)), belongs_to(&l))
    .then(&l, FlowState::SynReceived)
    .outbound(l.segment_out(SYN_ACK), belongs_to(&l))
    .inbound(l.segment_back(SYN_ACK).tcp_options(&option::scale(3)), belongs_to(&l))
    .outbound(l.segment_out(flag::ACK), belongs_to(&l).promoted())
    .then(&l, FlowState::Established)
    .outbound(l.segment_out(flag::ACK | flag::PSH).payload(b"question"), belongs_to(&l))
    .inbound(l.segment_back(flag::ACK | flag::PSH).payload(b"answer"), belongs_to(&l))
}

fn everything_twice(family: Family) -> Row {
    let l = tcp_flow(family);
    row(&["RFC9293-SO", "RFC6092-REC-31"], format!("{family:?}: the same, and every segment twice"))
        .outbound(l.segment_out(flag::SYN), opens(&l))
        .outbound(l.segment_out(flag::SYN), belongs_to(&l))
        .inbound(l.segment_back(flag::SYN), belongs_to(&l))
        .inbound(l.segment_back(flag::SYN), belongs_to(&l))
        .outbound(l.segment_out(flag::SYN), belongs_to(&l))
        .outbound(l.segment_out(SYN_ACK), belongs_to(&l))
        .outbound(l.segment_out(SYN_ACK), belongs_to(&l))
        .inbound(l.segment_back(SYN_ACK), belongs_to(&l))
        .inbound(l.segment_back(SYN_ACK), belongs_to(&l))
        .outbound(l.segment_out(flag::ACK), belongs_to(&l).promoted())
        .outbound(l.segment_out(flag::ACK), belongs_to(&l))
        .then(&l, FlowState::Established)
}

fn data_on_both_openings(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC9293-SO", "RFC9293-SYNDATA", "RFC6092-REC-31"],
        format!("{family:?}: both ends open at the same time, with data"),
    )
    .outbound(l.segment_out(flag::SYN).payload(b"question"), opens(&l))
    .inbound(l.segment_back(flag::SYN).payload(b"news"), belongs_to(&l))
    .outbound(l.segment_out(SYN_ACK).payload(b"question"), belongs_to(&l))
    .inbound(l.segment_back(SYN_ACK).payload(b"news"), belongs_to(&l))
    .outbound(l.segment_out(flag::ACK).payload(b"more"), belongs_to(&l).promoted())
    .inbound(l.segment_back(flag::ACK), belongs_to(&l))
    .then(&l, FlowState::Established)
}

/// Data may go with the answer that each end gives, before either knows that it was heard.
fn data_on_the_answer(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC9293-SO", "RFC6092-REC-31"],
        format!("{family:?}: both ends open at the same time, and answer with data"),
    )
    .outbound(l.segment_out(flag::SYN), opens(&l))
    .inbound(l.segment_back(flag::SYN), belongs_to(&l))
    .outbound(l.segment_out(SYN_ACK).payload(b"question"), belongs_to(&l))
    .inbound(l.segment_back(SYN_ACK).acknowledging_less(8).payload(b"news"), belongs_to(&l))
    .outbound(l.segment_out(flag::ACK), belongs_to(&l).promoted())
    .inbound(l.segment_back(flag::ACK), belongs_to(&l))
    .then(&l, FlowState::Established)
}

fn data_before_the_answer(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC9293-SO", "RFC6092-REC-31"],
        format!("{family:?}: inside sends data before outside's answer has come"),
    )
    .outbound(l.segment_out(flag::SYN), opens(&l))
    .inbound(l.segment_back(flag::SYN), belongs_to(&l))
    .outbound(l.segment_out(SYN_ACK), belongs_to(&l))
    .outbound(l.segment_out(flag::ACK).payload(b"question"), belongs_to(&l))
    .outbound(l.segment_out(flag::SYN), belongs_to(&l))
    .inbound(l.segment_back(SYN_ACK).acknowledging_less(8), belongs_to(&l))
    .outbound(l.segment_out(flag::ACK), belongs_to(&l).promoted())
    .then(&l, FlowState::Established)
}

fn acknowledged_without_answer(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC9293-SO", "RFC6092-REC-31"],
        format!("{family:?}: outside acknowledges inside's opening without repeating its own"),
    )
    .outbound(l.segment_out(flag::SYN), opens(&l))
    .inbound(l.segment_back(flag::SYN), belongs_to(&l))
    .outbound(l.segment_out(SYN_ACK), belongs_to(&l))
    .inbound(l.segment_back(flag::ACK).payload(b"news"), belongs_to(&l))
    .outbound(l.segment_out(flag::ACK), belongs_to(&l).promoted())
    .then(&l, FlowState::Established)
}

fn wrong_acknowledgement(family: Family) -> Row {
    let l = tcp_flow(family);
    let ack = || l.segment_back(flag::ACK);
    row(
        &["RFC5382-S9", "E129"],
        format!("{family:?}: whoever forged the other opening cannot complete it"),
    )
    .outbound(l.segment_out(flag::SYN), opens(&l))
    .inbound(l.segment_back(flag::SYN).ahead(1 << 20), belongs_to(&l))
    .inbound(ack().acknowledging_less(1), refused(Reason::TcpWindow))
    .inbound(ack().acknowledging_more(1), refused(Reason::TcpWindow))
    .inbound(l.segment_back(FIN_ACK).acknowledging_less(1), refused(Reason::TcpWindow))
    .inbound(l.segment_back(SYN_ACK).acknowledging_more(1), refused(Reason::TcpWindow))
    .outbound(l.segment_out(SYN_ACK), belongs_to(&l))
    .inbound(ack().acknowledging_less(1 << 20), refused(Reason::TcpWindow))
    .then(&l, FlowState::SynReceived)
}

fn reset_by_outside(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC6092-REC-31", "RFC5961-3.2-1", "RFC5961-3.2-2"],
        format!("{family:?}: outside resets what both ends opened"),
    )
    .outbound(l.segment_out(flag::SYN), opens(&l))
    .inbound(l.segment_back(flag::SYN), belongs_to(&l))
    .outbound(l.segment_out(SYN_ACK), belongs_to(&l))
    .inbound(l.segment_back(flag::RST).ahead(1 << 20), refused(Reason::TcpWindow))
    .inbound(l.segment_back(flag::RST), belongs_to(&l).resetting())
    .then(&l, FlowState::Closed)
}

fn reset_by_inside(family: Family) -> Row {
    let l = tcp_flow(family);
    row(&["RFC6092-REC-31"], format!("{family:?}: inside resets what both ends opened"))
        .outbound(l.segment_out(flag::SYN), opens(&l))
        .inbound(l.segment_back(flag::SYN), belongs_to(&l))
        .outbound(l.segment_out(flag::RST | flag::ACK), belongs_to(&l).resetting())
        .then(&l, FlowState::Closed)
        .outbound(l.segment_out(flag::SYN), opens(&l).replacing(FlowEvent::Reset))
}

fn ended_at_once(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC9293-SO", "RFC6092-REC-31"],
        format!("{family:?}: both ends open and close at the same time"),
    )
    .outbound(l.segment_out(flag::SYN), opens(&l))
    .inbound(l.segment_back(flag::SYN), belongs_to(&l))
    .outbound(l.segment_out(SYN_ACK), belongs_to(&l))
    .inbound(l.segment_back(SYN_ACK), belongs_to(&l))
    .outbound(l.segment_out(FIN_ACK), belongs_to(&l).promoted().marked(mark::FIN))
    .inbound(l.segment_back(FIN_ACK).acknowledging_less(1), belongs_to(&l).marked(mark::FIN))
    .outbound(l.segment_out(flag::ACK), belongs_to(&l).marked(mark::LAST_ACK))
    .inbound(l.segment_back(flag::ACK), belongs_to(&l).marked(mark::LAST_ACK))
    .then(&l, FlowState::TimeWait)
}

fn not_after_an_answer(family: Family) -> Row {
    let l = tcp_flow(family);
    row(&["E131"], format!("{family:?}: once outside has answered, it opens no more"))
        .outbound(l.segment_out(flag::SYN), opens(&l))
        .inbound(l.segment_back(flag::SYN), belongs_to(&l))
        .inbound(l.segment_back(SYN_ACK), belongs_to(&l))
        .inbound(l.segment_back(flag::SYN), refused(Reason::TcpState))
        .outbound(l.segment_out(flag::ACK), belongs_to(&l).promoted())
        .inbound(l.segment_back(flag::SYN), refused(Reason::TcpState))
}

/// Outside's SYN was on its way before inside's left, and came too early.
fn seen_late(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC9293-SO", "RFC5382-REQ-4"],
        format!("{family:?}: a SYN that came before inside opened is forgotten"),
    )
    .inbound(l.segment_back(flag::SYN), refused(Reason::NoFlow))
    .outbound(l.segment_out(flag::SYN), opens(&l))
    .inbound(l.segment_back(flag::SYN), belongs_to(&l))
    .outbound(l.segment_out(SYN_ACK), belongs_to(&l))
    .inbound(l.segment_back(SYN_ACK), belongs_to(&l))
    .outbound(l.segment_out(flag::ACK), belongs_to(&l).promoted())
}
