//! A process that is killed at every moment there is, and sums that are right nevertheless.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use gateway_common::{
    config::Config,
    counter::FlowEvent,
    flow::FlowEntry,
    record::FlowRecord,
    tables::Table,
    timeouts::Ticks,
    tuple::{Address, FlowKey},
};
use tempfile::TempDir;

use crate::{
    daemon::{FlowSight, Ledger, PassStart, PassSummary, TableCount},
    flow_log::{Accounts, FlowLogStats, Origin, Place, Sink, Written},
    settings::{FlowLogSettings, LogPath, Settings},
};

const TICKS_PER_SEC: u32 = 100;
pub(super) const INTERVAL_SECS: u64 = 60;
/// When the clock of these tests is zero, in seconds since 1970: a multiple of a minute.
const EPOCH_SECS: u64 = 1_700_000_040;

/// Where a process may be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kill {
    /// Between two calls.
    Between,
    /// In a call with the record of an end, before it is in the journal.
    BeforeRecord,
    /// In the same call, behind that; the record comes again.
    AfterRecord,
    /// While it writes to the journal.
    InJournal,
    /// Before a pass is complete.
    InPass,
    /// After so much of a text was written, in thousandths.
    InText(usize),
    /// When everything was written, before that is in the journal.
    AfterText,
    /// The same, behind a rotation of the file.
    AfterRotation,
}

#[test]
fn sums_are_the_counters_whenever_the_process_is_killed() {
    for seed in 0..60 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut world = World::new();
        for _ in 0..120 {
            world.step(&mut random);
        }
        world.end_in_order();
        assert_eq!(world.logged(), world.counted, "seed {seed}");
    }
}

#[test]
fn every_kill_alone_loses_and_doubles_nothing() {
    let mut kills = vec![
        Kill::Between,
        Kill::BeforeRecord,
        Kill::AfterRecord,
        Kill::InJournal,
        Kill::InPass,
        Kill::AfterText,
        Kill::AfterRotation,
    ];
    kills.extend((0..=1000).step_by(7).map(Kill::InText));
    for kill in kills {
        let mut world = World::new();
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..5 {
            world.open_flow(&mut random);
        }
        world.traffic(&mut random);
        world.pass(false);
        world.traffic(&mut random);
        world.kill(kill, &mut random);
        world.traffic(&mut random);
        world.end_flow(0, false);
        world.end_in_order();
        assert_eq!(world.logged(), world.counted, "{kill:?}");
    }
}

#[test]
fn what_cannot_be_written_is_counted_and_said() {
    let mut world = World::new();
    let mut random = fastrand::Rng::with_seed(1);
    world.flush();
    for _ in 0..4_000 {
        world.open_flow(&mut random);
    }
    world.pass(false);
    let full = Sink::new(&FlowLogSettings { path: LogPath::File("/dev/full".into()), ..log("/") });
    let usual = std::mem::replace(&mut world.sink, full);
    world.flush();
    let lost = world.stats.get().lost;
    assert!(lost > 0, "{:?}", world.stats.get());
    world.sink = usual;
    world.flush();
    world.pass(false);
    world.flush();
    let text = world.text();
    assert_eq!(text.lines().filter(|line| line.ends_with(" SKIPDATA")).count(), 1);
    let lines = text.lines().filter(|line| line.ends_with(" OK")).count() as u64;
    assert_eq!((lines + lost, world.stats.get().lost), (4_000, lost));
    // What was said once is not said again.
    world.pass(false);
    world.flush();
    assert!(world.text().ends_with(" NODATA\n"), "{}", world.text());
}

#[test]
fn another_boot_has_other_flows() {
    let mut world = World::new();
    let mut random = fastrand::Rng::with_seed(1);
    world.open_flow(&mut random);
    world.pass(false);
    world.flush();
    let before = world.logged();
    assert_eq!(before, world.counted);
    world.boot += 1;
    world.reopen();
    // The same flow at the same tick of another boot is another flow.
    world.pass(false);
    world.flush();
    let doubled = before.iter().map(|(port, bytes)| (*port, bytes * 2)).collect();
    assert_eq!(world.logged(), doubled);
}

