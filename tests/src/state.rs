//! What the programs remember, and what a packet changed in it.

use std::{collections::HashMap, hash::Hash};

use gateway_common::{
    counter::{Counter, FlowEvent, Hits},
    endpoint::EndpointKey,
    flow::{FlowEntry, FlowHalf},
    fragment::{DatagramKey, PeerKey},
    host::{HostKey, Overflow, Paid, Span},
    record::FlowRecord,
    tables::Table,
    timeouts::Ticks,
    tuple::{Direction, FlowKey},
    verdict::Reason,
};

/// Everything that the programs remember, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Counters that are not zero, in slot order.
    pub verdicts: Vec<(Direction, Reason, Counter)>,
    /// Counts of flow events, in their order.
    pub events: [u64; FlowEvent::ALL.len()],
    /// Both flow tables.
    pub flows: HashMap<(Table, FlowKey), FlowEntry>,
    /// Datagrams whose later fragments may come in, with their deadlines in ticks.
    pub datagrams: HashMap<DatagramKey, u64>,
    /// Hosts that talk, with their deadlines in ticks.
    pub peers: HashMap<PeerKey, u64>,
    /// Inside hosts that opened flows, and until when these are paid for.
    pub openers: HashMap<HostKey, Paid>,
    /// Inside hosts that held established flows, and how many they hold.
    pub holders: HashMap<HostKey, u64>,
    /// The flows that have places although they were opened beyond their host's allowance.
    pub overflow: HashMap<u64, Overflow>,
    /// How many such places have been taken so far.
    pub overflow_taken: u64,
    /// What the policy in force counted, by place.
    pub hits: HashMap<u32, Hits>,
    /// Inside endpoints that anybody may answer to, with their deadlines in ticks.
    pub endpoints: HashMap<EndpointKey, u64>,
    /// The records of flows that ended, since everything was forgotten.
    pub records: Vec<FlowRecord>,
    /// How many flows have ended so far, recorded or not.
    pub ends: u64,
}

impl State {
    /// What happened between `before` and this state.
    ///
    /// # Panics
    /// If a counter went backwards, or a record that was there is another one now.
    #[must_use]
    pub fn since(&self, before: &Self) -> Change {
        let mut events = self.events;
        for (now, then) in events.iter_mut().zip(before.events) {
            *now = now.checked_sub(then).expect("counters only grow");
        }
        Change {
            verdicts: self.verdicts_since(before),
            events,
            flows: changes(&before.flows, &self.flows),
            datagrams: changes(&before.datagrams, &self.datagrams),
            peers: changes(&before.peers, &self.peers),
            openers: changes(&before.openers, &self.openers),
            holders: changes(&before.holders, &self.holders),
            overflow: changes(&before.overflow, &self.overflow),
            hits: changes(&before.hits, &self.hits),
            endpoints: changes(&before.endpoints, &self.endpoints),
            records: self
                .records
                .strip_prefix(&before.records[..])
                .expect("records only come behind others")
                .to_vec(),
        }
    }

    fn verdicts_since(&self, before: &Self) -> Vec<(Direction, Reason, Counter)> {
        let then = |direction, reason| {
            let mut counters = before.verdicts.iter();
            let found = counters.find(|(d, r, _)| (*d, *r) == (direction, reason));
            found.map_or_else(Counter::default, |(_, _, counter)| *counter)
        };
        let grown = self.verdicts.iter().map(|&(direction, reason, now)| {
            let then = then(direction, reason);
            let packets = now.packets.checked_sub(then.packets).expect("counters only grow");
            let bytes = now.bytes.checked_sub(then.bytes).expect("counters only grow");
            (direction, reason, Counter { packets, bytes })
        });
        grown.filter(|(_, _, counter)| *counter != Counter::default()).collect()
    }
}

/// Values of tables that hold times.
pub trait SetBack {
    /// The value as if it had been stored so much earlier.
    #[must_use]
    fn set_back(&self, span: Ticks) -> Self;
}

impl SetBack for FlowEntry {
    fn set_back(&self, span: Ticks) -> Self {
        let half = |half: FlowHalf| FlowHalf {
            seen: set_back(half.seen, span),
            reset: set_back(half.reset, span),
            ..half
        };
        Self {
            outbound: half(self.outbound),
            inbound: half(self.inbound),
            created: set_back(self.created, span),
            ..*self
        }
    }
}

/// A moment that is so much earlier; zero stays "never".
#[must_use]
pub fn set_back(time: Ticks, span: Ticks) -> Ticks {
    if time == Ticks(0) { time } else { time - span }
}

impl State {
    /// Lets so much time pass for what is remembered.
    pub fn set_back(&mut self, span: Ticks) {
        for entry in self.flows.values_mut() {
            *entry = entry.set_back(span);
        }
        let deadlines = self.datagrams.values_mut().chain(self.peers.values_mut());
        for deadline in deadlines.chain(self.endpoints.values_mut()) {
            *deadline = set_back(Ticks(*deadline), span).0;
        }
        for Paid(paid) in self.openers.values_mut() {
            *paid = paid.saturating_sub(Span::from(span).0);
        }
        for place in self.overflow.values_mut() {
            place.created = set_back(place.created, span);
        }
    }
}

/// The difference between two [`State`]s.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// How far counters grew, in slot order; those that did not are left out.
    pub verdicts: Vec<(Direction, Reason, Counter)>,
    /// How far event counts grew.
    pub events: [u64; FlowEvent::ALL.len()],
    /// Flows that are new, different or gone.
    pub flows: Vec<Entry<(Table, FlowKey), FlowEntry>>,
    /// Datagrams that are new, different or gone.
    pub datagrams: Vec<Entry<DatagramKey, u64>>,
    /// Pairs of hosts that are new, different or gone.
    pub peers: Vec<Entry<PeerKey, u64>>,
    /// Inside hosts whose openings are paid for until another moment.
    pub openers: Vec<Entry<HostKey, Paid>>,
    /// Inside hosts that hold more or fewer established flows.
    pub holders: Vec<Entry<HostKey, u64>>,
    /// Places for flows beyond their host's allowance that changed hands.
    pub overflow: Vec<Entry<u64, Overflow>>,
    /// Places among the policy's hits that counted something.
    pub hits: Vec<Entry<u32, Hits>>,
    /// Inside endpoints that are new, different or gone.
    pub endpoints: Vec<Entry<EndpointKey, u64>>,
    /// New records of flows that ended.
    pub records: Vec<FlowRecord>,
}

/// What became of one entry of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry<K, V> {
    /// It was not there before.
    Added(K, V),
    /// It has another value: the old one and the new one.
    Changed(K, V, V),
    /// It is no longer there.
    Removed(K, V),
}

fn changes<K: Copy + Eq + Hash, V: Copy + Eq>(
    before: &HashMap<K, V>,
    after: &HashMap<K, V>,
) -> Vec<Entry<K, V>> {
    let arrived = after.iter().filter_map(|(&key, &now)| match before.get(&key) {
        None => Some(Entry::Added(key, now)),
        Some(&then) if then != now => Some(Entry::Changed(key, then, now)),
        Some(_) => None,
    });
    let left = before
        .iter()
        .filter(|(key, _)| !after.contains_key(key))
        .map(|(&key, &then)| Entry::Removed(key, then));
    arrived.chain(left).collect()
}
