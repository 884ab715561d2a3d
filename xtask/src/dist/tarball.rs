//! The tarball for everybody else: a directory like /usr/local.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::{
    payload,
    tree::{self, Entry},
};
use crate::process::capture;

/// Where zsh looks for completions that came with no package.
const ZSH: &str = "share/zsh/site-functions";
const DOCUMENTS: &str = "share/doc/eigw";
const LICENCES: [&str; 3] = ["LICENSE-APACHE", "LICENSE-GPL2", "LICENSE-MIT"];

/// Makes the tarball of the binary in `directory`, and returns where it is.
///
/// # Errors
/// When a part is missing or a tool fails.
pub(super) fn make(directory: &Path, binary: &Path, version: &str) -> Result<PathBuf> {
    let mut entries = payload::files(binary, ZSH)?;
    for document in payload::documents(binary)? {
        entries.push(document.below(DOCUMENTS));
    }
    for name in LICENCES {
        entries.push(Entry::new(name, payload::read(name)?).below(DOCUMENTS));
    }
    let example = Entry::new("example.toml", payload::read("dist/example.toml")?);
    entries.push(example.below(DOCUMENTS));

    let staging = tempfile::tempdir().context("making a directory for the tarball")?;
    let name = format!("eigw-{version}-{}-linux", env::consts::ARCH);
    tree::write(&staging.path().join(&name), &entries)?;
    let tarball = directory.join(format!("{name}.tar.gz"));
    let mut command = Command::new("tar");
    command
        .args(["--create", "--sort=name", "--owner=0", "--group=0", "--numeric-owner"])
        .args(["--format=gnu", "--use-compress-program=gzip --no-name --best"])
        .arg("--file")
        .arg(&tarball)
        .arg("--directory")
        .arg(staging.path());
    capture(command.arg(&name))?;
    Ok(tarball)
}
