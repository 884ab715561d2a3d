//! Which process is the daemon of a gateway.

use std::{
    fs::{self, File, TryLockError},
    io::ErrorKind,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use nix::sys::stat::{major, minor};

use super::{DatapathError, GatewayName, bpffs::LockedRoot, requirements};

/// The right to be a gateway's only daemon. It ends with this value or with the process, however
/// that ends. The gateway need not be attached.
///
/// ```text
/// <bpffs>/eigw/<name>+daemon/    locked by the daemon; without a lock it means nothing
/// ```
#[derive(Debug)]
pub struct DaemonLock {
    bpffs: PathBuf,
    directory: PathBuf,
    _lock: File,
}

impl DaemonLock {
    /// Makes this process the daemon of a gateway.
    ///
    /// # Errors
    /// [`DatapathError::DaemonRuns`], [`DatapathError::NotPrivileged`], and those of a BPF file
    /// system that cannot be used.
    pub fn acquire(bpffs: &Path, name: &GatewayName) -> Result<Self, DatapathError> {
        requirements::check_privileges()?;
        let root = LockedRoot::create(bpffs)?;
        let directory = root.root().daemon(name);
        let failed =
            |action, source| DatapathError::Bpffs { action, path: directory.clone(), source };
        match fs::create_dir(&directory) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(failed("creating directory", error));
            }
            Ok(()) | Err(_) => {}
        }
        let lock = File::open(&directory).map_err(|error| failed("opening directory", error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { bpffs: bpffs.to_owned(), directory, _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                Err(DatapathError::DaemonRuns { name: name.to_string(), pid: holder(&lock) })
            }
            Err(TryLockError::Error(error)) => Err(failed("locking directory", error)),
        }
    }
}

impl Drop for DaemonLock {
    fn drop(&mut self) {
        // Whoever makes or removes such a directory has the root's lock. What stays behind is
        // harmless, and the next command that changes something removes it.
        if let Ok(Some(_root)) = LockedRoot::find(&self.bpffs) {
            let _ = fs::remove_dir(&self.directory);
        }
    }
}

/// Whether a gateway has a daemon, which may be this process.
#[must_use]
pub fn has_daemon(bpffs: &Path, name: &GatewayName) -> bool {
    // With the root locked no daemon is just about to look at the lock that is tried here.
    let Ok(Some(root)) = LockedRoot::find(bpffs) else { return false };
    let lock = File::open(root.root().daemon(name));
    lock.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

/// Removes what daemons left behind that did not end by themselves.
pub(super) fn forget_dead(root: &LockedRoot) -> Result<(), DatapathError> {
    for directory in root.daemons()? {
        if File::open(&directory).is_ok_and(|file| file.try_lock().is_ok()) {
            fs::remove_dir(&directory).map_err(|source| DatapathError::Bpffs {
                action: "removing directory",
                path: directory.clone(),
                source,
            })?;
        }
    }
    Ok(())
}

/// The process that has the lock on a file, if it can be seen from here.
fn holder(file: &File) -> Option<u32> {
    let metadata = file.metadata().ok()?;
    let device = metadata.dev();
    let identity = format!("{:02x}:{:02x}:{}", major(device), minor(device), metadata.ino());
    holder_in(&fs::read_to_string("/proc/locks").ok()?, &identity)
}

/// Finds the holder of a lock in lines such as `7: FLOCK  ADVISORY  WRITE 1234 00:1f:99 0 EOF`.
/// Those who wait for it have an arrow behind the number.
fn holder_in(locks: &str, identity: &str) -> Option<u32> {
    locks.lines().find_map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let [_, "FLOCK", _, "WRITE", pid, file, ..] = words[..] else { return None };
        pid.parse().ok().filter(|&pid| file == identity && pid != 0)
    })
}

#[cfg(test)]
mod tests {
    use std::process;

    use super::*;

    #[test]
    fn the_holder_of_a_lock_is_found() {
        let file = tempfile::tempfile().expect("temporary file");
        assert_eq!(holder(&file), None);
        file.lock().expect("nobody else knows it");
        assert_eq!(holder(&file), Some(process::id()));
    }

    #[test]
    fn other_locks_and_those_who_wait_are_not_taken_for_it() {
        let locks = "1: POSIX  ADVISORY  WRITE 11 00:1f:99 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 12 00:1f:98 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 13 00:1f:99 0 EOF\n\
                     3: -> FLOCK  ADVISORY  WRITE 14 00:1f:99 0 EOF\n\
                     4: FLOCK  ADVISORY  WRITE 0 00:1f:97 0 EOF\n";
        assert_eq!(holder_in(locks, "00:1f:99"), Some(13));
        assert_eq!(holder_in(locks, "00:1f:97"), None, "a process of another namespace");
        assert_eq!(holder_in(locks, "00:1f:96"), None);
    }
}
