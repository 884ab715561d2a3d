//! What the running kernel decides: its tick length and how much memory there is.

use nix::{
    sys::sysinfo::sysinfo,
    time::{ClockId, clock_getres},
};

const NANOS_PER_SEC: u64 = 1_000_000_000;

/// The kernel's ticks per second. It does not say so directly, but the coarse clocks advance
/// once per tick, so their resolution is the tick's length.
///
/// # Errors
///
/// The kernel refuses to name the resolution, or names one that no kernel has.
pub fn ticks_per_sec() -> std::io::Result<u32> {
    let resolution = clock_getres(ClockId::CLOCK_MONOTONIC_COARSE)?;
    let tick_nanos = u64::try_from(resolution.tv_nsec()).unwrap_or(0);
    rate_of(tick_nanos).filter(|_| resolution.tv_sec() == 0).ok_or_else(|| {
        std::io::Error::other(format!(
            "the kernel's coarse clock claims a resolution of {resolution}"
        ))
    })
}

/// The machine's memory, in bytes.
///
/// # Errors
///
/// The kernel refuses to say.
pub fn memory_bytes() -> std::io::Result<u64> {
    Ok(sysinfo()?.ram_total())
}

/// Rounds because some rates do not divide a second evenly: 300 ticks are 3,333,333 ns each.
fn rate_of(tick_nanos: u64) -> Option<u32> {
    let rate = (NANOS_PER_SEC + tick_nanos / 2).checked_div(tick_nanos)?;
    u32::try_from(rate).ok().filter(|rate| (1..=10_000).contains(rate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_come_out_whole() {
        for (tick_nanos, rate) in
            [(10_000_000, 100), (4_000_000, 250), (3_333_333, 300), (1_000_000, 1_000)]
        {
            assert_eq!(rate_of(tick_nanos), Some(rate));
        }
        assert_eq!(rate_of(0), None);
        assert_eq!(rate_of(1), None);
    }

    #[test]
    fn this_kernel_answers() {
        let rate = ticks_per_sec().expect("coarse clock");
        assert!((24..=1200).contains(&rate), "{rate}");
        assert!(memory_bytes().expect("sysinfo") > 1 << 20);
    }
}
