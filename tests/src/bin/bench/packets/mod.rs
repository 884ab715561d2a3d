//! What one packet costs in each program, with nothing around it: `BPF_PROG_TEST_RUN`.

mod flow;
mod repeated;
mod single;
mod sys;
mod verifier;

use std::thread;

use anyhow::{Context as _, Result, ensure};
use clap::value_parser;
use gateway_common::{config::Config, tuple::Direction, verdict::Reason};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};
use tests::{prog_run::Programs, state::State};

use crate::report::{Column, Table};

/// Sizes as `auto` chooses them on an ordinary router.
const HALF_OPEN_ENTRIES: u32 = 65_536;
const ESTABLISHED_ENTRIES: u32 = 262_144;
/// No kernel ticks faster, so timeouts are at least as long as they are meant to be.
const TICKS_PER_SEC: u32 = 1000;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// How often each case has its turn
    #[arg(long, value_name = "N", default_value_t = 21)]
    #[arg(value_parser = value_parser!(u32).range(1..))]
    rounds: u32,
    /// How many packets each case judges in one turn
    #[arg(long, value_name = "N", default_value_t = 200_000)]
    #[arg(value_parser = value_parser!(u32).range(1..))]
    runs: u32,
}

/// Runs the benchmark and adds its tables.
///
/// # Errors
/// If the kernel refuses something, or packets went another way than the one to be measured.
pub(crate) fn run(options: &Options, tables: &mut Vec<Table>) -> Result<()> {
    // A thread of its own, because it stays on one CPU until it ends.
    let measure = || -> Result<Vec<Table>> {
        let cpu = pin()?;
        eprintln!("packets: measuring on CPU {cpu}");
        Ok(vec![repeated::run(options, cpu)?, single::run(options, cpu)?, verifier::run()?])
    };
    let measured = thread::scope(|scope| scope.spawn(measure).join());
    tables.extend(measured.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
    Ok(())
}

/// Keeps this thread on one CPU: the last one that it may use, since the first ones get most
/// interrupts.
fn pin() -> Result<usize> {
    let this = Pid::from_raw(0);
    let allowed = sched_getaffinity(this).context("asking for the allowed CPUs")?;
    let last = (0..CpuSet::count()).rev().find(|&cpu| allowed.is_set(cpu) == Ok(true));
    let last = last.context("no CPU is allowed")?;
    let mut only = CpuSet::new();
    only.set(last)?;
    sched_setaffinity(this, &only).with_context(|| format!("staying on CPU {last}"))?;
    Ok(last)
}

fn load() -> Programs {
    let config = Config::new(TICKS_PER_SEC);
    Programs::load_sized(&config, HALF_OPEN_ENTRIES, ESTABLISHED_ENTRIES)
}

/// A way through the programs, by the counter that it leaves a trace in.
type Trace = (Direction, Reason);

/// Checks that exactly the packets in `expected` were counted: that every packet measured took
/// the way that its row claims, and no other.
fn verify(before: &State, after: &State, expected: &[(Trace, u64)]) -> Result<()> {
    let change = after.since(before);
    let mut counted_total = 0;
    for (direction, reason, counter) in change.verdicts {
        let claims = expected.iter().filter(|(trace, _)| *trace == (direction, reason));
        let claimed: u64 = claims.map(|(_, packets)| packets).sum();
        ensure!(
            counter.packets == claimed,
            "{} packets were counted as {direction:?} {}, not {claimed}",
            counter.packets,
            reason.name()
        );
        counted_total += counter.packets;
    }
    let expected_total: u64 = expected.iter().map(|(_, packets)| packets).sum();
    ensure!(counted_total == expected_total, "{counted_total} of {expected_total} packets counted");
    Ok(())
}

/// A verdict with its reason, as a cell.
fn verdict_cell(reason: Reason) -> String {
    format!("{}: {}", reason.verdict().name(), reason.name())
}

/// The columns of the tables whose rows are packets.
fn columns() -> Vec<Column> {
    vec![
        Column::Words("packet"),
        Column::Words("verdict"),
        Column::Words("program"),
        Column::Numbers("ns per packet"),
        Column::Numbers("over the empty program"),
    ]
}
