//! Waiting for conditions instead of for time.

use std::{
    thread,
    time::{Duration, Instant},
};

/// How long anything in a lab may take before it counts as not happening. Generous, because a
/// passing test never waits for it and a loaded machine must not fail one.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Asks `condition` until it answers, and returns the answer.
///
/// # Panics
/// If [`PATIENCE`] runs out first; `what` says what was awaited.
pub fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = condition() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain for {what}");
        thread::park_timeout(Duration::from_millis(2));
    }
}

/// Asks `condition` until it holds.
///
/// # Panics
/// If [`PATIENCE`] runs out first; `what` says what was awaited.
pub fn until_true(what: &str, mut condition: impl FnMut() -> bool) {
    until(what, || condition().then_some(()));
}
