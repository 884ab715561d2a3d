//! What is installed: the files that the Debian package and the tarball have in common, below
//! their prefix.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use super::{licences, sbom, tree::Entry};
use crate::process::{capture, workspace};

/// Shells with the places where they look for completions, below the prefix.
const COMPLETIONS: [(&str, &str); 2] = [
    ("bash", "share/bash-completion/completions/eigw"),
    ("fish", "share/fish/vendor_completions.d/eigw.fish"),
];

/// What dashboards and alerts are made of, if there are any.
const MONITORING: [&str; 2] = ["grafana", "prometheus"];

/// Everything below the prefix but for documents.
///
/// # Errors
/// When the binary does not work or a file cannot be read. `zsh` is the directory where zsh looks
/// for completions.
pub(super) fn files(binary: &Path, zsh: &str) -> Result<Vec<Entry>> {
    let bytes = fs::read(binary).with_context(|| format!("reading {}", binary.display()))?;
    let mut entries = vec![
        Entry::program("bin/eigw", bytes),
        Entry::new("lib/systemd/system/eigw@.service", read("dist/eigw@.service")?),
    ];
    let zsh = format!("{zsh}/_eigw");
    for (shell, path) in COMPLETIONS.into_iter().chain([("zsh", zsh.as_str())]) {
        let script = capture(Command::new(binary).args(["completions", shell]))?;
        entries.push(Entry::new(path, script + "\n"));
    }
    entries.extend(manual(binary)?);
    entries.extend(monitoring()?);
    Ok(entries)
}

/// The documents that are not Debian's own: name and contents.
///
/// # Errors
/// When one cannot be read, or the libraries or their licences cannot be found.
pub(super) fn documents(binary: &Path) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for name in ["README.md", "CHANGELOG.md"] {
        entries.push(Entry::new(name, read(name)?));
    }
    entries.push(Entry::new("LICENSES-libraries", licences::of_libraries()?));
    entries.push(Entry::new(sbom::FILE, sbom::of(binary)?));
    Ok(entries)
}

/// A file of the workspace.
///
/// # Errors
/// When it cannot be read.
pub(super) fn read(path: &str) -> Result<Vec<u8>> {
    fs::read(workspace().join(path)).with_context(|| format!("reading {path}"))
}

fn manual(binary: &Path) -> Result<Vec<Entry>> {
    let directory = tempfile::tempdir().context("making a directory for manual pages")?;
    capture(Command::new(binary).arg("man").arg(directory.path()))?;
    let mut entries = Vec::new();
    for path in sorted(directory.path())? {
        let name = file_name(&path)?;
        let page = fs::read(&path).with_context(|| format!("reading {name}"))?;
        entries.push(Entry::new(format!("share/man/man8/{name}"), page).gzip()?);
    }
    ensure!(!entries.is_empty(), "`eigw man` wrote no manual pages");
    Ok(entries)
}

fn monitoring() -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for directory in MONITORING {
        let path = workspace().join("dist").join(directory);
        if !path.is_dir() {
            continue;
        }
        for path in sorted(&path)? {
            let name = format!("share/eigw/{directory}/{}", file_name(&path)?);
            let bytes = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
            entries.push(Entry::new(name, bytes));
        }
    }
    Ok(entries)
}

fn sorted(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut paths: Vec<PathBuf> = fs::read_dir(directory)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
        .with_context(|| format!("listing {}", directory.display()))?;
    paths.sort();
    Ok(paths)
}

fn file_name(path: &Path) -> Result<&str> {
    path.file_name().and_then(|name| name.to_str()).context("a file name that is no text")
}
