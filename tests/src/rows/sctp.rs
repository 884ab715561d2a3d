//! SCTP associations (RFC 9260), by their ports and verification tags.

mod published;
mod strangers;

use super::{
    conversation::Record,
    icmp::{Error, error},
    prelude::*,
};

pub(super) fn rows() -> Vec<Row> {
    let associations = FAMILIES.into_iter().flat_map(|family| {
        [
            life(family),
            closed_by_outside(family),
            crossing(family),
            repeated(family),
            restart(family),
            aborts(family),
            mid_stream(family),
            unseen(family),
            lifetime(family),
            errors(family),
            fragments(family),
        ]
    });
    associations.chain(strangers::rows()).chain(published::rows()).collect()
}

/// What inside announces: packets to it carry this tag.
const INSIDE_TAG: u32 = 0x1111_1111;
/// What outside announces.
const OUTSIDE_TAG: u32 = 0x9999_9999;
/// What nobody announced.
const OTHER_TAG: u32 = 0x7777_7777;

mod chunk {
    pub(super) const DATA: &[u8] =
        &[0, 3, 0, 17, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, b'?', 0, 0, 0];
    pub(super) const SACK: &[u8] = &[3, 0, 0, 16, 0, 0, 0, 1, 0, 0, 0xff, 0xff, 0, 0, 0, 0];
    pub(super) const HEARTBEAT: &[u8] = &[4, 0, 0, 8, 0, 1, 0, 4];
    pub(super) const HEARTBEAT_ACK: &[u8] = &[5, 0, 0, 8, 0, 1, 0, 4];
    pub(super) const ABORT: &[u8] = &[6, 0, 0, 4];
    pub(super) const ABORT_REFLECTED: &[u8] = &[6, 1, 0, 4];
    pub(super) const SHUTDOWN: &[u8] = &[7, 0, 0, 8, 0, 0, 0, 1];
    pub(super) const SHUTDOWN_ACK: &[u8] = &[8, 0, 0, 4];
    pub(super) const ERROR: &[u8] = &[9, 0, 0, 8, 0, 6, 0, 4];
    pub(super) const COOKIE_ECHO: &[u8] = &[10, 0, 0, 8, 1, 2, 3, 4];
    pub(super) const COOKIE_ACK: &[u8] = &[11, 0, 0, 4];
    pub(super) const SHUTDOWN_COMPLETE: &[u8] = &[14, 0, 0, 4];
    pub(super) const SHUTDOWN_COMPLETE_REFLECTED: &[u8] = &[14, 1, 0, 4];
    pub(super) const ZERO_LENGTH: &[u8] = &[0, 3, 0, 0];
    pub(super) const TOO_LONG: &[u8] = &[3, 0, 0, 20, 0, 0, 0, 1];

    pub(super) fn init(tag: u32) -> Vec<u8> {
        opening(&[1, 0, 0, 20], tag)
    }

    pub(super) fn init_ack(tag: u32) -> Vec<u8> {
        [&*opening(&[2, 0, 0, 28], tag), &[0, 7, 0, 8, 1, 2, 3, 4]].concat()
    }

    fn opening(header: &[u8], tag: u32) -> Vec<u8> {
        [header, &tag.to_be_bytes(), &[0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1]].concat()
    }
}

/// A packet from inside.
fn out(family: Family, tag: u32, chunks: &[&[u8]]) -> Packet {
    from(INSIDE, OUTSIDE, family).sctp(40_002, 2905, tag, &chunks.concat())
}

/// A packet from outside.
fn back(family: Family, tag: u32, chunks: &[&[u8]]) -> Packet {
    from(OUTSIDE, INSIDE, family).sctp(2905, 40_002, tag, &chunks.concat())
}

/// A: from I:40002 to E:2905.
fn association(family: Family) -> Flow {
    let init = out(family, 0, &[&chunk::init(INSIDE_TAG)]);
    Flow::new(init, INSIDE.ip(family), 40_002, OUTSIDE.ip(family), 2905, 132)
}

impl Expect {
    /// These tags are written down: the one that inside expects and the one that it uses.
    fn with_tags(mut self, expected: u32, used: u32) -> Self {
        let trace = self.trace.as_mut().expect("the packet belongs to a flow");
        let end = used.into();
        trace.record = Some(Record { end, announced: expected, ..Record::default() });
        self
    }
}

