//! What arrives on the uplink. Nothing here opens a flow: inbound packets find one, or drop.

use crate::{
    bytes::PacketBytes,
    config::Config,
    flow, fragment,
    gateway::{Outcome, Workspace, find_live, find_packet, judge_stateless, valid_config},
    packet::{Transport, TransportKind, query_port},
    related,
    tables::{FlowSlot, Tables},
    tuple::{Direction, Family},
    verdict::Reason,
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
    if config.is_standby() {
        return Outcome::of_frame(bytes, Reason::Standby);
    }
    if let Err(reason) = find_packet(bytes, config, &mut workspace.packet) {
        return Outcome::of_frame(bytes, reason);
    }
    let reason = judge(bytes, config, tables, workspace);
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
        TransportKind::Missing => Reason::NoUpperLayer,
        TransportKind::LaterFragment => fragment::judge(packet, tables),
        TransportKind::Icmp if related::is_error(packet.network.family, icmp.kind) => {
            icmp_error(bytes, config, tables, workspace)
        }
        TransportKind::Icmp => icmp_query(config, tables, workspace),
        // Nonsense is not worth a lookup.
        TransportKind::Tcp if packet.segment().is_none() => Reason::TcpFlags,
        TransportKind::Tcp | TransportKind::Ports | TransportKind::Portless => {
            on_flow(config, tables, workspace)
        }
    };
    let is_first_fragment = workspace.packet.network.fragment.is_first();
    if is_first_fragment && matches!(reason, Reason::Flow | Reason::Related) {
        fragment::admit_rest(&workspace.packet, config, tables);
    }
    reason
}

/// A packet that only a live flow can vouch for.
#[inline(always)]
fn on_flow<T: Tables>(config: &Config, tables: &T, workspace: &mut Workspace) -> Reason {
    let Workspace { packet, key, .. } = workspace;
    let Some(flow_key) = packet.flow_key(Direction::Inbound) else { return Reason::NoFlow };
    *key = flow_key;
    let found = match find_live(key, config, tables) {
        Ok(found) => found,
        Err(reason) => return reason,
    };
    match flow::inbound(packet, &found.entry, found.now) {
        Ok(update) => {
            found.slot.commit(&update);
            Reason::Flow
        }
        Err(reason) => reason,
    }
}

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
    if find_live(key, config, tables).is_ok() { Reason::Related } else { Reason::IcmpUnrelated }
}

#[inline(always)]
fn icmp_query<T: Tables>(config: &Config, tables: &T, workspace: &mut Workspace) -> Reason {
    let network = &workspace.packet.network;
    let kind = workspace.packet.transport.icmp.kind;
    if query_port(network.family, Direction::Inbound, kind).is_some() {
        return on_flow(config, tables, workspace);
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
