//! A gateway with live flows, and programs that make each run's packet one of another flow.

use anyhow::{Context as _, Result, ensure};
use aya::{
    Ebpf, TestRun as _, TestRunOptions,
    maps::{Array, MapData, ProgramArray},
    programs::{ProgramFd, SchedClassifier, Xdp},
};
use gateway_common::{config::Config, tuple::Direction, verdict::Reason};
use tests::prog_run::{Program, Programs};

use super::Options;
use crate::{
    cpu,
    lab::{
        programs,
        stream::{FRAME_BYTES, Kind, Progress, Stream},
        traffic::{SOURCES, Unsolicited, Way, live, live_in_order, only},
    },
};

/// No kernel ticks faster, so timeouts are at least as long as they are meant to be.
const TICKS_PER_SEC: u32 = 1000;
/// Flows that are opened before they are answered.
const BLOCK: u32 = 10_000;

/// Which packets are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    /// Of one stranger over and over, and of another one each time.
    Drop(Spread),
    /// Answers.
    Reply(Spread),
    /// What inside goes on to say.
    Refresh(Spread),
    /// What opens a flow.
    Create,
}

/// Whose packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spread {
    /// The same one's: all that is looked at is in the caches.
    One,
    /// Anybody's of all, at random.
    Any,
}

impl Case {
    pub(super) const ALL: [Self; 7] = [
        Self::Drop(Spread::One),
        Self::Drop(Spread::Any),
        Self::Reply(Spread::One),
        Self::Reply(Spread::Any),
        Self::Refresh(Spread::One),
        Self::Refresh(Spread::Any),
        Self::Create,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Drop(Spread::One) => "unsolicited, one stranger",
            Self::Drop(Spread::Any) => "unsolicited, a million strangers",
            Self::Reply(Spread::One) => "reply of one flow",
            Self::Reply(Spread::Any) => "reply of any flow",
            Self::Refresh(Spread::One) => "outbound of one flow",
            Self::Refresh(Spread::Any) => "outbound of any flow",
            Self::Create => "opens another flow",
        }
    }

    pub(super) const fn is_possible_with(self, flows: u32) -> bool {
        flows > 0 || matches!(self, Self::Drop(_) | Self::Create)
    }

    const fn program(self) -> Program {
        match self {
            Self::Drop(_) | Self::Reply(_) => Program::IngressXdp,
            Self::Refresh(_) | Self::Create => Program::EgressTc,
        }
    }

    const fn trace(self) -> (Direction, Reason) {
        match self {
            Self::Drop(_) => (Direction::Inbound, Reason::NoFlow),
            Self::Reply(_) => (Direction::Inbound, Reason::Flow),
            Self::Refresh(_) => (Direction::Outbound, Reason::Flow),
            Self::Create => (Direction::Outbound, Reason::FlowCreated),
        }
    }

    /// The packets; `opened` is how many flows there have been.
    fn kind(self, flows: u32, opened: u32, runs: u32) -> Kind {
        let numbers = |spread, all| if spread == Spread::One { 1 } else { all };
        match self {
            Self::Drop(spread) => {
                Kind { numbers: numbers(spread, SOURCES), ..Unsolicited::Udp.kind() }
            }
            Self::Reply(spread) => live(Way::In, numbers(spread, flows)),
            Self::Refresh(spread) => live(Way::Out, numbers(spread, flows)),
            Self::Create => live_in_order(Way::Out, opened, runs),
        }
    }
}

/// The gateway, and what varies packets before its programs.
pub(super) struct Stage {
    gateway: Programs,
    laboratory: Ebpf,
    varied_xdp: ProgramArray<MapData>,
    varied_tc: ProgramArray<MapData>,
    flows: u32,
    /// How many flows have been opened so far.
    opened: u32,
}

impl Stage {
    /// A gateway with so many live flows and room for those that are opened while measuring.
    pub(super) fn with(flows: u32, options: &Options) -> Result<Self> {
        // Whatever is opened while measuring stays half-open, since nobody answers; evicting would
        // be another case.
        let half_open = options.runs * options.rounds + BLOCK;
        let established = (flows + flows / 20).max(65_536);
        let gateway = Programs::load_sized(
            &Config::new(TICKS_PER_SEC),
            half_open + half_open / 4,
            established,
        );
        let mut laboratory = programs::load()?;
        for name in ["vary_xdp", "pass_xdp"] {
            xdp(&mut laboratory, name)?.load().with_context(|| format!("loading {name}"))?;
        }
        for name in ["vary_tc", "pass_tc"] {
            tc(&mut laboratory, name)?.load().with_context(|| format!("loading {name}"))?;
        }
        let mut take = |name: &str| -> Result<ProgramArray<MapData>> {
            let map = laboratory.take_map(name);
            Ok(map.with_context(|| format!("the object has no map {name}"))?.try_into()?)
        };
        let (varied_xdp, varied_tc) = (take("VARIED_XDP")?, take("VARIED_TC")?);
        let mut stage = Self { gateway, laboratory, varied_xdp, varied_tc, flows, opened: 0 };
        stage.fill()?;
        Ok(stage)
    }

