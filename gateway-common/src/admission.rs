//! What the policy says to packets that no live flow vouches for, and to flows that another
//! policy allowed.
//!
//! A packet from outside that a rule or a route lets in needs no flow and opens none, so that a
//! flood of openings fills no table. Inside's answer is known by the same question asked the other
//! way round, and passes without a flow too as long as it proves nothing: a SYN/ACK, a reset, a
//! datagram. What only a completed handshake makes inside send opens a flow that is marked
//! [`ADMITTED`](mark::ADMITTED), and from then on policy is not asked any more. Of TCP that is data:
//! an ACK alone may answer a forged segment that follows a forged SYN (RFC 9293 section 3.10.7.4).
//!
//! A flow carries the generation of the policy that allowed it. When another one is in force, the
//! flow's next packet asks again, once.

use network_types::ip::IpProto;

use crate::{
    config::Config,
    counter::FlowEvent,
    ending, endpoint,
    flow::{FlowUpdate, mark, sctp::Message, tcp::Segment},
    gateway::{Found, Workspace, find_live},
    packet::{Packet, TcpHeader, Transport, TransportKind},
    policy::{Decision, NO_RULE, Query, Ruling, Scope},
    related,
    tables::{FlowSlot, Tables},
    tuple::{Direction, Family, FlowKey},
    verdict::{Reason, Verdict},
    wire::{icmp, icmpv6},
};

/// Judges an inbound packet that no live flow takes; `reason` holds if the policy has nothing to say
/// about it.
#[inline(always)]
pub fn inbound<T: Tables>(
    reason: Reason,
    config: &Config,
    tables: &T,
    workspace: &mut Workspace,
) -> Reason {
    let is_closed = config.policy.is_egress_only() && config.endpoint_independent == 0;
    // Nobody who asks all of a group may ask for an answer (RFC 4443 section 2.4).
    let is_group = workspace.packet.network.destination.is_multicast();
    if is_closed || (is_group && reason == Reason::PingRefused) {
        return reason;
    }
    workspace.refusal = reason;
    inbound_by_policy(config, tables, workspace)
}

#[inline(never)]
fn inbound_by_policy<T: Tables>(config: &Config, tables: &T, workspace: &mut Workspace) -> Reason {
    let Workspace { packet, key, refusal, query, decision, .. } = workspace;
    let reason = *refusal;
    put_opening(packet, Direction::Inbound, query);
    // A later fragment follows its first one; without that only the route can vouch for it.
    let is_later = packet.transport.kind == TransportKind::LaterFragment;
    let scope = if is_later { Scope::Addresses } else { Scope::Everything };
    tables.ask(config, scope, query, decision);
    // A rule may be about what protects the packet instead of what is in it (RFC6092-REC-21).
    if decision.ruling == Ruling::Unsolicited && packet.network.is_authenticated {
        (query.protocol, query.selector) = (IpProto::Ah as u8, 0);
        tables.ask(config, scope, query, decision);
    }
    let ruling = decision.ruling;
    // An open route is no reason to let in what RFC 4890 and RFC 4861 keep out.
    let is_kept_out = ruling == Ruling::RouteAllowed && reason == Reason::IcmpType;
    let verdict = if ruling != Ruling::Unsolicited && !is_kept_out {
        ruling.reason()
    } else if endpoint::is_open(packet, key, config, tables) {
        Reason::EndpointAllowed
    } else {
        reason
    };
    count(decision, packet, verdict, config, tables);
    verdict
}

/// Whether an inbound packet that is not asked of the policy otherwise has a source of inside
/// (RFC6092-REC-6).
#[inline(always)]
pub fn is_forged<T: Tables>(config: &Config, tables: &T, workspace: &mut Workspace) -> bool {
    let Workspace { packet, query, decision, .. } = workspace;
    if config.policy.subnets == 0 {
        return false;
    }
    put_opening(packet, Direction::Inbound, query);
    tables.ask(config, Scope::Addresses, query, decision);
    let is_forged = decision.ruling == Ruling::IngressSpoof;
    if is_forged {
        count(decision, packet, Reason::IngressSpoof, config, tables);
    }
    is_forged
}

