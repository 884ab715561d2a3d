//! What an administrator does with the unit, under a systemd that runs in the clean root.

use std::{
    fs,
    io::Read as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

use super::{NEWER_PACKAGE, PACKAGE, root::Root, scenario};
use crate::process::capture;

const BOOT_LIMIT: Duration = Duration::from_mins(1);
pub(super) const POLL: Duration = Duration::from_millis(100);

/// A control group of its own keeps systemd's groups out of the machine's. The shell that enters it
/// becomes systemd, in namespaces where that is the first process.
const BOOT: &str = r#"
set -e
group=$1 root=$2
echo 0 > "$group/cgroup.procs"
exec unshare --cgroup --pid --uts --ipc --fork --kill-child sh -e -c '
    mount -t cgroup2 cgroup2 "$1/sys/fs/cgroup"
    mount -t proc proc "$1/proc"
    exec env container=check chroot "$1" /lib/systemd/systemd --log-target=null --unit=basic.target
' sh "$root"
"#;

/// Goes through everything, in order.
///
/// # Errors
/// With what was not as it should be.
pub(super) fn run(root: &Root) -> Result<()> {
    let systemd = Systemd::boot(root)?;
    let root = &root.entered(systemd.init);
    scenario::make_uplink(root)?;
    root.run(&format!("dpkg --install /opt/{PACKAGE}"))?;
    scenario::write_config(root)?;
    root.run("systemctl enable --now eigw@wan")?;
    scenario::open_flow(root)?;
    println!("    under systemd the unit runs");

    root.run("systemctl reload eigw@wan")?;
    await_status(root, "generation 2")?;
    root.bash("echo 'nonsense = 1' >> /etc/eigw/wan.toml")?;
    ensure!(root.run("systemctl reload eigw@wan").is_err(), "a wrong file was taken");
    root.bash("sed -i '/nonsense/d' /etc/eigw/wan.toml")?;
    println!("    it reloads, and refuses a wrong file");

    let before = property(root, "MainPID")?;
    root.run(&format!("dpkg --install /opt/{NEWER_PACKAGE}"))?;
    let after = property(root, "MainPID")?;
    ensure!(before != after && after != "0", "process {before} became process {after}");
    scenario::expect_gateway(root)?;
    println!("    an upgrade restarts it and keeps the flow");

    root.run("dpkg --remove eigw")?;
    scenario::expect(&property(root, "ActiveState")?, "inactive", "the daemon")?;
    scenario::expect_detached(root)?;
    root.run("dpkg --purge eigw")?;
    let enabled =
        root.bash("find /etc/systemd -name 'eigw*'; find /var/log/eigw /run/eigw 2>&1 || true")?;
    ensure!(enabled.lines().all(|line| line.contains("No such file")), "left behind: {enabled}");
    println!("    removing stops and detaches it, purging disables it");
    Ok(())
}

/// A systemd that ends with this value, with all that it started.
struct Systemd {
    shell: Child,
    /// The process that its namespaces see as the first.
    init: u32,
    group: PathBuf,
}

impl Systemd {
    /// Starts it and waits until it takes orders.
    fn boot(root: &Root) -> Result<Self> {
        root.mount("tmpfs", "/run")?;
        root.mount("cgroup2", "/mnt")?;
        let ours = fs::read_to_string("/proc/self/cgroup").context("reading our control group")?;
        let ours = ours.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
        let group = tempfile::Builder::new()
            .prefix("eigw-check-")
            .tempdir_in(root.path("/mnt").join(ours))
            .context("making a control group")?
            .keep();
        let shell = Command::new("sh")
            .args(["-c", BOOT, "sh"])
            .args([&group, &root.path("/")])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("starting systemd")?;
        let mut systemd = Self { shell, init: 0, group };
        systemd.wait(root)?;
        Ok(systemd)
    }

    fn wait(&mut self, root: &Root) -> Result<()> {
        let started = Instant::now();
        let shell = self.shell.id();
        while started.elapsed() < BOOT_LIMIT {
            if let Some(status) = self.shell.try_wait()? {
                let mut said = String::new();
                self.shell.stderr.take().context("a pipe")?.read_to_string(&mut said)?;
                bail!("systemd ended: {status}: {said}");
            }
            let children = format!("/proc/{shell}/task/{shell}/children");
            let children = fs::read_to_string(children).unwrap_or_default();
            if let Some(init) = children.split_whitespace().next() {
                self.init = init.parse().context("a process id")?;
                if root.entered(self.init).run("systemctl is-active basic.target").is_ok() {
                    return Ok(());
                }
            }
            thread::sleep(POLL);
        }
        bail!("systemd was not ready after {} s", BOOT_LIMIT.as_secs())
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        // With the first process all others in its namespace end, and then the shell. A failure
        // leaves an empty control group at worst.
        let init = self.init.to_string();
        let killed = self.init != 0 && capture(Command::new("kill").args(["-KILL", &init])).is_ok();
        if killed || self.shell.kill().is_ok() {
            let _ = self.shell.wait();
        }
        let mut remove = Command::new("find");
        remove.arg(&self.group).args(["-depth", "-type", "d", "-exec", "rmdir", "{}", "+"]);
        if let Err(error) = capture(&mut remove) {
            println!("    systemd's control groups remain: {error:#}");
        }
    }
}

fn property(root: &Root, name: &str) -> Result<String> {
    root.run(&format!("systemctl show eigw@wan --value --property {name}"))
}

/// Waits until the daemon has told systemd `part` of a status.
fn await_status(root: &Root, part: &str) -> Result<()> {
    let started = Instant::now();
    loop {
        let status = property(root, "StatusText")?;
        if status.contains(part) {
            return Ok(());
        }
        ensure!(started.elapsed() < BOOT_LIMIT, "the daemon's status is {status:?}, not {part:?}");
        thread::sleep(POLL);
    }
}
