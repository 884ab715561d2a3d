//! The lab that `--keep` leaves.

use std::{
    env, fs,
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
};

use anyhow::{Context as _, Result};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tests::{
    address::{Dual, FAMILIES},
    bpffs, eigw,
    netns::{self, Netns},
    socket::{self, Server},
    topology::{self, INSIDE, Lab, OUTSIDE},
    wait::{self, PATIENCE},
};

use crate::{ECHO, WEB};

/// What the kept lab's namespaces are called. No process id: it must outlive its maker.
pub(crate) const STEM: &str = "eigw-demo";

/// What inside's web server shows.
pub(crate) const INSIDE_PAGE: &str = "inside's private page";
/// What outside's web server shows.
pub(crate) const OUTSIDE_PAGE: &str = "hello from the internet";

/// The hidden command that serves in a kept lab.
const SERVE: &str = "serve";

/// Where the kept lab's BPF file system is mounted.
pub(crate) fn bpffs_path() -> PathBuf {
    PathBuf::from(format!("/run/{STEM}-bpf"))
}

/// A lab that outlives this process.
pub(crate) struct Kept;

impl Kept {
    /// Replaces the servers by processes that stay, and tells how to play with them.
    pub(crate) fn hand_over(mut lab: Lab) -> Result<()> {
        let this = env::current_exe().context("finding this program")?;
        for host in [&lab.inside, &lab.outside] {
            let mut command = Command::new(&this);
            command.args([SERVE, host.name()]).process_group(0);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            host.start(&mut command).context("starting the lab's servers")?.release();
        }
        for family in FAMILIES {
            wait::until_true("the lab's servers", || {
                socket::http_get(&lab.inside, OUTSIDE.port(family, WEB), PATIENCE).is_ok()
            });
        }
        lab.keep();
        explain(&lab);
        Ok(())
    }
}

/// Serves on the host of this namespace until somebody kills the process.
pub(crate) fn serve(namespace: &str) -> Result<()> {
    let host = Netns::open(namespace).with_context(|| format!("opening {namespace}"))?;
    let (at, page) =
        if namespace.ends_with("inside") { (INSIDE, INSIDE_PAGE) } else { (OUTSIDE, OUTSIDE_PAGE) };
    let _servers = FAMILIES.map(|family| servers(&host, at, family, page));
    loop {
        thread::park();
    }
}

/// Removes the lab and its servers, if there are any.
pub(crate) fn remove() {
    let roles = topology::roles(STEM);
    for pid in servers_of(&roles) {
        // Gone meanwhile is as good.
        _ = kill(pid, Signal::SIGKILL);
    }
    for name in &roles {
        netns::remove(name);
    }
    bpffs::remove(&bpffs_path());
}

fn servers(
    host: &Netns,
    at: Dual,
    family: gateway_common::tuple::Family,
    page: &'static str,
) -> [Server; 2] {
    [socket::http(host, at.port(family, WEB), page), socket::udp_echo(host, at.port(family, ECHO))]
}

/// Processes that were started as `demo serve <namespace>` for one of these namespaces.
fn servers_of(namespaces: &[String]) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let serves = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<_> = line.split(|&byte| byte == 0).collect();
        words.first().is_some_and(|program| program.ends_with(b"/demo"))
            && words.get(1) == Some(&SERVE.as_bytes())
            && words.get(2).is_some_and(|name| {
                namespaces.iter().any(|namespace| namespace.as_bytes() == *name)
            })
    };
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(serves)
        .map(Pid::from_raw)
        .collect()
}

fn explain(lab: &Lab) {
    let [inside, gateway, _, outside] = lab.hosts().map(Netns::name);
    let eigw = eigw::binary().display();
    let bpffs = lab.bpffs.path().display();
    let (web_inside, web_outside) = (INSIDE.v4, OUTSIDE.v4);
    println!(
        "\n\
         The lab stays. As root, try:\n\n  \
         ip netns exec {inside} curl http://{web_outside}/\n  \
         ip netns exec {outside} curl --max-time 3 http://{web_inside}/\n  \
         ip netns exec {inside} bash\n\n  \
         eigw='{eigw} --netns {gateway} --bpffs {bpffs}'\n  \
         $eigw flow show\n  \
         $eigw stats watch\n  \
         $eigw detach --all\n  \
         $eigw attach --uplink {}\n\n\
         This removes it all:\n\n  \
         cargo xtask demo --remove",
        topology::UPLINK
    );
}
