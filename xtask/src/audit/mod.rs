//! `cargo xtask audit`: what `deny.toml` demands of the libraries, checked by cargo-deny.

mod quick;

use std::{path::PathBuf, process::Command, time::Duration};

use anyhow::{Result, anyhow, bail};

use crate::{
    process::{attended, capture, cargo, find_program, step, workspace},
    steps::{table, timed},
};

/// The release that `deny.toml` was written for.
const CARGO_DENY: &str = "0.20.2";
const INSTALL_LIMIT: Duration = Duration::from_mins(30);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only licences and sources, in a second and without cargo-deny: what CI checks.
    #[arg(long)]
    quick: bool,
    /// Fail when the database of advisories cannot be fetched, as a release should.
    #[arg(long, conflicts_with = "quick")]
    require_advisories: bool,
}

/// Runs the job: every check, also after one has failed.
///
/// # Errors
/// When cargo-deny cannot be installed or a check fails.
pub(crate) fn run(args: &Args) -> Result<()> {
    if args.quick {
        quick::run()?;
        println!(
            "duplicates and advisories were not checked: `cargo xtask audit` does, with cargo-deny"
        );
        return Ok(());
    }
    let program = cargo_deny()?;
    let deny = |words: &[&str]| {
        let mut command = Command::new(&program);
        command.current_dir(workspace()).arg("--locked").args(words);
        command
    };
    let (rest, _) = timed("bans, licences, sources", || {
        attended(&mut deny(&["check", "--hide-inclusion-graph", "bans", "licenses", "sources"]))
    });
    let mut steps = vec![rest];
    // What `fetch` prints when it fails is the reason, and enough.
    let fetched = capture(&mut deny(&["fetch", "db"]));
    if fetched.is_ok() || args.require_advisories {
        let (advisories, _) = timed("advisories", || {
            fetched.as_ref().map_err(|error| anyhow!("{error:#}"))?;
            attended(&mut deny(&["check", "--disable-fetch", "advisories"]))
        });
        steps.push(advisories);
    }
    print!("\n{}", table(&steps));
    if let (Err(error), false) = (&fetched, args.require_advisories) {
        println!("ADVISORIES WERE NOT CHECKED: their database cannot be fetched: {error:#}");
    }
    let failed: Vec<&str> =
        steps.iter().filter(|step| step.outcome != "ok").map(|step| step.name.as_str()).collect();
    if failed.is_empty() { Ok(()) } else { bail!("failed: {}", failed.join(", ")) }
}

/// The program: the machine's own, or one of this workspace, which is compiled for minutes once.
fn cargo_deny() -> Result<PathBuf> {
    if let Some(program) = find_program("cargo-deny") {
        return Ok(program);
    }
    let root = workspace().join("target/tools/cargo-deny");
    let program = root.join("bin/cargo-deny");
    if !program.is_file() {
        let mut command = cargo();
        command.args(["install", "cargo-deny", "--locked", "--version", CARGO_DENY, "--root"]);
        command.arg(&root);
        step(&format!("installing cargo-deny {CARGO_DENY}"), command, Some(INSTALL_LIMIT))?;
    }
    Ok(program)
}
