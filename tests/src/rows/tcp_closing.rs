//! How TCP connections end (RFC 9293 section 3.6, RFC 7857 section 2), and begin again.

use super::prelude::*;

const SYN_ACK: u16 = flag::SYN | flag::ACK;
const FIN_ACK: u16 = flag::FIN | flag::ACK;

pub(super) fn rows() -> Vec<Row> {
    FAMILIES
        .into_iter()
        .flat_map(|family| {
            [
                inside_closes_first(family),
                outside_closes_first(family),
                crossing_fins(family),
                half_closed_for_long(family),
                late_fin(family),
                reset_from_outside(family),
                reset_is_doubted(family),
                reset_runs_out(family),
                reset_from_inside(family),
                reset_while_opening(family),
                reset_again(family),
                reopened(family),
                reopened_while_closing(family),
                reopened_after_reset(family),
                client_restarted(family),
                not_reopened_from_outside(family),
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
        .inbound(l.segment_back(FIN_ACK), belongs_to(&l).marked(mark::FIN))
        .inbound(l.segment_back(flag::ACK), belongs_to(&l).marked(mark::LAST_ACK))
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
        .inbound(l.segment_back(FIN_ACK), belongs_to(&l).marked(mark::FIN))
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
        &["RFC7857-2", "RFC7857-2.2", "RFC5961-9.3"],
        format!("{family:?}: inside answers a reset with a challenge and goes on"),
    )
    .established(&l)
    .inbound(l.segment_back(flag::RST).sequence(77), belongs_to(&l).resetting())
    .wait(10)
    .outbound(l.segment_out(flag::ACK), belongs_to(&l))
    .then(&l, FlowState::Established)
    .wait(7_000)
    .inbound(l.segment_back(flag::ACK), belongs_to(&l))
    .inbound(l.segment_back(flag::RST).sequence(1), belongs_to(&l).resetting())
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
        .outbound(l.segment_out(flag::SYN), opens(&l))
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

fn reopened(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC9293-TW", "RFC7857-2", "E132"],
        format!("{family:?}: inside uses the ports of a closed connection again"),
    )
    .closed(&l)
    .established(&l)
    .inbound(l.segment_back(flag::ACK), belongs_to(&l))
}

fn reopened_while_closing(family: Family) -> Row {
    let l = tcp_flow(family);
    row(&["E132"], format!("{family:?}: inside uses the ports of a closing connection again"))
        .established(&l)
        .outbound(l.segment_out(FIN_ACK), belongs_to(&l).marked(mark::FIN))
        .established(&l)
        .inbound(l.segment_back(FIN_ACK), belongs_to(&l).marked(mark::FIN))
        .then(&l, FlowState::CloseWait)
        .established(&l)
}

fn reopened_after_reset(family: Family) -> Row {
    let l = tcp_flow(family);
    row(&["E132"], format!("{family:?}: inside uses the ports of a reset connection again"))
        .established(&l)
        .inbound(l.segment_back(flag::RST), belongs_to(&l).resetting())
        .established(&l)
        .outbound(l.segment_out(flag::RST), belongs_to(&l).resetting())
        .established(&l)
}

fn client_restarted(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC5961-4.2", "E132"],
        format!("{family:?}: inside has lost an established connection and begins anew"),
    )
    .established(&l)
    .outbound(l.segment_out(flag::SYN).sequence(99), belongs_to(&l))
    .inbound(l.segment_back(flag::ACK), belongs_to(&l))
    .outbound(l.segment_out(flag::RST), belongs_to(&l).resetting())
    .established(&l)
}

fn not_reopened_from_outside(family: Family) -> Row {
    let l = tcp_flow(family);
    row(&["E131"], format!("{family:?}: outside cannot use a closed connection's ports"))
        .closed(&l)
        .inbound(l.segment_back(flag::SYN).sequence(u32::MAX), refused(Reason::TcpState))
        .wait(121)
        .inbound(l.segment_back(flag::SYN), refused(Reason::FlowExpired))
}
