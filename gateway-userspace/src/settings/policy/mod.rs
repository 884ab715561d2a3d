//! The operator's policy: subnets with their routes, rules, and lists of prefixes.

mod lists;
mod raw;
mod rfc6092;
mod rules;
pub(crate) mod stored;
mod subnets;

use std::{ops::RangeInclusive, path::PathBuf};

use gateway_common::{
    policy::{Action, Route, Summary},
    tuple::Direction,
};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

pub(crate) use lists::check_name;
pub(super) use lists::lists;
pub(super) use raw::{PolicyTables, RawPolicy, routes};
pub use rfc6092::Rfc6092;
pub(super) use rfc6092::{apply as apply_rfc6092, validate as validate_rfc6092};
pub use rules::RULES_OF_FILE_MAX;
pub(super) use rules::rules;
pub(super) use subnets::subnets;

/// The policy in force, whole and valid.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// The route of inside addresses that no subnet covers.
    pub default_route: Route,
    /// Subnets, in the order of the file; no two have the same prefix or the same name.
    pub subnets: Vec<Subnet>,
    /// Rules, in the order in which they are asked.
    pub rules: Vec<Rule>,
    /// The lists that rules name, in the order of the file.
    pub lists: Vec<PrefixList>,
}

impl Policy {
    /// The policy as a whole, as the packet path has it.
    #[must_use]
    pub fn summary(&self) -> Summary {
        // Settings allow far less than would not fit.
        let count = |of: usize| u32::try_from(of).unwrap_or(u32::MAX);
        Summary {
            rules: count(self.rules.len()),
            subnets: count(self.subnets.len()),
            default_route: self.default_route as u8,
            zero: [0; 3],
        }
    }

    /// Addresses of one of the rules as people write them: a list with an `@` before its name.
    #[must_use]
    pub fn describe(&self, addresses: &Addresses) -> String {
        match addresses {
            Addresses::Prefix(prefix) => prefix.to_string(),
            Addresses::List(list) => format!("@{}", self.lists[*list].name),
        }
    }
}

/// A prefix of inside addresses and its route.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Subnet {
    /// Line of the file, counted from one.
    pub line: usize,
    /// The name.
    pub name: String,
    /// The addresses. Where prefixes of several subnets hold an address, the longest one counts.
    pub prefix: IpNet,
    /// Which ways are open to them.
    #[serde(with = "stored::RouteName")]
    pub route: Route,
}

/// A list of prefixes that has a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrefixList {
    /// Line of the file, counted from one.
    pub line: usize,
    /// The name, by which rules write it behind an `@`.
    pub name: String,
    /// The prefixes; they may overlap.
    pub prefixes: Vec<IpNet>,
    /// The file they come from, if they are not part of the configuration.
    pub file: Option<PathBuf>,
}

/// A rule. It matches a packet that opens a flow if every field does.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Rule {
    /// Line of the file, counted from one; 0 for a rule that a switch of `[rfc6092]` adds.
    pub line: usize,
    /// The name, if it has one.
    pub name: Option<String>,
    /// Which way the flows are opened.
    #[serde(with = "stored::DirectionName")]
    pub direction: Direction,
    /// What becomes of them.
    #[serde(with = "stored::ActionName")]
    pub action: Action,
    /// IP protocol numbers, sorted; none means every protocol.
    pub protocols: Vec<u8>,
    /// Destination ports or, with an ICMP protocol, types of the packet that opens, sorted and
    /// without overlaps; none means all.
    pub selectors: Vec<RangeInclusive<u16>>,
    /// Where the packets come from; nothing means anywhere.
    pub from: Vec<Addresses>,
    /// Where they go to; nothing means anywhere.
    pub to: Vec<Addresses>,
    /// Whether what the rule decides is logged.
    pub log: bool,
    /// Whether the rule is only counted as if it decided.
    pub shadow: bool,
}

impl Rule {
    /// The addresses that the rule means on this side of the uplink.
    #[must_use]
    pub fn inside(&self) -> &[Addresses] {
        match self.direction {
            Direction::Inbound => &self.to,
            Direction::Outbound => &self.from,
        }
    }

    /// The addresses that the rule means on the other side.
    #[must_use]
    pub fn outside(&self) -> &[Addresses] {
        match self.direction {
            Direction::Inbound => &self.from,
            Direction::Outbound => &self.to,
        }
    }
}

/// Addresses as a rule names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
pub enum Addresses {
    /// A prefix.
    Prefix(IpNet),
    /// The prefixes of [`Policy::lists`] at this index.
    List(usize),
}