impl Row {
    /// Inside opens A.
    fn opening(self, family: Family) -> Self {
        let a = association(family);
        self.outbound(a.out(), opens(&a).marked(mark::SYN).with_tags(INSIDE_TAG, 0))
    }

    /// A, complete.
    fn associated(self, family: Family) -> Self {
        let a = association(family);
        let init_ack = chunk::init_ack(OUTSIDE_TAG);
        self.opening(family)
            .inbound(back(family, INSIDE_TAG, &[&init_ack]), belongs_to(&a))
            .then(&a, FlowState::Replied)
            .outbound(
                out(family, OUTSIDE_TAG, &[chunk::COOKIE_ECHO, chunk::DATA]),
                belongs_to(&a).promoted().with_tags(INSIDE_TAG, OUTSIDE_TAG),
            )
            .inbound(
                back(family, INSIDE_TAG, &[chunk::COOKIE_ACK, chunk::SACK]),
                belongs_to(&a).marked(mark::CONFIRMED),
            )
    }
}

fn life(family: Family) -> Row {
    let a = association(family);
    let out = |chunks: &[&[u8]]| out(family, OUTSIDE_TAG, chunks);
    let back = |chunks: &[&[u8]]| back(family, INSIDE_TAG, chunks);
    row(&["RFC6092-REC-38", "E148"], format!("{family:?}: the life of an SCTP association"))
        .inbound(back(&[&chunk::init_ack(OUTSIDE_TAG)]), refused(Reason::NoFlow))
        .associated(family)
        .outbound(out(&[chunk::DATA]), belongs_to(&a))
        .inbound(back(&[chunk::SACK, chunk::DATA]), belongs_to(&a))
        .inbound(back(&[chunk::HEARTBEAT]), belongs_to(&a))
        .outbound(out(&[chunk::HEARTBEAT_ACK]), belongs_to(&a))
        .outbound(out(&[chunk::HEARTBEAT]), belongs_to(&a))
        .inbound(back(&[chunk::HEARTBEAT_ACK]), belongs_to(&a))
        .inbound(back(&[chunk::ERROR]), belongs_to(&a).without_refresh())
        .outbound(out(&[chunk::ERROR]), belongs_to(&a).without_refresh())
        .outbound(out(&[chunk::SACK, chunk::SHUTDOWN]), belongs_to(&a).marked(mark::FIN))
        .inbound(back(&[chunk::DATA]), belongs_to(&a))
        .inbound(back(&[chunk::SHUTDOWN_ACK]), belongs_to(&a).marked(mark::FIN))
        .outbound(out(&[chunk::SHUTDOWN_COMPLETE]), belongs_to(&a))
        .wait(239)
        .inbound(back(&[chunk::SHUTDOWN_ACK]), belongs_to(&a))
        .wait(241)
        .inbound(back(&[chunk::SHUTDOWN_ACK]), refused(Reason::FlowExpired))
}

fn closed_by_outside(family: Family) -> Row {
    let a = association(family);
    let complete = &[chunk::SHUTDOWN_COMPLETE_REFLECTED];
    row(&["RFC6092-REC-38"], format!("{family:?}: an SCTP association that outside ends"))
        .associated(family)
        .inbound(back(family, INSIDE_TAG, &[chunk::SHUTDOWN]), belongs_to(&a).marked(mark::FIN))
        .outbound(out(family, OUTSIDE_TAG, &[chunk::DATA]), belongs_to(&a))
        .outbound(
            out(family, OUTSIDE_TAG, &[chunk::SHUTDOWN_ACK]),
            belongs_to(&a).marked(mark::FIN),
        )
        .inbound(back(family, INSIDE_TAG, &[chunk::SHUTDOWN_COMPLETE]), belongs_to(&a))
        // Outside knows the association no more, and returns the tag that it was sent.
        .outbound(out(family, OUTSIDE_TAG, &[chunk::SHUTDOWN_ACK]), belongs_to(&a))
        .inbound(back(family, OUTSIDE_TAG, complete), belongs_to(&a))
        .inbound(back(family, INSIDE_TAG, complete), refused(Reason::SctpTag))
        .outbound(out(family, INSIDE_TAG, complete), belongs_to(&a))
        .outbound(out(family, OTHER_TAG, complete), belongs_to(&a).without_refresh())
}

