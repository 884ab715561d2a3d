//! SCTP: which packets the flow of an association takes, what they leave behind, and its timeout
//! (RFC6092-REC-38, RFC6092-REC-40).
//!
//! Each end announces a tag in its INIT or INIT ACK, and every packet to it carries that tag;
//! whoever does not know it does not take part (RFC 9260 section 8.5). Both tags are learned from
//! inside alone: the one that it announced in its INIT, and the one that it puts in its packets.
//! What outside announces is not recorded. Every INIT ACK may announce another tag, and inside
//! chooses the one that it believes; an INIT from outside may be anyone's.
//!
//! As with TCP, halves only record what their sides did. A packet that the receiving host would
//! not believe leaves no trace here either: from outside it is refused; from inside it passes.

#[cfg(test)]
mod tests;

use super::{
    FlowEntry, Trace,
    entry::{Change, Tracking, mark},
    tcp::is_reset,
    window::{Granted, Sent},
};
use crate::{
    packet::{SctpChunks, SctpHeader},
    timeouts::TimeoutClass,
    tuple::Direction,
    verdict::Reason,
};

/// What a packet says, by the chunk that matters most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// Opens an association.
    Init,
    /// Answers an opening.
    InitAck,
    /// Accepts the answer.
    CookieEcho,
    /// Confirms the association.
    CookieAck,
    /// Data, acknowledgement, heartbeat or anything else that goes on.
    Data,
    /// Begins to end the association.
    Shutdown,
    /// Answers that.
    ShutdownAck,
    /// Ends the association.
    ShutdownComplete,
    /// Aborts the association.
    Abort,
    /// Reports an error, and that is all.
    Error,
}

impl Message {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::Init,
        Self::InitAck,
        Self::CookieEcho,
        Self::CookieAck,
        Self::Data,
        Self::Shutdown,
        Self::ShutdownAck,
        Self::ShutdownComplete,
        Self::Abort,
        Self::Error,
    ];

    /// Classifies a packet of which the chunks were looked at; `None` for what no host sends.
    #[must_use]
    #[inline(always)]
    pub const fn classify(header: &SctpHeader) -> Option<Self> {
        // These travel alone (RFC 9260 section 6.10).
        const SINGLE: u16 = SctpChunks::INIT | SctpChunks::INIT_ACK | SctpChunks::SHUTDOWN_COMPLETE;
        let SctpHeader { tag, chunks } = *header;
        if chunks.found == 0 || (chunks.has(SINGLE) && chunks.count != 1) {
            return None;
        }
        let announces = chunks.initiate_tag != 0;
        // An INIT, and nothing else, has no tag of the receiver yet (RFC 9260 section 8.5.1).
        if tag == 0 {
            return if chunks.has(SctpChunks::INIT) && announces { Some(Self::Init) } else { None };
        }
        match chunks.found {
            SctpChunks::INIT => None,
            SctpChunks::INIT_ACK => {
                if announces {
                    Some(Self::InitAck)
                } else {
                    None
                }
            }
            SctpChunks::SHUTDOWN_COMPLETE => Some(Self::ShutdownComplete),
            SctpChunks::ERROR => Some(Self::Error),
            _ if chunks.has(SctpChunks::ABORT) => Some(Self::Abort),
            _ if chunks.has(SctpChunks::SHUTDOWN_ACK) => Some(Self::ShutdownAck),
            _ if chunks.has(SctpChunks::SHUTDOWN) => Some(Self::Shutdown),
            _ if chunks.has(SctpChunks::COOKIE_ECHO) => Some(Self::CookieEcho),
            _ if chunks.has(SctpChunks::COOKIE_ACK) => Some(Self::CookieAck),
            _ => Some(Self::Data),
        }
    }
}

