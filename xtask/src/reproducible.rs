//! `cargo xtask reproducible`: the same sources in two directories must give the same bytes.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    bpf_cargo::BpfToolchain,
    dist::binary::{self, Linkage},
    process::{capture, step, workspace},
    setup,
};

/// Directories below `target/reproducible`, of different lengths and depths.
const COPIES: [&str; 2] = ["one", "another/further/down"];
/// How long before now the second copy's files were written, as they say.
const AGE: Duration = Duration::from_hours(24 * 1000);
const BUILD_LIMIT: Duration = Duration::from_mins(30);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Also build the binary of `cargo xtask dist` twice, which takes minutes.
    #[arg(long)]
    binary: bool,
    /// With --binary: link to this machine's C library.
    #[arg(long, requires = "binary")]
    dynamic: bool,
}

/// Runs the job.
///
/// # Errors
/// When setup or a build fails, or the builds differ.
pub(crate) fn run(args: &Args) -> Result<()> {
    let toolchain = setup::ensure()?;
    let directory = workspace().join("target/reproducible");
    let copies = COPIES.map(|name| directory.join(name));
    if directory.exists() {
        fs::remove_dir_all(&directory).context("removing the copies of an earlier run")?;
    }
    for (copy, age) in copies.iter().zip([Duration::ZERO, AGE]) {
        copy_sources(copy, SystemTime::now() - age)?;
    }
    compare("eBPF object", &copies, |copy| object(&toolchain, copy))?;
    if args.binary {
        let linkage = Linkage::choose(args.dynamic);
        compare("binary", &copies, |copy| binary::build_in(copy, &copy.join("target"), linkage))?;
    }
    // They are large, and of use only when something differs.
    fs::remove_dir_all(&directory).context("removing the copies")
}

/// Builds in every copy and compares the checksums.
fn compare(what: &str, copies: &[PathBuf], build: impl Fn(&Path) -> Result<PathBuf>) -> Result<()> {
    let mut sums = Vec::new();
    for copy in copies {
        let path = build(copy)?;
        let line = capture(Command::new("sha256sum").arg("--").arg(&path))?;
        println!("    {line}");
        sums.push(line.split_whitespace().next().map(str::to_owned));
    }
    ensure!(sums.windows(2).all(|pair| pair[0] == pair[1]), "builds of the {what} differ");
    println!("the {what} is reproducible");
    Ok(())
}

fn object(toolchain: &BpfToolchain, copy: &Path) -> Result<PathBuf> {
    let mut command = toolchain.cargo("build", copy, env::consts::ARCH);
    command.args(["--locked", "--package", "gateway-ebpf"]).current_dir(copy);
    step(&format!("building the eBPF object in {}", copy.display()), command, Some(BUILD_LIMIT))?;
    Ok(BpfToolchain::binary_path(copy, "gateway"))
}

/// Copies what belongs to the repository, as it is now, and the choice of the toolchain.
fn copy_sources(to: &Path, time: SystemTime) -> Result<()> {
    let mut git = Command::new("git");
    git.current_dir(workspace()).args(["ls-files", "--cached", "--others", "--exclude-standard"]);
    let listed = capture(&mut git)?;
    let record = BpfToolchain::record_path(Path::new(""));
    let record = record.to_str().context("a path that is text")?;
    for name in listed.lines().chain([record]) {
        let (from, to) = (workspace().join(name), to.join(name));
        if !from.is_file() {
            continue;
        }
        let parent = to.parent().context("a file has a directory")?;
        fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
        fs::copy(&from, &to).with_context(|| format!("copying {name}"))?;
        fs::File::open(&to)?.set_modified(time).with_context(|| format!("dating {name}"))?;
    }
    if !to.join("Cargo.toml").is_file() {
        bail!("git lists no sources in {}", workspace().display());
    }
    Ok(())
}
