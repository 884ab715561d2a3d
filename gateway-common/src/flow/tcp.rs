//! TCP: which segments a flow takes, what they leave behind, and the state that follows
//! (RFC7857-2). Every exchange that hosts may have takes its course (RFC6092-REC-31,
//! RFC5382-REQ-2/2a), also with data on the SYN (RFC9293-SYNDATA), probes of a closed window
//! (RFC9293-WIN0) and keep-alives (RFC9293-KA).
//!
//! States are not stored. Each side's half records what that side did (opened, confirmed, sent
//! its FIN, …) and only ever adds to it; [`state`] derives the RFC 9293 name from the two
//! records. A late or lost update of one CPU can therefore delay a transition but never reverse
//! one. Only a new connection on the same ports starts over, with a new entry.
//!
//! What a segment does depends on whether its numbers fit ([`window`]): what the receiving host
//! would not believe leaves no trace here either (RFC5382-S9, RFC5961-5.2). From outside it
//! is refused; from inside it passes, and shows that the records are not up to date.

mod segment;
mod state;

use super::{
    Trace,
    entry::{Change, FlowEntry, FlowHalf, Tracking, announced, mark},
    window::{self, Claim, Fit, Granted, Place, Sent, Side, fit, is_up_to, later, place},
};
use crate::{
    packet::{TcpHeader, TcpOptions},
    tuple::Direction,
    verdict::Reason,
    wire::tcp::flag,
};

pub use self::{
    segment::Segment,
    state::{is_reset, reset_at, state, timeout_class},
};

/// No packet carries more data than this with its SYN.
const SYN_DATA_MAX: u32 = 0xffff;

/// Judges a segment from outside on a live flow.
///
/// # Errors
///
/// [`Reason::TcpState`] when the flow's state does not allow it, [`Reason::TcpWindow`] when its
/// numbers do not fit.
#[inline(always)]
pub fn inbound(entry: &FlowEntry, segment: Segment, header: &TcpHeader) -> Result<Trace, Reason> {
    let FlowEntry { outbound: out, inbound: back, .. } = entry;
    let picked_up = out.has(mark::PICKED_UP);
    match segment {
        // Both sides opened at the same time (RFC9293-SO, E130): until outside proves that it
        // has seen our SYN, it may repeat its own. Any later SYN would be an opening from
        // outside, also in TIME-WAIT and after a reset (E131).
        Segment::Syn if is_opening(entry) && !back.has(mark::ACKED) && !is_reset(entry) => {
            Ok(begin(header, segment, mark::OPENED))
        }
        Segment::Syn => Err(Reason::TcpState),
        Segment::SynAck | Segment::Rst if is_opening(entry) && !acks_opening(entry, header) => {
            // In SYN-SENT nothing but the number of our SYN tells an answer from a forgery
            // (RFC5961-3.2-SS, E129).
            if segment == Segment::Rst && back.has(mark::SYN) {
                reset_from_outside(entry, header)
            } else {
                Err(Reason::TcpWindow)
            }
        }
        // Whoever answers our SYN with its number is believed, also if an answer came before.
        Segment::SynAck if is_opening(entry) => {
            Ok(begin(header, segment, mark::OPENED | mark::ACKED))
        }
        // An outside host that still holds an old connection answers our SYN with a challenge
        // ACK (RFC5961-4.2); inside resets it and tries again. It opens nothing here.
        Segment::Ack if !back.has(mark::OPENED) && !picked_up => Ok(Trace::nothing()),
        Segment::Fin if !back.has(mark::OPENED) && !picked_up => Err(Reason::TcpState),
        Segment::SynAck | Segment::Ack | Segment::Fin if is_tracked(entry) => {
            data_from_outside(entry, segment, header)
        }
        Segment::SynAck | Segment::Ack | Segment::Fin => {
            let marks = mark::OPENED | mark::ACKED | fin(segment) | last_ack(entry, segment);
            Ok(Trace::refresh(marks))
        }
        Segment::Rst => reset_from_outside(entry, header),
    }
}