/// Judges a packet from outside on a live flow.
///
/// # Errors
///
/// [`Reason::SctpState`] for an INIT that the flow's state does not allow, [`Reason::SctpTag`] for
/// a wrong tag.
#[inline(always)]
pub fn inbound(entry: &FlowEntry, message: Message, header: &SctpHeader) -> Result<Trace, Reason> {
    let is_begun = entry.outbound.marks & BEGUN != 0;
    if message == Message::Init {
        // Both ends open at the same time (RFC 9260 section 5.2.1): inside will answer, with the
        // tag that it announced before. Any other INIT is an opening from outside, also when
        // outside restarts. It has no tag to be believed by, so it leaves nothing.
        let may_cross = !is_begun && !is_reset(entry);
        return if may_cross { Ok(Trace::nothing()) } else { Err(Reason::SctpState) };
    }
    // RFC 9260 section 8.5, E148.
    if is_tracked(entry) && header.tag != expected_tag(entry, Direction::Inbound, header) {
        return Err(Reason::SctpTag);
    }
    Ok(match message {
        Message::Abort => Trace::reset(entry),
        Message::InitAck if !is_begun => Trace::refresh(mark::OPENED),
        // Inside has long chosen another one, or none is due (RFC 9260 section 5.2.3).
        Message::Init | Message::InitAck | Message::Error => Trace::nothing(),
        Message::CookieEcho => Trace::refresh(mark::OPENED),
        Message::CookieAck | Message::Data if is_begun => {
            Trace::refresh(mark::OPENED | mark::CONFIRMED)
        }
        Message::CookieAck | Message::Data => Trace::refresh(mark::OPENED),
        Message::Shutdown | Message::ShutdownAck | Message::ShutdownComplete if is_begun => {
            Trace::refresh(mark::OPENED | mark::CONFIRMED | mark::FIN)
        }
        // There is nothing to end yet.
        Message::Shutdown | Message::ShutdownAck | Message::ShutdownComplete => Trace::nothing(),
    })
}

/// Judges a packet from inside on a live flow; `None` when it opens a new association on the ports
/// of the old one.
#[inline(always)]
#[must_use]
pub fn outbound(entry: &FlowEntry, message: Message, header: &SctpHeader) -> Option<Trace> {
    let is_stray =
        is_tracked(entry) && header.tag != expected_tag(entry, Direction::Outbound, header);
    Some(match message {
        Message::Init if is_repeated(entry, header) => Trace::refresh(0),
        // Inside reuses the ports of an association that is over, or lost its state and starts
        // again (RFC 9260 section 5.2). Should the old one still go on, then its next packet
        // picks it up below.
        Message::Init => return None,
        // It answers an INIT that anyone may have sent, and announces no other tag than before.
        Message::InitAck | Message::Error => Trace::nothing(),
        // What answers a stray packet must not end the flow.
        Message::Abort | Message::ShutdownComplete if is_stray => Trace::nothing(),
        Message::Abort => Trace::reset(entry),
        Message::ShutdownComplete => Trace::refresh(mark::FIN),
        Message::CookieEcho
        | Message::CookieAck
        | Message::Data
        | Message::Shutdown
        | Message::ShutdownAck => return continuation(entry, message, header),
    })
}

/// A packet from inside that goes on with an association.
#[inline(always)]
fn continuation(entry: &FlowEntry, message: Message, header: &SctpHeader) -> Option<Trace> {
    let FlowEntry { outbound: out, inbound: back, .. } = entry;
    let fin = fin(message);
    let is_answered = back.has(mark::OPENED);
    let confirmed = if is_answered { mark::CONFIRMED } else { 0 };
    if !is_tracked(entry) {
        return Some(Trace::refresh(confirmed | fin));
    }
    // Inside knows of an answer that was not seen here: it took another way. From now on this is
    // an association seen in mid-stream.
    if !is_answered {
        return Some(Trace::refresh(mark::PICKED_UP | fin));
    }
    let used_tag = out.sent.end();
    if header.tag == used_tag {
        return Some(Trace::refresh(confirmed | fin));
    }
    // Until outside has confirmed the association, inside may choose another tag: it opened again
    // with a new cookie, or both opened (RFC 9260 sections 5.2.4 and 5.2.6).
    let chooses =
        matches!(message, Message::CookieEcho | Message::CookieAck) && !back.has(mark::CONFIRMED);
    if used_tag == 0 || chooses {
        let tracking = tags(out.announced, header.tag);
        return Some(Trace { tracking, ..Trace::refresh(confirmed | fin) });
    }
    if is_closing(entry) {
        return None;
    }
    // The association that inside goes on with was opened on another way, so the tags are not
    // those recorded. Checking them would cut it off. Without the flow this same packet would
    // have opened one that is not checked, so inside gains nothing that it does not have, and
    // outside cannot make inside send this.
    Some(Trace::refresh(confirmed | mark::UNCHECKED | fin))
}

