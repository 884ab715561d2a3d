//! One CPU for a measurement, and the time it spends there.

use std::{panic, thread, time::Duration};

use anyhow::{Context as _, Result};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    time::{ClockId, clock_gettime},
    unistd::Pid,
};

/// Measures on a thread that stays on the CPU whose number it gets.
///
/// # Errors
/// Those of `measure`, or if the thread cannot stay there.
pub(crate) fn on_one<T: Send>(measure: impl FnOnce(usize) -> Result<T> + Send) -> Result<T> {
    // A thread of its own, because it stays on one CPU until it ends.
    let measured = thread::scope(|scope| scope.spawn(|| measure(pin()?)).join());
    measured.unwrap_or_else(|panic| panic::resume_unwind(panic))
}

/// The CPU time of this thread, which does not count what other processes take.
///
/// # Errors
/// If the kernel does not tell.
pub(crate) fn time() -> Result<Duration> {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).context("reading the CPU clock")?;
    Ok(time.into())
}

/// The mean of so many packets, in nanoseconds.
pub(crate) fn mean_ns(total_ns: u128, packets: u32) -> f64 {
    Duration::from_nanos_u128(total_ns).as_secs_f64() * 1e9 / f64::from(packets)
}

/// The first CPU that this process may use.
///
/// # Errors
/// If the kernel does not tell.
pub(crate) fn first() -> Result<usize> {
    allowed()?.first().copied().context("no CPU is allowed")
}

/// The last CPU that this process may use; on a small machine the same one.
///
/// # Errors
/// If the kernel does not tell.
pub(crate) fn last() -> Result<usize> {
    allowed()?.last().copied().context("no CPU is allowed")
}

/// Keeps this thread on a CPU until it ends.
///
/// # Errors
/// If it may not be there.
pub(crate) fn stay_on(cpu: usize) -> Result<()> {
    let mut only = CpuSet::new();
    only.set(cpu)?;
    sched_setaffinity(Pid::from_raw(0), &only).with_context(|| format!("staying on CPU {cpu}"))
}

/// Those of the whole process, whatever the calling thread keeps to.
fn allowed() -> Result<Vec<usize>> {
    let process = Pid::this();
    let allowed = sched_getaffinity(process).context("asking for the allowed CPUs")?;
    Ok((0..CpuSet::count()).filter(|&cpu| allowed.is_set(cpu) == Ok(true)).collect())
}

/// Keeps this thread on one CPU: the last one that it may use, since the first ones get most
/// interrupts.
fn pin() -> Result<usize> {
    let last = last()?;
    stay_on(last)?;
    Ok(last)
}
