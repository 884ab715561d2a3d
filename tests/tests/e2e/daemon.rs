//! `eigw run`: what a service manager and an operator meet while it lives, and what it leaves.

use std::{
    cell::RefCell,
    fs::{self, File},
    io,
    os::unix::net::UnixDatagram,
    path::PathBuf,
    process::{Child, ExitStatus},
    time::{Duration, Instant},
};

use gateway_common::tuple::Family;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;
use tests::{
    address::FAMILIES,
    capture::Link,
    eigw::{Hook, NAME},
    icmp,
    packet::{Packet, flag},
    socket,
    topology::{INSIDE, Lab, OUTSIDE, ROUTER_MAC, UPLINK, UPLINK_MAC},
    wait::{self, PATIENCE},
};

use crate::{in_every_hook, stream::Stream};

/// Whoever waits for the service finds in force what the file says; after a reload as well.
#[test]
fn readiness_comes_after_protection_and_a_hangup_takes_the_changed_file() {
    let lab = Lab::new();
    let home = Home::new();
    home.configure("[allow]\nping = false\n");
    let daemon = Daemon::start(&lab, &home, &["-c", home.file()]);
    daemon.expect_ready();
    assert!(daemon.stdout().starts_with("attached gateway wan\n"), "{}", daemon.stdout());
    let ping = || icmp::ping(&lab.outside, INSIDE.ip(Family::Ipv6));
    lab.expect_drops("ping-refused", 1, || ping().expect_err("the file refuses it"));
    let generation = || lab.eigw_json(&["status"])[0]["policy"]["generation"].as_u64();
    let before = generation().expect("a policy is in force");

    home.configure("[allow]\nping = true\n");
    let reloading_usec = daemon.reload();
    assert!(reloading_usec > 0, "the monotonic clock of a reload's beginning");
    ping().expect("the new file is in force once the daemon is ready again");
    let after = generation().expect("a policy is in force");
    assert_eq!(after, before + 1, "one more policy");
    daemon
        .expect_stderr(&format!("reloaded gateway={NAME} generation={after} file={}", home.file()));
}

/// A file that is wrong is reported whole and changes nothing; the daemon goes on and takes the
/// file once it is right.
#[test]
fn a_wrong_file_is_reported_and_the_old_one_stays_in_force() {
    let lab = Lab::new();
    let home = Home::new();
    home.configure("[allow]\nping = true\n");
    let daemon = Daemon::start(&lab, &home, &["-c", home.file()]);
    daemon.expect_ready();
    let policy = || lab.eigw_json(&["status"])[0]["policy"].clone();
    let before = policy();
    assert_ne!(before, Value::Null, "the status tells the policy");

    home.configure("[allow]\npin = true\n[timeouts]\nudp = \"long\"\n");
    daemon.reload();
    for complaint in [":5: unknown key 'pin' in [allow]", ":7: ", "'udp'", "remains so"] {
        daemon.expect_stderr(complaint);
    }
    assert_eq!(policy(), before);
    icmp::ping(&lab.outside, INSIDE.ip(Family::Ipv4)).expect("the old file allows it");

    fs::remove_file(home.file()).expect("the file is ours");
    daemon.reload();
    daemon.expect_stderr("cannot read the configuration");
    home.configure("[allow]\nping = false\n");
    daemon.reload();
    lab.expect_drops("ping-refused", 1, || {
        icmp::ping(&lab.outside, INSIDE.ip(Family::Ipv4)).expect_err("the right file is in force");
    });
}

