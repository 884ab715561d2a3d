//! Policies and packets that they judge.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    ops::RangeInclusive,
};

use arbitrary::{Result, Unstructured};
use fastrand::Rng;
use gateway_common::{
    policy::{Action, Decision, NO_RULE, NO_SUBNET, Query, Route, Ruling, Scope},
    tuple::{Address, Direction},
};
use gateway_userspace::{
    policy::{CompiledPolicy, HostTables, doubts},
    settings::policy::{Addresses, Policy, PrefixList, Rule, Subnet},
};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

const SELECTORS: [u16; 8] = [0, 1, 22, 53, 255, 443, 65_534, 65_535];
const PROTOCOLS: [u8; 8] = [1, 6, 17, 58, 132, 136, 33, 47];

pub(super) fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(policy) = policy(&mut input) else { return };
    let compiled = CompiledPolicy::new(&policy);
    assert_eq!(compiled, CompiledPolicy::new(&policy), "the same policy, the same tables");
    assert_eq!(compiled.summary, policy.summary());
    drop(doubts::of(&policy));
    let tables = HostTables::new(&compiled);
    for _ in 0..64 {
        if input.is_empty() {
            break;
        }
        let Ok(query) = query(&mut input) else { break };
        assert_eq!(tables.decide(&query), read(&policy, &query), "{query:?} of {policy:#?}");
        let without_rules = Policy { rules: Vec::new(), ..policy.clone() };
        let expected = read(&without_rules, &query);
        assert_eq!(tables.ask(Scope::Addresses, &query), expected, "{query:?} of {policy:#?}");
    }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let random = |seed: u64| {
        let mut rng = Rng::with_seed(seed);
        (0..rng.usize(40..600)).map(|_| rng.u8(..) & rng.u8(..)).collect()
    };
    (0..30).map(random).collect()
}

fn policy(input: &mut Unstructured<'_>) -> Result<Policy> {
    let default_route = route(input)?;
    let mut subnets: Vec<Subnet> = Vec::new();
    for line in 0..input.int_in_range(0..=5)? {
        let prefix = prefix(input)?;
        if prefix.prefix_len() > 0 && subnets.iter().all(|subnet| subnet.prefix != prefix) {
            subnets.push(Subnet { line, name: format!("s{line}"), prefix, route: route(input)? });
        }
    }
    let mut lists = Vec::new();
    for line in 0..input.int_in_range(0..=3)? {
        let prefixes = several(input, 5, prefix)?;
        lists.push(PrefixList { line, name: format!("l{line}"), prefixes, file: None });
    }
    let mut rules = Vec::new();
    // Now and then more rules than a word has bits.
    let repeats = if input.ratio(1_u8, 8)? { 9 } else { 1 };
    for line in 0..input.int_in_range(0..=12)? {
        let rule = rule(input, line, lists.len())?;
        rules.extend(std::iter::repeat_n(rule, repeats));
    }
    Ok(Policy { default_route, subnets, rules, lists })
}

fn rule(input: &mut Unstructured<'_>, line: usize, lists: usize) -> Result<Rule> {
    let mut protocols = several(input, 3, |input| {
        Ok(if input.arbitrary()? { *input.choose(&PROTOCOLS)? } else { input.arbitrary()? })
    })?;
    protocols.sort_unstable();
    protocols.dedup();
    let places = |input: &mut Unstructured<'_>| {
        several(input, 3, |input| {
            if lists > 0 && input.arbitrary()? {
                return Ok(Addresses::List(input.choose_index(lists)?));
            }
            Ok(Addresses::Prefix(prefix(input)?))
        })
    };
    Ok(Rule {
        line,
        name: None,
        direction: direction(input)?,
        action: if input.arbitrary()? { Action::Allow } else { Action::Deny },
        protocols,
        selectors: selectors(input)?,
        from: places(input)?,
        to: places(input)?,
        log: input.arbitrary()?,
        shadow: input.ratio(1_u8, 5)?,
    })
}

/// Ranges in order that neither overlap nor touch.
fn selectors(input: &mut Unstructured<'_>) -> Result<Vec<RangeInclusive<u16>>> {
    let mut ends = several(input, 6, selector)?;
    ends.sort_unstable();
    let mut ranges: Vec<RangeInclusive<u16>> = Vec::new();
    for [first, last] in ends.as_chunks().0 {
        let is_apart =
            ranges.last().is_none_or(|range| u32::from(*first) > u32::from(*range.end()) + 1);
        if is_apart {
            ranges.push(*first..=*last);
        }
    }
    Ok(ranges)
}

fn query(input: &mut Unstructured<'_>) -> Result<Query> {
    let is_ipv4 = input.arbitrary()?;
    Ok(Query {
        inside: address(input, is_ipv4)?,
        outside: address(input, is_ipv4)?,
        selector: selector(input)?,
        protocol: *input.choose(&PROTOCOLS)?,
        direction: direction(input)?,
        is_forwarded: input.arbitrary()?,
    })
}

fn selector(input: &mut Unstructured<'_>) -> Result<u16> {
    let near = *input.choose(&SELECTORS)?;
    let beside = u16::from(input.int_in_range(0_u8..=3)?);
    Ok(near.wrapping_add(beside).wrapping_sub(1))
}

