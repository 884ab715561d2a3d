//! Which flows a command is about.

use clap::{Args, builder::PossibleValuesParser};
use gateway_common::{
    flow::{FlowEntry, FlowState},
    tuple::FlowKey,
};
use ipnet::IpNet;

use crate::{
    cli::values::{address_prefix, protocol_number},
    settings::prefix,
};

/// Conditions that a flow must all meet.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
#[command(next_help_heading = "Filters")]
pub(super) struct Filter {
    /// Only flows of this protocol, by name or number
    #[arg(long, global = true, value_name = "PROTO", value_parser = protocol_number)]
    proto: Option<u8>,
    /// Only flows of these inside addresses
    #[arg(long, global = true, value_name = "ADDR[/LEN]", value_parser = address_prefix)]
    local: Option<IpNet>,
    /// Only flows to these outside addresses
    #[arg(long, global = true, value_name = "ADDR[/LEN]", value_parser = address_prefix)]
    remote: Option<IpNet>,
    /// Only flows from this inside port
    #[arg(long, global = true, value_name = "PORT")]
    local_port: Option<u16>,
    /// Only flows to this outside port
    #[arg(long, global = true, value_name = "PORT")]
    remote_port: Option<u16>,
    /// Only flows in this state
    #[arg(long, global = true, value_name = "STATE", value_parser = states())]
    state: Option<String>,
}

impl Filter {
    /// Whether there are no conditions.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the flow meets every condition.
    pub(super) fn matches(&self, key: &FlowKey, entry: &FlowEntry) -> bool {
        self.proto.is_none_or(|proto| proto == key.protocol)
            && self.local.is_none_or(|local| prefix::contains(&local, key.inside))
            && self.remote.is_none_or(|remote| prefix::contains(&remote, key.outside))
            && self.local_port.is_none_or(|port| port == key.inside_port)
            && self.remote_port.is_none_or(|port| port == key.outside_port)
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
    fn each_condition_matches_its_own_field() {
        let prefix = |text: &str| prefix::parse(text).expect("valid prefix");
        let rows: [(&str, Filter, Filter); 7] = [
            (
                "proto",
                Filter { proto: Some(17), ..Filter::default() },
                Filter { proto: Some(6), ..Filter::default() },
            ),
            (
                "local",
                Filter { local: Some(prefix("192.0.2.0/24")), ..Filter::default() },
                Filter { local: Some(prefix("198.51.100.53")), ..Filter::default() },
            ),
            (
                "local of the other family",
                Filter { local: Some(prefix("0.0.0.0/0")), ..Filter::default() },
                Filter { local: Some(prefix("::/0")), ..Filter::default() },
            ),
            (
                "remote",
                Filter { remote: Some(prefix("198.51.100.53")), ..Filter::default() },
                Filter { remote: Some(prefix("192.0.2.0/24")), ..Filter::default() },
            ),
            (
                "local-port",
                Filter { local_port: Some(40_000), ..Filter::default() },
                Filter { local_port: Some(53), ..Filter::default() },
            ),
            (
                "remote-port",
                Filter { remote_port: Some(53), ..Filter::default() },
                Filter { remote_port: Some(40_000), ..Filter::default() },
            ),
            (
                "state",
                Filter { state: Some("replied".to_owned()), ..Filter::default() },
                Filter { state: Some("unreplied".to_owned()), ..Filter::default() },
            ),
        ];
        let (key, entry) = dns();
        for (name, matching, failing) in rows {
            assert!(matching.matches(&key, &entry), "{name}");
            assert!(!failing.matches(&key, &entry), "{name}");
            assert!(!matching.is_empty(), "{name}");
        }
    }

    #[test]
    fn all_conditions_must_hold() {
        let (key, entry) = dns();
        let both = Filter { proto: Some(17), remote_port: Some(53), ..Filter::default() };
        assert!(both.matches(&key, &entry));
        assert!(!Filter { proto: Some(6), ..both }.matches(&key, &entry));
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
