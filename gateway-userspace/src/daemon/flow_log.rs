//! The flow log of `eigw run`: gives the accounts what they need, and writes their lines.

use std::{
    fs, io, mem,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant, SystemTime},
};

use anyhow::Context as _;
use gateway_common::{
    observe::{Watch, WatchCount, want},
    record::FlowRecord,
};
use tracing::{info, warn};

use super::{
    InForce, ServiceContext,
    sweeper::{FlowSight, Ledger, PassStart, PassSummary, Sweeping},
};
use crate::{
    datapath::{Gateway, GatewayName, Observation, Observer},
    flow_log::{Accounts, FlowLogStats, Origin, Sink},
    random,
    settings::{FlowLogSettings, LogPath},
};

/// The time between two looks at dropped packets and at lines.
const LOOK: Duration = Duration::from_millis(100);
/// Dropped packets that are looked at in a second, and at once: not more than the ring has room for.
const REJECTS_PER_SEC: u32 = 2_000;
/// The time between two attempts to watch or to write after one failed.
const RETRY: Duration = Duration::from_secs(1);
/// How long the last lines wait for the sweeper's end.
const CLOSE_WITHIN: Duration = Duration::from_secs(3);

/// The accounts, while they are kept.
#[derive(Default)]
struct Log {
    accounts: Option<Accounts>,
    /// Whether the sweeper runs.
    is_open: bool,
}

impl Ledger for Log {
    fn begin(&mut self, start: &PassStart) {
        if let Some(accounts) = &mut self.accounts {
            accounts.begin(start);
        }
    }

    fn flow(&mut self, flow: &FlowSight<'_>) {
        if let Some(accounts) = &mut self.accounts {
            accounts.flow(flow);
        }
    }

    fn ended(&mut self, record: &FlowRecord) {
        if let Some(accounts) = &mut self.accounts {
            accounts.ended(record);
        }
    }

    fn finish(&mut self, summary: &PassSummary) {
        if let Some(accounts) = &mut self.accounts {
            accounts.finish(summary);
        }
    }
}

/// The flow log of a gateway. Clones share it.
#[derive(Clone)]
pub(super) struct FlowLog(Arc<Mutex<Log>>);

/// A log whose ledger the sweeper fills.
pub(super) struct Open(FlowLog);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.lock().is_open = false;
    }
}

impl FlowLog {
    /// One that the sweeper will fill.
    pub(super) fn new(sweeping: &Sweeping) -> Self {
        let log = Arc::default();
        sweeping.ledgers.keep(&log);
        Self(log)
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to keep accounts if the settings want them, until the answer is dropped.
    ///
    /// # Errors
    /// The gateway cannot be read.
    pub(super) fn open(
        &self,
        context: &ServiceContext,
        stats: &Arc<FlowLogStats>,
    ) -> anyhow::Result<Open> {
        let mut log = self.lock();
        log.take(context, stats)?;
        log.is_open = true;
        Ok(Open(self.clone()))
    }

    /// Writes what the accounts have to say, until the service shall stop or nothing is wanted.
    ///
    /// # Errors
    /// The gateway cannot be read.
    pub(super) fn run(
        &self,
        context: &ServiceContext,
        sweeping: &Sweeping,
        stats: &Arc<FlowLogStats>,
    ) -> anyhow::Result<()> {
        let mut generation = context.in_force();
        self.lock().take(context, stats)?;
        let Some(settings) = generation.settings.flow_log.clone() else { return Ok(()) };
        let mut output = Output::new(settings);
        let mut watcher = Watcher::default();
        while !context.is_stopped() {
            let now = context.in_force();
            if !is_same(&generation, &now) {
                // Lines about what was dropped so far look as they would have.
                self.suspend();
                self.write(&mut output);
                self.lock().take(context, stats)?;
                let Some(settings) = now.settings.flow_log.clone() else { return Ok(()) };
                output.take(settings);
                generation = now;
            }
            watcher.look(self, context);
            self.ask(sweeping);
            self.write(&mut output);
            if let Some(accounts) = &mut self.lock().accounts {
                accounts.tidy();
            }
            thread::sleep(LOOK);
        }
        watcher.stop(self);
        let deadline = Instant::now() + CLOSE_WITHIN;
        while self.lock().is_open && Instant::now() < deadline {
            thread::sleep(LOOK);
        }
        self.suspend();
        self.write(&mut output);
        Ok(())
    }

    fn suspend(&self) {
        if let Some(accounts) = &mut self.lock().accounts {
            accounts.suspend();
        }
    }

    /// Has the sweeper read the tables when the window ends.
    fn ask(&self, sweeping: &Sweeping) {
        let now = SystemTime::now();
        let left = self.lock().accounts.as_ref().map(|accounts| accounts.window_left(now));
        if let Some(left) = left {
            sweeping.want_pass(Instant::now() + left);
        }
    }

    /// Writes the lines that wait.
    fn write(&self, output: &mut Output) {
        if output.rests_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        let due = self.lock().accounts.as_ref().and_then(Accounts::due);
        let Some(due) = due else { return };
        let error = match output.sink.prepare(due.bytes) {
            Err(error) => {
                if let Some(accounts) = &mut self.lock().accounts {
                    accounts.set_failing(true);
                }
                Some(error)
            }
            Ok(place) => {
                let text = self.lock().accounts.as_mut().map(|it| it.begin_append(&place));
                let written = output.sink.write(&place, text.unwrap_or_default().as_bytes());
                if let Some(accounts) = &mut self.lock().accounts {
                    accounts.settle(&written);
                }
                written.error
            }
        };
        output.note(error);
    }
}

fn is_same(before: &InForce, now: &InForce) -> bool {
    Arc::ptr_eq(&before.settings, &now.settings) && before.generation == now.generation
}

impl Log {
    /// Takes the settings in force.
    fn take(&mut self, context: &ServiceContext, stats: &Arc<FlowLogStats>) -> anyhow::Result<()> {
        let settings = context.in_force().settings;
        let Some(log) = settings.flow_log.clone() else {
            self.accounts = None;
            return Ok(());
        };
        let name = context.name.to_string();
        match &mut self.accounts {
            Some(accounts) if accounts.settings().state_dir == log.state_dir => {
                accounts.configure(log, &settings, &name);
            }
            accounts => {
                let origin = origin(&context.bpffs, &context.name)?;
                *accounts = Some(Accounts::open(origin, log, &settings, Arc::clone(stats)));
            }
        }
        Ok(())
    }
}

fn origin(bpffs: &Path, name: &GatewayName) -> anyhow::Result<Origin> {
    let gateway = Gateway::open(bpffs, name)?;
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id");
    Ok(Origin {
        gateway: name.to_string(),
        boot_id: boot_id.context("cannot tell which boot this is")?.trim().to_owned(),
        secret: random::bytes().context("cannot read random bytes")?,
        at: gateway.now()?,
        now: SystemTime::now(),
        config: gateway.config()?,
    })
}

/// Where lines go, and how that goes.
struct Output {
    settings: FlowLogSettings,
    sink: Sink,
    /// Whether the last attempt failed.
    is_failing: bool,
    rests_until: Option<Instant>,
}

impl Output {
    fn new(settings: FlowLogSettings) -> Self {
        let sink = Sink::new(&settings);
        Self { settings, sink, is_failing: false, rests_until: None }
    }

