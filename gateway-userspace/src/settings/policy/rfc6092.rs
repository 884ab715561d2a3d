//! The places where RFC 6092's home gateway, which RFC 7084 wants routers to be (RFC7084-S-1), is
//! more open than an egress-only one.

use gateway_common::{
    policy::{Action, Route},
    tuple::Direction,
};
use network_types::ip::IpProto;

use super::{Policy, Rule, raw::RawPolicy};
use crate::settings::{problem::Problem, reader::Located};

/// Rules that the switches add to those of the file.
pub(super) const RULES_ADDED_MAX: usize = 2;

/// The port of the Internet Key Exchange. RFC 6092 does not ask for 4500, where IKE goes behind a
/// NAT.
const IKE_PORT: u16 = 500;

/// Five switches, all off by default: on, each opens the gateway as far as RFC 6092 asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "they are switches, each on its own")]
pub struct Rfc6092 {
    /// Who answers need not be who was asked: anybody may send to the inside address and port of
    /// a flow (RFC6092-REC-11, RFC6092-REC-17, RFC6092-REC-33).
    pub endpoint_independent_filtering: bool,
    /// AH, ESP, HIP and IKE come in without a flow (RFC6092-REC-21, RFC6092-REC-22,
    /// RFC6092-REC-24, RFC6092-REC-26).
    pub unsolicited_ipsec: bool,
    /// What opens a connection from outside is refused with an error after six seconds
    /// (REC-34, REC-39).
    pub delayed_reject: bool,
    /// Hosts inside may ask for ports to be opened (REC-48).
    pub port_control: bool,
    /// Everything that is not denied comes in (RFC6092-REC-49).
    pub transparent: bool,
}

impl Rfc6092 {
    /// The keys of the switches that are on.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        let switches = [
            ("endpoint_independent_filtering", self.endpoint_independent_filtering),
            ("unsolicited_ipsec", self.unsolicited_ipsec),
            ("delayed_reject", self.delayed_reject),
            ("port_control", self.port_control),
            ("transparent", self.transparent),
        ];
        switches.into_iter().filter(|(_, is_on)| *is_on).map(|(name, _)| name)
    }
}

/// Judges the switches. What some of them need does not exist yet; each complaint says what.
pub(in super::super) fn validate(raw: &RawPolicy, problems: &mut Vec<Problem>) -> Rfc6092 {
    let is_on = |switch: &Option<Located<bool>>| switch.as_ref().is_some_and(|it| it.value);
    let mut later = |key: &str, switch: &Option<Located<bool>>, advice: &str| {
        if let Some(Located { line, value: true }) = switch {
            problems.push(Problem::new(*line, format!("'{key}' in [rfc6092] {advice}")));
        }
        is_on(switch)
    };
    Rfc6092 {
        endpoint_independent_filtering: is_on(&raw.endpoint_independent_filtering),
        unsolicited_ipsec: is_on(&raw.unsolicited_ipsec),
        delayed_reject: is_on(&raw.delayed_reject),
        port_control: later(
            "port_control",
            &raw.port_control,
            "needs a port control server, which this version does not have; remove it and publish \
             each port by a [[rule]] with direction = \"in\"",
        ),
        transparent: is_on(&raw.transparent),
    }
}

/// Opens `policy` as far as the switches say. The operator's own rules come first, and what is
/// blocked remains so.
pub(in super::super) fn apply(switches: Rfc6092, policy: &mut Policy) {
    if switches.transparent {
        let routes = policy.subnets.iter_mut().map(|subnet| &mut subnet.route);
        for route in routes.chain([&mut policy.default_route]) {
            if *route == Route::EgressOnly {
                *route = Route::Internet;
            }
        }
    }
    if switches.unsolicited_ipsec {
        let protocols = [IpProto::Esp, IpProto::Ah, IpProto::Hip].map(|protocol| protocol as u8);
        policy.rules.push(inbound("rfc6092.ipsec", protocols.to_vec(), None));
        let ike = inbound("rfc6092.ike", vec![IpProto::Udp as u8], Some(IKE_PORT));
        policy.rules.push(ike);
    }
}

fn inbound(name: &str, protocols: Vec<u8>, port: Option<u16>) -> Rule {
    Rule {
        line: 0,
        name: Some(name.to_owned()),
        direction: Direction::Inbound,
        action: Action::Allow,
        protocols,
        selectors: port.into_iter().map(|port| port..=port).collect(),
        from: Vec::new(),
        to: Vec::new(),
        log: false,
        shadow: false,
    }
}
