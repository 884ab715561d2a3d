//! `cargo xtask dist --check`: what was packed, installed, used, upgraded and removed in a clean
//! Debian. It has mounts, processes and a network of its own; what it attaches ends with them.

mod root;
mod scenario;
mod service;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context as _, Result, bail, ensure};

use self::root::Root;
use super::{VERSION, deb, tarball, tree};
use crate::{
    host,
    process::{attended, workspace},
};

/// What lies in the directory that the two halves share.
const PACKAGE: &str = "eigw.deb";
const NEWER_PACKAGE: &str = "newer.deb";
const TARBALL: &str = "eigw.tar.gz";

/// Asks early for what would fail late.
///
/// # Errors
/// When this is not root.
pub(super) fn require_root() -> Result<()> {
    ensure!(
        host::is_root(),
        "--check makes a Debian root and attaches a gateway in it, which needs root"
    );
    Ok(())
}

/// Checks package and tarball of the binary.
///
/// # Errors
/// With the first thing that is not as it should be.
pub(super) fn run(binary: &Path, package: &Path, tarball: &Path) -> Result<()> {
    println!("==> packing it again, to compare");
    let started = Instant::now();
    let directory = tree::empty_directory(&workspace().join("target/dist-check"))?;
    let again = tree::empty_directory(&directory.join("again"))?;
    same_bytes(package, &deb::make(&again, binary, &deb::debian_version(VERSION, 1))?)?;
    same_bytes(tarball, &tarball::make(&again, binary, VERSION)?)?;
    let newer = deb::make(&again, binary, &deb::debian_version(VERSION, 2))?;
    for (from, name) in [(package, PACKAGE), (&newer, NEWER_PACKAGE), (tarball, TARBALL)] {
        fs::copy(from, directory.join(name)).with_context(|| format!("copying {name}"))?;
    }
    root::ensure_image()?;

    println!("==> checking the packages in a clean Debian");
    let this = env::current_exe().context("finding this program")?;
    let mut command = Command::new("unshare");
    command
        .args([
            "--mount",
            "--propagation=private",
            "--net",
            "--pid",
            "--mount-proc",
            "--fork",
            "--kill-child",
        ])
        .arg(this)
        .args(["dist", "--inside-namespaces"])
        .arg(&directory);
    attended(&mut command)?;
    println!("    all is well, after {:.0} s", started.elapsed().as_secs_f32());
    Ok(())
}

/// The part inside the namespaces.
///
/// # Errors
/// As [`run`].
pub(super) fn inside(directory: &Path) -> Result<()> {
    let unpack = |name: &str| -> Result<Root> {
        let root = Root::unpack(&directory.join(name))?;
        for name in [PACKAGE, NEWER_PACKAGE, TARBALL] {
            fs::copy(directory.join(name), root.path(&format!("/opt/{name}")))
                .with_context(|| format!("copying {name}"))?;
        }
        Ok(root)
    };
    scenario::run(&unpack("without-systemd")?)?;
    service::run(&unpack("with-systemd")?).context("under systemd")
}

fn same_bytes(first: &Path, second: &PathBuf) -> Result<()> {
    if fs::read(first)? != fs::read(second)? {
        bail!(
            "{} and {} were made of the same files and differ",
            first.display(),
            second.display()
        );
    }
    Ok(())
}
