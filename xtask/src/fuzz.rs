//! `cargo xtask fuzz`: fuzzers, each for a while, with a table of what they did; and the packet
//! fuzzer, which is a program of `tests`.

use std::{
    ffi::OsString,
    fmt::Write as _,
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    process::{capture, find_program, step, workspace},
    program,
};

const NIGHTLY: &str = "+nightly";
/// The version that was tried.
const CARGO_FUZZ_VERSION: &str = "0.13.2";
/// Inputs that are larger show nothing that smaller ones do not.
const INPUT_BYTES_MAX: u32 = 4096;
/// Lines that are shown of what is found.
const EVIDENCE_LINES: u32 = 12;
/// An input that takes longer is a failure.
const INPUT_SECS_MAX: u32 = 10;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// `packets` for the packet fuzzer, which takes what follows (`-- --help` lists it); else the
    /// fuzzer to run: without one all of them.
    target: Option<String>,
    /// How long each fuzzer runs.
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u32,
    /// Instrument for memory errors too: slower, and rarely of use where nearly all is safe Rust.
    #[arg(long)]
    sanitize: bool,
    /// Passed on to the packet fuzzer.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<OsString>,
}

/// Runs the job.
///
/// # Errors
/// When there is no nightly toolchain, something does not build, or a fuzzer finds something.
pub(crate) fn run(args: &Args) -> Result<()> {
    if args.target.as_deref() == Some("packets") {
        return program::run("packets", &program::Args::of(args.rest.clone()));
    }
    ensure_tools()?;
    let all = targets()?;
    let targets = match &args.target {
        None => all,
        Some(name) if all.contains(name) => vec![name.clone()],
        Some(name) => bail!("there is no fuzzer '{name}'; there are packets, {}", all.join(", ")),
    };
    let mut build = cargo_fuzz("build", args);
    if let [one] = &targets[..] {
        build.arg(one);
    }
    step("build the fuzzers", build, None)?;
    let mut runs = Vec::new();
    for target in &targets {
        println!("==> {target} for {} s", args.seconds);
        runs.push(fuzz(target, args)?);
    }
    print!("\n{}", table(&runs));
    let found: Vec<_> = runs.iter().filter(|run| run.crashes > 0).collect();
    if found.is_empty() {
        return Ok(());
    }
    for run in found {
        println!("{}", run.evidence);
    }
    bail!("something was found: see above, and {}", artifacts(Path::new("")).display())
}

/// Makes sure that there is a nightly toolchain, and `cargo fuzz`.
fn ensure_tools() -> Result<()> {
    capture(Command::new("cargo").args([NIGHTLY, "--version"])).context(
        "fuzzers are instrumented with unstable flags of the compiler, so they need a nightly \
         toolchain: `rustup toolchain install nightly`",
    )?;
    if find_program("cargo-fuzz").is_some() || capture(&mut version()).is_ok() {
        return Ok(());
    }
    let mut install = Command::new("cargo");
    install.args(["install", "--locked", "cargo-fuzz", "--version", CARGO_FUZZ_VERSION]);
    step("install cargo-fuzz", install, None)
}

fn version() -> Command {
    let mut command = Command::new("cargo");
    command.args(["fuzz", "--version"]);
    command
}

