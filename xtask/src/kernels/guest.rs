//! Inside the guest, as its first process: runs the steps of the plan and switches the guest off.

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::Path,
    process::{Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::plan::{BOOT, OUTCOMES, Outcome, PLAN, Plan, Step, log_name};

/// What is mounted besides what is there already: type and place. Not /tmp: the workspace may be
/// there, and the layer of memory takes what is written to it.
const MOUNTS: [(&str, &str); 5] = [
    ("tmpfs", "/run"),
    ("devpts", "/dev/pts"),
    ("tmpfs", "/dev/shm"),
    ("bpf", "/sys/fs/bpf"),
    ("cgroup2", "/sys/fs/cgroup"),
];
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const POLL: Duration = Duration::from_millis(20);
/// How long the guest may take to vanish once it was switched off.
const VANISHES_WITHIN: Duration = Duration::from_secs(20);

/// Runs the plan in the shared directory. Does not return in a guest: that is off then.
///
/// # Errors
/// When the plan cannot be read, or nothing can be written beside it.
pub(super) fn run(share: &Path) -> Result<()> {
    let outcome = carry_out(share);
    if let Err(error) = &outcome {
        println!("eigw: {error:#}");
    }
    // The first process of a guest does not end.
    fs::write("/proc/sysrq-trigger", "o").context("switching the guest off")?;
    thread::sleep(VANISHES_WITHIN);
    outcome
}

fn carry_out(share: &Path) -> Result<()> {
    let plan = fs::read(share.join(PLAN)).context("reading the plan")?;
    let plan: Plan = serde_json::from_slice(&plan).context("reading the plan")?;
    let mut notes: Vec<String> = MOUNTS.iter().filter_map(|(kind, at)| mount(kind, at)).collect();
    run_quietly("ip", &["link", "set", "lo", "up"]);
    for module in &plan.modules {
        if !run_quietly("modprobe", &["-q", module]) {
            notes.push(format!("no module {module}"));
        }
    }
    let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds = uptime.split(' ').next().and_then(|secs| secs.parse().ok()).unwrap_or(0.0);
    let note = notes.join(", ");
    report(share, &Outcome { name: BOOT.to_owned(), code: Some(0), seconds, note })?;
    for step in &plan.steps {
        report(share, &perform(share, step)?)?;
    }
    Ok(())
}

/// Runs one step, with its output in its log.
fn perform(share: &Path, step: &Step) -> Result<Outcome> {
    let log = File::create(share.join(log_name(&step.name))).context("making a log")?;
    let started = Instant::now();
    let mut command = Command::new(&step.program);
    command
        .args(&step.arguments)
        .current_dir(&step.directory)
        .env_clear()
        .envs([("PATH", SEARCH_PATH), ("HOME", "/root"), ("LANG", "C.UTF-8"), ("TERM", "dumb")])
        .envs(&step.environment)
        .stdin(Stdio::null())
        .stdout(log.try_clone().context("sharing a log")?)
        .stderr(log);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            let note = format!("starting {}: {error}", step.program.display());
            return Ok(Outcome { name: step.name.clone(), code: None, seconds: 0.0, note });
        }
    };
    let limit = Duration::from_secs(step.limit_secs);
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if started.elapsed() >= limit {
            child.kill()?;
            child.wait()?;
            break None;
        }
        thread::sleep(POLL);
    };
    let note = match status {
        None => format!("stopped after {} s", step.limit_secs),
        Some(status) if status.code().is_none() => status.to_string(),
        Some(_) => String::new(),
    };
    let code = status.as_ref().and_then(ExitStatus::code);
    let seconds = started.elapsed().as_secs_f32();
    Ok(Outcome { name: step.name.clone(), code, seconds, note })
}

fn report(share: &Path, outcome: &Outcome) -> Result<()> {
    let path = share.join(OUTCOMES);
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    let line = serde_json::to_string(outcome)? + "\n";
    file.write_all(line.as_bytes()).context("telling an outcome")
}

/// Mounts a file system; what went wrong, if anything.
fn mount(kind: &str, at: &str) -> Option<String> {
    // Where it is not, /dev lacks a directory.
    _ = fs::create_dir_all(at);
    (!run_quietly("mount", &["-t", kind, kind, at])).then(|| format!("no {kind} at {at}"))
}

/// Runs a program and tells whether it succeeded.
fn run_quietly(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).env("PATH", SEARCH_PATH);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
