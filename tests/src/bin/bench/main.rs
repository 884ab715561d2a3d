//! What the gateway costs: per packet in the programs, and end to end in a lab.
//!
//! Figures of different machines, kernels or runs do not compare; ratios within one run do. So
//! whatever is compared is measured in turns, round by round, and every ratio or difference is
//! taken within a round before the median over the rounds is.

mod bars;
mod cpu;
mod document;
mod empty;
mod flood;
mod forward;
mod goodput;
mod lab;
mod machine;
mod memory;
mod object;
mod packets;
mod plot;
mod report;
mod rules;
mod scaling;
mod statistics;
mod sweeper;
mod throughput;
mod transactions;

use std::{
    panic::{self, AssertUnwindSafe},
    path::PathBuf,
    process::ExitCode,
    slice,
    time::Instant,
};

use anyhow::{Result, anyhow};
use clap::{Args, CommandFactory as _, Parser, Subcommand, error::ErrorKind};
use nix::unistd::geteuid;

use tests::interrupt;

use crate::{
    document::{Documents, Findings},
    machine::Machine,
};

/// Measures what the gateway costs, beside an empty program, no firewall and nftables.
///
/// Without a command all benchmarks run. Nothing is attached to this machine's own interfaces.
#[derive(Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
struct Cli {
    /// Also write the results to this directory, a Markdown file for each benchmark (relative to
    /// the workspace)
    #[arg(long, global = true, value_name = "DIR")]
    markdown: Option<PathBuf>,
    /// Without a command: few and short rounds, and small tables, to see whether all of it works
    #[arg(long)]
    quick: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Nanoseconds per packet in each program, and what the verifier says of the programs
    Packets(packets::Options),
    /// What the number of rules and prefixes costs, beside nftables
    Rules(rules::Options),
    /// What an unsolicited packet costs a gateway end to end, by number of live flows
    Flood(flood::Options),
    /// What a packet of a live flow costs a gateway end to end, in and out
    Forward(forward::Options),
    /// What gets through of live flows and of a TCP connection while strangers flood the gateway
    Goodput(goodput::Options),
    /// Round trips and TCP connections through a gateway, all on one CPU
    Transactions(transactions::Options),
    /// Nanoseconds per packet and attach time, by number of flows
    Scaling(scaling::Options),
    /// Kernel memory per flow, of the gateway's maps and of the kernel's connection tracking
    Memory,
    /// CPU time and memory of the daemon's sweeper, by number of flows
    Sweeper(sweeper::Options),
    /// TCP throughput through a gateway in network namespaces, with and without firewalls
    Throughput(throughput::Options),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if cli.quick && cli.command.is_some() {
        let message = "--quick runs all benchmarks: give one its own options instead";
        Cli::command().error(ErrorKind::ArgumentConflict, message).exit();
    }
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
    let documents = cli.markdown.as_deref().map(Documents::open).transpose()?;
    let machine = Machine::look()?;
    println!("{}", machine.plain());
    let all;
    let commands = if let Some(command) = &cli.command {
        slice::from_ref(command)
    } else {
        all = Command::all(cli.quick)?;
        &all[..]
    };
    for command in commands {
        let started = Instant::now();
        let findings = command.run()?;
        for table in &findings.tables {
            println!("\n{}", table.plain());
        }
        eprintln!("{}: took {} s", findings.command, started.elapsed().as_secs());
        if let Some(documents) = &documents {
            documents.write(&findings, &machine)?;
        }
    }
    Ok(())
}

impl Command {
    /// All of them, in the order in which they are run.
    fn all(quick: bool) -> Result<Vec<Self>> {
        Ok(vec![
            Self::Packets(options(quick, &["--rounds=2", "--runs=2000"])?),
            Self::Rules(options(quick, &["--rounds=2", "--size-max=100", "--turn-ms=5"])?),
            Self::Flood(options(quick, &["--rounds=2", "--turn-ms=50", "--flows=0,1000"])?),
            Self::Forward(options(quick, &["--rounds=2", "--turn-ms=50", "--flows=1000"])?),
            Self::Goodput(options(quick, &["--rounds=1", "--turn-ms=100", "--rates=200000"])?),
            Self::Transactions(options(
                quick,
                &["--rounds=2", "--round-trips=500", "--connections=100"],
            )?),
            Self::Scaling(options(quick, &["--rounds=2", "--runs=5000", "--flows=0,1000"])?),
            Self::Memory,
            Self::Sweeper(options(quick, &["--flows=10000", "--passes=1"])?),
            Self::Throughput(options(quick, &["--rounds=1", "--secs=1"])?),
        ])
    }

    fn run(&self) -> Result<Findings> {
        let mut tables = Vec::new();
        let command = match self {
            Self::Packets(options) => packets::run(options, &mut tables).map(|()| "packets"),
            Self::Rules(options) => rules::run(options, &mut tables).map(|()| "rules"),
            Self::Flood(options) => flood::run(options, &mut tables).map(|()| "flood"),
            Self::Forward(options) => forward::run(options, &mut tables).map(|()| "forward"),
            Self::Goodput(options) => goodput::run(options, &mut tables).map(|()| "goodput"),
            Self::Transactions(options) => {
                transactions::run(options, &mut tables).map(|()| "transactions")
            }
            Self::Scaling(options) => scaling::run(options, &mut tables).map(|()| "scaling"),
            Self::Memory => memory::run(&mut tables).map(|()| "memory"),
            Self::Sweeper(options) => sweeper::run(options, &mut tables).map(|()| "sweeper"),
            Self::Throughput(options) => {
                throughput::run(options, &mut tables).map(|()| "throughput")
            }
        }?;
        Ok(Findings { command, tables })
    }
}

/// A command's options as they are when none is given, or those of a quick run.
fn options<T: Args>(quick: bool, quickly: &[&str]) -> Result<T> {
    let command = T::augment_args(clap::Command::new("bench"));
    let quickly = quickly.iter().filter(|_| quick);
    let arguments = ["bench"].into_iter().chain(quickly.copied());
    Ok(T::from_arg_matches(&command.try_get_matches_from(arguments)?)?)
}
