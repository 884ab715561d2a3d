//! What would have to be different for a packet to pass.

use gateway_common::{
    packet::{Packet, TransportKind},
    policy::{Decision, NO_RULE},
    tuple::{Address, Direction},
    verdict::{Reason, Verdict},
};

use super::{dissection::Dissection, explain::Explanation};
use crate::{protocol, settings::policy::Policy};

/// What to do so that such a packet passes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// For people.
    pub text: String,
    /// What to add to the configuration file, if that does it.
    pub snippet: Option<String>,
}

impl Hint {
    fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), snippet: None }
    }

    fn snippet(text: impl Into<String>, snippet: impl Into<String>) -> Self {
        Self { text: text.into(), snippet: Some(snippet.into()) }
    }
}

/// What would let a dropped packet pass under `policy`, which is in force; `None` for what passes.
#[must_use]
pub fn hint(explanation: &Explanation, policy: &Policy) -> Option<Hint> {
    if explanation.outcome.reason.verdict() == Verdict::Pass {
        return None;
    }
    let hint = by_setting(explanation, policy).or_else(|| elsewhere(explanation.outcome.reason));
    hint.or_else(|| Some(Hint::text("no setting lets such a packet pass")))
}

/// A change of the configuration that does it.
#[expect(clippy::wildcard_enum_match_arm, reason = "few reasons can be configured away")]
fn by_setting(explanation: &Explanation, policy: &Policy) -> Option<Hint> {
    let Explanation { outcome, direction, dissection, .. } = explanation;
    let decision = explanation.asked.map(|asked| asked.decision).unwrap_or_default();
    Some(match outcome.reason {
        Reason::NoFlow | Reason::FlowExpired => Hint::snippet(
            "it passes when inside sends first, or with a rule such as this one in front",
            rule(*direction, dissection)?,
        ),
        Reason::TcpState | Reason::SctpState | Reason::IcmpType => {
            Hint::snippet("a rule such as this one lets it in", rule(*direction, dissection)?)
        }
        Reason::PolicyRevoked | Reason::RuleDenied => rule_denied(&decision, policy, explanation)?,
        Reason::PingRefused => Hint::snippet(
            "this lets every ping in; a rule with icmp_types lets in some",
            "[allow]\nping = true\n",
        ),
        Reason::RedirectRefused => {
            Hint::snippet("this accepts redirects from the link", "[allow]\nredirects = true\n")
        }
        Reason::RouteBlocked => blocked(&decision, policy),
        Reason::EgressSpoof => {
            let (source, _) = dissection.addresses?;
            let prefix = host(source);
            let subnet = format!("name = \"new\"\nprefix = \"{prefix}\"\nroute = \"egress-only\"");
            Hint::snippet(
                "a subnet that covers the source makes it one of inside's",
                format!("[[subnet]]\n{subnet}\n"),
            )
        }
        Reason::MartianSource | Reason::MartianDestination => martian(explanation)?,
        Reason::EthertypeRefused => {
            let ethertype = dissection.link?.ethertype;
            Hint::snippet(
                "this lets frames of the ethertype pass in both directions",
                format!("[link]\npass_ethertypes = [{ethertype:#06x}]\n"),
            )
        }
        _ => return None,
    })
}

/// What is to be looked at where no setting helps.
#[expect(clippy::wildcard_enum_match_arm, reason = "most refused packets are never right")]
fn elsewhere(reason: Reason) -> Option<Hint> {
    Some(Hint::text(match reason {
        Reason::NoConfiguration | Reason::NoPolicy => {
            "`eigw reload` with a valid file puts a whole policy in force"
        }
        Reason::TcpWindow => {
            "only the real sender knows the numbers: give them with --seq and --ack, or the packet \
             with --packet"
        }
        Reason::SctpTag => "only the real sender knows the tag: give the packet with --packet",
        Reason::FragmentUnsolicited => {
            "it passes behind its first fragment, while a flow is open between the two hosts, or \
             with the route internet"
        }
        Reason::IcmpUnrelated => {
            "an ICMP error passes when a live flow sent the packet that it quotes"
        }
        Reason::IngressSpoof | Reason::InsideDestination => {
            "an address of a subnet cannot be on the other side of the uplink: look at `eigw subnet \
             show`, and at the routing"
        }
        Reason::FlowTableFailed => "see `eigw status` for what the tables lack",
        _ => return None,
    }))
}

/// What stands in the way when a rule, or what replaced an old one, denies a packet.
fn rule_denied(decision: &Decision, policy: &Policy, explanation: &Explanation) -> Option<Hint> {
    let snippet = rule(explanation.direction, &explanation.dissection)?;
    let named = policy.rules.get(decision.rule as usize).filter(|_| decision.rule != NO_RULE);
    Some(match named {
        Some(rule) => {
            let number = decision.rule + 1;
            let line =
                if rule.line == 0 { String::new() } else { format!(" (line {})", rule.line) };
            Hint::snippet(
                format!("a rule such as this one, in front of rule {number}{line}"),
                snippet,
            )
        }
        None => Hint::snippet("a rule such as this one allows it", snippet),
    })
}

fn blocked(decision: &Decision, policy: &Policy) -> Hint {
    match policy.subnets.get(usize::from(decision.subnet)) {
        Some(subnet) => Hint::text(format!(
            "give the subnet {} (line {}) another route: egress-only or internet",
            subnet.name, subnet.line
        )),
        None => Hint::snippet(
            "the addresses that no subnet covers are blocked; this opens them",
            "[gateway]\ndefault_route = \"egress-only\"\n",
        ),
    }
}

fn martian(explanation: &Explanation) -> Option<Hint> {
    let (source, destination) = explanation.dissection.addresses?;
    if explanation.dissection.packet.is_none() {
        return Some(Hint::text("an IPv6 packet with an IPv4-mapped address is always a forgery"));
    }
    let address =
        if explanation.outcome.reason == Reason::MartianSource { source } else { destination };
    Some(Hint::snippet(
        "if the address really is on the other side, this makes an exception",
        format!("[martians]\nexcept = [\"{}\"]\n", host(address)),
    ))
}

/// The prefix of one address.
fn host(address: Address) -> String {
    let address = address.to_ip();
    format!("{address}/{}", if address.is_ipv4() { 32 } else { 128 })
}

/// The narrowest rule that allows a packet to open, whoever sends it from whichever port.
fn rule(direction: Direction, dissection: &Dissection) -> Option<String> {
    let (source, destination) = dissection.addresses?;
    let packet = dissection.packet?;
    let name = protocol::name(packet.network.protocol);
    let protocol = match name.parse::<u8>() {
        Ok(number) => number.to_string(),
        Err(_) => format!("\"{name}\""),
    };
    let selector = selector(&packet);
    Some(format!(
        "[[rule]]\ndirection = \"{}\"\naction = \"allow\"\nproto = {protocol}\n{selector}from = \
         [\"{}\"]\nto = [\"{}\"]\n",
        direction.name(),
        host(source),
        host(destination),
    ))
}

/// The line of a rule that tells ports or types.
fn selector(packet: &Packet) -> String {
    let transport = packet.transport;
    match transport.kind {
        TransportKind::Tcp | TransportKind::Sctp | TransportKind::Ports => {
            format!("ports = [{}]\n", transport.ports.destination)
        }
        TransportKind::Icmp => format!("icmp_types = [{}]\n", transport.icmp.kind),
        TransportKind::Portless | TransportKind::Missing | TransportKind::LaterFragment => {
            String::new()
        }
    }
}
