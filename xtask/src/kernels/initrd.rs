//! What the guest begins with: busybox, the modules for the machine's file system, and a script.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use super::archive::Kernel;
use crate::process::capture;

const INIT: &str = include_str!("init.sh");
/// What it takes to mount the machine's file system with changes kept in memory.
const MODULES: [&str; 5] = ["virtio_pci", "virtio_rng", "fuse", "virtiofs", "overlay"];
const DIRECTORIES: [&str; 9] =
    ["bin", "dev", "layer", "machine", "modules", "proc", "root", "sys", "tmp"];

/// Writes the archive for a kernel and returns its path.
///
/// # Errors
/// When a module is missing, or something cannot be read or written.
pub(super) fn write(kernel: &Kernel, busybox: &Path) -> Result<PathBuf> {
    let mut archive = Archive::default();
    for directory in DIRECTORIES {
        archive.directory(directory);
    }
    let busybox = fs::read(busybox).with_context(|| format!("reading {}", busybox.display()))?;
    archive.file("bin/busybox", &busybox, 0o755);
    archive.file("init", INIT.as_bytes(), 0o755);
    let mut order = String::new();
    for path in module_files(kernel)? {
        let (name, bytes) = unpacked(&path)?;
        archive.file(&format!("modules/{name}"), &bytes, 0o644);
        order.extend([name.as_str(), "\n"]);
    }
    archive.file("modules/order", order.as_bytes(), 0o644);
    let path = kernel.directory.join("initrd.cpio");
    fs::write(&path, archive.finished()).with_context(|| format!("writing {}", path.display()))?;
    Ok(path)
}

/// The files of the modules, each after those that it needs.
fn module_files(kernel: &Kernel) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for module in MODULES {
        let mut command = Command::new("modprobe");
        command.arg("-d").arg(kernel.module_base()).args(["-S", &kernel.release]);
        for line in capture(command.args(["--show-depends", module]))?.lines() {
            // What is built in needs no file.
            if let Some(path) = line.strip_prefix("insmod ") {
                let path = PathBuf::from(path.trim());
                if !files.contains(&path) {
                    files.push(path);
                }
            }
        }
    }
    Ok(files)
}

/// The name and the bytes of a module, which may be compressed.
fn unpacked(path: &Path) -> Result<(String, Vec<u8>)> {
    let name = path.file_name().context("modules have names")?.to_string_lossy().into_owned();
    let (name, program) = match name.rsplit_once('.') {
        Some((name, "xz")) => (name.to_owned(), "xz"),
        Some((name, "zst")) => (name.to_owned(), "zstd"),
        _ => return Ok((name, fs::read(path)?)),
    };
    let mut command = Command::new(program);
    let output = command.arg("-dcq").arg(path).stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("starting {program}"))?;
    ensure!(output.status.success(), "{program} cannot unpack {}", path.display());
    Ok((name, output.stdout))
}

/// A cpio archive in the format that kernels unpack, "newc".
#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    fn directory(&mut self, name: &str) {
        self.entry(name, &[], 0o040_755);
    }

    fn file(&mut self, name: &str, content: &[u8], permissions: u32) {
        self.entry(name, content, 0o100_000 | permissions);
    }

    fn finished(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", &[], 0);
        self.bytes
    }

    fn entry(&mut self, name: &str, content: &[u8], mode: u32) {
        self.entries += 1;
        let (inode, links) = (self.entries, 1);
        let (size, name_size) = (content.len(), name.len() + 1);
        // Magic, inode, mode, owner, group, links, time, size, four device numbers, length of the
        // name and a checksum that is not used.
        self.bytes.extend_from_slice(
            format!(
                "070701{inode:08x}{mode:08x}{0:08x}{0:08x}{links:08x}{0:08x}{size:08x}\
                 {0:08x}{0:08x}{0:08x}{0:08x}{name_size:08x}{0:08x}{name}\0",
                0
            )
            .as_bytes(),
        );
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The layout of the header: 110 bytes, then the name, padded to four bytes, and the content.
    #[test]
    fn entries_are_where_the_kernel_looks() {
        let mut archive = Archive::default();
        archive.file("init", b"hello", 0o755);
        archive.directory("proc");
        let bytes = archive.finished();
        assert_eq!(bytes.len() % 4, 0);
        let text = |from: usize, to: usize| std::str::from_utf8(&bytes[from..to]).expect("ASCII");
        assert_eq!(text(0, 6), "070701");
        assert_eq!(text(14, 22), "000081ed", "a file with mode 0755");
        assert_eq!(text(54, 62), "00000005", "its size");
        assert_eq!(text(94, 102), "00000005", "its name's, with the NUL");
        assert_eq!(text(110, 115), "init\0");
        assert_eq!(text(116, 121), "hello");
        assert_eq!(text(124, 130), "070701", "the next entry is aligned");
        assert!(text(124, bytes.len()).contains("TRAILER!!!"));
    }

    #[test]
    fn modules_that_are_not_compressed_are_taken_as_they_are() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("veth.ko");
        fs::write(&path, b"module").expect("written");
        assert_eq!(unpacked(&path).expect("read"), ("veth.ko".to_owned(), b"module".to_vec()));
    }
}
