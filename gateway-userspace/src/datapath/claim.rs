//! Directories of the BPF file system that a process holds as long as it lives: it locks them, and
//! the lock ends with the process, however that ends.

use std::{
    fs::{self, File, TryLockError},
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt,
    path::Path,
};

use nix::sys::stat::{major, minor};

use super::DatapathError;

/// What came of trying to hold a directory.
#[derive(Debug)]
pub(super) enum Claim {
    /// It is held as long as this file is open.
    Held(File),
    /// This process has it, if it can be seen from here.
    Taken(Option<u32>),
}

/// Makes a directory and tries to hold it. Whoever does has the root's lock, so that nobody removes
/// the directory meanwhile.
///
/// # Errors
/// [`DatapathError::Bpffs`].
pub(super) fn take(directory: &Path) -> Result<Claim, DatapathError> {
    match fs::create_dir(directory) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            return Err(failed("creating directory", directory, error));
        }
        Ok(()) | Err(_) => {}
    }
    let file =
        File::open(directory).map_err(|error| failed("opening directory", directory, error))?;
    match file.try_lock() {
        Ok(()) => Ok(Claim::Held(file)),
        Err(TryLockError::WouldBlock) => Ok(Claim::Taken(holder(&file))),
        Err(TryLockError::Error(error)) => Err(failed("locking directory", directory, error)),
    }
}

/// Whether a process holds the directory, which may be this one. As for [`take`], the root has to
/// be locked.
pub(super) fn is_held(directory: &Path) -> bool {
    let file = File::open(directory);
    file.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

/// Whether a process that can be seen from here holds the directory, without trying its lock: the
/// root need not be locked.
pub(super) fn seems_held(directory: &Path) -> bool {
    File::open(directory).is_ok_and(|file| holder(&file).is_some())
}

/// Removes a directory unless a process holds it; whether it was removed.
///
/// # Errors
/// [`DatapathError::Bpffs`].
pub(super) fn remove_dead(directory: &Path) -> Result<bool, DatapathError> {
    if !File::open(directory).is_ok_and(|file| file.try_lock().is_ok()) {
        return Ok(false);
    }
    fs::remove_dir(directory).map_err(|error| failed("removing directory", directory, error))?;
    Ok(true)
}

fn failed(action: &'static str, directory: &Path, source: io::Error) -> DatapathError {
    DatapathError::Bpffs { action, path: directory.to_owned(), source }
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
