//! A BPF file system of one's own, so that gateways of different tests never meet.

use std::{
    env, fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Once,
};

use gateway_userspace::accounts;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::unique;

/// A mounted BPF file system; unmounted with everything pinned in it when dropped.
#[derive(Debug)]
pub struct Bpffs {
    path: PathBuf,
    kept: bool,
}

impl Bpffs {
    /// One of a unique name.
    ///
    /// # Panics
    /// If it cannot be mounted.
    #[must_use]
    pub fn new() -> Self {
        sweep();
        Self::at(&env::temp_dir().join(format!("{}-bpf", unique::stem())))
    }

    /// One at this path, which must not exist.
    ///
    /// # Panics
    /// If it cannot be mounted.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        fs::create_dir(path).unwrap_or_else(|error| panic!("create {}: {error}", path.display()));
        let none = None::<&str>;
        mount(Some("bpf"), path, Some("bpf"), MsFlags::empty(), none)
            .unwrap_or_else(|error| panic!("mount bpf on {}: {error}", path.display()));
        Self { path: path.to_owned(), kept: false }
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves it mounted when this value goes away.
    pub fn keep(&mut self) {
        self.kept = true;
    }

    /// The paths of everything that `eigw` keeps in it, directories included, sorted.
    ///
    /// # Panics
    /// If it cannot be read.
    #[must_use]
    pub fn entries(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let home = self.path.join("eigw");
        let mut directories: Vec<_> = Some(home).into_iter().filter(|home| home.exists()).collect();
        while let Some(directory) = directories.pop() {
            let entries = match fs::read_dir(directory) {
                // Somebody removed it meanwhile.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                entries => entries.expect("bpffs is readable"),
            };
            for entry in entries {
                let path = entry.expect("bpffs is readable").path();
                if path.is_dir() {
                    directories.push(path.clone());
                }
                found.push(path);
            }
        }
        found.sort();
        found
    }
}

impl Default for Bpffs {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Bpffs {
    fn drop(&mut self) {
        if !self.kept {
            remove(&self.path);
        }
    }
}

/// Unmounts and removes the BPF file system at `path`. Says nothing when there is none.
pub fn remove(path: &Path) {
    // What daemons of its gateways wrote down.
    _ = fs::remove_dir_all(accounts::root(path));
    _ = umount2(path, MntFlags::MNT_DETACH);
    _ = fs::remove_dir(path);
}

/// Removes, once per process, what killed processes left behind.
fn sweep() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let directory = env::temp_dir();
        for name in unique::orphans(&directory) {
            remove(&directory.join(name));
        }
    });
}
