//! What the machine must offer before anything is attached.

use std::{fs, path::Path};

use nix::sys::utsname::uname;

use super::DatapathError;

/// The oldest kernel with everything the programs use: XDP with fragments and atomics that
/// return a value, on every distribution that is still maintained.
pub const KERNEL_MIN: (u32, u32) = (6, 1);
/// Its name.
pub const KERNEL_MIN_NAME: &str = "6.1";

const BTF: &str = "/sys/kernel/btf/vmlinux";

/// Capability numbers, from the kernel's `capability.h`.
const CAP_NET_ADMIN: u32 = 12;
const CAP_SYS_ADMIN: u32 = 21;

/// Checks privileges and kernel.
///
/// # Errors
/// [`DatapathError::NotPrivileged`], [`DatapathError::KernelTooOld`] or
/// [`DatapathError::NoBtf`].
pub(super) fn check() -> Result<(), DatapathError> {
    check_privileges()?;
    let release = kernel_release();
    if kernel_version(&release).is_none_or(|version| version < KERNEL_MIN) {
        return Err(DatapathError::KernelTooOld { release, minimum: KERNEL_MIN_NAME });
    }
    check_btf()
}

/// What `uname -r` says.
#[must_use]
pub fn kernel_release() -> String {
    uname().map_or_else(
        |errno| errno.to_string(),
        |system| system.release().to_string_lossy().into_owned(),
    )
}

/// Checks that the kernel describes its types.
///
/// # Errors
/// [`DatapathError::NoBtf`].
pub fn check_btf() -> Result<(), DatapathError> {
    let path = Path::new(BTF);
    fs::File::open(path)
        .map(drop)
        .map_err(|source| DatapathError::NoBtf { path: path.to_owned(), source })
}

/// Checks the privileges that every change needs.
///
/// # Errors
/// [`DatapathError::NotPrivileged`].
pub(super) fn check_privileges() -> Result<(), DatapathError> {
    let missing = lacking_capabilities();
    if missing.is_empty() { Ok(()) } else { Err(DatapathError::NotPrivileged { missing }) }
}

/// The capabilities for attaching that this thread lacks.
#[must_use]
pub fn lacking_capabilities() -> Vec<&'static str> {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    missing_capabilities(effective_capabilities(&status).unwrap_or(0))
}

/// Without `CAP_SYS_ADMIN` the kernel opens no map by its id, which is how the tables of a policy are
/// found. It includes what was split off from it: `CAP_BPF`, and `CAP_PERFMON`.
fn missing_capabilities(effective: u64) -> Vec<&'static str> {
    let needed = [(CAP_SYS_ADMIN, "CAP_SYS_ADMIN"), (CAP_NET_ADMIN, "CAP_NET_ADMIN")];
    let is_missing = |(capability, _): &(u32, _)| effective >> *capability & 1 == 0;
    needed.into_iter().filter(is_missing).map(|(_, name)| name).collect()
}

fn effective_capabilities(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// Major and minor version of a release such as `6.12.3-amd64`.
#[must_use]
pub fn kernel_version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read_from_the_status() {
        let status = "Name:\teigw\nCapPrm:\tffffffffffffffff\nCapEff:\t0000000000201000\n";
        assert_eq!(effective_capabilities(status), Some(1 << CAP_SYS_ADMIN | 1 << CAP_NET_ADMIN));
        assert_eq!(effective_capabilities("Name:\teigw\n"), None);
    }

    #[test]
    fn system_and_network_administration_are_needed() {
        assert_eq!(missing_capabilities(0), ["CAP_SYS_ADMIN", "CAP_NET_ADMIN"]);
        assert_eq!(missing_capabilities(1 << CAP_SYS_ADMIN), ["CAP_NET_ADMIN"]);
        assert_eq!(missing_capabilities(1 << CAP_NET_ADMIN), ["CAP_SYS_ADMIN"]);
        assert!(missing_capabilities(1 << CAP_SYS_ADMIN | 1 << CAP_NET_ADMIN).is_empty());
    }

    #[test]
    fn releases_of_every_style_are_read() {
        for (release, version) in [
            ("6.12.3-amd64", (6, 12)),
            ("6.1.0", (6, 1)),
            ("7.3-rc1", (7, 3)),
            ("5.10.0-39-cloud-amd64", (5, 10)),
        ] {
            assert_eq!(kernel_version(release), Some(version));
        }
        assert!(kernel_version("next").is_none());
        assert!((5, 10) < KERNEL_MIN && (6, 1) >= KERNEL_MIN && (7, 0) >= KERNEL_MIN);
    }
}