fn crossing(family: Family) -> Row {
    let a = association(family);
    let init = back(family, 0, &[&chunk::init(OUTSIDE_TAG)]);
    let init_ack = back(family, INSIDE_TAG, &[&chunk::init_ack(OUTSIDE_TAG)]);
    let answer = out(family, OUTSIDE_TAG, &[&chunk::init_ack(INSIDE_TAG)]);
    let cookie_echo = out(family, OUTSIDE_TAG, &[chunk::COOKIE_ECHO]);
    row(&["RFC6092-REC-38"], format!("{family:?}: both ends of an SCTP association begin"))
        .inbound(init.clone(), refused(Reason::NoFlow))
        .opening(family)
        .inbound(init.clone(), belongs_to(&a).without_refresh())
        .outbound(answer, belongs_to(&a).without_refresh())
        .inbound(init_ack, belongs_to(&a))
        .inbound(init.clone(), belongs_to(&a).without_refresh())
        .inbound(back(family, INSIDE_TAG, &[chunk::COOKIE_ECHO]), belongs_to(&a))
        .outbound(cookie_echo, belongs_to(&a).promoted().with_tags(INSIDE_TAG, OUTSIDE_TAG))
        .inbound(init, refused(Reason::SctpState))
        .outbound(out(family, OUTSIDE_TAG, &[chunk::COOKIE_ACK]), belongs_to(&a))
        .inbound(
            back(family, INSIDE_TAG, &[chunk::COOKIE_ACK]),
            belongs_to(&a).marked(mark::CONFIRMED),
        )
}

fn repeated(family: Family) -> Row {
    let a = association(family);
    let init_ack = |tag| back(family, INSIDE_TAG, &[&chunk::init_ack(tag)]);
    let cookie_echo = |tag| out(family, tag, &[chunk::COOKIE_ECHO]);
    let stale = back(family, INSIDE_TAG, &[chunk::ERROR]);
    row(&["RFC6092-REC-38"], format!("{family:?}: SCTP openings that are sent again"))
        .opening(family)
        .outbound(a.out(), belongs_to(&a))
        // Each answer has its own tag; inside takes the first, then finds its cookie refused.
        .inbound(init_ack(OTHER_TAG), belongs_to(&a))
        .inbound(init_ack(OUTSIDE_TAG), belongs_to(&a))
        .outbound(
            cookie_echo(OTHER_TAG),
            belongs_to(&a).promoted().with_tags(INSIDE_TAG, OTHER_TAG),
        )
        .outbound(cookie_echo(OTHER_TAG), belongs_to(&a))
        .inbound(stale, belongs_to(&a).without_refresh())
        .outbound(a.out(), belongs_to(&a))
        .inbound(init_ack(OUTSIDE_TAG), belongs_to(&a).without_refresh())
        .outbound(cookie_echo(OUTSIDE_TAG), belongs_to(&a).with_tags(INSIDE_TAG, OUTSIDE_TAG))
        .inbound(
            back(family, INSIDE_TAG, &[chunk::COOKIE_ACK]),
            belongs_to(&a).marked(mark::CONFIRMED),
        )
        .outbound(out(family, OUTSIDE_TAG, &[chunk::DATA]), belongs_to(&a))
        .inbound(back(family, INSIDE_TAG, &[chunk::COOKIE_ACK]), belongs_to(&a))
        .inbound(init_ack(OTHER_TAG), belongs_to(&a).without_refresh())
}

fn restart(family: Family) -> Row {
    let a = association(family);
    let init = || out(family, 0, &[&chunk::init(OTHER_TAG)]);
    let begins = || opens(&a).marked(mark::SYN).with_tags(OTHER_TAG, 0);
    let data = |tag| back(family, tag, &[chunk::DATA]);
    let init_ack = back(family, OTHER_TAG, &[&chunk::init_ack(OUTSIDE_TAG)]);
    row(&["RFC6092-REC-38"], format!("{family:?}: only inside begins an SCTP association anew"))
        .associated(family)
        .inbound(back(family, 0, &[&chunk::init(OTHER_TAG)]), refused(Reason::SctpState))
        .outbound(a.out(), belongs_to(&a))
        .outbound(init(), begins().replacing(FlowEvent::Replaced))
        .then(&a, FlowState::Unreplied)
        .inbound(data(INSIDE_TAG), refused(Reason::SctpTag))
        .inbound(init_ack, belongs_to(&a))
        .outbound(
            out(family, OUTSIDE_TAG, &[chunk::COOKIE_ECHO]),
            belongs_to(&a).promoted().with_tags(OTHER_TAG, OUTSIDE_TAG),
        )
        .inbound(data(OTHER_TAG), belongs_to(&a).marked(mark::CONFIRMED))
        .outbound(out(family, OUTSIDE_TAG, &[chunk::SHUTDOWN]), belongs_to(&a).marked(mark::FIN))
        .outbound(init(), begins().replacing(FlowEvent::Closed))
}

