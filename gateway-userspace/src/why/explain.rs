//! Asking the packet logic.

use gateway_common::{
    bytes::PacketBytes,
    config::Config,
    egress,
    flow::FlowEntry,
    gateway::{Outcome, Workspace},
    ingress,
    policy::{Decision, Query, Scope},
    tables::Table,
    timeouts::Ticks,
    tuple::{Direction, FlowKey},
    verdict::Verdict,
};

use super::{
    dissection::Dissection,
    fields::{self, Located},
    memory::{Looked, Memory},
    nearest::{self, NearFlow},
    overlay::{Change, Journal, Overlay},
};

/// A flow that was found, as it was before the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownFlow {
    /// The table it is in.
    pub table: Table,
    /// Its key.
    pub key: FlowKey,
    /// What is known of it.
    pub entry: FlowEntry,
    /// Whether its time is not over.
    pub is_live: bool,
}

/// A question to the policy and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// How much of the policy was asked.
    pub scope: Scope,
    /// The question.
    pub query: Query,
    /// The answer.
    pub decision: Decision,
}

/// What the gateway does with a packet and why.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// Which way the packet travels.
    pub direction: Direction,
    /// What becomes of it.
    pub outcome: Outcome,
    /// The packet as it was understood.
    pub dissection: Dissection,
    /// The header fields that decided.
    pub fields: Vec<Located>,
    /// The flow that it was taken for, live or expired.
    pub flow: Option<KnownFlow>,
    /// The key of the flow that was looked for.
    pub key: Option<FlowKey>,
    /// Flows that are almost the one that was looked for and not found.
    pub nearest: Vec<NearFlow>,
    /// The last question to the policy, if it was asked.
    pub asked: Option<Asked>,
    /// What the packet would change.
    pub changes: Vec<Change>,
    /// The configuration in force.
    pub config: Config,
    /// When that was.
    pub now: Ticks,
}

/// Judges a frame that travels in `direction` with what `memory` knows. Nothing changes there.
///
/// # Errors
/// Something cannot be looked up.
pub fn explain<B: PacketBytes, M: Memory>(
    bytes: &B,
    direction: Direction,
    memory: &M,
) -> Looked<Explanation> {
    let overlay = Overlay::new(memory);
    let mut workspace = Workspace::default();
    let outcome = match direction {
        Direction::Inbound => ingress::handle(bytes, &overlay, &mut workspace),
        Direction::Outbound => egress::handle(bytes, &overlay, &mut workspace),
    };
    let Journal { lookups, asked, changes } = overlay.finish()?;
    let (config, now) = (*memory.config(), memory.now());
    let known = lookups.iter().filter_map(|&(table, key, entry)| {
        let entry = entry?;
        Some(KnownFlow { table, key, entry, is_live: entry.is_live(&key, now, &config) })
    });
    let flow = known.clone().find(|flow| flow.is_live).or_else(|| known.clone().next());
    let dissection = Dissection::new(bytes);
    let of_packet = dissection.packet.and_then(|packet| packet.flow_key(direction));
    let key = lookups.first().map(|&(_, key, _)| key).or(of_packet);
    let is_missed = flow.is_none_or(|flow| !flow.is_live);
    let nearest = match key {
        Some(key) if is_missed && outcome.reason.verdict() == Verdict::Drop => {
            nearest::flows(&key, memory)?
        }
        Some(_) | None => Vec::new(),
    };
    Ok(Explanation {
        direction,
        outcome,
        fields: fields::locate(outcome.reason, direction, bytes, &dissection),
        dissection,
        flow,
        key,
        nearest,
        asked: asked.last().map(|&(scope, query, decision)| Asked { scope, query, decision }),
        changes,
        config,
        now,
    })
}
