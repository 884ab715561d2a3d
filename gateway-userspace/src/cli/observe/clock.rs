//! When something happened, by the clock on the wall.

use std::time::{Duration, SystemTime};

use gateway_common::timeouts::Ticks;

use crate::{cli::Result, datapath::Gateway};

/// Translates the packet path's clock, which counts jiffies: what it says is right to one of them.
#[derive(Clone, Debug)]
pub(super) struct WallClock {
    ticks_per_sec: u32,
    /// What the wall said when the packet path's clock was at zero.
    zero: SystemTime,
}

impl WallClock {
    /// Compares the two at the beginning of a tick.
    pub(super) fn new(gateway: &Gateway, ticks_per_sec: u32) -> Result<Self> {
        let ticks_per_sec = ticks_per_sec.max(1);
        let first = gateway.now()?;
        loop {
            let now = gateway.now()?;
            if now != first {
                let zero = SystemTime::now() - span(now, ticks_per_sec);
                return Ok(Self { ticks_per_sec, zero });
            }
        }
    }

    /// Follows the clock on the wall when somebody sets it.
    pub(super) fn adjust(&mut self, now: Ticks, wall: SystemTime) {
        let zero = wall - span(now, self.ticks_per_sec);
        let deviation = zero.duration_since(self.zero).unwrap_or_else(|error| error.duration());
        // The packet path's clock says the same for a whole tick.
        if deviation > 2 * span(Ticks(1), self.ticks_per_sec) {
            self.zero = zero;
        }
    }

    /// The time on the wall.
    pub(super) fn at(&self, ticks: Ticks) -> SystemTime {
        self.zero + span(ticks, self.ticks_per_sec)
    }
}

fn span(ticks: Ticks, ticks_per_sec: u32) -> Duration {
    let rate = u64::from(ticks_per_sec);
    let nanos = u128::from(ticks.0 % rate) * 1_000_000_000 / u128::from(rate);
    Duration::from_secs(ticks.0 / rate)
        + Duration::from_nanos(u64::try_from(nanos).expect("less than a second"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_translated_without_running_over() {
        let ticks_per_sec = 300;
        let mut clock = WallClock { ticks_per_sec, zero: SystemTime::UNIX_EPOCH };
        let since = |at: SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).expect("later");
        let century = 100 * 365 * 86_400;
        assert_eq!(since(clock.at(Ticks(century * 300 + 1))).as_nanos(), {
            u128::from(century) * 1_000_000_000 + 3_333_333
        });
        // Within a tick nothing is new.
        clock.adjust(Ticks(300), SystemTime::UNIX_EPOCH + Duration::from_millis(1_003));
        assert_eq!(since(clock.at(Ticks(300))), Duration::from_secs(1));
        clock.adjust(Ticks(300), SystemTime::UNIX_EPOCH + Duration::from_secs(3_601));
        assert_eq!(since(clock.at(Ticks(300))), Duration::from_secs(3_601));
    }
}
