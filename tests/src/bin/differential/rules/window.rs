//! Differences about the windows of established TCP connections.

use gateway_common::tuple::Direction::{Inbound, Outbound};

use super::{eigw_drops, eigw_passes};
use crate::{
    difference::Difference,
    expected::{Expected, Fit, Judgement, Parting, is_after},
};

/// The rules of this file.
pub(crate) const RULES: &[Difference] = &[
    Difference {
        name: "far-beyond-window",
        what: "drops what begins behind the window and ends more than another window behind it; \
               nftables allows more after each segment that went too far, of either side",
        why: "RFC 9293 section 3.4: the host takes nothing of it.",
        parts_ways: true,
        covers: |case| {
            eigw_drops(case, |it| {
                let mut both = [Inbound, Outbound].into_iter();
                it.judgement == Judgement::Fits(Fit::Beyond)
                    && both.any(|direction| it.flow.has_exceeded(direction))
            })
        },
    },
    Difference {
        name: "one-window-beyond",
        what: "lets pass what begins behind the window and ends exactly another window behind it; \
               nftables one byte less, and drops what acknowledges that byte",
        why: "RFC 9293 section 3.4: the host takes nothing of either, and will answer both.",
        parts_ways: true,
        covers: |case| {
            eigw_passes(case, |it| {
                let excess = it.flow.pair(Inbound).excess(&it.reading);
                let is_exact = excess.is_some_and(|excess| excess.bytes == excess.window);
                it.judgement == Judgement::Fits(Fit::Overshoots) && is_exact
                    || it.course.parted_by(Parting::IgnoredExcess)
            })
        },
    },
    Difference {
        name: "reordered-excess",
        what: "remembers how far a side went beyond the window at most; nftables remembers the \
               last segment that did, also if it is not the furthest",
        why: "RFC 9293 section 3.4: segments may arrive in any order.",
        parts_ways: true,
        covers: |case| {
            Expected::of(case).is_some_and(|it| it.course.parted_by(Parting::ReorderedExcess))
        },
    },
    Difference {
        name: "second-selective-acknowledgement",
        what: "heeds every selective acknowledgement, and drops a segment with one for data that \
               inside never sent; nftables heeds only the first such option",
        why: "RFC 2018 section 3 has one option with several blocks. Whoever sends two did not \
              follow it.",
        parts_ways: true,
        covers: |case| {
            eigw_drops(case, |it| {
                let sent = it.flow.side(Outbound).end;
                let claims = [it.reading.ack, it.reading.options.first_sack];
                it.judgement == Judgement::Fits(Fit::AcksUnsent)
                    && it.reading.options.first_sack != it.reading.options.sack
                    && !claims.into_iter().flatten().any(|claim| is_after(claim, sent))
            })
        },
    },
    Difference {
        name: "half-the-number-space",
        what: "drops a segment that is both before what outside sent and beyond the window, as \
               numbers wrap around; nftables takes it for an old one",
        why: "RFC 9293 section 3.4: numbers can only be compared if they are less than half the \
              number space apart.",
        parts_ways: true,
        covers: |case| {
            eigw_drops(case, |it| {
                let sent = it.flow.side(Inbound).end;
                let edge = it.flow.pair(Inbound).edge();
                it.judgement == Judgement::Fits(Fit::Beyond)
                    && is_after(it.reading.sequence, edge)
                    && !is_after(it.reading.sequence, sent)
                    && it.flow.side(Outbound).grant.is_none()
            })
        },
    },
];