/// A segment with an acknowledgement, on a connection of which both openings are known.
#[inline(always)]
fn data_from_outside(
    entry: &FlowEntry,
    segment: Segment,
    header: &TcpHeader,
) -> Result<Trace, Reason> {
    let FlowEntry { outbound: out, inbound: back, .. } = entry;
    // The first acknowledgement after crossing SYNs has to be that of our SYN.
    if !back.has(mark::ACKED) && !acks_opening(entry, header) {
        return Err(Reason::TcpWindow);
    }
    let claim = claim(header, segment, back, out);
    match fit(side(back), side(out), claim) {
        // It repeats an answer to our SYN, which is long established.
        Fit::Inside | Fit::Overshoot | Fit::Old if segment == Segment::SynAck => {
            Ok(Trace::nothing())
        }
        Fit::Inside => {
            let tracking = advance(back, claim);
            let marks = mark::OPENED | closing(entry, Direction::Inbound, segment, claim);
            Ok(Trace { tracking, ..Trace::refresh(marks | unknown_length(header)) })
        }
        Fit::Overshoot => Ok(overshoot(back, claim)),
        Fit::Old => Ok(Trace::nothing()),
        Fit::Outside => Err(Reason::TcpWindow),
    }
}

/// A reset counts only at the very number that inside expects, which is known also of a flow in
/// mid-stream; elsewhere in the window inside answers it with a challenge, and goes on (RFC5961-3.2-1, RFC5961-3.2-2, RFC5961-3.2-3, E133).
#[inline(always)]
fn reset_from_outside(entry: &FlowEntry, header: &TcpHeader) -> Result<Trace, Reason> {
    let FlowEntry { outbound: out, inbound: back, .. } = entry;
    let place = if is_tracked(entry) {
        place(side(back), side(out), header.sequence)
    } else if out.has(mark::ACKED) {
        window::place_by_ack(out.granted.ack(), header.sequence)
    } else {
        Place::Next
    };
    match place {
        Place::Next => Ok(Trace::reset(entry)),
        Place::Window => Ok(Trace::nothing()),
        Place::Elsewhere => Err(Reason::TcpWindow),
    }
}

/// Judges a segment from inside on a live flow; `None` when it opens a new connection on the ports
/// of the old one.
#[inline(always)]
#[must_use]
pub fn outbound(entry: &FlowEntry, segment: Segment, header: &TcpHeader) -> Option<Trace> {
    Some(match segment {
        Segment::Syn if is_repeated(entry, header) => Trace::refresh(0),
        // Inside reuses the ports of a connection that is closing or closed, or lost its state
        // and starts again (RFC9293-TW, RFC5961-4.2, E132). Should the old connection still go
        // on, then its next segment picks it up below.
        Segment::Syn => return None,
        Segment::Rst => reset_from_inside(entry, header),
        // Only to answer a crossing SYN, which it does before the handshake is complete.
        Segment::SynAck if !is_tracked(entry) || !is_opening(entry) => Trace::nothing(),
        Segment::SynAck | Segment::Ack | Segment::Fin if is_tracked(entry) => {
            data_from_inside(entry, segment, header)
        }
        // Inside knows of an answer that was not seen here: it took another way, or the SYN
        // was a stray one. From now on this is a connection seen in mid-stream.
        Segment::SynAck | Segment::Ack | Segment::Fin if !entry.inbound.has(mark::OPENED) => {
            acknowledge(entry, header, mark::PICKED_UP | fin(segment))
        }
        Segment::SynAck | Segment::Ack | Segment::Fin => {
            let marks = confirmed(entry) | fin(segment) | last_ack(entry, segment);
            acknowledge(entry, header, marks)
        }
    })
}

/// A segment from inside on a flow whose numbers are not checked. What it acknowledges is recorded
/// nevertheless: that is where outside's reset has to be.
#[inline(always)]
fn acknowledge(entry: &FlowEntry, header: &TcpHeader, marks: u32) -> Trace {
    let granted = Granted::new(header.acknowledgement, header.acknowledgement);
    let sent = entry.outbound.sent;
    let tracking = Tracking { change: Change::Grant, sent, granted, announced: 0 };
    Trace { tracking, ..Trace::refresh(marks | mark::ACKED) }
}

/// The mark for a segment from inside after outside has answered. A SYN from outside is no answer
/// until outside has acknowledged something: anybody could have sent it.
#[inline(always)]
fn confirmed(entry: &FlowEntry) -> u32 {
    let back = &entry.inbound;
    let is_answered = back.has(mark::OPENED) && (back.has(mark::ACKED) || !back.has(mark::SYN));
    if is_answered { mark::CONFIRMED } else { 0 }
}

