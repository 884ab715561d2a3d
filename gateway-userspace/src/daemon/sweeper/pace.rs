//! How much of a core the sweeper may take.

use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

/// How often the sweeper goes through the tables, and the shares of one core that it may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// In general.
    pub usual: f64,
    /// While many of a table's places are taken by flows whose time
    /// is over.
    pub pressed: f64,
    /// The time from the beginning of a pass to that of the next one, if the shares allow.
    pub interval: Duration,
}

impl Default for Budget {
    fn default() -> Self {
        Self { usual: 0.025, pressed: 0.2, interval: Duration::from_secs(5) }
    }
}

/// The longest rest. Whatever records cost, the walk through the tables goes on.
const REST_MAX: Duration = Duration::from_secs(1);

/// Rests in proportion to what work has cost.
#[derive(Debug)]
pub(super) struct Pace {
    budget: Budget,
    rests_until: Instant,
}

impl Pace {
    pub(super) const fn new(budget: Budget, now: Instant) -> Self {
        Self { budget, rests_until: now }
    }

    /// When the next pass is due after one that began at `begun`.
    pub(super) fn next_pass(&self, begun: Instant) -> Instant {
        begun + self.budget.interval
    }

    /// What is left of the rest.
    pub(super) fn rest(&self, now: Instant) -> Duration {
        self.rests_until.saturating_duration_since(now)
    }

    /// Has some CPU time, which was just spent, followed by a rest.
    pub(super) fn pay(&mut self, cost: Duration, is_pressed: bool, now: Instant) {
        let share = if is_pressed { self.budget.pressed } else { self.budget.usual };
        let rest = cost.mul_f64((1.0 / share - 1.0).max(0.0));
        self.rests_until = (self.rests_until.max(now) + rest).min(now + REST_MAX);
    }
}

/// The CPU time of this thread.
pub(super) fn cpu_time() -> Duration {
    // It cannot fail: the kernel has that clock, and no option can take it away.
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_leave_the_share() {
        let budget = Budget { usual: 0.02, pressed: 0.5, ..Budget::default() };
        let begin = Instant::now();
        let mut pace = Pace::new(budget, begin);
        assert_eq!(pace.rest(begin), Duration::ZERO);
        let (mut now, cost) = (begin, Duration::from_millis(2));
        for _ in 0..100 {
            now += cost;
            pace.pay(cost, false, now);
            now += pace.rest(now);
        }
        let share = 100.0 * cost.as_secs_f64() / (now - begin).as_secs_f64();
        assert!((share - 0.02).abs() < 1e-4, "{share}");

        // Costs of the time in between lengthen the rest, but not without end.
        pace.pay(cost, true, now);
        pace.pay(cost, true, now);
        assert!(pace.rest(now).abs_diff(cost * 2) < Duration::from_micros(1));
        pace.pay(Duration::from_secs(5), false, now);
        assert_eq!(pace.rest(now), REST_MAX);
    }

    #[test]
    fn the_clock_counts_work_and_not_waiting() {
        let before = cpu_time();
        std::thread::sleep(Duration::from_millis(50));
        assert!(cpu_time().saturating_sub(before) < Duration::from_millis(40));
        let (before, begin) = (cpu_time(), Instant::now());
        while begin.elapsed() < Duration::from_secs(10) && cpu_time() == before {}
        assert!(cpu_time() > before);
    }
}