fn aborts(family: Family) -> Row {
    let a = association(family);
    let abort = back(family, INSIDE_TAG, &[chunk::ABORT]);
    let data = || back(family, INSIDE_TAG, &[chunk::DATA]);
    row(&["E148", "RFC6092-REC-38"], format!("{family:?}: who may abort an SCTP association"))
        .inbound(abort.clone(), refused(Reason::NoFlow))
        .associated(family)
        .inbound(back(family, OUTSIDE_TAG, &[chunk::ABORT]), refused(Reason::SctpTag))
        .inbound(back(family, INSIDE_TAG, &[chunk::ABORT_REFLECTED]), refused(Reason::SctpTag))
        .inbound(back(family, OTHER_TAG, &[chunk::ABORT_REFLECTED]), refused(Reason::SctpTag))
        .outbound(out(family, OTHER_TAG, &[chunk::ABORT]), belongs_to(&a).without_refresh())
        .inbound(back(family, OUTSIDE_TAG, &[chunk::ABORT_REFLECTED]), belongs_to(&a).resetting())
        .outbound(out(family, OUTSIDE_TAG, &[chunk::DATA]), belongs_to(&a))
        .inbound(abort.clone(), belongs_to(&a).resetting())
        .inbound(abort, belongs_to(&a).without_refresh())
        .outbound(out(family, OUTSIDE_TAG, &[chunk::HEARTBEAT]), belongs_to(&a))
        .outbound(out(family, INSIDE_TAG, &[chunk::ABORT_REFLECTED]), belongs_to(&a).resetting())
        .wait(238)
        .inbound(data(), belongs_to(&a))
        .wait(3)
        .inbound(data(), refused(Reason::FlowExpired))
}

fn mid_stream(family: Family) -> Row {
    let a = association(family);
    let out = |chunks: &[&[u8]]| out(family, OUTSIDE_TAG, chunks);
    let back = |tag, chunks: &[&[u8]]| back(family, tag, chunks);
    row(
        &["RFC6092-REC-38"],
        format!("{family:?}: an SCTP association, or a path of one, seen in mid-stream"),
    )
    .outbound(out(&[chunk::HEARTBEAT]), opens(&a).marked(mark::PICKED_UP))
    .inbound(back(0, &[&chunk::init(OTHER_TAG)]), refused(Reason::SctpState))
    .inbound(back(INSIDE_TAG, &[chunk::HEARTBEAT_ACK]), belongs_to(&a).marked(mark::CONFIRMED))
    .outbound(out(&[chunk::DATA]), belongs_to(&a).promoted())
    .wait(7_439)
    .inbound(back(INSIDE_TAG, &[chunk::SACK]), belongs_to(&a))
    .inbound(back(OTHER_TAG, &[chunk::ABORT]), belongs_to(&a).resetting())
    .outbound(out(&[chunk::DATA]), belongs_to(&a))
    .wait(7_439)
    .inbound(back(INSIDE_TAG, &[chunk::SACK]), belongs_to(&a))
    .replacing(FlowEvent::Replaced)
    .outbound(a.out(), opens(&a).marked(mark::SYN).with_tags(INSIDE_TAG, 0))
}

