//! The conformance table in the kernel: the same rows through the loaded programs, inbound ones
//! through both of them. Needs root.

#[path = "why/asking.rs"]
mod asking;
mod mutation;

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use asking::Asking;
use gateway_common::{
    config::Config,
    counter::Counter,
    endpoint::EndpointKey,
    flow::{FlowEntry, FlowHalf},
    fragment::{DatagramKey, PeerKey},
    host::HostKey,
    tables::Table,
    timeouts::Ticks,
    tuple::{Direction, Family, FlowKey},
    verdict::{Reason, Verdict},
};
use gateway_userspace::policy::CompiledPolicy;
use mutation::{Travelling, traffic};
use proptest::{collection::vec, option, prelude::*};
use tests::{
    fuzz::policies::policy,
    model::{Frame, Model},
    prog_run::{Program, Programs},
    rows::{
        Policy, Step, THEMES,
        check::{FLOWS_MAX, Machine, TICKS_PER_SEC, check},
        errand::Task,
        prelude::{FAMILIES, INSIDE, OUTSIDE, flag, from, tcp_flow},
    },
    state::{State, set_back},
    wait,
};

/// RFC2979-3.1.2: every packet of every row does what the row says, and nothing else, in both
/// programs for packets from outside; and no program changes a packet.
#[test]
fn every_row_holds() {
    let mut machine = Kernel::new();
    let mut failures = Vec::new();
    let mut count = 0;
    for (theme, rows) in THEMES {
        for row in rows() {
            for ingress in Program::INGRESS {
                machine.ingress = ingress;
                if let Err(difference) = check(&row, &mut machine) {
                    failures.push(format!("{ingress:?}: {theme}: {difference}"));
                }
                count += 1;
            }
        }
    }
    let failed = failures.len();
    assert!(failures.is_empty(), "{failed} of {count} rows:\n\n{}", failures.join("\n\n"));
}

/// `eigw why` is right: asked on the programs' maps before a packet, it says what the kernel then
/// does with it, and asking changes nothing. Rows take turns through the two programs for packets
/// from outside.
#[test]
fn why_says_what_the_kernel_does() {
    let mut machine = Asking::new(Kernel::new());
    let mut failures = Vec::new();
    let rows =
        THEMES.iter().flat_map(|(theme, rows)| rows().into_iter().map(move |it| (theme, it)));
    for ((theme, row), ingress) in rows.zip(Program::INGRESS.into_iter().cycle()) {
        machine.kernel.ingress = ingress;
        if let Err(difference) = check(&row, &mut machine) {
            failures.push(format!("{ingress:?}: {theme}: {difference}"));
        }
    }
    assert!(failures.is_empty(), "{} rows:\n\n{}", failures.len(), failures.join("\n\n"));
    assert!(machine.differences.is_empty(), "{}", machine.differences.join("\n\n"));
    assert!(machine.asked > 2_000, "only {} packets were asked about", machine.asked);
}

/// A packet from a guest is under segmentation offload before anybody has counted its segments:
/// its length and their size tell how many there will be.
#[test]
fn segments_that_nobody_counted_are_counted() {
    let programs = Programs::load(&Config::new(TICKS_PER_SEC));
    let segment = from(INSIDE, OUTSIDE, Family::Ipv6).tcp(40_000, 443, flag::ACK);
    let frame = segment.payload(&[0; 3 * 1000]).frame();
    let before = programs.state();
    assert_eq!(programs.run_gso(Program::EgressTc, &frame, 0, 1000), Verdict::Pass);
    let [(Direction::Outbound, Reason::FlowCreated, counted)] =
        programs.state().since(&before).verdicts[..]
    else {
        panic!("one packet opens one flow");
    };
    assert_eq!(counted.packets, 4, "three segments, and one for the headers at most");
}

