//! The state after a packet, told from the state before and what the packet must change.

use gateway_common::{
    config::Config,
    counter::{Counter, FlowEvent, Hits},
    endpoint::EndpointKey,
    flow::{
        FlowEntry, FlowHalf, mark,
        window::{Granted, Sent},
    },
    host::{HostKey, Overflow, Paid},
    limits::{DATAGRAM_SECS, PEER_RENEW_SECS, PEER_SECS},
    record::FlowRecord,
    tables::Table,
    timeouts::Ticks,
    tuple::{Direction, FlowKey},
    verdict::Reason,
};

use super::{
    Step,
    conversation::Record,
    errand::Errand,
    expect::{Bytes, Effect, Place, Trace},
};
use crate::{packet::tcp::on_the_wire, state::State};

/// For how long anybody may answer an endpoint, in seconds, as RFC 6092 has the timeouts of flows:
/// of TCP and SCTP, and of everything else.
pub(super) const ENDPOINT_SECS: [u32; 2] = [7440, 300];

/// When a packet was judged: not before `earliest` and not after `latest`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// The earliest it can have been.
    pub(super) earliest: Ticks,
    /// The latest it can have been.
    pub(super) latest: Ticks,
}

impl Moment {
    /// `time`, or the earliest possible moment if `time` lies in this one: so that times of one
    /// packet can be compared without knowing it to the tick.
    pub(super) fn snap(self, time: Ticks, ahead: Ticks) -> Ticks {
        let within = self.earliest + ahead <= time && time <= self.latest + ahead;
        if within { self.earliest + ahead } else { time }
    }

    /// Whether a new one of these periods began meanwhile.
    pub(super) const fn straddles(self, period: Ticks) -> bool {
        self.earliest.0 / period.0 != self.latest.0 / period.0
    }
}

/// The state after `step`, given the one before.
pub(super) fn after(step: &Step, before: &State, moment: Moment, config: &Config) -> State {
    let mut state = before.clone();
    let packets = u64::from(step.frame.segments);
    let bytes = match step.expect.bytes {
        Bytes::Packet => step.packet.ip_len(),
        Bytes::Frame => step.frame.bytes.len() as u64,
        Bytes::Given(bytes) => bytes,
    };
    let counter = Counter { packets, bytes };
    add_verdict(&mut state, step.direction, step.expect.reason, counter);
    let mut after = After { state: &mut state, now: moment.earliest, config };
    // The policy is asked about a flow before anything becomes of it.
    let effects = step.expect.effects.iter().copied();
    let (asked, then): (Vec<_>, Vec<_>) =
        effects.partition(|effect| matches!(effect, Effect::Renew(_)));
    for effect in asked {
        after.apply(effect, counter);
    }
    match &step.expect.trace {
        Some(trace) if trace.opens => after.open(trace, counter),
        Some(trace) => after.update(trace, step.direction, counter),
        None => {}
    }
    for effect in then {
        after.apply(effect, counter);
    }
    state
}

/// The state after `errand`, given the one before.
pub(super) fn after_errand(
    errand: &Errand,
    before: &State,
    moment: Moment,
    config: &Config,
) -> State {
    let mut state = before.clone();
    let mut after = After { state: &mut state, now: moment.earliest, config };
    for (key, end) in &errand.ends {
        after.end(key, *end);
    }
    state
}

fn add_verdict(state: &mut State, direction: Direction, reason: Reason, more: Counter) {
    let slot = reason.slot(direction);
    let verdicts = &mut state.verdicts;
    match verdicts.binary_search_by_key(&slot, |(direction, reason, _)| reason.slot(*direction)) {
        Ok(index) => {
            verdicts[index].2.packets += more.packets;
            verdicts[index].2.bytes += more.bytes;
        }
        Err(index) => verdicts.insert(index, (direction, reason, more)),
    }
}

/// A state in the making.
struct After<'a> {
    state: &'a mut State,
    now: Ticks,
    config: &'a Config,
}

