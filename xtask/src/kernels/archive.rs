//! Kernels from Debian's archive, by an apt of our own: with its own lists and sources, so that the
//! machine's are neither read nor changed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use super::series::{self, Series};
use crate::process::{capture, step, workspace};

/// Where Debian keeps kernels of every series that is tried: archive and suite.
const SUITES: [(&str, &str); 4] = [
    ("debian-security", "bullseye-security"),
    ("debian-security", "bookworm-security"),
    ("debian-security", "trixie-security"),
    ("debian", "trixie-backports"),
];
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// How long package lists are good for.
const LISTS_AGE_MAX: Duration = Duration::from_hours(12);
const DOWNLOAD_LIMIT: Duration = Duration::from_mins(10);
/// What tells that a kernel's directory is complete.
const COMPLETE: &str = "complete";

/// A kernel that can be booted.
#[derive(Clone, Debug)]
pub(super) struct Kernel {
    /// What `uname -r` says on it.
    pub(super) release: String,
    /// Its version without what Debian adds: `6.1.192`.
    pub(super) version: String,
    /// Where its packages are unpacked.
    pub(super) directory: PathBuf,
}

impl Kernel {
    /// The kernel's image.
    ///
    /// # Errors
    /// When the package had none.
    pub(super) fn image(&self) -> Result<PathBuf> {
        let names = [
            format!("boot/vmlinuz-{}", self.release),
            format!("usr/lib/modules/{}/vmlinuz", self.release),
        ];
        let mut paths = names.iter().map(|name| self.directory.join(name));
        paths
            .find(|path| path.is_file())
            .with_context(|| format!("{} has no kernel image", self.directory.display()))
    }

    /// The directory that has `lib/modules`.
    pub(super) fn module_base(&self) -> PathBuf {
        let merged = self.directory.join("usr");
        if merged.join("lib/modules").is_dir() { merged } else { self.directory.clone() }
    }

    /// The directory of the modules.
    pub(super) fn modules(&self) -> PathBuf {
        self.module_base().join("lib/modules").join(&self.release)
    }
}

/// The archive, with its lists up to date.
pub(super) struct Archive {
    root: PathBuf,
    packages: Vec<String>,
}

impl Archive {
    /// Brings the lists up to date, unless they are fresh.
    ///
    /// # Errors
    /// When the archive cannot be reached.
    pub(super) fn open(mirror: &str) -> Result<Self> {
        let keyring = Path::new(KEYRING);
        ensure!(keyring.is_file(), "{KEYRING} is missing: install debian-archive-keyring");
        let root = workspace().join("target/kernels/apt");
        let mut archive = Self { root, packages: Vec::new() };
        let is_new = archive.configure(mirror)?;
        let stamp = archive.root.join("updated");
        let age = fs::metadata(&stamp).and_then(|file| file.modified()).map(|at| at.elapsed());
        if is_new || !matches!(age, Ok(Ok(age)) if age < LISTS_AGE_MAX) {
            let mut command = archive.command("apt-get");
            command.arg("update");
            step("updating the lists of kernels", command, Some(DOWNLOAD_LIMIT))?;
            fs::write(&stamp, "").with_context(|| format!("writing {}", stamp.display()))?;
        }
        let names = capture(archive.command("apt-cache").args(["pkgnames", "linux-image-"]))?;
        archive.packages = names.lines().map(str::to_owned).collect();
        Ok(archive)
    }

    /// The newest kernel of a series, which may still have to be downloaded.
    ///
    /// # Errors
    /// When the archive has none.
    pub(super) fn newest(&self, series: Series) -> Result<Kernel> {
        let release = series.newest_release(&self.packages).with_context(|| {
            format!("Debian's archive has no kernel of the series {} any more", series.name)
        })?;
        let version = self.field(&series::image_package(&release), "Version")?;
        let directory = workspace().join(format!("target/kernels/{release}_{version}"));
        let version = version.split('-').next().unwrap_or(&version).to_owned();
        Ok(Kernel { release, version, directory })
    }

    /// Downloads and unpacks the kernel, unless it is there.
    ///
    /// # Errors
    /// When it cannot be downloaded or unpacked.
    pub(super) fn fetch(&self, kernel: &Kernel) -> Result<()> {
        let Kernel { release, directory, .. } = kernel;
        if is_complete(kernel) {
            return Ok(());
        }
        let image = series::image_package(release);
        // Newer kernels are cut into several packages. What the archive does not have is the
        // alternative to something else.
        let depends = self.field(&image, "Depends")?;
        let mut packages: Vec<&str> = depends
            .split([',', '|'])
            .filter_map(|dependency| dependency.split_whitespace().next())
            .filter(|package| package.starts_with("linux-") && package.ends_with(release.as_str()))
            .filter(|package| self.field(package, "Version").is_ok())
            .collect();
        packages.push(&image);
        let download = tempfile::tempdir_in(&self.root).context("making a directory")?;
        let mut command = self.command("apt-get");
        command.arg("download").args(&packages).current_dir(download.path());
        step(&format!("downloading Linux {release}"), command, Some(DOWNLOAD_LIMIT))?;
        if directory.exists() {
            fs::remove_dir_all(directory)
                .with_context(|| format!("removing {}", directory.display()))?;
        }
        fs::create_dir_all(directory).with_context(|| format!("making {}", directory.display()))?;
        for package in fs::read_dir(download.path())? {
            let mut command = Command::new("dpkg-deb");
            capture(command.arg("--extract").arg(package?.path()).arg(directory))?;
        }
        let mut command = Command::new("depmod");
        capture(command.arg("-b").arg(kernel.module_base()).arg(release))?;
        kernel.image()?;
        let complete = directory.join(COMPLETE);
        fs::write(&complete, "").with_context(|| format!("writing {}", complete.display()))
    }