/// Whether the policy in force allows a flow with these marks, whether there is one or not.
#[inline(always)]
pub fn allows_flow<T: Tables>(
    marks: u32,
    config: &Config,
    tables: &T,
    workspace: &mut Workspace,
) -> bool {
    let Workspace { key, query, decision, .. } = workspace;
    put_flow(key, marks, query);
    tables.ask(config, Scope::Everything, query, decision);
    decision.ruling.allows()
}

/// Judges an outbound packet without a live flow. If it may open one, that gets the workspace's
/// `admission_marks`.
///
/// # Errors
///
/// The reason that decides the packet: it may not leave, or needs no flow.
#[inline(always)]
pub fn outbound<T: Tables>(
    config: &Config,
    tables: &T,
    workspace: &mut Workspace,
) -> Result<(), Reason> {
    workspace.admission_marks = if workspace.packet.is_forwarded { mark::FORWARDED } else { 0 };
    if config.policy.is_egress_only() {
        // What was said of another packet under another policy.
        (workspace.decision.rule, workspace.decision.log) = (NO_RULE, false);
        return Ok(());
    }
    outbound_by_policy(config, tables, workspace)
}

/// Judges an outbound packet of a kind that neither opens nor continues a flow.
#[inline(always)]
pub fn flowless<T: Tables>(config: &Config, tables: &T, workspace: &mut Workspace) -> Reason {
    match outbound(config, tables, workspace) {
        Ok(()) => Reason::Stateless,
        Err(reason) => reason,
    }
}

#[inline(never)]
fn outbound_by_policy<T: Tables>(
    config: &Config,
    tables: &T,
    workspace: &mut Workspace,
) -> Result<(), Reason> {
    let Workspace { packet, query, decision, admission_marks, .. } = workspace;
    if may_answer(packet) {
        *query = Query::of_answer(packet);
        tables.ask(config, Scope::Everything, query, decision);
        let TcpHeader { payload_len, .. } = packet.transport.tcp;
        match decision.ruling {
            Ruling::RuleAllowed | Ruling::RouteAllowed if packet.is_tcp() && payload_len == 0 => {
                return Err(Reason::Published);
            }
            Ruling::RuleAllowed | Ruling::RouteAllowed if packet.is_tcp() || packet.is_sctp() => {
                *admission_marks |= mark::ADMITTED;
                return Ok(());
            }
            Ruling::RuleAllowed => return Err(Reason::Published),
            // Such a message is nothing but an answer, and what `[allow]` lets in may be answered.
            Ruling::RouteAllowed if packet.transport.kind == TransportKind::Icmp => return Ok(()),
            Ruling::Unsolicited if is_pong(packet) && config.allow_ping != 0 => return Ok(()),
            // Whoever may talk both ways has flows like everybody who opens them: most datagrams
            // are questions.
            Ruling::RouteAllowed
            | Ruling::RuleDenied
            | Ruling::Unsolicited
            | Ruling::RouteBlocked
            | Ruling::EgressSpoof
            | Ruling::IngressSpoof
            | Ruling::InsideDestination
            | Ruling::NoPolicy => {}
        }
    }
    put_opening(packet, Direction::Outbound, query);
    // Neither has ports; errors about what came in are part of what let it in.
    let is_later = packet.transport.kind == TransportKind::LaterFragment;
    let scope =
        if is_later || is_icmp_error(packet) { Scope::Addresses } else { Scope::Everything };
    tables.ask(config, scope, query, decision);
    let reason = decision.ruling.reason();
    count(decision, packet, reason, config, tables);
    if decision.ruling.allows() { Ok(()) } else { Err(reason) }
}

/// Whether an outbound packet can be what inside says to somebody who opened from outside.
#[inline(always)]
fn may_answer(packet: &Packet) -> bool {
    match packet.transport.kind {
        TransportKind::Tcp => packet.segment() != Some(Segment::Syn),
        TransportKind::Sctp => packet.message() != Some(Message::Init),
        TransportKind::Ports | TransportKind::Portless => true,
        TransportKind::Icmp => answered_type(packet).is_some(),
        TransportKind::Missing | TransportKind::LaterFragment => false,
    }
}

