//! `cargo xtask build`: the `eigw` binary; its build script builds the BPF programs.

use std::env;

use anyhow::Result;

use crate::{
    process::{attended, cargo, workspace},
    setup,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Optimise the binary (the BPF programs always are).
    #[arg(long)]
    release: bool,
}

/// Runs the job.
///
/// # Errors
/// When setup or the build fails.
pub(crate) fn run(args: &Args) -> Result<()> {
    setup::ensure()?;
    let mut command = cargo();
    command.args(["build", "--package", "gateway-userspace"]);
    let profile = if args.release { "release" } else { "debug" };
    if args.release {
        command.arg("--release");
    }
    attended(&mut command)?;
    let target = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    println!("built {}", workspace().join(target).join(profile).join("eigw").display());
    Ok(())
}
