//! TCP: which segments a flow takes, what they leave behind, and the state that follows.
//!
//! States are not stored. Each side's half records what that side did (spoke, confirmed, sent
//! its FIN, …) and only ever adds to it; [`state`] derives the RFC 9293 name from the two
//! records. A late or lost update of one CPU can therefore delay a transition but never reverse
//! one. Only a new connection on the same ports starts over, with a new entry.

use super::{FlowEntry, FlowState, mark};
use crate::{
    timeouts::{Ticks, TimeoutClass},
    verdict::Reason,
    wire::tcp::flag,
};

/// What kind of segment the flags make; PSH, ECE, CWR and the reserved bits never matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Opens a connection.
    Syn,
    /// Answers an opening.
    SynAck,
    /// Ends one direction; always carries an acknowledgement too.
    Fin,
    /// Data or acknowledgement.
    Ack,
    /// Resets the connection.
    Rst,
}

impl Segment {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Syn, Self::SynAck, Self::Fin, Self::Ack, Self::Rst];

    /// Classifies a flags octet; `None` for combinations that no host sends.
    #[must_use]
    #[inline(always)]
    pub const fn classify(flags: u8) -> Option<Self> {
        const SYN_URG: u8 = flag::SYN | flag::URG;
        const SYN_ACK: u8 = flag::SYN | flag::ACK;
        const RST_ACK: u8 = flag::RST | flag::ACK;
        const FIN_ACK: u8 = flag::FIN | flag::ACK;
        const FIN_ACK_URG: u8 = FIN_ACK | flag::URG;
        const ACK_URG: u8 = flag::ACK | flag::URG;
        match flags & (flag::FIN | flag::SYN | flag::RST | flag::ACK | flag::URG) {
            flag::SYN | SYN_URG => Some(Self::Syn),
            SYN_ACK => Some(Self::SynAck),
            FIN_ACK | FIN_ACK_URG => Some(Self::Fin),
            flag::ACK | ACK_URG => Some(Self::Ack),
            flag::RST | RST_ACK => Some(Self::Rst),
            _ => None,
        }
    }
}

/// What a segment leaves behind in its direction's half.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Whether the flow's idle time starts anew.
    pub refreshes: bool,
    /// Whether the segment resets the connection.
    pub resets: bool,
    /// Marks to add.
    pub marks: u32,
}

impl Trace {
    const NOTHING: Self = Self { refreshes: false, resets: false, marks: 0 };

    const fn refresh(marks: u32) -> Self {
        Self { refreshes: true, resets: false, marks }
    }
}

/// What an outbound segment does to a known flow.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outbound {
    /// It belongs to the flow.
    Continue(Trace),
    /// It opens a new connection on the ports of an old one.
    Reopen,
}

/// Judges a segment from outside on a live flow.
///
/// # Errors
///
/// [`Reason::TcpState`] when the flow's state does not allow it.
#[inline(always)]
pub fn inbound(entry: &FlowEntry, segment: Segment) -> Result<Trace, Reason> {
    let picked_up = entry.outbound.has(mark::PICKED_UP);
    let answered = entry.inbound.has(mark::OPENED);
    match segment {
        // Both sides opened at the same time (RFC 9293 section 3.5, RFC 6092 REC-31): until
        // inside confirms, outside may repeat its SYN. Any later SYN would be an opening from
        // outside, also in TIME-WAIT and after a reset.
        Segment::Syn if !entry.outbound.has(mark::CONFIRMED) && !picked_up && !is_reset(entry) => {
            Ok(Trace::refresh(mark::OPENED))
        }
        Segment::Syn => Err(Reason::TcpState),
        Segment::SynAck => Ok(Trace::refresh(mark::OPENED)),
        // An outside host that still holds an old connection answers our SYN with a challenge
        // ACK (RFC 5961 section 4); inside resets it and tries again. It opens nothing here.
        Segment::Ack if !answered && !picked_up => Ok(Trace::NOTHING),
        Segment::Fin if !answered && !picked_up => Err(Reason::TcpState),
        Segment::Ack => Ok(Trace::refresh(mark::OPENED | last_ack(entry))),
        Segment::Fin => Ok(Trace::refresh(mark::OPENED | mark::FIN)),
        // A reset ends nothing at once (RFC 7857 section 2.2): the flow goes on under the
        // closing timeout, which the first reset starts and later ones do not extend.
        Segment::Rst => Ok(Trace { resets: !is_reset(entry), ..Trace::NOTHING }),
    }
}

