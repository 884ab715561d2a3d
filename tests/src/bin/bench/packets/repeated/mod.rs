//! The same packet again and again: what the program itself costs while everything that it
//! touches is in the CPU's caches.

mod cases;

use anyhow::{Context as _, Result};

use super::{
    Options,
    gateway::Gateway,
    series::{self, Series, Subject},
};
use crate::{cpu, empty::Empty, report::Table};

/// A row and its packet.
struct Case {
    series: Series,
    frame: Vec<u8>,
}

/// Measures all cases.
pub(super) fn run(options: &Options, cpu: usize) -> Result<Table> {
    let mut empty = Empty::load()?;
    let mut gateway = Gateway::load();
    let mut cases = cases::all(&mut gateway);
    for round in 1..=options.rounds {
        eprintln!("packets: round {round} of {}, {} cases", options.rounds, cases.len());
        for case in &mut cases {
            let ns = turn(case, &mut empty, &mut gateway, options.runs)?;
            case.series.ns.push(ns);
        }
    }
    gateway.check().context("the cases did not do what they say")?;
    Ok(table(&cases, options, cpu))
}

/// One turn of one case, in CPU time of this thread, which does not count what other processes
/// take. What the system call itself costs is spread over all the runs.
fn turn(case: &Case, empty: &mut Empty, gateway: &mut Gateway, runs: u32) -> Result<f64> {
    let before = cpu::time()?;
    match case.series.subject {
        Subject::Empty(hook) => empty.run_ns(hook, &case.frame, runs)?,
        Subject::Gateway(program, reason) => gateway.time(program, &case.frame, reason, runs),
        Subject::Forget => unreachable!("a flow can be forgotten only once"),
    };
    let spent = cpu::time()?.saturating_sub(before);
    Ok(cpu::mean_ns(spent.as_nanos(), runs))
}

fn table(cases: &[Case], options: &Options, cpu: usize) -> Table {
    let series: Vec<_> = cases.iter().map(|case| &case.series).collect();
    Table {
        title: "Time per packet, caches warm",
        notes: vec![
            format!(
                "BPF_PROG_TEST_RUN of one packet over and over: median [min – max] of {} rounds \
                 in which every case has one turn of {} runs, in nanoseconds of CPU time on CPU \
                 {cpu}. The last column is the difference to the empty program of the same hook, \
                 taken within each round. The floor holds what the test run itself costs.",
                options.rounds, options.runs
            ),
            "Verdicts are checked: the programs' own counters must show every packet of a case \
             under its reason, and no other."
                .into(),
            "TCP carries no options unless a row says so. What windows cost is the difference \
             between a flow that is tracked and one that was picked up in mid-stream, whose \
             numbers are not checked. A repeated segment moves no number on; what recording \
             that adds, the next table shows."
                .into(),
        ],
        columns: series::columns(),
        rows: series::rows(&series, 1),
        pictures: Vec::new(),
    }
}
