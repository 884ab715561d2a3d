//! What the number of rules and prefixes costs: in the programs alone, and over a veth beside
//! nftables.

mod columns;
mod kernel;
mod nft;
mod policy;
mod wire;

use anyhow::Result;
use clap::value_parser;
use tests::eigw;

use crate::{cpu, report::Table};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// How often each case has its turn
    #[arg(long, value_name = "N", default_value_t = 11)]
    #[arg(value_parser = value_parser!(u32).range(1..))]
    rounds: u32,
    /// How many packets each case judges in one turn, where it is the same packet over and over
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    #[arg(value_parser = value_parser!(u32).range(1..))]
    runs: u32,
    /// About how long frames are sent in one turn
    #[arg(long, value_name = "MS", default_value_t = 50)]
    #[arg(value_parser = value_parser!(u32).range(1..=10_000))]
    turn_ms: u32,
    /// The most rules or prefixes of a policy
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    #[arg(value_parser = value_parser!(u32).range(1..))]
    size_max: u32,
}

/// Runs the benchmark and adds its tables.
///
/// # Errors
/// If a policy cannot be had, or packets met another fate than the one to be measured.
pub(crate) fn run(options: &Options, tables: &mut Vec<Table>) -> Result<()> {
    eprintln!("rules: bringing eigw up to date");
    _ = eigw::binary();
    let measured = cpu::on_one(|cpu| {
        eprintln!("rules: measuring on CPU {cpu}");
        let mut tables = kernel::run(options, cpu)?;
        tables.extend(wire::run(options, cpu)?);
        Ok(tables)
    });
    tables.extend(measured?);
    Ok(())
}
