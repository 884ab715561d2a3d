//! Numbers: what fits, what does not, and what is recorded.

use proptest::prelude::*;

use super::*;
use crate::flow::{
    mark,
    window::{Granted, Sent, is_up_to},
};

/// RFC5382-S9, RFC5961-5.2: bounds, one byte inside and one byte outside each of them.
#[test]
fn segments_from_outside_have_to_fit() {
    let connection = established();
    let window = u32::from(INSIDE.window) * 2;
    let lag = 66_000_u32;
    let (sequence, acknowledgement) = (connection.outside.next, connection.inside.next);
    let cases: [(&str, u32, u32, Result<bool, Reason>); 11] = [
        ("what is expected", 0, 0, Ok(true)),
        ("a keep-alive", 1_u32.wrapping_neg(), 0, Ok(true)),
        ("at the window's edge", window, 0, Ok(true)),
        ("beyond it", window + 1, 0, Ok(false)),
        ("beyond it by the whole window", 2 * window, 0, Ok(false)),
        ("beyond even that", 2 * window + 1, 0, Err(Reason::TcpWindow)),
        ("as old as a window", window.wrapping_neg(), 0, Ok(true)),
        ("older than a window", (window + 1).wrapping_neg(), 0, Ok(false)),
        ("an answer to nothing", 0, 1, Err(Reason::TcpWindow)),
        ("an old answer", 0, lag.wrapping_neg(), Ok(true)),
        ("too old an answer", 0, (lag + 1).wrapping_neg(), Ok(false)),
    ];
    for (about, ahead, acked, expected) in cases {
        for segment in [Ack, Fin] {
            let mut connection = connection.clone();
            let before = connection.entry;
            let mut header = connection.header(Inbound, segment, 0);
            header.sequence = sequence.wrapping_add(ahead);
            // Whether a segment is old or too far ahead is told by where it ends.
            if segment == Fin && (ahead > u32::MAX / 2 || ahead == 2 * window) {
                header.sequence = header.sequence.wrapping_sub(1);
            }
            header.acknowledgement = acknowledgement.wrapping_add(acked);
            let outcome = connection.forge(Inbound, segment, &header);
            let refreshed = connection.entry.inbound.seen == connection.now;
            assert_eq!(outcome.map(|()| refreshed), expected, "{segment:?}: {about}");
            let ended = connection.entry.inbound.has(mark::FIN);
            assert_eq!(ended, segment == Fin && expected == Ok(true), "{about}");
            if expected.is_err() {
                assert_eq!(connection.entry, before, "{about}");
            }
        }
    }
}

/// RFC6092-REC-32: what inside sends is never refused; that it does not fit shows that the
/// records are not up to date.
#[test]
fn segments_from_inside_that_do_not_fit_end_the_checks() {
    let mut connection = established();
    let header = TcpHeader { sequence: 0x5000_0000, ..connection.header(Out, Ack, 0) };
    connection.forge(Out, Ack, &header).expect("what inside sends passes");
    assert!(connection.entry.outbound.has(mark::UNCHECKED));
    assert_eq!(connection.state(), FlowState::Established);
    let anything = TcpHeader { sequence: 1 << 20, ..connection.header(Inbound, Ack, 0) };
    assert_eq!(connection.forge(Inbound, Ack, &anything), Ok(()));
}

/// RFC9293-SYNDATA, E129: data may come with either SYN, and be acknowledged or not.
#[test]
fn data_may_come_with_a_syn() {
    let mut connection = Connection::open(Syn);
    let syn = TcpHeader { sequence: 1_000, payload_len: 300, ..connection.header(Out, Syn, 0) };
    connection.forge(Out, Syn, &syn).expect("what inside sends passes");
    // The repeated SYN leaves the data out.
    let again = TcpHeader { payload_len: 0, ..syn };
    connection.forge(Out, Syn, &again).expect("what inside sends passes");
    for (acknowledged, fits) in
        [(1_000, false), (1_001, true), (1_150, true), (1_301, true), (1_302, false)]
    {
        let mut connection = connection.clone();
        let mut header = connection.header(Inbound, SynAck, 500);
        header.acknowledgement = acknowledged;
        let expected = if fits { Ok(()) } else { Err(Reason::TcpWindow) };
        assert_eq!(connection.forge(Inbound, SynAck, &header), expected, "{acknowledged}");
        let end = OUTSIDE.next.wrapping_add(501);
        assert_eq!(connection.entry.inbound.sent.end() == end, fits);
    }
}

/// RFC5961-4.2: a blind SYN cannot spoil what the true answer says.
#[test]
fn whoever_knows_our_number_is_believed() {
    let mut connection = Connection::open(Syn);
    let forged = TcpHeader { sequence: 1 << 30, ..connection.header(Inbound, Syn, 0) };
    connection.forge(Inbound, Syn, &forged).expect("it might be a crossing SYN");
    let mut connection = connection.after(&HANDSHAKE);
    assert_eq!(connection.state(), FlowState::Established);
    assert_eq!(connection.send(Inbound, Ack, 100), Ok(()));
    assert_eq!(connection.entry.inbound.sent.end(), connection.outside.next);
}

/// RFC9293-WIN0: a full receiver may be probed with one byte.
#[test]
fn an_empty_window_may_be_probed() {
    let mut connection = established();
    connection.send(Out, Ack, 1_000).expect("it fits");
    connection.outside.window = 0;
    let granted = connection.entry.inbound.granted;
    connection.take(Inbound, Ack).expect("it fits");
    let probe = connection.header(Out, Ack, 1);
    connection.forge(Out, Ack, &probe).expect("what inside sends passes");
    assert!(!connection.entry.outbound.has(mark::UNCHECKED));
    assert!(is_up_to(granted.edge(), connection.entry.inbound.granted.edge()));
}

