//! How many flows the kernel recycled, which nobody sees: what is missing when all others are
//! counted.

use gateway_common::{counter::FlowEvent, flow::FlowEntry, record::FlowRecord, timeouts::Ticks};

/// Counts flows that left `half_open` without a record: created, minus ended, minus those that are
/// still in a table.
///
/// These cannot be read at the same moment, so they are read in an order in which nothing is counted
/// that was not recycled: first how many were created (and the clock, to tell later ones), then the
/// tables, those of `half_open` first, then how many ended. A flow that was created by then is in a
/// table when that is read, or has ended by the end, or was recycled.
///
/// What is counted is therefore never too much, and while flows end too little: by those that ended
/// in the pass after it had seen them, or whose records were lost, or which moved and were seen
/// twice. The next quiet pass makes up for it. Flows that were put into the tables by other means
/// than a packet are not among those created, and make it too little for good.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    created: u64,
    begun: Ticks,
    in_tables: u64,
    /// Of the ends, those of flows that are not among `created`.
    later_ended: u64,
    recycled: u64,
}

impl Tally {
    /// Goes on where so many were known to be recycled.
    #[must_use]
    pub fn after(recycled: u64) -> Self {
        Self { recycled, ..Self::default() }
    }

    /// Begins a pass; `at` was read after `events`.
    pub fn begin(&mut self, events: &[(FlowEvent, u64)], at: Ticks) {
        self.created = count_of(events, |event| event == FlowEvent::Created);
        self.begun = at;
        (self.in_tables, self.later_ended) = (0, 0);
    }

    /// Notes an entry of a table.
    pub fn note_entry(&mut self, entry: &FlowEntry) {
        self.in_tables += u64::from(!self.is_later(entry));
    }

    /// Notes a record that was taken since the pass began.
    pub fn note_end(&mut self, record: &FlowRecord) {
        self.later_ended += u64::from(self.is_later(&record.entry));
    }

    /// Ends the pass and tells how many flows were recycled so far. `events` were read after the
    /// tables.
    pub fn finish(&mut self, events: &[(FlowEvent, u64)]) -> u64 {
        let ended = count_of(events, FlowEvent::is_end).saturating_sub(self.later_ended);
        let accounted = ended.saturating_add(self.in_tables);
        self.recycled = self.recycled.max(self.created.saturating_sub(accounted));
        self.recycled
    }

    /// Whether a flow was certainly created after those that are counted.
    fn is_later(&self, entry: &FlowEntry) -> bool {
        entry.created > self.begun
    }
}

fn count_of(events: &[(FlowEvent, u64)], is_meant: impl Fn(FlowEvent) -> bool) -> u64 {
    events.iter().filter(|&&(event, _)| is_meant(event)).map(|&(_, count)| count).sum()
}

#[cfg(test)]
mod tests {
    use gateway_common::tuple::FlowKey;

    use super::*;

    #[test]
    fn what_is_missing_was_recycled() {
        let mut tally = Tally::default();
        tally.begin(&events(10, 3), Ticks(100));
        (0..5).for_each(|_| tally.note_entry(&created_at(100)));
        assert_eq!(tally.finish(&events(10, 3)), 2);
        // It stays when the next pass sees less for certain.
        tally.begin(&events(10, 3), Ticks(200));
        (0..7).for_each(|_| tally.note_entry(&created_at(100)));
        assert_eq!(tally.finish(&events(10, 3)), 2);
    }

    #[test]
    fn what_comes_and_goes_during_a_pass_is_not_taken_for_recycled() {
        let mut tally = Tally::default();
        tally.begin(&events(10, 4), Ticks(100));
        // One of six ended before it was seen.
        (0..5).for_each(|_| tally.note_entry(&created_at(90)));
        tally.note_end(&record_of(90));
        // Three more came; one ended, one is seen, one is recycled.
        tally.note_entry(&created_at(101));
        tally.note_end(&record_of(101));
        assert_eq!(tally.finish(&events(13, 6)), 0, "the recycled one is the next pass's");
        tally.begin(&events(13, 6), Ticks(200));
        (0..6).for_each(|_| tally.note_entry(&created_at(101)));
        assert_eq!(tally.finish(&events(13, 6)), 1);
    }

    #[test]
    fn a_flow_that_ended_after_it_was_seen_hides_a_recycled_one_only_for_a_pass() {
        let mut tally = Tally::default();
        tally.begin(&events(3, 0), Ticks(100));
        (0..2).for_each(|_| tally.note_entry(&created_at(90)));
        assert_eq!(tally.finish(&events(3, 1)), 0);
        tally.begin(&events(3, 1), Ticks(200));
        tally.note_entry(&created_at(90));
        assert_eq!(tally.finish(&events(3, 1)), 1);
    }

    #[test]
    fn flows_of_unknown_origin_are_no_negative_number() {
        let mut tally = Tally::default();
        tally.begin(&events(0, 0), Ticks(100));
        tally.note_entry(&created_at(90));
        assert_eq!(tally.finish(&events(0, 5)), 0);
    }

    fn events(created: u64, ended: u64) -> Vec<(FlowEvent, u64)> {
        vec![
            (FlowEvent::Created, created),
            (FlowEvent::Promoted, 1_000),
            (FlowEvent::Expired, ended / 2),
            (FlowEvent::Replaced, ended - ended / 2),
            (FlowEvent::RecordLost, 1_000),
        ]
    }

    fn created_at(ticks: u64) -> FlowEntry {
        FlowEntry { created: Ticks(ticks), ..FlowEntry::default() }
    }

    fn record_of(ticks: u64) -> FlowRecord {
        let event = FlowEvent::Replaced as u32;
        FlowRecord {
            serial: 0,
            at: Ticks(0),
            entry: created_at(ticks),
            key: FlowKey::default(),
            event,
        }
    }
}
