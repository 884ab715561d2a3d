//! The packet logic's surroundings over a memory that it cannot write: what it would write stays
//! here, where later lookups of the same packet find it, and is written down as [`Change`]s.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    hash::Hash,
    rc::Rc,
};

use gateway_common::{
    bytes::PacketBytes,
    config::Config,
    counter::FlowEvent,
    endpoint::EndpointKey,
    flow::{FlowEntry, FlowUpdate, mark},
    fragment::{DatagramKey, PeerKey},
    host::{HostKey, Overflow, Paid},
    packet::Packet,
    policy::{Decision, Query, Scope},
    tables::{Commit, FlowSlot, Opening, Promotion, Replace, Table, Tables},
    timeouts::Ticks,
    tuple::FlowKey,
};

use super::memory::{Looked, Memory};
use crate::datapath::DatapathError;

/// Something that the packet would change in the gateway's memory. Every packet counts besides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A flow is opened.
    Opened(FlowKey, FlowEntry),
    /// A flow that there is already: how it is before and after.
    Updated(FlowKey, FlowEntry, FlowEntry),
    /// The flow moves to the table of established flows.
    Promoted(FlowKey),
    /// A flow is removed from this table.
    Removed(Table, FlowKey),
    /// Later fragments of the datagram may follow, until then.
    FragmentsAdmitted(Ticks),
    /// The two hosts count as talking, until then, so their fragments may overtake the first.
    PeerNoted(Ticks),
    /// Anybody may send to the inside endpoint, until then.
    EndpointNoted(Ticks),
    /// The opening takes from the inside host's allowance.
    HostCharged,
    /// A rule, a shadow rule or a subnet counts a hit, at this place.
    Hit(u32),
    /// The opening is reported, to be rejected later.
    Reported,
    /// Something happens to a flow that has a counter.
    Counted(FlowEvent),
}

/// What was asked while a packet was judged, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Journal {
    /// Lookups of flows, and what was there.
    pub(super) lookups: Vec<(Table, FlowKey, Option<FlowEntry>)>,
    /// Questions to the policy.
    pub(super) asked: Vec<(Scope, Query, Decision)>,
    /// What would be written.
    pub(super) changes: Vec<Change>,
}

/// What was written over a map.
struct Written<K, V>(RefCell<HashMap<K, V>>);

impl<K: Copy + Eq + Hash, V: Clone> Written<K, V> {
    fn new() -> Self {
        Self(RefCell::default())
    }

    fn get(&self, key: &K) -> Option<V> {
        self.0.borrow().get(key).cloned()
    }

    fn put(&self, key: &K, value: V) {
        self.0.borrow_mut().insert(*key, value);
    }
}

/// A flow as it was found, with what the packet makes of it.
#[derive(Clone, Debug)]
pub(super) struct Slot(Rc<Cell<FlowEntry>>);

impl Slot {
    fn new(entry: &FlowEntry) -> Self {
        Self(Rc::new(Cell::new(*entry)))
    }
}

impl FlowSlot for Slot {
    fn read(&self) -> FlowEntry {
        self.0.get()
    }

    fn commit(&self, update: &FlowUpdate) -> Commit {
        let mut entry = self.0.get();
        let is_news = update.is_news_to(&entry);
        entry.apply(update);
        self.0.set(entry);
        Commit { is_news, is_moved: false }
    }

    fn claim(&self) -> bool {
        let mut entry = self.0.get();
        let is_ours = entry.outbound.marks & (mark::ENDED | mark::MOVED) == 0;
        entry.outbound.marks |= mark::ENDED;
        self.0.set(entry);
        is_ours
    }

    fn disclaim(&self) {
        let mut entry = self.0.get();
        entry.outbound.marks &= !mark::ENDED;
        self.0.set(entry);
    }

    fn renew(&self, generation: u32) {
        self.0.set(FlowEntry { generation, ..self.0.get() });
    }
}

