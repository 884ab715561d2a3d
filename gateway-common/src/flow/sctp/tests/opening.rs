//! How associations open.

use super::*;

/// RFC6092-REC-38, RFC6092-REC-40, E148.
#[test]
fn an_association_opens() {
    let association = Association::open(init(INSIDE));
    assert_eq!(association.life(), (TimeoutClass::SctpHalfOpen, 240));
    // Outside's answer does not keep the opening alive: one of its 240 seconds is gone.
    let association = association.after(&[(Inbound, init_ack(INSIDE, OUTSIDE))]);
    assert_eq!(association.life(), (TimeoutClass::SctpHalfOpen, 239));
    let association = association.after(&[(Out, to_outside(&[chunk::COOKIE_ECHO, chunk::DATA]))]);
    assert_eq!(association.life(), (TimeoutClass::SctpHalfOpen, 240));
    assert!(association.entry.outbound.has(mark::CONFIRMED), "inside chose this answer");
    let association = association.after(&[(Inbound, to_inside(&[chunk::COOKIE_ACK, SACK]))]);
    assert_eq!(association.life(), (TimeoutClass::SctpEstablished, 7440));
}

/// RFC6092-REC-38: the COOKIE ACK took another way.
#[test]
fn whatever_follows_the_cookie_establishes() {
    for chunks in
        [&[chunk::DATA][..], &[SACK], &[HEARTBEAT], &[HEARTBEAT_ACK], &[SACK, chunk::DATA]]
    {
        let association = Association::open(init(INSIDE))
            .after(&HANDSHAKE[..2])
            .after(&[(Inbound, to_inside(chunks))]);
        assert_eq!(association.life(), (TimeoutClass::SctpEstablished, 7440), "{chunks:?}");
    }
    // An error says that the cookie was not accepted (RFC 9260 section 5.2.6).
    let refused = Association::open(init(INSIDE)).after(&HANDSHAKE[..2]);
    let refused = refused.after(&[(Inbound, to_inside(&[chunk::ERROR]))]);
    assert_eq!(refused.life(), (TimeoutClass::SctpHalfOpen, 239));
    let again = [
        (Out, init(INSIDE)),
        (Inbound, init_ack(INSIDE, OTHER)),
        (Out, packet(&[chunk::COOKIE_ECHO], OTHER)),
        (Inbound, to_inside(&[chunk::COOKIE_ACK])),
        (Out, packet(&[chunk::DATA], OTHER)),
    ];
    let association = refused.after(&again);
    assert_eq!(association.life(), (TimeoutClass::SctpEstablished, 7440));
    assert!(association.is_checked(), "inside chose the second cookie");
}

/// RFC6092-REC-38, RFC 9260 section 5.2.1.
#[test]
fn both_ends_may_open_at_the_same_time() {
    let opening = Association::open(init(INSIDE)).after(&[(Inbound, init(OUTSIDE))]);
    assert_eq!(opening.life(), (TimeoutClass::SctpHalfOpen, 239));
    let answered = opening.after(&[
        (Inbound, init(OUTSIDE)),
        (Out, init_ack(OUTSIDE, INSIDE)),
        (Inbound, init_ack(INSIDE, OUTSIDE)),
        (Inbound, init(OUTSIDE)),
    ]);
    // Nothing of this keeps the opening alive: anyone may have sent that INIT.
    assert_eq!(answered.life(), (TimeoutClass::SctpHalfOpen, 235));
    let cookies = [
        (Out, to_outside(&[chunk::COOKIE_ECHO])),
        (Inbound, to_inside(&[chunk::COOKIE_ECHO])),
        (Inbound, to_inside(&[chunk::COOKIE_ACK])),
        (Out, to_outside(&[chunk::COOKIE_ACK])),
    ];
    let both = answered.clone().after(&cookies);
    assert_eq!(both.life(), (TimeoutClass::SctpEstablished, 7440));
    assert!(both.is_checked());
    // Outside's cookie came first, so inside sends none.
    let first = answered.after(&[
        (Inbound, to_inside(&[chunk::COOKIE_ECHO])),
        (Out, to_outside(&[chunk::COOKIE_ACK])),
        (Inbound, to_inside(&[chunk::DATA])),
    ]);
    assert_eq!(first.life(), (TimeoutClass::SctpEstablished, 7440));
    assert!(first.is_checked());
}

