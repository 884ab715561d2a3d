//! Names of things that outlive a killed process: they carry the process's id, so that a later
//! run can tell what nobody needs any more.

use std::{
    fs,
    path::Path,
    process,
    sync::atomic::{AtomicU32, Ordering},
};

/// What every name starts with.
pub const PREFIX: &str = "eigw-";

/// A stem that no other process and no other call in this process returns, as in `eigw-4711-3`.
#[must_use]
pub fn stem() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{PREFIX}{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Whether `name` comes from [`stem`] in a process that no longer exists.
#[must_use]
pub fn is_orphan(name: &str) -> bool {
    let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
    owner
        .and_then(|digits| digits.parse::<u32>().ok())
        .is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists())
}

/// The names in `directory` that are orphans; none when the directory does not exist.
#[must_use]
pub fn orphans(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| is_orphan(name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_dead_processes_are_orphans() {
        assert!(!is_orphan(&stem()));
        assert!(!is_orphan("eigw-demo-inside"));
        assert!(!is_orphan("blue"));
        // Process ids end at 2^22 on every 64-bit Linux.
        assert!(is_orphan("eigw-99999999-0-inside"));
    }

    #[test]
    fn stems_differ() {
        assert_ne!(stem(), stem());
    }
}
