//! The toolchains of this machine: finding, fetching and probing them for [`select`].
//!
//! [`select`]: crate::select

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    apt::Apt,
    bpf_cargo::{BPF_TARGET, BpfToolchain},
    linker, probe,
    process::{capture, step},
    record::{self, rustup_run},
    select::{Candidate, Compiler, Machine},
};

const NIGHTLY: &str = "nightly";
/// The name under which rustup knows the distribution's Rust.
const DEBIAN: &str = "bpf";
/// The last of them is `core`, compiled for BPF.
const DEBIAN_PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "libstd-rust-web-dev-bpf"];
const DEBIAN_SOURCE_PACKAGE: &str = "rust-web-src";
const DEBIAN_CLIPPY_PACKAGE: &str = "rust-web-clippy";

/// A network that drops rustup's connections must not hold up the packages for long.
const COMPONENT_LIMIT: Duration = Duration::from_mins(1);
const TOOLCHAIN_LIMIT: Duration = Duration::from_mins(5);

/// The machine that setup runs on.
pub(crate) struct ThisMachine<'a> {
    pub(crate) apt: &'a mut Apt,
    pub(crate) check_only: bool,
    /// Compile `core` even where a prebuilt one exists.
    pub(crate) force_build_std: bool,
}

impl Machine for ThisMachine<'_> {
    fn obtain(&mut self, candidate: &Candidate) -> Result<Compiler, String> {
        match candidate {
            Candidate::Named(name) if name != DEBIAN => self.describe(name),
            Candidate::Nightly => self.nightly(),
            Candidate::NightlyFetched => self.fetch_nightly(),
            // Its name is ours to give, so naming it means Debian's Rust.
            Candidate::Named(_) | Candidate::Debian => self.debian(),
        }
        .map_err(|error| format!("{error:#}"))
    }

    fn linkers(&mut self) -> Vec<PathBuf> {
        linker::existing()
    }

    fn probe(&mut self, compiler: &Compiler, linker: &Path) -> Result<(), String> {
        toolchain(compiler, linker)
            .and_then(|toolchain| probe::run(&toolchain))
            .map_err(|error| format!("{error:#}"))
    }

    fn reject(&mut self, what: &str, reason: &str) {
        // The compiler's or linker's own words say more than that cargo failed.
        let error = reason.lines().find(|line| line.starts_with("error"));
        let line = error.or_else(|| reason.lines().next()).unwrap_or_default();
        println!("    not used: {what}: {line}");
    }

    fn install_linker(&mut self, compiler: &Compiler) -> Result<PathBuf, String> {
        if self.check_only {
            return Err("no bpf-linker that links its bitcode".to_owned());
        }
        linker::install(compiler.llvm_major, self.apt).map_err(|error| format!("{error:#}"))
    }
}

/// The record of a compiler and a linker that go together.
///
/// # Errors
/// When the linker does not tell its version.
pub(crate) fn toolchain(compiler: &Compiler, linker: &Path) -> Result<BpfToolchain> {
    Ok(BpfToolchain {
        toolchain: compiler.toolchain.clone(),
        build_std: compiler.build_std,
        linker: linker.to_owned(),
        rustc_version: compiler.rustc_version.clone(),
        linker_version: record::linker_version(linker)?,
    })
}

/// Installs clippy for a toolchain where it is missing: packages carry it for Debian's,
/// rustup for its own.
///
/// # Errors
/// When it cannot be had.
pub(crate) fn ensure_clippy(name: &str) -> Result<()> {
    if capture(rustup_run(name).args(["cargo-clippy", "--version"])).is_ok() {
        return Ok(());
    }
    if name == DEBIAN {
        return Apt::new(false).install(&[DEBIAN_CLIPPY_PACKAGE]);
    }
    let mut command = Command::new("rustup");
    command.args(["component", "add", "clippy", "--toolchain", name]);
    step(&format!("fetching clippy for toolchain {name}"), command, Some(COMPONENT_LIMIT))
}