#[test]
fn flows_without_news_have_no_line_and_windows_follow_each_other() {
    let mut world = World::new();
    let mut random = fastrand::Rng::with_seed(1);
    world.open_flow(&mut random);
    for _ in 0..3 {
        world.pass(false);
        world.flush();
    }
    let text = world.text();
    let statuses: Vec<_> = text.lines().map(|line| line.rsplit(' ').next()).collect();
    assert_eq!(statuses, [Some("OK"), Some("NODATA"), Some("NODATA")]);
    let time = |line: &str, word: usize| -> u64 {
        line.split(' ').nth(word).and_then(|word| word.parse().ok()).expect("a time")
    };
    let times: Vec<_> = text.lines().skip(1).map(|line| (time(line, 10), time(line, 11))).collect();
    assert_eq!(times[0].1, times[1].0);
    assert!(times.iter().all(|(start, end)| start + INTERVAL_SECS == *end && start % 60 == 0));
}

/// A gateway with flows, and a process that logs them.
pub(super) struct World {
    home: TempDir,
    settings: FlowLogSettings,
    pub(super) accounts: Accounts,
    sink: Sink,
    stats: Arc<FlowLogStats>,
    flows: Vec<(FlowKey, FlowEntry)>,
    /// Bytes by the port inside, as the kernel counted them.
    pub(super) counted: BTreeMap<u16, u64>,
    pub(super) secs: u64,
    /// By how much the clock on the wall is ahead.
    pub(super) ahead_secs: i64,
    serial: u64,
    port: u16,
    boot: u32,
}

impl World {
    pub(super) fn new() -> Self {
        let home = tempfile::tempdir().expect("temporary directory");
        let settings = log(home.path().to_str().expect("a plain path"));
        let stats = Arc::default();
        let secs = 600;
        let accounts = open(&settings, &stats, (secs, time(secs)), 0);
        Self {
            sink: Sink::new(&settings),
            home,
            accounts,
            settings,
            stats,
            flows: Vec::new(),
            counted: BTreeMap::new(),
            secs,
            ahead_secs: 0,
            serial: 0,
            port: 1,
            boot: 0,
        }
    }

    /// Something that may happen.
    fn step(&mut self, random: &mut fastrand::Rng) {
        match random.u8(..12) {
            0..=3 => self.open_flow(random),
            4..=6 => self.traffic(random),
            7 if !self.flows.is_empty() => self.end_flow(random.usize(..self.flows.len()), false),
            8 => self.pass(false),
            9 => self.flush(),
            10 => self.accounts.tidy(),
            _ => {
                let kill = match random.u8(..8) {
                    0 => Kill::Between,
                    1 => Kill::BeforeRecord,
                    2 => Kill::AfterRecord,
                    3 => Kill::InJournal,
                    4 => Kill::InPass,
                    5 => Kill::AfterText,
                    6 => Kill::AfterRotation,
                    _ => Kill::InText(random.usize(..=1000)),
                };
                self.kill(kill, random);
            }
        }
    }

    pub(super) fn open_flow(&mut self, random: &mut fastrand::Rng) {
        self.port += 1;
        let key = FlowKey {
            inside: Address::from_ipv4([10, 0, 0, 1]),
            outside: Address::from_ipv4([192, 0, 2, 1]),
            inside_port: self.port,
            outside_port: 53,
            protocol: 17,
            family: 4,
            ..FlowKey::default()
        };
        let entry = FlowEntry { created: self.now(), ..FlowEntry::default() };
        self.flows.push((key, entry));
        self.packet(self.flows.len() - 1, random.u64(1..1_500), true);
    }

