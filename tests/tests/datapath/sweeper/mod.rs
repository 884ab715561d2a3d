//! The sweeper: every flow that ends is counted once, under whatever load, and gives its place back.

mod ends;
mod load;
mod places;
mod ring;

use std::{
    collections::HashSet,
    net::Ipv4Addr,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use aya::{TestRun as _, TestRunOptions, programs::SchedClassifier};
use gateway_common::{
    abi::name,
    config::Config,
    counter::FlowEvent,
    record::FlowRecord,
    timeouts::{Ticks, TimeoutClass},
    tuple::{Direction, FlowKey},
};
use gateway_userspace::{
    daemon::{Budget, FlowSight, Ledger, PassStart, PassSummary, Sweeper, SweeperStats, Sweeping},
    datapath::{
        self, AttachRequest, Gateway, HookChoice, HostLimits, NewPolicy, TableSizes, TcChoice,
    },
    settings::ticks_per_sec,
};
use tests::{
    packet::{Packet, flag},
    rows::prelude::{Flow, SYN_ACK},
    wait::PATIENCE,
};

use crate::{Site, TABLES};

/// A gateway that packets go through one at a time, from whichever thread.
struct Road {
    site: Site,
    egress: SchedClassifier,
    ingress: SchedClassifier,
    gateway: Gateway,
}

impl Road {
    fn new(hosts: HostLimits) -> Self {
        Self::sized(TABLES, hosts)
    }

    fn sized(tables: TableSizes, hosts: HostLimits) -> Self {
        let site = Site::new();
        let attached = site.host.run(|| {
            datapath::attach(&AttachRequest {
                bpffs: site.bpffs.path(),
                name: &site.name,
                uplinks: &["up0".to_owned()],
                keep_others: false,
                hook: HookChoice::Tc,
                tc: TcChoice::Auto,
                tables,
                hosts,
                config: &config(),
                confirm_secs: None,
                policy: &NewPolicy::default(),
                seed: false,
            })
        });
        attached.expect("attached");
        let program = |name: &str| {
            let directory = site.bpffs.path().join("eigw").join(site.name.as_str());
            SchedClassifier::from_pin(directory.join("programs").join(name)).expect("pinned")
        };
        Self {
            egress: program(name::EGRESS_TC),
            ingress: program(name::INGRESS_TC),
            gateway: site.open().expect("the gateway opens"),
            site,
        }
    }

    /// Sends a packet from inside; whether it passed.
    fn out(&self, packet: &Packet) -> bool {
        passes(&self.egress, packet)
    }

    /// Sends a packet from outside; whether it passed.
    fn back(&self, packet: &Packet) -> bool {
        passes(&self.ingress, packet)
    }

    /// Sends a packet this way; whether it passed.
    fn pass(&self, way: Direction, packet: &Packet) -> bool {
        match way {
            Direction::Inbound => self.back(packet),
            Direction::Outbound => self.out(packet),
        }
    }

    fn event(&self, event: FlowEvent) -> u64 {
        self.gateway.flow_events().expect("events")[event as usize].1
    }

    fn sweep(&self) -> Sweep {
        let sweeping = Sweeping::default();
        let book = Arc::default();
        sweeping.ledgers.keep(&book);
        // As fast as it can.
        let budget = Budget { usual: 1.0, pressed: 1.0, interval: Duration::ZERO };
        let (bpffs, name) = (self.site.bpffs.path(), &self.site.name);
        let sweeper = Sweeper::open(bpffs, name, budget, sweeping.clone()).expect("it opens");
        Sweep { sweeper, sweeping, book }
    }
}

/// A sweeper at work, and what it tells.
struct Sweep {
    sweeper: Sweeper,
    sweeping: Sweeping,
    book: Arc<Mutex<Book>>,
}

impl Sweep {
    /// Goes on until `is_done` says so of what was told so far.
    fn until(&mut self, what: &str, mut is_done: impl FnMut(&Book) -> bool) {
        let begin = Instant::now();
        while !is_done(&self.book.lock().expect("it does not panic")) {
            assert!(begin.elapsed() < PATIENCE, "waited in vain for {what}: {:?}", self.stats());
            self.step();
        }
    }

    /// Goes on until a whole pass has begun and ended from now on.
    fn pass(&mut self) -> PassSummary {
        let passes = self.stats().passes;
        self.until("a pass", |book| book.passes.last().is_some_and(|pass| pass.number > passes));
        self.stats().last_pass.expect("there was one")
    }

    fn step(&mut self) {
        let rest = self.sweeper.step().expect("the sweeper works");
        thread::sleep(rest.min(Duration::from_millis(1)));
    }

    fn stats(&self) -> SweeperStats {
        self.sweeping.stats()
    }

    fn book<T>(&self, read: impl FnOnce(&Book) -> T) -> T {
        read(&self.book.lock().expect("it does not panic"))
    }
}

/// Notes everything, and that nothing comes twice.
#[derive(Default)]
struct Book {
    records: Vec<FlowRecord>,
    serials: HashSet<u64>,
    seen: HashSet<(FlowKey, Ticks)>,
    passes: Vec<PassSummary>,
}

impl Book {
    fn ends(&self, event: FlowEvent) -> Vec<&FlowRecord> {
        self.records.iter().filter(|record| record.event() == Some(event)).collect()
    }
}

impl Ledger for Book {
    fn begin(&mut self, _start: &PassStart) {
        self.seen.clear();
    }

    fn flow(&mut self, flow: &FlowSight<'_>) {
        assert!(self.seen.insert((*flow.key, flow.entry.created)), "seen twice: {flow:?}");
    }

    fn ended(&mut self, record: &FlowRecord) {
        assert!(self.serials.insert(record.serial), "told twice: {record:?}");
        assert!(record.event().is_some_and(FlowEvent::is_end), "{record:?}");
        self.records.push(*record);
    }

    fn finish(&mut self, summary: &PassSummary) {
        if let Some(before) = self.passes.last() {
            assert!(summary.recycled >= before.recycled, "{before:?}, then {summary:?}");
        }
        self.passes.push(summary.clone());
    }
}

/// What takes no time: queries of port 53, closed connections. All else keeps its usual time.
fn config() -> Config {
    let rate = ticks_per_sec().expect("a rate");
    let mut config = Config::new(rate);
    for class in [TimeoutClass::UdpDns, TimeoutClass::TcpClosed, TimeoutClass::TcpTimeWait] {
        config.timeouts[class as usize] = Ticks(u64::from(rate) / 10);
    }
    config
}

/// A flow whose time is over a moment after its last packet.
fn brief(host: u8, port: u16) -> Flow {
    Flow::udp(inside(host), port, OUTSIDE, 53)
}

fn inside(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 1, 0, host)
}

