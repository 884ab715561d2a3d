//! What packets cost with ever more live flows, and how long it takes to set up room for them.

mod attach;
mod outcome;
mod stage;

use anyhow::Result;
use clap::value_parser;

use self::stage::{Case, Stage};
use crate::{cpu, report::Table};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// How often each case has its turn
    #[arg(long, value_name = "N", default_value_t = 9)]
    #[arg(value_parser = value_parser!(u32).range(1..))]
    rounds: u32,
    /// How many packets each case judges in one turn
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    #[arg(value_parser = value_parser!(u32).range(1_000..=1_000_000))]
    runs: u32,
    /// With how many live flows
    #[arg(long, value_name = "N", value_delimiter = ',')]
    #[arg(default_values_t = [0, 1_000, 100_000, 1_000_000, 4_000_000])]
    #[arg(value_parser = value_parser!(u32).range(..=16_000_000))]
    flows: Vec<u32>,
}

/// What was measured with so many flows.
struct Measured {
    flows: u32,
    /// By case; nothing where there is no flow to be had.
    series: [Series; Case::ALL.len()],
}

/// Nanoseconds per packet in each round: of the program, and of an empty one in its place.
#[derive(Default)]
struct Series {
    ns: Vec<f64>,
    floor_ns: Vec<f64>,
}

/// Runs the benchmark and adds its tables.
///
/// # Errors
/// If the kernel refuses something, or packets went another way than the one to be measured.
pub(crate) fn run(options: &Options, tables: &mut Vec<Table>) -> Result<()> {
    let measured = cpu::on_one(|cpu| {
        let mut stages = Vec::new();
        for &flows in &options.flows {
            eprintln!("scaling: opening {flows} flows");
            let measured = Measured { flows, series: Default::default() };
            stages.push((Stage::with(flows, options)?, measured));
        }
        for round in 0..options.rounds as usize {
            eprintln!("scaling: round {} of {}", round + 1, options.rounds);
            // Every round begins with another one, in case the place in a round matters.
            for place in 0..stages.len() {
                let index = (round + place) % stages.len();
                let (stage, measured) = &mut stages[index];
                turn(stage, measured, options.runs)?;
            }
        }
        let measured: Vec<_> = stages.into_iter().map(|(_, measured)| measured).collect();
        Ok(outcome::table(&measured, options, cpu))
    })?;
    tables.push(measured);
    tables.push(attach::run(options)?);
    Ok(())
}

fn turn(stage: &mut Stage, measured: &mut Measured, runs: u32) -> Result<()> {
    for (case, series) in Case::ALL.into_iter().zip(&mut measured.series) {
        if case.is_possible_with(measured.flows) {
            series.floor_ns.push(stage.floor_ns(case, runs)?);
            series.ns.push(stage.turn_ns(case, runs)?);
        }
    }
    Ok(())
}