    fn take(&mut self, settings: FlowLogSettings) {
        if self.settings != settings {
            *self = Self::new(settings);
        }
    }

    /// Tells the operator when lines cannot be written, and when they can again.
    fn note(&mut self, error: Option<io::Error>) {
        let path = match &self.settings.path {
            LogPath::Stdout => Path::new("standard output"),
            LogPath::File(path) => path,
        };
        let path = path.display();
        self.rests_until = error.as_ref().map(|_| Instant::now() + RETRY);
        let was_failing = mem::replace(&mut self.is_failing, error.is_some());
        match error {
            Some(error) if !was_failing => warn!(
                %path,
                "cannot write the flow log, which goes on as soon as that works again; what does \
                 not fit into memory meanwhile is lost: {error}"
            ),
            None if was_failing => info!(%path, "the flow log can be written again"),
            _ => {}
        }
    }
}

/// Watches dropped packets.
#[derive(Default)]
struct Watcher {
    observer: Option<Observer>,
    counts: WatchCount,
    rests_until: Option<Instant>,
    is_told: bool,
}

impl Watcher {
    /// Takes what was dropped, and begins or ends to watch as the settings want.
    fn look(&mut self, log: &FlowLog, context: &ServiceContext) {
        let wants = log.lock().accounts.as_ref().is_some_and(|it| it.settings().rejects);
        if !wants {
            *self = Self::default();
            return;
        }
        if self.observer.is_none() && self.rests_until.is_none_or(|until| until < Instant::now()) {
            self.open(context);
        }
        if self.observer.is_none()
            && let Some(accounts) = &mut log.lock().accounts
        {
            accounts.set_blind(true);
        }
        self.drain(log);
    }

    fn open(&mut self, context: &ServiceContext) {
        let watch = Gateway::open(&context.bpffs, &context.name)
            .and_then(|gateway| gateway.config())
            .map(|config| {
                Watch::everything(want::DROPS).limited(REJECTS_PER_SEC, config.ticks_per_sec)
            });
        match watch.and_then(|watch| Observer::open(&context.bpffs, &context.name, &watch)) {
            Ok(observer) => {
                (self.observer, self.counts) = (Some(observer), WatchCount::default());
                self.is_told = false;
            }
            Err(error) => {
                if !mem::replace(&mut self.is_told, true) {
                    warn!("the flow log cannot see dropped packets: {error}");
                }
                self.rests_until = Some(Instant::now() + RETRY);
            }
        }
    }

    fn drain(&mut self, log: &FlowLog) {
        let Some(observer) = &mut self.observer else { return };
        let mut log = log.lock();
        let Some(accounts) = &mut log.accounts else { return };
        // Before the ring is read, so that a packet is never taken for missed before it is seen.
        let counts = observer.counts().unwrap_or(self.counts);
        while let Some(observation) = observer.next() {
            if let Observation::Packet(record) = observation {
                accounts.rejected(&record);
            }
        }
        let missed = |counts: &WatchCount| counts.limited + counts.lost;
        let more = missed(&counts).saturating_sub(missed(&self.counts));
        if more != 0 {
            accounts.rejects_missed(more);
        }
        self.counts = counts;
    }

    /// Takes what is left.
    fn stop(&mut self, log: &FlowLog) {
        if let Some(observer) = &mut self.observer {
            // A gateway that is gone has nothing left to stop.
            let _ = observer.stop();
        }
        self.drain(log);
        self.observer = None;
    }
}