/// Whether this is an ICMP error.
#[inline(always)]
fn is_icmp_error(packet: &Packet) -> bool {
    let Transport { kind, icmp, .. } = packet.transport;
    kind == TransportKind::Icmp && related::is_error(packet.network.family, icmp.kind)
}

/// Whether this is the answer to a ping.
#[inline(always)]
fn is_pong(packet: &Packet) -> bool {
    matches!(answered_type(packet), Some(icmp::ECHO_REQUEST | icmpv6::ECHO_REQUEST))
}

/// The type of the query that an ICMP message answers, if this is one that does.
#[inline(always)]
fn answered_type(packet: &Packet) -> Option<u8> {
    let Transport { kind, icmp, .. } = packet.transport;
    if kind != TransportKind::Icmp {
        return None;
    }
    match (packet.network.family, icmp.kind) {
        (Family::Ipv4, icmp::ECHO_REPLY) => Some(icmp::ECHO_REQUEST),
        (Family::Ipv4, icmp::TIMESTAMP_REPLY) => Some(icmp::TIMESTAMP_REQUEST),
        (Family::Ipv6, icmpv6::ECHO_REPLY) => Some(icmpv6::ECHO_REQUEST),
        _ => None,
    }
}

/// Whether the policy in force is the one that allowed a live flow. That is all that packets of
/// live flows pay for rules.
#[inline(always)]
pub fn is_current<S: FlowSlot>(found: &Found<S>, config: &Config) -> bool {
    found.slot.read().generation == config.generation
}

/// Records what an inbound packet changes in its live flow, if the policy in force allows the flow.
// Looked up anew: what the walk was about when it found the flow would not fit the stack.
#[inline(never)]
pub fn review_inbound<T: Tables>(config: &Config, tables: &T, workspace: &mut Workspace) -> Reason {
    let Ok(found) = find_live(&workspace.key, config, tables) else { return Reason::PolicyRevoked };
    if !review(&found.slot, config, tables, workspace) {
        return Reason::PolicyRevoked;
    }
    let is_news = found.commit(&workspace.key, &workspace.update, tables);
    workspace.note_change(is_news);
    Reason::Flow
}

/// Asks whether the policy in force allows a live flow, once for each flow and generation.
#[inline(never)]
fn review<T: Tables>(
    slot: &T::Slot,
    config: &Config,
    tables: &T,
    workspace: &mut Workspace,
) -> bool {
    let is_allowed = allows_flow(slot.read().outbound.marks, config, tables, workspace);
    let Workspace { packet, decision, .. } = workspace;
    if is_allowed {
        slot.renew(config.generation);
    } else {
        let refused = &Decision { rule: NO_RULE, shadow: NO_RULE, ..*decision };
        count(refused, packet, Reason::PolicyRevoked, config, tables);
    }
    is_allowed
}

/// Ends the flow of an outbound packet when the policy in force does not allow it any more, or when
/// inside has accepted a new connection from outside on the ports of one that it had accepted
/// before. `None` when the flow goes on, or when the packet opens one in its place.
#[inline(always)]
pub fn end_outdated<T: Tables>(
    found: &Found<T::Slot>,
    config: &Config,
    tables: &T,
    workspace: &mut Workspace,
) -> Option<Reason> {
    let is_allowed = is_current(found, config) || review(&found.slot, config, tables, workspace);
    let Workspace { packet, key, update, .. } = workspace;
    let is_admitted = found.slot.read().outbound.marks & mark::ADMITTED != 0;
    let segment = packet.segment();
    let (reason, event) = match (is_allowed, is_admitted) {
        (true, true) if segment == Some(Segment::SynAck) => {
            (Reason::Published, FlowEvent::Replaced)
        }
        (true, _) => return None,
        (false, false) => (Reason::PolicyRevoked, FlowEvent::Revoked),
        (false, true) if segment == Some(Segment::Syn) => return None,
        (false, true) => {
            // What inside repeats of it would open a flow of its own. So it stays as one that was
            // reset, until inside has been silent for the closing timeout.
            let direction = Direction::Outbound;
            let (reset, marks) = (found.now, mark::REVOKED);
            *update = FlowUpdate { direction, reset, marks, ..FlowUpdate::default() };
            let is_news = found.commit(key, update, tables);
            workspace.note_change(is_news);
            return Some(Reason::PolicyRevoked);
        }
    };
    ending::end(key, event, tables);
    Some(reason)
}

