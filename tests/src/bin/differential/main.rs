//! The same packets through `eigw` and through nftables.
//!
//! Sequences of packets follow from a grammar of what hosts say to each other, with a few things
//! changed about most of them. Both gateways get every sequence; a packet that only one of them
//! lets pass is a difference, and a difference is either one of those that `docs/differences.md`
//! lists, or a failure.

mod arena;
mod compare;
mod difference;
mod evidence;
mod expected;
mod print;
mod report;
mod rules;
mod runner;
mod shrink;

use std::{
    collections::{HashMap, HashSet},
    fs,
    panic::{self, AssertUnwindSafe},
    path::Path,
    process::ExitCode,
    str::FromStr,
    time::Instant,
};

use anyhow::{Context as _, Result, anyhow};
use clap::{Parser, ValueEnum};
use nix::{
    sched::{CpuSet, sched_getcpu, sched_setaffinity},
    unistd::{Pid, geteuid},
};
pub(crate) use tests::exchange::{frame, grammar, option, step};
use tests::{eigw::Hook, interrupt};

use crate::{
    arena::Arena,
    compare::compare,
    report::Report,
    runner::{BATCH_MAX, RUNS_MAX, Runner},
    shrink::Signature,
    step::{Origin, Sequence},
};

/// Sends the same packet sequences through eigw and through a stateful nftables ruleset, side by
/// side in network namespaces, and fails when they treat a packet differently for no documented
/// reason.
#[derive(Parser)]
#[command(name = "cargo xtask differential", bin_name = "cargo xtask differential")]
struct Cli {
    /// The seed that all sequences follow from; a random one otherwise
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// How many sequences to run
    #[arg(long, value_name = "N", default_value_t = 50_000)]
    sequences: u64,
    /// How many sequences run side by side
    #[arg(long, value_name = "N", default_value_t = BATCH_MAX, value_parser = batch)]
    batch: usize,
    /// Where eigw filters what comes in
    #[arg(long, default_value = "xdp")]
    hook: HookName,
    /// Run this one sequence, and show every step
    #[arg(long, value_name = "SEED:NUMBER", conflicts_with_all = ["seed", "sequences"])]
    replay: Option<Replay>,
    /// How many unexplained differences of different kinds to shrink and show
    #[arg(long, value_name = "N", default_value_t = 8)]
    show: usize,
    /// Show differences as they were found
    #[arg(long)]
    no_shrink: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    /// Leave eigw out: to see that differences are found
    #[arg(long, hide = true)]
    unprotected: bool,
    /// Print or write docs/differences.md, and do nothing else
    #[arg(long)]
    docs: Option<Docs>,
}

/// Reads the size of a batch.
fn batch(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(len) if (1..=BATCH_MAX).contains(&len) => Ok(len),
        _ => Err(format!("a number from 1 to {BATCH_MAX}")),
    }
}

/// Hooks by their names on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum HookName {
    Xdp,
    XdpGeneric,
    Tc,
}

/// What to do with the list of differences.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Docs {
    Print,
    Write,
}

/// What `--replay` names.
#[derive(Clone, Copy, Debug)]
struct Replay(Origin);

impl From<HookName> for Hook {
    fn from(name: HookName) -> Self {
        match name {
            HookName::Xdp => Self::Xdp,
            HookName::XdpGeneric => Self::XdpGeneric,
            HookName::Tc => Self::Tc,
        }
    }
}

impl FromStr for Replay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once(':').and_then(|(seed, number)| {
            Some(Origin { seed: seed.parse().ok()?, number: number.parse().ok()? })
        });
        parts.map(Self).ok_or_else(|| "two numbers with a colon between them".to_owned())
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.docs {
        Some(docs) => document(docs),
        None => privileged(&cli),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn document(docs: Docs) -> Result<bool> {
    let text = difference::document();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/differences.md");
    match docs {
        Docs::Print => print!("{text}"),
        Docs::Write => {
            fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        }
    }
    Ok(true)
}

fn privileged(cli: &Cli) -> Result<bool> {
    if !geteuid().is_root() {
        return Err(anyhow!(
            "network namespaces and BPF need root: run this as root, or with sudo"
        ));
    }
    // Fixtures panic with evidence; what they made goes away while the stack unwinds.
    panic::catch_unwind(AssertUnwindSafe(|| run(cli)))
        .unwrap_or_else(|_| Err(anyhow!("the comparison could not go on; see above")))
}

/// Runs what was asked for; whether all differences are documented.
fn run(cli: &Cli) -> Result<bool> {
    interrupt::clean_up_when_interrupted()?;
    let hook = (!cli.unprotected).then(|| cli.hook.into());
    let mut runner = Runner::new(Arena::new(hook)?);
    stay_on_this_cpu()?;
    let (seed, numbers) = match cli.replay {
        Some(Replay(origin)) => (origin.seed, origin.number..=origin.number),
        None => (cli.seed.unwrap_or_else(|| fastrand::u64(..1 << 32)), 1..=cli.sequences),
    };
    let start = Instant::now();
    let mut report = Report::new(seed);
    let mut examples = Examples::default();
    let mut numbers = numbers.peekable();
    while numbers.peek().is_some() {
        if runner.runs > RUNS_MAX {
            runner = Runner::new(Arena::new(hook)?);
        }
        let batch: Vec<Sequence> = numbers
            .by_ref()
            .take(cli.batch)
            .map(|number| grammar::sequence(Origin { seed, number }))
            .collect();
        let observed = runner.run(&batch);
        for (sequence, observed) in batch.iter().zip(&observed) {
            let comparison = compare(sequence, observed);
            report.add(sequence, &comparison);
            if let Some(at) = comparison.unexplained {
                let signature = Signature::of(&sequence.steps[at], observed[at]);
                examples.consider(cli, &mut runner, &mut report, sequence, signature)?;
            }
        }
    }
    report.finish(start.elapsed());
    if let Some(Replay(origin)) = cli.replay
        && report.is_good()
    {
        let sequence = grammar::sequence(origin);
        report.show(&sequence, evidence::witness(&mut runner, &sequence)?);
    }
    if cli.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{}", report.plain());
    }
    Ok(report.is_good())
}

/// The unexplained differences that were looked into.
#[derive(Debug, Default)]
struct Examples {
    tried: HashMap<Signature, u32>,
    shapes: HashSet<Vec<Signature>>,
}

impl Examples {
    /// Shrinks and shows a sequence, unless enough like it were.
    fn consider(
        &mut self,
        cli: &Cli,
        runner: &mut Runner,
        report: &mut Report,
        sequence: &Sequence,
        signature: Signature,
    ) -> Result<()> {
        // What looks the same in the end may have several causes.
        const TRIES: u32 = 10;
        let tried = self.tried.entry(signature).or_default();
        if self.shapes.len() == cli.show || *tried == TRIES {
            return Ok(());
        }
        *tried += 1;
        let mut example = sequence.clone();
        if !cli.no_shrink {
            example = shrink::shrink(runner, example, signature);
        }
        if self.shapes.insert(shrink::shape(&example)) {
            report.show(&example, evidence::witness(runner, &example)?);
        }
        Ok(())
    }
}

/// Packets that are put on a veth are handled by the CPU that sends them: on a single one they
/// keep their order.
fn stay_on_this_cpu() -> Result<()> {
    let mut cpus = CpuSet::new();
    sched_getcpu().and_then(|cpu| cpus.set(cpu)).context("choosing a CPU")?;
    sched_setaffinity(Pid::from_raw(0), &cpus).context("staying on one CPU")
}
