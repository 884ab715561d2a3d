//! A pass over the flow tables, a part at a time.

use std::{
    hash::{BuildHasher as _, RandomState},
    time::{Duration, Instant},
};

use gateway_common::{
    config::Config,
    ending::GRACE_SECS,
    flow::{FlowEntry, mark},
    tables::Table,
    timeouts::Ticks,
    tuple::FlowKey,
};

use super::{
    ledger::{FlowSight, Ledgers, PassStart, PassSummary, TableCount},
    tally::Tally,
};
use crate::datapath::{
    DatapathError, FlowBatch, FlowBatches, Gateway, Presence, Rebuilding, TableSizes,
};

/// Flows whose time is over are many when they take more than a table's places divided by this.
pub(super) const PRESSING_DIVISOR: u64 = 16;

/// A pass over a gateway's flow tables.
pub(super) struct Pass {
    start: PassStart,
    begun: Instant,
    batches: FlowBatches,
    rebuilding: Rebuilding,
    moving: Moving,
    half_open: TableCount,
    established: TableCount,
    /// What it cost so far.
    pub(super) cpu: Duration,
    /// Flows that it reclaimed so far.
    pub(super) reclaimed: u64,
    /// Entries that it met so far.
    pub(super) entries: u64,
}

impl Pass {
    /// Begins one with what there is of an earlier one, and with a filter that is made anew.
    pub(super) fn begin(
        number: u64,
        batches: FlowBatches,
        rebuilding: Rebuilding,
        gateway: &Gateway,
        ledgers: &Ledgers,
        tally: &mut Tally,
    ) -> Result<Self, DatapathError> {
        let events = gateway.flow_events()?;
        let start = PassStart { number, at: gateway.now()?, config: gateway.config()? };
        tally.begin(&events, start.at);
        ledgers.begin(&start);
        Ok(Self {
            moving: Moving::new(start.at),
            start,
            begun: Instant::now(),
            batches,
            rebuilding,
            half_open: TableCount::default(),
            established: TableCount::default(),
            cpu: Duration::ZERO,
            reclaimed: 0,
            entries: 0,
        })
    }

    /// Reads the next part of the tables, shows it to the ledgers, and gives those flows whose time
    /// has been over for a while; `None` at the end.
    pub(super) fn next(
        &mut self,
        gateway: &Gateway,
        presence: &Presence,
        ledgers: &Ledgers,
        tally: &mut Tally,
    ) -> Result<Option<Vec<FlowKey>>, DatapathError> {
        let Some(FlowBatch { table, keys, entries }) = self.batches.next(gateway)? else {
            return Ok(None);
        };
        // Asked again each time: a reload changes timeouts.
        let (at, config) = (gateway.now()?, gateway.config()?);
        let count = match table {
            Table::HalfOpen => &mut self.half_open,
            Table::Established => &mut self.established,
        };
        let mut sights = Vec::with_capacity(keys.len());
        let mut over = Vec::new();
        for (key, entry) in keys.iter().zip(entries) {
            presence.note_in(&self.rebuilding, key);
            // What a flow leaves behind when it moves is gone in a moment.
            if table == Table::HalfOpen && entry.outbound.has(mark::MOVED) {
                continue;
            }
            tally.note_entry(entry);
            let is_live = is_counted(key, entry, at, &config, count, &mut over);
            let has_record = entry.outbound.has(mark::ENDED);
            if !has_record && !self.moving.was_seen(table, key, entry) {
                sights.push(FlowSight { table, key, entry, is_live, at });
            }
        }
        self.entries += keys.len() as u64;
        ledgers.flows(&sights);
        Ok(Some(over))
    }

    /// Whether so many flows are over that places may become scarce.
    pub(super) fn is_pressing(&self, sizes: TableSizes) -> bool {
        let TableSizes { half_open_max, established_max } = sizes;
        let is_many = |expired: u64, max: u32| expired > u64::from(max) / PRESSING_DIVISOR;
        is_many(self.half_open.expired, half_open_max)
            || is_many(self.established.expired, established_max)
    }

    /// When it began.
    pub(super) const fn begun(&self) -> Instant {
        self.begun
    }

