//! Random policies whose parts overlap, and packets at their edges.

use std::net::{Ipv4Addr, Ipv6Addr};

use fastrand::Rng;
use gateway_common::{
    policy::{Action, Query, Route},
    tuple::{Address, Direction},
};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::model::{Model, ModelRule, Place};

const WITH_PORTS: [u8; 5] = [6, 17, 132, 33, 136];
const ICMP: [u8; 2] = [1, 58];
const PORTS: [u16; 12] = [0, 1, 22, 53, 80, 255, 256, 443, 1023, 1024, 65534, 65535];

/// A policy with this many rules.
pub(super) fn model(rng: &mut Rng, rules: usize) -> Model {
    let mut subnets: Vec<(IpNet, Route)> = Vec::new();
    for _ in 0..few(rng, 6) {
        let prefix = prefix(rng);
        if prefix.prefix_len() > 0 && subnets.iter().all(|(other, _)| *other != prefix) {
            subnets.push((prefix, route(rng)));
        }
    }
    let lists: Vec<_> =
        (0..few(rng, 4)).map(|_| (0..few(rng, 12)).map(|_| prefix(rng)).collect()).collect();
    // Of many rules like those of a small policy the first ones would decide everything.
    let is_wide = |rng: &mut Rng, index| rules < 1_000 || (index > rules / 2 && rng.u8(..64) == 0);
    let rules = (0..rules)
        .map(|index| if is_wide(rng, index) { rule(rng, lists.len()) } else { narrow_rule(rng) })
        .collect();
    Model { default_route: route(rng), subnets, lists, rules }
}

/// A packet that lies at the edge of something in the policy more often than not.
pub(super) fn query(rng: &mut Rng, model: &Model) -> Query {
    // Every other time one of the last rules, which are the farthest to find.
    let first = if rng.bool() { model.rules.len().saturating_sub(50) } else { 0 };
    let near = rng.choice(&model.rules[first..]);
    let direction = match near {
        Some(rule) if rng.u8(..4) > 0 => rule.direction,
        _ => direction(rng),
    };
    let (inside, outside) = match (near, direction) {
        (Some(rule), Direction::Inbound) => (&rule.to[..], &rule.from[..]),
        (Some(rule), Direction::Outbound) => (&rule.from[..], &rule.to[..]),
        (None, _) => (&[][..], &[][..]),
    };
    let inside = address(rng, inside, model);
    let mut outside = address(rng, outside, model);
    // The families of a packet's addresses are the same.
    for _ in 0..20 {
        if outside.is_ipv4_mapped() == inside.is_ipv4_mapped() {
            break;
        }
        outside = address(rng, &[], model);
    }
    Query {
        inside,
        outside,
        selector: selector(rng, near),
        protocol: protocol(rng, near),
        direction,
        is_forwarded: rng.bool(),
    }
}

fn rule(rng: &mut Rng, lists: usize) -> ModelRule {
    let mut rule = ModelRule {
        direction: direction(rng),
        action: if rng.bool() { Action::Allow } else { Action::Deny },
        protocols: Vec::new(),
        ports: Vec::new(),
        icmp_types: Vec::new(),
        from: places(rng, lists),
        to: places(rng, lists),
        log: rng.bool(),
        shadow: rng.u8(..5) == 0,
    };
    match rng.u8(..8) {
        0 => {}
        1 => rule.protocols = (0..=few(rng, 3)).map(|_| rng.u8(..)).collect(),
        2 | 3 => {
            rule.protocols = vec![ICMP[rng.usize(..2)]];
            rule.icmp_types = (0..few(rng, 4)).map(|_| rng.u8(..)).collect();
        }
        _ => {
            rule.protocols = (0..=few(rng, 2)).map(|_| WITH_PORTS[rng.usize(..5)]).collect();
            rule.ports = (0..few(rng, 4)).map(|_| ports(rng)).collect();
        }
    }
    rule
}

/// A rule that matches little, so that packets get past it.
fn narrow_rule(rng: &mut Rng) -> ModelRule {
    let host = IpNet::from(std::net::IpAddr::from([10, rng.u8(..2), rng.u8(..3), rng.u8(..)]));
    let port = rng.u16(..2_000);
    ModelRule {
        protocols: vec![WITH_PORTS[rng.usize(..2)]],
        ports: vec![(port, port)],
        icmp_types: Vec::new(),
        from: vec![Place::Prefix(host)],
        ..rule(rng, 0)
    }
}

