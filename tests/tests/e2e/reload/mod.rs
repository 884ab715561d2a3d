//! Policies are swapped under traffic: at once, as a whole, and without harm to whom they allow.

mod allowed;
mod barrage;
mod ending;
mod lane;
mod mixed;

use std::{
    fmt,
    time::{Duration, Instant},
};

use tests::eigw::Hook;

/// How often policies are swapped under traffic in this hook. The swap is the same for all hooks,
/// so the generic ones, which are no different to it, get fewer.
const fn swaps(hook: Hook) -> u32 {
    match hook {
        Hook::Xdp => 1_000,
        Hook::XdpGeneric | Hook::Tc => 100,
    }
}

/// How long reloads took.
#[derive(Default)]
struct Durations(Vec<Duration>);

impl Durations {
    /// Runs `reload` and notes its time.
    fn time<T>(&mut self, reload: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let result = reload();
        self.0.push(begun.elapsed());
        result
    }
}

impl fmt::Display for Durations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sorted = self.0.clone();
        sorted.sort();
        let (Some(median), Some(worst)) = (sorted.get(sorted.len() / 2), sorted.last()) else {
            return write!(f, "no reloads");
        };
        write!(f, "{} reloads, median {median:.1?}, worst {worst:.1?}", sorted.len())
    }
}
