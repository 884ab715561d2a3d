//! Taking the records of flows that ended.

use gateway_common::limits::RECORDS_BYTES;

use super::{ledger::Ledgers, stats::SweeperStats, tally::Tally};
use crate::datapath::Records;

/// Records that are taken in one go.
pub(super) const TAKEN_MAX: u64 = 8_192;
/// Records that are many: a good part of what the ring has room for.
const MANY: u64 = (RECORDS_BYTES / 2_048) as u64;

/// How many records were waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    /// Few or none; none are left.
    Few,
    /// So many that the ring should be looked at again soon; none are left.
    Many,
    /// More than are taken in one go.
    TooMany,
}

impl Waiting {
    /// What it means that so many were taken.
    pub(super) const fn of(taken: u64) -> Self {
        match taken {
            TAKEN_MAX.. => Self::TooMany,
            MANY.. => Self::Many,
            _ => Self::Few,
        }
    }
}

/// Gives records to the ledgers as long as there are any, and tells how many that were.
pub(super) fn drain(
    records: &mut Records,
    ledgers: &Ledgers,
    tally: &mut Tally,
    serials: &mut Serials,
    stats: &mut SweeperStats,
) -> u64 {
    let mut taken = 0;
    while taken < TAKEN_MAX {
        // Whoever is killed in here leaves the record in the ring.
        let serial = records.take(|record| {
            ledgers.ended(record);
            tally.note_end(record);
            record.serial
        });
        let Some(serial) = serial else { break };
        serials.note(serial);
        taken += 1;
    }
    stats.records += taken;
    stats.records_missing = serials.missing();
    taken
}

/// Tells how many serial numbers are missing, from the first that came to the highest.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Serials {
    first: u64,
    highest: u64,
    count: u64,
    missing_before: u64,
}

impl Serials {
    /// Goes on where so many were known to be missing.
    pub(super) fn after(missing: u64) -> Self {
        Self { missing_before: missing, ..Self::default() }
    }

    fn note(&mut self, serial: u64) {
        if self.count == 0 {
            (self.first, self.highest) = (serial, serial);
        }
        // Of two records that are written at the same moment either may be first.
        self.first = self.first.min(serial);
        self.highest = self.highest.max(serial);
        self.count += 1;
    }

    fn missing(&self) -> u64 {
        let span = if self.count == 0 { 0 } else { self.highest - self.first + 1 };
        self.missing_before + span.saturating_sub(self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_serials_are_counted_in_any_order() {
        let mut serials = Serials::default();
        assert_eq!(serials.missing(), 0);
        let mut after = |serial| {
            serials.note(serial);
            serials.missing()
        };
        assert_eq!([7, 8, 10, 9].map(&mut after), [0, 0, 1, 0]);
        assert_eq!([14, 15, 6].map(&mut after), [3, 3, 3]);
        assert_eq!(Serials::after(7).missing(), 7);
    }
}
