//! `cargo xtask kernels`: the programs and the tests on real kernels of distributions, in emulated
//! machines that need no hardware support.
//!
//! ```text
//! archive ──► initrd ──► machine (qemu, virtiofsd) ──► guest: runs the plan's steps
//! series      of each    boots it with this machine's       │
//! choose      kernel     files under a layer of memory       ▼
//! a kernel                            trial judges ◄── outcomes and logs ──► report
//! ```

mod archive;
mod emulator;
mod guest;
mod initrd;
mod machine;
mod plan;
mod report;
mod selection;
mod series;
mod trial;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};

use self::{
    archive::{Archive, Kernel},
    emulator::Emulator,
    plan::{BOOT, Outcome, log_name},
    report::Row,
    series::Series,
    trial::Binaries,
};
use crate::{host, process::workspace, setup};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only this kernel: 5.10, 6.1, 6.12, 6.18, newest, or oldest for the oldest that is supported;
    /// may be given several times.
    #[arg(long = "kernel", value_name = "SERIES")]
    kernels: Vec<String>,
    /// Only this step: loads, rows, hooks, e2e, or refusal on a kernel that is too old; may be given
    /// several times.
    #[arg(long = "step", value_name = "STEP", value_parser = selection::step)]
    steps: Vec<&'static str>,
    /// List the kernels that there are, and run nothing.
    #[arg(long)]
    list: bool,
    /// Where Debian's archives are.
    #[arg(long, value_name = "URL", default_value = "http://deb.debian.org")]
    mirror: String,
    /// Keep each guest's logs also when all is well, in target/kernels/run.
    #[arg(long)]
    keep: bool,
    /// The part that runs in the guest, with the directory that it shares with its machine.
    #[arg(long, hide = true)]
    inside_guest: Option<PathBuf>,
}

/// Runs the job. The exit code tells whether every kernel did what it should.
///
/// # Errors
/// When this is not root, or something cannot be built or downloaded.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    if let Some(share) = &args.inside_guest {
        guest::run(share)?;
        return Ok(ExitCode::SUCCESS);
    }
    let wanted = series::select(&args.kernels)?;
    archive::require_architecture()?;
    ensure!(
        host::is_root(),
        "guests see this machine's files, which takes root; their changes stay in their memory"
    );
    let _lock = lock()?;
    let emulator = {
        setup::ensure()?;
        Emulator::ensure().context("guests cannot be made")?
    };
    let archive = Archive::open(args.mirror.trim_end_matches('/'))?;
    if args.list {
        return list(&archive, &wanted);
    }
    println!("==> building what runs in the guests");
    let binaries = Binaries::build()?;
    let mut rows = Vec::new();
    for series in wanted {
        if selection::of(series.expectation, &args.steps).is_empty() {
            continue;
        }
        rows.push(attempt(&archive, &emulator, &binaries, series, args));
    }
    print!("\n{}", report::tables(&rows));
    let is_good = !rows.is_empty() && rows.iter().all(Row::is_good);
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn list(archive: &Archive, wanted: &[Series]) -> Result<ExitCode> {
    for series in wanted {
        let kernel = archive.newest(*series)?;
        let place = if archive::is_complete(&kernel) { "downloaded" } else { "to be downloaded" };
        println!("{:<7} {:<34} {place}", series.name, kernel.release);
    }
    Ok(ExitCode::SUCCESS)
}

/// Tries one kernel. Whatever goes wrong is the kernel's failure, and the next one has its turn.
fn attempt(
    archive: &Archive,
    emulator: &Emulator,
    binaries: &Binaries,
    series: Series,
    args: &Args,
) -> Row {
    let started = Instant::now();
    let mut row = Row {
        kernel: series.name.to_owned(),
        expectation: series.expectation,
        steps: BTreeMap::new(),
        seconds: 0.0,
        verified: BTreeMap::new(),
    };
    if let Err(error) = try_kernel(archive, emulator, binaries, series, args, &mut row) {
        eprintln!("error: Linux {}: {error:#}", row.kernel);
    }
    row.seconds = started.elapsed().as_secs_f32();
    row
}

fn try_kernel(
    archive: &Archive,
    emulator: &Emulator,
    binaries: &Binaries,
    series: Series,
    args: &Args,
    row: &mut Row,
) -> Result<()> {
    let kernel = archive.newest(series)?;
    row.kernel.clone_from(&kernel.version);
    archive.fetch(&kernel)?;
    let Kernel { release, .. } = &kernel;
    println!("==> Linux {release}");
    let initrd = initrd::write(&kernel, &emulator.busybox)?;
    let selections = selection::of(series.expectation, &args.steps);
    let plan = binaries.plan(&selections)?;
    let share = machine::empty_share(series.name)?;
    let outcomes = machine::run(emulator, &kernel, &initrd, &plan, &share, tell)?;
    for selection in selections {
        let outcome = outcomes.iter().find(|outcome| outcome.name == selection.name);
        let judgement = trial::judge(selection, outcome, &share);
        if let Err(reason) = &judgement {
            show_failure(selection.name, reason, &share);
        }
        row.steps.insert(selection.name, judgement);
    }
    row.verified = trial::verified(&share);
    if row.is_good() && !args.keep {
        fs::remove_dir_all(&share).with_context(|| format!("removing {}", share.display()))?;
    }
    Ok(())
}

/// Says how a step ended, while the next one runs.
fn tell(outcome: &Outcome) {
    let Outcome { name, code, seconds, note } = outcome;
    let how = match code {
        Some(0) if name == BOOT => "up",
        Some(0) => "ok",
        _ => "FAILED",
    };
    let note = if note.is_empty() { String::new() } else { format!(" ({note})") };
    println!("    {name:<8} {how:<6} {seconds:>6.1} s{note}");
}

/// Shows the end of a step's log, and of what the kernel said.
fn show_failure(step: &str, reason: &str, share: &Path) {
    eprintln!("error: {step}: {reason}");
    for name in [log_name(step), machine::CONSOLE.to_owned()] {
        let path = share.join(name);
        let text = fs::read_to_string(&path).unwrap_or_default();
        eprintln!("--- the end of {}:\n{}", path.display(), machine::last_lines(&text));
    }
}

/// Two runs at once would overwrite each other's files.
fn lock() -> Result<File> {
    let directory = workspace().join("target/kernels");
    fs::create_dir_all(&directory).with_context(|| format!("making {}", directory.display()))?;
    let path = directory.join("lock");
    let file = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
    if file.try_lock().is_err() {
        println!("waiting for another run of this job");
        file.lock().with_context(|| format!("locking {}", path.display()))?;
    }
    Ok(file)
}
