//! The machine: kernel, privileges, memory and who else tracks connections.

use std::{fs, path::Path};

use super::{Finding, ok, problem, warning};
use crate::{
    datapath::{self, BpffsState, TableSizes},
    settings::{self, TableSize},
};

/// What there is.
#[derive(Clone, Debug)]
pub(crate) struct MachineFacts {
    /// What `uname -r` says.
    pub(crate) release: String,
    /// Why the kernel's types cannot be read, if they cannot.
    pub(crate) btf: Result<(), String>,
    /// Whether programs are compiled; unknown in most network namespaces.
    pub(crate) jit: Option<bool>,
    /// The BPF file system.
    pub(crate) bpffs: BpffsState,
    /// The privileges that this process lacks for attaching.
    pub(crate) missing_capabilities: Vec<&'static str>,
    /// The machine's memory.
    pub(crate) memory_bytes: Option<u64>,
    /// How many connections `nf_conntrack` tracks in this network namespace, if it is there.
    pub(crate) conntrack: Option<u64>,
}

impl MachineFacts {
    /// Looks at the machine.
    pub(crate) fn gather(bpffs: &Path) -> Self {
        let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse().ok();
        Self {
            release: datapath::kernel_release(),
            btf: datapath::check_btf().map_err(|error| error.to_string()),
            jit: number("/proc/sys/net/core/bpf_jit_enable").map(|value: u64| value != 0),
            bpffs: BpffsState::of(bpffs),
            missing_capabilities: datapath::lacking_capabilities(),
            memory_bytes: settings::memory_bytes().ok(),
            conntrack: number("/proc/sys/net/netfilter/nf_conntrack_count"),
        }
    }
}

/// What it means.
pub(crate) fn judge(facts: &MachineFacts) -> Vec<Finding> {
    vec![
        kernel(&facts.release),
        btf(&facts.btf),
        jit(facts.jit),
        bpffs(&facts.bpffs),
        capabilities(&facts.missing_capabilities),
        memory(facts.memory_bytes),
        conntrack(facts.conntrack),
    ]
}

fn kernel(release: &str) -> Finding {
    const CHECK: &str = "kernel";
    const TCX: (u32, u32) = (6, 6);
    match datapath::kernel_version(release) {
        Some(version) if version >= TCX => ok(CHECK, format!("{release}: XDP, TCX")),
        Some(version) if version >= datapath::KERNEL_MIN => {
            ok(CHECK, format!("{release}: XDP; TC programs sit on clsact, since TCX came with 6.6"))
        }
        Some(_) | None => problem(
            CHECK,
            format!("{release} is older than the gateway needs"),
            format!("boot Linux {} or newer", datapath::KERNEL_MIN_NAME),
        ),
    }
}

fn btf(found: &Result<(), String>) -> Finding {
    const CHECK: &str = "btf";
    match found {
        Ok(()) => ok(CHECK, "the kernel describes its types"),
        Err(error) => {
            problem(CHECK, error, "boot a kernel that was built with CONFIG_DEBUG_INFO_BTF=y")
        }
    }
}

fn jit(enabled: Option<bool>) -> Finding {
    const CHECK: &str = "jit";
    match enabled {
        Some(true) => ok(CHECK, "programs are compiled to machine code"),
        Some(false) => warning(
            CHECK,
            "programs are interpreted, which costs several times as much for each packet",
            "sysctl net.core.bpf_jit_enable=1",
        ),
        None => ok(CHECK, "unknown: the kernel tells it to the first network namespace only"),
    }
}

fn bpffs(state: &BpffsState) -> Finding {
    const CHECK: &str = "bpffs";
    match state {
        BpffsState::Mounted(path) => ok(CHECK, format!("mounted at {}", path.display())),
        BpffsState::Mountable(path) => {
            ok(CHECK, format!("not mounted at {}; attach mounts it", path.display()))
        }
        BpffsState::PrivateMounts(path) => problem(
            CHECK,
            format!("not mounted at {}, and a mount made here would not last", path.display()),
            "mount it on the host, and reach other network namespaces with --netns instead of \
             `ip netns exec`",
        ),
        BpffsState::Missing(path) => problem(
            CHECK,
            format!("{} is no BPF file system", path.display()),
            format!("mount -t bpf bpf {}, or choose another with --bpffs", path.display()),
        ),
    }
}