impl ThisMachine<'_> {
    fn nightly(&self) -> Result<Compiler> {
        let compiler = self.describe(NIGHTLY)?;
        if !has_core_source(NIGHTLY)? {
            bail!("it has no rust-src");
        }
        Ok(compiler)
    }

    fn fetch_nightly(&self) -> Result<Compiler> {
        let mut command = Command::new("rustup");
        let (what, limit) = if is_installed(NIGHTLY)? {
            command.args(["component", "add", "rust-src", "--toolchain", NIGHTLY]);
            ("fetching rust-src for the nightly toolchain", COMPONENT_LIMIT)
        } else {
            command.args(["toolchain", "install", NIGHTLY, "--profile", "minimal"]);
            command.args(["--component", "rust-src,clippy"]);
            ("fetching the nightly toolchain", TOOLCHAIN_LIMIT)
        };
        if self.check_only {
            bail!("not fetched; would run {command:?}");
        }
        step(what, command, Some(limit))?;
        self.describe(NIGHTLY)
    }

    fn debian(&mut self) -> Result<Compiler> {
        let source = self.force_build_std.then_some(DEBIAN_SOURCE_PACKAGE);
        let packages: Vec<&str> = DEBIAN_PACKAGES.into_iter().chain(source).collect();
        self.apt.install(&packages)?;
        if !is_installed(DEBIAN)? {
            let link = ["toolchain", "link", DEBIAN, "/usr"];
            if self.check_only {
                bail!("installed, but rustup does not know it; run: rustup {}", link.join(" "));
            }
            println!("==> rustup {}", link.join(" "));
            capture(Command::new("rustup").args(link))?;
        }
        self.describe(DEBIAN)
    }

    fn describe(&self, name: &str) -> Result<Compiler> {
        if !is_installed(name)? {
            bail!("rustup has no toolchain of that name");
        }
        let verbose = capture(rustup_run(name).args(["rustc", "--version", "--verbose"]))?;
        let (rustc_version, llvm_major) = parse_verbose_version(&verbose)
            .with_context(|| format!("rustc does not tell its LLVM version: {verbose}"))?;
        let prebuilt = has_prebuilt_core(name)?;
        let build_std = self.force_build_std || !prebuilt;
        if build_std && !has_core_source(name)? {
            let compiled = if prebuilt { "" } else { "no compiled core for BPF and " };
            bail!("it has {compiled}no sources of core (rust-src)");
        }
        Ok(Compiler { toolchain: name.to_owned(), build_std, rustc_version, llvm_major })
    }
}

/// Whether rustup knows the toolchain, by its full name or without the host's triple. Asked
/// first, because rustup would otherwise download what it does not know.
fn is_installed(name: &str) -> Result<bool> {
    let list = capture(Command::new("rustup").args(["toolchain", "list"]))
        .context("rustup is needed (https://rustup.rs)")?;
    Ok(lists_toolchain(&list, name))
}

fn lists_toolchain(list: &str, name: &str) -> bool {
    let host = format!("-{}-unknown-linux-", std::env::consts::ARCH);
    list.lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter_map(|listed| listed.strip_prefix(name))
        .any(|rest| rest.is_empty() || rest.starts_with(&host))
}

fn has_prebuilt_core(name: &str) -> Result<bool> {
    let query = ["rustc", "--print", "target-libdir", "--target", BPF_TARGET];
    Ok(Path::new(&capture(rustup_run(name).args(query))?).is_dir())
}

fn has_core_source(name: &str) -> Result<bool> {
    let sysroot = capture(rustup_run(name).args(["rustc", "--print", "sysroot"]))?;
    Ok(Path::new(&sysroot).join("lib/rustlib/src/rust/library/core/Cargo.toml").is_file())
}

/// Reads the first line and LLVM's major version from `rustc --version --verbose`.
fn parse_verbose_version(text: &str) -> Option<(String, u32)> {
    let llvm = text.lines().find_map(|line| line.strip_prefix("LLVM version: "))?;
    Some((text.lines().next()?.to_owned(), llvm.split('.').next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_rustc() {
        let text = "rustc 1.97.0-nightly (e50aa6fba 2026-05-19)\nbinary: rustc\n\
                    release: 1.97.0-nightly\nLLVM version: 22.1.4";
        let expected = ("rustc 1.97.0-nightly (e50aa6fba 2026-05-19)".to_owned(), 22);
        assert_eq!(parse_verbose_version(text), Some(expected));
        assert_eq!(parse_verbose_version("rustc 1.97.0"), None, "built without LLVM");
    }

    #[test]
    fn toolchains_are_found_with_and_without_the_hosts_triple() {
        let arch = std::env::consts::ARCH;
        let list = format!(
            "stable-{arch}-unknown-linux-gnu (active, default)\n\
             nightly-2026-05-20-{arch}-unknown-linux-gnu\nbpf"
        );
        assert!(lists_toolchain(&list, "stable"));
        assert!(lists_toolchain(&list, &format!("stable-{arch}-unknown-linux-gnu")));
        assert!(lists_toolchain(&list, "bpf"));
        assert!(!lists_toolchain(&list, "nightly"), "a dated nightly is another toolchain");
        assert!(!lists_toolchain(&list, "bp"));
    }
}
