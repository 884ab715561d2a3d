//! Ctrl-C and termination take everything along that this process made.

use std::{
    env, fs,
    path::Path,
    process,
    sync::{Mutex, PoisonError},
    thread,
};

use anyhow::{Context as _, Result};
use nix::sys::signal::{SigSet, Signal};

use crate::{bpffs, netns, unique};

/// Settings of the machine that this process changed, each with what it was before.
static SETTINGS: Mutex<Vec<(&str, String)>> = Mutex::new(Vec::new());

/// Has a setting of the machine, a file, put back when a signal ends this process.
pub fn restore_when_interrupted(path: &'static str, value: &str) {
    let mut settings = SETTINGS.lock().unwrap_or_else(PoisonError::into_inner);
    settings.push((path, value.to_owned()));
}

/// Removes this process's namespaces and BPF file systems, and puts settings back, when a signal ends it. The signals are
/// blocked everywhere and awaited by one thread, so cleaning up runs in no signal handler.
///
/// # Errors
/// If the signals cannot be blocked.
pub fn clean_up_when_interrupted() -> Result<()> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGTERM);
    signals.thread_block().context("blocking signals")?;
    thread::spawn(move || {
        let signal = signals.wait();
        for name in ours(Path::new("/run/netns")) {
            netns::remove(&name);
        }
        for name in ours(&env::temp_dir()) {
            bpffs::remove(&env::temp_dir().join(name));
        }
        for (path, value) in SETTINGS.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            _ = fs::write(path, value);
        }
        eprintln!("\nerror: interrupted");
        process::exit(128 + signal.map_or(0, |signal| signal as i32));
    });
    Ok(())
}

/// The names in `directory` that carry this process's id.
fn ours(directory: &Path) -> Vec<String> {
    let stem = format!("{}{}-", unique::PREFIX, process::id());
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with(&stem))
        .collect()
}
