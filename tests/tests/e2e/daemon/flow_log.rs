//! Flow logs: what is in them, whatever happens to the daemon and to the disk.

use std::{
    collections::BTreeMap,
    env, fs,
    net::{IpAddr, SocketAddr, UdpSocket},
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use gateway_common::tuple::Family;
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sys::signal::Signal,
};
use serde_json::Value;
use tests::{
    capture::Link,
    packet::{Packet, flag},
    socket,
    topology::{INSIDE, Lab, OUTSIDE, ROUTER_MAC, UPLINK, UPLINK_MAC},
    wait::{self, PATIENCE},
};

use super::{Daemon, Home};

/// Addresses and ports of source and destination, and the protocol.
type Tuple = (IpAddr, u16, IpAddr, u16, u8);
/// Packets and bytes by tuple.
type Sums = BTreeMap<Tuple, (u64, u64)>;

/// Timeouts at which ended connections are reclaimed soon.
const SHORT: &str = "[timeouts]\ntcp_closed = 1\ntcp_time_wait = 1\nudp_dns = 2\n";

/// The lines of each tuple add up to what the kernel counted for it and to what the endpoints sent,
/// whether a flow goes on, is reset, closed, deleted or idle, and although the daemon is killed
/// again and again.
#[test]
fn lines_add_up_over_kills_and_ends() {
    let lab = Lab::new();
    let home = Home::new();
    home.configure(&format!("{SHORT}{}", section(&home, "")));
    let mut daemon = Daemon::start(&lab, &home, &["-c", home.file()]);
    daemon.expect_ready();
    let (echo, dns) = (OUTSIDE.port(Family::Ipv6, 7), OUTSIDE.port(Family::Ipv4, 53));
    let _services = [
        socket::tcp_echo(&lab.outside, echo),
        socket::udp_echo(&lab.outside, echo),
        socket::udp_echo(&lab.outside, dns),
    ];
    let client = |port| {
        let local = INSIDE.port(Family::Ipv6, port);
        socket::udp_client_from(&lab.inside, local, echo).expect("a socket")
    };
    let lasting = [client(4001), client(4002), client(4003)];
    let mut sent = 0;
    let talk = |sent: &mut u64, times: u64| {
        for _ in 0..times {
            lasting.iter().for_each(say);
        }
        *sent += times;
    };
    let expected_of = |port, count: u64| {
        let tuple = (INSIDE.ip(Family::Ipv6), port, echo.ip(), echo.port(), 17);
        (tuple, (count, count * (40 + 8 + MESSAGE.len() as u64)))
    };
    talk(&mut sent, 3);
    for round in 0..3 {
        let closed = socket::tcp_exchange(&lab.inside, echo, &vec![7; 50_000], PATIENCE);
        assert_eq!(closed.expect("TCP").len(), 50_000);
        let reset = socket::connect(&lab.inside, echo, PATIENCE).expect("TCP");
        socket::exchange(&reset, b"reset").expect("TCP");
        let linger = Some(Duration::ZERO);
        socket2::SockRef::from(&reset).set_linger(linger).expect("a TCP socket");
        drop(reset);
        let local = INSIDE.port(Family::Ipv4, 4100 + round);
        say(&socket::udp_client_from(&lab.inside, local, dns).expect("a socket"));
        talk(&mut sent, 5);
        if round != 1 {
            // Otherwise it is killed before it has reported anything of this.
            let (tuple, expected) = expected_of(4001, sent);
            expect_sum(&home, tuple, expected);
        }
        assert!(daemon.end(Signal::SIGKILL).signal().is_some());
        talk(&mut sent, 2);
        daemon = Daemon::start(&lab, &home, &["-c", home.file()]);
        daemon.expect_ready();
        talk(&mut sent, 4);
    }
    let quiet = live(&lab);
    wait::until_true("ended flows to be reclaimed", || lab.flows().len() == lasting.len());
    let deleted = ["flow", "delete", "--local-port", "4003"];
    lab.eigw(&deleted).success();
    for port in [4001, 4002, 4003] {
        let (tuple, expected) = expected_of(port, sent);
        for tuple in [tuple, (tuple.2, tuple.3, tuple.0, tuple.1, 17)] {
            assert_eq!(quiet.get(&tuple), Some(&expected), "what the kernel counted");
            expect_sum(&home, tuple, expected);
        }
    }
    for round in 0..3 {
        let inside = INSIDE.port(Family::Ipv4, 4100 + round);
        let expected = (1, 20 + 8 + MESSAGE.len() as u64);
        for (from, to) in [(inside, dns), (dns, inside)] {
            let tuple = (from.ip(), from.port(), to.ip(), to.port(), 17);
            expect_sum(&home, tuple, expected);
        }
    }
    // Of ended connections the kernel's verdicts are left: each of their packets passed.
    daemon.end(Signal::SIGTERM);
    let sums = sums(&lines(&home));
    let tcp: u64 = sums.iter().filter(|(tuple, _)| tuple.4 == 6).map(|(_, sum)| sum.0).sum();
    let all: u64 = sums.values().map(|sum| sum.0).sum();
    let counted: u64 = [("out", "flow"), ("out", "flow-created"), ("in", "flow")]
        .map(|(direction, reason)| lab.packets(direction, reason))
        .iter()
        .sum();
    assert!(tcp > 6 * 10, "{tcp}");
    assert_eq!(all, counted, "{sums:#?}");
}

