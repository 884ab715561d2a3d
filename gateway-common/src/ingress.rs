//! What arrives on the uplink. Nothing here opens a flow: inbound packets find one, are let in by
//! the policy without one, or drop.
//!
//! So outside reaches no resolver and no management (RFC6092-REC-8, RFC6092-REC-50), opens no
//! connection, not even from the link (E54, E124), gets through to no group and no broadcast
//! address (RFC9293-BCAST, E13, E29, E30, E31, E56) nor to a host that has not asked (RFC4890-4.1a,
//! RFC4890-4.1c), and begins no tunnel and no key exchange (RFC7084-S-3, E80, E84, E85, E86, E87).
//! A flood of all this finds no table that it could fill (RFC4787-REQ-11, E150).

use crate::{
    admission,
    bytes::PacketBytes,
    config::Config,
    flow::{self, mark},
    fragment,
    gateway::{
        Outcome, Workspace, find_live, find_packet, judge_stateless, stands_by, valid_config,
    },
    packet::{Transport, TransportKind, query_port},
    parse, rejection, related,
    tables::{FlowSlot, Tables},
    tuple::{Direction, Family},
    verdict::{Reason, Verdict},
    wire::{icmp, icmpv6},
};

/// Judges an inbound frame and records what it does to its flow.
#[inline(always)]
pub fn handle<B: PacketBytes, T: Tables>(
    bytes: &B,
    tables: &T,
    workspace: &mut Workspace,
) -> Outcome {
    let Some(config) = valid_config(tables) else {
        return Outcome::of_frame(bytes, Reason::NoConfiguration);
    };
    if stands_by(config, tables) {
        return Outcome::of_frame(bytes, Reason::Standby);
    }
    if let Err(reason) = find_packet(bytes, config, &mut workspace.packet) {
        return Outcome::of_frame(bytes, reason);
    }
    workspace.has_news = false;
    let reason = judge(bytes, config, tables, workspace);
    workspace.tell_news(tables);
    Outcome::of_packet(&workspace.packet, reason)
}

#[inline(always)]
fn judge<B: PacketBytes, T: Tables>(
    bytes: &B,
    config: &Config,
    tables: &T,
    workspace: &mut Workspace,
) -> Reason {
    let packet = &workspace.packet;
    if let Some(reason) = judge_stateless(packet, Direction::Inbound, config) {
        return reason;
    }
    let Transport { kind, icmp, .. } = packet.transport;
    let reason = match kind {
        // No flow could vouch for it (RFC8200-4.7, E78).
        TransportKind::Missing => Reason::NoUpperLayer,
        TransportKind::LaterFragment => fragment::judge(packet, tables),
        TransportKind::Icmp if related::is_error(packet.network.family, icmp.kind) => {
            icmp_error(bytes, config, tables, workspace)
        }
        TransportKind::Icmp => icmp_query(bytes, config, tables, workspace),
        // Nonsense is not worth a lookup.
        TransportKind::Tcp if packet.segment().is_none() => Reason::TcpFlags,
        TransportKind::Tcp
        | TransportKind::Sctp
        | TransportKind::Ports
        | TransportKind::Portless => on_flow(bytes, config, tables, workspace),
    };
    let reason = if is_unsolicited(reason) {
        let reason = admission::inbound(reason, config, tables, workspace);
        if config.delayed_reject != 0 {
            rejection::report(reason, bytes, tables, workspace);
        }
        reason
    } else if reason == Reason::PolicyRevoked {
        admission::review_inbound(config, tables, workspace)
    } else {
        reason
    };
    // A first fragment has to hold the headers and is judged by them; where it passes, the rest may
    // follow (RFC8200-4.5-FIRST, E39, E112).
    let is_first_fragment = workspace.packet.network.fragment.is_first();
    if is_first_fragment && reason.verdict() == Verdict::Pass {
        fragment::admit_rest(&workspace.packet, config, tables);
    }
    reason
}

/// Whether the policy has the last word on a packet: no flow asked for it. Outside may also open
/// anew on the ports of an old flow, where it may open at all, and a ping that everybody may send is
/// still to be denied to some.
#[inline(always)]
const fn is_unsolicited(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::NoFlow
            | Reason::FlowExpired
            | Reason::TcpState
            | Reason::SctpState
            | Reason::PingAllowed
            | Reason::PingRefused
            | Reason::IcmpType
            | Reason::FragmentUnsolicited
    )
}