/// E150, RFC4787-REQ-11: SYNs from everywhere change nothing but the counter of their reason, and
/// a live connection does not notice.
#[test]
fn a_flood_of_syns_leaves_no_trace() {
    const SYNS: u32 = 5_000;
    let mut machine = Kernel::new();
    machine.reset(&Config::new(TICKS_PER_SEC));
    for family in FAMILIES {
        let l = tcp_flow(family);
        for (program, segment) in [
            (Program::EgressTc, l.segment_out(flag::SYN)),
            (Program::IngressXdp, l.segment_back(flag::SYN | flag::ACK).acknowledge(1)),
            (Program::EgressTc, l.segment_out(flag::ACK).sequence(1).acknowledge(1)),
        ] {
            assert_eq!(machine.programs.run(program, &segment.frame()), Verdict::Pass);
        }
        for ingress in Program::INGRESS {
            let before = machine.state();
            for number in 0..SYNS {
                let [_, high, middle, low] = (number * 40_503 % (1 << 24)).to_be_bytes();
                let mut syn = from(INSIDE, INSIDE, family).tcp(443, 40_000, flag::SYN);
                syn = match family {
                    Family::Ipv4 => syn.set_network(12, &[80, high, middle, low]),
                    Family::Ipv6 => syn.set_network(8, &[0x2a, 1, 2, 3, 4, high, middle, low]),
                };
                assert_eq!(machine.programs.run(ingress, &syn.frame()), Verdict::Drop);
            }
            let change = machine.state().since(&before);
            let [(Direction::Inbound, Reason::NoFlow, counter)] = change.verdicts[..] else {
                panic!("{:?}", change.verdicts);
            };
            assert_eq!(counter.packets, u64::from(SYNS));
            assert_eq!(change.flows, []);
            assert_eq!((change.datagrams, change.peers), (vec![], vec![]));
            let reply = l.segment_back(flag::ACK).sequence(1).acknowledge(1).frame();
            assert_eq!(machine.programs.run(ingress, &reply), Verdict::Pass);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64, failure_persistence: None, ..ProptestConfig::default()
    })]

    /// The kernel does with any packets, under any policies that replace each other, what the model
    /// does with them: what the properties of the model say holds for the programs too.
    #[test]
    fn the_model_is_right(
        stretches in vec((option::of(policy(true)), traffic(20)), 1..4),
        endpoints in any::<bool>(),
        through_tc in any::<bool>(),
    ) {
        let mut config = Config::new(TICKS_PER_SEC);
        config.endpoint_independent = endpoints.into();
        let mut kernel = Kernel::new();
        kernel.ingress = if through_tc { Program::IngressTc } else { Program::IngressXdp };
        kernel.reset(&config);
        let mut model = Model::new(&config, FLOWS_MAX as usize, FLOWS_MAX as usize);
        let before = kernel.state();
        for (text, frames) in stretches {
            if let Some(text) = text {
                let policy = Policy { text, has_tables: true };
                let policy = policy.come_into_force(&mut config);
                Machine::govern(&mut kernel, &config, policy.as_ref());
                Machine::govern(&mut model, &config, policy.as_ref());
            }
            for Travelling { direction, mut frame } in frames {
                frame.offloaded_vlan = None;
                if !kernel.can_run_frame(direction, &frame.bytes) {
                    continue;
                }
                kernel.advance(config.ticks(1));
                model.advance(config.ticks(1));
                let verdict = kernel.run_frame(direction, &frame, 1_200);
                let outcome = model.run(direction, &frame);
                prop_assert_eq!(verdict, outcome.reason.verdict(), "{:?}: {:02x?}", outcome, frame);
            }
            prop_assert_eq!(counts(&kernel.state()), counts(&model.state()));
        }
        let (kernel, model) = (kernel.state(), model.state());
        prop_assert_eq!(&kernel.since(&before).verdicts, &model.verdicts);
        prop_assert_eq!(timeless(kernel), timeless(model));
    }
}

/// The programs, of which inbound packets go through one.
struct Kernel {
    programs: MutexGuard<'static, Programs>,
    ingress: Program,
    /// The configuration in force.
    config: Config,
    /// When the last packet was judged.
    last_step: Ticks,
}

impl Kernel {
    /// The programs are loaded once; tests take turns.
    fn new() -> Self {
        static PROGRAMS: OnceLock<Mutex<Programs>> = OnceLock::new();
        let programs = PROGRAMS.get_or_init(|| {
            /// Enough for a few hosts on each CPU: these tables forget the oldest entries by CPU.
            const ENTRIES: u32 = 4_096;
            let mut programs = Programs::load_compact(FLOWS_MAX, FLOWS_MAX, ENTRIES);
            programs.configure(&Config::new(TICKS_PER_SEC));
            Mutex::new(programs)
        });
        // A test that failed leaves nothing behind that the next one does not clear.
        let programs = programs.lock().unwrap_or_else(PoisonError::into_inner);
        let last_step = programs.now();
        let config = Config::new(TICKS_PER_SEC);
        Self { programs, ingress: Program::IngressXdp, config, last_step }
    }

