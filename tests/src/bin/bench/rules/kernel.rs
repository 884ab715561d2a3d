//! What the programs alone take, with nothing around them: `BPF_PROG_TEST_RUN`.

use anyhow::{Context as _, Result};
use fastrand::Rng;
use gateway_common::{tuple::Family, verdict::Reason};
use tests::{packet::Packet, prog_run::Program};

use super::{
    Options,
    columns::{PREFIXES, RULES, Sizes},
    policy::{Generated, Shape, unnamed},
};
use crate::{
    cpu,
    empty::{Empty, Hook},
    packets::{
        BATCH,
        flow::{Ends, Flow},
        gateway::Gateway,
    },
    report::{Column, Table},
};

/// What is put through a program in a turn.
enum Frames {
    /// One frame over and over, in CPU time.
    Again(Vec<u8>),
    /// Different ones, each once, in the kernel's time of each run.
    Once(Vec<Vec<u8>>),
}

/// A row: what is judged under policies of every size.
struct Row {
    packet: &'static str,
    program: Program,
    reason: Reason,
    /// By size.
    frames: Vec<Frames>,
    /// By size, then by round: nanoseconds per packet above the empty program.
    over_ns: Vec<Vec<f64>>,
}

/// Policies of one shape in all sizes, each in programs of its own.
struct Group {
    policies: Vec<Generated>,
    gateways: Vec<Gateway>,
    rows: Vec<Row>,
}

/// Measures everything.
pub(super) fn run(options: &Options, cpu: usize) -> Result<Vec<Table>> {
    let mut empty = Empty::load()?;
    let mut measure = |shape, sizes: Sizes| -> Result<Vec<Row>> {
        let mut group = Group::new(shape, sizes, options)?;
        for round in 1..=options.rounds {
            eprintln!("rules: round {round} of {} in the programs, {shape:?}", options.rounds);
            group.turn(round, &mut empty, options.runs)?;
        }
        group.check().with_context(|| format!("checking {shape:?}"))?;
        Ok(group.rows)
    };
    let shapes = [Shape::Services, Shape::Networks, Shape::Adversary, Shape::Clients];
    let mut rules = Vec::new();
    for shape in shapes {
        rules.extend(measure(shape, RULES)?);
    }
    let lists = measure(Shape::List, PREFIXES)?;
    Ok(vec![of_rules(&rules, options, cpu), of_lists(&lists, options, cpu)])
}

impl Group {
    fn new(shape: Shape, sizes: Sizes, options: &Options) -> Result<Self> {
        let sizes = sizes.all.iter().copied().filter(|size| *size <= options.size_max);
        let policies: Vec<_> = sizes.map(|size| Generated { shape, size }).collect();
        let mut gateways = Vec::new();
        for policy in &policies {
            eprintln!("rules: programs with {} of {shape:?}", policy.size);
            gateways.push(Gateway::load_governed(&policy.compile()?));
        }
        let mut rows = rows_again(shape, &policies);
        rows.extend(rows_once(shape, &policies));
        for gateway in &mut gateways {
            live_flow().establish(gateway);
        }
        Ok(Self { policies, gateways, rows })
    }

