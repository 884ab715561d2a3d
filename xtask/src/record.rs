//! The record of setup's choice: writing it, and checking cheaply that it still holds.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result};

use crate::{
    bpf_cargo::BpfToolchain,
    process::{capture, workspace},
};

/// Variables by which a user overrides the choice.
pub(crate) struct Overrides {
    /// `EIGW_BPF_TOOLCHAIN`: the rustup toolchain to use, and no other.
    pub(crate) toolchain: Option<String>,
    /// `EIGW_BPF_BUILD_STD=1`: compile `core` even where a prebuilt one exists.
    pub(crate) build_std: bool,
}

impl Overrides {
    pub(crate) fn from_environment() -> Self {
        let toolchain = std::env::var("EIGW_BPF_TOOLCHAIN").ok().filter(|name| !name.is_empty());
        let build_std = std::env::var("EIGW_BPF_BUILD_STD").is_ok_and(|value| value == "1");
        Self { toolchain, build_std }
    }

    fn allow(&self, record: &BpfToolchain) -> bool {
        self.toolchain.as_ref().is_none_or(|name| *name == record.toolchain)
            && (!self.build_std || record.build_std)
    }
}

/// The recorded choice, when compiler and linker are still those that were probed.
pub(crate) fn still_valid(overrides: &Overrides) -> Option<BpfToolchain> {
    let record = BpfToolchain::read(workspace()).ok()?;
    let valid = overrides.allow(&record)
        && rustc_version(&record.toolchain).is_ok_and(|version| version == record.rustc_version)
        && linker_version(&record.linker).is_ok_and(|version| version == record.linker_version);
    valid.then_some(record)
}

/// Writes the record, unless it says the same already: build scripts watch its time stamp.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn write(choice: &BpfToolchain) -> Result<()> {
    if BpfToolchain::read(workspace()).is_ok_and(|old| old == *choice) {
        return Ok(());
    }
    let path = BpfToolchain::record_path(workspace());
    let partial = path.with_extension("toml.partial");
    fs::write(&partial, render(choice))
        .and_then(|()| fs::rename(&partial, &path))
        .with_context(|| format!("writing {}", path.display()))
}

/// What the toolchain's compiler calls itself.
///
/// # Errors
/// When rustup does not know the toolchain.
pub(crate) fn rustc_version(toolchain: &str) -> Result<String> {
    capture(rustup_run(toolchain).args(["rustc", "--version"]))
}

/// What the linker calls itself.
///
/// # Errors
/// When it is not there or does not start.
pub(crate) fn linker_version(linker: &Path) -> Result<String> {
    capture(Command::new(linker).arg("--version").env_remove("LD_LIBRARY_PATH"))
}

/// A command that runs a program of the toolchain. `cargo run` sets `LD_LIBRARY_PATH` to the
/// host toolchain's libraries, which another compiler must not load.
pub(crate) fn rustup_run(toolchain: &str) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", toolchain]).env_remove("LD_LIBRARY_PATH");
    command
}

fn render(choice: &BpfToolchain) -> String {
    let BpfToolchain { toolchain, build_std, linker, rustc_version, linker_version } = choice;
    let linker = linker.display().to_string();
    // `Debug` of a string is a valid TOML basic string for the printable text that occurs here.
    format!(
        "# Chosen by `cargo xtask setup`; delete this file to choose again.\n\
         toolchain = {toolchain:?}\n\
         build_std = {build_std}\n\
         linker = {linker:?}\n\
         rustc_version = {rustc_version:?}\n\
         linker_version = {linker_version:?}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        let choice = sample();
        let read: BpfToolchain = toml::from_str(&render(&choice)).expect("valid TOML");
        assert_eq!(read, choice);
    }

    #[test]
    fn an_override_invalidates_another_choice() {
        let overrides = |toolchain: Option<&str>, build_std| Overrides {
            toolchain: toolchain.map(str::to_owned),
            build_std,
        };
        let record = sample();
        assert!(overrides(None, false).allow(&record));
        assert!(overrides(Some("bpf"), false).allow(&record));
        assert!(!overrides(Some("nightly"), false).allow(&record));
        assert!(!overrides(None, true).allow(&record), "the record uses the prebuilt core");
    }

    fn sample() -> BpfToolchain {
        BpfToolchain {
            toolchain: "bpf".to_owned(),
            build_std: false,
            linker: "/home/a \"quoted\" user/.cargo/bin/bpf-linker".into(),
            rustc_version: "rustc 1.96.0 (ac68faa20 2026-05-25)".to_owned(),
            linker_version: "bpf-linker 0.13.0".to_owned(),
        }
    }
}
