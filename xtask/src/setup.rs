//! `cargo xtask setup`: the toolchain for the BPF programs, and the tools that tests use.

use std::fs::{self, File};

use anyhow::{Context as _, Result, bail};

use crate::{
    apt::Apt,
    bpf_cargo::BpfToolchain,
    host,
    process::workspace,
    record::{self, Overrides},
    select, toolchains, tools,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Install nothing; fail when something is missing.
    #[arg(long)]
    check: bool,
}

/// Runs the job: everything is made ready, then the machine is described.
///
/// # Errors
/// When there is no way to build the BPF programs, or test tools cannot be installed.
pub(crate) fn run(args: &Args) -> Result<()> {
    let outcome = prepare(args.check);
    host::report();
    outcome.map(|_| ())
}

/// Makes everything ready, for the jobs that need it; prints one line when it is already.
///
/// # Errors
/// As for [`run`].
pub(crate) fn ensure() -> Result<BpfToolchain> {
    prepare(false)
}

fn prepare(check_only: bool) -> Result<BpfToolchain> {
    let _lock = lock()?;
    let mut apt = Apt::new(check_only);
    let overrides = Overrides::from_environment();
    let toolchain = match record::still_valid(&overrides) {
        Some(toolchain) => toolchain,
        None => choose(&overrides, &mut apt, check_only)?,
    };
    let BpfToolchain { toolchain: name, rustc_version, linker, linker_version, .. } = &toolchain;
    let core = if toolchain.build_std { "compiles core" } else { "prebuilt core" };
    println!(
        "eBPF toolchain: {name} ({rustc_version}, {core}), {linker_version} at {}",
        linker.display()
    );
    tools::ensure(&mut apt).context("test tools are missing")?;
    Ok(toolchain)
}

fn choose(overrides: &Overrides, apt: &mut Apt, check_only: bool) -> Result<BpfToolchain> {
    let mut machine =
        toolchains::ThisMachine { apt, check_only, force_build_std: overrides.build_std };
    let candidates = select::candidates(overrides.toolchain.as_deref());
    match select::choose(&mut machine, &candidates) {
        Ok((compiler, linker)) => {
            let toolchain = toolchains::toolchain(&compiler, &linker)?;
            record::write(&toolchain)?;
            Ok(toolchain)
        }
        Err(reasons) => bail!("no toolchain can build BPF programs:\n- {}", reasons.join("\n- ")),
    }
}

/// Two setups at once would fight over apt, rustup and the record.
fn lock() -> Result<File> {
    let directory = workspace().join("target");
    fs::create_dir_all(&directory).with_context(|| format!("creating {}", directory.display()))?;
    let path = directory.join("xtask-setup.lock");
    let file = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
    if file.try_lock().is_err() {
        println!("waiting for another setup of this workspace");
        file.lock().with_context(|| format!("locking {}", path.display()))?;
    }
    Ok(file)
}
