//! How cargo is called for the BPF target: the one description of flags and environment.
//!
//! `gateway-userspace/build.rs` compiles this file too, so that the object which setup probed,
//! the object which clippy reads and the object which is shipped are built alike.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde::Deserialize;

/// The target triple; every supported host is little-endian.
pub(crate) const BPF_TARGET: &str = "bpfel-unknown-none";

/// Variables that describe the calling cargo, its compiler or its flags. Inherited, they would
/// hand the host's compiler, wrapper or libraries to the BPF build.
const INHERITED: [&str; 6] =
    ["LD_LIBRARY_PATH", "RUSTC", "RUSTDOC", "RUSTDOCFLAGS", "RUSTFLAGS", "RUSTUP_TOOLCHAIN"];
const INHERITED_PREFIXES: [&str; 3] = ["CARGO", "RUSTC_", "CLIPPY_"];
/// Of these, what says where the user's registries are and how to reach them.
const KEPT_PREFIXES: [&str; 5] =
    ["CARGO_HOME", "CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTR", "CARGO_TERM_"];

/// The toolchain that `cargo xtask setup` chose.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub(crate) struct BpfToolchain {
    /// The name that `rustup run` knows.
    pub(crate) toolchain: String,
    /// Whether `core` has to be compiled, because the toolchain has none for BPF.
    pub(crate) build_std: bool,
    /// The bpf-linker that links this compiler's bitcode.
    pub(crate) linker: PathBuf,
    /// What `rustc --version` said when this was chosen.
    pub(crate) rustc_version: String,
    /// What `bpf-linker --version` said when this was chosen.
    pub(crate) linker_version: String,
}

impl BpfToolchain {
    /// Where setup leaves its choice.
    pub(crate) fn record_path(workspace: &Path) -> PathBuf {
        workspace.join("target/ebpf-toolchain.toml")
    }

    /// Reads the choice of an earlier setup.
    ///
    /// # Errors
    /// The text to show when there is no record or it cannot be understood.
    pub(crate) fn read(workspace: &Path) -> Result<Self, String> {
        let path = Self::record_path(workspace);
        let text = fs::read_to_string(&path).map_err(|error| {
            format!(
                "no eBPF toolchain recorded ({}: {error}): run `cargo xtask setup`",
                path.display()
            )
        })?;
        toml::from_str(&text).map_err(|error| {
            format!("{} is damaged, run `cargo xtask setup`: {error}", path.display())
        })
    }

    /// Where the build leaves the binary `name`.
    pub(crate) fn binary_path(workspace: &Path, name: &str) -> PathBuf {
        target_dir(workspace).join(BPF_TARGET).join("release").join(name)
    }

    /// A cargo command for the BPF target, for a kernel of the architecture `arch` (as Rust
    /// names it), to be completed with a package and run in a directory of the caller's choice.
    pub(crate) fn cargo(&self, subcommand: &str, workspace: &Path, arch: &str) -> Command {
        let mut flags = vec![
            // Debug information is what the linker makes BTF from.
            "-Cdebuginfo=2".to_owned(),
            format!("-Clinker={}", self.linker.display()),
            "-Clink-arg=--btf".to_owned(),
            // Otherwise the linker has LLVM clear memory by calls of a function that goes byte by
            // byte, which costs a new flow 30 ns.
            "-Clink-arg=--disable-expand-memcpy-in-order".to_owned(),
            // Atomics that return a value; Linux 5.12 and later run them.
            "-Ctarget-cpu=v3".to_owned(),
            format!("--cfg=bpf_target_arch=\"{arch}\""),
        ];
        flags.extend(self.remaps(workspace));
        let mut command = Command::new("rustup");
        for (name, _) in env::vars_os() {
            if name.to_str().is_some_and(is_inherited) {
                command.env_remove(name);
            }
        }
        command
            .args(["run", &self.toolchain, "cargo", subcommand, "--release"])
            .args(["--target", BPF_TARGET, "--target-dir"])
            .arg(target_dir(workspace))
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
            // aya-ebpf uses feature gates, which a release compiler opens only when told to.
            .env("RUSTC_BOOTSTRAP", "1");
        if self.build_std {
            command.arg("-Zbuild-std=core");
        }
        command
    }

    /// The same object wherever sources lie: debug information names them, and the compiler orders
    /// code by hashes of flags unless these remap paths.
    fn remaps(&self, workspace: &Path) -> Vec<String> {
        let mut command = Command::new("rustup");
        command
            .args(["run", &self.toolchain, "rustc", "--print", "sysroot"])
            .current_dir(workspace);
        // Where this fails, so does the build, and says more.
        let sysroot = command.output().map(|output| output.stdout).unwrap_or_default();
        let sysroot = String::from_utf8_lossy(&sysroot);
        vec![
            remap(&cargo_home(), "/cargo"),
            remap(Path::new(sysroot.trim()), "/rust"),
            remap(workspace, "/eigw"),
        ]
    }
}

/// Has the compiler write `name` for `path` wherever it mentions source files.
pub(crate) fn remap(path: &Path, name: &str) -> String {
    format!("--remap-path-prefix={}={name}", path.display())
}

/// Where cargo keeps the sources of crates.
pub(crate) fn cargo_home() -> PathBuf {
    let home = env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    env::var_os("CARGO_HOME").map_or_else(|| home.join(".cargo"), PathBuf::from)
}

/// A directory of its own: the calling cargo holds the lock of the ordinary one.
fn target_dir(workspace: &Path) -> PathBuf {
    workspace.join("target/bpf")
}

fn is_inherited(name: &str) -> bool {
    let starts_with = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    INHERITED.contains(&name) || (starts_with(&INHERITED_PREFIXES) && !starts_with(&KEPT_PREFIXES))
}