    fn packet(&mut self, flow: usize, bytes: u64, is_outbound: bool) {
        let now = self.now();
        let (key, entry) = &mut self.flows[flow];
        let half = if is_outbound { &mut entry.outbound } else { &mut entry.inbound };
        half.packets += 1;
        half.bytes += bytes;
        half.seen = now;
        *self.counted.entry(key.inside_port).or_default() += bytes;
    }

    fn traffic(&mut self, random: &mut fastrand::Rng) {
        self.secs += random.u64(..20);
        for flow in 0..self.flows.len() {
            for _ in 0..random.u8(..3) {
                self.packet(flow, random.u64(1..1_500), random.bool());
            }
        }
    }

    /// A flow ends, and its record comes once, or again to the next process.
    fn end_flow(&mut self, flow: usize, is_repeated: bool) {
        let (key, entry) = self.flows.swap_remove(flow);
        let event = FlowEvent::Expired as u32;
        let record = FlowRecord { serial: self.serial, at: self.now(), entry, key, event };
        self.serial += 1;
        self.accounts.ended(&record);
        if is_repeated {
            self.reopen();
            self.accounts.ended(&record);
        }
    }

    /// The window's end comes, and a pass over the tables; killed in the middle of it or not.
    pub(super) fn pass(&mut self, is_killed: bool) {
        self.secs += self.accounts.window_left(self.time()).as_secs();
        let start = PassStart { number: 0, at: self.now(), config: config() };
        self.accounts.begin_at(&start, self.time());
        let met = if is_killed { self.flows.len() / 2 } else { self.flows.len() };
        for (key, entry) in &self.flows[..met] {
            let at = self.now();
            let table = Table::Established;
            self.accounts.flow(&FlowSight { table, key, entry, is_live: true, at });
        }
        if is_killed {
            self.reopen();
        } else {
            self.accounts.finish(&summary(self.now()));
        }
    }

    pub(super) fn flush(&mut self) {
        if let Some((place, text)) = self.begin() {
            let written = self.sink.write(&place, text.as_bytes());
            self.accounts.settle(&written);
        }
    }

    fn begin(&mut self) -> Option<(Place, String)> {
        let due = self.accounts.due()?;
        let place = self.sink.prepare(due.bytes).expect("it is writable");
        let text = self.accounts.begin_append(&place);
        Some((place, text))
    }

    /// The process is killed, and another one goes on.
    fn kill(&mut self, kill: Kill, random: &mut fastrand::Rng) {
        match kill {
            Kill::Between => self.reopen(),
            Kill::BeforeRecord if !self.flows.is_empty() => {
                // The call did nothing; the next process gets the record.
                self.reopen();
                self.end_flow(0, false);
            }
            Kill::AfterRecord if !self.flows.is_empty() => self.end_flow(0, true),
            Kill::InPass => self.pass(true),
            Kill::InJournal if !self.flows.is_empty() => self.cut_journal(random),
            Kill::InText(thousandths) => {
                if let Some((_, text)) = self.begin() {
                    self.append(&text.as_bytes()[..text.len() * thousandths / 1000]);
                }
                self.reopen();
            }
            Kill::AfterText | Kill::AfterRotation => {
                if let Some((place, text)) = self.begin() {
                    let Written { bytes, .. } = self.sink.write(&place, text.as_bytes());
                    assert_eq!(bytes, text.len());
                }
                let (path, earlier) = (self.path(), self.path().with_extension("log.1"));
                if kill == Kill::AfterRotation && path.exists() {
                    fs::rename(&path, &earlier).expect("it is ours");
                    self.reopen();
                    self.flush();
                    // Put together again, for the sums.
                    let later = fs::read(&path).unwrap_or_default();
                    fs::rename(&earlier, &path).expect("it is ours");
                    self.append(&later);
                }
                self.reopen();
            }
            Kill::BeforeRecord | Kill::AfterRecord | Kill::InJournal => self.reopen(),
        }
    }

