//! How associations end, and begin anew.

use super::*;

/// RFC6092-REC-38, RFC6092-REC-40: inside ends it, outside does, or both do.
#[test]
fn closing_begins_with_the_first_shutdown() {
    let complete = packet(&[chunk::SHUTDOWN_COMPLETE], INSIDE);
    let by_inside = [
        (Out, to_outside(&[chunk::SHUTDOWN])),
        (Inbound, to_inside(&[chunk::DATA])),
        (Out, to_outside(&[SACK, chunk::SHUTDOWN])),
        (Inbound, to_inside(&[chunk::SHUTDOWN_ACK])),
        (Out, to_outside(&[chunk::SHUTDOWN_COMPLETE])),
        // Its SHUTDOWN COMPLETE was lost, and inside knows no association any more.
        (Inbound, to_inside(&[chunk::SHUTDOWN_ACK])),
        (Out, reflected(complete)),
    ];
    let by_outside = [
        (Inbound, to_inside(&[SACK, chunk::SHUTDOWN])),
        (Out, to_outside(&[chunk::DATA])),
        (Out, to_outside(&[chunk::SHUTDOWN_ACK])),
        (Inbound, complete),
        (Inbound, reflected(to_outside(&[chunk::SHUTDOWN_COMPLETE]))),
    ];
    let by_both = [
        (Out, to_outside(&[chunk::SHUTDOWN])),
        (Inbound, to_inside(&[chunk::SHUTDOWN])),
        (Out, to_outside(&[chunk::SHUTDOWN_ACK])),
        (Inbound, to_inside(&[chunk::SHUTDOWN_ACK])),
        (Out, to_outside(&[chunk::SHUTDOWN_COMPLETE])),
        (Inbound, complete),
    ];
    for closing in [&by_inside[..], &by_outside, &by_both] {
        for steps in 1..=closing.len() {
            let association = established().after(&closing[..steps]);
            assert_eq!(association.life(), (TimeoutClass::SctpClosing, 240), "{closing:?}");
            assert!(association.is_checked(), "{closing:?}");
        }
    }
    // What came before took another way.
    for kind in [chunk::SHUTDOWN, chunk::SHUTDOWN_ACK, chunk::SHUTDOWN_COMPLETE] {
        for (direction, header) in [(Inbound, to_inside(&[kind])), (Out, to_outside(&[kind]))] {
            let closing = established().after(&[(direction, header)]);
            assert_eq!(closing.life(), (TimeoutClass::SctpClosing, 240), "{direction:?} {kind}");
        }
    }
    // There is nothing to end yet, so outside cannot keep an opening alive this way.
    for kind in [chunk::SHUTDOWN, chunk::SHUTDOWN_ACK, chunk::SHUTDOWN_COMPLETE] {
        let opening = Association::open(init(INSIDE)).after(&[(Inbound, to_inside(&[kind]))]);
        assert_eq!(opening.life(), (TimeoutClass::SctpHalfOpen, 239), "{kind}");
    }
}

/// RFC 9260 section 8.5.1, E148.
#[test]
fn an_abort_stands_until_inside_goes_on() {
    let abort = [chunk::ABORT];
    for (direction, header) in [
        (Inbound, to_inside(&abort)),
        (Inbound, reflected(to_outside(&abort))),
        (Out, to_outside(&abort)),
        (Out, reflected(to_inside(&abort))),
    ] {
        let aborted = established().after(&[(direction, header)]);
        assert_eq!(aborted.life(), (TimeoutClass::SctpClosing, 240), "{direction:?} {header:?}");
        // Outside can neither revive the flow nor keep it, with data or with further aborts.
        let aborted =
            aborted.after(&[(Inbound, to_inside(&[chunk::DATA])), (Inbound, to_inside(&abort))]);
        assert_eq!(aborted.life(), (TimeoutClass::SctpClosing, 238), "{direction:?} {header:?}");
        let revived = aborted.after(&[(Out, to_outside(&[chunk::DATA]))]);
        assert_eq!(revived.life(), (TimeoutClass::SctpEstablished, 7440));
    }
    let refused = Association::open(init(INSIDE)).after(&[(Inbound, to_inside(&abort))]);
    assert_eq!(refused.life(), (TimeoutClass::SctpClosing, 240));
    // While inside has chosen no tag of outside's, none can be reflected.
    let mut opening = Association::open(init(INSIDE));
    let reflection = reflected(to_outside(&abort));
    assert_eq!(opening.take(Inbound, reflection), Err(Reason::SctpTag));
}

/// RFC6092-REC-38: packets get lost, and are sent again.
#[test]
fn every_packet_may_be_repeated() {
    let life = [
        (Out, init(INSIDE)),
        (Inbound, init_ack(INSIDE, OUTSIDE)),
        (Out, to_outside(&[chunk::COOKIE_ECHO])),
        (Inbound, to_inside(&[chunk::COOKIE_ACK])),
        (Out, to_outside(&[chunk::DATA])),
        (Inbound, to_inside(&[SACK, chunk::DATA])),
        (Inbound, to_inside(&[HEARTBEAT])),
        (Out, to_outside(&[HEARTBEAT_ACK])),
        (Out, to_outside(&[chunk::SHUTDOWN])),
        (Inbound, to_inside(&[chunk::SHUTDOWN_ACK])),
        (Out, to_outside(&[chunk::SHUTDOWN_COMPLETE])),
    ];
    for (index, repeated) in life.into_iter().enumerate() {
        // Once the association is over, an INIT from inside begins anew.
        let end = if index == 0 { 8 } else { life.len() };
        for late in index..end {
            let mut association = Association::open(life[0].1).after(&life[1..=late]);
            let before = association.life().0;
            association = association.after(&[repeated, repeated]);
            assert!(association.is_checked(), "{repeated:?} after {late}");
            assert_eq!(association.life().0, before, "{repeated:?} after {late}");
        }
    }
}

/// RFC 9260 section 5.2, RFC6092-REC-38: inside restarts, or uses the ports again.
#[test]
fn only_inside_begins_anew() {
    let shutdown = (Out, to_outside(&[chunk::SHUTDOWN]));
    let aborts =
        [(Inbound, to_inside(&[chunk::ABORT])), (Out, reflected(to_inside(&[chunk::ABORT])))];
    for end in [&[][..], &[shutdown], &aborts[..1], &aborts[1..]] {
        let mut association = established().after(end);
        assert_eq!(association.take(Inbound, init(OTHER)), Err(Reason::SctpState), "{end:?}");
        let anew = association.after(&[(Out, init(OTHER))]);
        assert_eq!(anew.life(), (TimeoutClass::SctpHalfOpen, 240), "{end:?}");
        let mut anew = anew.after(&[(Inbound, init_ack(OTHER, OUTSIDE))]).after(&HANDSHAKE[1..2]);
        // Outside still sends to the old association.
        assert_eq!(anew.take(Inbound, to_inside(&[chunk::DATA])), Err(Reason::SctpTag));
        let anew = anew.after(&[(Inbound, packet(&[chunk::COOKIE_ACK], OTHER))]);
        assert_eq!(anew.life(), (TimeoutClass::SctpEstablished, 7440), "{end:?}");
    }
    // The same tag begins anew only when the old association is over.
    let repeated = established().after(&[(Out, init(INSIDE))]);
    assert_eq!(repeated.life(), (TimeoutClass::SctpEstablished, 7440));
    let anew = repeated.after(&[shutdown, (Out, init(INSIDE))]);
    assert_eq!(anew.life(), (TimeoutClass::SctpHalfOpen, 240));
}
