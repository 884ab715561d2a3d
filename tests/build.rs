//! Puts the laboratory's BPF object where the library includes it: `OUT_DIR/laboratory.o`.
//!
//! It is built like the gateway's own (see `gateway-userspace/build.rs`). Where that is left out or
//! comes from elsewhere there may be no toolchain, and this one is left empty: only the benchmark
//! needs it, and says so.

#[path = "../xtask/src/bpf_cargo.rs"]
mod bpf_cargo;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::exit,
};

use bpf_cargo::BpfToolchain;

const OBJECT_VARIABLE: &str = "EIGW_EBPF_OBJECT";
const SKIP_VARIABLE: &str = "EIGW_EBPF_SKIP";

/// Relative to the workspace: everything the object is made from.
const SOURCES: [&str; 5] = [
    "Cargo.lock",
    "Cargo.toml",
    "tests-ebpf/Cargo.toml",
    "tests-ebpf/src",
    "xtask/src/bpf_cargo.rs",
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={OBJECT_VARIABLE}");
    println!("cargo::rerun-if-env-changed={SKIP_VARIABLE}");
    let out = Path::new(&variable("OUT_DIR")).join("laboratory.o");
    if let Err(message) = provide(&out) {
        eprintln!("{message}");
        exit(1);
    }
}

fn provide(out: &Path) -> Result<(), String> {
    let is_skipped = env::var_os(SKIP_VARIABLE).is_some_and(|value| value == "1");
    if is_skipped || env::var_os(OBJECT_VARIABLE).is_some() {
        return fs::write(out, []).map_err(|error| format!("writing {}: {error}", out.display()));
    }
    let object = build()?;
    fs::copy(&object, out).map_err(|error| format!("copying {}: {error}", object.display()))?;
    Ok(())
}

fn build() -> Result<PathBuf, String> {
    let manifest_directory = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let workspace = manifest_directory.parent().ok_or("tests lies in no workspace")?;
    for source in SOURCES {
        println!("cargo::rerun-if-changed={}", workspace.join(source).display());
    }
    println!("cargo::rerun-if-changed={}", BpfToolchain::record_path(workspace).display());
    let toolchain = BpfToolchain::read(workspace)?;
    let mut command = toolchain.cargo("build", workspace, &variable("CARGO_CFG_TARGET_ARCH"));
    command.args(["--package", "tests-ebpf"]).current_dir(workspace);
    let output = command.output().map_err(|error| format!("starting {command:?}: {error}"))?;
    if !output.status.success() {
        let BpfToolchain { toolchain: name, rustc_version, linker_version, .. } = &toolchain;
        return Err(format!(
            "building the laboratory's BPF object with toolchain {name} ({rustc_version}, \
             {linker_version}) failed: {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        ));
    }
    Ok(BpfToolchain::binary_path(workspace, "laboratory"))
}

/// A variable that cargo sets for build scripts.
fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|error| panic!("cargo sets {name} for build scripts: {error}"))
}
