//! `cargo xtask demo` and `bench`: programs of the crate `tests`, set up and built first.

use std::ffi::OsString;

use anyhow::Result;

use crate::{
    process::{attended, cargo},
    setup,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Passed on to the program; `-- --help` lists what it takes.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

/// Runs the program of that name.
///
/// # Errors
/// When setup, the build or the program fails.
pub(crate) fn run(name: &str, args: &Args) -> Result<()> {
    setup::ensure()?;
    let mut command = cargo();
    command.args(["run", "--release", "--package", "tests", "--bin", name, "--"]);
    attended(command.args(&args.args))
}