/// A packet that only a live flow can vouch for: it comes from the address that inside sent to and,
/// where the protocol has ports, from the port (RFC6092-REC-11, RFC6092-REC-17, RFC6092-REC-33,
/// RFC4787-REQ-8, RFC5382-REQ-3, E146). What is refused leaves no trace in the flow (RFC7857-7).
// One copy for all transports: called, it takes less of the stack and of the verifier's time.
#[inline(never)]
fn on_flow<B: PacketBytes, T: Tables>(
    bytes: &B,
    config: &Config,
    tables: &T,
    workspace: &mut Workspace,
) -> Reason {
    let Workspace { packet, key, update, .. } = workspace;
    let Some(flow_key) = packet.flow_key(Direction::Inbound) else { return Reason::NoFlow };
    *key = flow_key;
    let found = match find_live(key, config, tables) {
        Ok(found) => found,
        Err(reason) => return reason,
    };
    parse::what_states_need(bytes, packet);
    match flow::inbound(packet, &found.slot, found.now, update) {
        Ok(()) if admission::is_current(&found, config) => {
            let is_news = found.commit(key, update, tables);
            workspace.note_change(is_news);
            Reason::Flow
        }
        // Until a review says otherwise.
        Ok(()) => Reason::PolicyRevoked,
        Err(reason) => reason,
    }
}

/// An ICMP error passes by the flow that it is about, not by who sends it: any router on the way
/// may (RFC6092-REC-10, RFC4787-REQ-12, RFC5508-REQ-4, RFC2979-3.1.1b, E96).
#[inline(always)]
fn icmp_error<B: PacketBytes, T: Tables>(
    bytes: &B,
    config: &Config,
    tables: &T,
    workspace: &mut Workspace,
) -> Reason {
    let Workspace { packet, quoted, key, .. } = workspace;
    *key = match related::flow_key(bytes, packet, quoted) {
        Ok(key) => key,
        Err(reason) => return reason,
    };
    judge_related(config, tables, workspace)
}

/// Judges an ICMP error about the flow of the workspace's key.
// Not inlined: what it keeps on the stack would come on top of what flows need there.
#[inline(never)]
fn judge_related<T: Tables>(config: &Config, tables: &T, workspace: &mut Workspace) -> Reason {
    if admission::is_forged(config, tables, workspace) {
        return Reason::IngressSpoof;
    }
    let marks = match find_live(&workspace.key, config, tables) {
        Ok(found) if admission::is_current(&found, config) => return Reason::Related,
        Ok(found) => found.slot.read().outbound.marks,
        // It may be about an answer that needed no flow.
        Err(_) => mark::ADMITTED,
    };
    if admission::allows_flow(marks, config, tables, workspace) {
        Reason::Related
    } else {
        Reason::IcmpUnrelated
    }
}

/// An ICMP message that reports no error: the answer to a query, as often as it comes
/// (RFC4890-4.3.1-ECHO, RFC4890-4.4.1-ECHO, E107, E108), or a ping. No other type comes in
/// (RFC4890-4.3.4-UNINFO, RFC4890-4.3.5-NI, RFC4890-4.3.5-RR, RFC4890-4.3.5-EXP, RFC4890-4.3.5-EXT,
/// RFC4890-4.4.3, RFC4890-4.4.4-NI, RFC4890-4.4.5, RFC5508-REQ-11, E106).
#[inline(always)]
fn icmp_query<B: PacketBytes, T: Tables>(
    bytes: &B,
    config: &Config,
    tables: &T,
    workspace: &mut Workspace,
) -> Reason {
    let network = &workspace.packet.network;
    let kind = workspace.packet.transport.icmp.kind;
    if query_port(network.family, Direction::Inbound, kind).is_some() {
        return on_flow(bytes, config, tables, workspace);
    }
    let is_ping = match network.family {
        Family::Ipv4 => kind == icmp::ECHO_REQUEST,
        Family::Ipv6 => kind == icmpv6::ECHO_REQUEST,
    };
    match (is_ping, config.allow_ping != 0) {
        // A ping to a group asks for an amplified answer (RFC 4443 section 2.4).
        (true, true) if !network.destination.is_multicast() => Reason::PingAllowed,
        (true, _) => Reason::PingRefused,
        (false, _) => Reason::IcmpType,
    }
}
