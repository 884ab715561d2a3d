//! Differences that follow from what the gateways remember of a TCP connection.
//!
//! After each of these the reference judges by other numbers, or by none. What `eigw` does is as
//! expected all the same.

use crate::{
    compare::Case,
    difference::Difference,
    expected::{Course, Expected, Forgotten, Parting},
    step::Content,
};

/// The rules of this file.
pub(crate) const RULES: &[Difference] = &[
    Difference {
        name: "reset-before-answer",
        what: "keeps a flow that was reset, until its closing timeout, also when outside had not \
               said anything yet; nftables forgets such a connection at once",
        why: "RFC 7857 section 2.2: the state stays for 240 seconds after a reset, which may have \
              been forged or may not arrive.",
        parts_ways: true,
        covers: |case| is_forgotten(case, Forgotten::Reset),
    },
    Difference {
        name: "opening-from-outside-removes-nothing",
        what: "keeps a closed flow when outside tries to open a new connection on its ports; \
               nftables drops the opening, but forgets the old connection for it",
        why: "RFC 9293 section 3.6.1: the side in TIME-WAIT must be able to acknowledge a FIN \
              that comes again. What outside sends removes no flow.",
        parts_ways: true,
        covers: |case| is_forgotten(case, Forgotten::Opened),
    },
    Difference {
        name: "second-opening",
        what: "starts over when inside opens again with another number or after the end; \
               nftables keeps the old connection until it sees an answer",
        why: "RFC 9293 section 3.5.1 and RFC 5961 section 4.2: a host that lost its memory opens \
              again at once, and what it remembers counts.",
        parts_ways: true,
        covers: |case| is_parted(case, Parting::Reopened),
    },
    Difference {
        name: "inside-does-not-fit",
        what: "stops checking numbers when a segment from inside does not fit, or comes before \
               any answer; nftables ignores the segment and checks on",
        why: "RFC 6092 REC-31: no valid exchange may be cut off, and part of this one took \
              another way. REC-32 forbids checks of windows whose opening was not seen.",
        parts_ways: true,
        covers: |case| is_parted(case, Parting::LostTrack),
    },
    Difference {
        name: "unreadable-options",
        what: "does not check the numbers of a connection if the options of an opening contradict \
               its header; nftables takes those that come before",
        why: "RFC 6092 REC-32: without knowing the window scale, windows must not be enforced.",
        parts_ways: true,
        covers: |case| is_parted(case, Parting::Unreadable),
    },
    Difference {
        name: "opened-twice",
        what: "believes outside's latest SYN or SYN/ACK until the handshake is complete; nftables \
               stays with the first",
        why: "RFC 9293 sections 3.10.7.3 and 3.10.7.4: inside's SYN has to be acknowledged, and \
              whoever does is the one whose numbers count. The one before may be forged.",
        parts_ways: true,
        covers: |case| is_parted(case, Parting::OpenedTwice),
    },
    Difference {
        name: "repeated-otherwise",
        what: "heeds the options and the window of inside's first SYN; nftables also those of a \
               SYN that repeats it",
        why: "RFC 7323 section 2.2: the scale is fixed when a connection is opened, and in force \
              only if the answer has one too; a host that leaves it out later gets none.",
        parts_ways: true,
        covers: |case| is_parted(case, Parting::RepeatedOtherwise),
    },
    Difference {
        name: "answered-late",
        what: "ignores a SYN/ACK on an established connection; nftables starts over with it if \
               inside has repeated its SYN just before",
        why: "RFC 5961 section 4.2: to the host it changes nothing.",
        parts_ways: true,
        covers: |case| is_parted(case, Parting::AnsweredLate),
    },
    Difference {
        name: "dropped-answer",
        what: "remembers nothing of a SYN/ACK or reset that is not for inside's SYN; nftables \
               remembers its numbers, whether or not it drops it",
        why: "RFC 9293 section 3.10.7.3: the host ignores such a segment, or resets it and waits \
              on.",
        parts_ways: true,
        covers: |case| is_parted(case, Parting::DroppedAnswer),
    },
    Difference {
        name: "stray-answer",
        what: "ignores a SYN/ACK from inside that is not about its opening and one that crossed \
               it; nftables begins to count from there",
        why: "RFC 9293 section 3.10.7: a host answers only a SYN that it got, and with the \
              number of its own.",
        parts_ways: true,
        covers: |case| is_parted(case, Parting::StrayAnswer),
    },
    Difference {
        name: "reset-of-opening",
        what: "takes answers and acknowledgements after a reset that came before any answer, but \
               no opening from outside; for nftables the connection is over, or the reset does \
               not count",
        why: "RFC 9293 section 3.5.1: such a reset may be for an old connection that only one \
              side remembers, and inside's opening still stands.",
        parts_ways: true,
        covers: |case| is_parted(case, Parting::ResetOpening),
    },
];

/// Whether the packet is of a connection that the reference forgot for this reason, and may have
/// taken up again; or an error about one.
fn is_forgotten(case: &Case<'_>, why: Forgotten) -> bool {
    let course = Course::before(case);
    let is_expected = match &case.step().content {
        Content::Tcp(_) => Expected::of(case).is_some(),
        Content::Error(error) => error.quoted.segment().is_some() && course.flow.is_some(),
        Content::Udp(_) | Content::Query(_) => false,
    };
    let is_forgotten = case.passed_eigw_only() && course.reference.forgotten == Some(why);
    is_expected && (is_forgotten || course.parted_by(Parting::TakenUp(why)))
}

/// Whether the memories of the gateways came to differ in this way.
fn is_parted(case: &Case<'_>, by: Parting) -> bool {
    Expected::of(case).is_some_and(|it| it.course.parted_by(by))
}