    /// Ends it.
    pub(super) fn finish(
        self,
        gateway: &Gateway,
        presence: &mut Presence,
        tally: &mut Tally,
    ) -> Result<(PassSummary, FlowBatches), DatapathError> {
        let filter_bits = presence.finish(self.rebuilding)?;
        let events = gateway.flow_events()?;
        let summary = PassSummary {
            number: self.start.number,
            begun: self.start.at,
            at: gateway.now()?,
            duration: self.begun.elapsed(),
            cpu: self.cpu,
            half_open: self.half_open,
            established: self.established,
            reclaimed: self.reclaimed,
            filter_bits,
            recycled: tally.finish(&events),
            events,
        };
        let mut batches = self.batches;
        batches.rewind();
        Ok((summary, batches))
    }
}

/// Counts a flow and tells whether its time is not over; if it has been over for long enough, adds
/// it to `over`. That somebody revives it meanwhile is for the one who reclaims it to see.
fn is_counted(
    key: &FlowKey,
    entry: &FlowEntry,
    at: Ticks,
    config: &Config,
    count: &mut TableCount,
    over: &mut Vec<FlowKey>,
) -> bool {
    let deadline = entry.deadline(key, config);
    let is_live = at < deadline;
    if is_live {
        count.live += 1;
    } else {
        count.expired += 1;
        if at >= deadline + config.ticks(GRACE_SECS) {
            over.push(*key);
        }
    }
    is_live
}

/// Knows flows that moved to the established ones after they were seen among the new ones.
struct Moving {
    begun: Ticks,
    hasher: RandomState,
    /// What stands for the flows that were seen among the new ones. That two have the same is as good
    /// as impossible, and would hide one of them for a pass.
    seen: Vec<u64>,
    is_sorted: bool,
}

impl Moving {
    fn new(begun: Ticks) -> Self {
        Self { begun, hasher: RandomState::new(), seen: Vec::new(), is_sorted: false }
    }

    /// Whether this flow was seen before in this pass. Those of `half_open` come first.
    fn was_seen(&mut self, table: Table, key: &FlowKey, entry: &FlowEntry) -> bool {
        match table {
            Table::HalfOpen => {
                self.seen.push(self.hasher.hash_one((key, entry.created)));
                false
            }
            // It is a packet from inside that moves a flow.
            Table::Established if entry.outbound.seen < self.begun => false,
            Table::Established => {
                if !self.is_sorted {
                    self.seen.sort_unstable();
                    self.is_sorted = true;
                }
                self.seen.binary_search(&self.hasher.hash_one((key, entry.created))).is_ok()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use gateway_common::tuple::{Address, FlowKey};

    use super::*;

    #[test]
    fn a_flow_that_moves_is_seen_once() {
        let mut moving = Moving::new(Ticks(100));
        let entry = |created, seen| {
            let mut entry = FlowEntry { created: Ticks(created), ..FlowEntry::default() };
            entry.outbound.seen = Ticks(seen);
            entry
        };
        for number in 0..100 {
            assert!(!moving.was_seen(Table::HalfOpen, &key(number), &entry(90, 90)));
        }
        assert!(moving.was_seen(Table::Established, &key(7), &entry(90, 100)));
        assert!(moving.was_seen(Table::Established, &key(99), &entry(90, 130)));
        assert!(!moving.was_seen(Table::Established, &key(100), &entry(90, 130)), "another one");
        let reopened = entry(110, 130);
        assert!(!moving.was_seen(Table::Established, &key(7), &reopened), "a later one of its key");
    }

    #[test]
    fn what_is_over_waits_for_the_grace() {
        let config = Config::new(250);
        let mut entry = FlowEntry::default();
        entry.outbound.seen = Ticks(1_000);
        let deadline = entry.deadline(&key(0), &config);
        let mut count = TableCount::default();
        let mut look = |at| {
            let mut over = Vec::new();
            let is_live = is_counted(&key(0), &entry, at, &config, &mut count, &mut over);
            (is_live, over.len())
        };
        assert_eq!(look(deadline - Ticks(1)), (true, 0));
        assert_eq!(look(deadline), (false, 0));
        assert_eq!(look(deadline + config.ticks(GRACE_SECS)), (false, 1));
        assert_eq!(count, TableCount { live: 1, expired: 2 });
    }

    fn key(number: u8) -> FlowKey {
        FlowKey { inside: Address::from_octets([number; 16]), protocol: 17, ..FlowKey::default() }
    }
}
