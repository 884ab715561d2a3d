//! The binary that is packed: linked statically if there is a way to.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::{
    bpf_cargo::{cargo_home, remap},
    process::{attended, capture, cargo, step, workspace},
};

/// The profile in the workspace's manifest.
const PROFILE: &str = "production";
const TARGET_ADD_LIMIT: Duration = Duration::from_mins(5);

/// How the binary is linked to the C library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Linkage {
    /// With musl inside.
    Musl,
    /// With glibc inside, where Rust has no musl.
    StaticGlibc,
    /// To the machine's glibc, or a later one.
    Dynamic,
}

impl Linkage {
    /// The best that this machine's compiler can do, or what was asked for.
    pub(crate) fn choose(dynamic: bool) -> Self {
        if dynamic {
            return Self::Dynamic;
        }
        match ensure_target(&Self::Musl.target()) {
            Ok(()) => Self::Musl,
            Err(error) => {
                println!("    no musl to link with, taking a static glibc: {error:#}");
                Self::StaticGlibc
            }
        }
    }

    /// As the job's last lines say it.
    pub(crate) fn description(self) -> &'static str {
        match self {
            Self::Musl => "static, with musl",
            Self::StaticGlibc => "static, with glibc",
            Self::Dynamic => "dynamic, needs glibc",
        }
    }

    /// The compiler's name for what it builds.
    pub(crate) fn target(self) -> String {
        let library = match self {
            Self::Musl => "musl",
            Self::StaticGlibc | Self::Dynamic => "gnu",
        };
        format!("{}-unknown-linux-{library}", env::consts::ARCH)
    }

    fn target_feature(self) -> &'static str {
        match self {
            Self::Musl | Self::StaticGlibc => "-Ctarget-feature=+crt-static",
            Self::Dynamic => "-Ctarget-feature=-crt-static",
        }
    }
}

/// Builds the binary and returns where it is.
///
/// # Errors
/// When the build fails.
pub(crate) fn build(linkage: Linkage) -> Result<PathBuf> {
    println!("==> building eigw, {}", linkage.description());
    let target = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    build_in(workspace(), &workspace().join(target), linkage)
}

/// Builds the binary of a copy of the workspace and returns where it is.
///
/// # Errors
/// When the build fails.
pub(crate) fn build_in(workspace: &Path, target_dir: &Path, linkage: Linkage) -> Result<PathBuf> {
    let target = linkage.target();
    let mut command = cargo();
    command
        .current_dir(workspace)
        .args(["build", "--locked", "--package", "gateway-userspace", "--bin", "eigw"])
        // Naming the target keeps the flags away from build scripts, which run here.
        .args(["--profile", PROFILE, "--target", &target, "--target-dir"])
        .arg(target_dir)
        .env("CARGO_ENCODED_RUSTFLAGS", flags(workspace, linkage).join("\x1f"));
    attended(&mut command)?;
    Ok(target_dir.join(target).join(PROFILE).join("eigw"))
}

/// Where sources lie on the machine that builds is in panic messages otherwise.
fn flags(workspace: &Path, linkage: Linkage) -> [String; 3] {
    [linkage.target_feature().to_owned(), remap(&cargo_home(), "/cargo"), remap(workspace, "/eigw")]
}

fn ensure_target(target: &str) -> Result<()> {
    if has_target(target) {
        return Ok(());
    }
    let mut command = std::process::Command::new("rustup");
    command.args(["target", "add", target]);
    step(&format!("installing Rust's {target}"), command, Some(TARGET_ADD_LIMIT))
        .context("rustup cannot add it")
}

fn has_target(target: &str) -> bool {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
    let mut command = std::process::Command::new(rustc);
    command.current_dir(workspace()).args(["--print", "target-libdir", "--target", target]);
    capture(&mut command).is_ok_and(|path| Path::new(&path).is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_what_is_chosen() {
        assert_eq!(Linkage::choose(true), Linkage::Dynamic);
    }

    #[test]
    fn the_profile_is_in_the_manifest() {
        let text = std::fs::read_to_string(workspace().join("Cargo.toml")).expect("a manifest");
        let manifest: toml::Table = text.parse().expect("valid TOML");
        let profile = &manifest["profile"][PROFILE];
        assert_eq!(profile["inherits"].as_str(), Some("release"));
        assert!(profile.get("panic").is_none(), "the daemon catches panics of a reload");
    }

    #[test]
    fn the_compiler_has_its_own_target() {
        assert!(has_target(&Linkage::Dynamic.target()));
        assert!(!has_target("pdp11-unknown-linux-gnu"));
    }
}
