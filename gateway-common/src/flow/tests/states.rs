//! States, timeouts and marks.

use proptest::prelude::*;

use super::{Connection, established, *};
use crate::flow::mark;

/// RFC6092-REC-31, RFC6092-REC-35.
#[test]
fn a_handshake_establishes() {
    let connection = Connection::open(Syn);
    assert_eq!((connection.state(), connection.secs_left()), (FlowState::SynSent, 240));
    let connection = connection.after(&HANDSHAKE[..1]);
    // Outside's answer does not keep the opening alive: one of its 240 seconds is gone.
    assert_eq!((connection.state(), connection.secs_left()), (FlowState::SynReceived, 239));
    let connection = connection.after(&HANDSHAKE[1..]);
    assert_eq!((connection.state(), connection.secs_left()), (FlowState::Established, 7440));
}

/// RFC6092-REC-31, RFC9293-SO, E130.
#[test]
fn both_sides_may_open_at_the_same_time() {
    let mut connection = Connection::open(Syn).after(&[(Inbound, Syn)]);
    assert_eq!(connection.state(), FlowState::SynReceived);
    // Both repeat their SYN with an acknowledgement of the other's.
    for direction in [Out, Inbound] {
        let mut header = connection.header(direction, SynAck, 0);
        header.sequence = header.sequence.wrapping_sub(1);
        connection.forge(direction, SynAck, &header).expect("it fits");
        // A SYN that anybody could have sent proves nothing, its answer does.
        assert_eq!(connection.state(), FlowState::SynReceived);
    }
    let connection = connection.after(&[(Out, Ack), (Inbound, Ack), (Inbound, Fin), (Out, Fin)]);
    assert_eq!(connection.state(), FlowState::LastAck);
}

/// RFC6092-REC-31, RFC6092-REC-35, E139.
#[test]
fn closing_goes_through_its_states() {
    let half_closed = established().after(&[(Out, Fin)]);
    assert_eq!((half_closed.state(), half_closed.secs_left()), (FlowState::FinWait, 240));
    let half_closed = half_closed.after(&[(Inbound, Ack), (Inbound, Ack), (Out, Ack)]);
    assert_eq!((half_closed.state(), half_closed.secs_left()), (FlowState::FinWait, 240));
    let last = half_closed.after(&[(Inbound, Fin)]);
    assert_eq!((last.state(), last.class()), (FlowState::LastAck, TimeoutClass::TcpLastAck));
    let over = last.after(&[(Out, Ack)]);
    assert_eq!((over.state(), over.secs_left()), (FlowState::TimeWait, 120));
    // A FIN that is sent again still meets its flow (RFC9293-2MSL).
    assert_eq!(over.after(&[(Inbound, Fin)]).state(), FlowState::TimeWait);

    let closed_by_peer = established().after(&[(Inbound, Fin)]);
    assert_eq!(closed_by_peer.state(), FlowState::CloseWait);
    let over = closed_by_peer.after(&[(Out, Ack), (Out, Fin), (Inbound, Ack)]);
    assert_eq!(over.state(), FlowState::TimeWait);
}

/// RFC7857-2.2, RFC5961-3.2-3, E134.
#[test]
fn a_reset_closes_until_inside_goes_on() {
    let mut reset = established().after(&[(Inbound, Rst)]);
    assert_eq!((reset.state(), reset.secs_left()), (FlowState::Closed, 240));
    // Outside can neither revive the flow nor keep it, with data or with further resets.
    reset = reset.after(&[(Inbound, Ack), (Inbound, Rst)]);
    assert_eq!((reset.state(), reset.secs_left()), (FlowState::Closed, 238));
    reset = reset.after(&[(Out, Ack)]);
    assert_eq!((reset.state(), reset.secs_left()), (FlowState::Established, 7440));
    reset = reset.after(&[(Out, Rst)]);
    assert_eq!((reset.state(), reset.secs_left()), (FlowState::Closed, 240));
}

/// RFC9293-TW, RFC5961-4.2, E131, E132.
#[test]
fn only_inside_reuses_ports() {
    let over = [(Out, Fin), (Inbound, Fin), (Out, Ack)];
    for closing in [&over[..1], &over[..2], &over[..], &[(Inbound, Rst)], &[(Out, Rst)]] {
        let mut connection = established().after(closing);
        assert_eq!(connection.take(Inbound, Syn), Err(Reason::TcpState), "{closing:?}");
        assert_eq!(connection.after(&[(Out, Syn)]).state(), FlowState::SynSent, "{closing:?}");
    }
    let mut alive = established();
    assert_eq!(alive.take(Inbound, Syn), Err(Reason::TcpState));
    // A repeated SYN is that of this connection, one with another number begins a new one.
    let mut repeated = alive.clone();
    let header = TcpHeader { sequence: INSIDE.next, ..alive.header(Out, Syn, 0) };
    repeated.forge(Out, Syn, &header).expect("what inside sends passes");
    assert_eq!(repeated.state(), FlowState::Established);
    let restarted = alive.restart(Out, 0x7000_0000).after(&[(Out, Syn)]);
    assert_eq!(restarted.state(), FlowState::SynSent);
    assert_eq!(restarted.after(&HANDSHAKE).state(), FlowState::Established);
}