fn ports(rng: &mut Rng) -> (u16, u16) {
    let first = port(rng);
    let last = if rng.bool() { first } else { first.saturating_add(rng.u16(..300)) };
    (first, if rng.u8(..16) == 0 { u16::MAX } else { last })
}

fn port(rng: &mut Rng) -> u16 {
    if rng.bool() { PORTS[rng.usize(..PORTS.len())] } else { rng.u16(..2_000) }
}

fn places(rng: &mut Rng, lists: usize) -> Vec<Place> {
    (0..few(rng, 3))
        .map(|_| match lists {
            1.. if rng.bool() => Place::List(rng.usize(..lists)),
            _ => Place::Prefix(prefix(rng)),
        })
        .collect()
}

/// One of few addresses, so that prefixes of different lengths lie within each other.
fn prefix(rng: &mut Rng) -> IpNet {
    let prefix = if rng.bool() {
        let octets = [10, rng.u8(..2), rng.u8(..3), rng.u8(..4)];
        let len = [0, 7, 8, 15, 16, 22, 23, 24, 30, 31, 32][rng.usize(..11)];
        IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::from(octets), len))
    } else {
        // Some prefixes of zeroes hold the mapped addresses, which they must not match.
        let first = if rng.u8(..4) == 0 { 0 } else { 0x2a00 };
        let segments = [first, rng.u16(..2), 0, rng.u16(..3), 0, 0, 0, rng.u16(..4)];
        let len = [0, 1, 16, 31, 32, 63, 64, 65, 126, 127, 128][rng.usize(..11)];
        IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::from(segments), len))
    };
    prefix.trunc()
}

/// Of the given places, of the policy's subnets and lists, or of none: the first or the last
/// address of a prefix, or one beside it.
fn address(rng: &mut Rng, places: &[Place], model: &Model) -> Address {
    let of_list = |list: &Vec<IpNet>, rng: &mut Rng| rng.choice(list).copied();
    let near = match rng.u8(..4) {
        0 => rng.choice(&model.subnets).map(|(prefix, _)| *prefix),
        1 => rng.choice(&model.lists).and_then(|list| of_list(list, rng)),
        _ => rng.choice(places).and_then(|place| match place {
            Place::Prefix(prefix) => Some(*prefix),
            Place::List(list) => of_list(&model.lists[*list], rng),
        }),
    };
    let near = near.unwrap_or_else(|| prefix(rng));
    let edge = if rng.bool() { near.network() } else { near.broadcast() };
    let step = [0, 0, 1, u128::MAX][rng.usize(..4)];
    let beside = Address::from_bits(Address::from(edge).to_bits().wrapping_add(step));
    // The step may lead out of the IPv4 space; there it would be another family's address.
    let is_ipv4 = matches!(near, IpNet::V4(_));
    if beside.is_ipv4_mapped() == is_ipv4 { beside } else { edge.into() }
}

fn selector(rng: &mut Rng, near: Option<&ModelRule>) -> u16 {
    let edges = near.map_or_else(Vec::new, |rule| {
        let ports = rule.ports.iter().flat_map(|&(first, last)| [first, last]);
        ports.chain(rule.icmp_types.iter().map(|kind| u16::from(*kind))).collect()
    });
    match rng.choice(&edges) {
        Some(edge) if rng.u8(..5) > 0 => edge.wrapping_add([0, 0, 1, u16::MAX][rng.usize(..4)]),
        _ if rng.bool() => port(rng),
        _ => rng.u16(..),
    }
}

fn protocol(rng: &mut Rng, near: Option<&ModelRule>) -> u8 {
    match near.and_then(|rule| rng.choice(&rule.protocols)) {
        Some(protocol) if rng.u8(..5) > 0 => *protocol,
        _ if rng.bool() => WITH_PORTS[rng.usize(..5)],
        _ => rng.u8(..),
    }
}

fn direction(rng: &mut Rng) -> Direction {
    Direction::ALL[rng.usize(..2)]
}

fn route(rng: &mut Rng) -> Route {
    Route::ALL[rng.usize(..3)]
}

/// Less than `end`, small numbers more often.
fn few(rng: &mut Rng, end: usize) -> usize {
    rng.usize(..end).min(rng.usize(..end))
}
