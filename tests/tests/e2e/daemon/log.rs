//! What the daemon writes to its log.

use std::{fs::File, os::unix::fs::MetadataExt};

use nix::sys::signal::Signal;
use serde_json::Value;
use tests::{
    eigw::NAME,
    topology::{Lab, UPLINK},
};

use super::{Daemon, Home};

/// Programs read one object a line, with the fields beside the message.
#[test]
fn the_log_is_json_on_request() {
    let lab = Lab::new();
    let home = Home::new();
    home.configure("");
    let arguments = ["-c", home.file(), "--log-format", "json", "-v"];
    let mut daemon = Daemon::start(&lab, &home, &arguments);
    daemon.expect_ready();
    daemon.reload();
    daemon.end(Signal::SIGTERM);
    let text = daemon.stderr();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let line = |message: &str| {
        let found = lines.iter().find(|line| line["message"] == message);
        found.unwrap_or_else(|| panic!("no '{message}' in {text}"))
    };
    let attached = line("attached");
    assert_eq!((&attached["gateway"], &attached["uplink"]), (&NAME.into(), &UPLINK.into()));
    let ifindex = &lab.eigw_json(&["status"])[0]["uplinks"][0]["ifindex"];
    assert!(ifindex.is_u64() && attached["ifindex"] == *ifindex, "{attached}");
    let reloaded = line("reloaded");
    assert_eq!((&reloaded["level"], &reloaded["generation"]), (&"INFO".into(), &2.into()));
}

/// The journal takes priorities from the lines' beginnings and has times of its own; `EIGW_LOG`
/// says what is written at all.
#[test]
fn the_journal_gets_priorities() {
    let lab = Lab::new();
    let home = Home::new();
    home.configure("");
    // The daemon's standard error, which keeps its inode when it is opened again.
    let stream = File::create(home.directory.path().join("stderr")).expect("create a file");
    let stream = stream.metadata().expect("an open file");
    let stream = format!("{}:{}", stream.dev(), stream.ino());
    for (filter, lines) in [("info", 1), ("error", 0)] {
        let variables = [("JOURNAL_STREAM", stream.as_str()), ("EIGW_LOG", filter)];
        let mut daemon = Daemon::start_with(&lab, &home, &["-c", home.file()], &variables);
        daemon.expect_ready();
        daemon.end(Signal::SIGTERM);
        let text = daemon.stderr();
        let attached = |line: &&str| line.starts_with("<6>attached gateway=wan uplink=uplink ");
        assert_eq!(text.lines().filter(attached).count(), lines, "{text}");
    }
    let variables = [("EIGW_LOG", "eigw=loud")];
    let mut daemon = Daemon::start_with(&lab, &home, &["-c", home.file()], &variables);
    assert_eq!(daemon.status().code(), Some(2));
    daemon.expect_stderr("EIGW_LOG='eigw=loud' is no filter");
}