fn capabilities(missing: &[&str]) -> Finding {
    const CHECK: &str = "capabilities";
    if missing.is_empty() {
        return ok(CHECK, "this process may attach programs");
    }
    warning(
        CHECK,
        format!("this process lacks {}, so it sees and may do less", missing.join(", ")),
        "attach as root, and ask the doctor as root to see everything",
    )
}

fn memory(bytes: Option<u64>) -> Finding {
    const CHECK: &str = "memory";
    let Some(bytes) = bytes else { return ok(CHECK, "unknown: the kernel does not tell") };
    let sizes = TableSizes::resolve(TableSize::Auto, TableSize::Auto, bytes);
    let TableSizes { half_open_max, established_max } = sizes;
    ok(
        CHECK,
        format!(
            "{} MiB: by default room for {established_max} established and {half_open_max} \
             half-open flows, in {} MiB",
            bytes >> 20,
            sizes.memory_bytes() >> 20
        ),
    )
}

fn conntrack(tracked: Option<u64>) -> Finding {
    const CHECK: &str = "conntrack";
    match tracked {
        None => ok(CHECK, "nf_conntrack is not loaded"),
        Some(0) => ok(CHECK, "nf_conntrack is loaded, but tracks nothing here"),
        Some(count) => warning(
            CHECK,
            format!(
                "nf_conntrack tracks {count} connections here as well, which costs time and memory \
                 a second time"
            ),
            "if nothing needs it any more (NAT does), remove the rules that use connection states, \
             or exempt traffic with `notrack`",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Severity;

    #[test]
    fn a_machine_that_fits_has_nothing_to_complain_of() {
        let findings = judge(&fitting());
        assert!(findings.iter().all(|it| it.verdict == Severity::Ok && it.advice.is_none()));
        let names: Vec<_> = findings.iter().map(|finding| finding.check).collect();
        let expected = ["kernel", "btf", "jit", "bpffs", "capabilities", "memory", "conntrack"];
        assert_eq!(names, expected);
        let memory = &findings[5].found;
        assert!(memory.contains("room for 65536 established and 16384 half-open"), "{memory}");
    }

    #[test]
    fn what_does_not_fit_comes_with_a_remedy() {
        let other = "/mnt/other".into();
        for (facts, check, verdict, remedy) in [
            (
                MachineFacts { release: "5.10.0-39".to_owned(), ..fitting() },
                "kernel",
                Severity::Problem,
                "6.1 or newer",
            ),
            (
                MachineFacts { btf: Err("no such file".to_owned()), ..fitting() },
                "btf",
                Severity::Problem,
                "CONFIG_DEBUG_INFO_BTF",
            ),
            (MachineFacts { jit: Some(false), ..fitting() }, "jit", Severity::Warning, "sysctl"),
            (
                MachineFacts { bpffs: BpffsState::Missing(other), ..fitting() },
                "bpffs",
                Severity::Problem,
                "mount -t bpf bpf /mnt/other",
            ),
            (
                MachineFacts { bpffs: BpffsState::PrivateMounts("/x".into()), ..fitting() },
                "bpffs",
                Severity::Problem,
                "--netns",
            ),
            (
                MachineFacts { missing_capabilities: vec!["CAP_NET_ADMIN"], ..fitting() },
                "capabilities",
                Severity::Warning,
                "as root",
            ),
            (
                MachineFacts { conntrack: Some(7), ..fitting() },
                "conntrack",
                Severity::Warning,
                "notrack",
            ),
        ] {
            let findings = judge(&facts);
            let bad: Vec<_> = findings.iter().filter(|it| it.verdict != Severity::Ok).collect();
            let [finding] = bad[..] else { panic!("one is bad: {findings:?}") };
            assert_eq!((finding.check, finding.verdict), (check, verdict));
            let advice = finding.advice.as_ref().expect("a remedy");
            assert!(advice.contains(remedy), "{remedy} is missing in: {advice}");
        }
    }

    #[test]
    fn this_machine_can_be_looked_at() {
        let facts = MachineFacts::gather(Path::new("/proc"));
        assert_eq!(facts.bpffs, BpffsState::Missing("/proc".into()));
        assert!(datapath::kernel_version(&facts.release).is_some(), "{}", facts.release);
    }

    fn fitting() -> MachineFacts {
        MachineFacts {
            release: "6.12.3-amd64".to_owned(),
            btf: Ok(()),
            jit: Some(true),
            bpffs: BpffsState::Mounted("/sys/fs/bpf".into()),
            missing_capabilities: Vec::new(),
            memory_bytes: Some(1 << 30),
            conntrack: None,
        }
    }
}