/// A selective acknowledgement says that what lies before it was sent and arrived, but only if
/// the other side takes part in the scheme (RFC 2018).
#[test]
fn selective_acknowledgements_count() {
    let mut connection = established();
    connection.send(Out, Ack, 1_000).expect("it fits");
    let mut header = connection.header(Inbound, Ack, 0);
    header.acknowledgement = header.acknowledgement.wrapping_sub(1_000);
    header.options.sack_edge = connection.inside.next;
    header.options.found = TcpOptions::SACK;
    connection.forge(Inbound, Ack, &header).expect("it fits");
    let window = u32::from(OUTSIDE.window) * 2;
    let granted = connection.entry.inbound.granted;
    assert_eq!(granted.ack(), header.acknowledgement);
    assert_eq!(granted.edge(), connection.inside.next.wrapping_add(window));
    header.options.sack_edge = connection.inside.next.wrapping_add(1);
    assert_eq!(connection.forge(Inbound, Ack, &header), Err(Reason::TcpWindow));
}

/// RFC 7323 section 2.2: a scale counts only when both sides announce one, and never in a SYN.
#[test]
fn windows_are_scaled_when_both_sides_agree() {
    let plain = TcpOptions::default();
    for (inside, outside, scale) in [(SCALED, SCALED, 1), (SCALED, plain, 0), (plain, SCALED, 0)] {
        let inside = Host { options: inside, ..INSIDE };
        let outside = Host { options: outside, ..OUTSIDE };
        let opening = Connection::open_between(inside, outside, Syn).after(&HANDSHAKE[..1]);
        let window = u32::from(OUTSIDE.window);
        assert_eq!(opening.entry.inbound.sent.window(), window);
        let connection = opening.after(&[(Out, Ack), (Inbound, Ack)]);
        assert_eq!(connection.entry.inbound.sent.window(), window << scale);
    }
}

/// RFC9293-OPT: options that cannot be read, and lengths that cannot be known, end the checks.
#[test]
fn what_cannot_be_known_is_not_checked() {
    let unreadable = TcpOptions { found: TcpOptions::UNREADABLE, ..SCALED };
    let outside = Host { options: unreadable, ..OUTSIDE };
    let connection = Connection::open_between(INSIDE, outside, Syn).after(&HANDSHAKE);
    let mut partial = established();
    let header = TcpHeader { is_partial: true, ..partial.header(Inbound, Ack, 500) };
    partial.forge(Inbound, Ack, &header).expect("it fits");
    for mut connection in [connection, partial] {
        assert_eq!(connection.state(), FlowState::Established);
        let header = TcpHeader { sequence: 1 << 29, ..connection.header(Inbound, Ack, 0) };
        assert_eq!(connection.forge(Inbound, Ack, &header), Ok(()));
    }
}

/// Numbers within half the space of each other.
fn near() -> impl Strategy<Value = [(u32, u32); 3]> {
    (any::<u32>(), any::<[u32; 6]>()).prop_map(|(base, numbers)| {
        let at = |index: usize| base.wrapping_add(numbers[index] >> 1);
        [(at(0), at(1)), (at(2), at(3)), (at(4), at(5))]
    })
}

proptest! {
    /// In whatever order CPUs record what they saw, the result is the same.
    #[test]
    fn records_join_in_any_order([a, b, c] in near()) {
        let [a, b, c] = [a, b, c].map(|(ack, edge)| Granted::new(ack, edge));
        prop_assert_eq!(a.join(b), b.join(a));
        prop_assert_eq!(a.join(b).join(c), a.join(b.join(c)));
        prop_assert_eq!(a.join(a), a);
        let [a, b, c] = [a, b, c].map(|word| Sent::new(word.ack(), word.edge()));
        prop_assert_eq!(a.join(b), b.join(a));
        prop_assert_eq!(a.join(b).join(c), a.join(b.join(c)));
        prop_assert_eq!(a.join(a), a);
    }

    /// RFC2979-3, RFC5961-9.3: hosts that keep the rules never send what does not fit, whatever
    /// they send how often.
    #[test]
    fn conversations_fit(
        numbers in any::<[u32; 2]>(),
        steps in prop::collection::vec((any::<bool>(), 0_u32..4_000, 0_usize..3, any::<bool>()), 1..60),
    ) {
        let inside = Host { next: numbers[0], ..INSIDE };
        let outside = Host { next: numbers[1], ..OUTSIDE };
        let mut connection = Connection::open_between(inside, outside, Syn)
            .after(&HANDSHAKE)
            .after(&[(Inbound, Ack)]);
        let mut in_flight = [0; 2];
        for (from_inside, payload_len, repeats, is_acknowledged) in steps {
            let (direction, window) = if from_inside {
                (Out, u32::from(OUTSIDE.window) * 2)
            } else {
                (Inbound, u32::from(INSIDE.window) * 2)
            };
            let payload_len = payload_len.min(window - in_flight[direction as usize]);
            let header = connection.header(direction, Ack, payload_len);
            for _ in 0..=repeats {
                prop_assert_eq!(connection.forge(direction, Ack, &header), Ok(()));
            }
            connection.sent(direction, Ack, &header);
            in_flight[direction as usize] += payload_len;
            if is_acknowledged {
                connection = connection.after(&[(direction.opposite(), Ack)]);
                in_flight[direction as usize] = 0;
            }
        }
        prop_assert_eq!(connection.entry.outbound.marks & mark::UNCHECKED, 0);
        prop_assert_eq!(connection.entry.inbound.sent.end(), connection.outside.next);
        prop_assert_eq!(connection.entry.outbound.sent.end(), connection.inside.next);
    }
}
