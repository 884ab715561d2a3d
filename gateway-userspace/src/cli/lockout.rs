//! Whether a policy lets the operator log in again who is about to put it in force.

mod remedy;

use std::net::IpAddr;

use gateway_common::{
    config::Config,
    gateway::judge_stateless,
    packet::{Packet, Ports, Transport, TransportKind},
    parse::network::Network,
    policy::{Decision, Query, Ruling},
    tuple::{Address, Direction, Family},
    verdict::{Reason, Verdict},
};
use network_types::ip::IpProto;

use super::Result;
use crate::{
    net::{
        interface::{self, Interface},
        links, route,
    },
    policy::{CompiledPolicy, HostTables},
    session::SshSession,
    settings::Policy,
};

/// An SSH session over an uplink whose client could not log in again.
#[derive(Debug)]
pub(super) struct Lockout {
    session: SshSession,
    uplink: String,
    cause: Cause,
    /// Whether not even this session goes on.
    ends: bool,
}

/// Why nothing new is let in from the client.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Cause {
    /// No policy is asked: the packet path refuses it on its own.
    Refused(Reason),
    /// The policy says so.
    Policy(Decision),
}

impl Lockout {
    /// Looks whether the session that this process belongs to runs over one of the uplinks, and
    /// whether its client is to be locked out of this host.
    ///
    /// # Errors
    /// The interfaces and routes cannot be read.
    pub(super) fn find(
        uplinks: &[String],
        config: &Config,
        compiled: &CompiledPolicy,
    ) -> Result<Option<Self>> {
        let Some(session) = SshSession::current() else { return Ok(None) };
        let Some(uplink) = uplink_of(&session, uplinks)? else { return Ok(None) };
        Ok(cause(&session, config, compiled).map(|cause| Self {
            ends: !goes_on(&session, config, compiled),
            session,
            uplink,
            cause,
        }))
    }

    /// What it means, in one sentence.
    pub(super) fn warning(&self, policy: &Policy) -> String {
        let Self { session: SshSession { client, server, .. }, uplink, .. } = self;
        let consequence = if self.ends {
            "this session ends at once, and nobody can log in again from there"
        } else {
            "this session itself may go on, but nobody can log in again from there"
        };
        format!(
            "this is an SSH session from {} to {} port {} over uplink {uplink}, and the new policy \
             admits no new connection like it: {}; {consequence}",
            client.ip(),
            server.ip(),
            server.port(),
            self.why(policy),
        )
    }

    /// The same, when nothing was done because of it, with what to do.
    pub(super) fn refusal(&self, policy: &Policy) -> String {
        format!(
            "{}; nothing was changed\n{}",
            self.warning(policy),
            remedy::text(&self.session, &self.cause, policy)
        )
    }

    fn why(&self, policy: &Policy) -> String {
        let decision = match &self.cause {
            Cause::Refused(reason) => {
                let explanation = reason.explanation().trim_end_matches('.');
                return format!("it is refused as {} ({explanation})", reason.name());
            }
            Cause::Policy(decision) => decision,
        };
        let reason = decision.ruling.reason().name();
        match decision.ruling {
            Ruling::RuleDenied => format!("{} denies it ({reason})", rule(decision, policy)),
            Ruling::RouteBlocked => format!("{} ({reason})", blocked(decision, policy)),
            Ruling::IngressSpoof => format!("a subnet holds the client's address ({reason})"),
            Ruling::Unsolicited => format!("no rule lets it in ({reason})"),
            Ruling::NoPolicy
            | Ruling::RuleAllowed
            | Ruling::RouteAllowed
            | Ruling::EgressSpoof
            | Ruling::InsideDestination => format!("it is refused as {reason}"),
        }
    }
}

/// The rule that decided, for people.
fn rule(decision: &Decision, policy: &Policy) -> String {
    let index = usize::try_from(decision.rule).unwrap_or(usize::MAX);
    let name = policy.rules.get(index).and_then(|rule| rule.name.as_ref());
    let name = name.map_or(String::new(), |name| format!(" '{name}'"));
    format!("rule {}{name}", index.saturating_add(1))
}