    /// Writes sources and settings; whether they are not what they were.
    fn configure(&self, mirror: &str) -> Result<bool> {
        let root = self.root.display();
        for directory in
            ["etc/apt.conf.d", "etc/preferences.d", "lists/partial", "archives/partial"]
        {
            let path = self.root.join(directory);
            fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
        }
        let sources = SUITES.map(|(archive, suite)| {
            format!("deb [arch=amd64 signed-by={KEYRING}] {mirror}/{archive} {suite} main\n")
        });
        // The machine's hooks stay out: one that is common in containers empties the machine's own
        // package cache, also under the feet of an installation.
        let settings = format!(
            "{}Dir \"{root}/\";\nDir::Etc \"{root}/etc/\";\nDir::State \"{root}/\";\n\
             Dir::State::status \"{root}/status\";\nDir::Cache \"{root}/\";\n\
             Dir::Log \"{root}/\";\n\
             APT::Architecture \"amd64\";\nAPT::Architectures {{ \"amd64\"; }};\n\
             APT::Sandbox::User \"root\";\n\
             Acquire::Languages \"none\";\nAcquire::Retries \"3\";\n",
            acquisition(&capture(Command::new("apt-config").arg("dump"))?)
        );
        let mut is_new = false;
        for (name, text) in [
            ("etc/sources.list", sources.concat()),
            ("apt.conf", settings),
            ("status", String::new()),
        ] {
            let path = self.root.join(name);
            if fs::read_to_string(&path).ok().as_ref() != Some(&text) {
                fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
                is_new = true;
            }
        }
        Ok(is_new)
    }

    /// One of apt's programs, working on our lists.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("APT_CONFIG", self.root.join("apt.conf")).env_remove("LD_LIBRARY_PATH");
        command
    }

    /// A field of what the archive says about a package.
    fn field(&self, package: &str, name: &str) -> Result<String> {
        let mut command = self.command("apt-cache");
        let text = capture(command.args(["show", "--no-all-versions", package]))?;
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        value.map(str::to_owned).ok_or_else(|| anyhow!("{package} has no field {name}"))
    }
}

/// Whether the kernel need not be downloaded.
pub(super) fn is_complete(kernel: &Kernel) -> bool {
    kernel.directory.join(COMPLETE).is_file()
}

/// Of the machine's settings those that say how to reach archives, such as proxies.
fn acquisition(dump: &str) -> String {
    let is_wanted = |line: &&str| {
        line.starts_with("Acquire::")
            && !line.starts_with("Acquire::IndexTargets")
            && !line.starts_with("Acquire::Changelogs")
            && !line.ends_with("\"\";")
    };
    dump.lines().filter(is_wanted).flat_map(|line| [line, "\n"]).collect()
}

/// Refuses machines that cannot run the tests' own programs in an emulated PC.
///
/// # Errors
/// When this is no x86-64.
pub(super) fn require_architecture() -> Result<()> {
    if cfg!(target_arch = "x86_64") {
        return Ok(());
    }
    bail!("the kernels are Debian's for x86-64, and so have to be this machine and its programs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_kept_and_hooks_are_not() {
        let dump = "APT::Update::Post-Invoke:: \"rm -f /var/cache/apt/archives/*.deb\";\n\
                    Acquire::http::Proxy \"http://proxy:3128\";\n\
                    Acquire::IndexTargets::deb::DEP-11 \"x\";\n\
                    Acquire::ForceHash \"\";\n\
                    Dir::Etc \"etc/apt\";\n";
        assert_eq!(acquisition(dump), "Acquire::http::Proxy \"http://proxy:3128\";\n");
    }

    #[test]
    fn modules_are_found_in_either_layout() {
        let directory = tempfile::tempdir().expect("a directory");
        let kernel = Kernel {
            release: "5.10.0-46-cloud-amd64".to_owned(),
            version: "5.10.262".to_owned(),
            directory: directory.path().to_owned(),
        };
        assert_eq!(kernel.modules(), directory.path().join("lib/modules/5.10.0-46-cloud-amd64"));
        assert!(!is_complete(&kernel) && kernel.image().is_err());
        let merged = directory.path().join("usr/lib/modules/5.10.0-46-cloud-amd64");
        fs::create_dir_all(&merged).expect("made");
        fs::write(merged.join("vmlinuz"), "").expect("written");
        assert_eq!(kernel.modules(), merged);
        assert_eq!(kernel.image().expect("there"), merged.join("vmlinuz"));
    }
}
