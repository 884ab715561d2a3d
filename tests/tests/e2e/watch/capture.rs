//! `eigw drop capture`, read back by somebody else.

use std::{fs, path::Path, process::Command};

use gateway_common::tuple::Family;
use tests::{
    capture::Link,
    config::ConfigFile,
    eigw::Hook,
    socket,
    topology::{INSIDE, Lab, OUTSIDE, UPLINK},
    wait::{self, PATIENCE},
};

use super::{Watcher, inbound, observed, syn};

/// What tshark tells of each packet.
const FIELDS: [&str; 10] = [
    "frame.comment",
    "frame.packet_flags_direction",
    "frame.interface_name",
    "frame.cap_len",
    "frame.len",
    "vlan.id",
    "ip.src",
    "ipv6.dst",
    "tcp.dstport",
    "udp.dstport",
];

/// Reasons, directions, lengths and tags stand in the file as Wireshark understands them.
#[test]
fn a_capture_is_read_back() {
    let lab = Lab::new();
    let rules = "[[rule]]\nname = 'ssh'\ndirection = 'in'\naction = 'deny'\nproto = 'tcp'\n\
                 ports = 22\n";
    lab.attach_file(Hook::Tc, &ConfigFile::of_lab(rules));
    let _echo = socket::udp_echo(&lab.outside, OUTSIDE.port(Family::Ipv4, 7));
    let link = Link::open(&lab.router, "gateway");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("drops.pcapng");
    fs::write(&path, "what was there before").expect("the directory is ours");
    let name = path.to_str().expect("text");
    let reasons = ["rule-denied", "no-flow", "flow-created"].map(|reason| ["--reason", reason]);
    let command = [&["drop", "capture", "-w", name, "--passes"], reasons.as_flattened()].concat();
    let begun = now_secs();
    let mut watcher = Watcher::start(&lab, &command);
    lab.expect_drops("rule-denied", 1, || link.send(&syn(Family::Ipv4, 4_000, 22)));
    let long = inbound(Family::Ipv6).udp(4_001, 53).payload(&[7; 1_000]);
    lab.expect_drops("no-flow", 2, || {
        link.send(&long.frame());
        link.send(&inbound(Family::Ipv4).tcp(4_000, 443, 2).vlan(100).frame());
    });
    socket::udp_exchange(&lab.inside, OUTSIDE.port(Family::Ipv4, 7), b"?", PATIENCE)
        .expect("an answer");
    // Whoever looks while it is being written sees what there is.
    wait::until_true("the packets in the file", || read(&path).len() == 4);
    assert_eq!(watcher.end(nix::sys::signal::Signal::SIGINT).code(), Some(0));
    assert_eq!(watcher.stderr(), "eigw: packets written: 4\n");

    let denied = "drop rule-denied: ";
    let outside = OUTSIDE.v4.to_string();
    let rows = read(&path);
    let [syn, datagram, tagged, question] = &rows[..] else { panic!("{rows:#?}") };
    assert!(syn[0].starts_with(denied) && syn[0].ends_with("; rule 1 'ssh'"), "{syn:?}");
    assert_eq!(syn[1..], ["0x00000001", UPLINK, "54", "54", "", &outside, "", "22", ""]);
    assert!(datagram[0].starts_with("drop no-flow: "), "{datagram:?}");
    let inside = INSIDE.v6.to_string();
    assert_eq!(datagram[1..], ["0x00000001", UPLINK, "256", "1062", "", "", &inside, "", "53"]);
    assert_eq!(tagged[1..], ["0x00000001", UPLINK, "58", "58", "100", &outside, "", "443", ""]);
    assert!(question[0].starts_with("pass flow-created: "), "{question:?}");
    assert_eq!((question[1].as_str(), question[9].as_str()), ("0x00000002", "7"));

    let times = tshark(&path, &["-T", "fields", "-e", "frame.time_epoch"]);
    for time in times.lines() {
        let secs: f64 = time.parse().expect("a number");
        assert!((begun - 0.1..=now_secs()).contains(&secs), "{secs} is not since {begun}");
    }
    assert_eq!(observed(&lab), 0);
}

