//! What it takes to play many sequences on one model, in step with a kernel.

use gateway_common::{
    counter::Counter,
    flow::FlowEntry,
    host::{Paid, Span},
    limits::{DATAGRAMS_MAX, ENDPOINTS_MAX, HOSTS_MAX, PEERS_MAX},
    tables::{FlowSlot as _, Table},
    timeouts::Ticks,
    tuple::{Direction, FlowKey},
    verdict::Reason,
};

use super::{Lru, Model, Slot};
use crate::state::{SetBack as _, set_back};

impl Model {
    /// Forgets everything but the configuration, the policy and what was counted.
    pub fn clear(&mut self) {
        let memory = &mut self.memory;
        let half_open_max = memory.half_open.get_mut().max;
        *memory.half_open.get_mut() = Lru::new(half_open_max);
        memory.established.get_mut().clear();
        *memory.datagrams.get_mut() = Lru::new(DATAGRAMS_MAX as usize);
        *memory.peers.get_mut() = Lru::new(PEERS_MAX as usize);
        *memory.openers.get_mut() = Lru::new(HOSTS_MAX as usize);
        *memory.holders.get_mut() = Lru::new(HOSTS_MAX as usize);
        *memory.endpoints.get_mut() = Lru::new(ENDPOINTS_MAX as usize);
        memory.overflow.get_mut().clear();
        memory.overflow_taken.set(0);
        memory.reports.get_mut().clear();
        memory.records.get_mut().clear();
    }

    /// Sets the clock.
    pub fn set_now(&mut self, now: Ticks) {
        self.memory.now = now;
    }

    /// Lets time pass without moving the clock: what is remembered is set back.
    pub fn set_back(&mut self, span: Ticks) {
        let memory = &mut self.memory;
        for (_, slot) in memory.half_open.get_mut().entries.values() {
            slot.0.set(slot.read().set_back(span));
        }
        for slot in memory.established.get_mut().values() {
            slot.0.set(slot.read().set_back(span));
        }
        let deadlines = memory.datagrams.get_mut().entries.values_mut();
        let deadlines = deadlines.chain(memory.peers.get_mut().entries.values_mut());
        for (_, deadline) in deadlines.chain(memory.endpoints.get_mut().entries.values_mut()) {
            *deadline = set_back(*deadline, span);
        }
        for (_, Paid(paid)) in memory.openers.get_mut().entries.values_mut() {
            *paid = paid.saturating_sub(Span::from(span).0);
        }
        for place in memory.overflow.get_mut().values_mut() {
            place.created = set_back(place.created, span);
        }
    }

    /// What was counted for a reason.
    #[must_use]
    pub fn counter(&self, direction: Direction, reason: Reason) -> Counter {
        self.verdicts[reason.slot(direction) as usize]
    }

    /// The key that was last looked up or made.
    #[must_use]
    pub fn touched(&self) -> FlowKey {
        self.workspace.key
    }

    /// A flow, without making it more recently used.
    #[must_use]
    pub fn flow(&self, table: Table, key: &FlowKey) -> Option<FlowEntry> {
        match table {
            Table::HalfOpen => {
                let half_open = self.memory.half_open.borrow();
                half_open.entries.get(key).map(|(_, slot)| slot.read())
            }
            Table::Established => self.memory.established.borrow().get(key).map(Slot::read),
        }
    }
}
