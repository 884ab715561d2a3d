//! How TCP connections end (RFC 9293 section 3.6, RFC 7857 section 2).

use super::prelude::*;

pub(super) fn rows() -> Vec<Row> {
    FAMILIES
        .into_iter()
        .flat_map(|family| {
            [
                inside_closes_first(family),
                outside_closes_first(family),
                crossing_fins(family),
                everything_twice(family),
                half_closed_for_long(family),
                late_fin(family),
                reset_from_outside(family),
                reset_is_doubted(family),
                reset_runs_out(family),
                reset_from_inside(family),
                reset_while_opening(family),
                reset_again(family),
            ]
        })
        .collect()
}

fn inside_closes_first(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC6092-REC-31", "RFC7857-2"],
        format!("{family:?}: inside closes first, outside has more to say"),
    )
    .established(&l)
    .outbound(l.segment_out(FIN_ACK), belongs_to(&l).marked(mark::FIN))
    .then(&l, FlowState::FinWait)
    .inbound(l.segment_back(flag::ACK), belongs_to(&l))
    .inbound(l.segment_back(flag::ACK | flag::PSH).payload(b"answer"), belongs_to(&l))
    .outbound(l.segment_out(flag::ACK), belongs_to(&l))
    .then(&l, FlowState::FinWait)
    .inbound(l.segment_back(FIN_ACK), belongs_to(&l).marked(mark::FIN))
    .then(&l, FlowState::LastAck)
    .outbound(l.segment_out(flag::ACK), belongs_to(&l).marked(mark::LAST_ACK))
    .then(&l, FlowState::TimeWait)
}

fn outside_closes_first(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC6092-REC-31", "RFC7857-2"],
        format!("{family:?}: outside closes first, inside has more to say"),
    )
    .established(&l)
    .inbound(
        l.segment_back(FIN_ACK | flag::PSH).payload(b"answer"),
        belongs_to(&l).marked(mark::FIN),
    )
    .then(&l, FlowState::CloseWait)
    .outbound(l.segment_out(flag::ACK).payload(b"more"), belongs_to(&l))
    .inbound(l.segment_back(flag::ACK), belongs_to(&l))
    .then(&l, FlowState::CloseWait)
    .outbound(l.segment_out(FIN_ACK), belongs_to(&l).marked(mark::FIN))
    .then(&l, FlowState::LastAck)
    .inbound(l.segment_back(flag::ACK), belongs_to(&l).marked(mark::LAST_ACK))
    .then(&l, FlowState::TimeWait)
}

fn crossing_fins(family: Family) -> Row {
    let l = tcp_flow(family);
    row(&["RFC6092-REC-31"], format!("{family:?}: both ends close at the same time"))
        .established(&l)
        .outbound(l.segment_out(FIN_ACK), belongs_to(&l).marked(mark::FIN))
        .inbound(l.segment_back(FIN_ACK).acknowledging_less(1), belongs_to(&l).marked(mark::FIN))
        .then(&l, FlowState::LastAck)
        .inbound(l.segment_back(flag::ACK), belongs_to(&l).marked(mark::LAST_ACK))
        .outbound(l.segment_out(flag::ACK), belongs_to(&l).marked(mark::LAST_ACK))
        .then(&l, FlowState::TimeWait)
}

fn everything_twice(family: Family) -> Row {
    let l = tcp_flow(family);
    let fin_out = || l.segment_out(FIN_ACK);
    let fin_back = || l.segment_back(FIN_ACK);
    let ends = || belongs_to(&l).marked(mark::FIN);
    row(&["RFC6092-REC-31"], format!("{family:?}: every segment of an end, twice"))
        .established(&l)
        .outbound(fin_out().payload(b"bye"), ends())
        .outbound(fin_out().payload(b"bye").behind(4), ends())
        .inbound(l.segment_back(flag::ACK), belongs_to(&l))
        .inbound(l.segment_back(flag::ACK), belongs_to(&l))
        .outbound(fin_out().behind(1), ends())
        .inbound(fin_back(), ends())
        .inbound(fin_back().behind(1), ends())
        .then(&l, FlowState::LastAck)
        .outbound(l.segment_out(flag::ACK), belongs_to(&l).marked(mark::LAST_ACK))
        .outbound(l.segment_out(flag::ACK), belongs_to(&l).marked(mark::LAST_ACK))
        .inbound(fin_back().behind(1), ends())
        .outbound(l.segment_out(flag::ACK), belongs_to(&l).marked(mark::LAST_ACK))
        .then(&l, FlowState::TimeWait)
}