/// Judges a segment from inside on a live flow.
#[inline(always)]
pub fn outbound(entry: &FlowEntry, segment: Segment) -> Outbound {
    let confirmed = if entry.inbound.has(mark::OPENED) { mark::CONFIRMED } else { 0 };
    let trace = match segment {
        // Inside reuses the ports of a connection that is closing or closed, or lost its state
        // and starts again (RFC 9293 section 3.6.1).
        Segment::Syn if is_closing(entry) => return Outbound::Reopen,
        Segment::Syn => Trace::refresh(0),
        Segment::SynAck => Trace::refresh(confirmed),
        Segment::Ack => Trace::refresh(confirmed | last_ack(entry)),
        Segment::Fin => Trace::refresh(confirmed | mark::FIN),
        // A reset that answers what came in must not keep the flow open (RFC 7857 section 7.1).
        Segment::Rst => Trace { resets: !is_reset(entry), ..Trace::NOTHING },
    };
    Outbound::Continue(trace)
}

/// Whether a segment from inside may open a flow, and with which marks. A flow in mid-stream is
/// picked up, so that a filter that just started cuts nothing (RFC 6092 REC-32); a reset, a
/// SYN/ACK or a FIN without a flow must not open a way in.
#[inline(always)]
#[must_use]
pub const fn opening(segment: Segment) -> Option<u32> {
    match segment {
        Segment::Syn => Some(mark::OPENED),
        Segment::Ack => Some(mark::OPENED | mark::PICKED_UP),
        Segment::SynAck | Segment::Fin | Segment::Rst => None,
    }
}

/// The state that the two halves amount to.
#[inline(always)]
#[must_use]
pub fn state(entry: &FlowEntry) -> FlowState {
    let (out, back) = (&entry.outbound, &entry.inbound);
    if is_reset(entry) {
        return FlowState::Closed;
    }
    match (out.has(mark::FIN), back.has(mark::FIN)) {
        (true, true) if (out.marks | back.marks) & mark::LAST_ACK != 0 => FlowState::TimeWait,
        (true, true) => FlowState::LastAck,
        (true, false) => FlowState::FinWait,
        (false, true) => FlowState::CloseWait,
        (false, false) if out.marks & (mark::CONFIRMED | mark::PICKED_UP) != 0 => {
            FlowState::Established
        }
        (false, false) if back.has(mark::OPENED) => FlowState::SynReceived,
        (false, false) => FlowState::SynSent,
    }
}

/// Which timeout the flow is under.
#[inline(always)]
#[must_use]
pub fn timeout_class(entry: &FlowEntry) -> TimeoutClass {
    match state(entry) {
        // A picked-up flow that outside has not answered is no more than an opening.
        FlowState::Established if !entry.inbound.has(mark::OPENED) => TimeoutClass::TcpHalfOpen,
        FlowState::Established => TimeoutClass::TcpEstablished,
        FlowState::FinWait | FlowState::CloseWait | FlowState::LastAck | FlowState::Closed => {
            TimeoutClass::TcpClosing
        }
        FlowState::TimeWait => TimeoutClass::TcpTimeWait,
        FlowState::SynSent | FlowState::SynReceived | FlowState::Unreplied | FlowState::Replied => {
            TimeoutClass::TcpHalfOpen
        }
    }
}

/// Whether a reset stands. It no longer does once inside goes on sending afterwards: then the
/// reset was not for this connection, and inside answered it with a challenge
/// (RFC 5961 section 3.2, RFC 7857 section 2.2). Outside cannot revive a flow.
#[inline(always)]
#[must_use]
pub fn is_reset(entry: &FlowEntry) -> bool {
    let reset = reset_at(entry);
    reset != Ticks(0) && reset >= entry.outbound.seen
}

/// When the connection was last reset; zero if never.
#[inline(always)]
#[must_use]
pub fn reset_at(entry: &FlowEntry) -> Ticks {
    entry.outbound.reset.max(entry.inbound.reset)
}

/// Whether the connection is on its way out, so that inside may open a new one on its ports.
fn is_closing(entry: &FlowEntry) -> bool {
    (entry.outbound.marks | entry.inbound.marks) & mark::FIN != 0 || is_reset(entry)
}

/// The mark for an acknowledgement that follows both FINs.
fn last_ack(entry: &FlowEntry) -> u32 {
    let both = entry.outbound.has(mark::FIN) && entry.inbound.has(mark::FIN);
    if both { mark::LAST_ACK } else { 0 }
}
