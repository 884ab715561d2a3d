//! Random policies about the hosts of the conformance table.

use std::fmt::Write as _;

use proptest::{
    collection::vec,
    option,
    prelude::*,
    sample::select,
    strategy::ValueTree,
    test_runner::{RngAlgorithm, TestRng, TestRunner},
};

/// Prefixes that hold hosts of the table, in both versions.
const PLACES: [[&str; 2]; 6] = [
    ["10.1.0.0/16", "2a00:1::/32"],
    ["10.1.0.5/32", "2a00:1::5/128"],
    ["10.1.0.6/32", "2a00:1::6/128"],
    ["10.2.0.1/32", "2a00:2::1/128"],
    ["10.9.0.0/16", "2a00:9::/32"],
    ["224.0.0.0/4", "ff00::/8"],
];
const PORTS: [&str; 6] = ["22", "53", "443", "5000", "'40000-40001'", "'1024-65535'"];
const TYPES: [&str; 4] = ["8", "128", "'0-20'", "'129-255'"];

/// A configuration file with a random policy, which may or may not let in what outside opens.
pub fn policy(lets_in: bool) -> impl Strategy<Value = String> {
    let subnets = vec(option::weighted(0.4, route(lets_in)), 5);
    let rules = vec(rule(lets_in), 0..6);
    (route(lets_in), subnets, rules).prop_map(|(default_route, subnets, rules)| {
        let mut text = format!("[gateway]\ndefault_route = '{default_route}'\n");
        for (index, (places, route)) in PLACES.iter().zip(subnets).enumerate() {
            let Some(route) = route else { continue };
            for (version, prefix) in places.iter().enumerate() {
                let name = format!("net-{index}-{version}");
                write!(
                    text,
                    "[[subnet]]\nname = '{name}'\nprefix = '{prefix}'\nroute = '{route}'\n"
                )
                .expect("strings take everything");
            }
        }
        text + &rules.concat()
    })
}

fn route(lets_in: bool) -> impl Strategy<Value = &'static str> {
    let routes = ["egress-only", "egress-only", "blocked", "internet"];
    select(routes[..if lets_in { 4 } else { 3 }].to_vec())
}

fn rule(lets_in: bool) -> impl Strategy<Value = String> {
    let flags = (any::<bool>(), any::<bool>(), prop::bool::weighted(0.2));
    let ports = option::of(select(&PORTS[..]));
    let types = option::of(select(&TYPES[..]));
    (flags, 0..7_usize, ports, types, place(), place()).prop_map(
        move |((is_inbound, allows, shadow), protocol, ports, types, from, to)| {
            let allows = allows && (lets_in || !is_inbound);
            let direction = if is_inbound { "in" } else { "out" };
            let action = if allows { "allow" } else { "deny" };
            let mut text = format!(
                "[[rule]]\ndirection = '{direction}'\naction = '{action}'\nshadow = {shadow}\n"
            );
            let protocols = [None, Some("tcp"), Some("udp"), Some("sctp"), Some("icmp")];
            let protocol = *protocols.get(protocol).unwrap_or(&Some("icmpv6"));
            let selector = match protocol {
                Some("tcp" | "udp" | "sctp") => ports.map(|ports| ("ports", ports)),
                Some(_) => types.map(|types| ("icmp_types", types)),
                None => None,
            };
            let protocol = protocol.map(|name| ("proto", format!("'{name}'")));
            let selector = selector.map(|(key, value)| (key, format!("[{value}]")));
            let from = from.map(|places| ("from", format!("{places:?}")));
            let to = to.map(|places| ("to", format!("{places:?}")));
            for (key, value) in [protocol, selector, from, to].into_iter().flatten() {
                writeln!(text, "{key} = {value}").expect("strings take everything");
            }
            text
        },
    )
}

fn place() -> impl Strategy<Value = Option<[&'static str; 2]>> {
    option::of(select(&PLACES[..]))
}

/// The policy that follows from a seed: the same one on every machine.
///
/// # Panics
/// Never: nothing is filtered out.
#[must_use]
pub fn policy_of(seed: u64, lets_in: bool) -> String {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(ProptestConfig::default(), rng);
    policy(lets_in).new_tree(&mut runner).expect("nothing is filtered out").current()
}
