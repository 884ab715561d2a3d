//! Rules, judged one by one.

use std::ops::RangeInclusive;

use gateway_common::limits::RULES_MAX;
use network_types::ip::IpProto;

use super::{
    Addresses, PrefixList, Rule,
    lists::{check_name, matchable},
    raw::{RawPolicy, RawRule},
    rfc6092,
    subnets::Unique,
};
use crate::{
    protocol,
    settings::{prefix, problem::Problem, reader::Located, suggest::did_you_mean},
};

/// Rules that a file may have: the switches of `[rfc6092]` add some.
pub const RULES_OF_FILE_MAX: usize = RULES_MAX - rfc6092::RULES_ADDED_MAX;

/// Protocols whose ports the packet path reads.
const WITH_PORTS: [u8; 5] = [
    IpProto::Tcp as u8,
    IpProto::Udp as u8,
    IpProto::Sctp as u8,
    IpProto::Dccp as u8,
    IpProto::UdpLite as u8,
];

/// Protocols that have types.
const WITH_TYPES: [u8; 2] = [IpProto::Icmp as u8, IpProto::Ipv6Icmp as u8];

/// Judges the rules, which name `lists`.
pub(in super::super) fn rules(
    raw: &RawPolicy,
    lists: &[PrefixList],
    problems: &mut Vec<Problem>,
) -> Vec<Rule> {
    let mut names = Unique::default();
    if let Some(excess) = raw.rules.get(RULES_OF_FILE_MAX) {
        let message = format!(
            "[[rule]]: there are {} rules; a gateway has at most {RULES_OF_FILE_MAX}",
            raw.rules.len()
        );
        problems.push(Problem::new(excess.line, message));
    }
    let mut judge = |raw: &RawRule| {
        if let Some(Located { line, value }) = &raw.name {
            let checked = check_name(value).and_then(|()| names.add(value.clone(), *line));
            let problem = |why| Problem::new(*line, format!("'name' in [[rule]]: {why}"));
            problems.extend(checked.map_err(problem).err());
        }
        Rule {
            line: raw.line,
            name: raw.name.as_ref().map(|name| name.value.clone()),
            direction: raw.direction,
            action: raw.action,
            protocols: raw.protocols.as_ref().map_or_else(Vec::new, |it| it.value.clone()),
            selectors: selectors(raw, problems),
            from: addresses("from", &raw.from, lists, problems),
            to: addresses("to", &raw.to, lists, problems),
            log: raw.log,
            shadow: raw.shadow,
        }
    };
    raw.rules.iter().map(&mut judge).collect()
}

/// The ports or the ICMP types that a rule means.
fn selectors(raw: &RawRule, problems: &mut Vec<Problem>) -> Vec<RangeInclusive<u16>> {
    let protocols = raw.protocols.as_ref().map_or(&[][..], |protocols| &protocols.value);
    if let Some(ports) = &raw.ports {
        check_protocols("ports", ports, protocols, &WITH_PORTS, problems);
    }
    if let Some(types) = &raw.icmp_types {
        check_protocols("icmp_types", types, protocols, &WITH_TYPES, problems);
        if protocols == WITH_TYPES {
            let message = "'icmp_types' in [[rule]] with both icmp and icmpv6, in which the same \
                           numbers mean different things; write a rule for each";
            problems.push(Problem::new(first_line(types, raw.line), message));
        }
    }
    if let (Some(_), Some(types)) = (&raw.ports, &raw.icmp_types) {
        let message = "'ports' and 'icmp_types' in the same [[rule]]; no packet has both";
        problems.push(Problem::new(first_line(types, raw.line), message));
    }
    let written = raw.ports.iter().chain(&raw.icmp_types).flatten();
    merge(written.map(|range| range.value.clone()).collect())
}

/// Complains when `key` stands beside protocols that have no such thing.
fn check_protocols(
    key: &str,
    values: &[Located<RangeInclusive<u16>>],
    protocols: &[u8],
    with: &[u8],
    problems: &mut Vec<Problem>,
) {
    let Some(first) = values.first() else { return };
    let expected: Vec<_> = with.iter().map(|number| protocol::name(*number)).collect();
    let expected = expected.join(", ");
    let wrong = protocols.iter().find(|number| !with.contains(number));
    let message = match wrong {
        _ if protocols.is_empty() => {
            format!("'{key}' in [[rule]] needs 'proto' to be one of {expected}")
        }
        Some(number) => format!(
            "'{key}' in [[rule]] with proto {}, which has none; possible are {expected}",
            protocol::name(*number)
        ),
        None => return,
    };
    problems.push(Problem::new(first.line, message));
}

fn first_line<T>(values: &[Located<T>], otherwise: usize) -> usize {
    values.first().map_or(otherwise, |first| first.line)
}

/// The ranges sorted, those that overlap or touch as one.
fn merge(mut ranges: Vec<RangeInclusive<u16>>) -> Vec<RangeInclusive<u16>> {
    ranges.sort_by_key(|range| (*range.start(), *range.end()));
    let mut merged: Vec<RangeInclusive<u16>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if u32::from(*range.start()) <= u32::from(*last.end()) + 1 => {
                *last = *last.start()..=*last.end().max(range.end());
            }
            Some(_) | None => merged.push(range),
        }
    }
    // All of them are no restriction.
    if merged == [0..=u16::MAX] { Vec::new() } else { merged }
}

fn addresses(
    key: &str,
    written: &[Located<String>],
    lists: &[PrefixList],
    problems: &mut Vec<Problem>,
) -> Vec<Addresses> {
    let mut addresses = Vec::new();
    for Located { line, value } in written {
        match address(value, lists) {
            Ok(read) => addresses.push(read),
            Err(why) => {
                problems.push(Problem::new(*line, format!("'{key}' in [[rule]]: {why}")));
            }
        }
    }
    addresses
}

/// Reads a prefix, or the name of a list behind an `@`.
fn address(text: &str, lists: &[PrefixList]) -> Result<Addresses, String> {
    let named = |name: &str| lists.iter().position(|list| list.name == name);
    let Some(name) = text.strip_prefix('@') else {
        return prefix::parse(text).and_then(matchable).map(Addresses::Prefix).map_err(|why| {
            match named(text) {
                Some(_) => format!("'{text}' is a prefix list; write \"@{text}\""),
                None => why,
            }
        });
    };
    named(name).map(Addresses::List).ok_or_else(|| {
        let hint = did_you_mean(name, lists.iter().map(|list| list.name.as_str()));
        format!("there is no [prefix_list.{name}]{hint}")
    })
}
