//! Dropped packets, summed up for a window.

use std::collections::HashMap;

use gateway_common::{
    observe::PacketRecord,
    tuple::{Direction, FlowKey},
    verdict::Reason,
};

use super::line::Clock;

/// Sums that a window may have; what comes on top is missed.
const SUMS_MAX: usize = 65_536;

/// What is summed up. Reason and rule count only where lines tell them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Rejected {
    pub(super) key: FlowKey,
    pub(super) direction: Direction,
    pub(super) ifindex: u32,
    /// The reason's discriminant and the rule.
    pub(super) why: Option<(u32, u32)>,
}

/// How many there were, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) packets: u64,
    pub(super) bytes: u64,
    pub(super) start: u64,
    pub(super) end: u64,
}

impl Rejected {
    pub(super) fn reason(&self) -> Option<Reason> {
        Reason::ALL.get(self.why?.0 as usize).copied()
    }
}

/// The dropped packets of a window.
#[derive(Default)]
pub(super) struct Rejects {
    sums: HashMap<Rejected, Sum>,
    /// Packets for which there was no room.
    missed: u64,
}

impl Rejects {
    /// Adds a packet.
    pub(super) fn add(&mut self, record: &PacketRecord, tells_why: bool, clock: &Clock) {
        let Some(direction) = record.direction() else { return };
        let rejected = Rejected {
            key: record.key,
            direction,
            ifindex: record.ifindex,
            why: tells_why.then_some((record.reason, record.rule)),
        };
        let at = clock.unix_secs(record.at);
        let has_room = self.sums.len() < SUMS_MAX || self.sums.contains_key(&rejected);
        if !has_room {
            self.missed += u64::from(record.counted_packets);
            return;
        }
        let none = Sum { packets: 0, bytes: 0, start: at, end: at };
        let sum = self.sums.entry(rejected).or_insert(none);
        sum.packets += u64::from(record.counted_packets);
        sum.bytes += record.counted_bytes;
        sum.end = sum.end.max(at);
    }

    /// Adds packets that nobody got to see.
    pub(super) fn miss(&mut self, packets: u64) {
        self.missed += packets;
    }

    /// What there is, and how many are missed; nothing is left.
    pub(super) fn take(&mut self) -> (Vec<(Rejected, Sum)>, u64) {
        let mut sums: Vec<_> = self.sums.drain().collect();
        sums.sort_unstable_by_key(|(rejected, sum)| (sum.start, rejected.key.outside));
        (sums, std::mem::take(&mut self.missed))
    }
}
