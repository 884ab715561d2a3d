//! Processes, as `/proc` shows them.

use std::{fs, iter};

/// This process and those that led to it, each by its name in `/proc`.
pub(crate) fn ancestors() -> impl Iterator<Item = String> {
    let parent = |process: &String| {
        let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim();
        (parent != "0").then(|| parent.to_owned())
    };
    iter::successors(Some("self".to_owned()), parent)
}

#[cfg(test)]
mod tests {
    use std::process;

    use super::*;

    #[test]
    fn a_process_follows_from_its_parents() {
        let ancestors: Vec<_> = ancestors().collect();
        let parent = std::os::unix::process::parent_id().to_string();
        assert_eq!(ancestors[..2], ["self".to_owned(), parent], "{}", process::id());
    }
}