fn blocked(decision: &Decision, policy: &Policy) -> String {
    policy.subnets.get(usize::from(decision.subnet)).map_or_else(
        || "the default route is blocked".to_owned(),
        |subnet| format!("subnet '{}' is blocked", subnet.name),
    )
}

/// The uplink that the session runs over, if it does. One that ends elsewhere may still pass
/// through here, but not if both its ends are reached by the same uplink.
fn uplink_of(session: &SshSession, uplinks: &[String]) -> Result<Option<String>> {
    let (client, server) = (session.client.ip(), session.server.ip());
    if client.is_loopback() {
        return Ok(None);
    }
    let outside = match &session.zone {
        Some(zone) => interface::find(zone).ok().map(|found| found.index),
        None => towards(client, server)?.filter(|way| !way.is_local).map(|way| way.interface),
    };
    let Some(outside) = outside else { return Ok(None) };
    let links = links::all()?;
    let taken = links::under(&links, outside);
    let inside = match &session.zone {
        Some(_) => None,
        None => route::towards(server, None)?.filter(|way| !way.is_local),
    };
    let inside = inside.map(|way| links::under(&links, way.interface)).unwrap_or_default();
    let on_the_way = links.iter().find(|link| {
        let Interface { index, name, .. } = &link.interface;
        uplinks.contains(name) && taken.contains(index) && !inside.contains(index)
    });
    Ok(on_the_way.map(|link| link.interface.name.clone()))
}

/// Routes may depend on the source, which the kernel takes only from those who have it.
fn towards(client: IpAddr, server: IpAddr) -> Result<Option<route::Route>> {
    match route::towards(client, Some(server))? {
        Some(way) => Ok(Some(way)),
        None => Ok(route::towards(client, None)?),
    }
}

/// Why the client's next connection is refused, if it is.
fn cause(session: &SshSession, config: &Config, compiled: &CompiledPolicy) -> Option<Cause> {
    if let Some(reason) = refused(session, Direction::Inbound, config) {
        return Some(Cause::Refused(reason));
    }
    let decision = HostTables::new(compiled).decide(&query(session, Direction::Inbound));
    (!decision.ruling.allows()).then_some(Cause::Policy(decision))
}

/// Whether this host's next packet to the client opens a flow that the session goes on in.
fn goes_on(session: &SshSession, config: &Config, compiled: &CompiledPolicy) -> bool {
    let decision = HostTables::new(compiled).decide(&query(session, Direction::Outbound));
    refused(session, Direction::Outbound, config).is_none() && decision.ruling.allows()
}

fn query(session: &SshSession, direction: Direction) -> Query {
    let selector = match direction {
        Direction::Inbound => session.server.port(),
        Direction::Outbound => session.client.port(),
    };
    Query {
        inside: session.server.ip().into(),
        outside: session.client.ip().into(),
        selector,
        protocol: IpProto::Tcp as u8,
        direction,
        is_forwarded: false,
    }
}

/// Why the packet path refuses a packet of the session without asking anybody.
fn refused(session: &SshSession, direction: Direction, config: &Config) -> Option<Reason> {
    let (source, destination) = match direction {
        Direction::Inbound => (session.client, session.server),
        Direction::Outbound => (session.server, session.client),
    };
    let family = if source.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 };
    let packet = Packet {
        packets: 1,
        network: Network {
            family,
            protocol: IpProto::Tcp as u8,
            source: Address::from(source.ip()),
            destination: Address::from(destination.ip()),
            ..Network::default()
        },
        transport: Transport {
            kind: TransportKind::Tcp,
            ports: Ports { source: source.port(), destination: destination.port() },
            ..Transport::default()
        },
        ..Packet::default()
    };
    judge_stateless(&packet, direction, config).filter(|reason| reason.verdict() == Verdict::Drop)
}

#[cfg(test)]
mod tests;