/// What is dropped has its own lines, with exact counts and the reason.
#[test]
fn dropped_packets_are_counted() {
    const SYNS: u64 = 700;
    let lab = Lab::new();
    let home = Home::new();
    home.configure(&section(&home, ""));
    let daemon = Daemon::start(&lab, &home, &["-c", home.file()]);
    daemon.expect_ready();
    // It watches when the first window is over.
    expect_line(&home, "NODATA");
    let link = Link::open(&lab.router, "gateway");
    let (from, to) = (OUTSIDE.ip(Family::Ipv6), INSIDE.ip(Family::Ipv6));
    let frame = Packet::ip(from, to).macs(ROUTER_MAC, UPLINK_MAC).tcp(7, 3389, flag::SYN).frame();
    lab.expect_drops("no-flow", SYNS, || (0..SYNS).for_each(|_| link.send(&frame)));
    let bytes = frame.len() as u64 - 14;
    expect_sum(&home, (from, 7, to, 3389, 6), (SYNS, SYNS * bytes));
    let lines = lines(&home);
    let rejects: Vec<_> = lines.iter().filter(|line| line.contains(" 3389 ")).collect();
    for line in rejects {
        assert!(line.contains(" REJECT OK no-flow ingress "), "{line}");
        assert!(line.starts_with(&format!("5 123456789010 {UPLINK} ")), "{line}");
    }
    assert!(!lines.iter().any(|line| line.contains("SKIPDATA")), "{lines:#?}");
}

/// A disk without room keeps the gateway from nothing; the lines follow when there is room again.
#[test]
fn a_full_disk_stops_nothing() {
    let lab = Lab::new();
    let home = Home::new();
    let disk = Disk::new(&home.directory.path().join("log"));
    home.configure(&section(&home, ""));
    let daemon = Daemon::start(&lab, &home, &["-c", home.file()]);
    daemon.expect_ready();
    expect_line(&home, "NODATA");
    disk.fill();
    let echo = OUTSIDE.port(Family::Ipv6, 7);
    let _service = socket::udp_echo(&lab.outside, echo);
    // More than the last page of the file has room for, and less than what may wait.
    let ports = 4001..=4200;
    for port in ports.clone() {
        let local = INSIDE.port(Family::Ipv6, port);
        say(&socket::udp_client_from(&lab.inside, local, echo).expect("a socket"));
    }
    daemon.expect_stderr("cannot write the flow log");
    disk.empty();
    for port in ports {
        let tuple = (INSIDE.ip(Family::Ipv6), port, echo.ip(), 7, 17);
        expect_sum(&home, tuple, (1, 40 + 8 + MESSAGE.len() as u64));
    }
    daemon.expect_stderr("the flow log can be written again");
    let warnings = daemon.stderr().matches("cannot write the flow log").count();
    assert_eq!(warnings, 1, "{}", daemon.stderr());
}

