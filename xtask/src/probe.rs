//! The probe: a program of a few lines, compiled and linked as the gateway's programs will be.

use std::{env, fs, path::Path};

use anyhow::{Context as _, Result, bail};

use crate::{
    bpf_cargo::BpfToolchain,
    process::{step, workspace},
};

/// The same profile as the workspace's, so that `core`, compiled once here, is compiled for the
/// gateway too.
const MANIFEST: &str = concat!(
    "[package]\n",
    "name = \"ebpf-probe\"\n",
    "version = \"0.0.0\"\n",
    "edition = \"2024\"\n",
    "rust-version = \"",
    env!("CARGO_PKG_RUST_VERSION"),
    "\"\n",
    "[profile.release]\n",
    "debug = \"line-tables-only\"\n",
    "[workspace]\n",
);

const PROGRAM: &str = r#"#![no_std]
#![no_main]

#[unsafe(no_mangle)]
#[unsafe(link_section = "xdp")]
extern "C" fn probe(context: *mut u8) -> u32 {
    u32::from(context.is_null())
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
"#;

/// The machine number of BPF in an ELF header (linux/elf-em.h, `EM_BPF`).
const ELF_MACHINE_BPF: u16 = 247;

/// Compiles and links the probe.
///
/// # Errors
/// When it does not compile or link, with the end of cargo's output, or when the result is not
/// an object for BPF.
pub(crate) fn run(toolchain: &BpfToolchain) -> Result<()> {
    let package = workspace().join("target/ebpf-probe");
    fs::create_dir_all(package.join("src"))
        .and_then(|()| fs::write(package.join("Cargo.toml"), MANIFEST))
        .and_then(|()| fs::write(package.join("src/main.rs"), PROGRAM))
        .with_context(|| format!("writing {}", package.display()))?;
    let object = BpfToolchain::binary_path(workspace(), "ebpf-probe");
    // Another linker is the same to cargo's fingerprint when only the file behind it changed.
    if object.exists() {
        fs::remove_file(&object).with_context(|| format!("removing {}", object.display()))?;
    }
    let mut command = toolchain.cargo("build", workspace(), env::consts::ARCH);
    command.current_dir(&package);
    let core = if toolchain.build_std { ", compiling core" } else { "" };
    let what = format!(
        "probing toolchain {} with {}{core}",
        toolchain.toolchain,
        toolchain.linker.display()
    );
    step(&what, command, None)?;
    check_object(&object)
}

fn check_object(path: &Path) -> Result<()> {
    let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    if !is_bpf_object(&bytes) {
        bail!("{} is not an ELF object for BPF", path.display());
    }
    Ok(())
}

/// Reads the ELF magic number and `e_machine`.
fn is_bpf_object(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x7fELF") && bytes.get(18..20) == Some(&ELF_MACHINE_BPF.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_elf_for_bpf_is_accepted() {
        let mut header = [0; 64];
        header[..4].copy_from_slice(b"\x7fELF");
        assert!(!is_bpf_object(&header), "machine 0");
        header[18..20].copy_from_slice(&ELF_MACHINE_BPF.to_le_bytes());
        assert!(is_bpf_object(&header));
        assert!(!is_bpf_object(&header[..19]), "cut short");
        header[0] = 0;
        assert!(!is_bpf_object(&header), "no magic number");
    }

    #[test]
    fn the_probe_has_the_profile_of_the_workspace() {
        let path = workspace().join("Cargo.toml");
        let text = fs::read_to_string(&path).expect("the workspace has a manifest");
        let workspace: toml::Table = text.parse().expect("valid TOML");
        let probe: toml::Table = MANIFEST.parse().expect("valid TOML");
        let debug = |manifest: &toml::Table| manifest["profile"]["release"]["debug"].clone();
        assert_eq!(debug(&probe), debug(&workspace));
    }
}
