//! The one question about interfaces that only an `ioctl` answers.

#![expect(unsafe_code, reason = "an ioctl takes pointers")]

use std::{ffi::CStr, io, mem, os::fd::AsRawFd};

use nix::libc;
use socket2::{Domain, Socket, Type};

/// `ETHTOOL_GDRVINFO` of the kernel's `ethtool.h`.
const GET_DRIVER: u32 = 3;

/// The kernel's `struct ethtool_drvinfo`.
#[repr(C)]
struct DriverInfo {
    command: u32,
    driver: [u8; 32],
    others: [u8; 160],
}

mod call {
    use nix::libc;

    nix::ioctl_readwrite_bad!(ethtool, libc::SIOCETHTOOL, libc::ifreq);
}

/// The name of an interface's driver, in this thread's network namespace.
///
/// # Errors
/// What the kernel says, for instance that there is no such interface or that it has no driver.
pub(super) fn driver(interface: &str) -> io::Result<String> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    let mut info = DriverInfo { command: GET_DRIVER, driver: [0; 32], others: [0; 160] };
    // SAFETY: the structure is made of integers and pointers, for which zero is valid.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    if interface.len() >= request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (letter, byte) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *letter = byte.cast_signed();
    }
    request.ifr_ifru.ifru_data = (&raw mut info).cast();
    // SAFETY: the name ends with a zero, and the kernel writes a `struct ethtool_drvinfo` of 196
    // bytes to `info`, which is that large and lives until the call returns.
    unsafe { call::ethtool(socket.as_raw_fd(), &raw mut request) }?;
    let name = CStr::from_bytes_until_nul(&info.driver).map_err(io::Error::other)?;
    Ok(name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structure_is_the_kernels() {
        assert_eq!(size_of::<DriverInfo>(), 196);
    }

    #[test]
    fn interfaces_without_a_driver_are_errors() {
        for interface in ["lo", "no-such-device0", "a-name-too-long-for-linux"] {
            assert!(driver(interface).is_err(), "{interface}");
        }
    }
}
