//! A policy, read from the top for one packet: what the tables have to come to.

use std::net::IpAddr;

use gateway_common::{
    packet::{Packet, TransportKind},
    policy::{Action, Route},
    tuple::{Direction, Family},
    verdict::Reason,
};
use gateway_userspace::settings::{
    Settings,
    policy::{Addresses, Policy, Rule, Subnet},
};

/// The policy of a configuration file.
///
/// # Panics
/// If the text is no valid configuration.
pub(crate) fn read(text: &str) -> Policy {
    const MEMORY_BYTES: u64 = 1 << 30;
    let settings = Settings::parse(text, MEMORY_BYTES);
    settings.unwrap_or_else(|problems| panic!("{problems:?} in\n{text}")).0.policy
}

/// What the policy says to a packet that opens something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// It passes, or drops, for this reason.
    Is(Reason),
    /// It may go out.
    Outbound,
    /// Nothing lets it in.
    Unsolicited,
}

/// What the policy says to a packet that comes in.
pub(crate) fn inbound(policy: &Policy, packet: &Packet) -> Word {
    let (inside, outside) = (packet.network.destination.to_ip(), packet.network.source.to_ip());
    let kind = packet.transport.kind;
    let question = Question {
        direction: Direction::Inbound,
        inside,
        outside,
        protocol: packet.network.protocol,
        selector: selector(packet),
        asks_rules: kind != TransportKind::LaterFragment,
    };
    if subnet_of(policy, outside).is_some() {
        return Word::Is(Reason::IngressSpoof);
    }
    question.route_and_rules(policy)
}

/// What the policy says to a packet that goes out, if it opens something.
pub(crate) fn outbound(policy: &Policy, packet: &Packet) -> Word {
    let (inside, outside) = (packet.network.source.to_ip(), packet.network.destination.to_ip());
    if is_forged(policy, packet) {
        return Word::Is(Reason::EgressSpoof);
    }
    if subnet_of(policy, outside).is_some() {
        return Word::Is(Reason::InsideDestination);
    }
    let kind = packet.transport.kind;
    let is_error = kind == TransportKind::Icmp
        && match packet.network.family {
            Family::Ipv4 => matches!(packet.transport.icmp.kind, 3 | 11 | 12),
            Family::Ipv6 => matches!(packet.transport.icmp.kind, 1..=4),
        };
    let question = Question {
        direction: Direction::Outbound,
        inside,
        outside,
        protocol: packet.network.protocol,
        selector: selector(packet),
        asks_rules: kind != TransportKind::LaterFragment && !is_error,
    };
    question.route_and_rules(policy)
}

/// What the policy says to the packet that an outbound one may be the answer to.
pub(crate) fn answered(policy: &Policy, packet: &Packet) -> Word {
    let mut question = *packet;
    let (network, transport) = (&mut question.network, &mut question.transport);
    (network.source, network.destination) = (network.destination, network.source);
    let ports = &mut transport.ports;
    (ports.source, ports.destination) = (ports.destination, ports.source);
    if transport.kind == TransportKind::Icmp {
        transport.icmp.kind = match (network.family, transport.icmp.kind) {
            (Family::Ipv4, 0) => 8,
            (Family::Ipv4, 14) => 13,
            (Family::Ipv6, 129) => 128,
            _ => return Word::Unsolicited,
        };
    }
    // What another host forges answers nothing.
    let is_partial =
        matches!(transport.kind, TransportKind::LaterFragment | TransportKind::Missing);
    if is_partial || is_forged(policy, packet) {
        return Word::Unsolicited;
    }
    inbound(policy, &question)
}

/// What rules ask for beside protocol and addresses, of a packet that opens something.
fn selector(packet: &Packet) -> u16 {
    let transport = &packet.transport;
    if transport.kind == TransportKind::Icmp {
        transport.icmp.kind.into()
    } else {
        transport.ports.destination
    }
}

/// Whether another host sends from an address that is not inside.
fn is_forged(policy: &Policy, packet: &Packet) -> bool {
    let source = packet.network.source.to_ip();
    let same = |subnet: &Subnet| subnet.prefix.addr().is_ipv4() == source.is_ipv4();
    packet.is_forwarded
        && policy.subnets.iter().any(same)
        && subnet_of(policy, source).is_none()
        && policy.default_route != Route::Internet
}

#[derive(Debug)]
struct Question {
    direction: Direction,
    inside: IpAddr,
    outside: IpAddr,
    protocol: u8,
    selector: u16,
    asks_rules: bool,
}

impl Question {
    fn route_and_rules(&self, policy: &Policy) -> Word {
        let subnet = subnet_of(policy, self.inside);
        let route = subnet.map_or(policy.default_route, |subnet| subnet.route);
        if route == Route::Blocked {
            return Word::Is(Reason::RouteBlocked);
        }
        let rule = policy.rules.iter().find(|rule| self.asks_rules && self.matches(policy, rule));
        match (rule.map(|rule| rule.action), self.direction, route) {
            (Some(Action::Deny), _, _) => Word::Is(Reason::RuleDenied),
            (_, Direction::Outbound, _) => Word::Outbound,
            (Some(Action::Allow), ..) => Word::Is(Reason::RuleAllowed),
            (None, _, Route::Internet) => Word::Is(Reason::RouteAllowed),
            (None, ..) => Word::Unsolicited,
        }
    }

    fn matches(&self, policy: &Policy, rule: &Rule) -> bool {
        let (source, destination) = match self.direction {
            Direction::Inbound => (self.outside, self.inside),
            Direction::Outbound => (self.inside, self.outside),
        };
        !rule.shadow
            && rule.direction == self.direction
            && (rule.protocols.is_empty() || rule.protocols.contains(&self.protocol))
            && (rule.selectors.is_empty()
                || rule.selectors.iter().any(|range| range.contains(&self.selector)))
            && holds(policy, &rule.from, source)
            && holds(policy, &rule.to, destination)
    }
}

fn holds(policy: &Policy, places: &[Addresses], address: IpAddr) -> bool {
    let is_in = |place: &Addresses| match place {
        Addresses::Prefix(prefix) => prefix.contains(&address),
        Addresses::List(list) => {
            policy.lists[*list].prefixes.iter().any(|prefix| prefix.contains(&address))
        }
    };
    places.is_empty() || places.iter().any(is_in)
}

fn subnet_of(policy: &Policy, address: IpAddr) -> Option<&Subnet> {
    let holding = policy.subnets.iter().filter(|subnet| subnet.prefix.contains(&address));
    holding.max_by_key(|subnet| subnet.prefix.prefix_len())
}