/// RFC5961-4.2: the server still holds an old connection and challenges our SYN.
#[test]
fn a_challenge_to_our_syn_opens_nothing() {
    let mut challenged = Connection::open(Syn);
    let old = TcpHeader { sequence: 77, acknowledgement: 99, ..challenged.header(Inbound, Ack, 0) };
    challenged.forge(Inbound, Ack, &old).expect("it may be a challenge");
    assert_eq!((challenged.state(), challenged.secs_left()), (FlowState::SynSent, 239));
    let reset = TcpHeader { sequence: 99, flags: flag::RST, ..challenged.header(Out, Rst, 0) };
    challenged.forge(Out, Rst, &reset).expect("what inside sends passes");
    assert_eq!(challenged.state(), FlowState::Closed);
    let retried = challenged.restart(Out, 5).after(&[(Out, Syn), (Inbound, SynAck), (Out, Ack)]);
    assert_eq!(retried.state(), FlowState::Established);
}

/// RFC6092-REC-32, E135, E136.
#[test]
fn only_data_or_a_syn_open_a_flow() {
    let mut picked_up = Connection::open(Ack);
    assert_eq!((picked_up.state(), picked_up.secs_left()), (FlowState::Established, 240));
    assert_eq!(picked_up.take(Inbound, Syn), Err(Reason::TcpState));
    let picked = picked_up.clone();
    let answered = picked_up.after(&[(Inbound, Ack)]);
    assert_eq!((answered.state(), answered.secs_left()), (FlowState::Established, 7440));
    for segment in [SynAck, Fin, Rst] {
        let header = picked.header(Out, segment, 0);
        assert_eq!(tcp::opening(segment, &header), None, "{segment:?}");
    }
}

/// RFC9293-ECN, RFC9293-RSVD, E125, E126: exactly these flags make a segment.
#[test]
fn flags_are_classified_without_psh_ece_and_cwr() {
    let relevant = [
        (flag::SYN, Some(Syn)),
        (flag::SYN | flag::URG, Some(Syn)),
        (flag::SYN | flag::ACK, Some(SynAck)),
        (flag::FIN | flag::ACK, Some(Fin)),
        (flag::FIN | flag::ACK | flag::URG, Some(Fin)),
        (flag::ACK, Some(Ack)),
        (flag::ACK | flag::URG, Some(Ack)),
        (flag::RST, Some(Rst)),
        (flag::RST | flag::ACK, Some(Rst)),
    ];
    let free = flag::PSH | 0xc0;
    for flags in 0..=u8::MAX {
        let expected =
            relevant.iter().find(|(known, _)| *known == flags & !free).and_then(|(_, kind)| *kind);
        assert_eq!(Segment::classify(flags), expected, "{flags:#010b}");
    }
}

fn any_step() -> impl Strategy<Value = (Direction, Segment)> {
    (prop::sample::select(&Direction::ALL[..]), prop::sample::select(&Segment::ALL[..]))
}

proptest! {
    /// RFC5382-REQ-5, RFC6092-REC-35: whatever outside sends, it cannot lengthen a flow's life
    /// beyond the timeout of its state, nor complete an opening on its own.
    #[test]
    fn outside_alone_never_establishes(segments in prop::collection::vec(any_step(), 0..40)) {
        let mut connection = Connection::open(Syn);
        for (direction, segment) in segments.into_iter().filter(|step| step.0 == Inbound) {
            _ = connection.take(direction, segment);
            prop_assert_ne!(connection.class(), TimeoutClass::TcpEstablished);
            prop_assert!(connection.secs_left() <= 240);
        }
    }

    /// Halves only grow: no order of updates can take back what an earlier one recorded.
    #[test]
    fn marks_and_counters_never_go_back(segments in prop::collection::vec(any_step(), 0..40)) {
        let mut connection = Connection::open(Syn);
        for (direction, segment) in segments {
            let before = connection.entry;
            _ = connection.take(direction, segment);
            if connection.entry.created != before.created {
                continue;
            }
            for direction in Direction::ALL {
                let (old, new) = (before.half(direction), connection.entry.half(direction));
                prop_assert_eq!(old.marks & !new.marks, 0);
                prop_assert!(old.seen <= new.seen && old.packets <= new.packets);
            }
        }
    }
}

/// RFC6092-REC-32: inside acknowledges an answer that took another way.
#[test]
fn an_answer_that_was_not_seen_makes_a_flow_in_mid_stream() {
    let asymmetric = Connection::open(Syn).after(&[(Out, Ack)]);
    assert!(asymmetric.entry.outbound.has(mark::PICKED_UP));
    assert_eq!((asymmetric.state(), asymmetric.secs_left()), (FlowState::Established, 240));
    let answered = asymmetric.restart(Inbound, 0x4000_0000).after(&[(Inbound, Ack), (Out, Ack)]);
    assert_eq!((answered.state(), answered.secs_left()), (FlowState::Established, 7440));
}
