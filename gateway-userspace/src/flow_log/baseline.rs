//! What was reported of each flow already, in 40 bytes.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasherDefault, Hasher},
};

use gateway_common::{
    flow::{FlowEntry, FlowHalf, mark},
    timeouts::Ticks,
    tuple::{Direction, FlowKey},
};
use siphasher::sip::SipHasher13;

/// Bits of a packet count that hold something else: no flow has so many packets.
const PACKETS_BITS: u32 = 56;
const PACKETS_MASK: u64 = (1 << PACKETS_BITS) - 1;
/// A baseline whose flow was in no table for so many windows is forgotten. The record of its end,
/// which would have removed it, cannot be on its way for so long.
const ABSENT_MAX: u64 = 4;

/// TCP flags as AWS has them.
mod tcp_flag {
    /// FIN.
    pub(super) const FIN: u8 = 1;
    /// SYN.
    pub(super) const SYN: u8 = 2;
    /// RST.
    pub(super) const RST: u8 = 4;
    /// SYN and ACK in one segment.
    pub(super) const SYN_ACK: u8 = 18;
}

/// What stands for a flow: a keyed hash of its key and of when it was opened. That two flows have
/// the same is as good as impossible, and nobody who does not know the key can bring it about.
pub(super) type FlowId = u64;

/// What was reported of a flow: packets with flags above them and bytes, of either direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Baseline(pub(super) [u64; 4]);

/// What is new in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Delta {
    /// Packets.
    pub(super) packets: u64,
    /// Bytes.
    pub(super) bytes: u64,
    /// TCP flags that were seen first in this window.
    pub(super) tcp_flags: u8,
    /// Whether nothing of this direction was reported before.
    pub(super) is_first: bool,
}

impl Baseline {
    /// What a flow counts now, and what of it is new, by direction.
    fn advance(self, entry: &FlowEntry) -> (Self, [Delta; 2]) {
        let mut next = Self::default();
        let deltas = Direction::ALL.map(|direction| {
            let (half, at) = (entry.half(direction), 2 * direction as usize);
            let (old_packets, old_flags) = (self.0[at] & PACKETS_MASK, self.flags(at));
            let flags = flags_of(half);
            next.0[at] = half.packets & PACKETS_MASK | u64::from(flags) << PACKETS_BITS;
            next.0[at + 1] = half.bytes;
            Delta {
                packets: half.packets.saturating_sub(old_packets),
                bytes: half.bytes.saturating_sub(self.0[at + 1]),
                tcp_flags: as_aws_has_them(flags & !old_flags, entry, direction),
                is_first: old_packets == 0,
            }
        });
        (next, deltas)
    }

    /// The flags above the packets, without what tells for how long the flow was absent.
    fn flags(self, at: usize) -> u8 {
        (self.0[at] >> PACKETS_BITS) as u8 & 7
    }

    const fn absent(self) -> u64 {
        self.0[0] >> (PACKETS_BITS + 3)
    }

    fn set_absent(&mut self, windows: u64) {
        let below = (1 << (PACKETS_BITS + 3)) - 1;
        self.0[0] = self.0[0] & below | windows << (PACKETS_BITS + 3);
    }
}

/// FIN, SYN and RST that a direction sent.
fn flags_of(half: &FlowHalf) -> u8 {
    let bit = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
    bit(half.has(mark::FIN), tcp_flag::FIN)
        | bit(half.has(mark::SYN), tcp_flag::SYN)
        | bit(half.reset != Ticks(0), tcp_flag::RST)
}

/// The side that answers an opening does so with SYN and ACK in one segment.
fn as_aws_has_them(flags: u8, entry: &FlowEntry, direction: Direction) -> u8 {
    let opener = if entry.outbound.has(mark::ADMITTED) || entry.inbound.has(mark::ADMITTED) {
        Direction::Inbound
    } else {
        Direction::Outbound
    };
    if direction != opener && flags & tcp_flag::SYN != 0 {
        flags | tcp_flag::SYN_ACK
    } else {
        flags
    }
}

/// A hash that is its own.
#[derive(Default)]
pub(super) struct OwnHash(u64);

impl Hasher for OwnHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("flow ids are numbers")
    }

    fn write_u64(&mut self, id: u64) {
        self.0 = id;
    }
}

/// What was reported of all flows that had something to report.
pub(super) struct Baselines {
    secret: [u8; 16],
    map: HashMap<FlowId, Baseline, BuildHasherDefault<OwnHash>>,
}

impl Baselines {
    pub(super) fn new(secret: [u8; 16]) -> Self {
        Self { secret, map: HashMap::default() }
    }

    pub(super) const fn secret(&self) -> [u8; 16] {
        self.secret
    }

    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    /// What stands for a flow, in this and in later processes.
    pub(super) fn id(&self, key: &FlowKey, created: Ticks) -> FlowId {
        let mut hasher = SipHasher13::new_with_key(&self.secret);
        hasher.write(&key.inside.octets());
        hasher.write(&key.outside.octets());
        for port in [key.inside_port, key.outside_port, key.vlan.outer, key.vlan.inner] {
            hasher.write(&port.to_le_bytes());
        }
        hasher.write(&[key.protocol, key.family]);
        hasher.write(&created.0.to_le_bytes());
        hasher.finish()
    }

