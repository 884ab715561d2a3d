//! What came of it.

use std::{fmt::Write as _, fs, path::Path, time::Duration};

use anyhow::{Context as _, Result};
use gateway_common::tuple::Direction;
use serde::Serialize;
use tests::{fuzz::tape::Tape, prog_run::Program};

use crate::{
    finding_path,
    twin::{Difference, Played, Rule, Twin},
};

/// How often a shrunken sequence is tried during which the clock ticks.
const TRIES: u32 = 20;

/// A sequence that shows a difference.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Finding {
    what: String,
    ingress: &'static str,
    world: u16,
    from_outside: bool,
    steps: Vec<String>,
    #[serde(skip)]
    tape: Option<Tape>,
}

impl Finding {
    /// A sequence and what is wrong with it.
    pub(crate) fn new(
        twin: &mut Twin,
        tape: Tape,
        rule: Rule,
        ingress: Program,
        found: Difference,
    ) -> Self {
        let what = match twin.play(&tape, rule) {
            Played::Differs(Difference { what, .. }) => what,
            Played::Alike(_) | Played::Ticked => found.what,
        };
        let reasons = twin.reasons(&tape);
        let step = |(step, reason): (&tests::fuzz::tape::Step, _)| {
            let direction = match step.travelling.direction {
                Direction::Inbound => "in ",
                Direction::Outbound => "out",
            };
            let mut bytes = String::new();
            for byte in &step.travelling.frame.bytes {
                write!(bytes, "{byte:02x}").expect("strings take everything");
            }
            let sweep = if step.sweep { " swept" } else { "" };
            let beside = if step.travelling.frame.segments > 1 { " segmented" } else { "" };
            format!("{direction} +{}s{sweep}{beside} {reason:?} {bytes}", step.wait_secs())
        };
        Self {
            what,
            ingress: ingress.name(),
            world: tape.world,
            from_outside: rule == Rule::FromOutside,
            steps: tape.steps.iter().zip(reasons).map(step).collect(),
            tape: Some(tape),
        }
    }

    /// Sums that differ although no packet did.
    pub(crate) fn of_sums(world: u16, ingress: Program, what: String) -> Self {
        let (from_outside, steps, tape) = (false, Vec::new(), None);
        Self { what, ingress: ingress.name(), world, from_outside, steps, tape }
    }
}

/// The smallest sequence found that still shows a difference.
pub(crate) fn shrink(twin: &mut Twin, tape: &Tape, rule: Rule, at: usize) -> Tape {
    let mut smallest = tape.clone();
    smallest.steps.truncate(at + 1);
    let mut index = smallest.steps.len();
    while index > 0 {
        index -= 1;
        let mut smaller = smallest.clone();
        smaller.steps.remove(index);
        if differs(twin, &smaller, rule) {
            smallest = smaller;
        }
    }
    smallest
}

/// Whether a sequence shows a difference.
pub(crate) fn differs(twin: &mut Twin, tape: &Tape, rule: Rule) -> bool {
    for _ in 0..TRIES {
        match twin.play(tape, rule) {
            Played::Alike(_) => return false,
            Played::Ticked => {}
            Played::Differs(_) => return true,
        }
    }
    false
}

/// What all sequences came to.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Totals {
    seed: u64,
    /// Packets that were compared.
    pub(crate) packets: u64,
    /// Those of them that came in sequences from outside alone.
    packets_from_outside: u64,
    worlds: u64,
    pub(crate) sequences: u64,
    /// Sequences that were played again because the clock had ticked.
    pub(crate) repeated: u64,
    /// Sequences of which nothing is known, because it always did.
    pub(crate) given_up: u64,
    seconds: f64,
    #[serde(skip)]
    elapsed: Duration,
    findings: Vec<Finding>,
    #[serde(skip)]
    from_outside: bool,
}

impl Totals {
    /// Nothing yet, of a world in which sequences obey a rule.
    pub(crate) fn for_world(rule: Rule) -> Self {
        Self { worlds: 1, from_outside: rule == Rule::FromOutside, ..Self::default() }
    }

    /// Adds those of a world.
    pub(crate) fn add(&mut self, world: Self) {
        self.packets += world.packets;
        self.packets_from_outside += if world.from_outside { world.packets } else { 0 };
        self.worlds += world.worlds;
        self.sequences += world.sequences;
        self.repeated += world.repeated;
        self.given_up += world.given_up;
        self.findings.extend(world.findings);
    }

    /// Notes a difference.
    pub(crate) fn fail(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// Whether there is none.
    pub(crate) fn is_good(&self) -> bool {
        self.findings.is_empty()
    }

    /// Notes what it took.
    pub(crate) fn finish(&mut self, seed: u64, elapsed: Duration) {
        (self.seed, self.seconds, self.elapsed) = (seed, elapsed.as_secs_f64(), elapsed);
    }

    /// Leaves the sequences that show a difference in a directory.
    pub(crate) fn keep_findings(&self, directory: &Path) -> Result<()> {
        for (number, finding) in self.findings.iter().enumerate() {
            let Some(tape) = &finding.tape else { continue };
            let path = finding_path(directory, number);
            fs::create_dir_all(directory)
                .and_then(|()| fs::write(&path, tape.write()))
                .with_context(|| format!("writing {}", path.display()))?;
            eprintln!("cargo xtask fuzz packets --replay {}", path.display());
        }
        Ok(())
    }

    /// As one JSON document.
    pub(crate) fn json(&self) -> Result<String> {
        Ok(serde_json::to_string(self)? + "\n")
    }

    fn packets_per_sec(&self) -> u64 {
        let elapsed_ms = u64::try_from(self.elapsed.as_millis()).unwrap_or(u64::MAX);
        self.packets.saturating_mul(1000) / elapsed_ms.max(1)
    }

    /// For people.
    pub(crate) fn plain(&self) -> String {
        let Self { seed, packets, packets_from_outside, worlds, sequences, .. } = self;
        let mut text = format!(
            "seed {seed}: {packets} packets, {packets_from_outside} of them in sequences from outside \
             alone, {sequences} sequences in {worlds} worlds\n{} sequences were repeated because \
             the clock ticked, {} given up\n{:.1} s, {} packets a second\n{} differences\n",
            self.repeated,
            self.given_up,
            self.seconds,
            self.packets_per_sec(),
            self.findings.len(),
        );
        for finding in &self.findings {
            let Finding { what, ingress, world, from_outside, steps, .. } = finding;
            writeln!(
                text,
                "\nworld {world}, {ingress}, from outside alone: {from_outside}\n{what}"
            )
            .expect("strings take everything");
            for step in steps {
                writeln!(text, "  {step}").expect("strings take everything");
            }
        }
        text
    }
}
