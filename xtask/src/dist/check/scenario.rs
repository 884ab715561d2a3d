//! What an administrator does with the package, from installing to purging it.

use std::{
    collections::BTreeSet,
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::{
    super::{VERSION, deb},
    NEWER_PACKAGE, PACKAGE, TARBALL,
    root::Root,
    service::POLL,
};

/// The gateway's file, of which the package knows nothing.
const CONFIG: &str = "/etc/eigw/wan.toml";
const EXAMPLE: &str = "/etc/eigw/example.toml";
/// Where `ip` keeps namespaces.
const NETNS: &str = "/run/netns";
/// How long a datagram may wait for its neighbour.
const LEAVES_WITHIN: Duration = Duration::from_secs(10);
/// The most that `systemd-analyze security` may find, in tenths: less is better.
const EXPOSURE_MAX: u32 = 28;

/// Something the administrator does, with a look at what came of it.
type Step = fn(&Root) -> Result<()>;

/// Goes through everything, in order; each step relies on those before.
///
/// # Errors
/// With the step that failed and what was found.
pub(super) fn run(root: &Root) -> Result<()> {
    let steps: [(&str, Step); 9] = [
        ("installed, nothing is attached or enabled", install),
        ("the program, manual, completions and example work", use_files),
        ("the bill of materials is of this program", read_bill_of_materials),
        ("the unit is valid and confined", judge_unit),
        ("a gateway is attached and has a flow", attach),
        ("an upgrade keeps gateway, flow and files", upgrade),
        ("removing detaches and keeps files", remove),
        ("the tarball's program works alone", use_tarball),
        ("a package removed in use can be installed again", reinstall),
    ];
    root.run("ip link set lo up")?;
    let before = root.files()?;
    for (name, step) in steps {
        step(root).with_context(|| name.to_owned())?;
        println!("    {name}");
    }
    purge(root, &before).context("purging leaves nothing")?;
    println!("    purging leaves nothing");
    Ok(())
}

fn install(root: &Root) -> Result<()> {
    root.run(&format!("dpkg --install /opt/{PACKAGE}"))?;
    expect(&root.run("eigw -j status")?, "[]", "what is attached")?;
    let enabled = root.bash("ls /etc/systemd/system/*/eigw@* 2>/dev/null || true")?;
    expect(&enabled, "", "what is enabled")?;
    expect(&root.run("dpkg --verify eigw")?, "", "files that differ from the package's")?;
    for (path, mode) in [("/usr/bin/eigw", 0o755), (EXAMPLE, 0o644), ("/etc/eigw", 0o755)] {
        let found = root.owner_and_mode(path)?;
        ensure!(found == (0, mode), "{path} has owner and mode {found:?}");
    }
    Ok(())
}

fn use_files(root: &Root) -> Result<()> {
    expect(&root.run("eigw --version")?, &format!("eigw {VERSION}"), "the version")?;
    root.run(&format!("eigw check -c {EXAMPLE}"))?;
    for page in ["eigw", "eigw-run", "eigw-flow-show"] {
        root.run(&format!("man --where 8 {page}"))?;
    }
    let warnings = root.bash("man --warnings -l /usr/share/man/man8/eigw.8.gz 2>&1 >/dev/null")?;
    expect(&warnings, "", "what man complains about")?;
    let completed = root.bash(
        "source /usr/share/bash-completion/bash_completion
         _completion_loader eigw
         COMP_WORDS=(eigw att); COMP_CWORD=1; _eigw eigw att eigw
         echo ${COMPREPLY[*]}",
    )?;
    expect(&completed, "attach", "what bash completes 'eigw att' to")
}

fn read_bill_of_materials(root: &Root) -> Result<()> {
    let text = root.bash("zcat /usr/share/doc/eigw/eigw.cdx.json.gz")?;
    let bill: Value = serde_json::from_str(&text).context("reading the bill of materials")?;
    let (about, format) = (&bill["metadata"]["component"], &bill["bomFormat"]);
    ensure!(format == "CycloneDX" && bill["specVersion"] == "1.5", "its format is {format}");
    ensure!(about["version"] == VERSION, "it is about {about}");
    let sum = root.run("sha256sum /usr/bin/eigw")?;
    let sum = sum.split_whitespace().next().unwrap_or_default();
    ensure!(about["hashes"][0]["content"] == sum, "its program is {about}, here is {sum}");

    let components = bill["components"].as_array().context("it has no components")?;
    for name in ["aya", "aya-ebpf", "gateway.o", "rust-std"] {
        ensure!(components.iter().any(|it| it["name"] == name), "{name} is not in it");
    }
    let mut known: BTreeSet<&str> =
        components.iter().filter_map(|it| it["bom-ref"].as_str()).collect();
    ensure!(known.len() == components.len(), "components share a reference");
    known.extend(about["bom-ref"].as_str());
    for it in components {
        ensure!(it["licenses"][0]["expression"].is_string(), "no licence in {it}");
        let from_registry = it["purl"].as_str().is_some_and(|purl| purl.starts_with("pkg:cargo/"));
        let sum = it["hashes"][0]["content"].as_str();
        ensure!(!from_registry || sum.is_some_and(|sum| sum.len() == 64), "no checksum in {it}");
    }
    for it in bill["dependencies"].as_array().context("it has no dependencies")? {
        let uses = it["dependsOn"].as_array().into_iter().flatten().chain([&it["ref"]]);
        let mut unknown = uses.filter(|it| it.as_str().is_none_or(|it| !known.contains(it)));
        ensure!(unknown.next().is_none(), "a component is missing of {it}");
    }
    Ok(())
}

/// Here the binary and the manual page that the unit names are where it expects them.
fn judge_unit(root: &Root) -> Result<()> {
    let unit = "/usr/lib/systemd/system/eigw@.service";
    let complaints = root.bash(&format!("systemd-analyze verify {unit} 2>&1"))?;
    expect(&complaints, "", "what systemd-analyze verify says")?;
    root.run(&format!(
        "systemd-analyze security --offline=true --threshold={EXPOSURE_MAX} --no-pager {unit}"
    ))?;
    Ok(())
}

fn attach(root: &Root) -> Result<()> {
    make_uplink(root)?;
    write_config(root)?;
    root.run(&format!("eigw attach -c {CONFIG}"))?;
    open_flow(root)
}

/// An uplink with somebody at its other end, who is in a network namespace.
pub(super) fn make_uplink(root: &Root) -> Result<()> {
    for command in [
        "ip netns add outside",
        "ip link add uplink0 type veth peer name outside0 netns outside",
        "ip address add 2a00:1::1/64 dev uplink0 nodad",
        "ip link set uplink0 up",
        "ip -n outside address add 2a00:1::2/64 dev outside0 nodad",
        "ip -n outside link set outside0 up",
    ] {
        root.run(command)?;
    }
    Ok(())
}

/// The example, for that uplink.
pub(super) fn write_config(root: &Root) -> Result<()> {
    root.bash(&format!("sed 's/eth0/uplink0/' {EXAMPLE} > {CONFIG}")).map(drop)
}

/// Sends a datagram, which the gateway has a flow for then.
pub(super) fn open_flow(root: &Root) -> Result<()> {
    root.bash("exec 3<>/dev/udp/2a00:1::2/9 && echo hello >&3")?;
    // It leaves when the neighbour's address is known.
    let sent = Instant::now();
    loop {
        match expect_gateway(root) {
            Err(_) if sent.elapsed() < LEAVES_WITHIN => thread::sleep(POLL),
            result => return result,
        }
    }
}

fn upgrade(root: &Root) -> Result<()> {
    root.bash(&format!("echo '# edited' >> {EXAMPLE}"))?;
    let edited = fs::read(root.path(EXAMPLE))?;
    root.run(&format!("dpkg --install /opt/{NEWER_PACKAGE}"))?;
    let version = root.run("dpkg-query --show --showformat=${Version} eigw")?;
    expect(&version, &deb::debian_version(VERSION, 2), "the installed version")?;
    expect_gateway(root)?;
    ensure!(fs::read(root.path(EXAMPLE))? == edited, "the edited {EXAMPLE} was replaced");
    ensure!(root.path(CONFIG).exists(), "{CONFIG} is gone");
    Ok(())
}

fn remove(root: &Root) -> Result<()> {
    root.run("dpkg --remove eigw")?;
    expect_detached(root)?;
    for path in [CONFIG, EXAMPLE] {
        ensure!(root.path(path).exists(), "{path} is gone");
    }
    ensure!(!root.path("/usr/bin/eigw").exists(), "the program is still there");
    Ok(())
}

fn use_tarball(root: &Root) -> Result<()> {
    root.bash(&format!(
        "mkdir /opt/local && tar -xzf /opt/{TARBALL} -C /opt/local --strip-components=1"
    ))?;
    let eigw = "/opt/local/bin/eigw";
    expect(&root.run(&format!("{eigw} --version"))?, &format!("eigw {VERSION}"), "the version")?;
    root.run(&format!("{eigw} check -c /opt/local/share/doc/eigw/example.toml"))?;
    root.run("man --where --manpath=/opt/local/share/man 8 eigw")?;
    root.run(&format!("{eigw} attach -c {CONFIG}"))?;
    root.run(&format!("{eigw} detach --all"))?;
    Ok(())
}

/// Also the state before purging that is hardest to clean: in use, with logs.
fn reinstall(root: &Root) -> Result<()> {
    root.run(&format!("dpkg --install /opt/{PACKAGE}"))?;
    let example = fs::read_to_string(root.path(EXAMPLE))?;
    ensure!(example.ends_with("# edited\n"), "the edited {EXAMPLE} was replaced");
    root.run(&format!("eigw attach -c {CONFIG}"))?;
    for directory in ["/var/log/eigw", "/run/eigw"] {
        fs::create_dir_all(root.path(directory))?;
        fs::write(root.path(directory).join("a-file"), "")?;
    }
    Ok(())
}

fn purge(root: &Root, before: &BTreeSet<String>) -> Result<()> {
    root.run("dpkg --purge eigw")?;
    let pinned = root.bash("find /sys/fs/bpf/eigw -type f")?;
    expect(&pinned, "", "what is still pinned")?;
    // At once, while that with its namespace may take a moment.
    root.run("ip link delete uplink0")?;
    root.run("ip netns delete outside")?;
    let after = root.files()?;
    let left: Vec<_> = after.difference(before).filter(|path| *path != NETNS).collect();
    ensure!(left.is_empty(), "left behind: {left:?}");
    let gone: Vec<_> = before.difference(&after).collect();
    ensure!(gone.is_empty(), "no longer there: {gone:?}");
    Ok(())
}
/// The gateway is attached and its flow lives.
pub(super) fn expect_gateway(root: &Root) -> Result<()> {
    let status = root.run("eigw -j status")?;
    let status: Value = serde_json::from_str(&status).context("reading the status")?;
    ensure!(status[0]["name"] == "uplink0", "the status is {status}");
    let flows = root.run("eigw -j flow show --proto udp --remote 2a00:1::2 --remote-port 9")?;
    let flows: Value = serde_json::from_str(&flows).context("reading the flows")?;
    ensure!(flows.as_array().is_some_and(|flows| flows.len() == 1), "the flows are {flows}");
    Ok(())
}

/// Nothing of a gateway is left in the kernel.
pub(super) fn expect_detached(root: &Root) -> Result<()> {
    let link = root.run("ip -details link show uplink0")?;
    ensure!(!link.contains("xdp"), "a program is still attached: {link}");
    let pinned = root.bash("find /sys/fs/bpf/eigw -type f")?;
    expect(&pinned, "", "what is still pinned")
}

pub(super) fn expect(found: &str, expected: &str, what: &str) -> Result<()> {
    if found != expected {
        bail!("{what}: expected {expected:?}, found {found:?}");
    }
    Ok(())
}
