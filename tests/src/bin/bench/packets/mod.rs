//! What one packet costs in each program, with nothing around it: `BPF_PROG_TEST_RUN`.

mod flood;
mod flow;
mod gateway;
mod repeated;
mod series;
mod single;
mod sys;
mod verifier;

use std::thread;

use anyhow::{Context as _, Result};
use clap::value_parser;
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

use crate::report::Table;

/// Packets of one turn, where each packet is run once.
const BATCH: u32 = 2048;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// How often each case has its turn
    #[arg(long, value_name = "N", default_value_t = 21)]
    #[arg(value_parser = value_parser!(u32).range(1..))]
    rounds: u32,
    /// How many packets each case judges in one turn, where it is the same packet over and over
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
        let mut tables = vec![repeated::run(options, cpu)?, single::run(options, cpu)?];
        tables.extend(flood::run(options, cpu)?);
        tables.push(verifier::run()?);
        Ok(tables)
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
