//! Loading a program so that the verifier tells what it found.

#![expect(unsafe_code, reason = "aya keeps the verifier's log to itself when a program loads")]

use std::{
    ffi::CStr,
    io, mem,
    os::fd::{FromRawFd as _, OwnedFd, RawFd},
};

use aya_obj::generated::{bpf_attach_type, bpf_attr, bpf_cmd, bpf_insn, bpf_prog_type};

/// Asks for figures only, not for a trace of every instruction (`BPF_LOG_STATS`).
const LOG_STATISTICS: u32 = 4;
/// The figures are a few lines.
const LOG_BYTES: u32 = 16_384;

/// What kind of program the kernel is to take it for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    pub(super) program: bpf_prog_type,
    pub(super) attach: bpf_attach_type,
    /// `BPF_F_…`
    pub(super) flags: u32,
}

/// Loads a program, lets go of it and returns what the verifier said.
///
/// # Errors
/// If the kernel refuses it.
pub(super) fn verify(kind: Kind, code: &[bpf_insn], license: &CStr) -> io::Result<String> {
    let mut log = vec![0_u8; LOG_BYTES as usize];
    // SAFETY: the union is made of integers, for which zero is valid.
    let mut attr: bpf_attr = unsafe { mem::zeroed() };
    // SAFETY: all members of the union start as zeroed integers, so any of them may be borrowed.
    let load = unsafe { &mut attr.__bindgen_anon_3 };
    load.prog_type = kind.program as u32;
    load.expected_attach_type = kind.attach as u32;
    load.prog_flags = kind.flags;
    load.insn_cnt = u32::try_from(code.len()).map_err(io::Error::other)?;
    load.insns = code.as_ptr().addr() as u64;
    load.license = license.as_ptr().addr() as u64;
    load.log_level = LOG_STATISTICS;
    load.log_size = LOG_BYTES;
    load.log_buf = log.as_mut_ptr().addr() as u64;
    let size = size_of::<bpf_attr>();
    // SAFETY: the command reads `insn_cnt` instructions and a string that ends with zero, and
    // writes at most `log_size` bytes to the log; all of them outlive the call.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, bpf_cmd::BPF_PROG_LOAD, &raw mut attr, size) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    let fd = RawFd::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the command returned a new descriptor that nobody else owns.
    drop(unsafe { OwnedFd::from_raw_fd(fd) });
    let text = log.split(|&byte| byte == 0).next().unwrap_or_default();
    Ok(String::from_utf8_lossy(text).into_owned())
}
