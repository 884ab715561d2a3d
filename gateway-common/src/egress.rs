//! What leaves on the uplink: the only place where flows are opened, moved and replaced.

use crate::{
    bytes::PacketBytes,
    config::Config,
    counter::FlowEvent,
    flow::{self, FlowEntry, OutboundStep},
    fragment,
    gateway::{Found, Outcome, Workspace, find_live, find_packet, judge_stateless, valid_config},
    tables::{FlowSlot, Opening, Promotion, Replace, Table, Tables},
    tuple::Direction,
    verdict::{Reason, Verdict},
};

/// Judges an outbound frame and opens or refreshes its flow before it leaves, so that no reply can
/// overtake it (E152).
#[inline(always)]
pub fn handle<B: PacketBytes, T: Tables>(
    bytes: &B,
    tables: &T,
    workspace: &mut Workspace,
) -> Outcome {
    let Some(config) = valid_config(tables) else {
        return Outcome::of_frame(bytes, Reason::NoConfiguration);
    };
    let outcome = match find_packet(bytes, config, &mut workspace.packet) {
        Ok(()) => {
            let reason = judge(config, tables, workspace);
            Outcome::of_packet(&workspace.packet, reason)
        }
        Err(reason) => Outcome::of_frame(bytes, reason),
    };
    // In standby flows are learned, but nothing is dropped.
    if config.is_standby() && outcome.reason.verdict() == Verdict::Drop {
        return Outcome { reason: Reason::Standby, ..outcome };
    }
    outcome
}

#[inline(always)]
fn judge<T: Tables>(config: &Config, tables: &T, workspace: &mut Workspace) -> Reason {
    let Workspace { packet, key, .. } = workspace;
    if let Some(reason) = judge_stateless(packet, Direction::Outbound, config) {
        return reason;
    }
    // Answers to a group come from other addresses, so a flow would never match them.
    if packet.network.destination.is_multicast() {
        return Reason::Stateless;
    }
    let Some(flow_key) = packet.flow_key(Direction::Outbound) else { return Reason::Stateless };
    *key = flow_key;
    let replace = match find_live(key, config, tables) {
        Ok(found) => match on_flow(&found, config, tables, workspace) {
            Some(reason) => return reason,
            None => Replace::Yes,
        },
        Err(Reason::FlowExpired) => Replace::Yes,
        Err(_) => Replace::No,
    };
    open(replace, config, tables, workspace)
}

/// An outbound packet of a live flow; `None` when it opens a new one in the flow's place.
#[inline(always)]
fn on_flow<T: Tables>(
    found: &Found<T::Slot>,
    config: &Config,
    tables: &T,
    workspace: &Workspace,
) -> Option<Reason> {
    let Workspace { packet, key, .. } = workspace;
    let update = match flow::outbound(packet, &found.entry, found.now) {
        OutboundStep::Continue(update) => update,
        OutboundStep::Ignore => return Some(Reason::Stateless),
        OutboundStep::Reopen => return None,
    };
    found.slot.commit(&update);
    if found.table == Table::HalfOpen && update.proves_flow() {
        match tables.promote(key, &found.slot) {
            Promotion::Done => tables.count(FlowEvent::Promoted),
            Promotion::Full => tables.count(FlowEvent::EstablishedFull),
        }
    }
    fragment::renew_peer(key, found.entry.outbound.seen, found.now, config, tables);
    Some(Reason::Flow)
}

/// An outbound packet without a live flow: opens one, if it is of a kind that may.
// One copy for new, expired and reopened flows.
#[inline(never)]
fn open<T: Tables>(
    replace: Replace,
    config: &Config,
    tables: &T,
    workspace: &mut Workspace,
) -> Reason {
    let Workspace { packet, key, opened, .. } = workspace;
    let now = tables.now();
    let Some(opening) = flow::open(packet, now) else { return Reason::Stateless };
    *opened = FlowEntry { created: now, generation: config.generation, ..FlowEntry::default() };
    opened.apply(&opening);
    match tables.open(key, opened, replace) {
        Opening::Done => {}
        // The first packets of a flow may leave on two CPUs at once; the loser joins.
        Opening::Exists => {
            if let Some(slot) = tables.find(Table::HalfOpen, key) {
                slot.commit(&opening);
            }
            return Reason::Flow;
        }
        Opening::Failed => return Reason::FlowTableFailed,
    }
    // The new flow is stored before the old one goes, so that a reply always finds one.
    if replace == Replace::Yes {
        tables.remove(Table::Established, key);
    }
    tables.count(FlowEvent::Created);
    fragment::note_peer(key, now, config, tables);
    Reason::FlowCreated
}
