//! Which flows a command is about.

use clap::{Args, builder::PossibleValuesParser};
use gateway_common::{
    flow::{FlowEntry, FlowState},
    tuple::FlowKey,
};

use crate::cli::parties::Parties;

/// Conditions that a flow must all meet.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
#[command(next_help_heading = "Filters")]
pub(in crate::cli) struct Filter {
    #[command(flatten)]
    pub(super) parties: Parties,
    /// Only flows in this state
    #[arg(long, global = true, value_name = "STATE", value_parser = states())]
    state: Option<String>,
}

impl Filter {
    /// Whether there are no conditions.
    pub(in crate::cli) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the flow meets every condition.
    pub(in crate::cli) fn matches(&self, key: &FlowKey, entry: &FlowEntry) -> bool {
        self.parties.match_key(key)
            && self.state.as_deref().is_none_or(|state| state == entry.state(key).name())
    }
}

fn states() -> PossibleValuesParser {
    PossibleValuesParser::new(FlowState::ALL.map(FlowState::name))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use gateway_common::{
        flow::{FlowHalf, mark},
        tuple::{Address, VlanPath},
    };

    use super::*;

    #[test]
    fn no_condition_matches_everything() {
        let (key, entry) = dns();
        assert!(Filter::default().is_empty() && Filter::default().matches(&key, &entry));
    }

    #[test]
    fn the_state_and_the_parties_must_match() {
        let (key, entry) = dns();
        let in_state = |state: &str| Filter { state: Some(state.to_owned()), ..Filter::default() };
        assert!(in_state("replied").matches(&key, &entry));
        assert!(!in_state("unreplied").matches(&key, &entry));
        let of_proto = |proto| Parties { proto: Some(proto), ..Parties::default() };
        for (proto, matches) in [(17, true), (6, false)] {
            let filter = Filter { parties: of_proto(proto), ..in_state("replied") };
            assert_eq!(filter.matches(&key, &entry), matches);
            assert!(!filter.is_empty());
        }
    }

    /// A query from 192.0.2.1 to 198.51.100.53 that was answered.
    fn dns() -> (FlowKey, FlowEntry) {
        let address = |text: &str| Address::from(text.parse::<IpAddr>().expect("valid address"));
        let key = FlowKey {
            inside: address("192.0.2.1"),
            outside: address("198.51.100.53"),
            inside_port: 40_000,
            outside_port: 53,
            vlan: VlanPath::default(),
            protocol: 17,
            family: 4,
            zero: 0,
        };
        let inbound = FlowHalf { marks: mark::OPENED, ..FlowHalf::default() };
        (key, FlowEntry { inbound, ..FlowEntry::default() })
    }
}
