//! `cargo xtask bench`: what the gateway costs; the benchmark itself is a program of `tests`.

use std::ffi::OsString;

use anyhow::Result;

use crate::{
    process::{attended, cargo},
    setup,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Passed on to the benchmark; `-- --help` lists what it takes.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

/// Runs the job.
///
/// # Errors
/// When setup, the build or the benchmark fails.
pub(crate) fn run(args: &Args) -> Result<()> {
    setup::ensure()?;
    let mut command = cargo();
    command.args(["run", "--release", "--package", "tests", "--bin", "bench", "--"]);
    attended(command.args(&args.args))
}
