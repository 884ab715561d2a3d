//! The gateway without a kernel: the same packet logic as the BPF programs run, on the standard
//! library's collections, with a clock that only moves when it is told to.
//!
//! The tables do what the BPF maps do as far as the packet logic can tell: a full LRU table makes
//! room by forgetting what was looked up least recently, a full plain table takes no more. The
//! workspace is never cleared, as in the kernel, so that a packet which reads what its
//! predecessor left there shows.

mod lru;
mod policy;
mod replay;

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
};

use gateway_common::{
    bytes::PacketBytes,
    config::Config,
    counter::{Counter, FlowEvent, Hits},
    egress, ending,
    endpoint::EndpointKey,
    flow::{FlowEntry, FlowUpdate, mark},
    fragment::{DatagramKey, PeerKey},
    gateway::{Outcome, Workspace},
    host::{HostKey, Overflow, Paid},
    ingress,
    limits::{DATAGRAMS_MAX, ENDPOINTS_MAX, HOSTS_MAX, PEERS_MAX, POLICY_SLOTS, QUOTED_BYTES_MAX},
    packet::Packet,
    policy::{Decision, Query, Scope, decide},
    record::FlowRecord,
    rejection::Unsolicited,
    seed::{self, Entered, Seed},
    tables::{Commit, FlowSlot, Opening, Promotion, Replace, Table, Tables},
    timeouts::Ticks,
    tuple::{Direction, FlowKey},
    verdict::Reason,
};

use gateway_userspace::policy::{CompiledPolicy, HostTables};

use lru::Lru;
use policy::{MissingTables, StoredPolicy};

use crate::state::State;

/// What the clock shows at first: long after zero, which means "never" in a flow.
const START: Ticks = Ticks(1 << 33);

/// A frame as a hook sees it: its bytes and what the driver keeps beside them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The frame from its first link-layer byte on.
    pub bytes: Vec<u8>,
    /// How many frames it becomes on the wire.
    pub segments: u32,
    /// A VLAN tag that is not among the bytes.
    pub offloaded_vlan: Option<u16>,
    /// Whether another host sent it and the gateway forwards it.
    pub is_forwarded: bool,
}

impl From<Vec<u8>> for Frame {
    /// A frame with nothing beside it.
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, segments: 1, offloaded_vlan: None, is_forwarded: false }
    }
}

impl PacketBytes for Frame {
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.bytes.as_slice().read(offset)
    }

    fn read_words<const N: usize>(&self, offset: usize) -> Option<[u32; N]> {
        self.bytes.as_slice().read_words(offset)
    }

    fn copy<const N: usize>(&self, offset: usize, len: usize, to: &mut [u8; N]) -> usize {
        self.bytes.as_slice().copy(offset, len, to)
    }

    fn len(&self) -> usize {
        self.bytes.len()
    }

    fn segments(&self) -> u32 {
        self.segments
    }

    fn offloaded_vlan(&self) -> Option<u16> {
        self.offloaded_vlan
    }

    fn is_forwarded(&self) -> bool {
        self.is_forwarded
    }
}

/// The gateway.
#[derive(Debug)]
pub struct Model {
    memory: Memory,
    workspace: Workspace,
    verdicts: Vec<Counter>,
}

impl Model {
    /// A gateway with this configuration in force and room for this many flows in each table.
    #[must_use]
    pub fn new(config: &Config, half_open_max: usize, established_max: usize) -> Self {
        let memory = Memory {
            config: *config,
            now: START,
            half_open: RefCell::new(Lru::new(half_open_max)),
            established: RefCell::default(),
            established_max,
            datagrams: RefCell::new(Lru::new(DATAGRAMS_MAX as usize)),
            peers: RefCell::new(Lru::new(PEERS_MAX as usize)),
            openers: RefCell::new(Lru::new(HOSTS_MAX as usize)),
            holders: RefCell::new(Lru::new(HOSTS_MAX as usize)),
            overflow: RefCell::default(),
            overflow_taken: Cell::default(),
            policies: Default::default(),
            endpoints: RefCell::new(Lru::new(ENDPOINTS_MAX as usize)),
            reports: RefCell::default(),
            records: RefCell::default(),
            events: Cell::default(),
        };
        let verdicts = vec![Counter::default(); 2 * Reason::COUNT];
        Self { memory, workspace: Workspace::default(), verdicts }
    }

