//! `cargo xtask demo`, `bench`, `differential`, `faults`, `fuzz packets` and `conformance`: programs of
//! the crate `tests`, built first.

use std::ffi::OsString;

use anyhow::Result;

use crate::{
    process::{attended, cargo, cargo_without_object},
    setup,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Passed on to the program; `-- --help` lists what it takes.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

impl Args {
    /// These arguments.
    pub(crate) fn of(args: Vec<OsString>) -> Self {
        Self { args }
    }
}

/// Runs the program of that name, which needs the gateway's programs and what `setup` installs.
///
/// # Errors
/// When setup, the build or the program fails.
pub(crate) fn run(name: &str, args: &Args) -> Result<()> {
    setup::ensure()?;
    let mut command = cargo();
    command.args(["run", "--release", "--package", "tests", "--bin", name, "--"]);
    attended(command.args(&args.args))
}

/// Runs the program of that name, which looks at sources only: nothing is set up for it.
///
/// # Errors
/// When the build or the program fails.
pub(crate) fn run_without_object(name: &str, args: &Args) -> Result<()> {
    let mut command = cargo_without_object();
    command.args(["run", "--package", "tests", "--bin", name, "--"]);
    attended(command.args(&args.args))
}
