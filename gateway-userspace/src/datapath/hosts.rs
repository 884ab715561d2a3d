//! How much of the flow tables one inside host may take.

use gateway_common::{config::Config, limits::HALF_OPEN_PER_HOST_AUTO_DIVISOR};

use super::{GatewayName, TableSizes};

/// Of so many parts of the table of established flows, all but one are one host's usual limit.
const ESTABLISHED_AUTO_PARTS: u32 = 4;

/// How many flows one inside host may hold, as the operator asks for it; `None` for the usual part
/// of the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostLimits {
    /// Flows that are not confirmed yet.
    pub half_open: Option<u32>,
    /// Entries of the table of established flows.
    pub established: Option<u32>,
}

/// How many flows one inside host may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostShares {
    /// Flows that are not confirmed yet; all hosts beyond theirs have as many places together.
    pub half_open: u32,
    /// Entries of the table of established flows.
    pub established: u32,
}

impl HostLimits {
    /// What this comes to in tables of these sizes: at least one flow and at most the whole table.
    #[must_use]
    pub fn within(self, tables: TableSizes) -> HostShares {
        let TableSizes { half_open_max, established_max } = tables;
        let half_open = half_open_max / HALF_OPEN_PER_HOST_AUTO_DIVISOR;
        let established = established_max - established_max / ESTABLISHED_AUTO_PARTS;
        HostShares {
            half_open: self.half_open.unwrap_or(half_open).min(half_open_max).max(1),
            established: self.established.unwrap_or(established).min(established_max).max(1),
        }
    }

    /// What of these limits, and of tables of the sizes `asked`, is not to be had in a gateway that
    /// keeps its tables.
    pub(super) fn kept(
        self,
        name: &GatewayName,
        asked: TableSizes,
        tables: TableSizes,
        overflow_slots: u32,
    ) -> Vec<String> {
        let shares = self.within(tables);
        let mut notes = Vec::new();
        if tables != asked {
            notes.push(format!(
                "gateway {name} keeps its flow tables of {} half-open and {} established \
                 entries; detach it first to change that",
                tables.half_open_max, tables.established_max
            ));
        }
        for (key, asked, flows) in [
            ("half_open_per_host", self.half_open, shares.half_open),
            ("established_per_host", self.established, shares.established),
        ] {
            if asked.is_some_and(|asked| asked > flows) {
                notes.push(format!(
                    "'{key}' counts as {flows}, which is the whole of the table that gateway \
                     {name} keeps"
                ));
            }
        }
        if shares.half_open > overflow_slots {
            notes.push(format!(
                "gateway {name} keeps its {overflow_slots} places for flows of hosts beyond their \
                 allowance, where 'half_open_per_host' comes to {}; detach it first to change that",
                shares.half_open
            ));
        }
        notes
    }
}

impl HostShares {
    /// `config`, whose timeouts are final, with these limits. There are `overflow_slots` places
    /// for flows beyond them.
    #[must_use]
    pub fn apply(self, config: &Config, overflow_slots: u32) -> Config {
        let config = config.with_host_limits(self.half_open, self.established);
        Config { overflow_slots: config.overflow_slots.min(overflow_slots), ..config }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLES: TableSizes = TableSizes { half_open_max: 4_096, established_max: 16_384 };

    #[test]
    fn the_usual_limits_are_parts_of_the_tables() {
        let shares = HostLimits::default().within(TABLES);
        assert_eq!(shares, HostShares { half_open: 512, established: 12_288 });
        let tiny = TableSizes { half_open_max: 7, established_max: 1 };
        let shares = HostLimits::default().within(tiny);
        assert_eq!(shares, HostShares { half_open: 1, established: 1 });
        let huge = TableSizes { half_open_max: u32::MAX, established_max: u32::MAX };
        assert!(HostLimits::default().within(huge).established > u32::MAX / 4 * 3);
    }

    #[test]
    fn no_limit_is_greater_than_its_table() {
        let limits = |flows| HostLimits { half_open: Some(flows), established: Some(flows) };
        let shares = |flows| {
            let HostShares { half_open, established } = limits(flows).within(TABLES);
            (half_open, established)
        };
        assert_eq!(shares(5), (5, 5));
        assert_eq!(shares(100_000), (4_096, 16_384));
    }

    #[test]
    fn what_a_gateway_keeps_is_noted() {
        let wan = GatewayName::of_uplink("wan");
        let notes = |limits: HostLimits, asked, places| limits.kept(&wan, asked, TABLES, places);
        assert_eq!(notes(HostLimits::default(), TABLES, 512), [""; 0]);
        let asked = TableSizes { established_max: 1, ..TABLES };
        let limits = HostLimits { half_open: Some(5_000), established: Some(7) };
        let found = notes(limits, asked, 512);
        for (note, part) in found.iter().zip([
            "keeps its flow tables of 4096 half-open and 16384 established",
            "'half_open_per_host' counts as 4096",
            "keeps its 512 places for flows of hosts beyond",
        ]) {
            assert!(note.contains(part), "{part} is missing in: {note}");
        }
        assert_eq!(found.len(), 3, "{found:#?}");
    }

    #[test]
    fn the_configuration_has_no_more_places_than_there_are() {
        let shares = HostShares { half_open: 100, established: 7 };
        let config = shares.apply(&Config::new(250), 40);
        assert_eq!((config.overflow_slots, config.established_per_host), (40, 7));
        let whole = shares.apply(&Config::new(250), 1_000);
        assert_eq!(whole.overflow_slots, 100);
        assert_eq!(whole.opening_cost, config.opening_cost, "the allowance stays as asked for");
    }
}
