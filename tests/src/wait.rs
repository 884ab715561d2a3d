//! Waiting for conditions instead of for time.

use std::{
    env,
    sync::LazyLock,
    thread,
    time::{Duration, Instant},
};

/// How long anything in a lab may take before it counts as not happening. Generous, because a
/// passing test never waits for it and a loaded machine must not fail one.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What a wait of usually so long is on this machine: `EIGW_TEST_PATIENCE` tells how many times
/// longer everything takes on one that is as slow as an emulated one. It makes tests that fail
/// slower, and none that should fail pass.
///
/// # Panics
/// If the variable is no number.
#[must_use]
pub fn patient(usual: Duration) -> Duration {
    static FACTOR: LazyLock<u32> = LazyLock::new(|| {
        env::var("EIGW_TEST_PATIENCE").map_or(1, |factor| {
            factor.parse().unwrap_or_else(|_| panic!("EIGW_TEST_PATIENCE is {factor:?}"))
        })
    });
    usual * *FACTOR
}

/// Asks `condition` until it answers, and returns the answer.
///
/// # Panics
/// If [`PATIENCE`] runs out first; `what` says what was awaited.
pub fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let patience = patient(PATIENCE);
    let deadline = Instant::now() + patience;
    loop {
        if let Some(answer) = condition() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited {patience:?} in vain for {what}");
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
