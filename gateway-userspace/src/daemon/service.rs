//! What the service manager is told, if one asked for it with `NOTIFY_SOCKET`.

use std::io;

use sd_notify::{NotifyState, notify};

/// The daemon does what it is there for; also says that a reload is over, however it went.
///
/// # Errors
/// The service manager cannot be reached.
pub fn ready(status: &str) -> io::Result<()> {
    notify(&[NotifyState::Ready, NotifyState::Status(status)])
}

/// A reload begins. It lasts until [`ready`] says that it is over.
///
/// # Errors
/// The service manager cannot be reached.
pub fn reloading() -> io::Result<()> {
    notify(&[NotifyState::Reloading, NotifyState::monotonic_usec_now()?])
}

/// The daemon is about to end.
///
/// # Errors
/// The service manager cannot be reached.
pub fn stopping(status: &str) -> io::Result<()> {
    notify(&[NotifyState::Stopping, NotifyState::Status(status)])
}
