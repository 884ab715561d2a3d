//! Gateways on trial: they go by themselves unless somebody confirms them, whoever is killed.

use std::{
    fs, io,
    path::PathBuf,
    time::{Duration, Instant},
};

use gateway_common::tuple::Family;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tests::{
    eigw::{Hook, NAME},
    icmp,
    topology::{INSIDE, Lab, UPLINK},
    wait,
};

use crate::{
    daemon::{Daemon, Home},
    in_every_hook,
};

in_every_hook!(what_nobody_confirms_is_detached);
in_every_hook!(without_any_process_everything_passes_in_time);

/// Nobody stays locked out: the gateway goes as if it had never been there, and its guard with it.
fn what_nobody_confirms_is_detached(hook: Hook) {
    let lab = Lab::new();
    lab.attach_with(hook, &["--confirm", "3"]);
    expect_protected(&lab);
    let [guard] = guards(&lab)[..] else { panic!("one process looks after the gateway") };
    let session = nix::unistd::getsid(Some(guard)).expect("it lives");
    assert_eq!(session, guard, "the end of no other session ends it");
    wait::until_true("the gateway to be detached", || lab.bpffs.entries().is_empty());
    ping(&lab).expect("nothing is filtered");
    wait::until_true("the guard to end", || guards(&lab).is_empty());
    let complaint = lab.eigw(&["confirm", "--name", NAME]).failure(1);
    for part in ["no gateway named wan", "nothing to confirm", "attach it again"] {
        assert!(complaint.contains(part), "{part} is missing in: {complaint}");
    }
    assert!(lab.eigw(&["confirm"]).failure(1).contains("nothing to confirm"));
}

/// The packet path keeps the deadline by itself, when every process of ours is dead.
fn without_any_process_everything_passes_in_time(hook: Hook) {
    let lab = Lab::new();
    lab.attach_with(hook, &["--confirm", "3"]);
    kill_guard(&lab);
    expect_protected(&lab);
    lab.expect_packets("in", "standby", 1, || {
        wait::until_true("outside to get in", || ping(&lab).is_ok());
    });
    let status = &lab.eigw_json(&["status"])[0];
    assert_eq!((&status["mode"], left_ms(status)), (&"standby".into(), Some(0)));
    assert_eq!(status["unconfirmed"]["overdue"], true);
    let said = lab.eigw(&["status"]).success();
    assert!(said.contains("warning: nobody confirmed it in time, so everything passes"), "{said}");

    let too_late = "was not confirmed in time, so it lets everything pass";
    assert!(lab.eigw(&["confirm"]).failure(1).contains(too_late));
    let home = Home::new();
    home.configure("");
    assert!(lab.eigw(&["reload", "-c", home.file()]).failure(1).contains(too_late));
    ping(&lab).expect("what is too late changes nothing");
    let usual = ["attach", "--uplink", UPLINK, "--name", NAME, "--hook", hook.name()];
    let said = lab.eigw(&usual).success();
    assert!(said.contains("nobody had confirmed it in time; it protects its uplinks"), "{said}");
    expect_protected(&lab);
    assert_eq!(unconfirmed(&lab), Value::Null);
}

/// What is confirmed stays, beyond the deadline; confirming it again is an error and harmless.
#[test]
fn what_is_confirmed_in_time_stays() {
    let lab = Lab::new();
    let begun = Instant::now();
    lab.attach_with(Hook::Tc, &["--confirm", "4"]);
    let status = &lab.eigw_json(&["status"])[0];
    let left = left_ms(status).expect("it waits");
    assert!((1..=4_000).contains(&left), "{status}");
    assert_eq!(
        (&status["mode"], &status["unconfirmed"]["overdue"]),
        (&"armed".into(), &false.into())
    );
    let said = lab.eigw(&["status"]).success();
    assert!(said.contains("unless somebody runs 'eigw confirm --name wan'"), "{said}");

    let confirmed = lab.eigw_json(&["confirm"]);
    assert_eq!(confirmed["name"], NAME);
    assert!((1..=left).contains(&confirmed["left_ms"].as_u64().expect("a number")), "{confirmed}");
    assert_eq!(unconfirmed(&lab), Value::Null);
    for _ in 0..2 {
        let complaint = lab.eigw(&["confirm", "--name", NAME]).failure(1);
        assert!(complaint.contains("does not wait to be confirmed"), "{complaint}");
    }
    wait::until_true("the guard to see that nobody needs it", || guards(&lab).is_empty());
    expect_protected_after(&lab, begun + Duration::from_secs(5));
}