/// What cannot be written is an error that names the file, and nothing is watched then.
#[test]
fn a_full_disk_is_told() {
    let lab = Lab::new();
    lab.attach(Hook::Xdp);
    let full = lab.eigw(&["drop", "capture", "-w", "/dev/full"]).failure(1);
    assert!(full.contains("/dev/full") && full.contains("No space left"), "{full}");
    let nowhere = lab.eigw(&["drop", "capture", "-w", "/nonexistent/x.pcapng"]).failure(1);
    assert!(nowhere.contains("/nonexistent/x.pcapng"), "{nowhere}");
    assert_eq!(observed(&lab), 0);
}

/// A disk that gets full meanwhile: what was written before can be read.
#[test]
fn a_disk_that_gets_full_leaves_a_whole_file() {
    let lab = Lab::new();
    lab.attach(Hook::Xdp);
    let link = Link::open(&lab.router, "gateway");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mount = directory.path().to_str().expect("text");
    let disk = SmallDisk::mount(mount);
    let path = Path::new(mount).join("drops.pcapng");
    let name = path.to_str().expect("text");
    let command = ["drop", "capture", "-w", name, "--reason", "no-flow", "--rate", "0"];
    let mut watcher = Watcher::start(&lab, &command);
    let long = inbound(Family::Ipv6).udp(4_001, 53).payload(&[7; 1_000]).frame();
    let status = wait::until("the disk to be full", || {
        (0..16).for_each(|_| link.send(&long));
        watcher.child.try_wait().expect("it is our child")
    });
    assert_eq!(status.code(), Some(1));
    let complaint = watcher.stderr();
    assert!(complaint.contains(name) && complaint.contains("No space left"), "{complaint}");
    let packets = read(&path).len();
    assert!(packets > 16, "{packets} packets");
    drop(disk);
}

/// To a pipe, as `| wireshark -k -i -` wants it.
#[test]
fn a_capture_goes_to_a_pipe() {
    let lab = Lab::new();
    lab.attach(Hook::Xdp);
    let link = Link::open(&lab.router, "gateway");
    let command = ["drop", "capture", "-w", "-", "--reason", "no-flow", "--count", "1"];
    let mut watcher = Watcher::start(&lab, &command);
    lab.expect_drops("no-flow", 1, || link.send(&syn(Family::Ipv4, 4_000, 22)));
    assert_eq!(watcher.wait().code(), Some(0));
    assert_eq!(read(&watcher.directory.path().join("stdout")).len(), 1);
}

/// A file system of a few pages.
struct SmallDisk<'a>(&'a str);

impl<'a> SmallDisk<'a> {
    fn mount(at: &'a str) -> Self {
        let flags = nix::mount::MsFlags::empty();
        nix::mount::mount(Some("tmpfs"), at, Some("tmpfs"), flags, Some("size=64k"))
            .expect("root may mount");
        Self(at)
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        _ = nix::mount::umount2(self.0, nix::mount::MntFlags::MNT_DETACH);
    }
}

/// The fields of each packet in a file.
fn read(path: &Path) -> Vec<Vec<String>> {
    let mut arguments = vec!["-T", "fields", "-E", "separator=\t"];
    for field in FIELDS {
        arguments.extend(["-e", field]);
    }
    let text = tshark(path, &arguments);
    text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

fn tshark(path: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("tshark");
    command.arg("-r").arg(path).args(arguments);
    let output = command.output().unwrap_or_else(|error| panic!("start {command:?}: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
    String::from_utf8(output.stdout).expect("text")
}

fn now_secs() -> f64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.expect("a clock after 1970").as_secs_f64()
}
