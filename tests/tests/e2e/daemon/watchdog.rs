//! Signs of life for the service manager.

use std::{fs, io, time::Duration};

use gateway_common::tuple::Family;
use tests::{
    eigw::NAME,
    icmp,
    topology::{INSIDE, Lab},
    wait::PATIENCE,
};

use super::{Daemon, Home};

/// How long the service manager waits for a sign of life.
const WATCHDOG_USEC: &str = "600000";

/// The daemon that cannot reach its gateway any more gives no sign of life, so that the service
/// manager notices; the gateway itself goes on.
#[test]
fn signs_of_life_end_with_the_gateway() {
    let lab = Lab::new();
    let home = Home::new();
    home.configure("");
    let variables = [("WATCHDOG_USEC", WATCHDOG_USEC)];
    let daemon = Daemon::start_with(&lab, &home, &["-c", home.file()], &variables);
    daemon.expect_ready();
    expect_sign(&daemon);
    expect_sign(&daemon);

    let programs = lab.bpffs.path().join("eigw").join(NAME).join("programs");
    let (pin, elsewhere) = (programs.join("clock"), programs.join("hidden"));
    fs::rename(&pin, &elsewhere).expect("the clock program is pinned");
    daemon.expect_stderr("the watchdog gets no sign of life");
    expect_silence(&home);
    icmp::ping(&lab.outside, INSIDE.ip(Family::Ipv6)).expect_err("the uplink is protected");

    fs::rename(&elsewhere, &pin).expect("the clock program is pinned");
    expect_sign(&daemon);
    daemon.expect_stderr("the gateway answers again");
}

/// Without a watchdog nobody is bothered.
#[test]
fn nobody_asks_for_signs_of_life() {
    let lab = Lab::new();
    let home = Home::new();
    home.configure("");
    let daemon = Daemon::start(&lab, &home, &["-c", home.file()]);
    daemon.expect_ready();
    expect_silence(&home);
}

#[track_caller]
fn expect_sign(daemon: &Daemon<'_>) {
    while !daemon.message().lines().any(|line| line == "WATCHDOG=1") {}
}

/// Makes sure that no sign of life comes in the time in which the service manager wants one. What
/// it was told before does not count.
#[track_caller]
fn expect_silence(home: &Home) {
    let usec = WATCHDOG_USEC.parse().expect("a number");
    let mut message = [0; 4096];
    home.manager.set_nonblocking(true).expect("it is open");
    while home.manager.recv(&mut message).is_ok() {}
    home.manager.set_nonblocking(false).expect("it is open");
    home.manager.set_read_timeout(Some(Duration::from_micros(usec))).expect("not zero");
    loop {
        match home.manager.recv(&mut message) {
            Ok(len) => {
                let text = String::from_utf8_lossy(&message[..len]);
                assert!(!text.contains("WATCHDOG"), "a sign of life: {text}");
            }
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}");
                break;
            }
        }
    }
    home.manager.set_read_timeout(Some(PATIENCE)).expect("not zero");
}
