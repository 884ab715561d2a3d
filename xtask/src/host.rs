//! What the gateway needs of the machine it runs on, as a short list. Warnings, not errors:
//! building needs none of it.

use std::{fs, path::Path};

use crate::tools;

/// The oldest kernel that runs the programs.
const KERNEL_MIN: (u32, u32) = (6, 1);
/// What attaching needs, with the bit numbers of linux/capability.h.
const CAPABILITIES: [(&str, u32); 4] =
    [("CAP_NET_ADMIN", 12), ("CAP_SYS_ADMIN", 21), ("CAP_PERFMON", 38), ("CAP_BPF", 39)];
const BPFFS: &str = "/sys/fs/bpf";

/// One line of the list: `Err` is a warning.
type Line = (&'static str, Result<String, String>);

/// Whether this process runs as root (with its effective user).
pub(crate) fn is_root() -> bool {
    effective_uid(&read("/proc/self/status")) == Some(0)
}

/// Prints the list.
pub(crate) fn report() {
    let status = read("/proc/self/status");
    let btf = "/sys/kernel/btf/vmlinux";
    let btf = if Path::new(btf).exists() {
        Ok(btf.to_owned())
    } else {
        Err(format!("{btf} is missing: the kernel was built without CONFIG_DEBUG_INFO_BTF"))
    };
    let lines: [Line; 5] = [
        ("kernel", judge_kernel(read("/proc/sys/kernel/osrelease").trim())),
        ("BTF", btf),
        ("bpffs", judge_bpffs(&read("/proc/mounts"))),
        ("privilege", judge_privilege(&status)),
        ("test tools", judge_tools(&tools::missing_programs())),
    ];
    for (name, judgement) in lines {
        match judgement {
            Ok(text) => println!("  ok    {name:<11} {text}"),
            Err(text) => println!("  warn  {name:<11} {text}"),
        }
    }
}

fn judge_kernel(release: &str) -> Result<String, String> {
    let (major, minor) = KERNEL_MIN;
    match parse_release(release) {
        Some(version) if version >= KERNEL_MIN => Ok(release.to_owned()),
        Some(_) => Err(format!("{release} is older than {major}.{minor}: eigw will not attach")),
        None => Err(format!("{release:?} is not a version; {major}.{minor} or later is needed")),
    }
}

fn judge_bpffs(mounts: &str) -> Result<String, String> {
    let mounted = mounts.lines().any(|line| {
        let mut fields = line.split_whitespace().skip(1);
        fields.next() == Some(BPFFS) && fields.next() == Some("bpf")
    });
    let text = format!("{BPFFS} is not mounted; eigw mounts it when it attaches");
    mounted.then(|| BPFFS.to_owned()).ok_or(text)
}

fn judge_privilege(status: &str) -> Result<String, String> {
    let effective = effective_capabilities(status).unwrap_or(0);
    let missing: Vec<&str> = CAPABILITIES
        .iter()
        .filter(|(_, bit)| effective & (1 << bit) == 0)
        .map(|(name, _)| *name)
        .collect();
    let user = if effective_uid(status) == Some(0) { "root" } else { "not root" };
    if missing.is_empty() {
        Ok(format!("{user}, with all capabilities that attaching needs"))
    } else {
        Err(format!("{user}, without {}: can build, cannot attach", missing.join(", ")))
    }
}

fn judge_tools(missing: &[&str]) -> Result<String, String> {
    let total = tools::count();
    if missing.is_empty() {
        return Ok(format!("all {total} found"));
    }
    Err(format!("missing {}: tests that need them will fail", missing.join(", ")))
}

/// Reads `6.1` out of `6.1.0-44-cloud-amd64`.
fn parse_release(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// The effective user id, the second number of the line `Uid:` in /proc/self/status.
fn effective_uid(status: &str) -> Option<u32> {
    field(status, "Uid:")?.split_whitespace().nth(1)?.parse().ok()
}

fn effective_capabilities(status: &str) -> Option<u64> {
    u64::from_str_radix(field(status, "CapEff:")?.trim(), 16).ok()
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name))
}

/// A file of /proc, or nothing: every judgement of an empty text is a warning.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_judged_by_number_not_by_text() {
        assert_eq!(parse_release("6.1.0-44-cloud-amd64"), Some((6, 1)));
        assert_eq!(parse_release("6.18-rc1"), Some((6, 18)));
        assert_eq!(parse_release("linux"), None);
        assert!(judge_kernel("6.18.44-fc").is_ok(), "6.18 comes after 6.1 and 6.2");
        assert!(judge_kernel("6.1.0-44-cloud-amd64").is_ok());
        assert!(judge_kernel("5.10.0-30-amd64").is_err());
        assert!(judge_kernel("").is_err());
    }

    #[test]
    fn bpffs_must_be_mounted_where_it_is_expected() {
        assert!(judge_bpffs("bpf /sys/fs/bpf bpf rw,nosuid 0 0\n").is_ok());
        assert!(judge_bpffs("none /sys/fs/bpf tmpfs rw 0 0\n").is_err());
        assert!(judge_bpffs("bpf /mnt/bpf bpf rw 0 0\n").is_err());
    }

    #[test]
    fn missing_capabilities_are_named() {
        let status = "Name:\tx\nUid:\t1000\t0\t0\t0\nCapEff:\t000001ffffffffff\n";
        assert_eq!(effective_uid(status), Some(0));
        assert!(judge_privilege(status).is_ok());
        let status = "Uid:\t1000\t1000\t1000\t1000\nCapEff:\t0000008000001000\n";
        let warning = judge_privilege(status).expect_err("two capabilities are missing");
        assert!(warning.contains("without CAP_SYS_ADMIN, CAP_PERFMON:"), "{warning}");
    }
}
