//! What was reported, what is to be, and what waits to be written.

mod windows;

use std::{
    mem,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use gateway_common::{config::Config, observe::PacketRecord, timeouts::Ticks};
use tracing::warn;

use super::{
    FlowLogStats, Place, Written,
    baseline::{Baseline, Baselines, FlowId},
    journal::{self, Append, Batch, Entry, Journal, Mark},
    line::{Clock, Writer},
    recovery::{self, Known},
    reject::Rejects,
};
use crate::settings::{FlowLogSettings, Settings};

/// Bytes of lines that may wait to be written.
const PENDING_BYTES_MAX: usize = 32 << 20;
/// The same while they cannot be written.
const FAILING_BYTES_MAX: usize = 256 << 10;
/// Bytes of lines about live flows that are remembered together.
const BATCH_BYTES: usize = 256 << 10;
/// The journal is written anew when it is longer than this and twice what is in it.
const JOURNAL_BYTES_MIN: u64 = 16 << 20;
/// About how many bytes a baseline takes in the journal.
const BASELINE_BYTES: u64 = 40;
/// Baselines in one entry.
const BASELINES_TOGETHER: usize = 8_192;

/// Whose accounts these are.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The gateway's name.
    pub gateway: String,
    /// What tells this boot of the machine from others.
    pub boot_id: String,
    /// Random bytes for a journal that begins.
    pub secret: [u8; 16],
    /// The packet path's clock.
    pub at: Ticks,
    /// The time of that.
    pub now: SystemTime,
    /// The configuration in force.
    pub config: Config,
}

/// What waits to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// How many bytes that are at most, a header included.
    pub bytes: usize,
}

/// The accounts behind a flow log.
///
/// A window ends with the first pass over the flow tables that begins after its time is over. In a
/// window a flow has a line for each direction with packets that no earlier line had, and so has its
/// end; together these are the flow's counters, whatever becomes of this process. Before
/// [`Ledger::ended`](crate::daemon::Ledger::ended) returns, what it reported is in the journal, and so is each line before it is
/// written. Lines that cannot be written are counted, and a line says that something is missing.
pub struct Accounts {
    writer: Writer,
    /// What stands for the uplink in lines about flows.
    interface: String,
    /// Names of rules, in their order.
    rules: Vec<String>,
    boot_id: String,
    baselines: Baselines,
    last: Option<(u64, FlowId)>,
    journal: Journal,
    batch: Batch,
    /// Lines that wait to be written, and those that are being written, which come first.
    pending: String,
    under_way: Option<(usize, String)>,
    /// The header that was written last.
    header: String,
    is_failing: bool,
    clock: Clock,
    config: Config,
    mark: Mark,
    window_end: u64,
    is_reporting: bool,
    rejects: Rejects,
    is_blind: bool,
    stats: Arc<FlowLogStats>,
}

impl Accounts {
    /// Goes on with what an earlier process left in the state directory, or begins.
    #[must_use]
    pub fn open(
        origin: Origin,
        log: FlowLogSettings,
        settings: &Settings,
        stats: Arc<FlowLogStats>,
    ) -> Self {
        let path = journal_path(&log, &origin.gateway);
        let entries = journal::read(&path).unwrap_or_else(|error| {
            warn!(path = %path.display(), "cannot read what the flow log reported: {error}");
            Vec::new()
        });
        let Known { baselines, last, pending, header, mark, unknown_lines, is_continued } =
            recovery::recover(entries, &origin.boot_id, origin.secret);
        let now = unix_secs(origin.now);
        let mut accounts = Self {
            interface: interface_of(settings, &origin.gateway),
            rules: rules_of(settings),
            writer: Writer::new(log),
            boot_id: origin.boot_id,
            baselines,
            last,
            journal: Journal::new(path),
            batch: Batch::default(),
            pending,
            under_way: None,
            header,
            is_failing: false,
            clock: Clock::new(origin.at, origin.now, &origin.config),
            config: origin.config,
            mark,
            window_end: 0,
            is_reporting: false,
            rejects: Rejects::default(),
            is_blind: false,
            stats,
        };
        // What was written down may be of a clock that was ahead.
        accounts.mark.window_start = accounts.mark.window_start.min(now);
        if !is_continued {
            accounts.mark.window_start = now;
        } else if accounts.writer.settings().rejects || unknown_lines != 0 {
            // Nobody saw what was dropped in between.
            accounts.stats.lost(unknown_lines);
            accounts.skip();
        }
        // What is recycled is counted by each process for itself.
        accounts.mark.recycled = 0;
        accounts.window_end = accounts.end_after(now);
        accounts.rewrite();
        accounts
    }