    fn program(&self, direction: Direction) -> Program {
        match direction {
            Direction::Inbound => self.ingress,
            Direction::Outbound => Program::EgressTc,
        }
    }

    fn run_frame(&self, direction: Direction, frame: &Frame, segment_bytes: u32) -> Verdict {
        self.programs.run_frame(self.program(direction), frame, segment_bytes)
    }

    /// Whether the kernel gives this frame to the direction's program in a test run.
    fn can_run_frame(&self, direction: Direction, frame: &[u8]) -> bool {
        self.program(direction).can_run(frame)
    }
}

impl Machine for Kernel {
    fn reset(&mut self, config: &Config) {
        self.programs.clear();
        self.programs.configure(config);
        self.config = *config;
        self.last_step = self.programs.now();
    }

    fn govern(&mut self, config: &Config, policy: Option<&CompiledPolicy>) {
        // It has been set back like all times.
        let confirm_by = self.config.confirm_by;
        self.config = Config { confirm_by, ..*config };
        match policy {
            Some(policy) => self.programs.govern(&self.config, policy),
            None => self.programs.configure(&self.config),
        }
    }

    /// Sets all stored times back by what has not really passed since the last packet.
    fn advance(&mut self, span: Ticks) {
        let now = self.programs.now();
        let shift = Ticks(span.0.saturating_sub(now.since(self.last_step).0));
        let mut state = self.programs.tables_state();
        state.set_back(shift);
        self.programs.restore(&state);
        if self.config.is_unconfirmed() {
            self.config.confirm_by = set_back(self.config.confirm_by, shift);
            self.programs.configure(&self.config);
        }
        self.last_step = now;
    }

    fn now(&self) -> Ticks {
        self.programs.now()
    }

    fn run(&mut self, step: &Step) -> Verdict {
        let verdict = self.run_frame(step.direction, &step.frame, step.segment_bytes);
        self.last_step = self.programs.now();
        verdict
    }

    fn perform(&mut self, task: &Task) -> usize {
        let ended = match task {
            Task::Forget(key) => self.programs.forget(key).into(),
            Task::Reclaim(keys) => self.programs.reclaim(keys) as usize,
        };
        self.last_step = self.programs.now();
        ended
    }

    /// Waits until the period is young enough for a few packets.
    fn settle(&mut self, period: Ticks) {
        let is_early = || self.programs.now().0 % period.0 < period.0 / 10 * 9;
        wait::until_true("another period", is_early);
    }

    fn state(&self) -> State {
        self.programs.state()
    }

    fn insert(&mut self, table: Table, key: &FlowKey, entry: &FlowEntry) {
        self.programs.insert(table, key, entry);
    }

    fn can_run(&self, step: &Step) -> bool {
        step.host_only.is_none() && self.can_run_frame(step.direction, &step.frame.bytes)
    }
}

/// What the policy counted, without the times.
fn counts(state: &State) -> HashMap<u32, Counter> {
    state.hits.iter().map(|(place, hits)| (*place, hits.count)).collect()
}

/// What is remembered, without the times, which are another clock's.
#[derive(Debug, PartialEq)]
struct Timeless {
    flows: HashMap<(Table, FlowKey), FlowEntry>,
    datagrams: HashSet<DatagramKey>,
    peers: HashSet<PeerKey>,
    openers: HashSet<HostKey>,
    holders: HashMap<HostKey, u64>,
    endpoints: HashSet<EndpointKey>,
}

fn timeless(state: State) -> Timeless {
    let State { flows, datagrams, peers, openers, holders, endpoints, .. } = state;
    let known = |time: Ticks| Ticks(u64::from(time != Ticks(0)));
    let half =
        |half: FlowHalf| FlowHalf { seen: known(half.seen), reset: known(half.reset), ..half };
    let timeless = |entry: FlowEntry| FlowEntry {
        outbound: half(entry.outbound),
        inbound: half(entry.inbound),
        created: known(entry.created),
        ..entry
    };
    Timeless {
        flows: flows.into_iter().map(|(key, entry)| (key, timeless(entry))).collect(),
        datagrams: datagrams.into_keys().collect(),
        peers: peers.into_keys().collect(),
        openers: openers.into_keys().collect(),
        holders,
        endpoints: endpoints.into_keys().collect(),
    }
}