/// The surroundings of one packet.
pub(super) struct Overlay<'m, M> {
    memory: &'m M,
    /// `None` for a flow that is not there.
    flows: Written<(Table, FlowKey), Option<Slot>>,
    paid: Written<HostKey, Paid>,
    held: Written<HostKey, u64>,
    datagrams: Written<DatagramKey, Ticks>,
    peers: Written<PeerKey, Ticks>,
    endpoints: Written<EndpointKey, Ticks>,
    places: Cell<u32>,
    journal: RefCell<Journal>,
    failure: RefCell<Option<DatapathError>>,
}

impl<'m, M: Memory> Overlay<'m, M> {
    pub(super) fn new(memory: &'m M) -> Self {
        Self {
            memory,
            flows: Written::new(),
            paid: Written::new(),
            held: Written::new(),
            datagrams: Written::new(),
            peers: Written::new(),
            endpoints: Written::new(),
            places: Cell::default(),
            journal: RefCell::default(),
            failure: RefCell::default(),
        }
    }

    /// What the packet asked for and would change.
    ///
    /// # Errors
    /// The first lookup that failed: what was decided after it means nothing.
    pub(super) fn finish(self) -> Looked<Journal> {
        if let Some(failure) = self.failure.into_inner() {
            return Err(failure);
        }
        let mut journal = self.journal.into_inner();
        let mut seen = Vec::new();
        for (table, key, found) in &journal.lookups {
            let Some(before) = found else { continue };
            if seen.contains(&(*table, *key)) {
                continue;
            }
            seen.push((*table, *key));
            if let Some(Some(slot)) = self.flows.get(&(*table, *key))
                && slot.read() != *before
                && !journal
                    .changes
                    .iter()
                    .any(|change| matches!(change, Change::Opened(opened, _) if opened == key))
            {
                journal.changes.insert(0, Change::Updated(*key, *before, slot.read()));
            }
        }
        Ok(journal)
    }

    fn note(&self, change: Change) {
        self.journal.borrow_mut().changes.push(change);
    }

    /// What was found, or nothing and the failure kept.
    fn found<T>(&self, looked: Looked<Option<T>>) -> Option<T> {
        looked.unwrap_or_else(|error| {
            self.failure.borrow_mut().get_or_insert(error);
            None
        })
    }

    /// A flow, with what was written over it.
    fn look(&self, table: Table, key: &FlowKey) -> Option<Slot> {
        if let Some(written) = self.flows.get(&(table, *key)) {
            return written;
        }
        let slot = self.found(self.memory.flow(table, key)).map(|entry| Slot::new(&entry));
        self.flows.put(&(table, *key), slot.clone());
        slot
    }

    fn is_established_full(&self) -> bool {
        let count = self.memory.flows(Table::Established).map(|flows| Some(flows.len()));
        let room = self.memory.established_max().map(Some);
        match (self.found(count), self.found(room)) {
            (Some(count), Some(room)) => count >= room as usize,
            _ => false,
        }
    }
}