fn half_closed_for_long(family: Family) -> Row {
    let l = tcp_flow(family);
    let row = row(&["E139", "RFC6092-REC-35"], format!("{family:?}: a long download, half closed"))
        .established(&l)
        .outbound(l.segment_out(FIN_ACK), belongs_to(&l).marked(mark::FIN));
    (0..5).fold(row, |row, _| {
        row.wait(230)
            .inbound(l.segment_back(flag::ACK).payload(&[0x5a; 100]), belongs_to(&l))
            .outbound(l.segment_out(flag::ACK), belongs_to(&l))
            .then(&l, FlowState::FinWait)
    })
}

fn late_fin(family: Family) -> Row {
    let l = tcp_flow(family);
    row(&["RFC9293-2MSL"], format!("{family:?}: outside did not hear the last acknowledgement"))
        .closed(&l)
        .wait(60)
        .inbound(l.segment_back(FIN_ACK).behind(1), belongs_to(&l).marked(mark::FIN))
        .outbound(l.segment_out(flag::ACK), belongs_to(&l).marked(mark::LAST_ACK))
        .then(&l, FlowState::TimeWait)
}

fn reset_from_outside(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC7857-2.2", "RFC5961-3.2-2", "E134"],
        format!("{family:?}: a reset ends a connection, but not at once"),
    )
    .established(&l)
    .inbound(l.segment_back(flag::RST), belongs_to(&l).resetting())
    .then(&l, FlowState::Closed)
    .inbound(l.segment_back(flag::ACK).payload(b"late"), belongs_to(&l))
    .then(&l, FlowState::Closed)
    .wait(238)
    .inbound(l.segment_back(flag::ACK).payload(b"later"), belongs_to(&l))
    .wait(2)
    .inbound(l.segment_back(flag::ACK), refused(Reason::FlowExpired))
}

fn reset_is_doubted(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC7857-2", "RFC7857-2.2"],
        format!("{family:?}: inside answers a reset with a challenge and goes on"),
    )
    .established(&l)
    .inbound(l.segment_back(flag::RST), belongs_to(&l).resetting())
    .wait(10)
    .outbound(l.segment_out(flag::ACK), belongs_to(&l))
    .then(&l, FlowState::Established)
    .wait(7_000)
    .inbound(l.segment_back(flag::ACK), belongs_to(&l))
    .inbound(l.segment_back(flag::RST), belongs_to(&l).resetting())
    .then(&l, FlowState::Closed)
}

fn reset_runs_out(family: Family) -> Row {
    let l = tcp_flow(family);
    row(&["RFC7857-2"], format!("{family:?}: a reset connection is over after four minutes"))
        .established(&l)
        .inbound(l.segment_back(flag::RST), belongs_to(&l).resetting())
        .wait(241)
        .inbound(l.segment_back(flag::ACK), refused(Reason::FlowExpired))
}

fn reset_from_inside(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC6092-REC-31", "RFC7857-7.1"],
        format!("{family:?}: inside resets; what it answers with resets keeps nothing open"),
    )
    .established(&l)
    .outbound(l.segment_out(flag::RST | flag::ACK), belongs_to(&l).resetting())
    .then(&l, FlowState::Closed)
    .wait(200)
    .inbound(l.segment_back(flag::ACK), belongs_to(&l))
    .outbound(l.segment_out(flag::RST), belongs_to(&l).without_refresh())
    .wait(40)
    .inbound(l.segment_back(flag::ACK), refused(Reason::FlowExpired))
}

fn reset_while_opening(family: Family) -> Row {
    let l = tcp_flow(family);
    row(&["RFC7857-2.2", "E131"], format!("{family:?}: a refused connection"))
        .outbound(l.segment_out(flag::SYN), opens(&l))
        .inbound(l.segment_back(flag::RST | flag::ACK), belongs_to(&l).resetting())
        .then(&l, FlowState::Closed)
        .inbound(l.segment_back(flag::SYN), refused(Reason::TcpState))
        .outbound(l.segment_out(flag::SYN), opens(&l).replacing(FlowEvent::Reset))
        .inbound(l.segment_back(SYN_ACK), belongs_to(&l))
}

fn reset_again(family: Family) -> Row {
    let l = tcp_flow(family);
    row(&["RFC7857-2.2"], format!("{family:?}: repeated resets do not keep a connection"))
        .established(&l)
        .inbound(l.segment_back(flag::RST), belongs_to(&l).resetting())
        .wait(200)
        .inbound(l.segment_back(flag::RST), belongs_to(&l).without_refresh())
        .wait(41)
        .inbound(l.segment_back(flag::ACK), refused(Reason::FlowExpired))
}
