//! The programs that make a guest: qemu and virtiofsd, those of the machine or, where it has none,
//! unpacked below `target`. Nothing is installed for them: packages of qemu of another origin, as
//! machines in a cloud have them, would be in the way.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{
    apt::Apt,
    process::{find_program, workspace},
};

const QEMU: &str = "qemu-system-x86_64";
/// Where distributions keep virtiofsd, which is in nobody's search path.
const VIRTIOFSD: [&str; 3] =
    ["usr/libexec/virtiofsd", "usr/lib/qemu/virtiofsd", "usr/lib/virtiofsd"];
/// Where qemu's packages have firmware, below their root.
const FIRMWARE: [&str; 2] = ["usr/share/qemu", "usr/share/seabios"];
/// Debian's name for the directory of libraries.
const LIBRARIES: [&str; 2] = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"];
/// Small programs of the host, which are installed: program and package.
const HELPERS: [(&str, &str); 4] =
    [("modprobe", "kmod"), ("depmod", "kmod"), ("xz", "xz-utils"), ("zstd", "zstd")];

/// What guests are made with.
pub(super) struct Emulator {
    qemu: PathBuf,
    virtiofsd: PathBuf,
    /// Statically linked, for the guest.
    pub(super) busybox: PathBuf,
    /// Where the programs were unpacked, if they were.
    root: Option<PathBuf>,
}

impl Emulator {
    /// Finds the programs, or gets them.
    ///
    /// # Errors
    /// When they cannot be had.
    pub(super) fn ensure() -> Result<Self> {
        let mut apt = Apt::new(false);
        let missing: Vec<&str> = HELPERS
            .iter()
            .filter(|(program, _)| find_program(program).is_none())
            .map(|(_, package)| *package)
            .collect();
        apt.install(&missing)?;
        apt.install(&["debian-archive-keyring"])?;
        let tools = workspace().join("target/tools");
        let root = tools.join("busybox");
        let busybox = || ["bin/busybox", "usr/bin/busybox"].iter().find_map(|it| file(&root, it));
        if busybox().is_none() {
            apt.unpack("busybox-static", &root)?;
        }
        let busybox = busybox().context("busybox-static has no busybox")?;
        if let (Some(qemu), Some(virtiofsd)) = (find_program(QEMU), virtiofsd(Path::new("/"))) {
            return Ok(Self { qemu, virtiofsd, busybox, root: None });
        }
        let root = tools.join("qemu");
        let found = || Some((file(&root, &format!("usr/bin/{QEMU}"))?, virtiofsd(&root)?));
        if found().is_none() {
            let mut packages = vec!["qemu-system-x86"];
            // Older releases have it in qemu's own packages.
            if apt.offers("virtiofsd") {
                packages.push("virtiofsd");
            }
            apt.unpack_with_dependencies(&packages, &root)?;
        }
        let (qemu, virtiofsd) = found().context("the packages of qemu lack a program")?;
        Ok(Self { qemu, virtiofsd, busybox, root: Some(root) })
    }

    /// A command that starts virtiofsd.
    pub(super) fn virtiofsd(&self) -> Command {
        self.mortal(&self.virtiofsd)
    }

    /// A command that starts qemu.
    pub(super) fn qemu(&self) -> Command {
        let mut command = self.mortal(&self.qemu);
        for firmware in self.root.iter().flat_map(|root| FIRMWARE.map(|it| root.join(it))) {
            command.arg("-L").arg(firmware);
        }
        command
    }

    /// A command whose process the kernel kills when this one ends, however that is.
    fn mortal(&self, program: &Path) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program).env_remove("LD_LIBRARY_PATH");
        if let Some(root) = &self.root {
            let paths = LIBRARIES.map(|directory| root.join(directory).display().to_string());
            command.env("LD_LIBRARY_PATH", paths.join(":"));
        }
        command
    }
}

fn virtiofsd(root: &Path) -> Option<PathBuf> {
    VIRTIOFSD.iter().find_map(|path| file(root, path))
}

/// The file at that path below `root`, if it is one.
fn file(root: &Path, path: &str) -> Option<PathBuf> {
    let path = root.join(path);
    path.is_file().then_some(path)
}