    /// The record of an end is written to the journal in part, and comes again.
    fn cut_journal(&mut self, random: &mut fastrand::Rng) {
        let journal = self.home.path().join("state").join("wan").join("flow-log");
        let before = fs::metadata(&journal).expect("it is kept").len();
        let (key, entry) = self.flows[0];
        let record = FlowRecord { serial: self.serial, at: self.now(), entry, key, event: 7 };
        self.accounts.ended(&record);
        let after = fs::metadata(&journal).expect("it is kept").len();
        assert!(after > before);
        let file = fs::File::options().write(true).open(&journal).expect("it is ours");
        file.set_len(random.u64(before..after)).expect("it is ours");
        self.reopen();
        self.end_flow(0, false);
    }

    fn append(&self, bytes: &[u8]) {
        let mut options = fs::OpenOptions::new();
        let file = options.create(true).append(true).open(self.path());
        file.expect("it is writable").write_all(bytes).expect("it is writable");
    }

    pub(super) fn reopen(&mut self) {
        self.accounts = open(&self.settings, &self.stats, (self.secs, self.time()), self.boot);
        self.sink = Sink::new(&self.settings);
    }

    fn end_in_order(&mut self) {
        self.pass(false);
        self.accounts.suspend();
        self.flush();
    }

    fn path(&self) -> PathBuf {
        self.home.path().join("flows.log")
    }

    pub(super) fn text(&self) -> String {
        fs::read_to_string(self.path()).expect("text")
    }

    /// Bytes by the port inside, as the lines have them.
    pub(super) fn logged(&self) -> BTreeMap<u16, u64> {
        let mut sums = BTreeMap::new();
        for line in self.text().lines() {
            let words: Vec<_> = line.split(' ').collect();
            assert_eq!(words.len(), 14, "{line}");
            if words[13] != "OK" {
                continue;
            }
            let port = if words[5] == "53" { words[6] } else { words[5] };
            let bytes: u64 = words[9].parse().expect("a number");
            *sums.entry(port.parse().expect("a port")).or_default() += bytes;
        }
        sums
    }

    fn now(&self) -> Ticks {
        Ticks(self.secs * u64::from(TICKS_PER_SEC))
    }

    pub(super) fn time(&self) -> SystemTime {
        let ahead = Duration::from_secs(self.ahead_secs.unsigned_abs());
        if self.ahead_secs < 0 { time(self.secs) - ahead } else { time(self.secs) + ahead }
    }
}

fn time(secs: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(EPOCH_SECS + secs)
}

fn config() -> Config {
    Config::new(TICKS_PER_SEC)
}

fn log(directory: &str) -> FlowLogSettings {
    FlowLogSettings {
        path: LogPath::File(PathBuf::from(directory).join("flows.log")),
        state_dir: PathBuf::from(directory).join("state"),
        rejects: false,
        ..FlowLogSettings::default()
    }
}

fn open(
    log: &FlowLogSettings,
    stats: &Arc<FlowLogStats>,
    (secs, now): (u64, SystemTime),
    boot: u32,
) -> Accounts {
    let origin = Origin {
        gateway: "wan".to_owned(),
        boot_id: format!("boot {boot}"),
        secret: [5; 16],
        at: Ticks(secs * u64::from(TICKS_PER_SEC)),
        now,
        config: config(),
    };
    Accounts::open(origin, log.clone(), &Settings::default(), Arc::clone(stats))
}

fn summary(at: Ticks) -> PassSummary {
    PassSummary {
        number: 0,
        begun: at,
        at,
        duration: Duration::ZERO,
        cpu: Duration::ZERO,
        half_open: TableCount::default(),
        established: TableCount::default(),
        reclaimed: 0,
        filter_bits: 0,
        events: Vec::new(),
        recycled: 0,
    }
}
