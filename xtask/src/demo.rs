//! `cargo xtask demo`: the gateway at work; the demonstration itself is a program of `tests`.

use std::ffi::OsString;

use anyhow::Result;

use crate::{
    process::{attended, cargo},
    setup,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Passed on to the demonstration; `-- --help` lists what it takes.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

/// Runs the job.
///
/// # Errors
/// When setup, the build or the demonstration fails.
pub(crate) fn run(args: &Args) -> Result<()> {
    setup::ensure()?;
    let mut command = cargo();
    command.args(["run", "--release", "--package", "tests", "--bin", "demo", "--"]);
    attended(command.args(&args.args))
}