    /// One turn of every row under every policy, beginning with another policy in every round, in
    /// case the place matters.
    fn turn(&mut self, round: u32, empty: &mut Empty, runs: u32) -> Result<()> {
        let Self { gateways, rows, .. } = self;
        let first = round as usize % gateways.len();
        for row in rows {
            let hook = hook(row.program);
            for place in 0..gateways.len() {
                let size = (first + place) % gateways.len();
                let (gateway, frames) = (&mut gateways[size], &row.frames[size]);
                let (program, reason) = (row.program, row.reason);
                let judged = frames
                    .turn(runs, |frame, runs| Ok(gateway.time(program, frame, reason, runs)))?;
                let floor = frames.turn(runs, |frame, runs| empty.run_ns(hook, frame, runs))?;
                row.over_ns[size].push(judged - floor);
                if reason == Reason::FlowCreated {
                    gateway.clear();
                    live_flow().establish(gateway);
                }
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        for (gateway, policy) in self.gateways.iter().zip(&self.policies) {
            gateway.check().with_context(|| format!("with {} of them", policy.size))?;
        }
        Ok(())
    }
}

impl Frames {
    /// The mean time of a frame, as `judge` takes it.
    fn turn(&self, runs: u32, mut judge: impl FnMut(&[u8], u32) -> Result<u128>) -> Result<f64> {
        match self {
            Self::Again(frame) => {
                let before = cpu::time()?;
                judge(frame, runs)?;
                let spent = cpu::time()?.saturating_sub(before);
                Ok(cpu::mean_ns(spent.as_nanos(), runs))
            }
            Self::Once(frames) => {
                let mut total_ns = 0;
                for frame in frames {
                    total_ns += judge(frame, 1)?;
                }
                Ok(cpu::mean_ns(total_ns, BATCH))
            }
        }
    }
}

/// The rows of a shape whose packets are the same each time, without figures.
fn rows_again(shape: Shape, policies: &[Generated]) -> Vec<Row> {
    let first = &policies[0];
    let (hit, miss) = (first.opening_reason(), first.stranger_reason());
    let again = |frame: &dyn Fn(Generated) -> Vec<u8>| -> Vec<Frames> {
        policies.iter().map(|policy| Frames::Again(frame(*policy))).collect()
    };
    let head = |policy: Generated| policy.opening(0).frame();
    let last = |policy: Generated| policy.opening(policy.size - 1).frame();
    let stranger = |policy: Generated| policy.stranger(policy.size - 1, 0).frame();
    let reply = |_: Generated| live_flow().reply.frame();
    let outbound = |_: Generated| live_flow().outbound.frame();
    let mut rows = Vec::new();
    let mut ingress = |packet, reason, frame: &dyn Fn(Generated) -> Vec<u8>| {
        for program in Program::INGRESS {
            rows.push(Row::new(packet, program, reason, again(frame)));
        }
    };
    match shape {
        Shape::Services => {
            ingress("the first rule lets it in", hit, &head);
            ingress("the last rule lets it in", hit, &last);
            ingress("to a port of a rule, from elsewhere", miss, &stranger);
            ingress("to a port that no rule names", miss, &|_| unnamed().frame());
            ingress("TCP reply of a live flow", Reason::Flow, &reply);
            let out = again(&outbound);
            rows.push(Row::new("TCP of a live flow", Program::EgressTc, Reason::Flow, out));
        }
        Shape::Networks => {
            ingress("rules differ in source only: the last lets it in", hit, &last);
            ingress("rules differ in source only: none lets it in", miss, &stranger);
        }
        Shape::Adversary => ingress("every word has candidates, none lets it in", hit, &last),
        Shape::List => {
            ingress("on the list", hit, &last);
            ingress("not on the list, and let in", miss, &stranger);
        }
        Shape::Clients => {
            let out = again(&outbound);
            let name = "TCP of a live flow, rules about what leaves";
            rows.push(Row::new(name, Program::EgressTc, Reason::Flow, out));
        }
    }
    rows
}

/// The rows of a shape whose packets are others each time, without figures.
fn rows_once(shape: Shape, policies: &[Generated]) -> Vec<Row> {
    let first = &policies[0];
    let (hit, miss) = (first.opening_reason(), first.stranger_reason());
    let mut rows = Vec::new();
    let mut once = |packet, program, reason, packet_of: &dyn Fn(Generated, &mut Rng) -> Packet| {
        let frames = policies.iter().map(|policy| others(*policy, packet_of)).collect();
        rows.push(Row::new(packet, program, reason, frames));
    };
    let any = |policy: Generated, random: &mut Rng| policy.opening(random.u32(..policy.size));
    let strange = |policy: Generated, random: &mut Rng| {
        policy.stranger(random.u32(..policy.size), random.u32(..))
    };
    match shape {
        Shape::Services => {
            once("a rule lets it in", Program::IngressXdp, hit, &any);
            once("to a port of a rule, from elsewhere", Program::IngressXdp, miss, &strange);
        }
        Shape::Clients => {
            once("opens a flow that a rule lets out", Program::EgressTc, hit, &any);
        }
        Shape::List => {
            once("on the list", Program::IngressXdp, hit, &any);
            once("not on the list, and let in", Program::IngressXdp, miss, &strange);
        }
        Shape::Networks | Shape::Adversary => {}
    }
    rows
}

/// A batch of different SYNs. Their source ports differ, so that all of them open flows.
fn others(policy: Generated, packet_of: &dyn Fn(Generated, &mut Rng) -> Packet) -> Frames {
    let mut random = Rng::with_seed(u64::from(policy.size));
    let mut frame = |number: u32| {
        let port = u16::try_from(20_000 + number).expect("a batch has fewer frames than ports");
        packet_of(policy, &mut random).set_transport(0, &port.to_be_bytes()).frame()
    };
    Frames::Once((0..BATCH).map(&mut frame).collect())
}

fn live_flow() -> Flow {
    Flow::tcp(Ends::of(Family::Ipv6))
}

const fn hook(program: Program) -> Hook {
    match program {
        Program::IngressXdp => Hook::Xdp,
        Program::IngressTc | Program::EgressTc => Hook::Tc,
    }
}

impl Row {
    fn new(packet: &'static str, program: Program, reason: Reason, frames: Vec<Frames>) -> Self {
        let over_ns = frames.iter().map(|_| Vec::new()).collect();
        Self { packet, program, reason, frames, over_ns }
    }

    fn cells(&self, sizes: Sizes) -> Vec<String> {
        let none: &[f64] = &[];
        let by_size = |index| self.over_ns.get(index).map_or(none, Vec::as_slice);
        let series: Vec<_> = (0..sizes.all.len()).map(by_size).collect();
        let verdict = format!("{}: {}", self.reason.verdict().name(), self.reason.name());
        let each = match self.frames[0] {
            Frames::Again(_) => "the same",
            Frames::Once(_) => "another",
        };
        let words = [self.packet, &verdict, self.program.name(), each].map(str::to_owned);
        words.into_iter().chain(sizes.cells(&series)).collect()
    }
}

fn of_rules(rows: &[Row], options: &Options, cpu: usize) -> Table {
    let policies = "Each rule lets another network in to another port of another inside host, or, \
                    where flows are opened, lets another inside host out to another port of \
                    another network. Rules that differ in source only let IPv4 networks of 24 bits \
                    in to one port. In the row about candidates every 64 rules have one for the \
                    packet's port and another one for its source, so that the search looks at all \
                    of them and finds none.";
    Table {
        title: "Time per packet in the programs, by number of rules",
        notes: vec![how(options, cpu), policies.into()],
        columns: columns(RULES),
        rows: rows.iter().map(|row| row.cells(RULES)).collect(),
        pictures: Vec::new(),
    }
}

fn of_lists(rows: &[Row], options: &Options, cpu: usize) -> Table {
    let policies = "One rule denies all whom a list names, and the next one lets everybody in to \
                    one port. The prefixes are IPv6 and of 17 lengths, from 48 to 64.";
    Table {
        title: "Time per packet in the programs, by number of prefixes",
        notes: vec![how(options, cpu), policies.into()],
        columns: columns(PREFIXES),
        rows: rows.iter().map(|row| row.cells(PREFIXES)).collect(),
        pictures: Vec::new(),
    }
}

fn how(options: &Options, cpu: usize) -> String {
    format!(
        "BPF_PROG_TEST_RUN of the whole program: nanoseconds per packet above the empty program of \
         the same hook, which has its turn right after; median of {} interleaved rounds, and the \
         ratio of these differences within rounds (median [min – max]). Where each packet is the \
         same, it is repeated {} times a turn, in CPU time on CPU {cpu}; where each is another, \
         {BATCH} are run once each, in the kernel's time, with caches as system calls leave them. \
         Every packet is a TCP SYN unless it is one of a live flow. The programs' counters must \
         show every packet under its reason.",
        options.rounds, options.runs
    )
}

fn columns(sizes: Sizes) -> Vec<Column> {
    sizes.columns(&["packet", "verdict", "program", "each packet"])
}
