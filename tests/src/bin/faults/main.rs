//! Everything that can befall a command: it is killed, refused by the kernel, or loses its
//! interface, at each of its system calls.

#[cfg(target_arch = "x86_64")]
mod report;

use std::process::ExitCode;

#[cfg(target_arch = "x86_64")]
fn main() -> ExitCode {
    report::main()
}

/// The tracer reads and writes registers, which have other names elsewhere.
#[cfg(not(target_arch = "x86_64"))]
fn main() -> ExitCode {
    eprintln!("faults: the tracer knows the registers of x86-64 only");
    ExitCode::FAILURE
}
