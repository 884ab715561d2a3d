//! Debian packages: installed when we may, and otherwise the command for the user to run.

use std::{
    fs,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail};

use crate::{
    host,
    process::{capture, find_program, step},
};

/// How long to wait for another program that uses apt or dpkg.
const LOCK_WAIT: Duration = Duration::from_mins(5);
const LOCK_POLL: Duration = Duration::from_secs(5);
/// A package list that another `apt-get update` replaces meanwhile breaks an install once.
const INSTALL_ATTEMPTS: u32 = 2;

/// The package manager, with its lists updated at most once per run.
pub(crate) struct Apt {
    check_only: bool,
    updated: bool,
}

impl Apt {
    /// With `check_only` nothing is installed, only said.
    pub(crate) fn new(check_only: bool) -> Self {
        Self { check_only, updated: false }
    }

    /// Installs those of `packages` that are missing.
    ///
    /// # Errors
    /// When we may not or cannot; the text says what to run.
    pub(crate) fn install(&mut self, packages: &[&str]) -> Result<()> {
        let missing: Vec<&str> =
            packages.iter().copied().filter(|package| !installed(package)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let list = missing.join(" ");
        if find_program("apt-get").is_none() {
            bail!("this machine has no apt-get; install what Debian calls {list}");
        }
        if self.check_only || !host::is_root() {
            bail!("missing packages; run as root: apt-get install {list}");
        }
        let mut failure = anyhow!("apt-get was not run");
        for _ in 0..INSTALL_ATTEMPTS {
            self.update()?;
            match step(&format!("installing packages: {list}"), install_command(&missing), None) {
                Ok(()) => return Ok(()),
                Err(error) => failure = error,
            }
            self.updated = false;
        }
        Err(failure)
    }

    /// Unpacks a package into `directory` without installing it, for programs whose package would
    /// start a service on the user's machine.
    ///
    /// # Errors
    /// When we may not or cannot.
    pub(crate) fn unpack(&mut self, package: &str, directory: &Path) -> Result<()> {
        if find_program("apt-get").is_none() {
            bail!("this machine has no apt-get; install what Debian calls {package}");
        }
        if self.check_only || !host::is_root() {
            bail!("missing programs; run 'cargo xtask setup' as root, which unpacks {package}");
        }
        self.update()?;
        let download = tempfile::tempdir().context("creating a directory for a package")?;
        let mut command = apt_get();
        command.args(["download", package]).current_dir(download.path());
        step(&format!("downloading package {package}"), command, None)?;
        let mut files = fs::read_dir(download.path()).context("reading a directory")?;
        let file = files.next().with_context(|| format!("apt-get left no package {package}"))?;
        fs::create_dir_all(directory)
            .with_context(|| format!("creating {}", directory.display()))?;
        capture(Command::new("dpkg-deb").arg("--extract").arg(file?.path()).arg(directory))?;
        Ok(())
    }

    /// Unpacks packages, with those that they need and this machine lacks, into `directory`
    /// without installing any of them.
    ///
    /// # Errors
    /// When we may not or cannot.
    pub(crate) fn unpack_with_dependencies(
        &mut self,
        packages: &[&str],
        directory: &Path,
    ) -> Result<()> {
        let list = packages.join(" ");
        if find_program("apt-get").is_none() {
            bail!("this machine has no apt-get; install what Debian calls {list}");
        }
        if self.check_only || !host::is_root() {
            bail!("missing packages; run as root, or run as root: apt-get install {list}");
        }
        self.update()?;
        let download = tempfile::tempdir().context("creating a directory for packages")?;
        fs::create_dir(download.path().join("partial")).context("creating a directory")?;
        let mut command = install_command(packages);
        command
            .args(["--download-only", "--option", "APT::Sandbox::User=root", "--option"])
            .arg(format!("Dir::Cache::Archives={}", download.path().display()));
        step(&format!("downloading packages, to unpack them: {list}"), command, None)?;
        fs::create_dir_all(directory)
            .with_context(|| format!("creating {}", directory.display()))?;
        for file in fs::read_dir(download.path()).context("reading a directory")? {
            let file = file?.path();
            if file.extension().is_some_and(|extension| extension == "deb") {
                let mut command = Command::new("dpkg-deb");
                capture(command.arg("--extract").arg(file).arg(directory))?;
            }
        }
        Ok(())
    }

    /// Whether the package is installed or can be.
    pub(crate) fn offers(&mut self, package: &str) -> bool {
        if installed(package) {
            return true;
        }
        if self.check_only || !host::is_root() || find_program("apt-get").is_none() {
            return false;
        }
        // Without package lists the answer is no, and the caller goes on to its next choice.
        if let Err(error) = self.update() {
            println!("    {error:#}");
        }
        capture(Command::new("apt-cache").args(["show", "--no-all-versions", package])).is_ok()
    }

    /// Updates the package lists. Their lock, unlike dpkg's, has no option to wait for it.
    fn update(&mut self) -> Result<()> {
        if self.updated {
            return Ok(());
        }
        let started = Instant::now();
        loop {
            let mut command = apt_get();
            command.arg("update");
            match step("updating package lists", command, None) {
                Ok(()) => break,
                Err(error)
                    if error.to_string().contains("Could not get lock")
                        && started.elapsed() < LOCK_WAIT =>
                {
                    println!("    another program holds apt's lock, waiting");
                    thread::sleep(LOCK_POLL);
                }
                Err(error) => return Err(error),
            }
        }
        self.updated = true;
        Ok(())
    }
}

/// Whether dpkg has the package fully installed.
pub(crate) fn installed(package: &str) -> bool {
    capture(Command::new("dpkg-query").args(["-W", "-f=${db:Status-Abbrev}", package]))
        .is_ok_and(|status| status.starts_with("ii"))
}

fn install_command(packages: &[&str]) -> Command {
    let mut command = apt_get();
    // rustc-web conflicts with Debian's ordinary rustc: nobody's compiler shall vanish.
    command.args(["install", "--yes", "--no-install-recommends", "--no-remove"]).args(packages);
    command
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env_remove("LD_LIBRARY_PATH")
        .arg("--option")
        .arg(format!("DPkg::Lock::Timeout={}", LOCK_WAIT.as_secs()))
        .args(["--option", "Acquire::Retries=3"]);
    command
}