/// Reloading under traffic costs no packet of a flow that both files allow.
#[test]
fn flows_go_on_through_reloads_and_the_end_of_the_daemon() {
    let lab = Lab::new();
    let home = Home::new();
    home.configure("");
    let _services = FAMILIES.map(|family| socket::udp_echo(&lab.outside, OUTSIDE.port(family, 7)));
    let stream = Stream::start(&lab.inside, OUTSIDE.port(Family::Ipv6, 7));
    for signal in [Signal::SIGTERM, Signal::SIGKILL, Signal::SIGINT] {
        let mut daemon = Daemon::start(&lab, &home, &["-c", home.file()]);
        daemon.expect_ready();
        stream.progress();
        daemon.reload();
        stream.progress();
        daemon.end(signal);
        stream.progress();
    }
    stream.finish();
}

/// However the daemon ends, the gateway stays and goes on without it.
#[test]
fn enforcement_outlives_the_daemon() {
    let lab = Lab::new();
    let home = Home::new();
    for (signal, code) in
        [(Signal::SIGTERM, Some(0)), (Signal::SIGINT, Some(0)), (Signal::SIGKILL, None)]
    {
        let mut daemon = Daemon::start(&lab, &home, &["--uplink", UPLINK, "--name", NAME]);
        daemon.expect_ready();
        assert_eq!(daemon.end(signal).code(), code, "{signal}: {}", daemon.stderr());
        expect_protected(&lab);
        assert_eq!(lab.eigw_json(&["status"])[0]["name"], NAME);
    }
    lab.detach();
    assert_eq!(lab.bpffs.entries(), Vec::<PathBuf>::new(), "a killed daemon leaves nothing");
}

/// RFC6092-REC-49: on request, plain networking is back when the daemon ends in order.
#[test]
fn the_gateway_goes_with_the_daemon_on_request() {
    let lab = Lab::new();
    let home = Home::new();
    let arguments = ["--uplink", UPLINK, "--name", NAME, "--detach-on-exit"];
    for detached_meanwhile in [false, true] {
        let mut daemon = Daemon::start(&lab, &home, &arguments);
        daemon.expect_ready();
        expect_protected(&lab);
        if detached_meanwhile {
            lab.detach();
        }
        assert_eq!(daemon.end(Signal::SIGTERM).code(), Some(0), "{}", daemon.stderr());
        assert_eq!(lab.bpffs.entries(), Vec::<PathBuf>::new());
        icmp::ping(&lab.outside, INSIDE.ip(Family::Ipv6)).expect("nothing is filtered");
    }
}

/// Two daemons of one gateway would undo each other's work: the second is refused and changes
/// nothing. Another gateway's daemon and the next one of this gateway are welcome.
#[test]
fn a_gateway_has_one_daemon() {
    let lab = Lab::new();
    let home = Home::new();
    home.configure("[allow]\nping = true\n");
    let mut daemon = Daemon::start(&lab, &home, &["-c", home.file()]);
    daemon.expect_ready();
    let complaint = lab.eigw(&["run", "--uplink", UPLINK, "--name", NAME]).failure(1);
    let pid = daemon.child.id().to_string();
    for part in [NAME, &pid, &format!("kill -HUP {pid}")] {
        assert!(complaint.contains(part), "{part} is missing in: {complaint}");
    }
    icmp::ping(&lab.outside, INSIDE.ip(Family::Ipv4)).expect("the first daemon's file is in force");

    // Commands that tidy up leave a living daemon its place.
    lab.eigw(&["attach", "-c", home.file()]).success();
    lab.detach();
    let complaint = lab.eigw(&["run", "-c", home.file()]).failure(1);
    assert!(complaint.contains(&pid), "{complaint}");

    daemon.end(Signal::SIGKILL);
    let next = Daemon::start(&lab, &home, &["-c", home.file()]);
    next.expect_ready();
}

/// A daemon that was given no file takes the one that was loaded last, and says so when there is
/// none.
#[test]
fn a_daemon_without_a_file_takes_the_last_one() {
    let lab = Lab::new();
    let home = Home::new();
    let daemon = Daemon::start(&lab, &home, &["--uplink", UPLINK, "--name", NAME]);
    daemon.expect_ready();
    daemon.reload();
    daemon.expect_stderr("without a configuration file");
    home.configure("[allow]\nping = true\n");
    lab.eigw(&["reload", "-c", home.file()]).success();
    home.configure("[allow]\nping = false\n");
    daemon.reload();
    lab.expect_drops("ping-refused", 1, || {
        icmp::ping(&lab.outside, INSIDE.ip(Family::Ipv6)).expect_err("the last file is in force");
    });
}

