//! Removes flows whose time is over, and tells ledgers of every flow and of every end.
//!
//! ```text
//! RECORDS ─► drain ─────────────────► Ledgers::ended       at least four times a second
//! tables ──► Pass ─┬─ each flow ────► Ledgers::flow        every few seconds, or as often as it can
//!                  ├─ each key ─────► Presence          a filter without those that ended
//!                  └─ those over ───► Gateway::reclaim ─► RECORDS
//! ```
//!
//! Nothing depends on it but memory: the packet path takes a flow whose time is over for absent. The
//! program that reclaims looks again whether a flow's time is over, and makes sure that each ends
//! once, so a packet that revives a flow meanwhile wins. The ring is empty whenever flows are
//! reclaimed, so that the sweeper's own records always find room.

mod drain;
mod ledger;
mod pace;
mod pass;
mod stats;
mod tally;

use std::{
    mem,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use drain::{Serials, Waiting};
use gateway_common::{
    limits::{RECLAIMED_MAX, RECORDS_BYTES},
    record::FlowRecord,
    tuple::FlowKey,
};
use pace::Pace;
use pass::Pass;
use tracing::debug;

pub use self::{
    ledger::{FlowSight, Ledger, Ledgers, PassStart, PassSummary, TableCount},
    pace::Budget,
    stats::{SweeperStats, Sweeping},
    tally::Tally,
};
use super::ServiceContext;
use crate::datapath::{
    DatapathError, FlowBatches, Gateway, GatewayName, Presence, Records, TableSizes,
};

/// The time between two looks at the records.
const LOOK: Duration = Duration::from_millis(200);
/// The same while many come: the ring would be full after twenty thousand.
const SOON: Duration = Duration::from_millis(20);

/// Sweeps the tables of the daemon's gateway until it shall stop.
///
/// # Errors
/// The gateway cannot be read.
pub(super) fn run(context: &ServiceContext, sweeping: &Sweeping) -> anyhow::Result<()> {
    let budget = Budget::default();
    let mut sweeper = Sweeper::open(&context.bpffs, &context.name, budget, sweeping.clone())?;
    while !context.is_stopped() {
        thread::sleep(sweeper.step()?);
    }
    sweeper.close();
    Ok(())
}

/// Sweeps the tables of a gateway. Only one process may, and one thread of it.
pub struct Sweeper {
    gateway: Gateway,
    sizes: TableSizes,
    records: Records,
    presence: Presence,
    sweeping: Sweeping,
    stats: SweeperStats,
    serials: Serials,
    tally: Tally,
    pace: Pace,
    /// Whether flows whose time is over take too many places.
    is_pressed: bool,
    state: State,
    next_pass: Instant,
}

enum State {
    Resting(FlowBatches),
    Passing(Box<Pass>),
}

impl Sweeper {
    /// Begins to sweep, and to take the records. `sweeping` belongs to this gateway alone.
    ///
    /// # Errors
    /// [`DatapathError::NotAttached`] or [`DatapathError::Damaged`].
    pub fn open(
        bpffs: &Path,
        name: &GatewayName,
        budget: Budget,
        sweeping: Sweeping,
    ) -> Result<Self, DatapathError> {
        let gateway = Gateway::open(bpffs, name)?;
        let now = Instant::now();
        // What another one did before that failed.
        let stats = sweeping.stats();
        let recycled = stats.last_pass.as_ref().map_or(0, |pass| pass.recycled);
        Ok(Self {
            sizes: gateway.table_sizes()?,
            gateway,
            records: Records::open(bpffs, name)?,
            presence: Presence::open(bpffs, name)?,
            sweeping,
            serials: Serials::after(stats.records_missing),
            tally: Tally::after(recycled),
            stats,
            pace: Pace::new(budget, now),
            is_pressed: false,
            state: State::Resting(FlowBatches::new()),
            next_pass: now,
        })
    }

    /// Does what is due, and tells how long to wait then. The thread's CPU time from beginning to end
    /// is what it takes for its cost.
    ///
    /// # Errors
    /// [`DatapathError::Map`] or [`DatapathError::Program`].
    pub fn step(&mut self) -> Result<Duration, DatapathError> {
        let before = pace::cpu_time();
        let taken = self.drain();
        self.stats.records_waiting = taken;
        self.stats.records_waiting_max = self.stats.records_waiting_max.max(taken);
        let mut waiting = Waiting::of(taken);
        let is_due = self.pace.rest(Instant::now()).is_zero();
        if is_due && waiting != Waiting::TooMany {
            waiting = self.advance()?.unwrap_or(waiting);
        }
        let (cost, now) = (pace::cpu_time().saturating_sub(before), Instant::now());
        self.stats.cpu += cost;
        if let State::Passing(pass) = &mut self.state {
            pass.cpu += cost;
            self.is_pressed |= pass.is_pressing(self.sizes);
        }
        self.pace.pay(cost, self.is_pressed, now);
        self.sweeping.publish(&self.stats);
        Ok(match waiting {
            Waiting::TooMany => Duration::ZERO,
            Waiting::Many => SOON.min(self.wait(now)),
            Waiting::Few => LOOK.min(self.wait(now)),
        })
    }

    /// Takes what records there are.
    pub fn close(mut self) {
        // Not without end: others may go on writing.
        let waiting_max = (RECORDS_BYTES / size_of::<FlowRecord>()) as u64;
        for _ in 0..=waiting_max / drain::TAKEN_MAX {
            if Waiting::of(self.drain()) != Waiting::TooMany {
                break;
            }
        }
        self.sweeping.publish(&self.stats);
    }

    /// How long the tables can wait.
    fn wait(&self, now: Instant) -> Duration {
        let until_pass = match self.state {
            State::Resting(_) => self.next_pass().saturating_duration_since(now),
            State::Passing(_) => Duration::ZERO,
        };
        self.pace.rest(now).max(until_pass)
    }

    /// When the next pass begins.
    fn next_pass(&self) -> Instant {
        self.sweeping.wanted().map_or(self.next_pass, |wanted| wanted.min(self.next_pass))
    }

    fn drain(&mut self) -> u64 {
        let Self { records, sweeping, tally, serials, stats, .. } = self;
        drain::drain(records, &sweeping.ledgers, tally, serials, stats)
    }

    /// Goes on with the pass, or begins the next one if it is time; tells about the records if flows
    /// were reclaimed.
    fn advance(&mut self) -> Result<Option<Waiting>, DatapathError> {
        let state = mem::replace(&mut self.state, State::Resting(FlowBatches::new()));
        let ledgers = &self.sweeping.ledgers;
        let mut pass = match state {
            State::Resting(batches) if Instant::now() < self.next_pass() => {
                self.state = State::Resting(batches);
                return Ok(None);
            }
            State::Resting(batches) => {
                self.sweeping.begin_wanted(Instant::now());
                let number = self.stats.passes;
                let rebuilding = self.presence.begin()?;
                let (gateway, tally) = (&self.gateway, &mut self.tally);
                Box::new(Pass::begin(number, batches, rebuilding, gateway, ledgers, tally)?)
            }
            State::Passing(pass) => pass,
        };
        let entries_before = pass.entries;
        let (gateway, presence, tally) = (&self.gateway, &self.presence, &mut self.tally);
        let Some(over) = pass.next(gateway, presence, ledgers, tally)? else {
            return self.finish(*pass).map(|()| None);
        };
        self.stats.entries += pass.entries - entries_before;
        let (reclaimed, waiting) = self.reclaim(&over)?;
        pass.reclaimed += reclaimed;
        self.state = State::Passing(pass);
        Ok(waiting)
    }

    /// Reclaims flows, never faster than their records are taken. If others end flows so fast that
    /// records cannot be taken in time, the rest is left to the next pass.
    fn reclaim(&mut self, keys: &[FlowKey]) -> Result<(u64, Option<Waiting>), DatapathError> {
        let (mut reclaimed, mut waiting) = (0, None);
        for keys in keys.chunks(RECLAIMED_MAX) {
            reclaimed += self.gateway.reclaim(keys)? as u64;
            waiting = Some(Waiting::of(self.drain()));
            if waiting == Some(Waiting::TooMany) {
                break;
            }
        }
        self.stats.reclaimed += reclaimed;
        Ok((reclaimed, waiting))
    }

    fn finish(&mut self, pass: Pass) -> Result<(), DatapathError> {
        self.is_pressed = pass.is_pressing(self.sizes);
        self.next_pass = self.pace.next_pass(pass.begun());
        // What ended so far is in the ledgers when they hear that the pass is complete.
        self.drain();
        let (summary, batches) = pass.finish(&self.gateway, &mut self.presence, &mut self.tally)?;
        debug!(
            number = summary.number,
            live = summary.half_open.live + summary.established.live,
            reclaimed = summary.reclaimed,
            recycled = summary.recycled,
            "passed over the flow tables in {:?} ({:?} of CPU time)",
            summary.duration,
            summary.cpu
        );
        self.sweeping.ledgers.finish(&summary);
        self.stats.passes += 1;
        self.stats.last_pass = Some(summary);
        self.state = State::Resting(batches);
        Ok(())
    }
}
