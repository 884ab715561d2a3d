//! How many may watch at a time, and what becomes of a place whose watcher was killed.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use gateway_common::tuple::Family;
use nix::sys::signal::Signal;
use tests::{capture::Link, eigw::Hook, topology::Lab};

use super::{Watcher, observed, syn, watched_places};

/// Four watch at once and each sees everything; the fifth is told who they are. The place of one
/// that was killed is taken by the next, and by nobody when all have ended.
#[test]
fn four_watch_and_a_killed_one_leaves_its_place() {
    let lab = Lab::new();
    lab.attach(Hook::Xdp);
    let link = Link::open(&lab.router, "gateway");
    let command = ["-j", "drop", "watch", "--reason", "no-flow"];
    let mut watchers: Vec<_> = (0..4).map(|_| Watcher::start(&lab, &command)).collect();
    lab.expect_drops("no-flow", 1, || link.send(&syn(Family::Ipv4, 4_000, 22)));

    let refused = lab.eigw(&command).failure(1);
    for watcher in &watchers {
        let pid = watcher.child.id().to_string();
        assert!(refused.contains(&pid), "{pid} is not in {refused}");
    }
    let mut killed = watchers.remove(1);
    assert_eq!(killed.end(Signal::SIGKILL).code(), None);
    assert_eq!(watched_places(&lab), [0, 1, 2, 3], "nobody has cleared the place yet");
    // Until then, what happens fills a ring that nobody reads.
    lab.expect_drops("no-flow", 1, || link.send(&syn(Family::Ipv4, 4_000, 22)));
    lab.attach(Hook::Xdp);
    assert_eq!(watched_places(&lab), [0, 2, 3], "attaching clears the place");
    watchers.push(Watcher::start(&lab, &command));
    let mut killed = watchers.remove(0);
    killed.end(Signal::SIGKILL);
    assert_eq!(watched_places(&lab), [0, 1, 2, 3]);
    // The next one clears the place and takes it, so that as many watch as before.
    let mut next = lab.eigw_command(&["drop", "watch", "--count", "1"]);
    let mut next = next.stdout(Stdio::piped()).spawn().expect("eigw starts");
    let mut headings = String::new();
    let stdout = next.stdout.take().expect("a pipe");
    let mut stdout = BufReader::new(stdout);
    stdout.read_line(&mut headings).expect("the headings, when it watches");
    assert!(headings.starts_with("TIME "), "{headings}");
    lab.expect_drops("no-flow", 1, || link.send(&syn(Family::Ipv4, 4_000, 22)));

    let status = tests::wait::until("the packet that is enough", || {
        next.try_wait().expect("it is our child")
    });
    assert_eq!(status.code(), Some(0));
    for (watcher, packets) in watchers.into_iter().zip([3, 3, 1]) {
        let (shown, missing) = watcher.interrupt();
        assert_eq!((shown.len(), &missing["lost"]), (packets, &0.into()));
    }
    lab.attach(Hook::Xdp);
    assert_eq!(observed(&lab), 0);
}