/// A reload changes everything about the log at once: from standard output to files that are
/// rotated, and from text to JSON.
#[test]
fn a_reload_moves_the_log() {
    let lab = Lab::new();
    let home = Home::new();
    let state = home.directory.path().join("state");
    let common = format!("[flow_log]\ninterval = 1\nstate_dir = '{}'\n", state.display());
    home.configure(&format!("{common}path = '-'\n"));
    let daemon = Daemon::start(&lab, &home, &["-c", home.file()]);
    daemon.expect_ready();
    let echo = OUTSIDE.port(Family::Ipv4, 7);
    let _service = socket::udp_echo(&lab.outside, echo);
    let local = INSIDE.port(Family::Ipv4, 4001);
    let client = socket::udp_client_from(&lab.inside, local, echo).expect("a socket");
    say(&client);
    let bytes = 20 + 8 + MESSAGE.len();
    let line = format!("2 - {UPLINK} {} {} 4001 7 17 1 {bytes} ", local.ip(), echo.ip());
    wait::until_true("a line on standard output", || daemon.stdout().contains(&line));

    let path = log_path(&home);
    home.configure(&format!("{common}path = '{}'\nformat = 'json'\n", path.display()));
    daemon.reload();
    say(&client);
    let flow = json_line(&path, "flow");
    for (name, expected) in [("packets_out", 2), ("packets_out_delta", 1)] {
        assert_eq!(flow[name], expected, "{name} in {flow}");
    }
    assert_eq!(flow["bytes_in_delta"], bytes, "{flow}");
    lab.eigw(&["flow", "delete", "--local-port", "4001"]).success();
    let end = json_line(&path, "flow-end");
    assert_eq!((&end["end_reason"], &end["packets_in"]), (&"deleted".into(), &2.into()), "{end}");

    home.configure(&format!("{common}path = '{}'\nmax_size = 4096\nkeep = 2\n", path.display()));
    daemon.reload();
    let mut rotated = path.into_os_string();
    rotated.push(".1");
    let mut port = 5000;
    wait::until_true("a rotated file", || {
        port += 1;
        let local = INSIDE.port(Family::Ipv4, port);
        say(&socket::udp_client_from(&lab.inside, local, echo).expect("a socket"));
        Path::new(&rotated).exists()
    });
}