impl After<'_> {
    fn open(&mut self, trace: &Trace, counter: Counter) {
        let Self { now, config, .. } = *self;
        let Trace { key, replaces, marks, first, record, .. } = *trace;
        let mut outbound = FlowHalf { seen: now, marks, ..FlowHalf::default() };
        add(&mut outbound, counter, record);
        let (generation, created) = (config.generation, now);
        let first = on_the_wire(first);
        let entry = FlowEntry { outbound, created, generation, first, ..FlowEntry::default() };
        if let Some(end) = replaces {
            self.end(&key, end);
        }
        self.state.flows.insert((Table::HalfOpen, key), entry);
        self.note(trace);
        if marks & mark::OVERFLOW == 0 {
            self.charge(HostKey::of(&key));
        } else {
            let place = self.state.overflow_taken % u64::from(config.overflow_slots);
            self.state.overflow.insert(place, Overflow { created, key, zero: 0 });
            self.state.overflow_taken += 1;
        }
    }

    fn update(&mut self, trace: &Trace, direction: Direction, counter: Counter) {
        let Trace { key, refreshes, resets, marks, record, .. } = *trace;
        let now = self.now;
        let entry = find(self.state, &key);
        entry.generation = self.config.generation;
        let half = match direction {
            Direction::Inbound => &mut entry.inbound,
            Direction::Outbound => &mut entry.outbound,
        };
        let last_seen = half.seen;
        add(half, counter, record);
        half.seen = if refreshes { now } else { half.seen };
        half.reset = if resets { now } else { half.reset };
        half.marks |= marks;
        match direction {
            Direction::Inbound if refreshes => half.marks |= mark::OPENED,
            Direction::Inbound => {}
            Direction::Outbound => self.note_again(trace, last_seen),
        }
    }

    fn apply(&mut self, effect: Effect, counter: Counter) {
        match effect {
            Effect::Promote(key) => {
                let entry = self.remove_half_open(&key);
                self.state.flows.insert((Table::Established, key), entry);
                *self.state.holders.entry(HostKey::of(&key)).or_default() += 1;
                if entry.outbound.marks & mark::OVERFLOW == 0 {
                    self.refund(HostKey::of(&key));
                }
            }
            Effect::End(key, end) => self.end(&key, end),
            Effect::Renew(key) => find(self.state, &key).generation = self.config.generation,
            Effect::Close(key) => self.close(&key),
            Effect::Hit(place) => self.hit(place, counter),
            Effect::Count(event) => self.state.events[event as usize] += 1,
            Effect::Admit(datagram) => {
                let deadline = self.now + self.config.ticks(DATAGRAM_SECS);
                self.state.datagrams.insert(datagram, deadline.0);
            }
        }
    }

    fn remove_half_open(&mut self, key: &FlowKey) -> FlowEntry {
        let entry = self.state.flows.remove(&(Table::HalfOpen, *key));
        entry.unwrap_or_else(|| panic!("{key:?} is not half open: the row begins wrongly"))
    }

    /// A flow is gone; what is left is the record of what it was when it ended.
    fn end(&mut self, key: &FlowKey, end: FlowEvent) {
        let mut entry = if let Some(entry) = self.state.flows.remove(&(Table::Established, *key)) {
            let held = self.state.holders.get_mut(&HostKey::of(key));
            *held.expect("whoever holds a flow is known") -= 1;
            entry
        } else {
            self.remove_half_open(key)
        };
        entry.outbound.marks |= mark::ENDED;
        let (serial, at, event) = (self.state.ends, self.now, end as u32);
        self.state.records.push(FlowRecord { serial, at, entry, key: *key, event });
        self.state.ends += 1;
        self.state.events[end as usize] += 1;
    }

    fn close(&mut self, key: &FlowKey) {
        let now = self.now;
        let entry = find(self.state, key);
        entry.outbound.reset = now;
        entry.outbound.marks |= mark::REVOKED;
    }

    fn hit(&mut self, place: Place, counter: Counter) {
        let policy = &self.config.policy;
        let place = match place {
            Place::Rule(rule) => rule,
            Place::Subnet(subnet) => policy.rules + subnet,
            Place::NoSubnet => policy.rules + policy.subnets,
        };
        let Hits { count, last } = self.state.hits.entry(place).or_default();
        count.packets += counter.packets;
        count.bytes += counter.bytes;
        *last = self.now;
    }

    /// An opening costs the same whether it comes after others or after a while.
    fn charge(&mut self, host: HostKey) {
        let Paid(paid) = self.state.openers.get(&host).copied().unwrap_or_default();
        let paid = paid.max(in_parts(self.now)) + self.config.opening_cost.0;
        self.state.openers.insert(host, Paid(paid));
    }

    fn refund(&mut self, host: HostKey) {
        let Paid(paid) = self.state.openers.get_mut(&host).expect("whoever opened is known");
        *paid -= self.config.opening_cost.0;
    }

    /// Hosts are noted again by the first packet from inside in each period.
    fn note_again(&mut self, trace: &Trace, last_seen: Ticks) {
        let period = self.config.ticks(PEER_RENEW_SECS).0;
        if self.now.0 / period != last_seen.0 / period {
            self.note(trace);
        }
    }

    /// Two hosts talk, and where anybody may answer, so does the inside endpoint.
    fn note(&mut self, trace: &Trace) {
        const TCP: u8 = 6;
        const SCTP: u8 = 132;
        let Trace { key, peers, .. } = *trace;
        let after = |secs| (self.now + self.config.ticks(secs)).0;
        self.state.peers.insert(peers, after(PEER_SECS));
        if self.config.endpoint_independent != 0 {
            let [long, short] = ENDPOINT_SECS;
            let secs = if matches!(key.protocol, TCP | SCTP) { long } else { short };
            self.state.endpoints.insert(EndpointKey::of(&key), after(secs));
        }
    }
}

/// A moment in the unit of [`Paid`].
pub(super) const fn in_parts(moment: Ticks) -> u64 {
    moment.0 << 16
}

/// Counts a packet, and writes down what it says about its sender's numbers.
fn add(half: &mut FlowHalf, counter: Counter, record: Option<Record>) {
    half.packets += counter.packets;
    half.bytes += counter.bytes;
    if let Some(Record { end, window, acknowledged, edge, announced }) = record {
        let [end, acknowledged, edge] = [end, acknowledged, edge].map(on_the_wire);
        half.sent = Sent::new(end, u32::try_from(window).expect("windows are smaller"));
        half.granted = Granted::new(acknowledged, edge);
        half.announced = announced;
    }
}

fn find<'a>(state: &'a mut State, key: &FlowKey) -> &'a mut FlowEntry {
    let keys = [(Table::Established, *key), (Table::HalfOpen, *key)];
    let key = keys.into_iter().find(|key| state.flows.contains_key(key));
    let key = key.unwrap_or_else(|| panic!("{key:?} is not open: the row begins wrongly"));
    state.flows.get_mut(&key).expect("it was just seen")
}
