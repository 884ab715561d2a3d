//! How long TCP connections may be idle (RFC 6092 REC-35, RFC 5382 REQ-5, RFC 7857 section 2.1).

use gateway_common::timeouts::{Ticks, TimeoutClass};

use super::{check::TICKS_PER_SEC, prelude::*};

pub(super) fn rows() -> Vec<Row> {
    FAMILIES
        .into_iter()
        .flat_map(|family| {
            [
                half_open(family),
                half_open_not_held_by_outside(family),
                patient_client(family),
                answered_late(family),
                established(family),
                keep_alive(family),
                closing(family),
                time_wait(family),
                picked_up(family),
                separate_timeouts(family),
                expired_and_back(family),
            ]
        })
        .collect()
}

fn half_open(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC6092-REC-35", "RFC5382-REQ-5", "RFC7857-2"],
        format!("{family:?}: an unanswered opening lasts four minutes"),
    )
    .outbound(l.segment_out(flag::SYN), opens(&l))
    .wait(239)
    .inbound(l.segment_back(SYN_ACK), belongs_to(&l))
    .wait(2)
    .inbound(l.segment_back(SYN_ACK), refused(Reason::FlowExpired))
}

fn half_open_not_held_by_outside(family: Family) -> Row {
    let l = tcp_flow(family);
    row(&["RFC7857-2"], format!("{family:?}: outside cannot hold an opening open"))
        .outbound(l.segment_out(flag::SYN), opens(&l))
        .wait(200)
        .inbound(l.segment_back(flag::SYN), belongs_to(&l))
        .wait(39)
        .inbound(l.segment_back(flag::SYN), belongs_to(&l))
        .wait(2)
        .inbound(l.segment_back(flag::SYN), refused(Reason::FlowExpired))
}

fn patient_client(family: Family) -> Row {
    let l = tcp_flow(family);
    let row = row(&["RFC9293-R2"], format!("{family:?}: inside repeats its SYN for three minutes"))
        .outbound(l.segment_out(flag::SYN), opens(&l));
    [60, 60, 60]
        .into_iter()
        .fold(row, |row, secs| row.wait(secs).outbound(l.segment_out(flag::SYN), belongs_to(&l)))
        .inbound(l.segment_back(SYN_ACK), belongs_to(&l))
        .outbound(l.segment_out(flag::ACK), belongs_to(&l).promoted())
}

fn answered_late(family: Family) -> Row {
    let l = tcp_flow(family);
    row(&["RFC9293-R2"], format!("{family:?}: the last SYN's time counts, not the first's"))
        .outbound(l.segment_out(flag::SYN), opens(&l))
        .wait(180)
        .outbound(l.segment_out(flag::SYN), belongs_to(&l))
        .wait(239)
        .inbound(l.segment_back(SYN_ACK), belongs_to(&l))
}

fn established(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["RFC6092-REC-35", "RFC5382-REQ-5"],
        format!("{family:?}: an established connection may be idle for 2 hours and 4 minutes"),
    )
    .established(&l)
    .wait(7_439)
    .inbound(l.segment_back(flag::ACK), belongs_to(&l))
    .wait(7_439)
    .outbound(l.segment_out(flag::ACK), belongs_to(&l))
    .wait(7_441)
    .inbound(l.segment_back(flag::ACK), refused(Reason::FlowExpired))
}

fn keep_alive(family: Family) -> Row {
    let l = tcp_flow(family);
    let probe_out = || l.segment_out(flag::ACK).behind(1);
    let probe_back = || l.segment_back(flag::ACK).behind(1).payload(b"\0");
    row(&["RFC9293-KA", "E140"], format!("{family:?}: keep-alives every two hours, either way"))
        .established(&l)
        .wait(7_200)
        .outbound(probe_out(), belongs_to(&l))
        .inbound(l.segment_back(flag::ACK), belongs_to(&l))
        .wait(7_200)
        .inbound(probe_back(), belongs_to(&l))
        .outbound(l.segment_out(flag::ACK), belongs_to(&l))
        .wait(7_200)
        .outbound(probe_out().payload(b"\0"), belongs_to(&l))
        .wait(7_200)
        .inbound(l.segment_back(flag::ACK), belongs_to(&l))
}

fn closing(family: Family) -> Row {
    let l = tcp_flow(family);
    let fin_out = || l.segment_out(FIN_ACK);
    row(
        &["RFC6092-REC-35", "RFC5382-REQ-5"],
        format!("{family:?}: a closing connection may be idle for four minutes"),
    )
    .established(&l)
    .outbound(fin_out(), belongs_to(&l).marked(mark::FIN))
    .wait(239)
    .inbound(l.segment_back(FIN_ACK), belongs_to(&l).marked(mark::FIN))
    .wait(239)
    .inbound(l.segment_back(FIN_ACK).behind(1), belongs_to(&l).marked(mark::FIN))
    .then(&l, FlowState::LastAck)
    .wait(241)
    .inbound(l.segment_back(FIN_ACK), refused(Reason::FlowExpired))
}

