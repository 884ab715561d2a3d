//! What packets must say to be believed.

use proptest::prelude::*;

use super::*;

/// RFC 9260 sections 6.10 and 8.5.1.
#[test]
fn packets_are_classified_by_what_matters_most() {
    let tagged = |chunks| Message::classify(&to_inside(chunks));
    for (chunks, expected) in [
        (&[chunk::DATA][..], Some(Message::Data)),
        (&[SACK, chunk::DATA], Some(Message::Data)),
        (&[UNKNOWN], Some(Message::Data)),
        (&[chunk::COOKIE_ECHO, chunk::DATA], Some(Message::CookieEcho)),
        (&[chunk::COOKIE_ACK, SACK, chunk::DATA], Some(Message::CookieAck)),
        (&[chunk::COOKIE_ACK, chunk::ERROR], Some(Message::CookieAck)),
        (&[SACK, chunk::SHUTDOWN], Some(Message::Shutdown)),
        (&[chunk::SHUTDOWN_ACK], Some(Message::ShutdownAck)),
        (&[chunk::SHUTDOWN_ACK, chunk::ERROR], Some(Message::ShutdownAck)),
        (&[chunk::SHUTDOWN_COMPLETE], Some(Message::ShutdownComplete)),
        (&[chunk::ABORT], Some(Message::Abort)),
        (&[chunk::ERROR, chunk::ABORT], Some(Message::Abort)),
        (&[chunk::ERROR], Some(Message::Error)),
        (&[], None),
        (&[chunk::INIT, chunk::DATA], None),
        (&[chunk::INIT_ACK, SACK], None),
        (&[SACK, chunk::SHUTDOWN_COMPLETE], None),
        (&[chunk::ABORT, chunk::INIT], None),
    ] {
        assert_eq!(tagged(chunks), expected, "{chunks:?}");
    }
    let with_tags = |kind, tag, initiate_tag| {
        let mut header = packet(&[kind], tag);
        header.chunks.initiate_tag = initiate_tag;
        Message::classify(&header)
    };
    assert_eq!(with_tags(chunk::INIT, 0, 1), Some(Message::Init));
    assert_eq!(with_tags(chunk::INIT, 1, 1), None);
    assert_eq!(with_tags(chunk::INIT, 0, 0), None);
    assert_eq!(with_tags(chunk::INIT_ACK, 1, 1), Some(Message::InitAck));
    assert_eq!(with_tags(chunk::INIT_ACK, 1, 0), None);
    for kind in (0..=UNKNOWN).filter(|&kind| kind != chunk::INIT) {
        assert_eq!(with_tags(kind, 0, 1), None, "{kind}");
    }
}

/// Inside goes on with what was opened on another way.
#[test]
fn what_was_not_seen_is_not_checked() {
    let mut opened_elsewhere =
        Association::open(init(INSIDE)).after(&[(Out, to_outside(&[HEARTBEAT]))]);
    assert!(!opened_elsewhere.is_checked());
    assert_eq!(opened_elsewhere.take(Inbound, packet(&[HEARTBEAT_ACK], OTHER)), Ok(()));
    assert_eq!(opened_elsewhere.life(), (TimeoutClass::SctpEstablished, 7440));

    let closed_elsewhere =
        Association::open(init(INSIDE)).after(&[(Out, to_outside(&[chunk::SHUTDOWN]))]);
    assert_eq!(closed_elsewhere.life(), (TimeoutClass::SctpClosing, 240));

    for kind in [chunk::COOKIE_ECHO, chunk::COOKIE_ACK] {
        let mut late_choice = established().after(&[(Out, packet(&[kind], OTHER))]);
        assert_eq!(late_choice.take(Inbound, packet(&[SACK], OTHER)), Ok(()), "{kind}");
    }

    let mut restarted_elsewhere = established().after(&[(Out, packet(&[chunk::DATA], OTHER))]);
    assert!(!restarted_elsewhere.is_checked());
    assert_eq!(restarted_elsewhere.take(Inbound, packet(&[SACK], OTHER)), Ok(()));
    assert_eq!(restarted_elsewhere.life(), (TimeoutClass::SctpEstablished, 7440));

    let over = established().after(&[(Inbound, to_inside(&[chunk::ABORT]))]);
    let next = over.after(&[(Out, packet(&[chunk::DATA], OTHER))]);
    assert_eq!(next.life(), (TimeoutClass::SctpHalfOpen, 240), "another association");
    assert!(next.entry.outbound.has(mark::PICKED_UP));
}

proptest! {
    /// RFC6092-REC-38, E148: whoever does not know the tag changes nothing.
    #[test]
    fn a_wrong_tag_changes_nothing(
        life in prop::collection::vec(any_step(), 0..12),
        header in any_header(),
        tag in prop::sample::select(&[STRANGER, 0][..]),
        direction in prop::sample::select(&Direction::ALL[..]),
    ) {
        let mut association = Association::open(init(INSIDE));
        for (direction, header) in life {
            let mut next = association.clone();
            _ = next.take(direction, header);
            if next.is_checked() {
                association = next;
            }
        }
        let header = SctpHeader { tag, ..header };
        let before = association.entry;
        match (direction, Message::classify(&header)) {
            (Inbound, None) => {
                prop_assert_eq!(association.take(Inbound, header), Err(Reason::SctpChunks));
            }
            // It has no tag, and must not need one.
            (Inbound, Some(Message::Init)) => {
                _ = association.take(Inbound, header);
            }
            (Inbound, Some(_)) => {
                prop_assert_eq!(association.take(Inbound, header), Err(Reason::SctpTag));
            }
            (Out, Some(Message::Abort | Message::ShutdownComplete | Message::Error)) => {
                prop_assert_eq!(association.take(Out, header), Ok(()));
            }
            // Inside goes on with an association that is not known here: see above.
            (Out, _) => {}
        }
        prop_assert_eq!(uncounted(association.entry), uncounted(before));
    }

    /// RFC6092-REC-38, RFC6092-REC-40: whatever outside sends, it cannot keep an opening alive,
    /// nor complete it on its own.
    #[test]
    fn outside_alone_never_establishes(headers in prop::collection::vec(any_header(), 0..40)) {
        let mut association = Association::open(init(INSIDE));
        for header in headers {
            let elapsed = association.now.since(association.entry.created).0 / TICKS_PER_SEC;
            _ = association.take(Inbound, header);
            let (class, secs_left) = association.life();
            prop_assert_ne!(class, TimeoutClass::SctpEstablished);
            prop_assert!(class == TimeoutClass::SctpClosing || secs_left < 240 - elapsed);
        }
    }

    /// Halves only grow: no order of updates can take back what an earlier one recorded.
    #[test]
    fn marks_and_counters_never_go_back(life in prop::collection::vec(any_step(), 0..40)) {
        let mut association = Association::open(init(INSIDE));
        for (direction, header) in life {
            let before = association.entry;
            _ = association.take(direction, header);
            if association.entry.created != before.created {
                continue;
            }
            for direction in Direction::ALL {
                let (old, new) = (before.half(direction), association.entry.half(direction));
                prop_assert_eq!(old.marks & !new.marks, 0);
                prop_assert!(old.seen <= new.seen && old.packets <= new.packets);
            }
        }
    }
}
