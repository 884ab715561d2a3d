//! `cargo xtask test`: every test, streamed as it runs, with a summary at the end.

use std::{
    ffi::OsString,
    io::{self, BufRead as _, BufReader, Write as _},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    host,
    process::{attended, cargo},
    setup,
    steps::{Step, table, timed},
    test_output::{Suite, Tally},
};

/// The part of the tests that loads nothing into the kernel, as selections for `cargo test`.
const UNPRIVILEGED: [&[&str]; 2] = [
    &["-p", "gateway-common", "-p", "gateway-userspace", "-p", "xtask", "--lib", "--bins"],
    &[
        "-p",
        "tests",
        "--bin=differential",
        "--test=conformance",
        "--test=docs",
        "--test=fuzz",
        "--test=properties",
        "--test=rows_host",
    ],
];

/// All of them.
const EVERYTHING: [&[&str]; 1] = [&[]];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run only the tests that need no root.
    #[arg(long)]
    unprivileged: bool,
    /// Passed on to `cargo test`, for instance `-- -p gateway-common tcp`.
    #[arg(last = true)]
    args: Vec<OsString>,
}

/// Runs the job.
///
/// The exit code tells whether all went well, in silence: the totals are the last line.
///
/// # Errors
/// When this is not root and only root can run the tests, or their output cannot be read.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    if !args.unprivileged && !host::is_root() {
        bail!(
            "the tests load programs into the kernel and make network namespaces, which needs \
             root: run as root, or `cargo xtask test --unprivileged` for those that do not"
        );
    }
    let (setup, ready) = timed("setup", setup::ensure);
    let mut steps = vec![setup];
    let mut tally = Tally::default();
    let mut passed = false;
    if ready.is_some() {
        let selections: &[&[&str]] = if args.unprivileged { &UNPRIVILEGED } else { &EVERYTHING };
        let cargo_test = |option, selection: &[&str]| {
            let mut command = cargo();
            command.args(["test", option]).args(selection).args(&args.args);
            command
        };
        let (compile, compiled) = timed("compile", || {
            selections.iter().try_for_each(|it| attended(&mut cargo_test("--no-run", it)))
        });
        steps.push(compile);
        if compiled.is_some() {
            println!("==> test");
            passed = true;
            for selection in selections {
                passed &= stream(&mut cargo_test("--no-fail-fast", selection), &mut tally)?;
            }
        }
    }
    Ok(summarise(steps, &tally, passed))
}

/// Runs the tests, shows their output as it comes and reads it; returns cargo's own verdict.
///
/// Both streams share one pipe: cargo names the test binary on stderr, the binary prints its
/// results on stdout, and only in one pipe they keep their order.
fn stream(command: &mut Command, tally: &mut Tally) -> Result<bool> {
    let (reader, writer) = io::pipe().context("creating a pipe")?;
    let mut child = command
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .spawn()
        .with_context(|| format!("starting {command:?}"))?;
    // The command keeps its ends of the pipe open, and with them the reader waiting.
    command.stdout(io::stdout()).stderr(io::stderr());
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        io::stdout().write_all(&line)?;
        tally.line(&String::from_utf8_lossy(&line));
        line.clear();
    }
    Ok(child.wait()?.success())
}

/// Prints the table and, alone on the last line, the totals.
fn summarise(mut steps: Vec<Step>, tally: &Tally, succeeded: bool) -> ExitCode {
    steps.extend(tally.suites().map(Suite::step));
    let (passed, failed) = tally.total();
    // Whatever went wrong without a test to blame is a failure all the same.
    let failed = if succeeded { failed } else { failed.max(1) };
    print!("\n{}\n{passed} passed, {failed} failed\n", table(&steps));
    if failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
