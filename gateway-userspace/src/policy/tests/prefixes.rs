//! The search for the longest prefix against looking at every prefix.

use std::{collections::BTreeSet, fmt::Write as _};

use fastrand::Rng;
use gateway_common::{
    limits::RULE_AGGREGATE_WORDS,
    policy::{Field, NO_SUBNET, PolicyTables},
    tuple::Address,
};
use ipnet::IpNet;

use super::policy;
use crate::policy::{CompiledPolicy, HostTables};

#[test]
fn every_length_is_found_where_all_are_in_use() {
    let host = "aa55:aa55:aa55:aa55:aa55:aa55:aa55:aa55/128".parse().expect("valid prefix");
    let chain: Vec<_> = (1..=128).map(|len| around(host, len)).collect();
    try_chain(&chain, [128, 0]);
}

#[test]
fn every_length_of_ipv4_is_found() {
    let host = "170.85.170.85/32".parse().expect("valid prefix");
    let chain: Vec<_> = (1..=32).map(|len| around(host, len)).collect();
    try_chain(&chain, [0, 32]);
}

/// Prefixes within each other, of which so many lengths are IPv6 and IPv4.
fn try_chain(chain: &[IpNet], lengths: [u32; 2]) {
    let compiled = compile(chain);
    let tables = HostTables::new(&compiled);
    assert_eq!([2, 3].map(|outside: usize| compiled.levels[outside].count), lengths);
    assert_eq!(compiled.sizes().markers, 0, "a prefix is wherever a marker would be");
    let host = Address::from(chain[chain.len() - 1].network());
    assert_eq!(named(&tables, &host), (0..chain.len()).collect());
    for prefix in chain {
        for address in near(prefix) {
            assert_eq!(named(&tables, &address), scan(chain, &address), "{prefix}");
        }
    }
}

#[test]
fn searches_find_what_a_scan_finds() {
    let sets = if cfg!(debug_assertions) { 300 } else { 5_000 };
    let (mut tried, mut matched) = (0, 0);
    for seed in 0..sets {
        let mut rng = Rng::with_seed(seed);
        let prefixes = random(&mut rng);
        let compiled = compile(&prefixes);
        let tables = HostTables::new(&compiled);
        for prefix in &prefixes {
            let edges = near(prefix).into_iter().chain([within(&mut rng, prefix)]);
            for address in edges {
                let expected = scan(&prefixes, &address);
                assert_eq!(
                    named(&tables, &address),
                    expected,
                    "seed {seed}, {} among {prefixes:?}",
                    address.to_ip()
                );
                tried += 1;
                matched += usize::from(!expected.is_empty());
            }
        }
    }
    println!("{tried} addresses, {matched} of them in prefixes, no difference");
    assert!(matched > tried / 2 && matched < tried);
}

/// Inside, the subnet comes with the class.
#[test]
fn a_marker_carries_the_subnet_around_it() {
    let text = "[[subnet]]\nname = 'a'\nprefix = '10.0.0.0/8'\n\
                [[rule]]\ndirection = 'in'\naction = 'allow'\nto = ['10.1.2.3', '10.8.0.0/16']\n";
    let compiled = CompiledPolicy::new(&policy(text));
    let tables = HostTables::new(&compiled);
    assert_eq!(compiled.sizes().markers, 1, "10.1.0.0/16");
    for (address, subnet) in [
        ("10.1.9.9", 0),
        ("10.1.2.3", 0),
        ("10.8.0.1", 0),
        ("10.9.0.1", 0),
        ("11.0.0.1", NO_SUBNET),
    ] {
        let address = address.parse::<std::net::IpAddr>().expect("valid address").into();
        let class = tables.class_of(Field::Inside, &address).expect("levels");
        assert_eq!(class.subnet, subnet, "{}", address.to_ip());
    }
}

/// A policy with a rule for each outside prefix.
fn compile(prefixes: &[IpNet]) -> CompiledPolicy {
    let mut text = String::new();
    for prefix in prefixes {
        writeln!(text, "[[rule]]\ndirection = 'in'\naction = 'allow'\nfrom = '{prefix}'")
            .expect("memory");
    }
    CompiledPolicy::new(&policy(&text))
}

/// The prefixes that cover an address, by looking at all.
fn scan(prefixes: &[IpNet], address: &Address) -> BTreeSet<usize> {
    let covers = |index: &usize| prefixes[*index].contains(&address.to_ip());
    (0..prefixes.len()).filter(covers).collect()
}

/// The prefixes whose rules the class of an address names.
fn named(tables: &HostTables<'_>, address: &Address) -> BTreeSet<usize> {
    let found = tables.class_of(Field::Outside, address).expect("levels");
    assert_eq!((found.subnet, found.route, found.is_foreign), (NO_SUBNET, 0, 0));
    let class = tables.class(found.class).expect("the class");
    let stored = tables.words().expect("words");
    let mut rules = BTreeSet::new();
    for part in 0..RULE_AGGREGATE_WORDS {
        for word in (0..64).filter(|word| class.aggregate.0[part] >> word & 1 != 0) {
            let bits = stored(class.position(part, (1 << word) - 1)).expect("the word");
            let first = (part * 64 + word) * 64;
            rules.extend((0..64).filter(|bit| bits >> bit & 1 != 0).map(|bit| first + bit));
        }
    }
    rules
}

/// Prefixes of many lengths, most of them within others.
fn random(rng: &mut Rng) -> Vec<IpNet> {
    let mut prefixes: Vec<IpNet> = Vec::new();
    for _ in 0..rng.usize(1..60) {
        let host: IpNet = match rng.choice(&prefixes) {
            Some(near) if rng.u8(..4) > 0 => within(rng, near).to_ip().into(),
            _ if rng.bool() => IpNet::from(std::net::IpAddr::from(rng.u32(..).to_be_bytes())),
            _ => IpNet::from(std::net::IpAddr::from(rng.u128(..).to_be_bytes())),
        };
        let prefix = around(host, rng.u8(1..=host.max_prefix_len()));
        if !prefixes.contains(&prefix) {
            prefixes.push(prefix);
        }
    }
    prefixes
}

fn around(host: IpNet, len: u8) -> IpNet {
    IpNet::new(host.addr(), len).expect("a length of the family").trunc()
}

/// Any address of a prefix.
fn within(rng: &mut Rng, prefix: &IpNet) -> Address {
    let [first, last] = ends(prefix);
    Address::from_bits(first | rng.u128(..) & (first ^ last))
}

/// The first and the last address of a prefix and of the one beside it.
fn near(prefix: &IpNet) -> [Address; 4] {
    let [first, last] = ends(prefix);
    // Flips the last bit of the prefix.
    let beside = (first ^ last).wrapping_add(1);
    [first, last, first ^ beside, last ^ beside].map(Address::from_bits)
}

/// A prefix's first and last address.
fn ends(prefix: &IpNet) -> [u128; 2] {
    [prefix.network(), prefix.broadcast()].map(|ip| Address::from(ip).to_bits())
}
