//! The operator's policy: subnets with their routes, rules, and lists of prefixes.

mod lists;
mod raw;
mod rfc6092;
mod rules;
mod subnets;
mod unenforced;

use std::{ops::RangeInclusive, path::PathBuf};

use gateway_common::{
    policy::{Action, Route},
    tuple::Direction,
};
use ipnet::IpNet;

pub(super) use lists::lists;
pub(super) use raw::{PolicyTables, RawPolicy, routes};
pub use rfc6092::Rfc6092;
pub(super) use rfc6092::{apply as apply_rfc6092, validate as validate_rfc6092};
pub use rules::RULES_OF_FILE_MAX;
pub(super) use rules::rules;
pub(super) use subnets::subnets;
pub(super) use unenforced::unenforced;

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

/// A prefix of inside addresses and its route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// Line of the file, counted from one.
    pub line: usize,
    /// The name.
    pub name: String,
    /// The addresses. Where prefixes of several subnets hold an address, the longest one counts.
    pub prefix: IpNet,
    /// Which ways are open to them.
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Line of the file, counted from one; 0 for a rule that a switch of `[rfc6092]` adds.
    pub line: usize,
    /// The name, if it has one.
    pub name: Option<String>,
    /// Which way the flows are opened.
    pub direction: Direction,
    /// What becomes of them.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Addresses {
    /// A prefix.
    Prefix(IpNet),
    /// The prefixes of [`Policy::lists`] at this index.
    List(usize),
}