    /// Puts a configuration in force.
    pub fn configure(&mut self, config: &Config) {
        self.memory.config = *config;
    }

    /// Puts a configuration in force together with the policy that it is about, which goes into
    /// the slot that it names. The policy's hits begin at nothing.
    ///
    /// # Panics
    /// If there is no such slot.
    pub fn govern(&mut self, config: &Config, policy: CompiledPolicy) {
        self.memory.config = *config;
        let slot = &mut self.memory.policies[config.policy_slot as usize];
        *slot = Some(StoredPolicy { policy, hits: RefCell::default() });
    }

    /// Moves the clock.
    pub fn advance(&mut self, span: Ticks) {
        self.memory.now = self.memory.now + span;
    }

    /// The openings from outside that were reported so far.
    #[must_use]
    pub fn reports(&self) -> Vec<Unsolicited> {
        self.memory.reports.borrow().clone()
    }

    /// What the clock shows.
    #[must_use]
    pub const fn now(&self) -> Ticks {
        self.memory.now
    }

    /// Judges a frame and counts it.
    pub fn run(&mut self, direction: Direction, frame: &impl PacketBytes) -> Outcome {
        let outcome = match direction {
            Direction::Inbound => ingress::handle(frame, &self.memory, &mut self.workspace),
            Direction::Outbound => egress::handle(frame, &self.memory, &mut self.workspace),
        };
        let counter = &mut self.verdicts[outcome.reason.slot(direction) as usize];
        counter.packets += u64::from(outcome.packets);
        counter.bytes += outcome.bytes;
        outcome
    }

    /// Stores a flow.
    ///
    /// # Panics
    /// If the table is full.
    pub fn insert(&mut self, table: Table, key: &FlowKey, entry: &FlowEntry) {
        let slot = Slot::new(entry);
        match table {
            Table::HalfOpen => self.memory.half_open.get_mut().insert(*key, slot),
            Table::Established => {
                let stored = self.memory.established.get_mut();
                assert!(stored.len() < self.memory.established_max, "{table:?} is full");
                stored.insert(*key, slot);
            }
        }
    }

    /// Forgets a flow, as an operator may ask; whether there was one.
    pub fn forget(&mut self, key: &FlowKey) -> bool {
        ending::end(key, FlowEvent::Deleted, &self.memory)
    }

    /// Removes a flow if its time has been over for a while, as the sweeper does; whether it was.
    pub fn reclaim(&mut self, key: &FlowKey) -> bool {
        ending::reclaim(key, &self.memory)
    }

    /// The records of the flows that ended so far.
    #[must_use]
    pub fn records(&self) -> Vec<FlowRecord> {
        self.memory.records.borrow().clone()
    }

    /// Enters a flow that was there before the gateway.
    pub fn enter(&mut self, seed: &Seed) -> Entered {
        seed::enter(seed, &self.memory.config, &self.memory)
    }

    /// How many half-open flows made room for others, which leaves no record.
    #[must_use]
    pub fn recycled(&self) -> u64 {
        self.memory.half_open.borrow().recycled
    }

