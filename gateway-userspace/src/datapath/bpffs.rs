//! The BPF file system and the directory that all gateways share.

use std::{
    fs::{self, File, TryLockError},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use nix::{
    mount::{MsFlags, mount},
    sys::{
        statfs::{BPF_FS_MAGIC, statfs},
        statvfs::{FsFlags, statvfs},
    },
};

use super::{DatapathError, GatewayName, pin::GatewayDir};
use crate::process;

/// Where the BPF file system is by convention.
pub const DEFAULT_BPFFS: &str = "/sys/fs/bpf";

/// The directory of all gateways, below the BPF file system.
const ROOT: &str = "eigw";

/// Marks the directory of a gateway that is being attached.
const ATTACHING: &str = "+attaching";
/// Marks the directory of a gateway that is being detached.
const DETACHING: &str = "+detaching";
/// Marks the directory that a gateway's daemon has locked.
const DAEMON: &str = "+daemon";
/// Marks the directories that a gateway's observers have locked; the place follows.
const OBSERVER: &str = "+observer";

/// The directory of all gateways, not locked: for reading.
#[derive(Debug)]
pub(super) struct Root(PathBuf);

/// Where the gateways below a BPF file system are.
pub(super) fn gateway_path(bpffs: &Path, name: &GatewayName) -> PathBuf {
    bpffs.join(ROOT).join(name.as_str())
}

/// Where the gateway of that name is, or would be.
///
/// # Errors
/// As [`Root::find`], and [`DatapathError::NotAttached`] when nothing was ever attached there.
pub(super) fn gateway_directory(
    bpffs: &Path,
    name: &GatewayName,
) -> Result<GatewayDir, DatapathError> {
    let directory = Root::find(bpffs)?.map(|root| root.gateway(name));
    directory.ok_or_else(|| not_attached(bpffs, name))
}

/// The refusal of a gateway that there is not.
pub(super) fn not_attached(bpffs: &Path, name: &GatewayName) -> DatapathError {
    DatapathError::NotAttached { name: name.to_string(), path: gateway_path(bpffs, name) }
}

impl Root {
    /// The directory below `bpffs`; `None` when nothing was ever attached there.
    ///
    /// # Errors
    /// [`DatapathError::NotBpffs`] when `bpffs` is something else, and is not just the default
    /// that nobody has mounted yet; [`DatapathError::Bpffs`] when it is read-only.
    pub(super) fn find(bpffs: &Path) -> Result<Option<Self>, DatapathError> {
        if !is_bpffs(bpffs) {
            return if bpffs == Path::new(DEFAULT_BPFFS) {
                Ok(None)
            } else {
                Err(DatapathError::NotBpffs { path: bpffs.to_owned() })
            };
        }
        let root = bpffs.join(ROOT);
        if !root.is_dir() {
            return Ok(None);
        }
        ensure_writable(bpffs)?;
        Ok(Some(Self(root)))
    }

    /// Where the gateway of that name is.
    pub(super) fn gateway(&self, name: &GatewayName) -> GatewayDir {
        GatewayDir::new(self.0.join(name.as_str()))
    }

    /// What the daemon of the gateway of that name locks.
    pub(super) fn daemon(&self, name: &GatewayName) -> PathBuf {
        self.0.join(format!("{name}{DAEMON}"))
    }

    /// What the observer at this place of the gateway of that name locks.
    pub(super) fn observer(&self, name: &GatewayName, place: u32) -> PathBuf {
        self.0.join(format!("{name}{OBSERVER}{place}"))
    }

    /// The names of the gateways, sorted.
    ///
    /// # Errors
    /// [`DatapathError::Bpffs`].
    pub(super) fn names(&self) -> Result<Vec<GatewayName>, DatapathError> {
        let names = self.entries()?.into_iter().filter_map(|name| GatewayName::new(name).ok());
        let mut names: Vec<_> = names.collect();
        names.sort();
        Ok(names)
    }

    fn entries(&self) -> Result<Vec<String>, DatapathError> {
        let failed =
            |source| DatapathError::Bpffs { action: "listing", path: self.0.clone(), source };
        let entries = fs::read_dir(&self.0).map_err(failed)?;
        entries
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<io::Result<_>>()
            .map_err(failed)
    }
}

/// What came of trying to lock the directory of all gateways.
#[derive(Debug)]
pub(super) enum Free {
    /// It is.
    Locked(LockedRoot),
    /// Somebody has the lock and keeps it.
    Busy(Root),
}

/// The directory of all gateways, locked against every other command that changes something.
/// The lock ends with the process, however it ends.
#[derive(Debug)]
pub(super) struct LockedRoot {
    root: Root,
    _lock: File,
}

impl LockedRoot {
    /// Mounts the BPF file system where needed, makes the directory and waits for the lock.
    ///
    /// # Errors
    /// [`DatapathError::NotBpffs`], [`DatapathError::PrivateMounts`] or
    /// [`DatapathError::Bpffs`].
    pub(super) fn create(bpffs: &Path) -> Result<Self, DatapathError> {
        ensure_mounted(bpffs)?;
        ensure_writable(bpffs)?;
        let path = bpffs.join(ROOT);
        match fs::create_dir(&path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                Err(DatapathError::Bpffs { action: "creating directory", path, source: error })
            }
            Ok(()) | Err(_) => Self::lock(Root(path)),
        }
    }

    /// Waits for the lock; `None` when nothing was ever attached there.
    ///
    /// # Errors
    /// As [`Root::find`], and [`DatapathError::Bpffs`].
    pub(super) fn find(bpffs: &Path) -> Result<Option<Self>, DatapathError> {
        Root::find(bpffs)?.map(Self::lock).transpose()
    }

    /// Waits a moment for the lock; `None` when nothing was ever attached there.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub(super) fn find_free(bpffs: &Path) -> Result<Option<Free>, DatapathError> {
        /// Who only reads lets go sooner.
        const PATIENCE: Duration = Duration::from_secs(1);
        const LOOK: Duration = Duration::from_millis(5);
        let Some(root) = Root::find(bpffs)? else { return Ok(None) };
        let failed = |path: &Path, source| DatapathError::Bpffs {
            action: "locking directory",
            path: path.to_owned(),
            source,
        };
        let file = File::open(&root.0).map_err(|source| failed(&root.0, source))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Free::Locked(Self { root, _lock: file }))),
                Err(TryLockError::Error(source)) => return Err(failed(&root.0, source)),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(LOOK),
                Err(TryLockError::WouldBlock) => return Ok(Some(Free::Busy(root))),
            }
        }
    }

    fn lock(root: Root) -> Result<Self, DatapathError> {
        let file = File::open(&root.0).and_then(|file| file.lock().map(|()| file));
        match file {
            Ok(lock) => Ok(Self { root, _lock: lock }),
            Err(source) => {
                Err(DatapathError::Bpffs { action: "locking directory", path: root.0, source })
            }
        }
    }

    /// The directory for reading.
    pub(super) fn root(&self) -> &Root {
        &self.root
    }

    /// Where the gateway of that name is put together.
    pub(super) fn attaching(&self, name: &GatewayName) -> GatewayDir {
        GatewayDir::new(self.root.0.join(format!("{name}{ATTACHING}")))
    }

    /// Where the gateway of that name is taken apart.
    pub(super) fn detaching(&self, name: &str) -> GatewayDir {
        GatewayDir::new(self.root.0.join(format!("{name}{DETACHING}")))
    }

    /// What daemons have locked, or had.
    ///
    /// # Errors
    /// [`DatapathError::Bpffs`].
    pub(super) fn daemons(&self) -> Result<Vec<PathBuf>, DatapathError> {
        let entries = self.root.entries()?.into_iter();
        Ok(entries
            .filter(|name| name.ends_with(DAEMON))
            .map(|name| self.root.0.join(name))
            .collect())
    }

    /// What observers have locked, or had: each with its gateway's name and its place.
    ///
    /// # Errors
    /// [`DatapathError::Bpffs`].
    pub(super) fn observers(&self) -> Result<Vec<(String, u32, PathBuf)>, DatapathError> {
        let entries = self.root.entries()?;
        let observers = entries.iter().filter_map(|entry| {
            let (name, place) = observer_in(entry)?;
            Some((name.to_owned(), place, self.root.0.join(entry)))
        });
        Ok(observers.collect())
    }

    /// What commands left behind that did not finish, with the names of the gateways they were
    /// about. None is at work now: we have the lock.
    ///
    /// # Errors
    /// [`DatapathError::Bpffs`].
    pub(super) fn leftovers(&self) -> Result<Vec<(String, GatewayDir)>, DatapathError> {
        let entries = self.root.entries()?.into_iter();
        let entries =
            entries.filter(|entry| !entry.ends_with(DAEMON) && observer_in(entry).is_none());
        let leftovers = entries.filter_map(|entry| {
            let (name, _) = entry.split_once('+')?;
            Some((name.to_owned(), self.entry(&entry)))
        });
        Ok(leftovers.collect())
    }

    /// Everything that looks like a gateway, whatever its name.
    ///
    /// # Errors
    /// [`DatapathError::Bpffs`].
    pub(super) fn everything(&self) -> Result<Vec<String>, DatapathError> {
        let mut names: Vec<_> =
            self.root.entries()?.into_iter().filter(|name| !name.contains('+')).collect();
        names.sort();
        Ok(names)
    }

    /// The directory of an entry of that name.
    pub(super) fn entry(&self, name: &str) -> GatewayDir {
        GatewayDir::new(self.root.0.join(name))
    }
}

