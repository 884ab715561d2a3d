//! What the sweeper costs at its own pace, with so many flows in the tables.

mod tables;

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use clap::value_parser;
use gateway_userspace::daemon::{Budget, Sweeper, SweeperStats, Sweeping};

use self::tables::Filled;
use crate::report::{Column, Table, thousands};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// How many flows there are, one row for each
    #[arg(long, value_name = "N", value_delimiter = ',')]
    #[arg(default_values_t = [10_000, 100_000, 1_000_000, 4_000_000])]
    #[arg(value_parser = value_parser!(u32).range(1_000..=16_000_000))]
    flows: Vec<u32>,
    /// How many passes are measured
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = value_parser!(u32).range(1..=100))]
    passes: u32,
}

/// What was measured with so many flows.
struct Measured {
    flows: u32,
    /// CPU time of a pass, for each flow.
    flow_ns: f64,
    /// From the end of one pass to that of the next one.
    period: Duration,
    /// CPU time of the thread, as a share of the time that went by.
    share: f64,
    /// By how much the process grew.
    memory_kib: u32,
    /// CPU time of removing a flow whose time is over, and of its record.
    reclaimed_ns: f64,
    /// How long it took until all were gone.
    cleared: Duration,
}

/// Measures and adds the table.
///
/// # Errors
/// If the gateway cannot be attached, filled or read.
pub(crate) fn run(options: &Options, tables: &mut Vec<Table>) -> Result<()> {
    let measured: Result<Vec<_>> =
        options.flows.iter().map(|&flows| measure(flows, options.passes)).collect();
    tables.push(table(&measured?, options.passes));
    Ok(())
}

fn measure(flows: u32, passes: u32) -> Result<Measured> {
    eprintln!("sweeper: {flows} flows that live");
    let filled = Filled::with(flows)?;
    let memory_before = resident_kib()?;
    let sweeping = Sweeping::default();
    let sweeper = Sweeper::open(filled.bpffs(), filled.name(), Budget::default(), sweeping.clone());
    let mut work = Work { sweeper: sweeper.context("opening the gateway")?, sweeping };

    // The first pass is like no other: it touches memory for the first time.
    let (begin, before) = work.until(|stats| stats.passes == 1)?;
    let (end, after) = work.until(|stats| stats.passes == 1 + u64::from(passes))?;
    let memory_kib = resident_kib()?.saturating_sub(memory_before);
    let entries = after.entries - before.entries;
    ensure!(entries == u64::from(flows) * u64::from(passes), "{entries} in {passes} passes");
    ensure!(after.reclaimed == 0, "flows that live were reclaimed");
    let (cpu, elapsed) = (after.cpu.saturating_sub(before.cpu), end - begin);

    eprintln!("sweeper: {flows} flows whose time is over");
    filled.expire()?;
    let (begin, before) = (Instant::now(), work.sweeping.stats());
    let (end, after) = work.until(|stats| stats.reclaimed >= u64::from(flows))?;
    ensure!(after.reclaimed == u64::from(flows), "{} of {flows} reclaimed", after.reclaimed);
    ensure!(after.records == after.reclaimed, "{} records of {flows}", after.records);
    let reclaiming = after.cpu.saturating_sub(before.cpu);
    Ok(Measured {
        flows,
        flow_ns: cpu.as_secs_f64() * 1e9 / (f64::from(flows) * f64::from(passes)),
        period: elapsed / passes,
        share: cpu.as_secs_f64() / elapsed.as_secs_f64(),
        memory_kib,
        reclaimed_ns: reclaiming.as_secs_f64() * 1e9 / f64::from(flows),
        cleared: end - begin,
    })
}

/// A sweeper that keeps its own pace.
struct Work {
    sweeper: Sweeper,
    sweeping: Sweeping,
}

impl Work {
    /// Goes on until `is_done`, and tells when that was.
    fn until(
        &mut self,
        is_done: impl Fn(&SweeperStats) -> bool,
    ) -> Result<(Instant, SweeperStats)> {
        loop {
            let rest = self.sweeper.step().context("sweeping")?;
            let stats = self.sweeping.stats();
            if is_done(&stats) {
                return Ok((Instant::now(), stats));
            }
            thread::sleep(rest);
        }
    }
}

fn table(measured: &[Measured], passes: u32) -> Table {
    let row = |measured: &Measured| {
        let Measured { flows, flow_ns, period, share, memory_kib, reclaimed_ns, cleared } =
            measured;
        vec![
            thousands(f64::from(*flows)),
            format!("{flow_ns:.0}"),
            format!("{:.1}", period.as_secs_f64()),
            format!("{:.2} %", share * 100.0),
            format!("{:.1}", f64::from(*memory_kib) / 1024.0),
            format!("{reclaimed_ns:.0}"),
            format!("{:.1}", cleared.as_secs_f64()),
        ]
    };
    Table {
        title: "What the sweeper costs",
        notes: vec![
            format!(
                "The sweeper of `eigw run` at its own pace on tables that are four fifths full, a \
                 fifth of the flows in `half_open`: mean of {passes} after a first one, over flows that live. \
                 CPU time is that of its thread, in which the kernel's reading of the tables is \
                 included; the share is taken of one core and of the time from one pass to the \
                 next. Memory is what the process grew by, the shared ring of records included."
            ),
            "Then the time of all flows is over at once, which is the worst case: how much CPU time \
             each takes until it is removed and its record is taken, looking at it included, and \
             how long it takes until all are gone."
                .into(),
        ],
        columns: vec![
            Column::Numbers("flows"),
            Column::Numbers("ns per flow and pass"),
            Column::Numbers("seconds per pass"),
            Column::Numbers("share of a core"),
            Column::Numbers("MiB"),
            Column::Numbers("ns per flow reclaimed"),
            Column::Numbers("seconds to reclaim all"),
        ],
        rows: measured.iter().map(row).collect(),
        pictures: Vec::new(),
    }
}

/// How much memory this process has, in KiB.
fn resident_kib() -> Result<u32> {
    let path = "/proc/self/status";
    let text = fs::read_to_string(path).with_context(|| format!("reading {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kibibytes.with_context(|| format!("{path} has no VmRSS"))?.parse()?)
}
