//! The programs in the kernel and the model, side by side.
//!
//! The kernel's clock ticks by itself, so the model's is set before every step. Only a tick during a
//! step leaves open what the kernel saw: when there was one, a difference counts for nothing, and
//! the sequence is played again. That a tick has come shows in the coarse clock, which moves with
//! it and costs no system call.

use std::fmt::Debug;

use gateway_common::{
    config::Config,
    counter::Counter,
    tables::Table,
    timeouts::Ticks,
    tuple::Direction,
    verdict::{Reason, Verdict},
};
use nix::{sys::time::TimeSpec, time::ClockId};
use tests::{
    fuzz::{
        stories::Travelling,
        tape::{SEGMENT_BYTES, Step, Tape},
        worlds::World,
    },
    model::Model,
    prog_run::{Program, Programs},
    state::State,
};

/// Entries of every table but that of established flows: far more than a sequence needs.
const ENTRIES: u32 = 1_024;

/// What became of a sequence.
#[derive(Debug)]
pub(crate) enum Played {
    /// So many packets had the same effects here and there.
    Alike(u64),
    /// The kernel's clock ticked meanwhile, so that nobody knows.
    Ticked,
    /// A packet had other effects, or broke a rule.
    Differs(Difference),
}

/// What is wrong, and with which step.
#[derive(Debug)]
pub(crate) struct Difference {
    /// The step's index.
    pub(crate) at: usize,
    /// What is wrong.
    pub(crate) what: String,
}

/// What is asked of sequences beyond that both do the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Nothing.
    Any,
    /// Only what the link lives on passes, and nothing is remembered: all of it comes from outside.
    FromOutside,
}

/// Two gateways in the same world.
pub(crate) struct Twin {
    programs: Programs,
    model: Model,
    world: World,
    ingress: Program,
    /// What the kernel had counted when the model had counted nothing, by reason's slot.
    base: Vec<Counter>,
    /// How many flows had ended then.
    base_ends: u64,
    /// What the coarse clock showed when the model's clock was set.
    coarse: TimeSpec,
    /// Whether the clock ticked during a step.
    is_doubtful: bool,
}

impl Twin {
    /// Loads the programs with room for so many established flows.
    pub(crate) fn new(established_max: u32) -> Self {
        let world = World::new(0);
        let programs = Programs::load_compact(ENTRIES, established_max, ENTRIES);
        let model = world.model();
        Self {
            programs,
            model,
            world,
            ingress: Program::IngressXdp,
            base: Vec::new(),
            base_ends: 0,
            coarse: TimeSpec::new(0, 0),
            is_doubtful: false,
        }
    }

    /// Puts a world in force, of which the size of the table of established flows is that of the
    /// loaded one.
    pub(crate) fn enter(&mut self, world: World, ingress: Program) {
        self.programs.clear();
        match &world.policy {
            Some(policy) => self.programs.govern(&world.config, policy),
            None => self.programs.configure(&world.config),
        }
        self.model = world.model();
        self.coarse = TimeSpec::new(0, 0);
        (self.world, self.ingress) = (world, ingress);
        self.settle();
    }

    /// Plays a sequence on empty tables, which are empty afterwards.
    pub(crate) fn play(&mut self, tape: &Tape, rule: Rule) -> Played {
        self.is_doubtful = false;
        let mut played = self.steps(tape, rule);
        // The kernel counts its ticks a moment before it moves the coarse clock: a long one, if the
        // machine's processor is taken away in between.
        let has_ticked = || self.is_doubtful || self.programs.now() != self.model.now();
        if matches!(played, Played::Differs(_)) && has_ticked() {
            played = Played::Ticked;
        }
        self.model.clear();
        self.programs.clear();
        match played {
            Played::Alike(_) => {}
            Played::Ticked | Played::Differs(_) => self.settle(),
        }
        self.base_ends = self.programs.ends();
        played
    }

    /// Compares what is only counted: the sums of all sequences since the world was entered.
    pub(crate) fn compare_sums(&self) -> Result<(), String> {
        for (slot, (direction, reason)) in reasons().enumerate() {
            let kernel = difference(self.programs.counter(direction, reason), self.base[slot]);
            same(
                "counter",
                &(direction, reason, kernel),
                &(direction, reason, self.model.counter(direction, reason)),
            )?;
        }
        Ok(())
    }

    /// From here on both have counted the same.
    fn settle(&mut self) {
        let base = |(direction, reason)| {
            difference(
                self.programs.counter(direction, reason),
                self.model.counter(direction, reason),
            )
        };
        self.base = reasons().map(base).collect();
        self.base_ends = self.programs.ends();
    }

    fn steps(&mut self, tape: &Tape, rule: Rule) -> Played {
        let mut packets = 0;
        for (at, step) in tape.steps.iter().enumerate() {
            match self.step(step, rule) {
                Ok(was_run) => packets += u64::from(was_run),
                Err(what) => return Played::Differs(Difference { at, what }),
            }
        }
        let at = tape.steps.len().saturating_sub(1);
        match self.compare(rule) {
            Ok(()) => Played::Alike(packets),
            Err(what) => Played::Differs(Difference { at, what }),
        }
    }