    /// Opens the flows and has them answered.
    fn fill(&mut self) -> Result<()> {
        while self.opened < self.flows {
            let block = BLOCK.min(self.flows - self.opened);
            for way in [Way::Out, Way::In, Way::Out] {
                let program = match way {
                    Way::In => Program::IngressXdp,
                    Way::Out => Program::EgressTc,
                };
                self.put_behind(program, true)?;
                self.run(program, live_in_order(way, self.opened, block), block)?;
            }
            self.opened += block;
        }
        Ok(())
    }

    /// The mean time of a packet in this program, in nanoseconds.
    pub(super) fn turn_ns(&mut self, case: Case, runs: u32) -> Result<f64> {
        let before = self.counted(case);
        self.put_behind(case.program(), true)?;
        let kind = case.kind(self.flows, self.opened, runs);
        let ns = self.run(case.program(), kind, runs)?;
        if case == Case::Create {
            self.opened += runs;
        }
        let counted = self.counted(case) - before;
        ensure!(counted == u64::from(runs), "{counted} of {runs} packets did as {}", case.name());
        Ok(ns)
    }

    /// The same of an empty program in its place.
    pub(super) fn floor_ns(&mut self, case: Case, runs: u32) -> Result<f64> {
        self.put_behind(case.program(), false)?;
        let kind = case.kind(self.flows, self.opened, runs);
        self.run(case.program(), kind, runs)
    }

    /// How many packets did what those of a case do.
    fn counted(&self, case: Case) -> u64 {
        self.gateway.packets(case.trace().0, case.trace().1)
    }

    /// Has the gateway's program, or an empty one, judge packets after they were varied.
    fn put_behind(&mut self, program: Program, is_gateways: bool) -> Result<()> {
        let (array, empty) = match program {
            Program::IngressXdp => {
                (&mut self.varied_xdp, xdp(&mut self.laboratory, "pass_xdp")?.fd())
            }
            Program::EgressTc | Program::IngressTc => {
                (&mut self.varied_tc, tc(&mut self.laboratory, "pass_tc")?.fd())
            }
        };
        let fd: &ProgramFd = if is_gateways { self.gateway.program_fd(program) } else { empty? };
        array.set(0, fd, 0).with_context(|| format!("putting {program:?} behind"))
    }

    /// Runs what varies packets so often, in CPU time of this thread.
    fn run(&mut self, program: Program, kind: Kind, runs: u32) -> Result<f64> {
        let map = self.laboratory.map_mut("STREAM").context("no map STREAM")?;
        Array::<_, Stream>::try_from(map)?.set(0, only(kind), 0)?;
        let map = self.laboratory.map_mut("PROGRESS").context("no map PROGRESS")?;
        Array::<_, Progress>::try_from(map)?.set(0, Progress::default(), 0)?;
        // What is in the frame but for the number.
        let words = kind.words.iter().flat_map(|word| word.to_ne_bytes());
        let frame: Vec<u8> = words.chain(kind.tail.to_ne_bytes()).take(FRAME_BYTES).collect();
        let options =
            TestRunOptions { data_in: Some(&frame), repeat: runs, ..TestRunOptions::new() };
        let before = cpu::time()?;
        match program {
            Program::IngressXdp => xdp(&mut self.laboratory, "vary_xdp")?.test_run(options),
            Program::EgressTc | Program::IngressTc => {
                tc(&mut self.laboratory, "vary_tc")?.test_run(options)
            }
        }
        .context("running packets")?;
        Ok(cpu::mean_ns(cpu::time()?.saturating_sub(before).as_nanos(), runs))
    }
}

fn xdp<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp> {
    let program = ebpf.program_mut(name);
    Ok(program.with_context(|| format!("the object has no program {name}"))?.try_into()?)
}

fn tc<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut SchedClassifier> {
    let program = ebpf.program_mut(name);
    Ok(program.with_context(|| format!("the object has no program {name}"))?.try_into()?)
}
