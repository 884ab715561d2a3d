//! Why the kernel refused something, as far as its answer tells.

use std::{error::Error, fmt, io};

/// The last lines of what the verifier said, which name the offending instruction.
#[derive(Debug)]
pub struct VerifierLogTail(String);

impl VerifierLogTail {
    /// How many lines are kept.
    const LINES: usize = 20;

    pub(super) fn of(log: &str) -> Self {
        let lines: Vec<&str> = log.trim_end().lines().collect();
        let tail = lines.get(lines.len().saturating_sub(Self::LINES)..).unwrap_or_default();
        Self(tail.join("\n"))
    }
}

impl fmt::Display for VerifierLogTail {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.is_empty() { "(no verifier log)" } else { &self.0 })
    }
}

/// The message with those of its sources, because aya's outer messages name no cause.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let message = cause.to_string();
        if !text.contains(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        source = cause.source();
    }
    text
}

/// The error number behind an error of aya's, wherever it is buried.
pub(super) fn errno_of(error: &(dyn Error + 'static)) -> Option<i32> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(number) = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error) {
            return Some(number);
        }
        cause = error.source();
    }
    None
}

/// The message of an error and its sources, and what to do about it if the cause lies outside
/// of this program.
pub(super) fn because(error: &(dyn Error + 'static)) -> String {
    let hint = match errno_of(error) {
        Some(libc::EPERM | libc::EACCES) => {
            " (run as root outside of any container; kernel lockdown and security modules can \
             forbid this, too)"
        }
        Some(libc::ENOMEM | libc::E2BIG) => {
            " (the tables need more kernel memory than there is or than this control group may \
             use; choose a smaller half_open_max and established_max)"
        }
        Some(libc::ENOSPC) => " (the kernel or the file system is out of space or limited)",
        Some(libc::EROFS) => {
            " (make the file system writable, with `mount -o remount,rw` and its directory)"
        }
        Some(libc::EBUSY) => " (somebody else is at work there; try again)",
        Some(_) | None => "",
    };
    chain(error) + hint
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verifier_log_keeps_its_end() {
        let log = (0..100).map(|line| format!("line {line}")).collect::<Vec<_>>().join("\n");
        let tail = VerifierLogTail::of(&log).to_string();
        assert!(tail.starts_with("line 80\n") && tail.ends_with("line 99"), "{tail}");
        assert_eq!(VerifierLogTail::of("").to_string(), "(no verifier log)");
    }

    #[test]
    fn buried_error_numbers_are_found() {
        let error = aya::EbpfError::MapError(aya::maps::MapError::CreateError {
            name: "ESTABLISHED".to_owned(),
            io_error: io::Error::from_raw_os_error(libc::ENOMEM),
        });
        assert_eq!(errno_of(&error), Some(libc::ENOMEM));
        assert_eq!(errno_of(&io::Error::other("no number")), None);
    }
}
