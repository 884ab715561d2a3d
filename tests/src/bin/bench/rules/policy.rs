//! Policies of so many rules or prefixes, and packets whose fate they decide.

use std::{
    fmt::Write as _,
    net::{Ipv4Addr, Ipv6Addr},
};

use anyhow::{Result, ensure};
use gateway_common::verdict::Reason;
use gateway_userspace::{policy::CompiledPolicy, settings::Settings};
use tests::{
    packet::{Packet, flag},
    topology::INSIDE,
};

/// The service of rules that do not differ in it.
pub(super) const HTTPS: u16 = 443;
/// Who opens uses this port.
const CLIENT_PORT: u16 = 40_000;
/// The first port of rules that differ in it.
const FIRST_PORT: u32 = 1_024;
/// A port that no rule names.
const UNNAMED_PORT: u16 = 22;
/// Those outside whom no rule and no list names, as far as 32 bits of the address tell.
const STRANGER: Ipv6Addr = Ipv6Addr::new(0x2a00, 3, 0, 0, 0, 0, 0, 7);
const STRANGER_V4: Ipv4Addr = Ipv4Addr::new(19, 0, 0, 7);
/// The network outside that the adversary's packets come from.
const ADVERSARY: Ipv6Addr = Ipv6Addr::new(0x2a00, 4, 0, 0, 0, 0, 0, 7);
/// Rules behind one word of a bit vector.
const RULES_OF_WORD: u32 = 64;
/// Enough for any table size in the texts.
const MEMORY_BYTES: u64 = 1 << 30;

/// What the rules are like. They allow TCP, unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Each lets another network in, to another port of another inside host. The networks'
    /// prefixes are of as many lengths as those of a list.
    Services,
    /// The same the other way round: each lets another inside host out.
    Clients,
    /// IPv4: each lets another /24 in, to the same port of the same host.
    Networks,
    /// In every word of the bit vectors one rule is about the packet's port and another about its
    /// source, so that all words are looked at, and none matches.
    Adversary,
    /// One rule denies whom a list names, and the next one lets everybody else in to a port.
    List,
}

/// A policy of that shape and size.
#[derive(Clone, Copy, Debug)]
pub(super) struct Generated {
    pub(super) shape: Shape,
    pub(super) size: u32,
}

impl Generated {
    /// The policy as the packet path reads it.
    ///
    /// # Errors
    /// If the text is none that `eigw` takes.
    pub(super) fn compile(self) -> Result<CompiledPolicy> {
        let parsed = Settings::parse(&self.text(), MEMORY_BYTES);
        ensure!(parsed.is_ok(), "a policy of {self:?} has problems: {:?}", parsed.err());
        let (settings, _) = parsed.expect("it has no problems");
        Ok(CompiledPolicy::new(&settings.policy))
    }

    /// The policy as an operator writes it.
    pub(super) fn text(self) -> String {
        if self.shape == Shape::List {
            let prefixes = (0..self.size).map(|number| format!("\"{}\"", prefix(number)));
            let prefixes = prefixes.collect::<Vec<_>>().join(", ");
            return format!(
                "[prefix_list.list]\nprefixes = [{prefixes}]\n\
                 [[rule]]\ndirection = \"in\"\naction = \"deny\"\nfrom = \"@list\"\n\
                 [[rule]]\ndirection = \"in\"\naction = \"allow\"\nproto = \"tcp\"\n\
                 ports = {HTTPS}\n"
            );
        }
        let mut text = String::new();
        for number in 0..self.size {
            let rule = self.rule(number);
            let direction = if self.shape == Shape::Clients { "out" } else { "in" };
            _ = writeln!(
                text,
                "[[rule]]\ndirection = \"{direction}\"\naction = \"allow\"\nproto = \"tcp\"\n{rule}"
            );
        }
        text
    }

    fn rule(self, number: u32) -> String {
        let (port, network) = (port(number), network(number));
        let (host, len) = (inside_host(number), len(number));
        match self.shape {
            Shape::Services => {
                format!("ports = {port}\nfrom = \"{network}/{len}\"\nto = \"{host}\"")
            }
            Shape::Clients => {
                format!("ports = {port}\nfrom = \"{host}\"\nto = \"{network}/{len}\"")
            }
            Shape::Networks => {
                format!("ports = {HTTPS}\nfrom = \"{}/24\"", network_v4(number))
            }
            Shape::Adversary => {
                let port = if number.is_multiple_of(RULES_OF_WORD) { HTTPS } else { port };
                let network = if number % RULES_OF_WORD == 1 { ADVERSARY } else { network };
                let first = Ipv6Addr::from_bits(network.to_bits() & !0xffff);
                format!("ports = {port}\nfrom = \"{first}/48\"")
            }
            Shape::List => unreachable!("a list is no row of rules"),
        }
    }