/// The names of the fuzzers: those of their sources.
fn targets() -> Result<Vec<String>> {
    let directory = workspace().join("fuzz/fuzz_targets");
    let mut names = Vec::new();
    for entry in
        fs::read_dir(&directory).with_context(|| format!("reading {}", directory.display()))?
    {
        names.extend(entry?.path().file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

fn cargo_fuzz(what: &str, args: &Args) -> Command {
    let mut command = Command::new("cargo");
    let sanitizer = if args.sanitize { "address" } else { "none" };
    command.args([NIGHTLY, "fuzz", what, "--sanitizer", sanitizer, "--target-dir", "target/fuzz"]);
    // Nothing of the packet path runs in the kernel here.
    command.current_dir(workspace()).env("EIGW_EBPF_SKIP", "1");
    command
}

/// Where a fuzzer keeps what it found new ways with.
fn corpus(target: &str) -> PathBuf {
    workspace().join("target/fuzz/corpus").join(target)
}

/// Where a fuzzer leaves what it found wrong.
fn artifacts(target: &Path) -> PathBuf {
    workspace().join("target/fuzz/artifacts").join(target)
}

/// What a fuzzer did.
#[derive(Debug, Default, PartialEq, Eq)]
struct Run {
    target: String,
    executions: u64,
    per_second: u64,
    edges: u64,
    features: u64,
    inputs: u64,
    crashes: u64,
    evidence: String,
    /// How many more lines belong to it.
    evidence_lines: u32,
}

fn fuzz(target: &str, args: &Args) -> Result<Run> {
    let (corpus, artifacts) = (corpus(target), artifacts(Path::new(target)));
    for directory in [&corpus, &artifacts] {
        fs::create_dir_all(directory).with_context(|| format!("making {}", directory.display()))?;
    }
    let mut command = cargo_fuzz("run", args);
    command.arg(target).arg(&corpus);
    for kept in ["seeds", "regressions"] {
        let directory = workspace().join("fuzz").join(kept).join(target);
        if directory.is_dir() {
            command.arg(directory);
        }
    }
    command.args([
        "--".to_owned(),
        format!("-artifact_prefix={}/", artifacts.display()),
        format!("-max_total_time={}", args.seconds),
        format!("-max_len={INPUT_BYTES_MAX}"),
        format!("-timeout={INPUT_SECS_MAX}"),
        "-print_final_stats=1".to_owned(),
    ]);
    let mut child = command
        .stdout(Stdio::inherit())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {command:?}"))?;
    let mut run = Run { target: target.to_owned(), ..Run::default() };
    let stderr = child.stderr.take().context("the fuzzer's stderr is a pipe")?;
    for line in BufReader::new(stderr).lines() {
        run.read(&line?);
    }
    let status = child.wait()?;
    if !status.success() {
        run.crashes = run.crashes.max(1);
    }
    println!("    {} executions, {} edges", run.executions, run.edges);
    Ok(run)
}

impl Run {
    /// Takes in a line of libFuzzer's.
    fn read(&mut self, line: &str) {
        let after = |what: &str| {
            let rest = line.split_once(what)?.1.trim_start();
            rest.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
        };
        if let Some(count) = after("stat::number_of_executed_units:") {
            self.executions = count;
        } else if let Some(count) = after("stat::average_exec_per_sec:") {
            self.per_second = count;
        } else if let (Some(edges), Some(features)) = (after(" cov: "), after(" ft: ")) {
            (self.edges, self.features) = (edges, features);
            self.inputs = after(" corp: ").unwrap_or(self.inputs);
        } else if line.contains("Test unit written to") {
            self.crashes += 1;
        }
        // What a panic says stands on the lines behind it.
        if line.contains("panicked at") {
            self.evidence_lines = EVIDENCE_LINES;
        }
        if self.evidence_lines > 0 || line.contains("Test unit written to") {
            self.evidence_lines = self.evidence_lines.saturating_sub(1);
            self.evidence += line;
            self.evidence.push('\n');
        }
    }
}

fn table(runs: &[Run]) -> String {
    let mut table = format!(
        "{:<10}  {:>11}  {:>7}  {:>7}  {:>8}  {:>7}  {:>7}\n",
        "fuzzer", "executions", "exec/s", "edges", "features", "inputs", "crashes"
    );
    for run in runs {
        let Run { target, executions, per_second, edges, features, inputs, crashes, .. } = run;
        writeln!(
            table,
            "{target:<10}  {executions:>11}  {per_second:>7}  {edges:>7}  {features:>8}  \
             {inputs:>7}  {crashes:>7}"
        )
        .expect("strings take everything");
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libfuzzer_says_is_read() {
        let mut run = Run::default();
        for line in [
            "#2\tINITED cov: 12 ft: 13 corp: 1/1b exec/s: 0 rss: 30Mb",
            "#65536\tpulse  cov: 210 ft: 890 corp: 77/12Kb lim: 200 exec/s: 2048 rss: 60Mb",
            "stat::number_of_executed_units: 70001",
            "stat::average_exec_per_sec:     2300",
        ] {
            run.read(line);
        }
        let expected = Run {
            executions: 70_001,
            per_second: 2300,
            edges: 210,
            features: 890,
            inputs: 77,
            ..Run::default()
        };
        assert_eq!(run, expected);
        run.read("thread panicked at tests/src/fuzz/tcp.rs:1:");
        run.read("artifact_prefix='a/'; Test unit written to a/crash-1");
        assert_eq!(run.crashes, 1);
        assert_eq!(run.evidence.lines().count(), 2);
    }

    #[test]
    fn every_fuzzer_has_seeds() {
        for target in targets().expect("the sources are there") {
            assert!(workspace().join("fuzz/seeds").join(&target).is_dir(), "{target}");
        }
    }
}