    /// Notes that everything of a flow is reported, and tells what of it is new.
    pub(super) fn advance(&mut self, id: FlowId, entry: &FlowEntry) -> (Baseline, [Delta; 2]) {
        match self.map.entry(id) {
            Entry::Occupied(mut place) => {
                let (next, deltas) = place.get().advance(entry);
                place.insert(next);
                (next, deltas)
            }
            Entry::Vacant(place) => {
                let (next, deltas) = Baseline::default().advance(entry);
                place.insert(next);
                (next, deltas)
            }
        }
    }

    /// Forgets a flow that ended, and tells what of it is new.
    pub(super) fn end(&mut self, id: FlowId, entry: &FlowEntry) -> [Delta; 2] {
        self.map.remove(&id).unwrap_or_default().advance(entry).1
    }

    pub(super) fn set(&mut self, id: FlowId, baseline: Baseline) {
        self.map.insert(id, baseline);
    }

    pub(super) fn remove(&mut self, id: FlowId) {
        self.map.remove(&id);
    }

    pub(super) fn clear(&mut self) {
        self.map.clear();
    }

    /// At the end of a pass: flows that it did not meet were recycled by the kernel, unless the
    /// record of their end is on its way.
    pub(super) fn forget_absent(&mut self) {
        self.map.retain(|_, baseline| {
            let absent = baseline.absent() + 1;
            baseline.set_absent(absent);
            absent <= ABSENT_MAX
        });
        if self.map.len() < self.map.capacity() / 4 {
            self.map.shrink_to_fit();
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (FlowId, Baseline)> {
        self.map.iter().map(|(id, baseline)| (*id, *baseline))
    }

    /// Bytes of memory that the table takes: entries, each with a byte of the hash table's own, in
    /// eight sevenths of as many places, rounded up to a power of two.
    #[cfg(test)]
    pub(super) fn memory_bytes(&self) -> usize {
        let places = (self.map.capacity() * 8 / 7).next_power_of_two();
        places * (size_of::<(FlowId, Baseline)>() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_continue_whatever_the_steps() {
        let mut baselines = Baselines::new([7; 16]);
        let mut sums = [(0, 0); 2];
        let mut entry = FlowEntry::default();
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..1_000 {
            entry.outbound.packets += random.u64(..3);
            entry.outbound.bytes += random.u64(..u64::from(u32::MAX));
            entry.inbound.packets += random.u64(..1 << 40);
            entry.inbound.bytes += random.u64(..1 << 45);
            let (_, deltas) = baselines.advance(1, &entry);
            for (sum, delta) in sums.iter_mut().zip(deltas) {
                *sum = (sum.0 + delta.packets, sum.1 + delta.bytes);
            }
            if random.u8(..10) == 0 {
                baselines.forget_absent();
            }
        }
        let counted = Direction::ALL.map(|of| (entry.half(of).packets, entry.half(of).bytes));
        assert_eq!(sums, counted);
        let last = baselines.end(1, &entry);
        assert_eq!(last.map(|delta| (delta.packets, delta.bytes)), [(0, 0); 2]);
        assert_eq!(baselines.len(), 0);
    }

    #[test]
    fn flags_are_told_once() {
        let mut baselines = Baselines::new([7; 16]);
        let mut entry = FlowEntry::default();
        let mut flags = |entry: &FlowEntry| {
            let (_, [inbound, outbound]) = baselines.advance(1, entry);
            (outbound.tcp_flags, inbound.tcp_flags)
        };
        entry.outbound.marks = mark::OPENED | mark::SYN;
        assert_eq!(flags(&entry), (2, 0));
        entry.inbound.marks = mark::OPENED | mark::SYN;
        assert_eq!(flags(&entry), (0, 18));
        assert_eq!(flags(&entry), (0, 0));
        entry.outbound.marks |= mark::FIN;
        entry.inbound.reset = Ticks(9);
        assert_eq!(flags(&entry), (1, 4));
        let admitted = FlowEntry {
            inbound: FlowHalf { marks: mark::SYN | mark::ADMITTED, ..FlowHalf::default() },
            outbound: FlowHalf { marks: mark::SYN, ..FlowHalf::default() },
            ..FlowEntry::default()
        };
        let (_, [inbound, outbound]) = Baseline::default().advance(&admitted);
        assert_eq!((inbound.tcp_flags, outbound.tcp_flags), (2, 18));
    }

    #[test]
    fn recycled_flows_are_forgotten_after_a_while_and_others_are_not() {
        let mut baselines = Baselines::new([7; 16]);
        let entry = FlowEntry::default();
        baselines.advance(1, &entry);
        for _ in 0..ABSENT_MAX {
            baselines.advance(2, &entry);
            baselines.forget_absent();
            assert_eq!(baselines.len(), 2);
        }
        baselines.advance(2, &entry);
        baselines.forget_absent();
        assert_eq!(baselines.iter().map(|(id, _)| id).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn a_flow_costs_less_than_a_hundred_bytes() {
        let mut baselines = Baselines::new([7; 16]);
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..1_000_000 {
            baselines.set(random.u64(..), Baseline::default());
        }
        let bytes = baselines.memory_bytes() / baselines.len();
        assert!(bytes <= 100, "{bytes} bytes for each of a million flows");
    }
}
