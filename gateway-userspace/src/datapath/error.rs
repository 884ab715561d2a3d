//! What can go wrong with the packet path in the kernel.

use std::{io, path::PathBuf};

use aya::{EbpfError, maps::MapError, pin::PinError, programs::ProgramError};

use super::{
    cause::{VerifierLogTail, because},
    upgrade,
};
use crate::{net::NetError, seed::SeedError};

/// Every failure of this module. Each says what failed, on which object, why, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum DatapathError {
    /// The process may not do what it has to.
    #[error(
        "this process lacks {}, which loading and attaching BPF programs needs; run it as root",
        missing.join(", ")
    )]
    NotPrivileged {
        /// The capabilities that are missing.
        missing: Vec<&'static str>,
    },
    /// The kernel is older than what the programs need.
    #[error("the kernel is {release}, but the gateway needs Linux {minimum} or newer; boot one")]
    KernelTooOld {
        /// What `uname -r` says.
        release: String,
        /// The oldest kernel that works.
        minimum: &'static str,
    },
    /// The kernel does not describe its types.
    #[error(
        "the kernel's type information {} cannot be read: {source}; the gateway needs a kernel \
         with CONFIG_DEBUG_INFO_BTF=y", path.display()
    )]
    NoBtf {
        /// Where it should be.
        path: PathBuf,
        /// Why it cannot be read.
        source: io::Error,
    },
    /// This binary was built without the BPF object.
    #[error(
        "this binary contains no BPF programs: it was built with EIGW_EBPF_SKIP=1; build it \
         without that variable"
    )]
    NoObject,
    /// A name that no gateway can have.
    #[error("'{name}' is not a valid gateway name: use 1 to 64 ASCII letters, digits, '_' and '-'")]
    InvalidName {
        /// The name.
        name: String,
    },
    /// The list of uplinks is empty, too long or repeats itself.
    #[error("{reason}")]
    Uplinks {
        /// What is wrong with the list.
        reason: String,
    },
    /// The connections that are there cannot be listed.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// An interface or network namespace cannot be used.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The directory for pins is not a BPF file system.
    #[error(
        "{} is not a BPF file system; mount one there with `mount -t bpf bpf {0}`, or choose \
         another with --bpffs", path.display()
    )]
    NotBpffs {
        /// The directory.
        path: PathBuf,
    },
    /// Mounting the BPF file system would be undone when this process ends.
    #[error(
        "no BPF file system is mounted at {} in this mount namespace, and one mounted here would \
         vanish with it and take the gateway along; mount it on the host first, and use --netns \
         instead of `ip netns exec` to reach another network namespace", path.display()
    )]
    PrivateMounts {
        /// The directory.
        path: PathBuf,
    },
    /// Something about a file or directory of the BPF file system failed.
    #[error("{action} {} failed: {}", path.display(), because(source))]
    Bpffs {
        /// What was tried.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the kernel answered.
        source: io::Error,
    },
    /// There is no such gateway.
    #[error("no gateway named {name} is attached ({} does not exist); `eigw status` lists the \
         gateways", path.display())]
    NotAttached {
        /// The name.
        name: String,
        /// Where its pins would be.
        path: PathBuf,
    },
    /// The gateway was attached by an incompatible version.
    #[error("{}", upgrade::advice(name, *pinned, *ours))]
    StalePins {
        /// The gateway.
        name: String,
        /// The layout of the pinned maps.
        pinned: u32,
        /// The layout of this binary.
        ours: u32,
    },
    /// The policy was replaced again and again while it was read.
    #[error("the policy in force changes faster than it can be read; try again")]
    Unsteady,
    /// A gateway's pins are not what they should be.
    #[error(
        "gateway {name} is damaged: {} {reason}; run `eigw detach --name {name}`, then attach \
         it again", path.display()
    )]
    Damaged {
        /// The gateway.
        name: String,
        /// The pin.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// An attach of the gateway was interrupted, so nothing is enforced.
    #[error(
        "gateway {name} is attached but lets everything pass, because attaching it was \
         interrupted; attach it again"
    )]
    NotArmed {
        /// The gateway.
        name: String,
    },
    /// The gateway is in force for good.
    #[error(
        "gateway {name} does not wait to be confirmed; it stays until it is detached with `eigw \
         detach --name {name}`"
    )]
    NothingToConfirm {
        /// The gateway.
        name: String,
    },
    /// Nobody confirmed the gateway in time.
    #[error(
        "gateway {name} was not confirmed in time, so it lets everything pass; attach it again, or \
         remove what is left with `eigw detach --name {name}`"
    )]
    Overdue {
        /// The gateway.
        name: String,
    },
    /// Another process is the gateway's daemon.
    #[error("gateway {name} has a daemon already{}", remedy(*pid))]
    DaemonRuns {
        /// The gateway.
        name: String,
        /// The process, if it can be seen from here.
        pid: Option<u32>,
    },
    /// All places for observers are taken.
    #[error(
        "gateway {name} has all {} observers it can have{}; end one of them, such as another \
         'eigw drop watch'", holders.len(), processes(holders)
    )]
    ObserversTaken {
        /// The gateway.
        name: String,
        /// The processes that observe, as far as they can be seen from here.
        holders: Vec<Option<u32>>,
    },
    /// A gateway of that name exists elsewhere.
    #[error(
        "gateway {name} is attached in another network namespace; choose another --name, reach \
         it with --netns, or run `eigw detach --name {name}` first"
    )]
    OtherNetns {
        /// The gateway.
        name: String,
    },
    /// Another gateway has this uplink.
    #[error(
        "interface {uplink} is already protected by gateway {gateway}; use --name {gateway} to \
         update that one, or run `eigw detach --name {gateway}` first"
    )]
    UplinkTaken {
        /// The interface.
        uplink: String,
        /// The gateway that has it.
        gateway: String,
    },
    /// Somebody else's XDP program is on the interface.
    #[error(
        "interface {interface} already runs the XDP program {program}, which the gateway does \
         not replace; remove it (`ip link set dev {interface} xdp off`, or its owner's tool), or \
         attach with --hook tc"
    )]
    ForeignXdp {
        /// The interface.
        interface: String,
        /// The program's id and name.
        program: String,
    },
    /// The interface's driver refuses an XDP program.
    #[error(
        "interface {interface} refused {mode} XDP: {source}; its driver may not support it or \
         not with this MTU or these offloads, attach with --hook auto or --hook tc"
    )]
    XdpRefused {
        /// The interface.
        interface: String,
        /// `native` or `generic`.
        mode: &'static str,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The interface refuses a TC program.
    #[error(
        "attaching the {hook} program to interface {interface} by {means} failed: {}",
        because(source)
    )]
    TcRefused {
        /// The interface.
        interface: String,
        /// `ingress` or `egress`.
        hook: &'static str,
        /// `tcx` or `clsact`.
        means: &'static str,
        /// What the kernel answered.
        source: io::Error,
    },
    /// Somebody else's filter has our place.
    #[error(
        "interface {interface} already has a TC filter at the {hook} priority that the gateway \
         uses; remove it (`tc filter show dev {interface} {hook}` shows it)"
    )]
    ForeignFilter {
        /// The interface.
        interface: String,
        /// `ingress` or `egress`.
        hook: &'static str,
    },
    /// The kernel's verifier refused a program.
    #[error(
        "the kernel refused the BPF program {program}: {}; this is a bug of the gateway or of \
         the kernel, please report it with this text:\n{log}",
        unless_too_complex(source)
    )]
    Verifier {
        /// The program.
        program: &'static str,
        /// What the kernel answered.
        source: io::Error,
        /// The end of the verifier's log.
        log: VerifierLogTail,
    },
    /// The object cannot be loaded.
    #[error("loading the BPF object failed: {}", because(source))]
    Object {
        /// What aya says.
        source: EbpfError,
    },
    /// A map cannot be read or written.
    #[error("{action} map {map} failed: {}", because(source))]
    Map {
        /// What was tried.
        action: &'static str,
        /// The map.
        map: &'static str,
        /// What aya says.
        source: MapError,
    },
    /// A map or program cannot be pinned.
    #[error("pinning {} failed: {}", path.display(), because(source))]
    Pin {
        /// Where.
        path: PathBuf,
        /// What aya says.
        source: PinError,
    },
    /// A program cannot be used.
    #[error("{action} program {program} failed: {}", because(source))]
    Program {
        /// What was tried.
        action: &'static str,
        /// The program.
        program: &'static str,
        /// What aya says.
        source: ProgramError,
    },
    /// A command of the `bpf` system call failed.
    #[error("{action} failed: {}", because(source))]
    Syscall {
        /// What was tried.
        action: &'static str,
        /// What the kernel answered.
        source: io::Error,
    },
    /// Attaching failed, and undoing what was done failed as well.
    #[error(
        "{cause}; moreover, not everything could be undone: {}; run `eigw detach --name {name}`",
        failures.join("; ")
    )]
    NotUndone {
        /// The gateway.
        name: String,
        /// Why attaching failed.
        cause: Box<Self>,
        /// What could not be undone.
        failures: Vec<String>,
    },
    /// Detaching left something behind.
    #[error(
        "gateway {name} could not be detached completely: {}; remove the cause and detach it \
         again", failures.join("; ")
    )]
    NotDetached {
        /// The gateway.
        name: String,
        /// What is left and why.
        failures: Vec<String>,
    },
}

