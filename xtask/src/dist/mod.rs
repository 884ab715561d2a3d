//! `cargo xtask dist`: a Debian package, a tarball and their checksums in `target/dist`.

pub(crate) mod binary;
mod check;
mod deb;
mod licences;
mod payload;
mod sbom;
mod tarball;
mod tree;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use self::binary::Linkage;
use crate::{
    process::{capture, workspace},
    setup,
};

/// The version of everything in the workspace.
const VERSION: &str = env!("CARGO_PKG_VERSION");
const CHECKSUMS: &str = "SHA256SUMS";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Link to this machine's C library instead of a copy inside the binary.
    #[arg(long)]
    dynamic: bool,
    /// Install, use, upgrade and remove the package in a clean Debian root; needs root.
    #[arg(long)]
    check: bool,
    /// The part of --check that has namespaces of its own, with what it needs in this directory.
    #[arg(long, hide = true)]
    inside_namespaces: Option<PathBuf>,
}

/// Runs the job.
///
/// # Errors
/// When setup, the build or a tool fails, or the check finds something.
pub(crate) fn run(args: &Args) -> Result<()> {
    if let Some(directory) = &args.inside_namespaces {
        return check::inside(directory);
    }
    if args.check {
        check::require_root()?;
    }
    setup::ensure()?;
    let linkage = Linkage::choose(args.dynamic);
    let binary = binary::build(linkage)?;
    println!("==> packing it");
    let directory = tree::empty_directory(&workspace().join("target/dist"))?;
    let package = deb::make(&directory, &binary, &deb::debian_version(VERSION, 1))?;
    let tarball = tarball::make(&directory, &binary, VERSION)?;
    write_checksums(&directory, &[&package, &tarball])?;
    if args.check {
        check::run(&binary, &package, &tarball)?;
    }
    report(linkage, &binary, &[&package, &tarball])
}

fn write_checksums(directory: &Path, files: &[&PathBuf]) -> Result<()> {
    let names = files.iter().filter_map(|path| path.file_name());
    let sums = capture(Command::new("sha256sum").args(names).current_dir(directory))?;
    let path = directory.join(CHECKSUMS);
    fs::write(&path, sums + "\n").with_context(|| format!("writing {}", path.display()))
}

fn report(linkage: Linkage, binary: &Path, files: &[&PathBuf]) -> Result<()> {
    let size = |path: &Path| -> Result<String> {
        let metadata = fs::metadata(path).with_context(|| format!("reading {}", path.display()))?;
        Ok(format!("{} kB", metadata.len() / 1000))
    };
    println!("eigw {VERSION}: {}, {}", linkage.description(), size(binary)?);
    for path in files {
        println!("  {} ({})", path.display(), size(path)?);
    }
    println!("  {}", workspace().join("target/dist").join(CHECKSUMS).display());
    Ok(())
}
