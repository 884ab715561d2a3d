//! `cargo xtask upgrade`: the tests of upgrading, with a gateway that an earlier revision's own binary
//! attaches.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    bpf_cargo::BpfToolchain,
    host,
    process::{attended, capture, cargo, step, workspace},
    setup,
};

const BUILD_LIMIT: Duration = Duration::from_mins(30);
/// The tests that know what to do with an earlier binary.
const TESTS: [&str; 2] =
    ["upgrade::an_upgrade_loses_nothing", "upgrade::a_gateway_of_another_version"];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The revision to upgrade from, as git names it.
    #[arg(long, value_name = "REV")]
    from: String,
}

/// Runs the job.
///
/// # Errors
/// When this is not root, there is no such revision, it cannot be built, or a test fails.
pub(crate) fn run(args: &Args) -> Result<()> {
    ensure!(host::is_root(), "the tests make network namespaces, which needs root");
    setup::ensure()?;
    let binary = build(&args.from)?;
    let mut command = cargo();
    command.args(["test", "--package", "tests", "--test", "e2e", "--"]).args(TESTS);
    attended(command.env("EIGW_EARLIER", &binary))
}

/// Builds the revision's binary, once, and returns where it is.
fn build(revision: &str) -> Result<PathBuf> {
    let commit = format!("{revision}^{{commit}}");
    let mut git = Command::new("git");
    git.current_dir(workspace()).args(["rev-parse", "--verify", "--quiet", &commit]);
    let commit = capture(&mut git).with_context(|| format!("there is no revision {revision}"))?;
    let directory = workspace().join("target/upgrade").join(&commit);
    let binary = directory.join("target/debug/eigw");
    if binary.is_file() {
        println!("{} is there", binary.display());
        return Ok(binary);
    }
    fs::create_dir_all(directory.join("target")).context("making a directory")?;
    let archive = directory.join("target/sources.tar");
    let mut git = Command::new("git");
    git.current_dir(workspace()).args(["archive", "--output"]).arg(&archive).arg(&commit);
    capture(&mut git)?;
    capture(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(&directory))?;
    let record = BpfToolchain::record_path(Path::new(""));
    fs::copy(workspace().join(&record), directory.join(&record))
        .context("copying the toolchain")?;
    let mut command = cargo();
    command
        .current_dir(&directory)
        .args(["build", "--locked", "--package", "gateway-userspace", "--bin", "eigw"])
        .arg("--target-dir")
        .arg(directory.join("target"));
    step(&format!("building eigw of {revision}"), command, Some(BUILD_LIMIT))?;
    Ok(binary)
}
