//! How many flows the tables hold.

use gateway_common::limits::{ESTABLISHED_AUTO_ENTRIES, FLOW_MEMORY_BYTES, HALF_OPEN_AUTO_DIVISOR};

use crate::datapath::TableSizes;

/// The least entries of a flow table. Below, the kernel's LRU list, which works in batches for
/// each CPU, has nothing left to choose from.
pub const TABLE_ENTRIES_MIN: u32 = 1_024;

/// The most entries of a flow table: close to 4 GB of kernel memory.
pub const TABLE_ENTRIES_MAX: u32 = 16_777_216;

/// Both flow tables together take at most one part in this many of the machine's memory.
const MEMORY_DIVISOR: u64 = 50;

/// A configured number of flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TableSize {
    /// Chosen by the machine's memory; of a limit, by the size of its table.
    #[default]
    Auto,
    /// This many.
    Entries(u32),
}

impl TableSizes {
    /// Decides what "auto" means on a machine with `memory_bytes` of memory.
    #[must_use]
    pub fn resolve(half_open: TableSize, established: TableSize, memory_bytes: u64) -> Self {
        let budget_entries = memory_bytes / MEMORY_DIVISOR / FLOW_MEMORY_BYTES;
        let established_max = match (established, half_open) {
            (TableSize::Entries(entries), _) => entries,
            (TableSize::Auto, TableSize::Entries(half_open_entries)) => {
                auto_established(budget_entries.saturating_sub(u64::from(half_open_entries)))
            }
            (TableSize::Auto, TableSize::Auto) => {
                let divisor = u64::from(HALF_OPEN_AUTO_DIVISOR);
                auto_established(budget_entries * divisor / (divisor + 1))
            }
        };
        let half_open_max = match half_open {
            TableSize::Entries(entries) => entries,
            TableSize::Auto => (established_max / HALF_OPEN_AUTO_DIVISOR).max(TABLE_ENTRIES_MIN),
        };
        Self { half_open_max, established_max }
    }

    /// The kernel memory that both tables take, in bytes.
    #[must_use]
    pub fn memory_bytes(self) -> u64 {
        (u64::from(self.half_open_max) + u64::from(self.established_max)) * FLOW_MEMORY_BYTES
    }
}

/// The greatest power of two within `entries` and the bounds of "auto".
fn auto_established(entries: u64) -> u32 {
    let (least, most) = ESTABLISHED_AUTO_ENTRIES;
    let power = entries.checked_ilog2().map_or(0, |exponent| 1_u64 << exponent);
    u32::try_from(power).unwrap_or(most).clamp(least, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUTO: TableSize = TableSize::Auto;
    const GIB: u64 = 1 << 30;

    #[test]
    fn auto_follows_memory_between_its_bounds() {
        let rows = [
            (0, 16_384, 4_096),
            (GIB / 2, 32_768, 8_192),
            (GIB, 65_536, 16_384),
            (8 * GIB, 524_288, 131_072),
            (1024 * GIB, 1_048_576, 262_144),
        ];
        for (memory_bytes, established_max, half_open_max) in rows {
            let sizes = TableSizes::resolve(AUTO, AUTO, memory_bytes);
            assert_eq!(sizes, TableSizes { half_open_max, established_max }, "{memory_bytes}");
        }
    }

    #[test]
    fn auto_takes_at_most_two_percent_of_memory_above_the_least_size() {
        for megabytes in (400..100_000).step_by(333) {
            let memory_bytes = megabytes << 20;
            let taken = TableSizes::resolve(AUTO, AUTO, memory_bytes).memory_bytes();
            assert!(taken * 50 <= memory_bytes, "{taken} bytes of {memory_bytes}");
        }
    }

    #[test]
    fn explicit_sizes_stand_and_auto_follows_them() {
        let resolve = |half_open, established| {
            let sizes = TableSizes::resolve(half_open, established, GIB);
            (sizes.half_open_max, sizes.established_max)
        };
        let entries = TableSize::Entries;
        assert_eq!(resolve(entries(5_000), entries(7_000)), (5_000, 7_000));
        assert_eq!(resolve(AUTO, entries(100_000)), (25_000, 100_000));
        assert_eq!(resolve(AUTO, entries(1_024)), (1_024, 1_024));
        assert_eq!(resolve(entries(1_024), AUTO), (1_024, 65_536));
        assert_eq!(resolve(entries(TABLE_ENTRIES_MAX), AUTO), (TABLE_ENTRIES_MAX, 16_384));
    }
}
