//! Which flows a flood pushes out.

use anyhow::{Result, ensure};
use gateway_common::{counter::FlowEvent, tables::Table as FlowTable, tuple::FlowKey};
use tests::state::State;

use super::{
    super::{flow::Flow, gateway::Gateway},
    traffic::Openings,
};
use crate::report::{Column, Table};

/// How many handshakes of quiet hosts are under way when a flood begins.
const HANDSHAKES: usize = 1_000;

/// What there was before a flood.
pub(super) struct Watch {
    before: State,
    handshakes: Vec<FlowKey>,
}

/// What a flood did.
pub(super) struct Phase {
    name: &'static str,
    /// How often each event happened.
    events: [u64; FlowEvent::ALL.len()],
    established: Count,
    handshakes: Count,
}

/// How many flows there were, and are.
#[derive(Clone, Copy)]
struct Count {
    before: usize,
    after: usize,
    /// Of those before, how many are gone.
    lost: usize,
}

impl Watch {
    /// Lets quiet hosts open flows and looks at the tables.
    pub(super) fn begin(gateway: &mut Gateway, openings: &mut Openings) -> Self {
        let open = |_| {
            let ends = openings.next_handshake();
            Flow::tcp(ends).open(gateway);
            ends.tcp_key()
        };
        let handshakes = (0..HANDSHAKES).map(open).collect();
        Self { before: gateway.state(), handshakes }
    }

    /// Looks again.
    pub(super) fn end(self, name: &'static str, gateway: &Gateway) -> Result<Phase> {
        let Self { before, handshakes } = self;
        let after = gateway.state();
        let has = |state: &State, table, key| state.flows.contains_key(&(table, key));
        let established = |state: &State| -> Vec<FlowKey> {
            let its = state.flows.keys().filter(|(table, _)| *table == FlowTable::Established);
            its.map(|(_, key)| *key).collect()
        };
        let (then, now) = (established(&before), established(&after));
        let gone =
            |table, keys: &[FlowKey]| keys.iter().filter(|key| !has(&after, table, **key)).count();
        let stored = handshakes.iter().all(|key| has(&before, FlowTable::HalfOpen, *key));
        ensure!(stored, "a handshake that began just now is not in the table");
        let lost = gone(FlowTable::HalfOpen, &handshakes);
        Ok(Phase {
            name,
            events: after.since(&before).events,
            established: Count {
                before: then.len(),
                after: now.len(),
                lost: gone(FlowTable::Established, &then),
            },
            handshakes: Count { before: HANDSHAKES, after: HANDSHAKES - lost, lost },
        })
    }
}

/// All floods.
pub(super) fn table(phases: &[Phase]) -> Table {
    let rows = phases.iter().map(|phase| {
        let events = [FlowEvent::Created, FlowEvent::HostOverflow, FlowEvent::HostRecycled];
        let mut row = vec![phase.name.to_owned()];
        row.extend(events.map(|event| phase.events[event as usize].to_string()));
        for Count { before, after, lost } in [phase.established, phase.handshakes] {
            row.extend([before, after, lost].map(|count| count.to_string()));
        }
        row
    });
    Table {
        title: "Flows lost to a flood from inside",
        notes: vec![format!(
            "The same gateway, one flood after the other, TCP and UDP in turn: how many flows they \
             opened, how many of these beyond their host's allowance, and how many of those \
             removed another such flow. Then the established flows, of which none hears or says \
             anything during the first two floods, and {HANDSHAKES} unanswered SYNs that 500 \
             quiet hosts sent just before each flood: how many there were before, after, and how \
             many of those before are gone. Counted flow by flow in the tables themselves."
        )],
        columns: vec![
            Column::Words("flood from"),
            Column::Numbers("opened"),
            Column::Numbers("beyond allowance"),
            Column::Numbers("removed"),
            Column::Numbers("established before"),
            Column::Numbers("after"),
            Column::Numbers("lost"),
            Column::Numbers("handshakes before"),
            Column::Numbers("after"),
            Column::Numbers("lost"),
        ],
        rows: rows.collect(),
        pictures: Vec::new(),
    }
}
