//! What one packet costs in each program, with nothing around it: `BPF_PROG_TEST_RUN`.

mod flood;
pub(crate) mod flow;
pub(crate) mod gateway;
mod repeated;
mod series;
mod single;
mod sys;
mod verifier;

use anyhow::Result;
use clap::value_parser;

use crate::{cpu, report::Table};

/// Packets of one turn, where each packet is run once.
pub(crate) const BATCH: u32 = 2048;

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
    let measured = cpu::on_one(|cpu| {
        eprintln!("packets: measuring on CPU {cpu}");
        let mut tables = vec![repeated::run(options, cpu)?, single::run(options, cpu)?];
        tables.extend(flood::run(options, cpu)?);
        tables.push(verifier::run()?);
        Ok(tables)
    });
    tables.extend(measured?);
    Ok(())
}