/// A reader of AWS flow logs that others wrote understands every line.
#[test]
#[ignore = "needs EIGW_PYTHON, an interpreter with flowlogs-reader of PyPI"]
fn another_reader_understands_the_lines() {
    const READ: &str = "
import sys
from flowlogs_reader import FlowRecord
fields = sys.stdin.readline().split()
for line in sys.stdin:
    event = dict(zip(fields, line.split()))
    record = FlowRecord({name.replace('-', '_'): event[name] for name in fields})
    print(record.srcaddr, record.packets, record.bytes, record.action, record.log_status)
";
    let lab = Lab::new();
    let home = Home::new();
    home.configure(&section(&home, ""));
    let daemon = Daemon::start(&lab, &home, &["-c", home.file()]);
    daemon.expect_ready();
    expect_line(&home, "NODATA");
    let echo = OUTSIDE.port(Family::Ipv6, 7);
    let _service = socket::udp_echo(&lab.outside, echo);
    let local = INSIDE.port(Family::Ipv6, 4001);
    say(&socket::udp_client_from(&lab.inside, local, echo).expect("a socket"));
    let expected = (1, 40 + 8 + MESSAGE.len() as u64);
    expect_sum(&home, (local.ip(), 4001, echo.ip(), 7, 17), expected);
    let python = env::var("EIGW_PYTHON").expect("EIGW_PYTHON names an interpreter");
    let input = fs::File::open(log_path(&home)).expect("the log");
    let output = Command::new(python).args(["-c", READ]).stdin(input).output();
    let output = output.expect("the interpreter starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let line = format!("{} 1 {} ACCEPT OK", local.ip(), expected.1);
    assert!(text.lines().any(|it| it == line), "{text}");
    assert!(text.contains("NODATA"), "{text}");
}

const MESSAGE: &[u8] = b"what a flow carries";

/// Sends a datagram and waits for its echo.
#[track_caller]
fn say(socket: &UdpSocket) {
    socket.set_read_timeout(Some(PATIENCE)).expect("patience is not zero");
    socket.send(MESSAGE).expect("it is sent");
    let mut echo = [0; 64];
    let len = socket.recv(&mut echo).expect("the echo");
    assert_eq!(&echo[..len], MESSAGE);
}

/// The section of a log with a second's windows and fields of ours.
fn section(home: &Home, more: &str) -> String {
    let state = home.directory.path().join("state");
    format!(
        "[flow_log]\npath = '{}'\ninterval = 1\nstate_dir = '{}'\naccount_id = '123456789010'\n\
         fields = 'version account-id interface-id srcaddr dstaddr srcport dstport protocol packets \
         bytes start end action log-status reason flow-direction end-reason'\n{more}",
        log_path(home).display(),
        state.display()
    )
}

fn log_path(home: &Home) -> PathBuf {
    home.directory.path().join("log").join("flows.log")
}

/// The lines of the log but for its header.
#[track_caller]
fn lines(home: &Home) -> Vec<String> {
    let text = fs::read_to_string(log_path(home)).unwrap_or_default();
    let mut lines = text.lines();
    if let Some(header) = lines.next() {
        assert!(header.starts_with("version account-id "), "{header}");
    }
    let lines: Vec<_> = lines.map(str::to_owned).collect();
    assert!(!lines.iter().any(|line| line.starts_with("version")), "one header: {lines:#?}");
    lines
}

#[track_caller]
fn expect_line(home: &Home, part: &str) {
    wait::until_true(&format!("a line with {part}"), || {
        lines(home).iter().any(|line| line.contains(part))
    });
}

fn sums(lines: &[String]) -> Sums {
    let mut sums = Sums::new();
    for line in lines {
        let words: Vec<_> = line.split(' ').collect();
        // A line that is being written.
        if words.len() != 17 || words[13] != "OK" {
            continue;
        }
        let address = |at: usize| words[at].parse().expect("an address");
        let port = |at: usize| words[at].parse().expect("a port");
        let protocol = words[7].parse().expect("a protocol");
        let tuple = (address(3), port(5), address(4), port(6), protocol);
        let sum = sums.entry(tuple).or_insert((0, 0));
        sum.0 += words[8].parse::<u64>().expect("packets");
        sum.1 += words[9].parse::<u64>().expect("bytes");
    }
    sums
}

/// Waits until the lines of a tuple add up to this, and sees that they do not go beyond it.
#[track_caller]
fn expect_sum(home: &Home, tuple: Tuple, expected: (u64, u64)) {
    wait::until_true(&format!("{expected:?} of {tuple:?} in {:#?}", lines(home)), || {
        let sum = sums(&lines(home)).get(&tuple).copied().unwrap_or_default();
        assert!(sum.0 <= expected.0, "{sum:?} of {tuple:?} in {:#?}", lines(home));
        sum == expected
    });
}

/// Waits for a JSON line about the flow from port 4001.
#[track_caller]
fn json_line(path: &Path, event: &str) -> Value {
    wait::until(&format!("'{event}' in JSON"), || {
        let text = fs::read_to_string(path).ok()?;
        let mut values = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        values.find(|value| value["local_port"] == 4001 && value["event"] == event)
    })
}

/// What the kernel counts of live flows.
fn live(lab: &Lab) -> Sums {
    let mut sums = Sums::new();
    for flow in lab.flows() {
        let endpoint = |address: &str, port: &str| {
            let ip = flow[address].as_str().and_then(|it| it.parse::<IpAddr>().ok());
            let port = flow[port].as_u64().and_then(|it| u16::try_from(it).ok());
            SocketAddr::new(ip.expect("an address"), port.expect("a port"))
        };
        let (inside, outside) =
            (endpoint("local", "local_port"), endpoint("remote", "remote_port"));
        let protocol = if flow["proto"] == "tcp" { 6 } else { 17 };
        let count = |name: &str| flow[name].as_u64().expect("a count");
        let tuple = |from: SocketAddr, to: SocketAddr| {
            (from.ip(), from.port(), to.ip(), to.port(), protocol)
        };
        sums.insert(tuple(inside, outside), (count("packets_out"), count("bytes_out")));
        sums.insert(tuple(outside, inside), (count("packets_in"), count("bytes_in")));
    }
    sums
}

/// A file system with little room, unmounted with this value.
struct Disk(PathBuf);

impl Disk {
    fn new(path: &Path) -> Self {
        fs::create_dir(path).expect("create a directory");
        let kind = Some("tmpfs");
        mount(kind, path, kind, MsFlags::empty(), Some("size=1m")).expect("mount a tmpfs");
        Self(path.to_owned())
    }

    fn fill(&self) {
        let all = fs::write(self.0.join("filler"), vec![0; 2 << 20]);
        let error = all.expect_err("there is less room");
        assert_eq!(error.raw_os_error(), Some(libc::ENOSPC), "{error}");
    }

    fn empty(&self) {
        fs::remove_file(self.0.join("filler")).expect("it is ours");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}