/// RFC 9260 section 5.2.4, action B: outside announced one tag in its INIT ACK and, not knowing
/// that any more, another in its INIT.
#[test]
fn crossing_openings_may_change_outsides_tag() {
    let association = Association::open(init(INSIDE)).after(&[
        (Inbound, init_ack(INSIDE, OUTSIDE)),
        (Inbound, init(OTHER)),
        (Out, to_outside(&[chunk::COOKIE_ECHO])),
        (Out, init_ack(OTHER, INSIDE)),
        (Inbound, to_inside(&[chunk::COOKIE_ECHO])),
        (Out, packet(&[chunk::COOKIE_ACK], OTHER)),
        (Inbound, to_inside(&[chunk::DATA])),
        (Out, packet(&[SACK], OTHER)),
    ]);
    assert_eq!(association.life(), (TimeoutClass::SctpEstablished, 7440));
    assert!(association.is_checked());
}

/// Outside answers every INIT with another tag, and only inside knows which answer it took.
#[test]
fn inside_chooses_among_answers() {
    for (first, second) in [(OUTSIDE, OTHER), (OTHER, OUTSIDE)] {
        let association = Association::open(init(INSIDE))
            .after(&[
                (Out, init(INSIDE)),
                (Inbound, init_ack(INSIDE, first)),
                (Inbound, init_ack(INSIDE, second)),
            ])
            .after(&HANDSHAKE[1..])
            .after(&[(Inbound, init_ack(INSIDE, second)), (Out, to_outside(&[chunk::DATA]))]);
        assert!(association.is_checked());
        assert_eq!(association.life(), (TimeoutClass::SctpEstablished, 7440));
    }
}

/// RFC 9260 section 8.3: a filter that just started, and an association's second path.
#[test]
fn an_association_in_mid_stream_is_picked_up() {
    for chunks in [
        &[chunk::DATA][..],
        &[SACK],
        &[HEARTBEAT],
        &[HEARTBEAT_ACK],
        &[chunk::COOKIE_ECHO, chunk::DATA],
        &[UNKNOWN],
    ] {
        let mut picked_up = Association::open(to_outside(chunks));
        assert_eq!(picked_up.life(), (TimeoutClass::SctpHalfOpen, 240), "{chunks:?}");
        assert_eq!(picked_up.take(Inbound, init(OUTSIDE)), Err(Reason::SctpState));
        let answered = picked_up.after(&[(Inbound, to_inside(&[SACK]))]);
        assert_eq!(answered.life(), (TimeoutClass::SctpEstablished, 7440), "{chunks:?}");
        let confirmed = answered.after(&[(Out, to_outside(&[chunk::DATA]))]);
        assert!(confirmed.entry.outbound.has(mark::CONFIRMED), "{chunks:?}");
        let anew = confirmed.after(&[(Out, init(INSIDE))]);
        assert_eq!(anew.life(), (TimeoutClass::SctpHalfOpen, 240), "{chunks:?}");
        assert!(anew.is_checked());
    }
    let ending = Association::open(to_outside(&[chunk::SHUTDOWN]));
    assert_eq!(ending.life(), (TimeoutClass::SctpClosing, 240));
    for header in [
        init_ack(OUTSIDE, INSIDE),
        to_outside(&[chunk::COOKIE_ACK]),
        to_outside(&[chunk::SHUTDOWN_ACK]),
        to_outside(&[chunk::SHUTDOWN_COMPLETE]),
        to_outside(&[chunk::ABORT]),
        to_outside(&[chunk::ERROR]),
    ] {
        let message = Message::classify(&header).expect("hosts send this");
        assert_eq!(opening(message, &header), None, "{message:?}");
    }
}