#[inline(always)]
fn data_from_inside(entry: &FlowEntry, segment: Segment, header: &TcpHeader) -> Trace {
    let FlowEntry { outbound: out, inbound: back, .. } = entry;
    let claim = claim(header, segment, out, back);
    match fit(side(out), side(back), claim) {
        Fit::Inside => {
            let tracking = advance(out, claim);
            let marks = confirmed(entry) | closing(entry, Direction::Outbound, segment, claim);
            Trace { tracking, ..Trace::refresh(marks | unknown_length(header)) }
        }
        Fit::Overshoot => overshoot(out, claim),
        Fit::Old => Trace::nothing(),
        Fit::Outside if segment == Segment::SynAck => Trace::nothing(),
        // Part of the connection went another way, so the records are behind. Checking against
        // them would cut it off. Without the flow this same segment would have opened one that
        // is not checked, so inside gains nothing that it does not have, and outside cannot
        // make inside send this.
        Fit::Outside => {
            acknowledge(entry, header, confirmed(entry) | mark::UNCHECKED | fin(segment))
        }
    }
}

/// A reset that answers what came in must not keep the flow open (RFC7857-7.1). Like one from
/// outside it counts where the receiver expects it.
#[inline(always)]
fn reset_from_inside(entry: &FlowEntry, header: &TcpHeader) -> Trace {
    let FlowEntry { outbound: out, inbound: back, .. } = entry;
    let counts = !is_tracked(entry) || place(side(out), side(back), header.sequence) == Place::Next;
    if counts { Trace::reset(entry) } else { Trace::nothing() }
}

/// What a segment from inside leaves behind in the flow that it opens; `None` when it opens none.
/// A flow in mid-stream is picked up, so that a filter that just started cuts nothing
/// (RFC6092-REC-32, E136); a reset, a SYN/ACK or a FIN without a flow must not open a way in (E135).
#[inline(always)]
#[must_use]
pub fn opening(segment: Segment, header: &TcpHeader) -> Option<Trace> {
    match segment {
        Segment::Syn => Some(begin(header, segment, mark::OPENED)),
        Segment::Ack => {
            Some(acknowledge(&FlowEntry::default(), header, mark::OPENED | mark::PICKED_UP))
        }
        Segment::SynAck | Segment::Fin | Segment::Rst => None,
    }
}

/// Whether both openings are known, so that numbers can be checked. They cannot on a flow that
/// was picked up in mid-stream (RFC 6092 REC-32).
#[inline(always)]
fn is_tracked(entry: &FlowEntry) -> bool {
    let (out, back) = (entry.outbound.marks, entry.inbound.marks);
    out & back & mark::SYN != 0 && (out | back) & (mark::UNCHECKED | mark::PICKED_UP) == 0
}

/// Whether inside's SYN is known and not yet established.
#[inline(always)]
fn is_opening(entry: &FlowEntry) -> bool {
    let begun = entry.outbound.marks & (mark::CONFIRMED | mark::PICKED_UP) != 0;
    entry.outbound.has(mark::SYN) && !begun
}

/// Whether a segment acknowledges inside's SYN: the SYN itself, and any of the data that came
/// with it (RFC 7413 section 4).
#[inline(always)]
fn acks_opening(entry: &FlowEntry, header: &TcpHeader) -> bool {
    let FlowEntry { outbound: out, first, .. } = entry;
    let is_length_known = !out.has(mark::UNCHECKED);
    let end = if is_length_known { out.sent.end() } else { first.wrapping_add(SYN_DATA_MAX) };
    header.flags & flag::ACK != 0
        && is_up_to(*first, header.acknowledgement)
        && is_up_to(header.acknowledgement, end)
}

/// Whether a SYN from inside repeats that of the flow instead of opening another connection.
#[inline(always)]
fn is_repeated(entry: &FlowEntry, header: &TcpHeader) -> bool {
    let first = header.sequence.wrapping_add(1);
    let end = first.wrapping_add(header.payload_len);
    let is_the_same = entry.outbound.has(mark::SYN) && first == entry.first;
    is_the_same && is_up_to(end, entry.outbound.sent.end()) && !is_closing(entry)
}

/// Whether the connection is on its way out, so that inside may open a new one on its ports.
#[inline(always)]
fn is_closing(entry: &FlowEntry) -> bool {
    (entry.outbound.marks | entry.inbound.marks) & mark::FIN != 0 || is_reset(entry)
}

#[inline(always)]
fn fin(segment: Segment) -> u32 {
    if segment == Segment::Fin { mark::FIN } else { 0 }
}

