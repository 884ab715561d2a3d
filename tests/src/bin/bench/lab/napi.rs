//! Receiving on threads of their own, whose CPU time the kernel accounts for exactly.
//!
//! Softirqs work on the time of whoever they interrupt. A threaded NAPI is an ordinary thread: it
//! can be kept on a CPU, and the scheduler knows how long it ran, whoever else wants that CPU.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    fcntl::{Flock, FlockArg},
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};
use tests::{netns::Netns, wait};

/// What the lock is on; it is there whenever a namespace is.
const NAMESPACES: &str = "/run/netns";

/// The thread that receives on an interface.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Thread {
    id: i32,
}

/// Has `interface` receive on a thread of its own, on that CPU.
///
/// # Errors
/// If the kernel refuses, or the thread does not show up.
pub(crate) fn on_cpu(host: &Netns, interface: &str, cpu: usize) -> Result<Thread> {
    // A veth receives by NAPI when it aggregates or has an XDP program.
    let mut command = Command::new("ethtool");
    let output = host.output(command.args(["-K", interface, "gro", "on"]))?;
    ensure!(output.status.success(), "switching receive offload of {interface} on failed");
    // The new thread is found by comparison, which nobody else may disturb: one of us at a time.
    let directory = File::open(NAMESPACES).with_context(|| format!("opening {NAMESPACES}"))?;
    let _lock = Flock::lock(directory, FlockArg::LockExclusive).map_err(|(_, error)| error)?;
    let before = threads(interface)?;
    write_setting(host, interface)?;
    let mut new = threads(interface)?.difference(&before).copied().collect::<Vec<_>>();
    let (Some(id), true) = (new.pop(), new.is_empty()) else {
        anyhow::bail!("{interface} of {} has no receiving thread of its own", host.name());
    };
    let mut only = CpuSet::new();
    only.set(cpu)?;
    sched_setaffinity(Pid::from_raw(id), &only).context("keeping a receiving thread on a CPU")?;
    prefer(id, RECEIVER)?;
    Ok(Thread { id })
}

impl Thread {
    /// How long it has run.
    ///
    /// # Errors
    /// If the kernel does not tell.
    pub(crate) fn ran(self) -> Result<Duration> {
        let path = format!("/proc/{}/schedstat", self.id);
        let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
        let ns = text.split_whitespace().next().with_context(|| format!("{path} is empty"))?;
        Ok(Duration::from_nanos(ns.parse()?))
    }

    /// Waits until it has nothing to do: only then its time is up to date.
    ///
    /// # Panics
    /// If it never rests.
    pub(crate) fn wait_until_idle(self) {
        wait::until_true("a receiving thread to rest", || {
            let text = fs::read_to_string(format!("/proc/{}/stat", self.id)).unwrap_or_default();
            // The name is in parentheses, and may have any character; the state follows it.
            let state = text.rsplit_once(") ").and_then(|(_, fields)| fields.chars().next());
            matches!(state, Some('S' | 'I'))
        });
    }
}

/// How much a receiving thread is preferred: others wait for it, as they would for a softirq.
const RECEIVER: i8 = -20;
/// The same of a generator: before everybody but the receivers.
pub(crate) const GENERATOR: i8 = -10;

/// Has others on the machine wait for that thread, by its niceness.
///
/// # Errors
/// If the kernel refuses.
pub(crate) fn prefer(id: i32, niceness: i8) -> Result<()> {
    let mut command = Command::new("renice");
    let output = command.args(["-n", &niceness.to_string(), "-p", &id.to_string()]).output();
    let output = output.context("starting renice (bsdutils)")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "thread {id} is not preferred: {complaint}");
    Ok(())
}

/// The setting is a file in a file system that each namespace mounts for itself, which `ip` does.
fn write_setting(host: &Netns, interface: &str) -> Result<()> {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", host.name(), "sh", "-c"]);
    command.arg(format!("echo 1 > /sys/class/net/{interface}/threaded"));
    let output = command.stdin(Stdio::null()).output().context("starting ip (iproute2)")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{interface} does not receive on a thread: {complaint}");
    Ok(())
}

/// The threads of all interfaces of this name, in any namespace.
fn threads(interface: &str) -> Result<BTreeSet<i32>> {
    let prefix = format!("napi/{interface}-");
    let mut found = BTreeSet::new();
    for entry in fs::read_dir("/proc").context("listing processes")? {
        let entry = entry.context("listing processes")?;
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let path: PathBuf = entry.path().join("comm");
        // Processes end while they are listed.
        if fs::read_to_string(path).is_ok_and(|name| name.starts_with(&prefix)) {
            found.insert(id);
        }
    }
    Ok(found)
}
