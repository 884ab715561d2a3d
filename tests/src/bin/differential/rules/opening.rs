//! Differences about how TCP connections are opened.

use gateway_common::tuple::Direction::{Inbound, Outbound};

use super::{eigw_drops, eigw_passes};
use crate::{
    difference::Difference,
    expected::{Expected, Fit, Judgement, Kind, Parting, Place, is_after},
};

/// The rules of this file.
pub(crate) const RULES: &[Difference] = &[
    Difference {
        name: "answer-to-another-opening",
        what: "drops a SYN/ACK, a reset, or the first acknowledgement after crossing SYNs, that \
               does not acknowledge inside's SYN; nftables lets those pass that acknowledge less, \
               and any reset",
        why: "RFC 9293 sections 3.10.7.3 and 3.10.7.4, RFC 5961 section 3.2: before the handshake \
              is complete, nothing but this number tells an answer from a forgery.",
        parts_ways: true,
        covers: |case| eigw_drops(case, |it| it.judgement == Judgement::AnswersOther),
    },
    Difference {
        name: "late-answer",
        what: "drops a SYN/ACK that does not fit an established connection; nftables lets it pass \
               as an answer to an opening that it may have missed",
        why: "RFC 5961 section 4.2: the host does not take it either. `eigw` misses no opening.",
        parts_ways: true,
        covers: |case| {
            eigw_drops(case, |it| {
                it.reading.kind == Kind::SynAck
                    && matches!(it.judgement, Judgement::Fits(Fit::AcksUnsent | Fit::Beyond))
            })
        },
    },
    Difference {
        name: "other-opening",
        what: "takes a SYN, or a SYN/ACK to inside's SYN, with another number than outside opened \
               with before; nftables drops it",
        why: "RFC 9293 section 3.10.7.3. A SYN that crosses inside's may be forged by anybody who \
              knows the ports, and must not spoil the answer.",
        parts_ways: true,
        covers: |case| {
            eigw_passes(case, |it| {
                let opening = it.flow.side(Inbound).opening;
                matches!(it.judgement, Judgement::Opens | Judgement::Answers)
                    && opening.is_some_and(|opening| opening != it.reading.sequence)
            })
        },
    },
    Difference {
        name: "crossing-openings",
        what: "judges by their numbers what comes after both sides have opened, and takes \
               outside's SYN again until it acknowledges inside's; nftables waits for a SYN/ACK, \
               before which it lets acknowledgements and SYNs pass, ignores what inside says and \
               drops FINs, and takes no SYN afterwards",
        why: "RFC 9293 section 3.10.7.4: in SYN-RECEIVED any segment with the right \
              acknowledgement completes the handshake, also a FIN.",
        parts_ways: true,
        covers: |case| {
            let is_passed = eigw_passes(case, |it| {
                let is_fin = it.course.reference.is_crossing() && it.reading.kind == Kind::Fin;
                it.flow.outside().has_crossed
                    && (is_fin
                        || it.judgement == Judgement::Opens
                        || it.course.parted_by(Parting::IgnoredInside))
            });
            let is_dropped = eigw_drops(case, |it| {
                it.course.reference.is_crossing()
                    && matches!(it.reading.kind, Kind::Ack | Kind::Syn)
            });
            is_passed || is_dropped
        },
    },
    Difference {
        name: "selective-acknowledgement-in-answer",
        what: "takes no notice of a selective acknowledgement in a SYN/ACK; nftables drops it if \
               that is for data which inside never sent",
        why: "RFC 2018 section 3: the option is for established connections.",
        parts_ways: true,
        covers: |case| {
            eigw_passes(case, |it| {
                let sent = it.flow.side(Outbound).end;
                it.judgement == Judgement::Answers
                    && it.reading.options.sack.is_some_and(|sack| is_after(sack, sent))
            })
        },
    },
    Difference {
        name: "window-of-opening",
        what: "lets outside send as much as the window of inside's SYN allows before inside has \
               acknowledged anything; nftables knows of no window until then, and ignores or drops \
               what comes",
        why: "RFC 9293 section 3.8.6: each segment indicates a window, also the first.",
        parts_ways: true,
        covers: |case| {
            let is_early = eigw_passes(case, |it| {
                let is_in_window = matches!(
                    it.judgement,
                    Judgement::Resets(Place::Window)
                        | Judgement::Fits(Fit::Inside | Fit::Overshoots | Fit::Old)
                );
                it.flow.side(Outbound).grant.is_none() && is_in_window
            });
            let is_parted = |it: Expected| it.course.parted_by(Parting::SentEarly);
            is_early || Expected::of(case).is_some_and(is_parted)
        },
    },
    Difference {
        name: "window-before-opening",
        what: "takes the window of inside's first acknowledgement as it is; nftables keeps it \
               from ending before outside's opening, or the data that came with that",
        why: "RFC 9293 section 3.8.6: the receiver decides how much it takes. No host acknowledges \
              less than the opening that it got.",
        parts_ways: true,
        covers: |case| {
            eigw_drops(case, |it| {
                let opening_end = it.flow.side(Inbound).opening_end;
                let grant = it.flow.side(Outbound).grant;
                it.judgement == Judgement::Fits(Fit::Beyond)
                    && grant.is_some_and(|grant| is_after(opening_end, grant.edge))
            })
        },
    },
];
