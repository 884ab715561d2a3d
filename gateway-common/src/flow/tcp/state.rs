//! What the records of a connection amount to.

use crate::{
    flow::{FlowEntry, FlowState, mark},
    timeouts::{Ticks, TimeoutClass},
};

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
        FlowState::Established if !entry.inbound.has(mark::OPENED) => TimeoutClass::TcpSynSent,
        FlowState::Established => TimeoutClass::TcpEstablished,
        FlowState::SynReceived => TimeoutClass::TcpSynReceived,
        FlowState::FinWait => TimeoutClass::TcpFinWait,
        FlowState::CloseWait => TimeoutClass::TcpCloseWait,
        FlowState::LastAck => TimeoutClass::TcpLastAck,
        FlowState::TimeWait => TimeoutClass::TcpTimeWait,
        FlowState::Closed => TimeoutClass::TcpClosed,
        FlowState::SynSent | FlowState::Unreplied | FlowState::Replied => TimeoutClass::TcpSynSent,
    }
}

/// Whether a reset stands. It no longer does once inside goes on sending afterwards: then the
/// reset was not for this connection, and inside answered it with a challenge
/// (RFC5961-9.3, RFC7857-2.2). Outside cannot revive a flow.
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