    /// Everything that the gateway remembers.
    #[must_use]
    pub fn state(&self) -> State {
        let half_open = self.memory.half_open.borrow();
        let established = self.memory.established.borrow();
        let half_open =
            half_open.entries.iter().map(|(key, (_, slot))| ((Table::HalfOpen, *key), slot.read()));
        let established =
            established.iter().map(|(key, slot)| ((Table::Established, *key), slot.read()));
        let slots = Direction::ALL
            .into_iter()
            .flat_map(|direction| Reason::ALL.iter().map(move |&reason| (direction, reason)));
        let counters = slots.zip(&self.verdicts);
        State {
            verdicts: counters
                .filter(|(_, counter)| **counter != Counter::default())
                .map(|((direction, reason), counter)| (direction, reason, *counter))
                .collect(),
            events: self.memory.events.get(),
            flows: half_open.chain(established).collect(),
            datagrams: self.memory.datagrams.borrow().values(|deadline| deadline.0),
            peers: self.memory.peers.borrow().values(|deadline| deadline.0),
            openers: self.memory.openers.borrow().values(|paid| *paid),
            holders: self.memory.holders.borrow().values(|held| *held),
            overflow: self.memory.overflow.borrow().clone(),
            overflow_taken: self.memory.overflow_taken.get(),
            hits: self.memory.hits(),
            endpoints: self.memory.endpoints.borrow().values(|deadline| deadline.0),
            records: self.records(),
            ends: self.memory.records.borrow().len() as u64,
        }
    }
}

/// What the packet logic sees as its surroundings.
#[derive(Debug)]
struct Memory {
    config: Config,
    now: Ticks,
    half_open: RefCell<Lru<FlowKey, Slot>>,
    established: RefCell<HashMap<FlowKey, Slot>>,
    established_max: usize,
    datagrams: RefCell<Lru<DatagramKey, Ticks>>,
    peers: RefCell<Lru<PeerKey, Ticks>>,
    openers: RefCell<Lru<HostKey, Paid>>,
    holders: RefCell<Lru<HostKey, u64>>,
    overflow: RefCell<HashMap<u64, Overflow>>,
    overflow_taken: Cell<u64>,
    policies: [Option<StoredPolicy>; POLICY_SLOTS],
    endpoints: RefCell<Lru<EndpointKey, Ticks>>,
    reports: RefCell<Vec<Unsolicited>>,
    records: RefCell<Vec<FlowRecord>>,
    events: Cell<[u64; FlowEvent::ALL.len()]>,
}

impl Memory {
    /// The policy in the slot that a configuration names.
    fn policy(&self, config: &Config) -> Option<&StoredPolicy> {
        self.policies.get(config.policy_slot as usize)?.as_ref()
    }

    /// What the policy in force counted. What is counted where there is no policy to ask is
    /// nobody's.
    fn hits(&self) -> HashMap<u32, Hits> {
        if self.config.policy.is_egress_only() {
            return HashMap::new();
        }
        let stored = self.policy(&self.config);
        stored.map(|stored| stored.hits.borrow().clone()).unwrap_or_default()
    }
}

/// A flow in a table; a copy is the same flow.
#[derive(Clone, Debug)]
struct Slot(Rc<Cell<FlowEntry>>);

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
        let is_ours = !entry.outbound.has(mark::ENDED);
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

impl Tables for Memory {
    type Slot = Slot;

    fn config(&self) -> Option<&Config> {
        Some(&self.config)
    }

    fn now(&self) -> Ticks {
        self.now
    }

    fn find(&self, table: Table, key: &FlowKey) -> Option<Slot> {
        match table {
            Table::HalfOpen => self.half_open.borrow_mut().get(key),
            Table::Established => self.established.borrow().get(key).cloned(),
        }
    }

    fn open(&self, key: &FlowKey, entry: &FlowEntry, replace: Replace) -> Opening {
        let mut half_open = self.half_open.borrow_mut();
        if replace == Replace::No && half_open.entries.contains_key(key) {
            return Opening::Exists;
        }
        half_open.insert(*key, Slot::new(entry));
        Opening::Done
    }

    fn promote(&self, key: &FlowKey, slot: &Slot, entry: &mut FlowEntry) -> Promotion {
        *entry = slot.read();
        let mut established = self.established.borrow_mut();
        if established.contains_key(key) {
            return Promotion::Exists;
        }
        if established.len() == self.established_max {
            return Promotion::Full;
        }
        established.insert(*key, Slot::new(entry));
        self.half_open.borrow_mut().entries.remove(key);
        Promotion::Done
    }

    fn follow(&self, key: &FlowKey, _: &Slot, _: &FlowUpdate) {
        unreachable!("nothing happens while a flow moves: {key:?}");
    }

