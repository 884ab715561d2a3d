//! Resets: which ones count (RFC 5961 section 3.2).

use super::*;
use crate::flow::mark;

/// RFC5961-3.2-1, RFC5961-3.2-2, RFC5961-3.2-3, E133.
#[test]
fn only_the_expected_number_resets() {
    let mut connection = established();
    connection.send(Inbound, Ack, 500).expect("it fits");
    let acknowledged = connection.outside.next.wrapping_sub(500);
    let edge = acknowledged.wrapping_add(u32::from(INSIDE.window) * 2);
    let cases = [
        ("what inside acknowledged", acknowledged, Ok(true)),
        ("right behind the data", connection.outside.next, Ok(true)),
        ("in the window", acknowledged.wrapping_add(1), Ok(false)),
        ("at its edge", edge, Ok(false)),
        ("beyond it", edge.wrapping_add(1), Err(Reason::TcpWindow)),
        ("before it", acknowledged.wrapping_sub(1), Err(Reason::TcpWindow)),
        ("zero", 0, Ok(false)),
    ];
    for (about, sequence, expected) in cases {
        let mut connection = connection.clone();
        let before = (connection.entry, connection.state());
        let header = TcpHeader { sequence, ..connection.header(Inbound, Rst, 0) };
        let outcome = connection.forge(Inbound, Rst, &header);
        let closed = connection.state() == FlowState::Closed;
        assert_eq!(outcome.map(|()| closed), expected, "{about}");
        if expected != Ok(true) {
            let kept = FlowEntry { inbound: before.0.inbound, ..connection.entry };
            assert_eq!((kept, connection.state()), before, "{about}");
            assert_eq!(connection.entry.inbound.seen, before.0.inbound.seen, "{about}");
        }
    }
}

/// RFC5961-3.2-SS, E133: in SYN-SENT the acknowledgement decides.
#[test]
fn an_opening_is_refused_by_who_has_seen_it() {
    for (ahead, flags, counts) in [
        (0, flag::RST | flag::ACK, true),
        (1, flag::RST | flag::ACK, false),
        (u32::MAX, flag::RST | flag::ACK, false),
        (0, flag::RST, false),
    ] {
        let mut connection = Connection::open(Syn);
        let mut header = TcpHeader { sequence: 0, flags, ..connection.header(Inbound, Rst, 0) };
        header.acknowledgement = header.acknowledgement.wrapping_add(ahead);
        let expected = if counts { Ok(()) } else { Err(Reason::TcpWindow) };
        assert_eq!(connection.forge(Inbound, Rst, &header), expected, "{ahead} {flags:#x}");
        assert_eq!(connection.state() == FlowState::Closed, counts);
    }
}

/// RFC5961-9.3: the challenge and the reset that answers it both pass.
#[test]
fn a_challenged_reset_comes_again() {
    let mut connection = established();
    let mut header = connection.header(Inbound, Rst, 0);
    header.sequence = header.sequence.wrapping_add(100);
    connection.forge(Inbound, Rst, &header).expect("it lies in the window");
    let connection = connection.after(&[(Out, Ack)]);
    assert_eq!((connection.state(), connection.secs_left()), (FlowState::Established, 7440));
    assert_eq!(connection.after(&[(Inbound, Rst)]).state(), FlowState::Closed);
}

/// RFC5382-S9, RFC5961-3.2-3: a stray reset from inside is not this connection's, and one that
/// outside does not expect will be challenged.
#[test]
fn a_stray_reset_from_inside_ends_nothing() {
    let mut connection = established();
    for sequence in [1 << 28, connection.inside.next.wrapping_add(1)] {
        let header = TcpHeader { sequence, ..connection.header(Out, Rst, 0) };
        connection.forge(Out, Rst, &header).expect("what inside sends passes");
        assert_eq!(connection.state(), FlowState::Established);
    }
    assert!(!connection.entry.outbound.has(mark::UNCHECKED));
    assert_eq!(connection.after(&[(Out, Rst)]).state(), FlowState::Closed);
}

/// RFC5961-3.2-2, RFC6092-REC-32: what inside acknowledged last is known of a flow in mid-stream
/// too, and of one that is no longer checked; only its window is not.
#[test]
fn resets_are_checked_without_windows() {
    let picked_up = Connection::open(Ack).after(&[(Inbound, Ack)]);
    let mut unchecked = established();
    let jump = TcpHeader { sequence: 1 << 28, ..unchecked.header(Out, Ack, 0) };
    unchecked.forge(Out, Ack, &jump).expect("what inside sends passes");
    for (ahead, expected) in [
        (0, Ok(FlowState::Closed)),
        (1, Ok(FlowState::Established)),
        (1 << 30, Ok(FlowState::Established)),
        (u32::MAX, Err(Reason::TcpWindow)),
    ] {
        for connection in [&picked_up, &unchecked] {
            let mut connection = connection.clone();
            let mut header = connection.header(Inbound, Rst, 0);
            header.sequence = header.sequence.wrapping_add(ahead);
            let outcome = connection.forge(Inbound, Rst, &header);
            assert_eq!(outcome.map(|()| connection.state()), expected, "{ahead}");
        }
    }
}
