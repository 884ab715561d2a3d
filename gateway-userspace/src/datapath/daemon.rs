//! Which process is the daemon of a gateway.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use super::{
    DatapathError, GatewayName,
    bpffs::{Free, LockedRoot},
    claim::{self, Claim},
    requirements,
};

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
        match claim::take(&directory)? {
            Claim::Held(lock) => Ok(Self { bpffs: bpffs.to_owned(), directory, _lock: lock }),
            Claim::Taken(pid) => Err(DatapathError::DaemonRuns { name: name.to_string(), pid }),
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

/// Whether a gateway has a daemon, which may be this process. Waits a moment at most.
#[must_use]
pub fn has_daemon(bpffs: &Path, name: &GatewayName) -> bool {
    match LockedRoot::find_free(bpffs) {
        // With the root locked no daemon is just about to look at the lock that is tried here.
        Ok(Some(Free::Locked(root))) => claim::is_held(&root.root().daemon(name)),
        // Somebody changes something, and may take as long as they like.
        Ok(Some(Free::Busy(root))) => claim::seems_held(&root.daemon(name)),
        Ok(None) | Err(_) => false,
    }
}

/// Removes what daemons left behind that did not end by themselves.
pub(super) fn forget_dead(root: &LockedRoot) -> Result<(), DatapathError> {
    root.daemons()?.iter().try_for_each(|directory| claim::remove_dead(directory).map(drop))
}
