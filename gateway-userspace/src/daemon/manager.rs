//! What the service manager is told, if one asked for it with `NOTIFY_SOCKET`. That it does not
//! hear of something is no reason to stop protecting anything.

use std::io;

use sd_notify::{NotifyState, notify};
use tracing::warn;

/// The daemon does what it is there for; also says that a reload is over, however it went.
pub(super) fn ready(status: &str) {
    told(notify(&[NotifyState::Ready, NotifyState::Status(status)]));
}

/// A reload begins. It lasts until [`ready`] says that it is over.
pub(super) fn reloading() {
    let now = NotifyState::monotonic_usec_now();
    told(now.and_then(|now| notify(&[NotifyState::Reloading, now])));
}

/// What the service manager shows from now on.
pub(super) fn status(status: &str) {
    told(notify(&[NotifyState::Status(status)]));
}

/// A sign of life for the watchdog.
pub(super) fn alive() {
    told(notify(&[NotifyState::Watchdog]));
}

/// The daemon is about to end.
pub(super) fn stopping(status: &str) {
    told(notify(&[NotifyState::Stopping, NotifyState::Status(status)]));
}

fn told(result: io::Result<()>) {
    if let Err(error) = result {
        warn!("cannot tell the service manager: {error}");
    }
}
