//! A directory that becomes a package: files with fixed modes and times, so that the same input
//! makes the same bytes.

use std::{
    env, fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result, bail};

use crate::process::{capture, workspace};

/// The mode of an ordinary file.
pub(super) const PLAIN: u32 = 0o644;
/// The mode of a program or script.
pub(super) const PROGRAM: u32 = 0o755;

/// A file to be packed.
#[derive(Clone)]
pub(super) struct Entry {
    /// Below the directory that is packed.
    pub(super) path: String,
    pub(super) bytes: Vec<u8>,
    pub(super) mode: u32,
}

impl Entry {
    pub(super) fn new(path: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), bytes: bytes.into(), mode: PLAIN }
    }

    pub(super) fn program(path: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { mode: PROGRAM, ..Self::new(path, bytes) }
    }

    /// The same file, compressed.
    pub(super) fn gzip(self) -> Result<Self> {
        Ok(Self { path: format!("{}.gz", self.path), bytes: gzip(&self.bytes)?, mode: self.mode })
    }

    /// The same file below `directory`.
    pub(super) fn below(mut self, directory: &str) -> Self {
        self.path = format!("{directory}/{}", self.path);
        self
    }
}

/// Writes the entries into `directory`, which must not exist.
///
/// # Errors
/// When a file cannot be written, or two have the same path.
pub(super) fn write(directory: &Path, entries: &[Entry]) -> Result<()> {
    for Entry { path, bytes, mode } in entries {
        let path = directory.join(path);
        let parent = path.parent().context("a file has a directory")?;
        fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
        let mut file =
            fs::File::create_new(&path).with_context(|| format!("making {}", path.display()))?;
        file.write_all(bytes).with_context(|| format!("writing {}", path.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(*mode))?;
    }
    finish(directory, SystemTime::UNIX_EPOCH + epoch()?)
}

/// Gives every directory its mode, whatever the umask is, and everything its time.
fn finish(path: &Path, time: SystemTime) -> Result<()> {
    if path.is_dir() {
        fs::set_permissions(path, fs::Permissions::from_mode(PROGRAM))?;
        for entry in fs::read_dir(path)? {
            finish(&entry?.path(), time)?;
        }
    }
    fs::File::open(path)
        .and_then(|file| file.set_modified(time))
        .with_context(|| format!("setting the time of {}", path.display()))
}

/// When the sources were made: `SOURCE_DATE_EPOCH`, else the last commit's time, else now.
///
/// # Errors
/// When the variable or the commit's time is no number of seconds.
pub(super) fn epoch() -> Result<Duration> {
    let of_the_commit = || {
        let mut git = Command::new("git");
        capture(git.current_dir(workspace()).args(["log", "-1", "--format=%ct"])).ok()
    };
    let Some(secs) = env::var("SOURCE_DATE_EPOCH").ok().or_else(of_the_commit) else {
        return Ok(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?);
    };
    let secs = secs.parse().with_context(|| format!("{secs:?} is no number of seconds"))?;
    Ok(Duration::from_secs(secs))
}

/// An empty directory at `path`, whatever was there.
///
/// # Errors
/// When what is there cannot be removed or the directory not be made.
pub(super) fn empty_directory(path: &Path) -> Result<PathBuf> {
    if path.exists() {
        fs::remove_dir_all(path).with_context(|| format!("removing {}", path.display()))?;
    }
    fs::create_dir_all(path).with_context(|| format!("making {}", path.display()))?;
    Ok(path.to_owned())
}

/// Compressed as Debian wants it: best, and without name and time.
fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut child = Command::new("gzip")
        .args(["--no-name", "--best", "--stdout"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting gzip")?;
    let mut stdin = child.stdin.take().context("gzip has a standard input")?;
    let input = bytes.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().context("reading from gzip")?;
    writer.join().expect("writing does not panic").context("writing to gzip")?;
    if !output.status.success() {
        bail!("gzip failed: {}", output.status);
    }
    Ok(output.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_get_their_modes_and_one_time() {
        let parent = tempfile::tempdir().expect("a temporary directory");
        let directory = parent.path().join("tree");
        let entries = [Entry::new("share/doc/a", "a"), Entry::program("bin/b", "b")];
        write(&directory, &entries).expect("written");
        let of = |path| {
            let metadata = fs::metadata(directory.join(path)).expect(path);
            (metadata.permissions().mode() & 0o7777, metadata.modified().expect("a time"))
        };
        let time = of("bin").1;
        assert_eq!(of("share/doc/a"), (PLAIN, time));
        assert_eq!(of("bin/b"), (PROGRAM, time));
        assert_eq!(of("share/doc"), (PROGRAM, time));
        assert!(write(&directory, &entries).is_err(), "two files at one path");
    }

    #[test]
    fn compression_is_reproducible() {
        let text = "text\n".repeat(100_000);
        let first = Entry::new("a", text.clone()).gzip().expect("compressed");
        let second = Entry::new("a", text).gzip().expect("compressed");
        assert_eq!(first.path, "a.gz");
        assert!(first.bytes == second.bytes && first.bytes.starts_with(b"\x1f\x8b"));
    }
}
