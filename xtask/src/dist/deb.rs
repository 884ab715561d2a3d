//! The Debian package, packed by dpkg itself.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};

use super::{
    payload,
    tree::{self, Entry},
};
use crate::process::capture;

/// Where Debian's zsh looks for completions of packages.
const ZSH: &str = "share/zsh/vendor-completions";
const DOCUMENTS: &str = "usr/share/doc/eigw";
const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];
/// The files that dpkg keeps as the administrator has them.
const CONFFILES: &str = "etc/eigw/example.toml";

/// Makes the package of the binary in `directory`, and returns where it is.
///
/// # Errors
/// When a part is missing or a tool fails.
pub(super) fn make(directory: &Path, binary: &Path, version: &str) -> Result<PathBuf> {
    let architecture = match env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => bail!("no name of Debian's for {other}"),
    };
    let files = files(binary, version)?;
    let staging = tempfile::tempdir().context("making a directory for the package")?;
    let root = staging.path().join("eigw");
    let sizes = files.iter().map(|file| file.bytes.len().div_ceil(1024));
    let control = String::from_utf8(payload::read("dist/debian/control")?)?
        .replace("@VERSION@", version)
        .replace("@ARCHITECTURE@", architecture)
        .replace("@INSTALLED_SIZE@", &sizes.sum::<usize>().to_string());
    let control = match dependencies(binary)? {
        Some(dependencies) => control.replace("@DEPENDS@", &dependencies),
        None => control.replace("Depends: @DEPENDS@\n", ""),
    };
    let mut entries = vec![
        Entry::new("DEBIAN/control", control),
        Entry::new("DEBIAN/conffiles", format!("/{CONFFILES}\n")),
        Entry::new("DEBIAN/md5sums", checksums(&files)?),
    ];
    for script in SCRIPTS {
        let bytes = payload::read(&format!("dist/debian/{script}"))?;
        entries.push(Entry::program(format!("DEBIAN/{script}"), bytes));
    }
    entries.extend(files);
    tree::write(&root, &entries)?;

    let package = directory.join(format!("eigw_{version}_{architecture}.deb"));
    let mut command = Command::new("dpkg-deb");
    // Other releases of dpkg have other defaults than xz, which all can read.
    command.args(["--build", "--root-owner-group", "-Zxz", "--threads-max=1"]);
    command.arg(&root).arg(&package);
    capture(command.env("SOURCE_DATE_EPOCH", tree::epoch()?.as_secs().to_string()))?;
    Ok(package)
}

/// The Debian version of the release `version`; a candidate comes before what it is for.
pub(super) fn debian_version(version: &str, revision: u32) -> String {
    format!("{}-{revision}", version.replace('-', "~"))
}

/// What is installed, by its path below the root.
fn files(binary: &Path, version: &str) -> Result<Vec<Entry>> {
    let mut files: Vec<Entry> =
        payload::files(binary, ZSH)?.into_iter().map(|entry| entry.below("usr")).collect();
    files.push(Entry::new(CONFFILES, payload::read("dist/example.toml")?));
    for mut document in payload::documents(binary)? {
        if document.path == "CHANGELOG.md" {
            "changelog".clone_into(&mut document.path);
        }
        let is_short = document.path == "README.md";
        let document = if is_short { document } else { document.gzip()? };
        files.push(document.below(DOCUMENTS));
    }
    let changelog = Entry::new("changelog.Debian", changelog(version)?).gzip()?;
    files.push(changelog.below(DOCUMENTS));
    let copyright = payload::read("dist/debian/copyright")?;
    files.push(Entry::new("copyright", copyright).below(DOCUMENTS));
    let overrides = payload::read("dist/debian/lintian-overrides")?;
    files.push(Entry::new("usr/share/lintian/overrides/eigw", overrides));
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn changelog(version: &str) -> Result<String> {
    let date = capture(Command::new("date").args([
        "--utc",
        "--rfc-email",
        &format!("--date=@{}", tree::epoch()?.as_secs()),
    ]))?;
    Ok(format!(
        "eigw ({version}) unstable; urgency=medium\n\n  * A release of the authors; see \
         changelog.gz.\n\n -- The eigw authors <eigw@users.noreply.github.com>  {date}\n"
    ))
}

/// What `dpkg --verify` compares installed files with; configuration files are compared elsewhere.
fn checksums(files: &[Entry]) -> Result<String> {
    let directory = tempfile::tempdir().context("making a directory for checksums")?;
    let root = directory.path().join("files");
    tree::write(&root, files)?;
    let paths = files.iter().map(|file| &file.path).filter(|path| *path != CONFFILES);
    let sums = capture(Command::new("md5sum").arg("--").args(paths).current_dir(&root))?;
    Ok(sums + "\n")
}

/// The packages with the libraries that the binary loads; none for a static one.
fn dependencies(binary: &Path) -> Result<Option<String>> {
    let directory = tempfile::tempdir().context("making a directory for dpkg-shlibdeps")?;
    // It wants to see what it finds in every source package.
    fs::create_dir(directory.path().join("debian"))?;
    let control = "Source: eigw\n\nPackage: eigw\nArchitecture: any\n";
    fs::write(directory.path().join("debian/control"), control)?;
    let mut command = Command::new("dpkg-shlibdeps");
    command.arg("-O").arg("-e").arg(binary).current_dir(directory.path());
    let printed = capture(&mut command)?;
    let list = printed.strip_prefix("shlibs:Depends=");
    ensure!(list.is_some() || printed.is_empty(), "dpkg-shlibdeps printed {printed:?}");
    Ok(list.map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::{super::tree::PROGRAM, *};

    #[test]
    fn a_candidate_is_older_than_its_release() {
        assert_eq!(debian_version("1.2.3", 1), "1.2.3-1");
        assert_eq!(debian_version("1.2.3-rc.1", 1), "1.2.3~rc.1-1");
    }

    #[test]
    fn scripts_are_programs_that_a_shell_understands() {
        for script in SCRIPTS {
            let bytes = payload::read(&format!("dist/debian/{script}")).expect("the script");
            let entry = Entry::program(script, bytes);
            assert_eq!(entry.mode, PROGRAM);
            let directory = tempfile::tempdir().expect("a temporary directory");
            let root = directory.path().join("scripts");
            tree::write(&root, &[entry]).expect("written");
            capture(Command::new("sh").arg("-n").arg(root.join(script))).expect("valid syntax");
        }
    }

    #[test]
    fn only_what_loads_libraries_depends_on_packages() {
        let this = env::current_exe().expect("this program");
        let dependencies = dependencies(&this).expect("dpkg-shlibdeps works");
        let dependencies = dependencies.expect("the test is linked dynamically");
        assert!(dependencies.contains("libc6 (>= "), "{dependencies}");
    }
}