    /// A SYN that this rule, or this prefix of the list, decides; of the adversary, the one that
    /// takes longest.
    pub(super) fn opening(self, number: u32) -> Packet {
        if self.shape == Shape::List {
            let peer = Ipv6Addr::from_bits(listed(number).to_bits() + 7);
            return syn(Packet::ip(peer, INSIDE.v6), HTTPS);
        }
        let (port, network) = (port(number), network(number));
        let (host, peer) = (inside_host(number), Ipv6Addr::from_bits(network.to_bits() + 7));
        match self.shape {
            Shape::Services => syn(Packet::ip(peer, host), port),
            Shape::Clients => syn(Packet::ip(host, peer), port),
            Shape::Networks => {
                let peer = Ipv4Addr::from_bits(network_v4(number).to_bits() + 7);
                syn(Packet::ip(peer, INSIDE.v4), HTTPS)
            }
            Shape::Adversary => syn(Packet::ip(ADVERSARY, INSIDE.v6), HTTPS),
            Shape::List => unreachable!("a list is no row of rules"),
        }
    }

    /// What becomes of those.
    pub(super) const fn opening_reason(self) -> Reason {
        match self.shape {
            Shape::Services | Shape::Networks => Reason::RuleAllowed,
            Shape::Clients => Reason::FlowCreated,
            Shape::Adversary => Reason::NoFlow,
            Shape::List => Reason::RuleDenied,
        }
    }

    /// The same SYN from one of many whom nothing names.
    pub(super) fn stranger(self, number: u32, from: u32) -> Packet {
        let stranger = Ipv6Addr::from_bits(STRANGER.to_bits() + (u128::from(from) << 64));
        match self.shape {
            Shape::Networks => syn(Packet::ip(STRANGER_V4, INSIDE.v4), HTTPS),
            Shape::List => syn(Packet::ip(stranger, INSIDE.v6), HTTPS),
            Shape::Services | Shape::Clients | Shape::Adversary => {
                syn(Packet::ip(stranger, inside_host(number)), port(number))
            }
        }
    }

    /// What becomes of those.
    pub(super) const fn stranger_reason(self) -> Reason {
        match self.shape {
            Shape::List => Reason::RuleAllowed,
            Shape::Services | Shape::Clients | Shape::Networks | Shape::Adversary => Reason::NoFlow,
        }
    }
}

/// A SYN to a port that no rule names.
pub(super) fn unnamed() -> Packet {
    syn(Packet::ip(STRANGER, INSIDE.v6), UNNAMED_PORT)
}

fn syn(packet: Packet, port: u16) -> Packet {
    packet.tcp(CLIENT_PORT, port, flag::SYN)
}

/// The port of a rule.
pub(super) fn port(rule: u32) -> u16 {
    u16::try_from(FIRST_PORT + rule).expect("ports suffice for the rules")
}

/// The first address of a rule's network outside, which has [`len`] bits.
pub(super) fn network(rule: u32) -> Ipv6Addr {
    let number = u16::try_from(rule).expect("no more rules than ports");
    Ipv6Addr::new(0x2a00, 2, number, 0, 0, 0, 0, 0)
}

fn network_v4(rule: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x1400_0000 + (rule << 8))
}

/// A rule's host inside.
pub(super) fn inside_host(rule: u32) -> Ipv6Addr {
    Ipv6Addr::from_bits(INSIDE.v6.to_bits() + (u128::from(rule + 1) << 16))
}

/// A prefix of the list.
pub(super) fn prefix(number: u32) -> String {
    format!("{}/{}", listed(number), len(number))
}

/// Its first address.
fn listed(number: u32) -> Ipv6Addr {
    Ipv6Addr::from_bits((0x2a10_u128 << 112) + (u128::from(number) << 80))
}

/// The length of the prefix with that number: there are 17 lengths, from 48 to 64.
pub(super) const fn len(number: u32) -> u32 {
    48 + number % 17
}
