//! A guest's life: started, watched, and ended whatever happens.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

use super::{
    archive::Kernel,
    emulator::Emulator,
    plan::{OUTCOMES, Outcome, PLAN, Plan, outcomes},
};
use crate::process::workspace;

const MEMORY_MIB: u32 = 2048;
const CPUS: u32 = 2;
/// How long booting may take, on a machine that does much else.
const BOOT_LIMIT: Duration = Duration::from_mins(4);
const SOCKET_WITHIN: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(100);
const SOCKET: &str = "files.sock";
/// The kernel's limit, with the NUL.
const SOCKET_PATH_MAX: usize = 107;
/// What the guest's kernel says.
pub(super) const CONSOLE: &str = "console.log";

/// What kernels are told. Without the instructions for long copies ("rep movs", by their numbers
/// among the CPU's features), which an emulator does byte for byte, and without a fifth level of
/// page tables they run faster; their defences against speculation protect nobody here.
const KERNEL_OPTIONS: &str = "console=ttyS0 quiet loglevel=4 panic=-1 mitigations=off \
                              tsc=reliable no5lvl clearcpuid=112,297,580";

/// Boots the kernel, has it carry out the plan in the directory `share`, and returns what became of
/// each step; those that the guest never came to are missing. Each outcome is handed to `tell` as it
/// comes.
///
/// # Errors
/// When the guest cannot be started, or did nothing at all.
pub(super) fn run(
    emulator: &Emulator,
    kernel: &Kernel,
    initrd: &Path,
    plan: &Plan,
    share: &Path,
    mut tell: impl FnMut(&Outcome),
) -> Result<Vec<Outcome>> {
    fs::write(share.join(PLAN), serde_json::to_string(plan)?)
        .with_context(|| format!("writing in {}", share.display()))?;
    let files = Running::start(&mut virtiofsd(emulator, share)?, "virtiofsd")?;
    wait_for_socket(&share.join(SOCKET))?;
    let mut guest = Running::start(&mut qemu(emulator, kernel, initrd, share)?, "qemu")?;
    let steps: u64 = plan.steps.iter().map(|step| step.limit_secs).sum();
    let limit = BOOT_LIMIT + Duration::from_secs(steps);
    let started = Instant::now();
    let mut told = 0;
    loop {
        let has_ended = guest.has_ended()?;
        let text = fs::read_to_string(share.join(OUTCOMES)).unwrap_or_default();
        let outcomes = outcomes(&text);
        outcomes.iter().skip(told).for_each(&mut tell);
        told = outcomes.len();
        let is_stuck = started.elapsed() > if told == 0 { BOOT_LIMIT } else { limit };
        if has_ended || is_stuck {
            drop((guest, files));
            if told == 0 {
                let console = fs::read_to_string(share.join(CONSOLE)).unwrap_or_default();
                bail!("the guest did not come up; its console said:\n{}", last_lines(&console));
            }
            return Ok(outcomes);
        }
        thread::sleep(POLL);
    }
}

/// The end of a text.
pub(super) fn last_lines(text: &str) -> String {
    const LINES: usize = 60;
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

/// A directory for what machine and guest share, empty.
///
/// # Errors
/// When it cannot be made or emptied.
pub(super) fn empty_share(name: &str) -> Result<PathBuf> {
    let share = workspace().join("target/kernels/run").join(name);
    ensure!(
        share.join(SOCKET).as_os_str().len() <= SOCKET_PATH_MAX,
        "{} is too long a path for a socket in it",
        share.display()
    );
    if share.exists() {
        fs::remove_dir_all(&share).with_context(|| format!("removing {}", share.display()))?;
    }
    fs::create_dir_all(&share).with_context(|| format!("making {}", share.display()))?;
    Ok(share)
}

fn virtiofsd(emulator: &Emulator, share: &Path) -> Result<Command> {
    let mut command = emulator.virtiofsd();
    command.arg(format!("--socket-path={}", share.join(SOCKET).display())).args([
        "-o",
        "source=/",
        "-o",
        "cache=always",
        "-o",
        "xattr",
        "-o",
        "sandbox=chroot",
    ]);
    log_to(&mut command, &share.join("virtiofsd.log"))?;
    Ok(command)
}

fn qemu(emulator: &Emulator, kernel: &Kernel, initrd: &Path, share: &Path) -> Result<Command> {
    let program = std::env::current_exe().context("finding this program")?;
    let told =
        [("program", program.as_path()), ("share", share), ("modules", kernel.modules().as_path())]
            .map(|(name, path)| format!(" eigw.{name}={}", path.display()))
            .concat();
    ensure!(
        told.matches(' ').count() == 3,
        "a kernel's command line cannot name paths with spaces:{told}"
    );
    let mut command = emulator.qemu();
    command
        .args(["-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max", "-nodefaults"])
        .args(["-display", "none", "-no-reboot", "-nic", "none", "-monitor", "none"])
        .args(["-m", &format!("{MEMORY_MIB}"), "-smp", &format!("{CPUS}")])
        // The file system server works in the guest's memory.
        .arg("-object")
        .arg(format!("memory-backend-memfd,id=memory,size={MEMORY_MIB}M,share=on"))
        .args(["-numa", "node,memdev=memory"])
        .arg("-chardev")
        .arg(format!("socket,id=files,path={}", share.join(SOCKET).display()))
        .args(["-device", "vhost-user-fs-pci,chardev=files,tag=machine"])
        .args(["-device", "virtio-rng-pci"])
        .arg("-serial")
        .arg(format!("file:{}", share.join(CONSOLE).display()))
        .arg("-kernel")
        .arg(kernel.image()?)
        .arg("-initrd")
        .arg(initrd)
        .arg("-append")
        .arg(format!("{KERNEL_OPTIONS}{told}"));
    log_to(&mut command, &share.join("qemu.log"))?;
    Ok(command)
}

fn log_to(command: &mut Command, path: &Path) -> Result<()> {
    let log = File::create(path).with_context(|| format!("making {}", path.display()))?;
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    Ok(())
}

fn wait_for_socket(path: &Path) -> Result<()> {
    let deadline = Instant::now() + SOCKET_WITHIN;
    while !path.exists() {
        let log = path.with_file_name("virtiofsd.log");
        ensure!(
            Instant::now() < deadline,
            "virtiofsd did not start: {}",
            fs::read_to_string(log).unwrap_or_default()
        );
        thread::sleep(POLL);
    }
    Ok(())
}

/// A program that is killed when this value goes away.
struct Running(Child);

impl Running {
    fn start(command: &mut Command, name: &str) -> Result<Self> {
        command.spawn().map(Self).with_context(|| format!("starting {name}"))
    }

    fn has_ended(&mut self) -> Result<bool> {
        Ok(self.0.try_wait()?.is_some())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_ends_with_the_value_that_stands_for_it() {
        let mut command = Command::new("sleep");
        let mut running = Running::start(command.arg("600"), "sleep").expect("sleep starts");
        assert!(!running.has_ended().expect("it is our child"));
        let process = PathBuf::from(format!("/proc/{}", running.0.id()));
        assert!(process.exists());
        drop(running);
        assert!(!process.exists());
    }
}