const OUTSIDE: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 1);

/// Where inside begins to count, and outside.
const FIRST: u32 = 1_000;
const FIRST_BACK: u32 = 7_000;

/// The packets of a TCP connection in their order.
fn syn(flow: &Flow) -> (Direction, Packet) {
    (Direction::Outbound, flow.segment_out(flag::SYN).sequence(FIRST))
}

fn syn_ack(flow: &Flow) -> (Direction, Packet) {
    let answer = flow.segment_back(SYN_ACK).sequence(FIRST_BACK).acknowledge(FIRST + 1);
    (Direction::Inbound, answer)
}

fn ack(flow: &Flow) -> (Direction, Packet) {
    (Direction::Outbound, out_segment(flow, flag::ACK, 1, 1))
}

fn rst(flow: &Flow) -> (Direction, Packet) {
    (Direction::Outbound, flow.segment_out(flag::RST).sequence(FIRST + 1))
}

/// Both sides close; the last packet is inside's.
fn fin(flow: &Flow) -> [(Direction, Packet); 3] {
    let back = flow.segment_back(flag::FIN | flag::ACK).sequence(FIRST_BACK + 1);
    [
        (Direction::Outbound, out_segment(flow, flag::FIN | flag::ACK, 1, 1)),
        (Direction::Inbound, back.acknowledge(FIRST + 2)),
        (Direction::Outbound, out_segment(flow, flag::ACK, 2, 2)),
    ]
}

fn out_segment(flow: &Flow, flags: u16, sent: u32, received: u32) -> Packet {
    let segment = flow.segment_out(flags).sequence(FIRST + sent);
    segment.acknowledge(FIRST_BACK + received)
}

fn passes(program: &SchedClassifier, packet: &Packet) -> bool {
    const UNSPECIFIED: u32 = u32::MAX;
    const SHOT: u32 = 2;
    let frame = packet.frame();
    let options = TestRunOptions { data_in: Some(&frame), ..TestRunOptions::default() };
    let result = program.test_run(options).expect("the program runs");
    assert!([UNSPECIFIED, SHOT].contains(&result.return_value), "{}", result.return_value);
    result.return_value == UNSPECIFIED
}
