//! How much the packet path runs, if the kernel counts that.

use std::{fs, os::fd::AsFd, time::Duration};

use gateway_common::abi::name;

use super::Gateway;
use crate::datapath::{DatapathError, sys};

/// The programs that packets meet.
const PACKET_PROGRAMS: [&str; 3] = [name::INGRESS_XDP, name::INGRESS_TC, name::EGRESS_TC];
/// Whether the kernel counts runs of BPF programs, which costs each of them some nanoseconds.
const SWITCH: &str = "/proc/sys/kernel/bpf_stats_enabled";

/// How much a program ran while the kernel counted that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunStats {
    /// The program's name.
    pub program: &'static str,
    /// How often it ran.
    pub runs: u64,
    /// How long that took.
    pub time: Duration,
}

impl Gateway {
    /// How much the programs ran that packets meet; empty unless the kernel counts it now, which
    /// `sysctl kernel.bpf_stats_enabled=1` makes it do.
    ///
    /// # Errors
    /// [`DatapathError::Syscall`].
    pub fn run_stats(&self) -> Result<Vec<RunStats>, DatapathError> {
        let is_on = fs::read_to_string(SWITCH).is_ok_and(|text| text.trim() != "0");
        let programs = PACKET_PROGRAMS.into_iter().filter(|_| is_on);
        let read = |program| {
            let fd = sys::open_pin(&self.directory.program(program))?;
            let (runs, time) = sys::run_stats(fd.as_fd())?;
            Ok(RunStats { program, runs, time })
        };
        programs.map(read).collect::<Result<_, _>>().map_err(|source| DatapathError::Syscall {
            action: "reading how often a program ran",
            source,
        })
    }
}
