//! Network namespaces.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    panic,
    path::{Path, PathBuf},
    thread,
};

use nix::sched::{CloneFlags, setns};

use super::NetError;

/// The directories in which `ip netns` keeps named namespaces.
const NAMED: [&str; 2] = ["/run/netns", "/var/run/netns"];

/// A network namespace's identity: the device and inode of its file. Valid while the namespace
/// exists; the kernel may give the number to another one afterwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetnsId {
    /// The device of the namespace file system.
    pub device: u64,
    /// The namespace's inode.
    pub inode: u64,
}

impl NetnsId {
    /// The calling thread's network namespace.
    ///
    /// # Errors
    /// [`NetError::Netns`] when `/proc` is not mounted.
    pub fn current() -> Result<Self, NetError> {
        let path = Path::new("/proc/thread-self/ns/net");
        Self::of(path).map_err(|source| NetError::Netns {
            action: "identifying",
            path: path.to_owned(),
            source,
        })
    }

    fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self { device: metadata.dev(), inode: metadata.ino() })
    }
}

/// Moves the calling thread, and the threads it starts from then on, into a network namespace:
/// a name that `ip netns` knows, or a path such as `/proc/1234/ns/net`. File systems stay as
/// they are.
///
/// # Errors
/// [`NetError::NetnsMissing`] or [`NetError::Netns`].
pub fn enter(name_or_path: &str) -> Result<(), NetError> {
    let candidates = candidates(name_or_path);
    let Some(path) = candidates.iter().find(|path| path.exists()) else {
        return Err(NetError::NetnsMissing {
            name: name_or_path.to_owned(),
            tried: candidates.iter().map(|path| path.display().to_string()).collect(),
        });
    };
    enter_file(path)
}

/// Whether a name or path that was [entered](enter) still stands for the calling thread's network
/// namespace. Once it does not, that namespace lives only as long as somebody is in it.
///
/// # Errors
/// [`NetError::Netns`] when `/proc` is not mounted.
pub fn is_current(name_or_path: &str) -> Result<bool, NetError> {
    let here = NetnsId::current()?;
    let candidates = candidates(name_or_path);
    Ok(candidates.iter().any(|path| NetnsId::of(path).is_ok_and(|found| found == here)))
}

/// Runs `action` in the network namespace `id`; `None` when no such namespace can be found,
/// neither among the named ones nor among those that processes are in.
///
/// # Errors
/// [`NetError::Netns`] when the namespace exists but cannot be entered.
pub(crate) fn run_in<T, F>(id: NetnsId, action: F) -> Result<Option<T>, NetError>
where
    T: Send,
    F: FnOnce() -> T + Send,
{
    if NetnsId::current()? == id {
        return Ok(Some(action()));
    }
    let Some(path) = files().find(|path| NetnsId::of(path).is_ok_and(|found| found == id)) else {
        return Ok(None);
    };
    thread::scope(|scope| {
        let visitor = scope.spawn(|| enter_file(&path).map(|()| Some(action())));
        visitor.join().unwrap_or_else(|cause| panic::resume_unwind(cause))
    })
}

/// A bare word is a name, everything with a slash in it a path.
fn candidates(name_or_path: &str) -> Vec<PathBuf> {
    if name_or_path.contains('/') {
        return vec![PathBuf::from(name_or_path)];
    }
    if matches!(name_or_path, "" | "." | "..") {
        return Vec::new();
    }
    NAMED.iter().map(|directory| Path::new(directory).join(name_or_path)).collect()
}

fn enter_file(path: &Path) -> Result<(), NetError> {
    let failed = |action, source| NetError::Netns { action, path: path.to_owned(), source };
    let file = File::open(path).map_err(|source| failed("opening", source))?;
    setns(file, CloneFlags::CLONE_NEWNET).map_err(|errno| failed("entering", errno.into()))
}

/// Files through which network namespaces can be entered.
fn files() -> impl Iterator<Item = PathBuf> {
    let named = NAMED.iter().flat_map(|directory| entries(Path::new(directory)));
    let of_processes = entries(Path::new("/proc")).map(|process| process.join("ns/net"));
    named.chain(of_processes)
}

fn entries(directory: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_paths_are_told_apart() {
        assert_eq!(
            candidates("blue"),
            [PathBuf::from("/run/netns/blue"), PathBuf::from("/var/run/netns/blue")]
        );
        assert_eq!(candidates("/proc/1/ns/net"), [PathBuf::from("/proc/1/ns/net")]);
        for nothing in ["", ".", ".."] {
            assert!(candidates(nothing).is_empty(), "{nothing:?}");
        }
    }

    #[test]
    fn a_missing_namespace_is_named() {
        let error = enter("no-such-namespace").unwrap_err().to_string();
        assert!(error.contains("no-such-namespace") && error.contains("ip netns list"), "{error}");
    }

    #[test]
    fn the_own_namespace_needs_no_entering() {
        let here = NetnsId::current().expect("/proc is mounted");
        assert_eq!(run_in(here, || 5).expect("no entering"), Some(5));
        assert!(is_current("/proc/thread-self/ns/net").expect("/proc is mounted"));
        assert!(!is_current("no-such-namespace").expect("/proc is mounted"));
        let nowhere = NetnsId { device: here.device, inode: 1 };
        assert_eq!(run_in(nowhere, || 5).expect("not found"), None);
    }
}