    fn remove(&self, table: Table, key: &FlowKey) -> bool {
        match table {
            Table::HalfOpen => self.half_open.borrow_mut().entries.remove(key).is_some(),
            Table::Established => self.established.borrow_mut().remove(key).is_some(),
        }
    }

    fn update_paid(&self, host: &HostKey, step: impl Fn(Paid) -> Option<Paid>) -> bool {
        let mut openers = self.openers.borrow_mut();
        let paid = step(openers.get(host).unwrap_or_default());
        if let Some(paid) = paid {
            openers.insert(*host, paid);
        }
        paid.is_some()
    }

    fn take_place(&self, slots: u32, flow: &Overflow) -> Option<Overflow> {
        let turn = self.overflow_taken.replace(self.overflow_taken.get() + 1);
        let place = turn.checked_rem(slots.into())?;
        self.overflow.borrow_mut().insert(place, *flow)
    }

    fn held(&self, host: &HostKey) -> u64 {
        self.holders.borrow_mut().get(host).unwrap_or(0)
    }

    fn hold(&self, host: &HostKey) {
        let held = self.held(host);
        self.holders.borrow_mut().insert(*host, held + 1);
    }

    fn release(&self, host: &HostKey) {
        let held = self.holders.borrow_mut().get(host);
        if let Some(held) = held {
            self.holders.borrow_mut().insert(*host, held.saturating_sub(1));
        }
    }

    fn datagram(&self, key: &DatagramKey) -> Option<Ticks> {
        self.datagrams.borrow_mut().get(key)
    }

    fn admit_datagram(&self, key: &DatagramKey, deadline: Ticks) {
        self.datagrams.borrow_mut().insert(*key, deadline);
    }

    fn peer(&self, key: &PeerKey) -> Option<Ticks> {
        self.peers.borrow_mut().get(key)
    }

    fn note_peer(&self, key: &PeerKey, deadline: Ticks) {
        self.peers.borrow_mut().insert(*key, deadline);
    }

    fn ask(&self, config: &Config, scope: Scope, query: &Query, decision: &mut Decision) {
        let Some(StoredPolicy { policy, .. }) = self.policy(config) else {
            return decide(&MissingTables, &config.policy, scope, query, decision);
        };
        assert_eq!(policy.summary, config.policy);
        *decision = HostTables::new(policy).ask(scope, query);
    }

    fn hit(&self, config: &Config, place: u32, packet: &Packet) {
        let Some(StoredPolicy { hits, .. }) = self.policy(config) else { return };
        let mut hits = hits.borrow_mut();
        let Hits { count, last } = hits.entry(place).or_default();
        count.packets += u64::from(packet.packets);
        count.bytes += packet.wire_bytes;
        *last = self.now;
    }

    fn endpoint(&self, key: &EndpointKey) -> Option<Ticks> {
        self.endpoints.borrow_mut().get(key)
    }

    fn note_endpoint(&self, key: &EndpointKey, deadline: Ticks) {
        self.endpoints.borrow_mut().insert(*key, deadline);
    }

    fn report<B: PacketBytes>(&self, bytes: &B, key: &FlowKey, offset: usize, len: usize) {
        let mut quoted = [0; QUOTED_BYTES_MAX];
        let quoted_len = bytes.copy(offset, len, &mut quoted);
        let quoted_len = u32::try_from(quoted_len).expect("a few bytes");
        self.reports.borrow_mut().push(Unsolicited { key: *key, quoted_len, quoted });
    }

    fn tell(&self, _: &FlowKey, _: FlowEvent) {
        // Nobody watches.
    }

    fn announce(&self, key: &FlowKey, slot: &Slot, event: FlowEvent) {
        let mut records = self.records.borrow_mut();
        let (serial, at, entry) = (records.len() as u64, self.now, slot.read());
        records.push(FlowRecord { serial, at, entry, key: *key, event: event as u32 });
    }

    fn count(&self, event: FlowEvent) {
        let mut events = self.events.get();
        events[event as usize] += 1;
        self.events.set(events);
    }
}