fn route(input: &mut Unstructured<'_>) -> Result<Route> {
    input.choose(&[Route::EgressOnly, Route::Internet, Route::Blocked]).copied()
}

fn direction(input: &mut Unstructured<'_>) -> Result<Direction> {
    input.choose(&Direction::ALL).copied()
}

/// Few addresses, so that prefixes of different lengths lie within each other.
fn address(input: &mut Unstructured<'_>, is_ipv4: bool) -> Result<Address> {
    let [a, b, c, d] = input.arbitrary::<[u8; 4]>()?;
    Ok(if is_ipv4 {
        Address::from_ipv4([10 + (a >> 7), b & 1, c & 3, d])
    } else {
        // Zeroes hold the mapped addresses, which they must not match.
        let first = if a >> 6 == 3 { 0 } else { 0x2a00 };
        let segments = [first, u16::from(b & 1), 0, u16::from(c & 3), 0, 0, 0, u16::from(d)];
        Address::from(std::net::IpAddr::V6(Ipv6Addr::from(segments)))
    })
}

fn prefix(input: &mut Unstructured<'_>) -> Result<IpNet> {
    let is_ipv4 = input.arbitrary()?;
    let address = address(input, is_ipv4)?;
    let prefix = if is_ipv4 {
        let len = input.int_in_range(0..=32)?;
        IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::from(address.ipv4_octets()), len))
    } else {
        let len = input.int_in_range(0..=128)?;
        IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::from_bits(address.to_bits()), len))
    };
    Ok(prefix.trunc())
}

fn several<T>(
    input: &mut Unstructured<'_>,
    most: usize,
    one: impl Fn(&mut Unstructured<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let count = input.int_in_range(0..=most)?;
    (0..count).map(|_| one(input)).collect()
}

/// What reading the policy from the top says.
fn read(policy: &Policy, query: &Query) -> Decision {
    let decision = read_addresses(policy, query);
    if !matches!(decision.ruling, Ruling::RouteAllowed | Ruling::Unsolicited) {
        return decision;
    }
    let mut shadow = NO_RULE;
    for (index, rule) in (0..).zip(&policy.rules) {
        if !matches(policy, rule, query) {
            continue;
        }
        if rule.shadow {
            shadow = if shadow == NO_RULE { index } else { shadow };
            continue;
        }
        let ruling = match rule.action {
            Action::Allow => Ruling::RuleAllowed,
            Action::Deny => Ruling::RuleDenied,
        };
        return Decision { ruling, rule: index, shadow, log: rule.log, ..decision };
    }
    Decision { shadow, ..decision }
}

fn read_addresses(policy: &Policy, query: &Query) -> Decision {
    let subnet_of = |address: &Address| {
        let covering = policy.subnets.iter().zip(0_u16..);
        let covering = covering.filter(|(subnet, _)| subnet.prefix.contains(&address.to_ip()));
        covering.max_by_key(|(subnet, _)| subnet.prefix.prefix_len())
    };
    let subnet = subnet_of(&query.inside);
    let route = subnet.map_or(policy.default_route, |(subnet, _)| subnet.route);
    let is_of_family =
        |subnet: &Subnet| subnet.prefix.addr().is_ipv4() == query.inside.is_ipv4_mapped();
    let is_foreign = subnet.is_none()
        && policy.default_route != Route::Internet
        && policy.subnets.iter().any(is_of_family);
    let ruling = if query.is_forwarded && is_foreign {
        Ruling::EgressSpoof
    } else if subnet_of(&query.outside).is_some() {
        match query.direction {
            Direction::Inbound => Ruling::IngressSpoof,
            Direction::Outbound => Ruling::InsideDestination,
        }
    } else {
        match (route, query.direction) {
            (Route::Blocked, _) => Ruling::RouteBlocked,
            (Route::EgressOnly, Direction::Inbound) => Ruling::Unsolicited,
            (Route::EgressOnly | Route::Internet, _) => Ruling::RouteAllowed,
        }
    };
    let subnet = subnet.map_or(NO_SUBNET, |(_, index)| index);
    Decision { rule: NO_RULE, shadow: NO_RULE, subnet, ruling, log: false }
}

fn matches(policy: &Policy, rule: &Rule, query: &Query) -> bool {
    let holds = |addresses: &[Addresses], address: &Address| {
        let ip = address.to_ip();
        addresses.is_empty()
            || addresses.iter().any(|it| match it {
                Addresses::Prefix(prefix) => prefix.contains(&ip),
                Addresses::List(list) => {
                    policy.lists[*list].prefixes.iter().any(|prefix| prefix.contains(&ip))
                }
            })
    };
    let (source, destination) = match query.direction {
        Direction::Inbound => (&query.outside, &query.inside),
        Direction::Outbound => (&query.inside, &query.outside),
    };
    rule.direction == query.direction
        && (rule.protocols.is_empty() || rule.protocols.contains(&query.protocol))
        && (rule.selectors.is_empty()
            || rule.selectors.iter().any(|range| range.contains(&query.selector)))
        && holds(&rule.from, source)
        && holds(&rule.to, destination)
}
