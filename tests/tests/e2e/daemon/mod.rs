//! `eigw run`: what a service manager and an operator meet while it lives, and what it leaves.

mod accounts;
mod flow_log;
mod log;
mod metrics;
mod rejects;
mod serving;
mod sweeping;
mod uplinks;
mod watchdog;

use std::{
    fs::{self, File},
    io, iter,
    os::unix::net::UnixDatagram,
    process::{Child, ExitStatus},
};

use gateway_common::tuple::Family;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;
use tests::{
    eigw::NAME,
    icmp,
    topology::{INSIDE, Lab, UPLINK},
    wait::{self, PATIENCE},
};

fn expect_protected(lab: &Lab) {
    lab.expect_drops("ping-refused", 1, || {
        icmp::ping(&lab.outside, INSIDE.ip(Family::Ipv6)).expect_err("the uplink is protected");
    });
}

/// Where a daemon finds its configuration and its service manager.
pub(crate) struct Home {
    directory: TempDir,
    file: String,
    manager: UnixDatagram,
}

impl Home {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("temporary directory");
        let manager = UnixDatagram::bind(directory.path().join("notify")).expect("a socket");
        manager.set_read_timeout(Some(PATIENCE)).expect("patience is not zero");
        let file = directory.path().join("wan.toml").to_str().expect("a plain path").to_owned();
        Self { directory, file, manager }
    }

    pub(crate) fn file(&self) -> &str {
        &self.file
    }

    /// Writes a file for the lab's uplink that ends with `text`, in its fourth line and after.
    pub(crate) fn configure(&self, text: &str) {
        let head = format!("[gateway]\nname = \"{NAME}\"\nuplinks = [\"{UPLINK}\"]\n");
        fs::write(&self.file, head + text).expect("write the configuration");
    }
}

/// A running `eigw run`, which dies with this value.
pub(crate) struct Daemon<'a> {
    child: Child,
    home: &'a Home,
}

impl<'a> Daemon<'a> {
    pub(crate) fn start(lab: &Lab, home: &'a Home, arguments: &[&str]) -> Self {
        Self::start_with(lab, home, arguments, &[])
    }

    /// Starts it with further variables in its environment.
    fn start_with(
        lab: &Lab,
        home: &'a Home,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let mut command = lab.eigw_command(&[&["run"], arguments].concat());
        let create = |name| File::create(home.directory.path().join(name)).expect("create a file");
        command.stdout(create("stdout")).stderr(create("stderr"));
        command.envs(variables.iter().copied());
        command.env("NOTIFY_SOCKET", home.directory.path().join("notify"));
        Self { child: command.spawn().expect("eigw starts"), home }
    }

    /// The next message to the service manager that is more than a status or a sign of life.
    #[track_caller]
    fn notification(&self) -> String {
        let is_more = |message: &str| {
            message.lines().any(|line| !line.starts_with("STATUS=") && line != "WATCHDOG=1")
        };
        iter::repeat_with(|| self.message()).find(|it| is_more(it)).expect("it repeats")
    }

    /// The next message to the service manager.
    #[track_caller]
    fn message(&self) -> String {
        let mut message = [0; 4096];
        let received: io::Result<usize> = self.home.manager.recv(&mut message);
        let len = received.unwrap_or_else(|error| {
            panic!("waiting for the daemon: {error}; it said: {}", self.stderr())
        });
        String::from_utf8(message[..len].to_vec()).expect("notifications are text")
    }

    /// Waits until the daemon is ready, and checks that it says for what.
    #[track_caller]
    pub(crate) fn expect_ready(&self) {
        let message = self.notification();
        assert!(message.starts_with("READY=1\n"), "{message}");
        let status = format!("STATUS=gateway {NAME} protects {UPLINK}");
        assert!(message.contains(&status), "{message}");
    }

    /// Has the daemon reload, waits until that is over, and returns when it began, in
    /// microseconds of the monotonic clock.
    #[track_caller]
    fn reload(&self) -> u64 {
        self.send(Signal::SIGHUP);
        let message = self.notification();
        assert!(message.starts_with("RELOADING=1\n"), "{message}");
        let usec = message.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC="));
        self.expect_ready();
        usec.and_then(|usec| usec.parse().ok()).unwrap_or_else(|| panic!("no time in {message}"))
    }

    /// Sends a signal that ends the daemon, and waits for its end. The service manager hears of
    /// it unless the daemon cannot know.
    #[track_caller]
    pub(crate) fn end(&mut self, signal: Signal) -> ExitStatus {
        self.send(signal);
        if signal != Signal::SIGKILL {
            self.expect_stopping();
        }
        self.status()
    }

    /// Waits until the daemon says that it is about to end.
    #[track_caller]
    pub(crate) fn expect_stopping(&self) {
        let message = self.notification();
        assert!(message.starts_with("STOPPING=1\n"), "{message}");
    }

    /// How the daemon ended, which it does by itself.
    #[track_caller]
    pub(crate) fn status(&mut self) -> ExitStatus {
        wait::until("the daemon to end", || self.child.try_wait().expect("it is our child"))
    }

    /// Waits until the service manager is shown a status with this in it.
    #[track_caller]
    fn expect_status(&self, part: &str) {
        let mut shown = iter::repeat_with(|| self.message());
        let is_it = |message: &String| {
            message.lines().any(|line| line.starts_with("STATUS=") && line.contains(part))
        };
        shown.find(is_it).expect("it repeats");
    }

    fn send(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("process ids are small");
        kill(Pid::from_raw(pid), signal).expect("it is our child");
    }

    fn stdout(&self) -> String {
        fs::read_to_string(self.home.directory.path().join("stdout")).expect("text")
    }

    fn stderr(&self) -> String {
        fs::read_to_string(self.home.directory.path().join("stderr")).expect("text")
    }

    #[track_caller]
    fn expect_stderr(&self, part: &str) {
        wait::until_true(&format!("'{part}' on standard error: {}", self.stderr()), || {
            self.stderr().contains(part)
        });
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        // It may have ended; then there is nothing to do.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
