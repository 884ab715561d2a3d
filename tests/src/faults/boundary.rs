//! The system calls by which a program changes the world, or may.

use std::fmt;

use aya_obj::generated::{bpf_attach_type, bpf_cmd};

use super::tracer::Call;

/// A system call that may change the world outside of its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Boundary {
    /// A command of `bpf`.
    Bpf(&'static str),
    /// A call about files, directories, mounts or locks.
    File(&'static str),
    /// A message to the kernel's networking.
    Netlink,
}

impl Boundary {
    /// What a call changes; `None` if it only looks.
    #[must_use]
    pub fn of(call: &Call) -> Option<Self> {
        let created = |flags: u64| flags & flag(libc::O_CREAT) != 0;
        let name = match call.number {
            libc::SYS_bpf => return bpf_command(call.arguments[0]).map(Self::Bpf),
            libc::SYS_sendto | libc::SYS_sendmsg => return Some(Self::Netlink),
            libc::SYS_open if created(call.arguments[1]) => "open",
            libc::SYS_openat if created(call.arguments[2]) => "open",
            libc::SYS_mkdir | libc::SYS_mkdirat => "mkdir",
            libc::SYS_rename | libc::SYS_renameat | libc::SYS_renameat2 => "rename",
            libc::SYS_unlink | libc::SYS_rmdir | libc::SYS_unlinkat => "unlink",
            libc::SYS_link | libc::SYS_linkat | libc::SYS_symlink | libc::SYS_symlinkat => "link",
            libc::SYS_mount | libc::SYS_umount2 => "mount",
            libc::SYS_flock => "flock",
            _ => return None,
        };
        Some(Self::File(name))
    }

    /// Whether this attaches a TCX program, which kernels before 6.6 refuse.
    #[must_use]
    pub fn is_tcx(call: &Call) -> bool {
        /// Where the attributes of the command say how to attach.
        const ATTACH_TYPE_OFFSET: u64 = 8;
        const TCX: [bpf_attach_type; 2] =
            [bpf_attach_type::BPF_TCX_INGRESS, bpf_attach_type::BPF_TCX_EGRESS];
        let [command, attributes, ..] = call.arguments;
        call.number == libc::SYS_bpf
            && command == bpf_cmd::BPF_LINK_CREATE as u64
            && TCX.map(|it| it as u32).contains(&call.u32_at(attributes + ATTACH_TYPE_OFFSET))
    }
}

impl fmt::Display for Boundary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bpf(command) => write!(f, "bpf {command}"),
            Self::File(name) => f.write_str(name),
            Self::Netlink => f.write_str("netlink"),
        }
    }
}

/// The name of a command that changes something; `None` for one that only looks.
fn bpf_command(number: u64) -> Option<&'static str> {
    const LOOKS: [bpf_cmd; 10] = [
        bpf_cmd::BPF_MAP_LOOKUP_ELEM,
        bpf_cmd::BPF_MAP_LOOKUP_BATCH,
        bpf_cmd::BPF_MAP_GET_NEXT_KEY,
        bpf_cmd::BPF_OBJ_GET,
        bpf_cmd::BPF_OBJ_GET_INFO_BY_FD,
        bpf_cmd::BPF_PROG_QUERY,
        bpf_cmd::BPF_PROG_GET_NEXT_ID,
        bpf_cmd::BPF_PROG_GET_FD_BY_ID,
        bpf_cmd::BPF_MAP_GET_FD_BY_ID,
        bpf_cmd::BPF_BTF_GET_FD_BY_ID,
    ];
    const CHANGES: [(bpf_cmd, &str); 12] = [
        (bpf_cmd::BPF_MAP_CREATE, "map create"),
        (bpf_cmd::BPF_MAP_UPDATE_ELEM, "map update"),
        (bpf_cmd::BPF_MAP_UPDATE_BATCH, "map update"),
        (bpf_cmd::BPF_MAP_DELETE_ELEM, "map delete"),
        (bpf_cmd::BPF_MAP_FREEZE, "map freeze"),
        (bpf_cmd::BPF_BTF_LOAD, "load"),
        (bpf_cmd::BPF_PROG_LOAD, "load"),
        (bpf_cmd::BPF_OBJ_PIN, "pin"),
        (bpf_cmd::BPF_PROG_TEST_RUN, "run"),
        (bpf_cmd::BPF_LINK_CREATE, "link create"),
        (bpf_cmd::BPF_LINK_UPDATE, "link update"),
        (bpf_cmd::BPF_LINK_DETACH, "link detach"),
    ];
    if LOOKS.iter().any(|&command| command as u64 == number) {
        return None;
    }
    let known = CHANGES.iter().find(|&&(command, _)| command as u64 == number);
    Some(known.map_or("other", |(_, name)| name))
}

const fn flag(flag: i32) -> u64 {
    flag.cast_unsigned() as u64
}
