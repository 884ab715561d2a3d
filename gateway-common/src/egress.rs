//! What leaves on the uplink: the only place where flows are opened, moved and replaced. Whatever
//! inside begins opens one, whether or not anybody here knows the application (RFC2979-3). No
//! established flow makes room for another: one that finds none goes on where it is
//! (RFC4787-REQ-11, RFC6888-REQ-11, E149).

use crate::{
    admission,
    bytes::PacketBytes,
    config::Config,
    counter::FlowEvent,
    ending, endpoint,
    flow::{self, FlowEntry, FlowHalf, OutboundStep, mark},
    fragment,
    gateway::{
        Found, Outcome, Workspace, find_live, find_packet, judge_stateless, stands_by, valid_config,
    },
    host::{self, HostKey},
    parse,
    tables::{FlowSlot, Opening, Promotion, Replace, Table, Tables},
    timeouts::Ticks,
    tuple::{Direction, FlowKey},
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
            workspace.has_news = false;
            let reason = judge(bytes, config, tables, workspace);
            workspace.tell_news(tables);
            Outcome::of_packet(&workspace.packet, reason)
        }
        Err(reason) => Outcome::of_frame(bytes, reason),
    };
    // In standby flows are learned, but nothing is dropped.
    if outcome.reason.verdict() == Verdict::Drop && stands_by(config, tables) {
        return Outcome { reason: Reason::Standby, ..outcome };
    }
    outcome
}

#[inline(always)]
fn judge<B: PacketBytes, T: Tables>(
    bytes: &B,
    config: &Config,
    tables: &T,
    workspace: &mut Workspace,
) -> Reason {
    let Workspace { packet, key, .. } = workspace;
    if let Some(reason) = judge_stateless(packet, Direction::Outbound, config) {
        return reason;
    }
    // Answers to a group come from other addresses, so a flow would never match them (E57).
    if packet.network.destination.is_multicast() {
        return admission::flowless(config, tables, workspace);
    }
    // Errors from inside, and other ICMP that asks for nothing, neither open nor refresh a flow
    // (RFC5508-REQ-5, RFC7857-7.1, E147); no more does a fragment without ports (E42).
    let Some(flow_key) = packet.flow_key(Direction::Outbound) else {
        return admission::flowless(config, tables, workspace);
    };
    *key = flow_key;
    parse::what_states_need(bytes, packet);
    let replace = match find_live(key, config, tables) {
        Ok(found) => {
            if let Some(reason) = admission::end_outdated(&found, config, tables, workspace) {
                return reason;
            }
            match on_flow(&found, config, tables, workspace) {
                Some(reason) => return reason,
                None => Replace::Yes,
            }
        }
        Err(Reason::FlowExpired) => Replace::Yes,
        Err(_) => Replace::No,
    };
    if let Err(reason) = admission::outbound(config, tables, workspace) {
        return reason;
    }
    let reason = open(replace, config, tables, workspace);
    let Workspace { key, stored, .. } = workspace;
    if reason == Reason::FlowCreated && stored.outbound.has(mark::OVERFLOW) {
        host::overflow(key, stored.created, config, tables);
    }
    reason
}

/// An outbound packet of a live flow, which it keeps alive (RFC6092-REC-16, RFC4787-REQ-6, E83);
/// `None` when it opens a new one in the flow's place.
#[inline(always)]
fn on_flow<T: Tables>(
    found: &Found<T::Slot>,
    config: &Config,
    tables: &T,
    workspace: &mut Workspace,
) -> Option<Reason> {
    let Workspace { packet, key, update, stored, .. } = workspace;
    match flow::outbound(packet, &found.slot, found.now, update) {
        OutboundStep::Continue => {}
        OutboundStep::Ignore => return Some(Reason::Stateless),
        // Inside need not wait to use a closed connection's ports again (RFC9293-TW, E132).
        OutboundStep::Reopen => return None,
    }
    let FlowHalf { seen: last_sent, marks, .. } = found.slot.read().outbound;
    let is_news = found.commit(key, update, tables);
    if found.table == Table::HalfOpen && update.proves_flow() {
        let is_due =
            marks & mark::CONFIRMED == 0 || is_another_second(last_sent, found.now, config);
        if is_due {
            establish(&found.slot, key, stored, config, tables);
        }
    }
    fragment::renew_peer(key, last_sent, found.now, config, tables);
    workspace.note_change(is_news);
    Some(Reason::Flow)
}

/// Whether a second began between two moments. A flow that found no room is tried again once a
/// second, since every try costs.
#[inline(always)]
const fn is_another_second(earlier: Ticks, later: Ticks, config: &Config) -> bool {
    let second = config.ticks(1).0;
    second != 0 && earlier.0 / second != later.0 / second
}

/// Moves a confirmed flow to the established ones, if there is room.
#[inline(never)]
fn establish<T: Tables>(
    slot: &T::Slot,
    key: &FlowKey,
    stored: &mut FlowEntry,
    config: &Config,
    tables: &T,
) {
    let host = HostKey::of(key);
    if tables.held(&host) >= u64::from(config.established_per_host) {
        tables.count(FlowEvent::HostShareFull);
        return;
    }
    match tables.promote(key, slot, stored) {
        Promotion::Done => {
            tables.count(FlowEvent::Promoted);
            tables.hold(&host);
            if !stored.outbound.has(mark::OVERFLOW) {
                host::refund(&host, config, tables);
            }
        }
        Promotion::Exists => {}
        Promotion::Full => tables.count(FlowEvent::EstablishedFull),
    }
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
    let Workspace { packet, key, stored, update, admission_marks, .. } = workspace;
    let now = tables.now();
    if !flow::open(packet, now, update) {
        let is_answer = *admission_marks & mark::ADMITTED != 0;
        return if is_answer { Reason::Published } else { Reason::Stateless };
    }
    let first = packet.transport.tcp.sequence.wrapping_add(u32::from(packet.is_tcp()));
    *stored = FlowEntry::opened(update, now, config.generation, first);
    let host = HostKey::of(key);
    let is_within = host::charge(&host, now, config, tables);
    let overflow = if is_within { 0 } else { mark::OVERFLOW };
    stored.outbound.marks |= *admission_marks | overflow;
    // Whoever else ends the old flow removes what has its key in a moment, so that nothing may be
    // stored over it.
    let may_replace = replace == Replace::Yes && ending::make_way(key, now, config, tables);
    let how = if may_replace { Replace::Yes } else { Replace::No };
    match tables.open(key, stored, how) {
        Opening::Done => {}
        // The first packets of a flow may leave on two CPUs at once; the loser joins (E151). If
        // what stands in the way is about to be removed, the packet has to be sent again.
        Opening::Exists => {
            let Ok(found) = find_live(key, config, tables) else {
                return Reason::FlowTableFailed;
            };
            _ = found.commit(key, update, tables);
            if is_within {
                host::refund(&host, config, tables);
            }
            return Reason::Flow;
        }
        Opening::Failed => return Reason::FlowTableFailed,
    }
    // The new flow is stored before the old one goes, so that a reply always finds one.
    if replace == Replace::Yes && tables.remove(Table::Established, key) {
        tables.release(&host);
    }
    tables.count(FlowEvent::Created);
    (workspace.has_news, workspace.news) = (true, FlowEvent::Created);
    fragment::note_peer(key, now, config, tables);
    endpoint::note(key, now, config, tables);
    Reason::FlowCreated
}
