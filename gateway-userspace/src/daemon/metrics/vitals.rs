//! What the daemon's parts know and metrics tell.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use gateway_common::{flow::FlowState, tables::Table};

use crate::{
    daemon::{
        Accounts,
        sweeper::{FlowSight, Ledger, PassStart, PassSummary, SweeperStats, Sweeping},
    },
    flow_log::{FlowLogCounts, FlowLogStats},
    view::AccountsView,
};

/// What the daemon's parts tell the metrics. Clones share it.
#[derive(Clone, Default)]
pub(in crate::daemon) struct Vitals(Arc<Mutex<Known>>);

struct Known {
    /// When the daemon began.
    begun: SystemTime,
    reloads: Reloads,
    /// The gateway's sweeper and what it meets, while there is one.
    sweeping: Option<(Sweeping, Arc<Mutex<FlowCounts>>)>,
    /// What its flow log wrote, likewise.
    flow_log: Option<Arc<FlowLogStats>>,
    /// What its flows carried, likewise.
    accounts: Option<Accounts>,
}

impl Default for Known {
    fn default() -> Self {
        let begun = SystemTime::now();
        let reloads = Reloads::default();
        Self { begun, reloads, sweeping: None, flow_log: None, accounts: None }
    }
}

/// How reloads went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reloads {
    pub(super) succeeded: u64,
    pub(super) failed: u64,
    /// When the last one ended, and whether it succeeded.
    pub(super) last: Option<(SystemTime, bool)>,
}

impl Vitals {
    /// A reload ended.
    pub(in crate::daemon) fn reloaded(&self, is_success: bool) {
        let Reloads { succeeded, failed, last } = &mut self.known().reloads;
        *last = Some((SystemTime::now(), is_success));
        *if is_success { succeeded } else { failed } += 1;
    }

    /// A gateway is there, whose tables are swept so.
    pub(in crate::daemon) fn sweeping(&self, sweeping: &Sweeping) {
        let counts = Arc::default();
        sweeping.ledgers.keep(&counts);
        self.known().sweeping = Some((sweeping.clone(), counts));
    }

    /// Its flow log counts so.
    pub(in crate::daemon) fn flow_log(&self, stats: &Arc<FlowLogStats>) {
        self.known().flow_log = Some(Arc::clone(stats));
    }

    /// Accounts of its flows are kept here.
    pub(in crate::daemon) fn accounts(&self, accounts: &Accounts) {
        self.known().accounts = Some(accounts.clone());
    }

    /// The gateway is not there any more.
    pub(in crate::daemon) fn detached(&self) {
        let mut known = self.known();
        (known.sweeping, known.flow_log, known.accounts) = (None, None, None);
    }

    pub(super) fn begun(&self) -> SystemTime {
        self.known().begun
    }

    pub(super) fn reloads(&self) -> Reloads {
        self.known().reloads
    }

    /// What the flow log wrote.
    pub(super) fn logged(&self) -> Option<FlowLogCounts> {
        self.known().flow_log.as_ref().map(|stats| stats.get())
    }

    /// What flows carried, with at most `most` accounts in each list.
    pub(super) fn accounted(&self, most: usize) -> Option<AccountsView> {
        let accounts = self.known().accounts.clone()?;
        accounts.snapshot(most)
    }

    /// What the sweeper did, and what its last complete pass met.
    pub(super) fn swept(&self) -> Option<(SweeperStats, Option<CountedPass>)> {
        let (sweeping, counts) = self.known().sweeping.clone()?;
        let last = counts.lock().unwrap_or_else(PoisonError::into_inner).last.clone();
        Some((sweeping.stats(), last))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Live flows, by table and state.
pub(super) type Counts = [[u64; FlowState::ALL.len()]; 2];

/// What a complete pass met.
#[derive(Clone, Debug)]
pub(super) struct CountedPass {
    /// Live flows.
    pub(super) flows: Counts,
    /// When it ended.
    pub(super) at: SystemTime,
    /// What it came to.
    pub(super) summary: PassSummary,
}

/// Counts live flows by table and state.
#[derive(Debug, Default)]
pub(super) struct FlowCounts {
    counting: Counts,
    last: Option<CountedPass>,
}

impl Ledger for FlowCounts {
    fn begin(&mut self, _start: &PassStart) {
        self.counting = Counts::default();
    }

    fn flow(&mut self, flow: &FlowSight<'_>) {
        if flow.is_live {
            self.counting[place(flow.table)][flow.entry.state(flow.key) as usize] += 1;
        }
    }

    fn finish(&mut self, summary: &PassSummary) {
        let (flows, summary) = (self.counting, summary.clone());
        self.last = Some(CountedPass { flows, at: SystemTime::now(), summary });
    }
}

/// A table's place in [`Counts`].
pub(super) const fn place(table: Table) -> usize {
    match table {
        Table::HalfOpen => 0,
        Table::Established => 1,
    }
}