    /// Plays a step; whether the kernel could be made to run it.
    fn step(&mut self, step: &Step, rule: Rule) -> Result<bool, String> {
        let Travelling { direction, frame } = &step.travelling;
        if step.wait_secs() != 0 {
            self.wait(self.world.config.ticks(step.wait_secs()))?;
        }
        if step.sweep {
            self.sweep()?;
        }
        let program = match direction {
            Direction::Inbound => self.ingress,
            Direction::Outbound => Program::EgressTc,
        };
        let has_context = frame.segments > 1 || frame.is_forwarded;
        if !program.can_run(&frame.bytes) || (has_context && program == Program::IngressXdp) {
            return Ok(false);
        }
        self.set_clock();
        let verdict = self.programs.run_frame(program, frame, SEGMENT_BYTES);
        self.look_at_clock();
        let outcome = self.model.run(*direction, frame);
        let reason = outcome.reason;
        same("verdict", &(reason, verdict), &(reason, reason.verdict()))?;
        let base = self.base[reason.slot(*direction) as usize];
        let counted = difference(self.programs.counter(*direction, reason), base);
        same("counter", &(reason, counted), &(reason, self.model.counter(*direction, reason)))?;
        let key = self.model.touched();
        for table in [Table::Established, Table::HalfOpen] {
            let kernel = self.programs.flow(table, &key);
            same(
                "flow",
                &(reason, table, key, kernel),
                &(reason, table, key, self.model.flow(table, &key)),
            )?;
        }
        if rule == Rule::FromOutside && verdict == Verdict::Pass && !self.world.for_the_link(reason)
        {
            return Err(format!("{reason:?} lets in what outside began"));
        }
        Ok(true)
    }

    /// Sets the model's clock to the kernel's.
    fn set_clock(&mut self) {
        while coarse_clock() != self.coarse {
            self.coarse = coarse_clock();
            self.model.set_now(self.programs.now());
        }
    }

    /// Notes whether the clock has ticked since.
    fn look_at_clock(&mut self) {
        self.is_doubtful |= coarse_clock() != self.coarse;
    }

    /// Lets time pass: what both remember is set back.
    fn wait(&mut self, span: Ticks) -> Result<(), String> {
        // What differs already must not be covered up.
        self.compare(Rule::Any)?;
        self.model.set_back(span);
        self.programs.restore(&self.model.state());
        Ok(())
    }

    fn sweep(&mut self) -> Result<(), String> {
        const AT_ONCE: usize = gateway_common::limits::RECLAIMED_MAX;
        let keys: Vec<_> = self.model.state().flows.into_keys().map(|(_, key)| key).collect();
        for keys in keys.chunks(AT_ONCE) {
            self.set_clock();
            let kernel = self.programs.reclaim(keys) as usize;
            self.look_at_clock();
            let model = keys.iter().filter(|key| self.model.reclaim(key)).count();
            same("swept", &kernel, &model)?;
        }
        Ok(())
    }

    /// Compares everything that is remembered.
    fn compare(&self, rule: Rule) -> Result<(), String> {
        let (kernel, model) = (self.programs.tables_state(), self.model.state());
        let State { flows, datagrams, peers, openers, holders, overflow, endpoints, .. } = &model;
        same("flows", &kernel.flows, flows)?;
        same("datagrams", &kernel.datagrams, datagrams)?;
        same("peers", &kernel.peers, peers)?;
        same("openers", &kernel.openers, openers)?;
        same("holders", &kernel.holders, holders)?;
        same("overflow", &kernel.overflow, overflow)?;
        same("endpoints", &kernel.endpoints, endpoints)?;
        let mut records = kernel.records;
        for record in &mut records {
            record.serial = record.serial.wrapping_sub(self.base_ends);
        }
        same("records", &records, &model.records)?;
        if rule == Rule::FromOutside {
            let is_empty = flows.is_empty()
                && datagrams.is_empty()
                && peers.is_empty()
                && openers.is_empty()
                && holders.is_empty()
                && overflow.is_empty()
                && endpoints.is_empty();
            if !is_empty {
                return Err(format!("outside alone is remembered: {model:?}"));
            }
        }
        Ok(())
    }

    /// The configuration in force.
    pub(crate) fn config(&self) -> &Config {
        &self.world.config
    }

    /// What the model alone says to each step, for people.
    pub(crate) fn reasons(&self, tape: &Tape) -> Vec<Reason> {
        let mut model = self.world.model();
        let play = |step: &Step| {
            model.advance(self.config().ticks(step.wait_secs()));
            model.run(step.travelling.direction, &step.travelling.frame).reason
        };
        tape.steps.iter().map(play).collect()
    }
}

fn coarse_clock() -> TimeSpec {
    ClockId::CLOCK_MONOTONIC_COARSE.now().expect("every Linux has this clock")
}

/// In the order of slots.
fn reasons() -> impl Iterator<Item = (Direction, Reason)> {
    let of = |direction| Reason::ALL.iter().map(move |&reason| (direction, reason));
    Direction::ALL.into_iter().flat_map(of)
}

fn difference(now: Counter, then: Counter) -> Counter {
    Counter {
        packets: now.packets.wrapping_sub(then.packets),
        bytes: now.bytes.wrapping_sub(then.bytes),
    }
}

fn same<T: PartialEq + Debug>(what: &str, kernel: &T, model: &T) -> Result<(), String> {
    if kernel == model {
        return Ok(());
    }
    Err(format!("{what}\n  kernel {kernel:?}\n  model  {model:?}"))
}
