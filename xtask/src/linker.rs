//! bpf-linker: where it may be, and how to install one that reads a compiler's bitcode.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, bail};

use crate::{
    apt::Apt,
    process::{capture, cargo, find_program, step, workspace},
};

const VERSION: &str = "0.13.0";
/// The LLVM versions that this bpf-linker can be built with.
const LLVM_MAJORS: [u32; 3] = [21, 22, 23];

/// Where a bpf-linker is built from.
#[derive(Debug, Eq, PartialEq)]
enum Source {
    /// The distribution's packages, which install below `/usr/lib/llvm-N`.
    Packages(u32),
    /// The LLVM whose `llvm-config` is on PATH.
    OnPath(u32),
}

/// The linkers that exist, the one that setup installed beside another first.
pub(crate) fn existing() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = [Some(own_root()), cargo_home()]
        .into_iter()
        .flatten()
        .map(|root| root.join("bin/bpf-linker"))
        .filter(|path| path.is_file())
        .collect();
    if let Some(path) = find_program("bpf-linker").filter(|path| !found.contains(path)) {
        found.push(path);
    }
    found
}

/// Builds a linker for a compiler whose LLVM is `llvm_major` and returns its path.
///
/// # Errors
/// When there is no LLVM to build it with, or the build fails.
pub(crate) fn install(llvm_major: u32, apt: &mut Apt) -> Result<PathBuf> {
    let on_path = llvm_on_path();
    let source = source(llvm_major, on_path, |package| apt.offers(package));
    let Some(source) = source else {
        bail!(
            "no LLVM of a version from {llvm_major} to {} to build bpf-linker with: install one \
             with its headers, or put a fitting bpf-linker on PATH",
            LLVM_MAJORS[LLVM_MAJORS.len() - 1],
        );
    };
    // A linker that is there but does not fit may serve another project: it is left alone.
    let root = cargo_home().filter(|home| !home.join("bin/bpf-linker").exists());
    let root = root.unwrap_or_else(own_root);
    let mut command = cargo();
    let major = match source {
        Source::Packages(major) => {
            let [llvm, polly] = packages(major);
            apt.install(&[&llvm, &polly])?;
            command.env("LLVM_PREFIX", format!("/usr/lib/llvm-{major}"));
            major
        }
        Source::OnPath(major) => major,
    };
    command
        .args(["install", "bpf-linker", "--version", VERSION, "--locked", "--no-default-features"])
        .args(["--features", &format!("llvm-{major}"), "--root"])
        .arg(&root);
    step(&format!("building bpf-linker {VERSION} with LLVM {major} (a minute)"), command, None)?;
    Ok(root.join("bin/bpf-linker"))
}

/// The oldest LLVM that reads the compiler's bitcode, packages first.
fn source(
    llvm_major: u32,
    on_path: Option<u32>,
    mut offers: impl FnMut(&str) -> bool,
) -> Option<Source> {
    let fits = |major: &u32| *major >= llvm_major && LLVM_MAJORS.contains(major);
    let packaged = LLVM_MAJORS
        .into_iter()
        .filter(fits)
        .find(|major| packages(*major).iter().all(|package| offers(package)));
    packaged.map(Source::Packages).or_else(|| on_path.filter(fits).map(Source::OnPath))
}

fn packages(llvm_major: u32) -> [String; 2] {
    [format!("llvm-{llvm_major}-dev"), format!("libpolly-{llvm_major}-dev")]
}

fn llvm_on_path() -> Option<u32> {
    let version = capture(Command::new("llvm-config").arg("--version")).ok()?;
    version.split('.').next()?.parse().ok()
}

fn cargo_home() -> Option<PathBuf> {
    let home = || env::var_os("HOME").map(|home| Path::new(&home).join(".cargo"));
    env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home)
}

fn own_root() -> PathBuf {
    workspace().join("target/bpf-linker")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compilers_own_llvm_is_preferred() {
        assert_eq!(source(22, Some(22), |_| true), Some(Source::Packages(22)));
    }

    #[test]
    fn a_newer_llvm_reads_older_bitcode() {
        let offers = |package: &str| package.contains("-23-");
        assert_eq!(source(22, None, offers), Some(Source::Packages(23)));
        assert_eq!(source(20, Some(21), |_| false), Some(Source::OnPath(21)));
    }

    #[test]
    fn an_older_llvm_is_never_taken() {
        let offers = |package: &str| package.contains("-21-");
        assert_eq!(source(22, Some(14), offers), None);
        assert_eq!(source(24, Some(24), |_| true), None, "bpf-linker knows no LLVM 24");
    }

    #[test]
    fn both_packages_are_needed() {
        let offers = |package: &str| package == "llvm-22-dev";
        assert_eq!(source(22, Some(22), offers), Some(Source::OnPath(22)));
    }
}