/// `-j` gives one document when the gateway is attached, and nothing after it.
#[test]
fn json_is_the_answer_of_attach() {
    let lab = Lab::new();
    let home = Home::new();
    home.configure("");
    let mut daemon = Daemon::start(&lab, &home, &["-c", home.file(), "-j"]);
    daemon.expect_ready();
    daemon.reload();
    daemon.end(Signal::SIGTERM);
    let document: Value = serde_json::from_str(&daemon.stdout()).expect("one JSON document");
    assert_eq!((&document["name"], &document["created"]), (&NAME.into(), &true.into()));
    assert_eq!(document["uplinks"][0]["name"], UPLINK);
}

in_every_hook!(openings_from_outside_are_rejected_late);

/// RFC6092-REC-34, RFC6092-REC-39: whoever opens a connection from outside learns after six
/// seconds that it is refused. Nobody does who was denied it or said anything else, nor if inside
/// opens the same meanwhile.
fn openings_from_outside_are_rejected_late(hook: Hook) {
    const DENIED: u16 = 1;
    const MUTUAL: u16 = 2;
    const ANSWERED: u16 = 3;
    const DATAGRAM: u16 = 4;
    const TCP: u16 = 5;
    const SCTP: u16 = 6;
    const INIT: [u8; 20] = [1, 0, 0, 20, 0, 0, 0, 9, 0, 0, 16, 0, 0, 1, 0, 1, 0, 0, 0, 7];
    let lab = Lab::new();
    let home = Home::new();
    home.configure(&format!(
        "hook = \"{}\"\n[rfc6092]\ndelayed_reject = true\n[[rule]]\ndirection = \"in\"\n\
         action = \"deny\"\nproto = \"tcp\"\nports = {DENIED}\n",
        hook.name()
    ));
    let daemon = Daemon::start(&lab, &home, &["-c", home.file()]);
    daemon.expect_ready();
    let link = Link::open(&lab.router, "gateway");
    for family in FAMILIES {
        let listener = icmp::Listener::new(&lab.outside, family);
        let _service = socket::tcp_echo(&lab.outside, OUTSIDE.port(family, 7));
        let packet =
            || Packet::ip(OUTSIDE.ip(family), INSIDE.ip(family)).macs(ROUTER_MAC, UPLINK_MAC);
        let begin = Instant::now();
        lab.expect_drops("rule-denied", 1, || {
            link.send(&packet().tcp(7, DENIED, flag::SYN).frame());
        });
        lab.expect_drops("no-flow", 5, || {
            link.send(&packet().tcp(7, MUTUAL, flag::SYN).frame());
            link.send(&packet().tcp(7, ANSWERED, flag::SYN | flag::ACK).frame());
            link.send(&packet().udp(7, DATAGRAM).frame());
            link.send(&packet().tcp(7, TCP, flag::SYN).frame());
            link.send(&packet().sctp(7, SCTP, 0, &INIT).frame());
        });
        let (local, remote) = (INSIDE.port(family, MUTUAL), OUTSIDE.port(family, 7));
        let mutual = socket::connect_from(&lab.inside, local, remote, PATIENCE);
        let mutual = mutual.expect("inside opens the same");
        let rejected = RefCell::new(Vec::new());
        listener.expect("the last opening's error", |message| {
            let (kind, code, ports) = match family {
                Family::Ipv4 => (3, 13, 20),
                Family::Ipv6 => (1, 1, 40),
            };
            if (message.kind, message.code) != (kind, code) {
                return false;
            }
            assert!(begin.elapsed() >= Duration::from_secs(6), "too early: {message:?}");
            let port = u16::from_be_bytes([message.body[ports + 2], message.body[ports + 3]]);
            rejected.borrow_mut().push(port);
            port == SCTP
        });
        assert_eq!(rejected.into_inner(), [TCP, SCTP]);
        assert_eq!(socket::exchange(&mutual, b"still").expect("the flow lives"), b"still");
    }
}

