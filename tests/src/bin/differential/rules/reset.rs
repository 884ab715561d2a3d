//! Differences about resets.

use gateway_common::tuple::Direction::Outbound;

use super::{eigw_drops, eigw_passes};
use crate::{
    difference::Difference,
    expected::{Expected, Judgement, Parting, Place, is_after},
};

/// The rules of this file.
pub(crate) const RULES: &[Difference] = &[
    Difference {
        name: "reset-before-window",
        what: "drops a reset before what inside acknowledged last, in every state; nftables only \
               as long as a connection is established that it saw from its opening on, and not \
               behind a SYN that came again",
        why: "RFC 5961 section 3.2: the host ignores it.",
        parts_ways: true,
        covers: |case| {
            eigw_drops(case, |it| {
                it.judgement == Judgement::Resets(Place::Before) && is_unchecked(it)
            })
        },
    },
    Difference {
        name: "reset-beyond-window",
        what: "drops a reset beyond the window; nftables lets it pass if the connection is closing \
               or in mid-stream, or if it is less than a window beyond",
        why: "RFC 5961 section 3.2: the host ignores it.",
        parts_ways: true,
        covers: |case| eigw_drops(case, |it| it.judgement == Judgement::Resets(Place::Beyond)),
    },
    Difference {
        name: "reset-with-acknowledgement",
        what: "judges a reset by its sequence number only; nftables drops it if it acknowledges \
               what inside never sent",
        why: "RFC 9293 section 3.10.7.4: the host acts on a reset before it looks at the \
              acknowledgement.",
        parts_ways: true,
        covers: |case| {
            eigw_passes(case, |it| {
                let sent = it.flow.side(Outbound).end;
                let claims = [it.reading.ack, it.reading.options.sack];
                matches!(it.judgement, Judgement::Resets(_))
                    && claims.into_iter().flatten().any(|claim| is_after(claim, sent))
            })
        },
    },
    Difference {
        name: "reset-in-mid-stream",
        what: "compares a reset in mid-stream with inside's latest acknowledgement; nftables with \
               the highest that it took",
        why: "RFC 5961 section 3.2 wants the next number that inside expects. Where none can be \
              checked, the latest acknowledgement says what that is.",
        parts_ways: true,
        covers: |case| {
            eigw_passes(case, |it| {
                matches!(it.judgement, Judgement::Resets(_))
                    && !it.flow.is_checked()
                    && it.flow.unchecked_acks.iter().any(|&ack| is_after(ack, it.reading.sequence))
            })
        },
    },
    Difference {
        name: "resets-say-nothing-else",
        what: "takes from a reset of inside that the connection is reset, and nothing else; \
               nftables also takes it for data up to there, for an acknowledgement and for a \
               window",
        why: "RFC 9293 sections 3.5.3 and 3.10.7.4: the host on the other side closes, or ignores \
              the reset.",
        parts_ways: true,
        covers: |case| {
            Expected::of(case).is_some_and(|it| it.course.parted_by(Parting::ResetClaims))
        },
    },
];

/// Whether the reference does not compare resets with what inside acknowledged.
fn is_unchecked(expected: &Expected) -> bool {
    let reference = &expected.course.reference;
    reference.is_closing()
        || reference.is_picked_up()
        || reference.saw_opening_last()
        || expected.flow.side(Outbound).grant.is_none()
        || expected.course.parted_by(Parting::IgnoredInside)
}