/// The gateway and the place of the observer whose directory has this name.
fn observer_in(entry: &str) -> Option<(&str, u32)> {
    let (name, place) = entry.split_once(OBSERVER)?;
    Some((name, place.parse().ok()?))
}

/// What is where the BPF file system should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BpffsState {
    /// It is mounted.
    Mounted(PathBuf),
    /// Attaching mounts it.
    Mountable(PathBuf),
    /// Attaching could mount it, but it would end with this process.
    PrivateMounts(PathBuf),
    /// Something else is there, or nothing.
    Missing(PathBuf),
}

impl BpffsState {
    /// What is at `bpffs`.
    #[must_use]
    pub fn of(bpffs: &Path) -> Self {
        let path = bpffs.to_owned();
        if is_bpffs(bpffs) {
            Self::Mounted(path)
        } else if bpffs != Path::new(DEFAULT_BPFFS) {
            Self::Missing(path)
        } else if mounts_are_private() {
            Self::PrivateMounts(path)
        } else {
            Self::Mountable(path)
        }
    }
}

fn is_bpffs(path: &Path) -> bool {
    statfs(path).is_ok_and(|found| found.filesystem_type() == BPF_FS_MAGIC)
}

fn ensure_mounted(bpffs: &Path) -> Result<(), DatapathError> {
    match BpffsState::of(bpffs) {
        BpffsState::Mounted(_) => return Ok(()),
        BpffsState::Missing(path) => return Err(DatapathError::NotBpffs { path }),
        BpffsState::PrivateMounts(path) => return Err(DatapathError::PrivateMounts { path }),
        BpffsState::Mountable(_) => {}
    }
    let failed = |action, source| DatapathError::Bpffs { action, path: bpffs.to_owned(), source };
    fs::create_dir_all(bpffs).map_err(|source| failed("creating directory", source))?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("bpf"), bpffs, Some("bpf"), flags, Some("mode=0700"))
        .map_err(|errno| failed("mounting a BPF file system at", errno.into()))
}