/// Without a process that sends them there are no errors, and the operator is told so.
#[test]
fn delayed_rejects_without_a_daemon_are_worth_a_note() {
    let lab = Lab::new();
    let home = Home::new();
    home.configure("[rfc6092]\ndelayed_reject = true\n");
    let said = lab.eigw(&["attach", "-c", home.file()]).success();
    assert!(said.contains("note: 'delayed_reject' needs a process"), "{said}");
    let daemon = Daemon::start(&lab, &home, &["-c", home.file()]);
    daemon.expect_ready();
    assert!(!daemon.stdout().contains("delayed_reject"), "{}", daemon.stdout());
    for command in ["attach", "reload"] {
        let said = lab.eigw(&[command, "-c", home.file()]).success();
        assert!(!said.contains("delayed_reject"), "{said}");
    }
}

fn expect_protected(lab: &Lab) {
    lab.expect_drops("ping-refused", 1, || {
        icmp::ping(&lab.outside, INSIDE.ip(Family::Ipv6)).expect_err("the uplink is protected");
    });
}

/// Where a daemon finds its configuration and its service manager.
struct Home {
    directory: TempDir,
    file: String,
    manager: UnixDatagram,
}

impl Home {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("temporary directory");
        let manager = UnixDatagram::bind(directory.path().join("notify")).expect("a socket");
        manager.set_read_timeout(Some(PATIENCE)).expect("patience is not zero");
        let file = directory.path().join("wan.toml").to_str().expect("a plain path").to_owned();
        Self { directory, file, manager }
    }

    fn file(&self) -> &str {
        &self.file
    }

    /// Writes a file for the lab's uplink that ends with `text`, in its fourth line and after.
    fn configure(&self, text: &str) {
        let head = format!("[gateway]\nname = \"{NAME}\"\nuplinks = [\"{UPLINK}\"]\n");
        fs::write(&self.file, head + text).expect("write the configuration");
    }
}

/// A running `eigw run`, which dies with this value.
struct Daemon<'a> {
    child: Child,
    home: &'a Home,
}

impl<'a> Daemon<'a> {
    fn start(lab: &Lab, home: &'a Home, arguments: &[&str]) -> Self {
        let mut command = lab.eigw_command(&[&["run"], arguments].concat());
        let create = |name| File::create(home.directory.path().join(name)).expect("create a file");
        command.stdout(create("stdout")).stderr(create("stderr"));
        command.env("NOTIFY_SOCKET", home.directory.path().join("notify"));
        Self { child: command.spawn().expect("eigw starts"), home }
    }

    /// The next message to the service manager.
    #[track_caller]
    fn notification(&self) -> String {
        let mut message = [0; 4096];
        let received: io::Result<usize> = self.home.manager.recv(&mut message);
        let len = received.unwrap_or_else(|error| {
            panic!("waiting for the daemon: {error}; it said: {}", self.stderr())
        });
        String::from_utf8(message[..len].to_vec()).expect("notifications are text")
    }

    /// Waits until the daemon is ready, and checks that it says for what.
    #[track_caller]
    fn expect_ready(&self) {
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
    fn end(&mut self, signal: Signal) -> ExitStatus {
        self.send(signal);
        if signal != Signal::SIGKILL {
            let message = self.notification();
            assert!(message.starts_with("STOPPING=1\n"), "{message}");
        }
        wait::until("the daemon to end", || self.child.try_wait().expect("it is our child"))
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