/// The mark for an acknowledgement that follows both FINs.
#[inline(always)]
fn last_ack(entry: &FlowEntry, segment: Segment) -> u32 {
    let both = entry.outbound.has(mark::FIN) && entry.inbound.has(mark::FIN);
    if both && segment == Segment::Ack { mark::LAST_ACK } else { 0 }
}

/// The marks that a fitting segment from one side leaves of the connection's end.
#[inline(always)]
fn closing(entry: &FlowEntry, from: Direction, segment: Segment, claim: Claim) -> u32 {
    let receiver = entry.half(from.opposite());
    let acks_all = claim.granted.ack() == receiver.sent.end();
    let last_ack = if acks_all { last_ack(entry, segment) } else { 0 };
    mark::ACKED | fin(segment) | last_ack
}

/// A fragmented segment does not say how long it is.
#[inline(always)]
const fn unknown_length(header: &TcpHeader) -> u32 {
    if header.is_partial { mark::UNCHECKED } else { 0 }
}

#[inline(always)]
const fn side(half: &FlowHalf) -> Side {
    Side { sent: half.sent, granted: half.granted, has_granted: half.has(mark::ACKED) }
}

/// What a segment says about its sender's numbers. Windows are scaled if both sides announced it,
/// but never in a SYN (RFC 7323 section 2.2).
#[inline(always)]
fn claim(header: &TcpHeader, segment: Segment, sender: &FlowHalf, receiver: &FlowHalf) -> Claim {
    let is_opening = matches!(segment, Segment::Syn | Segment::SynAck);
    let scaled = sender.announced & receiver.announced & announced::SCALING != 0 && !is_opening;
    let scale = if scaled { sender.announced & announced::SCALE_MASK } else { 0 };
    // Behind an empty window a byte may still be sent, to probe it (RFC 9293 section 3.8.6.1).
    let window = (u32::from(header.window) << (scale & 15)).max(1);
    let takes_sack = receiver.announced & announced::SACK != 0;
    let acked = if takes_sack && header.options.has(TcpOptions::SACK) {
        later(header.acknowledgement, header.options.sack_edge)
    } else {
        header.acknowledgement
    };
    // Data that arrived out of order take nothing away from what was offered.
    let beyond = acked.wrapping_sub(header.acknowledgement);
    let len = header.payload_len + u32::from(is_opening) + u32::from(segment == Segment::Fin);
    Claim {
        sequence: header.sequence,
        sent: Sent::new(header.sequence.wrapping_add(len), window.saturating_add(beyond)),
        granted: Granted::new(header.acknowledgement, acked.wrapping_add(window)),
        acked,
    }
}

/// A side opens: its numbers begin here.
#[inline(always)]
fn begin(header: &TcpHeader, segment: Segment, marks: u32) -> Trace {
    let options = header.options;
    let scale = u32::from(options.window_scale);
    let scaling = if options.has(TcpOptions::WINDOW_SCALE) { announced::SCALING } else { 0 };
    let sack = if options.has(TcpOptions::SACK_PERMITTED) { announced::SACK } else { 0 };
    let unreadable = if options.has(TcpOptions::UNREADABLE) { mark::UNCHECKED } else { 0 };
    let half = FlowHalf::default();
    let Claim { sent, granted, .. } = claim(header, segment, &half, &half);
    let granted = if segment == Segment::Syn { Granted::default() } else { granted };
    let announced = scale | scaling | sack;
    let tracking = Tracking { change: Change::Begin, sent, granted, announced };
    Trace { tracking, ..Trace::refresh(marks | mark::SYN | unreadable | unknown_length(header)) }
}

/// A side goes on.
#[inline(always)]
fn advance(sender: &FlowHalf, claim: Claim) -> Tracking {
    let change = if sender.has(mark::ACKED) { Change::Join } else { Change::Grant };
    Tracking { change, sent: claim.sent, granted: claim.granted, announced: 0 }
}

/// A side sent more than it was granted. It passes, and is recorded so that its acknowledgement
/// will not seem to be for something never sent; but it does not keep the flow.
#[inline(always)]
fn overshoot(sender: &FlowHalf, claim: Claim) -> Trace {
    let sent = Sent::new(claim.sent.end(), sender.sent.window());
    let granted = sender.granted;
    let tracking = Tracking { change: Change::Join, sent, granted, announced: 0 };
    Trace { tracking, ..Trace::nothing() }
}