/// Counts what a decision came to: for the rule that decided, for the shadow rule that would have,
/// and for the subnet to which something was refused.
#[inline(always)]
fn count<T: Tables>(
    decision: &Decision,
    packet: &Packet,
    reason: Reason,
    config: &Config,
    tables: &T,
) {
    let policy = &config.policy;
    if decision.rule != NO_RULE {
        tables.hit(config, decision.rule, packet);
    }
    if decision.shadow != NO_RULE {
        tables.hit(config, decision.shadow, packet);
    }
    if reason.verdict() == Verdict::Drop {
        tables.hit(config, policy.place_of(decision.subnet), packet);
    }
}

/// Puts the question that a packet of `direction` is when it opens.
// Not inlined, like the next one: what it holds in registers would go to its caller's stack, on top
// of which the policy needs its own.
#[inline(never)]
fn put_opening(packet: &Packet, direction: Direction, query: &mut Query) {
    *query = Query::of_opening(packet, direction);
}

/// Puts the question that the packet was which opened a flow with these marks of inside.
#[inline(never)]
fn put_flow(key: &FlowKey, marks: u32, query: &mut Query) {
    *query = Query::of_flow(key, marks);
}

impl Query {
    /// The question that a packet of `direction` is when it opens.
    #[must_use]
    #[inline(always)]
    pub fn of_opening(packet: &Packet, direction: Direction) -> Self {
        let Packet { network, transport, is_forwarded, .. } = packet;
        let (inside, outside) = match direction {
            Direction::Inbound => (network.destination, network.source),
            Direction::Outbound => (network.source, network.destination),
        };
        let selector = if transport.kind == TransportKind::Icmp {
            transport.icmp.kind.into()
        } else {
            transport.ports.destination
        };
        // What arrives is forwarded later, if at all.
        let is_forwarded = *is_forwarded && direction == Direction::Outbound;
        Self { inside, outside, selector, protocol: network.protocol, direction, is_forwarded }
    }

    /// The question that the packet was which an outbound one may answer.
    #[must_use]
    #[inline(always)]
    fn of_answer(packet: &Packet) -> Self {
        let selector = answered_type(packet).map_or(packet.transport.ports.source, u16::from);
        let direction = Direction::Inbound;
        Self { selector, direction, ..Self::of_opening(packet, Direction::Outbound) }
    }

    /// The question that the packet was which opened a flow with these marks of inside.
    #[must_use]
    #[inline(always)]
    pub const fn of_flow(key: &FlowKey, marks: u32) -> Self {
        const ICMP: u8 = IpProto::Icmp as u8;
        const ICMPV6: u8 = IpProto::Ipv6Icmp as u8;
        let direction =
            if marks & mark::ADMITTED == 0 { Direction::Outbound } else { Direction::Inbound };
        let selector = match (key.protocol, key.outside_port, direction) {
            (ICMP, 0, _) => icmp::ECHO_REQUEST as u16,
            (ICMPV6, 0, _) => icmpv6::ECHO_REQUEST as u16,
            (ICMP | ICMPV6, kind, _) => kind,
            (_, _, Direction::Inbound) => key.inside_port,
            (_, outside_port, Direction::Outbound) => outside_port,
        };
        Self {
            inside: key.inside,
            outside: key.outside,
            selector,
            protocol: key.protocol,
            direction,
            is_forwarded: marks & mark::FORWARDED != 0,
        }
    }
}
