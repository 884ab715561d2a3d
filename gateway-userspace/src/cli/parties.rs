//! Who talks to whom: the filters that flows and packets have in common.

use clap::Args;
use gateway_common::{observe::Watch, tuple::FlowKey};
use ipnet::IpNet;

use super::values::{address_prefix, protocol_number};
use crate::settings::prefix;

/// Conditions on the two sides, which must all be met.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
#[command(next_help_heading = "Filters")]
pub(super) struct Parties {
    /// Only this protocol, by name or number
    #[arg(long, global = true, value_name = "PROTO", value_parser = protocol_number)]
    pub(super) proto: Option<u8>,
    /// Only these inside addresses
    #[arg(long, global = true, value_name = "ADDR[/LEN]", value_parser = address_prefix)]
    pub(super) local: Option<IpNet>,
    /// Only these outside addresses
    #[arg(long, global = true, value_name = "ADDR[/LEN]", value_parser = address_prefix)]
    pub(super) remote: Option<IpNet>,
    /// Only this inside port
    #[arg(long, global = true, value_name = "PORT")]
    pub(super) local_port: Option<u16>,
    /// Only this outside port
    #[arg(long, global = true, value_name = "PORT")]
    pub(super) remote_port: Option<u16>,
}

impl Parties {
    /// Whether the two sides meet every condition.
    pub(super) fn match_key(&self, key: &FlowKey) -> bool {
        self.proto.is_none_or(|proto| proto == key.protocol)
            && self.local.is_none_or(|local| prefix::contains(&local, key.inside))
            && self.remote.is_none_or(|remote| prefix::contains(&remote, key.outside))
            && self.local_port.is_none_or(|port| port == key.inside_port)
            && self.remote_port.is_none_or(|port| port == key.outside_port)
    }

    /// A watch for what meets every condition.
    pub(super) fn narrow(&self, watch: Watch) -> Watch {
        let prefix = |asked: &Option<IpNet>, otherwise| {
            asked.as_ref().map_or(otherwise, prefix::to_packet_path)
        };
        let number = |asked: Option<u16>, otherwise| asked.map_or(otherwise, u32::from);
        Watch {
            protocol: self.proto.map_or(watch.protocol, u32::from),
            inside: prefix(&self.local, watch.inside),
            outside: prefix(&self.remote, watch.outside),
            inside_port: number(self.local_port, watch.inside_port),
            outside_port: number(self.remote_port, watch.outside_port),
            ..watch
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use gateway_common::{
        observe::want,
        tuple::{Address, VlanPath},
    };

    use super::*;

    /// What `flow show` does in user space, the packet path does by the same conditions.
    #[test]
    fn each_condition_matches_its_own_field_here_and_in_the_kernel() {
        let key = dns();
        let rows = [
            ("nothing", Parties::default(), true),
            ("proto", Parties { proto: Some(17), ..Parties::default() }, true),
            ("proto", Parties { proto: Some(6), ..Parties::default() }, false),
            ("local", Parties { local: Some(prefix("192.0.2.0/24")), ..Parties::default() }, true),
            (
                "local",
                Parties { local: Some(prefix("198.51.100.53")), ..Parties::default() },
                false,
            ),
            ("family", Parties { local: Some(prefix("0.0.0.0/0")), ..Parties::default() }, true),
            (
                "remote",
                Parties { remote: Some(prefix("198.51.100.53")), ..Parties::default() },
                true,
            ),
            (
                "remote",
                Parties { remote: Some(prefix("192.0.2.0/24")), ..Parties::default() },
                false,
            ),
            ("local port", Parties { local_port: Some(40_000), ..Parties::default() }, true),
            ("local port", Parties { local_port: Some(53), ..Parties::default() }, false),
            ("remote port", Parties { remote_port: Some(53), ..Parties::default() }, true),
            ("remote port", Parties { remote_port: Some(40_000), ..Parties::default() }, false),
        ];
        for (name, parties, expected) in rows {
            let watch = parties.narrow(Watch::everything(want::FLOWS));
            assert_eq!(parties.match_key(&key), expected, "{name}");
            assert_eq!(watch.wants_flow(&key), expected, "{name}");
        }
        let both = Parties { proto: Some(17), remote_port: Some(53), ..Parties::default() };
        assert!(both.match_key(&key));
        assert!(!Parties { proto: Some(6), ..both }.match_key(&key), "all conditions must hold");
    }

    fn prefix(text: &str) -> IpNet {
        prefix::parse(text).expect("valid prefix")
    }

    /// A query from 192.0.2.1 to 198.51.100.53.
    fn dns() -> FlowKey {
        let address = |text: &str| Address::from(text.parse::<IpAddr>().expect("valid address"));
        FlowKey {
            inside: address("192.0.2.1"),
            outside: address("198.51.100.53"),
            inside_port: 40_000,
            outside_port: 53,
            vlan: VlanPath::default(),
            protocol: 17,
            family: 4,
            zero: 0,
        }
    }
}