impl<M: Memory> Tables for Overlay<'_, M> {
    type Slot = Slot;

    fn config(&self) -> Option<&Config> {
        Some(self.memory.config())
    }

    fn now(&self) -> Ticks {
        self.memory.now()
    }

    fn find(&self, table: Table, key: &FlowKey) -> Option<Slot> {
        let slot = self.look(table, key);
        let found = slot.as_ref().map(Slot::read);
        self.journal.borrow_mut().lookups.push((table, *key, found));
        slot
    }

    fn open(&self, key: &FlowKey, entry: &FlowEntry, replace: Replace) -> Opening {
        if replace == Replace::No && self.look(Table::HalfOpen, key).is_some() {
            return Opening::Exists;
        }
        self.flows.put(&(Table::HalfOpen, *key), Some(Slot::new(entry)));
        self.note(Change::Opened(*key, *entry));
        Opening::Done
    }

    fn promote(&self, key: &FlowKey, slot: &Slot, entry: &mut FlowEntry) -> Promotion {
        *entry = slot.read();
        if self.look(Table::Established, key).is_some() {
            return Promotion::Exists;
        }
        if self.is_established_full() {
            return Promotion::Full;
        }
        self.note(Change::Promoted(*key));
        Promotion::Done
    }

    /// Nothing moves while a packet is explained.
    fn follow(&self, _: &FlowKey, _: &Slot, _: &FlowUpdate) {}

    fn remove(&self, table: Table, key: &FlowKey) -> bool {
        let is_there = self.look(table, key).is_some();
        if is_there {
            self.flows.put(&(table, *key), None);
            self.note(Change::Removed(table, *key));
        }
        is_there
    }

    fn update_paid(&self, host: &HostKey, step: impl Fn(Paid) -> Option<Paid>) -> bool {
        let stored = self.paid.get(host).or_else(|| self.found(self.memory.paid(host)));
        let before = stored.unwrap_or_default();
        let Some(after) = step(before) else { return false };
        self.paid.put(host, after);
        if after.0 > before.0 {
            self.note(Change::HostCharged);
        }
        true
    }

    fn take_place(&self, slots: u32, _: &Overflow) -> Option<Overflow> {
        // One packet opens one flow, which takes one place.
        if self.places.replace(1) != 0 {
            return None;
        }
        self.found(self.memory.next_place(slots))
    }

    fn held(&self, host: &HostKey) -> u64 {
        let held = self.held.get(host).or_else(|| self.found(self.memory.held(host)));
        held.unwrap_or(0)
    }

    fn hold(&self, host: &HostKey) {
        let held = Tables::held(self, host);
        self.held.put(host, held.saturating_add(1));
    }

    fn release(&self, host: &HostKey) {
        let held = Tables::held(self, host);
        self.held.put(host, held.saturating_sub(1));
    }

    fn datagram(&self, key: &DatagramKey) -> Option<Ticks> {
        self.datagrams.get(key).or_else(|| self.found(self.memory.datagram(key)))
    }

    fn admit_datagram(&self, key: &DatagramKey, deadline: Ticks) {
        self.datagrams.put(key, deadline);
        self.note(Change::FragmentsAdmitted(deadline));
    }

    fn peer(&self, key: &PeerKey) -> Option<Ticks> {
        self.peers.get(key).or_else(|| self.found(self.memory.peer(key)))
    }

    fn note_peer(&self, key: &PeerKey, deadline: Ticks) {
        self.peers.put(key, deadline);
        self.note(Change::PeerNoted(deadline));
    }

    fn ask(&self, config: &Config, scope: Scope, query: &Query, decision: &mut Decision) {
        *decision = self.memory.ask(config, scope, query);
        self.journal.borrow_mut().asked.push((scope, *query, *decision));
    }

    fn hit(&self, _: &Config, place: u32, _: &Packet) {
        self.note(Change::Hit(place));
    }

    fn endpoint(&self, key: &EndpointKey) -> Option<Ticks> {
        self.endpoints.get(key).or_else(|| self.found(self.memory.endpoint(key)))
    }

    fn note_endpoint(&self, key: &EndpointKey, deadline: Ticks) {
        self.endpoints.put(key, deadline);
        self.note(Change::EndpointNoted(deadline));
    }

    fn report<B: PacketBytes>(&self, _: &B, _: &FlowKey, _: usize, _: usize) {
        self.note(Change::Reported);
    }

    fn tell(&self, _: &FlowKey, _: FlowEvent) {
        // It is counted as well.
    }

    fn announce(&self, _: &FlowKey, _: &Slot, _: FlowEvent) {
        // It is counted as well.
    }

    fn count(&self, event: FlowEvent) {
        self.note(Change::Counted(event));
    }
}
