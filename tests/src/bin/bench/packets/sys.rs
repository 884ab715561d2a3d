//! Loading a program so that the verifier tells what it found.

#![expect(unsafe_code, reason = "aya keeps the verifier's log to itself when a program loads")]

use std::{
    ffi::CStr,
    io, mem,
    os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd},
    ptr,
};

use aya_obj::generated::{
    bpf_attach_type, bpf_attr, bpf_cmd, bpf_func_info, bpf_insn, bpf_prog_type,
};

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

/// A program's text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text<'a> {
    pub(super) instructions: &'a [bpf_insn],
    pub(super) license: &'a CStr,
    /// Descriptions of types, and which of them each function is: without them the verifier takes
    /// functions that it would verify by themselves for a part of their callers.
    pub(super) types: BorrowedFd<'a>,
    pub(super) functions: &'a [bpf_func_info],
}

/// Descriptions of types that the kernel has, by their id.
///
/// # Errors
/// If it has none of that id.
pub(super) fn types(id: u32) -> io::Result<OwnedFd> {
    // SAFETY: the union is made of integers, for which zero is valid.
    let mut attr: bpf_attr = unsafe { mem::zeroed() };
    attr.__bindgen_anon_6.__bindgen_anon_1.btf_id = id;
    // SAFETY: the command takes an id, and nothing that points anywhere.
    unsafe { bpf(bpf_cmd::BPF_BTF_GET_FD_BY_ID, &mut attr) }
}

/// Loads a program, lets go of it and returns what the verifier said.
///
/// # Errors
/// If the kernel refuses it.
pub(super) fn verify(kind: Kind, text: Text<'_>) -> io::Result<String> {
    let mut log = vec![0_u8; LOG_BYTES as usize];
    // SAFETY: the union is made of integers, for which zero is valid.
    let mut attr: bpf_attr = unsafe { mem::zeroed() };
    // SAFETY: all members of the union start as zeroed integers, so any of them may be borrowed.
    let load = unsafe { &mut attr.__bindgen_anon_3 };
    load.prog_type = kind.program as u32;
    load.expected_attach_type = kind.attach as u32;
    load.prog_flags = kind.flags;
    load.insn_cnt = u32::try_from(text.instructions.len()).map_err(io::Error::other)?;
    load.insns = text.instructions.as_ptr().addr() as u64;
    load.license = text.license.as_ptr().addr() as u64;
    load.prog_btf_fd = u32::try_from(text.types.as_raw_fd()).map_err(io::Error::other)?;
    load.func_info_rec_size =
        u32::try_from(size_of::<bpf_func_info>()).map_err(io::Error::other)?;
    load.func_info_cnt = u32::try_from(text.functions.len()).map_err(io::Error::other)?;
    load.func_info = text.functions.as_ptr().addr() as u64;
    load.log_level = LOG_STATISTICS;
    load.log_size = LOG_BYTES;
    load.log_buf = log.as_mut_ptr().addr() as u64;
    // SAFETY: the command reads so many instructions and functions and a string that ends with
    // zero, and writes at most `log_size` bytes to the log; all of them outlive the call.
    let loaded = unsafe { bpf(bpf_cmd::BPF_PROG_LOAD, &mut attr) };
    let text = log.split(|&byte| byte == 0).next().unwrap_or_default();
    let text = String::from_utf8_lossy(text).into_owned();
    match loaded {
        Ok(_) => Ok(text),
        Err(error) => Err(io::Error::new(error.kind(), format!("{error}: {text}"))),
    }
}

/// A command that returns a new descriptor.
///
/// # Safety
/// The part of the union that belongs to the command must be set, and all that it points to must be
/// as long as it says.
unsafe fn bpf(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<OwnedFd> {
    let size = size_of::<bpf_attr>();
    // SAFETY: that the union suits the command is up to the caller; it is as large as `size` says.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, command, ptr::from_mut(attr), size) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    let fd = RawFd::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the command returned a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
