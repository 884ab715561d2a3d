//! The jobs of this workspace: set up, build, test, lint, fuzz, account, demonstrate and measure.
//!
//! `cargo xtask --help` lists them; each job is one file, but for those that start a program of
//! `tests`.

mod apt;
mod audit;
mod bpf_cargo;
mod build;
mod crates;
mod dist;
mod fuzz;
mod host;
mod kernels;
mod linker;
mod lint;
mod probe;
mod process;
mod program;
mod record;
mod reproducible;
mod select;
mod setup;
mod steps;
mod test;
mod test_output;
mod toolchains;
mod tools;
mod upgrade;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Set up, build, test, lint, demonstrate and measure the gateway, and list what it keeps.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    job: Job,
}

#[derive(Subcommand)]
enum Job {
    /// Find or install the toolchain for the BPF programs and the tools that tests use.
    Setup(setup::Args),
    /// Build the `eigw` binary with its BPF programs inside.
    Build(build::Args),
    /// Make a Debian package and a tarball, and check them in a clean Debian root.
    Dist(dist::Args),
    /// Run the tests that depend on the kernel on those of distributions, in emulated machines.
    Kernels(kernels::Args),
    /// Run every test; part of them needs root.
    Test(test::Args),
    /// Check formatting, clippy on the host and on the BPF target, and the documentation.
    Lint,
    /// Check licences, sources, duplicates and advisories of the libraries.
    Audit(audit::Args),
    /// Build the BPF programs twice, in different directories, and compare.
    Reproducible(reproducible::Args),
    /// Upgrade a gateway that an earlier revision attached, with live traffic; needs root.
    Upgrade(upgrade::Args),
    /// List every requirement with the code and the tests that keep it, or why it is not kept.
    Conformance(program::Args),
    /// Show the gateway at work in network namespaces.
    Demo(program::Args),
    /// Measure what the gateway costs per packet and per connection.
    Bench(program::Args),
    /// Send the same packets through the gateway and through nftables, and compare.
    Differential(program::Args),
    /// Kill, refuse and rob the commands that change a gateway, at each of their system calls.
    Faults(program::Args),
    /// Fuzz what reads bytes that others wrote; `fuzz packets` compares the programs in the kernel
    /// with the host build of the packet path.
    Fuzz(fuzz::Args),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().job {
        Job::Setup(args) => setup::run(&args).map(success),
        Job::Build(args) => build::run(&args).map(success),
        Job::Dist(args) => dist::run(&args).map(success),
        Job::Kernels(args) => kernels::run(&args),
        Job::Test(args) => test::run(&args),
        Job::Lint => lint::run().map(success),
        Job::Audit(args) => audit::run(&args).map(success),
        Job::Reproducible(args) => reproducible::run(&args).map(success),
        Job::Upgrade(args) => upgrade::run(&args).map(success),
        Job::Conformance(args) => program::run_without_object("conformance", &args).map(success),
        Job::Demo(args) => program::run("demo", &args).map(success),
        Job::Bench(args) => program::run("bench", &args).map(success),
        Job::Fuzz(args) => fuzz::run(&args).map(success),
        Job::Differential(args) => program::run("differential", &args).map(success),
        Job::Faults(args) => program::run("faults", &args).map(success),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn success((): ()) -> ExitCode {
    ExitCode::SUCCESS
}
