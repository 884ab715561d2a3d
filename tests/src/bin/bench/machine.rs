//! Where and when figures were taken, without which they mean nothing.

use std::{env, fs, process::Command};

use anyhow::{Context as _, Result, ensure};
use nix::sys::utsname::uname;

/// What this machine is, and how busy it was before the benchmark began.
pub(crate) struct Machine {
    facts: Vec<(&'static str, String)>,
}

impl Machine {
    /// Looks around.
    ///
    /// # Errors
    /// If the system does not tell.
    pub(crate) fn look() -> Result<Self> {
        let name = uname().context("asking for the kernel's name")?;
        let (release, architecture) =
            (name.release().to_string_lossy(), name.machine().to_string_lossy());
        let arguments: Vec<String> = env::args().skip(1).collect();
        let command = format!("cargo xtask bench {}", arguments.join(" "));
        let facts = vec![
            ("date", now()?),
            ("kernel", format!("Linux {release} {architecture}")),
            ("CPU", cpu()?),
            ("BPF JIT", sysctl("net/core/bpf_jit_enable")?),
            ("load before", sysctl_path("/proc/loadavg")?),
            ("command", command.trim_end().to_owned()),
        ];
        Ok(Self { facts })
    }

    /// For a terminal.
    pub(crate) fn plain(&self) -> String {
        let line = |(name, value): &(&str, String)| format!("{name:<12} {value}");
        self.facts.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// For a document.
    pub(crate) fn markdown(&self) -> String {
        let line = |(name, value): &(&str, String)| format!("* {name}: `{value}`\n");
        self.facts.iter().map(line).collect()
    }
}

/// The calendar is not in the standard library.
fn now() -> Result<String> {
    let output = Command::new("date")
        .args(["--utc", "+%Y-%m-%d %H:%M UTC"])
        .output()
        .context("starting date (coreutils)")?;
    ensure!(output.status.success(), "date failed: {}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn cpu() -> Result<String> {
    let text = sysctl_path("/proc/cpuinfo")?;
    let values = |name: &str| {
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        let mut found = Vec::new();
        for (key, value) in lines {
            if key.trim() == name {
                found.push(value.trim());
            }
        }
        found
    };
    // Other architectures have no name to show.
    let model = values("model name").first().copied().unwrap_or("unnamed").to_owned();
    Ok(format!("{} × {model}", values("processor").len()))
}

fn sysctl(key: &str) -> Result<String> {
    sysctl_path(&format!("/proc/sys/{key}"))
}

fn sysctl_path(path: &str) -> Result<String> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {path}"))?;
    Ok(text.trim().to_owned())
}