/// What a packet from inside leaves behind in the flow that it opens; `None` when it opens none.
/// An association in mid-stream is picked up, so that a filter that just started cuts nothing, and
/// neither does a heartbeat on another path (RFC 9260 section 8.3); what may answer a stray packet
/// must not open a way in.
#[inline(always)]
#[must_use]
pub fn opening(message: Message, header: &SctpHeader) -> Option<Trace> {
    match message {
        Message::Init => {
            let tracking = tags(header.chunks.initiate_tag, 0);
            Some(Trace { tracking, ..Trace::refresh(mark::OPENED | mark::SYN) })
        }
        Message::CookieEcho | Message::Data | Message::Shutdown => {
            Some(Trace::refresh(mark::OPENED | mark::PICKED_UP | fin(message)))
        }
        Message::InitAck
        | Message::CookieAck
        | Message::ShutdownAck
        | Message::ShutdownComplete
        | Message::Abort
        | Message::Error => None,
    }
}

/// Which timeout the flow is under.
#[inline(always)]
#[must_use]
pub fn timeout_class(entry: &FlowEntry) -> TimeoutClass {
    if is_closing(entry) {
        TimeoutClass::SctpClosing
    } else if entry.inbound.has(mark::CONFIRMED) {
        TimeoutClass::SctpEstablished
    } else {
        TimeoutClass::SctpHalfOpen
    }
}

/// Inside has chosen an answer, or went on with an association whose opening was not seen.
const BEGUN: u32 = mark::CONFIRMED | mark::PICKED_UP;

/// Whether the tag that inside expects is known for certain.
#[inline(always)]
fn is_tracked(entry: &FlowEntry) -> bool {
    let marks = entry.outbound.marks;
    marks & mark::SYN != 0 && marks & (mark::PICKED_UP | mark::UNCHECKED) == 0
}

/// The tag that a packet must carry: the receiver's or, if it is a reflected one, the sender's. It
/// is 0, which no packet carries, while inside has not chosen outside's tag.
#[inline(always)]
fn expected_tag(entry: &FlowEntry, direction: Direction, header: &SctpHeader) -> u32 {
    let is_outsides = (direction == Direction::Outbound) != header.chunks.is_reflected;
    if is_outsides { entry.outbound.sent.end() } else { entry.outbound.announced }
}

/// Whether an INIT from inside repeats that of the flow instead of opening another association.
#[inline(always)]
fn is_repeated(entry: &FlowEntry, header: &SctpHeader) -> bool {
    is_tracked(entry)
        && !is_closing(entry)
        && header.chunks.initiate_tag == entry.outbound.announced
}

/// Whether the association is on its way out.
#[inline(always)]
fn is_closing(entry: &FlowEntry) -> bool {
    (entry.outbound.marks | entry.inbound.marks) & mark::FIN != 0 || is_reset(entry)
}

#[inline(always)]
fn fin(message: Message) -> u32 {
    if matches!(message, Message::Shutdown | Message::ShutdownAck) { mark::FIN } else { 0 }
}

/// Records the tag that inside expects and the one that it uses, 0 for none yet.
#[inline(always)]
fn tags(expected: u32, used: u32) -> Tracking {
    Tracking {
        change: Change::Begin,
        sent: Sent::new(used, 0),
        granted: Granted::default(),
        announced: expected,
    }
}
