//! What a valid policy probably does not mean.

use std::collections::BTreeSet;

use gateway_common::tuple::{Direction, Family};
use ipnet::IpNet;
use network_types::ip::IpProto;

use super::{coverage::Coverage, trie::Key};
use crate::settings::{
    Problem,
    policy::{Addresses, Policy, PrefixList, Rule},
};

/// Everything doubtful about a valid policy, each with its line.
#[must_use]
pub fn of(policy: &Policy) -> Vec<Problem> {
    let mut doubts = lists_without_effect(policy);
    let void: BTreeSet<_> =
        policy.rules.iter().filter(|rule| is_void(rule, policy)).map(|rule| rule.line).collect();
    doubts.extend(void.iter().map(|line| {
        let message = "the rule never matches: its addresses and its protocol have no IP version in \
                       common";
        Problem::new(*line, message)
    }));
    doubts.extend(unreachable_rules(policy, &void));
    doubts.extend(rules_outside_subnets(policy));
    doubts
}

/// Rules that an earlier one leaves nothing to decide.
fn unreachable_rules(policy: &Policy, void: &BTreeSet<usize>) -> Vec<Problem> {
    if policy.rules.len() < 2 {
        return Vec::new();
    }
    let coverage = Coverage::of(policy);
    let mut doubts = Vec::new();
    for (index, rule) in policy.rules.iter().enumerate() {
        if rule.line == 0 || void.contains(&rule.line) {
            continue;
        }
        let Some((earlier_index, earlier)) = coverage.covering(index) else { continue };
        let (this, other) = (describe(rule), describe(earlier));
        let line = earlier.line;
        let message = if rule.action != earlier.action && coverage.is_same(earlier_index, index) {
            format!(
                "{this} contradicts {other} on line {line}: both match the same, and the earlier \
                 one decides"
            )
        } else {
            format!(
                "{this} never matches: {other} on line {line} comes first and matches all that it \
                 does"
            )
        };
        doubts.push(Problem::new(rule.line, message));
    }
    doubts
}

fn describe(rule: &Rule) -> String {
    match &rule.name {
        Some(name) => format!("the rule '{name}'"),
        None => "the rule".to_owned(),
    }
}

/// Lists that are empty, and lists that no rule names.
fn lists_without_effect(policy: &Policy) -> Vec<Problem> {
    let mut named = vec![false; policy.lists.len()];
    for addresses in policy.rules.iter().flat_map(|rule| rule.from.iter().chain(&rule.to)) {
        if let Addresses::List(list) = addresses {
            named[*list] = true;
        }
    }
    let doubt = |(list, named): (&PrefixList, bool)| {
        let what = match (named, list.prefixes.is_empty()) {
            (false, _) => "is named by no rule",
            (true, true) => "is empty, so that it matches nothing",
            (true, false) => return None,
        };
        Some(Problem::new(list.line, format!("[prefix_list.{}] {what}", list.name)))
    };
    policy.lists.iter().zip(named).filter_map(doubt).collect()
}

/// Whether no packet has an IP version that every field of the rule accepts. A rule whose lists are
/// empty is not meant: the list has a warning of its own.
fn is_void(rule: &Rule, policy: &Policy) -> bool {
    let accepts = |family| {
        let side = |addresses: &[Addresses]| {
            addresses.is_empty()
                || addresses.iter().any(|addresses| {
                    let prefixes = prefixes(addresses, policy);
                    prefixes.is_empty() || prefixes.iter().any(|prefix| family_of(prefix) == family)
                })
        };
        let impossible = match family {
            Family::Ipv4 => IpProto::Ipv6Icmp as u8,
            Family::Ipv6 => IpProto::Icmp as u8,
        };
        side(&rule.from) && side(&rule.to) && rule.protocols != [impossible]
    };
    !accepts(Family::Ipv4) && !accepts(Family::Ipv6)
}

fn prefixes<'p>(addresses: &'p Addresses, policy: &'p Policy) -> &'p [IpNet] {
    match addresses {
        Addresses::Prefix(prefix) => std::slice::from_ref(prefix),
        Addresses::List(list) => &policy.lists[*list].prefixes,
    }
}

fn family_of(prefix: &IpNet) -> Family {
    match prefix {
        IpNet::V4(_) => Family::Ipv4,
        IpNet::V6(_) => Family::Ipv6,
    }
}

/// Rules about inside addresses that no subnet covers, though their family has subnets.
fn rules_outside_subnets(policy: &Policy) -> Vec<Problem> {
    let subnets = Covered::of(policy);
    let mut doubts = Vec::new();
    for rule in policy.rules.iter().filter(|rule| rule.line != 0) {
        let key = match rule.direction {
            Direction::Inbound => "to",
            Direction::Outbound => "from",
        };
        for addresses in rule.inside() {
            let prefixes = prefixes(addresses, policy);
            if prefixes.is_empty() || prefixes.iter().any(|prefix| subnets.touch(prefix)) {
                continue;
            }
            let what = match addresses {
                Addresses::Prefix(prefix) => format!("{prefix} lies in no subnet"),
                Addresses::List(list) => {
                    format!("no prefix of '@{}' lies in a subnet", policy.lists[*list].name)
                }
            };
            let message = format!(
                "'{key}' in [[rule]]: {what}; that helps only if it is an address of this host"
            );
            doubts.push(Problem::new(rule.line, message));
        }
    }
    doubts
}

/// The addresses that subnets cover.
struct Covered {
    /// First and last addresses, sorted and without overlaps.
    ranges: Vec<(u128, u128)>,
    families: Vec<Family>,
}

impl Covered {
    fn of(policy: &Policy) -> Self {
        let keys = policy.subnets.iter().map(|subnet| Key::of(&subnet.prefix));
        let mut all: Vec<_> = keys.map(|key| (key.first(), key.last())).collect();
        all.sort_unstable();
        let mut ranges: Vec<(u128, u128)> = Vec::new();
        for (first, last) in all {
            // Prefixes overlap only by one holding the other.
            if ranges.last().is_none_or(|(_, covered)| *covered < first) {
                ranges.push((first, last));
            }
        }
        let families = policy.subnets.iter().map(|subnet| family_of(&subnet.prefix)).collect();
        Self { ranges, families }
    }

    /// Whether a prefix has addresses in common with a subnet, or its family has none.
    fn touch(&self, prefix: &IpNet) -> bool {
        let key = Key::of(prefix);
        let next = self.ranges.partition_point(|(_, last)| *last < key.first());
        !self.families.contains(&family_of(prefix))
            || self.ranges.get(next).is_some_and(|(first, _)| *first <= key.last())
    }
}
