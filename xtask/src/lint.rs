//! `cargo xtask lint`: formatting, clippy for the host and for BPF, documentation.

use std::{env, process::Command};

use anyhow::{Result, bail};

use crate::{
    bpf_cargo::BpfToolchain,
    process::{attended, cargo, cargo_without_object, workspace},
    setup,
    steps::{table, timed},
    toolchains,
};

/// Runs the job: every check, also after one has failed.
///
/// # Errors
/// When setup or a check fails.
pub(crate) fn run() -> Result<()> {
    let toolchain = setup::ensure()?;
    let steps = [
        timed("format", || attended(cargo().args(["fmt", "--all", "--", "--check"]))).0,
        timed("clippy (host)", || attended(&mut clippy_host())).0,
        timed("clippy (BPF)", || clippy_bpf(&toolchain)).0,
        timed("documentation", || attended(&mut documentation())).0,
    ];
    print!("\n{}", table(&steps));
    let failed: Vec<&str> =
        steps.iter().filter(|step| step.outcome != "ok").map(|step| step.name.as_str()).collect();
    if failed.is_empty() { Ok(()) } else { bail!("failed: {}", failed.join(", ")) }
}

fn clippy_bpf(toolchain: &BpfToolchain) -> Result<()> {
    toolchains::ensure_clippy(&toolchain.toolchain)?;
    let mut command = toolchain.cargo("clippy", workspace(), env::consts::ARCH);
    command.current_dir(workspace()).args([
        "--package",
        "gateway-ebpf",
        "--package",
        "tests-ebpf",
        "--",
        "-Dwarnings",
    ]);
    attended(&mut command)
}

fn clippy_host() -> Command {
    let mut command = cargo_without_object();
    command.args(["clippy", "--all-targets", "--keep-going", "--", "-Dwarnings"]);
    command
}

fn documentation() -> Command {
    let mut command = cargo_without_object();
    command.args(["doc", "--no-deps", "--keep-going"]).env("RUSTDOCFLAGS", "-Dwarnings");
    command
}
