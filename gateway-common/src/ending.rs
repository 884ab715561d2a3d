//! How flows end: in one place, so that each ends once and leaves one record.
//!
//! A flow ends when a packet finds it expired and opens another in its place, when the sweeper finds
//! it expired, when an operator deletes it, when the policy revokes it, or when it makes room for
//! another flow of a host beyond its allowance. Several of these may happen at the same time on
//! different CPUs: whoever marks the entry first removes it and leaves the record. What the kernel's
//! LRU list recycles ends unseen; only its number is known.

use crate::{
    config::Config,
    counter::FlowEvent,
    flow::{FlowEntry, mark, tcp},
    gateway::valid_config,
    host::HostKey,
    tables::{FlowSlot, Table, Tables},
    timeouts::{Ticks, TimeoutClass},
    tuple::FlowKey,
};

#[cfg(test)]
mod tests;

/// How long ago a flow must have expired before it is reclaimed, in seconds: every packet that may
/// have found it live has been dealt with.
pub const GRACE_SECS: u32 = 1;

/// After which time nobody is believed to be about to remove an expired entry any more, in seconds.
/// That never happens but to an entry whose mark was meant for its predecessor in the same memory.
const ABANDONED_SECS: u32 = 60;

impl FlowEntry {
    /// How a flow that nobody ended by force came to its end.
    #[must_use]
    #[inline(always)]
    pub fn natural_end(&self, key: &FlowKey) -> FlowEvent {
        if self.outbound.has(mark::REVOKED) {
            return FlowEvent::Revoked;
        }
        match self.timeout_class(key) {
            TimeoutClass::TcpClosed => FlowEvent::Reset,
            TimeoutClass::SctpClosing if tcp::is_reset(self) => FlowEvent::Reset,
            TimeoutClass::TcpTimeWait | TimeoutClass::SctpClosing => FlowEvent::Closed,
            TimeoutClass::TcpSynSent
            | TimeoutClass::TcpSynReceived
            | TimeoutClass::TcpEstablished
            | TimeoutClass::TcpFinWait
            | TimeoutClass::TcpCloseWait
            | TimeoutClass::TcpLastAck
            | TimeoutClass::UdpUnreplied
            | TimeoutClass::Udp
            | TimeoutClass::UdpDns
            | TimeoutClass::Icmp
            | TimeoutClass::SctpHalfOpen
            | TimeoutClass::SctpEstablished
            | TimeoutClass::DccpHalfOpen
            | TimeoutClass::DccpEstablished
            | TimeoutClass::Other => FlowEvent::Expired,
        }
    }
}

/// Ends a flow, live or not, in whichever table it is; whether there was one.
#[inline(always)]
pub fn end<T: Tables>(flow: &FlowKey, event: FlowEvent, tables: &T) -> bool {
    let mut was_there = false;
    // Once more at the end: it may have moved after the first look.
    for table in [Table::Established, Table::HalfOpen, Table::Established] {
        if let Some(slot) = tables.find(table, flow) {
            was_there |= end_in(table, flow, &slot, event, tables);
        }
    }
    was_there
}

/// Ends the flow in `slot` of a table, unless somebody else is about to.
#[inline(always)]
pub fn end_in<T: Tables>(
    table: Table,
    flow: &FlowKey,
    slot: &T::Slot,
    event: FlowEvent,
    tables: &T,
) -> bool {
    slot.claim() && {
        finish(table, flow, slot, event, tables);
        true
    }
}

/// Ends a flow if its time has been over for a while; whether it was.
#[inline(always)]
pub fn reclaim<T: Tables>(flow: &FlowKey, tables: &T) -> bool {
    let Some(config) = valid_config(tables) else { return false };
    let mut was_expired = false;
    for table in [Table::Established, Table::HalfOpen] {
        if let Some(slot) = tables.find(table, flow) {
            was_expired |= reclaim_in(table, flow, &slot, config, tables);
        }
    }
    was_expired
}

#[inline(always)]
fn reclaim_in<T: Tables>(
    table: Table,
    flow: &FlowKey,
    slot: &T::Slot,
    config: &Config,
    tables: &T,
) -> bool {
    let entry = slot.read();
    // Nothing of the entry is needed any more when others are called: the kernel's stack is small.
    let (deadline, event) = (entry.deadline(flow, config), entry.natural_end(flow));
    let now = tables.now();
    if now < deadline + config.ticks(GRACE_SECS) {
        return false;
    }
    if slot.claim() {
        finish(table, flow, slot, event, tables);
        return true;
    }
    // For a later run: now somebody may indeed be about to remove it.
    if now >= deadline + config.ticks(ABANDONED_SECS) {
        slot.disclaim();
    }
    false
}

/// Leaves the record of a flow that is the caller's to end, and removes it.
#[inline(always)]
fn finish<T: Tables>(table: Table, flow: &FlowKey, slot: &T::Slot, event: FlowEvent, tables: &T) {
    leave_record(flow, slot, event, tables);
    if tables.remove(table, flow) && table == Table::Established {
        tables.release(&HostKey::of(flow));
    }
}

/// Leaves the records of what has the key of a flow that is about to be opened, which will take its
/// place; whether it may, since nobody else ends the same.
// Not inlined: it is rare.
#[inline(never)]
pub fn make_way<T: Tables>(flow: &FlowKey, now: Ticks, config: &Config, tables: &T) -> bool {
    let mut is_ours = true;
    for table in [Table::Established, Table::HalfOpen] {
        if let Some(slot) = tables.find(table, flow) {
            let entry = slot.read();
            let natural_end = entry.natural_end(flow);
            let is_in_use = natural_end == FlowEvent::Expired && entry.is_live(flow, now, config);
            let event = if is_in_use { FlowEvent::Replaced } else { natural_end };
            if slot.claim() {
                leave_record(flow, &slot, event, tables);
            } else if table == Table::HalfOpen {
                is_ours = false;
            }
        }
    }
    is_ours
}

#[inline(always)]
fn leave_record<T: Tables>(flow: &FlowKey, slot: &T::Slot, event: FlowEvent, tables: &T) {
    tables.count(event);
    tables.announce(flow, slot, event);
}
