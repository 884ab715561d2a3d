//! What this process takes of the machine.

use std::{fs, io, time::Duration};

use anyhow::Context as _;
use nix::time::{ClockId, clock_gettime};

use super::{catalogue as metric, page::Page};

/// Tells it on a page.
///
/// # Errors
/// The kernel's files about processes cannot be read.
pub(super) fn tell(page: &mut Page) -> anyhow::Result<()> {
    let cpu = Duration::from(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?);
    page.add(metric::PROCESS_CPU, [], cpu.as_secs_f64());
    let status = fs::read_to_string("/proc/self/status")?;
    let resident = resident_bytes(&status).context("/proc/self/status does not tell VmRSS")?;
    page.add(metric::PROCESS_RSS, [], resident);
    page.add(metric::PROCESS_FDS, [], open_files()?);
    Ok(())
}

fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1_024)
}

/// Open files, without the one that counting takes.
fn open_files() -> io::Result<u64> {
    Ok((fs::read_dir("/proc/self/fd")?.count() as u64).saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::{super::page::Value, *};

    #[test]
    fn this_process_takes_something() {
        let mut page = Page::default();
        tell(&mut page).expect("the kernel tells");
        for metric in [metric::PROCESS_RSS, metric::PROCESS_FDS] {
            let values = page.values(metric, &[]);
            assert!(matches!(values[..], [Value::Count(1..)]), "{values:?}");
        }
        assert_eq!(resident_bytes("Name:\teigw\nVmRSS:\t     128 kB\n"), Some(131_072));
    }
}