    /// Takes other settings, except for the state directory.
    pub fn configure(&mut self, log: FlowLogSettings, settings: &Settings, gateway: &str) {
        self.commit();
        self.interface = interface_of(settings, gateway);
        self.rules = rules_of(settings);
        if *self.writer.settings() != log {
            self.writer = Writer::new(log);
            self.window_end = self.end_after(self.mark.window_start);
        }
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> &FlowLogSettings {
        self.writer.settings()
    }

    /// How long the window still is, by the clock on the wall. It is over when that was set back:
    /// nothing would be told until the clock has caught up.
    #[must_use]
    pub fn window_left(&self, now: SystemTime) -> Duration {
        if self.is_clock_set_back(now) {
            return Duration::ZERO;
        }
        let unix = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        Duration::from_secs(self.window_end).saturating_sub(unix)
    }

    /// Whether the clock shows a time so long before the window that it was set back. By less than
    /// that clocks are corrected all the time.
    fn is_clock_set_back(&self, now: SystemTime) -> bool {
        const CORRECTED_SECS: u64 = 2;
        unix_secs(now) + self.interval() + CORRECTED_SECS < self.window_end
    }

    /// A packet was dropped.
    pub fn rejected(&mut self, record: &PacketRecord) {
        self.rejects.add(record, self.writer.tells_why(), &self.clock);
    }

    /// So many packets were dropped that nobody saw.
    pub fn rejects_missed(&mut self, packets: u64) {
        self.rejects.miss(packets);
    }

    /// Whether dropped packets cannot be seen although they should be.
    pub fn set_blind(&mut self, is_blind: bool) {
        self.is_blind = is_blind;
    }

    /// What waits to be written.
    #[must_use]
    pub fn due(&self) -> Option<Due> {
        let bytes = self.pending.len() + self.writer.header().len();
        (!self.pending.is_empty() && self.under_way.is_none()).then_some(Due { bytes })
    }

    /// Begins to write everything that waits to a place, and gives the text.
    #[must_use]
    pub fn begin_append(&mut self, place: &Place) -> String {
        let header = self.writer.header();
        let is_new = place.offset == 0 || header != self.header;
        let written = if is_new { header.as_str() } else { "" };
        let text = [written, self.pending.as_str()].concat();
        self.journal.append(&Entry::Append(Append {
            path: place.path.clone(),
            identity: place.identity,
            offset: place.offset,
            header: written.to_owned(),
        }));
        self.under_way = Some((written.len(), header));
        text
    }

    /// Tells how writing went.
    pub fn settle(&mut self, written: &Written) {
        let Some((header_bytes, header)) = self.under_way.take() else { return };
        let bytes = written.bytes.saturating_sub(header_bytes);
        let lines = lines_in(&self.pending[..bytes]);
        self.pending.drain(..bytes);
        if written.bytes >= header_bytes && written.bytes != 0 {
            self.header = header;
        }
        let (written_bytes, header) = (bytes as u64, self.header.clone());
        self.journal.append(&Entry::Settled { written: written_bytes, header });
        self.stats.written(lines, written.bytes as u64);
        self.set_failing(written.error.is_some());
    }

    /// Tells whether lines can be written. If not, few wait until they can.
    pub fn set_failing(&mut self, is_failing: bool) {
        self.is_failing = is_failing;
        if is_failing && self.under_way.is_none() {
            self.drop_beyond(FAILING_BYTES_MAX);
        }
    }

    /// Gives up the oldest lines beyond so many bytes.
    fn drop_beyond(&mut self, bytes_max: usize) {
        let Some(over) = self.pending.len().checked_sub(bytes_max).filter(|over| *over != 0) else {
            return;
        };
        let behind = &self.pending.as_bytes()[over..];
        let end = behind.iter().position(|byte| *byte == b'\n');
        let bytes = end.map_or(self.pending.len(), |at| over + at + 1);
        let lost = lines_in(&self.pending[..bytes]);
        self.pending.drain(..bytes);
        self.journal.append(&Entry::Dropped { bytes: bytes as u64 });
        self.stats.lost(lost);
        self.skip();
    }

    /// Writes the journal anew if it has become long, or could not be written.
    pub fn tidy(&mut self) {
        let useful = self.baselines.len() as u64 * BASELINE_BYTES + self.pending.len() as u64;
        let is_long = self.journal.bytes() > JOURNAL_BYTES_MIN.max(2 * useful);
        if self.under_way.is_none() && (is_long || !self.journal.is_kept()) {
            self.rewrite();
        }
    }

    /// Makes lines of what is summed up, as is due before a process ends in order.
    pub fn suspend(&mut self) {
        self.close_rejects();
        self.commit();
    }

    fn rewrite(&mut self) {
        let start = Entry::Start { boot_id: self.boot_id.clone(), secret: self.baselines.secret() };
        let mut baselines = self.baselines.iter().map(|(id, Baseline(values))| (id, values));
        let parts = std::iter::from_fn(|| {
            let set: Vec<_> = baselines.by_ref().take(BASELINES_TOGETHER).collect();
            (!set.is_empty()).then(|| Entry::Lines(Batch { set, ..Batch::default() }))
        });
        let text = self.pending.clone();
        let rest = Entry::Lines(Batch { last: self.last, text, ..Batch::default() });
        let header = Entry::Settled { written: 0, header: self.header.clone() };
        let ends = [rest, header, Entry::Mark(self.mark.clone())];
        let entries = std::iter::once(start).chain(parts).chain(ends);
        self.journal.rewrite(entries);
    }

    /// Something is missing in the window.
    fn skip(&mut self) {
        if self.mark.skip_since.is_none() {
            self.mark.skip_since = Some(self.mark.window_start);
            self.journal.append(&Entry::Mark(self.mark.clone()));
        }
    }

    /// Remembers what is reported since this was done last.
    fn commit(&mut self) {
        if self.batch == Batch::default() {
            return;
        }
        let mut batch = mem::take(&mut self.batch);
        self.mark.has_lines |= !batch.text.is_empty();
        let bytes_max = if self.is_failing { FAILING_BYTES_MAX } else { PENDING_BYTES_MAX };
        if self.pending.len() + batch.text.len() > bytes_max {
            self.stats.lost(lines_in(&batch.text));
            batch.text.clear();
            self.skip();
        }
        let entry = Entry::Lines(batch);
        self.journal.append(&entry);
        if let Entry::Lines(batch) = entry {
            self.pending.push_str(&batch.text);
        }
    }

    fn interval(&self) -> u64 {
        self.writer.settings().interval_secs.into()
    }

    /// The end of the window that has a moment in it: a multiple of the interval.
    fn end_after(&self, unix_secs: u64) -> u64 {
        (unix_secs / self.interval() + 1) * self.interval()
    }
}

/// Where the accounts of a gateway are remembered.
fn journal_path(log: &FlowLogSettings, gateway: &str) -> PathBuf {
    log.state_dir.join(gateway).join("flow-log")
}

/// Flows do not know their uplink: where there are several, the gateway's name stands for it.
fn interface_of(settings: &Settings, gateway: &str) -> String {
    match settings.uplinks.as_slice() {
        [only] => only.clone(),
        _ => gateway.to_owned(),
    }
}

/// The names of rules, or their numbers as `rule show` has them.
fn rules_of(settings: &Settings) -> Vec<String> {
    let rules = settings.policy.rules.iter().enumerate();
    rules.map(|(at, rule)| rule.name.clone().unwrap_or_else(|| (at + 1).to_string())).collect()
}

fn lines_in(text: &str) -> u64 {
    text.bytes().filter(|byte| *byte == b'\n').count() as u64
}

fn unix_secs(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
