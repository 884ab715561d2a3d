//! Network namespaces that go away with the value that stands for them.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    panic,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::Once,
    thread::{self, JoinHandle},
};

use nix::{
    fcntl::{Flock, FlockArg},
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, setns, unshare},
    unistd::geteuid,
};

use crate::unique;

/// Where named namespaces live, so that `ip netns exec` finds them too.
const DIRECTORY: &str = "/run/netns";

/// A named network namespace; removed when dropped.
#[derive(Debug)]
pub struct Netns {
    name: String,
    handle: File,
    kept: bool,
}

impl Netns {
    /// A new namespace of this name with nothing in it but its loopback interface, which is up.
    ///
    /// # Panics
    /// Without root, or if the name is taken.
    #[must_use]
    pub fn new(name: &str) -> Self {
        require_root();
        sweep();
        prepare_directory().unwrap_or_else(|error| panic!("prepare {DIRECTORY}: {error}"));
        let path = path(name);
        File::create_new(&path)
            .unwrap_or_else(|error| panic!("create {}: {error}", path.display()));
        if let Err(error) = populate(&path) {
            _ = fs::remove_file(&path);
            panic!("create network namespace {name}: {error}");
        }
        let handle = File::open(&path).expect("the namespace was just mounted there");
        let netns = Self { name: name.to_owned(), handle, kept: false };
        netns.ip("link set lo up");
        netns
    }

    /// A namespace that exists already and stays when this value goes away.
    ///
    /// # Errors
    /// If there is none of this name.
    pub fn open(name: &str) -> io::Result<Self> {
        let handle = File::open(path(name))?;
        Ok(Self { name: name.to_owned(), handle, kept: true })
    }

    /// The name under `/run/netns`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Leaves the namespace in place when this value goes away.
    pub fn keep(&mut self) {
        self.kept = true;
    }

    /// Runs `body` on a thread inside the namespace. Sockets that it opens and processes that it
    /// starts stay there.
    ///
    /// # Panics
    /// If `body` does, or if the namespace cannot be entered.
    pub fn run<T: Send>(&self, body: impl FnOnce() -> T + Send) -> T {
        let inside = || {
            enter(&self.handle, &self.name);
            body()
        };
        thread::scope(|scope| scope.spawn(inside).join())
            .unwrap_or_else(|panic| panic::resume_unwind(panic))
    }

    /// Starts a thread that lives inside the namespace.
    ///
    /// # Panics
    /// If the namespace's handle cannot be duplicated.
    pub fn spawn<T: Send + 'static>(
        &self,
        body: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let handle = self.handle.try_clone().expect("duplicate the namespace's handle");
        let name = self.name.clone();
        thread::spawn(move || {
            enter(&handle, &name);
            body()
        })
    }

    /// Runs a program inside the namespace to its end.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn output(&self, command: &mut Command) -> io::Result<Output> {
        self.run(|| command.output())
    }

    /// Starts a program inside the namespace; it is killed when the returned value goes away.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(&self, command: &mut Command) -> io::Result<Process> {
        self.run(|| command.spawn()).map(Process)
    }

    /// Runs commands of the `ip` tool, one a line, inside the namespace.
    ///
    /// # Panics
    /// If one fails.
    pub fn ip(&self, lines: &str) {
        let mut command = Command::new("ip");
        command.args(["-batch", "-"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self
            .run(|| command.spawn())
            .unwrap_or_else(|error| panic!("start ip (iproute2): {error}"));
        let mut stdin = child.stdin.take().expect("stdin is piped");
        stdin.write_all(lines.as_bytes()).expect("ip reads its batch");
        drop(stdin);
        let output = child.wait_with_output().expect("ip ends");
        assert!(
            output.status.success(),
            "ip in {} failed:\n{}\nof\n{lines}",
            self.name,
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// What a command of the `ip` tool prints inside the namespace.
    ///
    /// # Panics
    /// If it fails.
    #[must_use]
    pub fn ip_output(&self, arguments: &str) -> String {
        let mut command = Command::new("ip");
        command.args(arguments.split_whitespace());
        let output = self
            .output(&mut command)
            .unwrap_or_else(|error| panic!("start ip (iproute2): {error}"));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "ip {arguments} in {} failed:\n{stderr}", self.name);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Sets kernel parameters of the namespace, given as `net/…` paths under `/proc/sys`.
    ///
    /// # Panics
    /// If one does not exist or takes no such value.
    pub fn sysctl(&self, settings: &[(&str, &str)]) {
        self.run(|| {
            for (key, value) in settings {
                fs::write(Path::new("/proc/sys").join(key), value)
                    .unwrap_or_else(|error| panic!("set {key} to {value}: {error}"));
            }
        });
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        if !self.kept {
            remove(&self.name);
        }
    }
}

/// A program that runs until this value goes away.
#[derive(Debug)]
pub struct Process(pub Child);

impl Process {
    /// Lets the program live on after this value.
    pub fn release(self) {
        // The child is not waited for: when this process ends, init takes over.
        std::mem::forget(self);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// Removes a namespace by name, whoever made it. Says nothing when there is none.
pub fn remove(name: &str) {
    let path = path(name);
    _ = umount2(&path, MntFlags::MNT_DETACH);
    _ = fs::remove_file(&path);
}

/// Whether a namespace of this name exists.
#[must_use]
pub fn exists(name: &str) -> bool {
    path(name).exists()
}

/// Where the namespace of this name is mounted.
#[must_use]
pub fn path(name: &str) -> PathBuf {
    Path::new(DIRECTORY).join(name)
}

/// Refuses to go on without root.
///
/// # Panics
/// Without root.
pub fn require_root() {
    assert!(
        geteuid().is_root(),
        "network namespaces and BPF need root: run this as root, or with sudo"
    );
}

/// Removes, once per process, what killed processes left behind.
fn sweep() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for name in unique::orphans(Path::new(DIRECTORY)) {
            remove(&name);
        }
    });
}

/// Makes the directory a shared mount point, once per machine, as the `ip` tool does. If this
/// were left to `ip`, its mount would cover our namespaces, which then could not be removed.
fn prepare_directory() -> io::Result<()> {
    fs::create_dir_all(DIRECTORY)?;
    // The lock is `ip`'s, too.
    let _lock =
        Flock::lock(File::open(DIRECTORY)?, FlockArg::LockExclusive).map_err(|(_, error)| error)?;
    let none = None::<&str>;
    let share = || mount(none, DIRECTORY, none, MsFlags::MS_SHARED | MsFlags::MS_REC, none);
    if share().is_err() {
        // Only mount points can be shared, so it becomes one.
        mount(Some(DIRECTORY), DIRECTORY, none, MsFlags::MS_BIND | MsFlags::MS_REC, none)?;
        share()?;
    }
    Ok(())
}

/// Makes a namespace and mounts it on `path`. A thread of its own does it, because only the
/// calling thread changes over.
fn populate(path: &Path) -> nix::Result<()> {
    let make = || {
        unshare(CloneFlags::CLONE_NEWNET)?;
        let none = None::<&str>;
        mount(Some("/proc/thread-self/ns/net"), path, none, MsFlags::MS_BIND, none)
    };
    thread::scope(|scope| scope.spawn(make).join()).expect("the thread only makes system calls")
}

fn enter(handle: &File, name: &str) {
    setns(handle, CloneFlags::CLONE_NEWNET)
        .unwrap_or_else(|error| panic!("enter network namespace {name}: {error}"));
}