fn time_wait(family: Family) -> Row {
    let l = tcp_flow(family);
    row(&["RFC9293-2MSL"], format!("{family:?}: a closed connection is remembered two minutes"))
        .closed(&l)
        .wait(119)
        .inbound(l.segment_back(FIN_ACK).behind(1), belongs_to(&l).marked(mark::FIN))
        .wait(121)
        .inbound(l.segment_back(FIN_ACK), refused(Reason::FlowExpired))
}

fn picked_up(family: Family) -> Row {
    let l = tcp_flow(family);
    row(
        &["E136", "RFC6092-REC-35"],
        format!("{family:?}: a picked-up connection counts as established once it is answered"),
    )
    .outbound(l.segment_out(flag::ACK), opens(&l).marked(mark::PICKED_UP))
    .wait(239)
    .inbound(l.segment_back(flag::ACK), belongs_to(&l))
    .wait(7_439)
    .inbound(l.segment_back(flag::ACK), belongs_to(&l))
    .wait(7_441)
    .replacing(FlowEvent::Expired)
    .outbound(l.segment_out(flag::ACK), opens(&l).marked(mark::PICKED_UP))
    .wait(241)
    .inbound(l.segment_back(flag::ACK), refused(Reason::FlowExpired))
}

fn separate_timeouts(family: Family) -> Row {
    let l = tcp_flow(family);
    row(&["RFC7857-2.1", "RFC5382-REQ-5"], format!("{family:?}: each timeout is set on its own"))
        .config(|config| {
            let secs = |secs: u64| Ticks(secs * u64::from(TICKS_PER_SEC));
            for (class, timeout) in [
                (TimeoutClass::TcpSynSent, 10),
                (TimeoutClass::TcpSynReceived, 20),
                (TimeoutClass::TcpEstablished, 1_000),
                (TimeoutClass::TcpFinWait, 100),
                (TimeoutClass::TcpCloseWait, 200),
                (TimeoutClass::TcpLastAck, 300),
                (TimeoutClass::TcpTimeWait, 30),
                (TimeoutClass::TcpClosed, 40),
            ] {
                config.timeouts[class as usize] = secs(timeout);
            }
        })
        .outbound(l.segment_out(flag::SYN), opens(&l))
        .wait(11)
        .inbound(l.segment_back(SYN_ACK), refused(Reason::FlowExpired))
        .outbound(l.segment_out(flag::SYN), opens(&l).replacing(FlowEvent::Expired))
        .inbound(l.segment_back(SYN_ACK), belongs_to(&l))
        .wait(18)
        .outbound(l.segment_out(flag::ACK), belongs_to(&l).promoted())
        .wait(999)
        .outbound(l.segment_out(FIN_ACK), belongs_to(&l).marked(mark::FIN))
        .wait(99)
        .inbound(l.segment_back(FIN_ACK), belongs_to(&l).marked(mark::FIN))
        .wait(299)
        .outbound(l.segment_out(flag::ACK), belongs_to(&l).marked(mark::LAST_ACK))
        .wait(29)
        .inbound(l.segment_back(flag::ACK), belongs_to(&l).marked(mark::LAST_ACK))
        .wait(31)
        .inbound(l.segment_back(flag::ACK), refused(Reason::FlowExpired))
        .replacing(FlowEvent::Closed)
        .established(&l)
        .inbound(l.segment_back(FIN_ACK), belongs_to(&l).marked(mark::FIN))
        .wait(199)
        .outbound(l.segment_out(flag::ACK), belongs_to(&l))
        .inbound(l.segment_back(flag::RST), belongs_to(&l).resetting())
        .wait(41)
        .inbound(l.segment_back(flag::ACK), refused(Reason::FlowExpired))
}

fn expired_and_back(family: Family) -> Row {
    let l = tcp_flow(family);
    row(&["E136"], format!("{family:?}: inside takes up a connection that was idle for too long"))
        .established(&l)
        .wait(7_441)
        .replacing(FlowEvent::Expired)
        .outbound(l.segment_out(flag::ACK), opens(&l).marked(mark::PICKED_UP))
        .inbound(l.segment_back(flag::ACK), belongs_to(&l))
        .outbound(l.segment_out(flag::ACK), belongs_to(&l).promoted())
}