/// The kernel opens no pin of a file system that is mounted read-only, not even for reading, which
/// would look as if all of them were damaged.
fn ensure_writable(bpffs: &Path) -> Result<(), DatapathError> {
    let is_read_only = statvfs(bpffs).is_ok_and(|it| it.flags().contains(FsFlags::ST_RDONLY));
    if !is_read_only {
        return Ok(());
    }
    let source = io::Error::from_raw_os_error(libc::EROFS);
    Err(DatapathError::Bpffs { action: "using", path: bpffs.to_owned(), source })
}

/// Whether this process has mounts of its own, as under `ip netns exec`: a file system mounted
/// here would end with them, and everything pinned on it. That is so when any process that led
/// to this one has others.
fn mounts_are_private() -> bool {
    let namespace = |process: &str| fs::read_link(format!("/proc/{process}/ns/mnt")).ok();
    let Some(ours) = namespace("self") else { return false };
    process::ancestors().filter_map(|process| namespace(&process)).any(|theirs| theirs != ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_file_systems_are_refused_with_the_remedy() {
        let directory = tempfile::tempdir().expect("temporary directory");
        for result in
            [Root::find(directory.path()).map(drop), LockedRoot::create(directory.path()).map(drop)]
        {
            let error = result.unwrap_err();
            assert!(matches!(error, DatapathError::NotBpffs { .. }), "{error}");
        }
    }

    #[test]
    fn work_in_progress_cannot_be_taken_for_a_gateway() {
        for mark in [ATTACHING, DETACHING, DAEMON, OBSERVER] {
            assert!(GatewayName::new(format!("wan{mark}")).is_err());
            assert!(!mark.contains('.'), "the BPF file system reserves dots");
        }
    }
}