/// The deadline of whoever came last counts. An attach without one confirms.
#[test]
fn attaching_again_begins_anew() {
    let lab = Lab::new();
    let begun = Instant::now();
    lab.attach_with(Hook::Tc, &["--confirm", "3"]);
    let again = ["attach", "--uplink", UPLINK, "--name", NAME, "--hook", "tc", "--confirm"];
    let said = lab.eigw(&[&again[..], &["600"]].concat()).success();
    for part in ["within 600 s, by ", " UTC", "not set back to what it was", "eigw confirm --name"]
    {
        assert!(said.contains(part), "{part} is missing in: {said}");
    }
    assert!(said.contains(&format!("--bpffs {}", lab.bpffs.path().display())), "{said}");
    wait::until_true("the first guard to end", || guards(&lab).len() == 1);
    expect_protected_after(&lab, begun + Duration::from_secs(4));

    lab.attach(Hook::Tc);
    assert_eq!(unconfirmed(&lab), Value::Null);
    wait::until_true("the second guard to end", || guards(&lab).is_empty());
    lab.attach_with(Hook::Tc, &["--confirm", "1"]);
    wait::until_true("the gateway to be detached", || lab.bpffs.entries().is_empty());
    ping(&lab).expect("nothing is filtered");
}

/// One policy after the other may be tried before one is confirmed.
#[test]
fn reloading_leaves_the_deadline_alone() {
    let lab = Lab::new();
    let home = Home::new();
    home.configure("");
    lab.eigw(&["attach", "-c", home.file(), "--confirm", "5"]).success();
    let before = left_ms(&lab.eigw_json(&["status"])[0]).expect("it waits");
    home.configure("[[rule]]\ndirection = \"in\"\naction = \"allow\"\nproto = \"icmpv6\"\n");
    lab.eigw(&["reload"]).success();
    let after = left_ms(&lab.eigw_json(&["status"])[0]).expect("it still waits");
    assert!((1..=before).contains(&after), "{after} of {before}");
    wait::until_true("the gateway to be detached", || lab.bpffs.entries().is_empty());
}

/// A daemon leaves the gateway to the guard, and has nothing to look after when that detached it.
#[test]
fn a_daemon_on_trial_ends_with_its_gateway() {
    let lab = Lab::new();
    let home = Home::new();
    let start = |secs| {
        let arguments = ["--uplink", UPLINK, "--name", NAME, "--confirm", secs];
        let daemon = Daemon::start(&lab, &home, &arguments);
        daemon.expect_ready();
        daemon
    };
    let mut daemon = start("3");
    expect_protected(&lab);
    assert_eq!(guards(&lab).len(), 1, "the guard outlives the daemon");
    daemon.expect_stopping();
    assert_eq!(daemon.status().code(), Some(0), "there is nothing to start it anew for");
    assert_eq!(lab.bpffs.entries(), Vec::<PathBuf>::new());
    ping(&lab).expect("nothing is filtered");

    let begun = Instant::now();
    let mut daemon = start("3");
    lab.eigw(&["confirm"]).success();
    expect_protected_after(&lab, begun + Duration::from_secs(4));
    assert_eq!(daemon.end(Signal::SIGTERM).code(), Some(0));
    expect_protected(&lab);

    let mut daemon = start("3");
    daemon.end(Signal::SIGKILL);
    wait::until_true("outside to get in", || ping(&lab).is_ok());
    wait::until_true("the gateway to be detached", || guards(&lab).is_empty());
}

fn ping(lab: &Lab) -> io::Result<()> {
    icmp::ping(&lab.outside, INSIDE.ip(Family::Ipv6))
}

fn expect_protected(lab: &Lab) {
    lab.expect_drops("ping-refused", 1, || ping(lab).expect_err("the uplink is protected"));
}

fn expect_protected_after(lab: &Lab, moment: Instant) {
    wait::until_true("the deadline", || Instant::now() > moment);
    expect_protected(lab);
}

fn unconfirmed(lab: &Lab) -> Value {
    lab.eigw_json(&["status"])[0]["unconfirmed"].clone()
}

fn left_ms(gateway: &Value) -> Option<u64> {
    gateway["unconfirmed"]["left_ms"].as_u64()
}

fn kill_guard(lab: &Lab) {
    let [guard] = guards(lab)[..] else { panic!("one process looks after the gateway") };
    kill(guard, Signal::SIGKILL).expect("it lives");
    wait::until_true("the guard to die", || guards(lab).is_empty());
}

/// The processes that wait to detach this lab's gateway.
fn guards(lab: &Lab) -> Vec<Pid> {
    let is_guard = |command: &[u8]| {
        let words: Vec<_> = command.split(|&byte| byte == 0).collect();
        let bpffs = lab.bpffs.path().as_os_str().as_encoded_bytes();
        words.contains(&bpffs) && words.contains(&&b"guard"[..])
    };
    let processes = fs::read_dir("/proc").expect("/proc is mounted").flatten();
    let guards = processes.filter_map(|process| {
        let pid = process.file_name().to_str()?.parse().ok()?;
        let command = fs::read(process.path().join("cmdline")).ok()?;
        is_guard(&command).then_some(Pid::from_raw(pid))
    });
    guards.collect()
}