/// As [`because`]. A program that is too complex has nothing to do with the tables' memory.
fn unless_too_complex(source: &io::Error) -> String {
    if source.raw_os_error() == Some(libc::E2BIG) { source.to_string() } else { because(source) }
}

/// The processes that can be seen, for the end of a sentence.
fn processes(holders: &[Option<u32>]) -> String {
    let mut pids: Vec<_> = holders.iter().flatten().collect();
    pids.sort();
    pids.dedup();
    let pids: Vec<_> = pids.into_iter().map(u32::to_string).collect();
    match pids.as_slice() {
        [] => String::new(),
        [pid] => format!(" (process {pid})"),
        _ => format!(" (processes {})", pids.join(", ")),
    }
}

/// What to do about another daemon.
fn remedy(pid: Option<u32>) -> String {
    pid.map_or_else(
        || ", in a process that cannot be seen from here; stop that one first".to_owned(),
        |pid| {
            format!(
                ", process {pid}; stop that one first, or have it take a changed file with `kill \
                 -HUP {pid}`"
            )
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buried_error_numbers_are_found_and_explained() {
        let source = EbpfError::MapError(MapError::CreateError {
            name: "ESTABLISHED".to_owned(),
            io_error: io::Error::from_raw_os_error(libc::ENOMEM),
        });
        let text = DatapathError::Object { source }.to_string();
        for part in ["ESTABLISHED", "Cannot allocate memory", "established_max"] {
            assert!(text.contains(part), "{part} is missing in: {text}");
        }
    }

    #[test]
    fn every_message_names_the_object_and_the_remedy() {
        let errors: [(DatapathError, &[&str]); 7] = [
            (
                DatapathError::ObserversTaken {
                    name: "wan".to_owned(),
                    holders: vec![Some(30), None, Some(7), Some(30)],
                },
                &["wan", "all 4", "processes 7, 30"],
            ),
            (
                DatapathError::ForeignXdp {
                    interface: "up0".to_owned(),
                    program: "17 (other)".to_owned(),
                },
                &["up0", "17 (other)", "--hook tc"],
            ),
            (
                DatapathError::StalePins { name: "wan".to_owned(), pinned: 1, ours: 2 },
                &["layout 1", "too old", "eigw detach --name wan"],
            ),
            (
                DatapathError::UplinkTaken { uplink: "up0".to_owned(), gateway: "a".to_owned() },
                &["up0", "eigw detach --name a"],
            ),
            (
                DatapathError::NotBpffs { path: PathBuf::from("/tmp/x") },
                &["mount -t bpf bpf /tmp/x", "--bpffs"],
            ),
            (
                DatapathError::NotPrivileged { missing: vec!["CAP_SYS_ADMIN", "CAP_NET_ADMIN"] },
                &["CAP_SYS_ADMIN, CAP_NET_ADMIN", "root"],
            ),
            (
                DatapathError::NotUndone {
                    name: "wan".to_owned(),
                    cause: Box::new(DatapathError::NoObject),
                    failures: vec!["one".to_owned(), "two".to_owned()],
                },
                &["EIGW_EBPF_SKIP", "one; two", "eigw detach --name wan"],
            ),
        ];
        for (error, parts) in errors {
            let text = error.to_string();
            for part in parts {
                assert!(text.contains(part), "{part:?} is missing in: {text}");
            }
        }
    }
}
