//! Subnets, rules and lists as the configuration means them.

use std::{ops::RangeInclusive, path::PathBuf};

use ipnet::IpNet;
use network_types::ip::IpProto;
use serde::Serialize;

use crate::{
    policy::PolicySizes,
    protocol,
    settings::{
        Policy, Rfc6092,
        policy::{Addresses, Rule},
    },
};

/// Who may open flows to whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RulesetView {
    /// The route of addresses that no subnet covers.
    pub default_route: &'static str,
    /// The switches of `[rfc6092]` that are on.
    pub rfc6092: Vec<&'static str>,
    /// Subnets, in the order of the file.
    pub subnets: Vec<SubnetView>,
    /// Rules, in the order in which they are asked.
    pub rules: Vec<RuleView>,
    /// Lists of prefixes, in the order of the file.
    pub prefix_lists: Vec<PrefixListView>,
    /// What the packet path looks them up in.
    pub tables: RulesetTablesView,
}

/// A subnet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SubnetView {
    /// Its name.
    pub name: String,
    /// Its addresses.
    pub prefix: IpNet,
    /// Its route, with what a switch of `[rfc6092]` made of it.
    pub route: &'static str,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleView {
    /// Its place among the rules, counted from one.
    pub number: usize,
    /// What it says.
    #[serde(flatten)]
    pub text: RuleTextView,
}

/// What a rule says. What does not restrict it is an empty array.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleTextView {
    /// Its name.
    pub name: Option<String>,
    /// `in` or `out`.
    pub direction: &'static str,
    /// `allow` or `deny`.
    pub action: &'static str,
    /// Names of protocols, or their numbers.
    pub proto: Vec<String>,
    /// Destination ports such as `22` or `8000-8100`.
    pub ports: Vec<String>,
    /// ICMP types such as `8` or `128-129`.
    pub icmp_types: Vec<String>,
    /// Prefixes, and lists behind an `@`.
    pub from: Vec<String>,
    /// Prefixes, and lists behind an `@`.
    pub to: Vec<String>,
    /// Whether what the rule decides is logged.
    pub log: bool,
    /// Whether the rule is only counted as if it decided.
    pub shadow: bool,
}

/// A list of prefixes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PrefixListView {
    /// Its name.
    pub name: String,
    /// How many prefixes it has.
    pub prefixes: usize,
    /// The file they come from, if they are not part of the configuration.
    pub file: Option<PathBuf>,
}

/// The sizes of the tables that the packet path looks up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RulesetTablesView {
    /// Prefixes of inside addresses.
    pub inside_prefixes: usize,
    /// Prefixes of outside addresses.
    pub outside_prefixes: usize,
    /// Different sets of rules that accept a value.
    pub classes: usize,
    /// Words of 64 rules that these take.
    pub words: usize,
}

impl RulesetView {
    /// The policy, with the switches that made part of it and the sizes it compiles to.
    #[must_use]
    pub fn new(policy: &Policy, rfc6092: &Rfc6092, sizes: PolicySizes) -> Self {
        let PolicySizes { inside_prefixes, outside_prefixes, markers: _, classes, words } = sizes;
        let subnets = policy.subnets.iter().map(|subnet| SubnetView {
            name: subnet.name.clone(),
            prefix: subnet.prefix,
            route: subnet.route.name(),
        });
        let lists = policy.lists.iter().map(|list| PrefixListView {
            name: list.name.clone(),
            prefixes: list.prefixes.len(),
            file: list.file.clone(),
        });
        let rules = (1..).zip(&policy.rules);
        Self {
            default_route: policy.default_route.name(),
            rfc6092: rfc6092.names().collect(),
            subnets: subnets.collect(),
            rules: rules
                .map(|(number, rule)| RuleView { number, text: RuleTextView::new(rule, policy) })
                .collect(),
            prefix_lists: lists.collect(),
            tables: RulesetTablesView { inside_prefixes, outside_prefixes, classes, words },
        }
    }
}

impl RuleTextView {
    /// What a rule of `policy` says.
    #[must_use]
    pub fn new(rule: &Rule, policy: &Policy) -> Self {
        let addresses = |addresses: &[Addresses]| {
            addresses.iter().map(|addresses| policy.describe(addresses)).collect()
        };
        let selectors = rule.selectors.iter().map(range).collect();
        let is_icmp =
            |protocol: &u8| [IpProto::Icmp as u8, IpProto::Ipv6Icmp as u8].contains(protocol);
        let (ports, icmp_types) = if rule.protocols.iter().any(is_icmp) {
            (Vec::new(), selectors)
        } else {
            (selectors, Vec::new())
        };
        Self {
            name: rule.name.clone(),
            direction: rule.direction.name(),
            action: rule.action.name(),
            proto: rule.protocols.iter().map(|number| protocol::name(*number)).collect(),
            ports,
            icmp_types,
            from: addresses(&rule.from),
            to: addresses(&rule.to),
            log: rule.log,
            shadow: rule.shadow,
        }
    }
}

fn range(range: &RangeInclusive<u16>) -> String {
    let (first, last) = (range.start(), range.end());
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}
