//! Starting, reloading and ending.

use std::{fs, path::PathBuf};

use gateway_common::tuple::Family;
use nix::sys::signal::Signal;
use serde_json::Value;
use tests::{
    address::FAMILIES,
    eigw::NAME,
    icmp, socket,
    topology::{INSIDE, Lab, OUTSIDE, UPLINK},
};

use super::{Daemon, Home, expect_protected};
use crate::stream::Stream;

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

/// Whoever detaches the gateway means it: the daemon does not attach it again, and has nothing left
/// to do.
#[test]
fn a_daemon_ends_when_its_gateway_is_detached() {
    let lab = Lab::new();
    let home = Home::new();
    home.configure("");
    let mut daemon = Daemon::start(&lab, &home, &["-c", home.file()]);
    daemon.expect_ready();
    lab.detach();
    daemon.expect_status("was detached");
    daemon.expect_stopping();
    assert_eq!(daemon.status().code(), Some(0), "{}", daemon.stderr());
    daemon.expect_stderr("somebody detached the gateway");
    assert_eq!(lab.bpffs.entries(), Vec::<PathBuf>::new());
    icmp::ping(&lab.outside, INSIDE.ip(Family::Ipv6)).expect("nothing is filtered");
}
