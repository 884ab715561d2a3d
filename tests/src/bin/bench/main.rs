//! What the gateway costs: per packet in the programs, and end to end in a lab.
//!
//! Figures of different machines, kernels or runs do not compare; ratios within one run do. So
//! whatever is compared is measured in turns, round by round, and every ratio or difference is
//! taken within a round before the median over the rounds is.

mod cpu;
mod document;
mod empty;
mod machine;
mod memory;
mod object;
mod packets;
mod plot;
mod report;
mod rules;
mod statistics;
mod sweeper;
mod throughput;

use std::{
    panic::{self, AssertUnwindSafe},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Result, anyhow};
use clap::{Args, Parser, Subcommand};
use nix::unistd::geteuid;

use tests::interrupt;

use crate::{document::Document, machine::Machine, report::Table};

/// Measures what the gateway costs, beside an empty program, no firewall and nftables.
///
/// Without a command all benchmarks run. Nothing is attached to this machine's own interfaces.
#[derive(Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
struct Cli {
    /// Also write the results to this file, as Markdown (relative to the workspace)
    ///
    /// A file that exists needs a section "Measured", which they replace.
    #[arg(long, global = true, value_name = "FILE")]
    markdown: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Nanoseconds per packet in each program, and what the verifier says of the programs
    Packets(packets::Options),
    /// What the number of rules and prefixes costs, beside nftables
    Rules(rules::Options),
    /// Kernel memory per flow, of the gateway's maps and of the kernel's connection tracking
    Memory,
    /// CPU time and memory of the daemon's sweeper, by number of flows
    Sweeper(sweeper::Options),
    /// TCP throughput through a gateway in network namespaces, with and without firewalls
    Throughput(throughput::Options),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if !geteuid().is_root() {
        eprintln!("error: network namespaces and BPF need root: run this as root, or with sudo");
        return ExitCode::FAILURE;
    }
    // Fixtures panic with evidence; what they made goes away while the stack unwinds.
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| run(&cli)))
        .unwrap_or_else(|_| Err(anyhow!("the benchmark could not go on; see above")));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    interrupt::clean_up_when_interrupted()?;
    // Minutes of measuring must not end at a file that cannot be written.
    let document = cli.markdown.as_deref().map(Document::open).transpose()?;
    let machine = Machine::look()?;
    println!("{}", machine.plain());
    let mut tables = Vec::new();
    match &cli.command {
        Some(Command::Packets(options)) => packets::run(options, &mut tables)?,
        Some(Command::Rules(options)) => rules::run(options, &mut tables)?,
        Some(Command::Memory) => memory::run(&mut tables)?,
        Some(Command::Sweeper(options)) => sweeper::run(options, &mut tables)?,
        Some(Command::Throughput(options)) => throughput::run(options, &mut tables)?,
        None => {
            packets::run(&defaults()?, &mut tables)?;
            rules::run(&defaults()?, &mut tables)?;
            memory::run(&mut tables)?;
            sweeper::run(&defaults()?, &mut tables)?;
            throughput::run(&defaults()?, &mut tables)?;
        }
    }
    for table in &tables {
        println!("\n{}", table.plain());
    }
    if let Some(document) = document {
        let sections = tables.iter().map(Table::markdown);
        let text: Vec<String> = [machine.markdown()].into_iter().chain(sections).collect();
        let plots: Vec<_> = tables.iter().filter_map(|table| table.plot.as_ref()).collect();
        document.write(&text.join("\n"), &plots)?;
    }
    Ok(())
}

/// What a command's options are when none is given.
fn defaults<T: Args>() -> Result<T> {
    let command = T::augment_args(clap::Command::new("bench"));
    Ok(T::from_arg_matches(&command.try_get_matches_from(["bench"])?)?)
}
