//! What the sweeper did and what it cost.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::ledger::{Ledgers, PassSummary};

/// What the sweeper of one gateway did since this process began to sweep it.
#[derive(Clone, Debug, Default)]
pub struct SweeperStats {
    /// Complete passes over the flow tables.
    pub passes: u64,
    /// Entries of the tables that were looked at.
    pub entries: u64,
    /// Flows that were reclaimed.
    pub reclaimed: u64,
    /// The CPU time of the sweeper's thread, ledgers included.
    pub cpu: Duration,
    /// Records of ended flows that were taken from the ring.
    pub records: u64,
    /// Serial numbers that are missing among these: records that found the ring full, or that another
    /// process took. The packet path's own count since the gateway was attached is that of
    /// [`FlowEvent::RecordLost`](gateway_common::counter::FlowEvent::RecordLost).
    pub records_missing: u64,
    /// Records that waited in the ring when it was last looked at, or as many as are taken in one go.
    pub records_waiting: u64,
    /// The most that ever did.
    pub records_waiting_max: u64,
    /// The last complete pass.
    pub last_pass: Option<PassSummary>,
}

/// What the sweeper has in common with other services. Clones share it.
#[derive(Clone, Default)]
pub struct Sweeping {
    /// Who keeps accounts of flows.
    pub ledgers: Ledgers,
    stats: Arc<Mutex<SweeperStats>>,
    /// When somebody wants the next pass to begin.
    wanted: Arc<Mutex<Option<Instant>>>,
}

impl Sweeping {
    /// What the sweeper did so far.
    #[must_use]
    pub fn stats(&self) -> SweeperStats {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Has a pass begin soon after a moment, even if none is due. Who asked last counts.
    pub fn want_pass(&self, at: Instant) {
        *self.wanted.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
    }

    /// When somebody wants a pass to begin.
    pub(super) fn wanted(&self) -> Option<Instant> {
        *self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was wanted before this moment begins.
    pub(super) fn begin_wanted(&self, now: Instant) {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        *wanted = wanted.filter(|at| *at > now);
    }

    /// Publishes what the sweeper did so far.
    pub(super) fn publish(&self, stats: &SweeperStats) {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner).clone_from(stats);
    }
}