fn unseen(family: Family) -> Row {
    let a = association(family);
    let data = |tag| back(family, tag, &[chunk::DATA]);
    row(
        &["RFC6092-REC-38"],
        format!("{family:?}: an SCTP association that goes on with what took another way"),
    )
    .associated(family)
    .inbound(data(OTHER_TAG), refused(Reason::SctpTag))
    .outbound(out(family, OTHER_TAG, &[chunk::SACK]), belongs_to(&a).marked(mark::UNCHECKED))
    .inbound(data(OTHER_TAG), belongs_to(&a))
    .outbound(out(family, OTHER_TAG, &[chunk::ABORT]), belongs_to(&a).resetting())
    .replacing(FlowEvent::Reset)
    .outbound(a.out(), opens(&a).marked(mark::SYN).with_tags(INSIDE_TAG, 0))
    .outbound(out(family, OUTSIDE_TAG, &[chunk::DATA]), belongs_to(&a).marked(mark::PICKED_UP))
    .inbound(data(OTHER_TAG), belongs_to(&a).marked(mark::CONFIRMED))
}

fn lifetime(family: Family) -> Row {
    let a = association(family);
    let init_ack = || back(family, INSIDE_TAG, &[&chunk::init_ack(OUTSIDE_TAG)]);
    row(&["RFC6092-REC-40"], format!("{family:?}: how long an SCTP association may be idle"))
        .opening(family)
        .wait(239)
        .inbound(init_ack(), belongs_to(&a))
        // Outside does not keep the opening alive.
        .wait(2)
        .inbound(init_ack(), refused(Reason::FlowExpired))
        .replacing(FlowEvent::Expired)
        .associated(family)
        .wait(7_439)
        .inbound(back(family, INSIDE_TAG, &[chunk::HEARTBEAT]), belongs_to(&a))
        .wait(7_439)
        .outbound(out(family, OUTSIDE_TAG, &[chunk::HEARTBEAT]), belongs_to(&a))
        .wait(7_441)
        .inbound(back(family, INSIDE_TAG, &[chunk::DATA]), refused(Reason::FlowExpired))
}

fn errors(family: Family) -> Row {
    let a = association(family);
    let data = out(family, OUTSIDE_TAG, &[chunk::DATA]).ip_bytes();
    let other = from(INSIDE, STRANGER, family).sctp(40_002, 2905, OUTSIDE_TAG, chunk::DATA);
    row(
        &["RFC6092-REC-41", "RFC6092-REC-42"],
        format!("{family:?}: errors about an SCTP association pass, and end nothing"),
    )
    .opening(family)
    .inbound(error(family, Error::Unreachable(1), &a.out().ip_bytes()), related())
    .inbound(back(family, INSIDE_TAG, &[&chunk::init_ack(OUTSIDE_TAG)]), belongs_to(&a))
    .outbound(
        out(family, OUTSIDE_TAG, &[chunk::COOKIE_ECHO]),
        belongs_to(&a).promoted().with_tags(INSIDE_TAG, OUTSIDE_TAG),
    )
    .inbound(error(family, Error::TooBig(1_400), &data), related())
    .inbound(error(family, Error::Unreachable(3), &data), related())
    .inbound(error(family, Error::TimeExceeded(0), &data), related())
    .inbound(error(family, Error::TooBig(1_400), &other.ip_bytes()), refused(Reason::IcmpUnrelated))
    .inbound(back(family, INSIDE_TAG, &[chunk::COOKIE_ACK]), belongs_to(&a).marked(mark::CONFIRMED))
    .inbound(error(family, Error::Unreachable(1), &data), related())
    .wait(7_438)
    .outbound(out(family, OUTSIDE_TAG, &[chunk::DATA]), belongs_to(&a))
}

fn fragments(family: Family) -> Row {
    const ID: u32 = 0x5c79;
    let a = association(family);
    // A cookie that does not fit, in two fragments; and a first one without any chunk.
    let cookie_echo = [&[10, 0, 2, 4][..], &[0x5a; 0x200]].concat();
    let large = |tag| back(family, tag, &[&cookie_echo]).fragments(ID, 256);
    let (right, wrong) = (large(INSIDE_TAG), large(OTHER_TAG));
    let tiny = back(family, INSIDE_TAG, &[chunk::DATA]).fragments(ID, 8);
    row(&["RFC6092-REC-38"], format!("{family:?}: SCTP in fragments"))
        .opening(family)
        .inbound(wrong[0].clone(), refused(Reason::SctpTag))
        .inbound(tiny[0].clone(), refused(Reason::FragmentTiny))
        .inbound(right[0].clone(), belongs_to(&a).admitting(a.datagram(ID)))
        .inbound(right[1].clone(), passed(Reason::Fragment))
}
