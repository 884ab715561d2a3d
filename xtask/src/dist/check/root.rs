//! A clean Debian root: made once by mmdebstrap, unpacked into memory for every check.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail};

use crate::process::{capture, step, workspace};

/// What the check uses besides Debian's essential packages.
const PACKAGES: &str = "bash-completion,iproute2,man-db,systemd";
const BOOTSTRAP_LIMIT: Duration = Duration::from_mins(10);
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What changes by itself or belongs to the package manager, below the root.
const NOT_COMPARED: [&str; 9] = [
    "/dev",
    "/opt",
    "/proc",
    "/run/systemd",
    "/sys",
    "/tmp",
    "/var/cache",
    "/var/lib/dpkg",
    "/var/log/dpkg.log",
];

/// Makes the image of the root if there is none. Delete `target/dist-root` for a newer one.
///
/// # Errors
/// When it cannot be made, for instance without a connection to the machine's Debian mirror.
pub(super) fn ensure_image() -> Result<()> {
    let image = image()?;
    if image.exists() {
        return Ok(());
    }
    let directory = image.parent().context("the image has a directory")?;
    fs::create_dir_all(directory).with_context(|| format!("making {}", directory.display()))?;
    let partial = image.with_extension("partial.tar");
    let mut command = Command::new("mmdebstrap");
    command
        .args(["--variant=minbase", &format!("--include={PACKAGES}"), &suite()?])
        .arg(&partial)
        .args(sources()?);
    step("making a clean Debian root", command, Some(BOOTSTRAP_LIMIT))?;
    fs::rename(&partial, &image).with_context(|| format!("naming {}", image.display()))
}

/// A root that is in use. It vanishes with this process's mounts.
#[derive(Clone)]
pub(super) struct Root {
    directory: PathBuf,
    /// The process whose process namespace programs run in, if not in this one.
    init: Option<u32>,
}

impl Root {
    /// Unpacks the image into memory below `directory`, with the file systems that programs expect.
    ///
    /// # Errors
    /// When something cannot be mounted or unpacked.
    pub(super) fn unpack(directory: &Path) -> Result<Self> {
        fs::create_dir_all(directory)?;
        mount("tmpfs", directory)?;
        let mut tar = Command::new("tar");
        tar.args(["--extract", "--preserve-permissions", "--numeric-owner", "--file"]);
        capture(tar.arg(image()?).arg("--directory").arg(directory))?;
        let root = Self { directory: directory.to_owned(), init: None };
        root.mount("proc", "/proc")?;
        root.mount("sysfs", "/sys")?;
        root.mount("bpf", "/sys/fs/bpf")?;
        Ok(root)
    }

    /// Mounts a file system of that type.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(super) fn mount(&self, kind: &str, path: &str) -> Result<()> {
        mount(kind, &self.path(path))
    }

    /// The same root, where programs are processes of the namespace of `init`.
    pub(super) fn entered(&self, init: u32) -> Self {
        Self { init: Some(init), ..self.clone() }
    }

    /// A path of the root as this process sees it.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.directory.join(path.trim_start_matches('/'))
    }

    /// Runs a program in the root and returns what it printed. Words are what spaces separate.
    ///
    /// # Errors
    /// When it fails, with what it said.
    pub(super) fn run(&self, words: &str) -> Result<String> {
        capture(self.command().args(words.split_whitespace()))
    }

    /// Runs a line of bash in the root.
    ///
    /// # Errors
    /// As [`Root::run`].
    pub(super) fn bash(&self, line: &str) -> Result<String> {
        capture(self.command().args(["bash", "-c", line]))
    }

    /// Every path in the root that a package could leave behind.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub(super) fn files(&self) -> Result<BTreeSet<String>> {
        let mut files = BTreeSet::new();
        let mut open = vec![self.directory.clone()];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(&directory)? {
                let path = entry?.path();
                let name = format!("/{}", path.strip_prefix(&self.directory)?.display());
                if NOT_COMPARED.contains(&name.as_str()) {
                    continue;
                }
                if fs::symlink_metadata(&path)?.is_dir() {
                    open.push(path);
                }
                files.insert(name);
            }
        }
        Ok(files)
    }

    /// Owner and mode of a file.
    ///
    /// # Errors
    /// When it is not there.
    pub(super) fn owner_and_mode(&self, path: &str) -> Result<(u32, u32)> {
        let metadata = fs::symlink_metadata(self.path(path)).with_context(|| path.to_owned())?;
        Ok((metadata.uid(), metadata.mode() & 0o7777))
    }

    /// A command that runs in the root what its further arguments say.
    fn command(&self) -> Command {
        let mut command = Command::new("nsenter");
        if let Some(init) = self.init {
            command.args(["--target", &init.to_string(), "--pid", "--cgroup", "--uts", "--ipc"]);
        }
        command.args(["--", "chroot"]).arg(&self.directory);
        command
            .env_clear()
            .env("PATH", SEARCH_PATH)
            .env("LC_ALL", "C.UTF-8")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .current_dir(&self.directory)
            .stdin(Stdio::null());
        command
    }
}

/// Mounts a file system of that type.
fn mount(kind: &str, target: &Path) -> Result<()> {
    capture(Command::new("mount").args(["-t", kind, kind]).arg(target)).map(drop)
}

fn image() -> Result<PathBuf> {
    let name = format!("{}+{}.tar", suite()?, PACKAGES.replace(',', "+"));
    Ok(workspace().join("target/dist-root").join(name))
}

/// The release of Debian that this machine runs.
fn suite() -> Result<String> {
    let text = fs::read_to_string("/etc/os-release").context("reading /etc/os-release")?;
    let suite = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    suite.map(str::to_owned).ok_or_else(|| anyhow!("/etc/os-release names no release of Debian"))
}

/// Where this machine gets its packages from.
fn sources() -> Result<Vec<PathBuf>> {
    let mut sources = vec![PathBuf::from("/etc/apt/sources.list")];
    for entry in fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten() {
        sources.push(entry?.path());
    }
    sources.retain(|path| {
        let is_source = path.extension().is_some_and(|it| it == "list" || it == "sources");
        is_source && fs::metadata(path).is_ok_and(|file| file.len() > 0)
    });
    if sources.is_empty() {
        bail!("apt has no sources in /etc/apt to make a clean Debian root from");
    }
    sources.sort();
    Ok(sources)
}
