//! Many connections, and more than there is room for.

use std::{
    net::{TcpListener, TcpStream},
    time::Instant,
};

use gateway_common::tuple::Family;
use tests::{
    config::ConfigFile,
    eigw::Hook,
    topology::{Lab, OUTSIDE},
    wait::PATIENCE,
};

use super::pair::{Channel, Pair, answer, seeded};

const MANY: usize = 1_000;

/// RFC6092-REC-32, E136: a thousand connections at once.
#[test]
fn a_thousand_connections_go_on() {
    let lab = Lab::new();
    let pairs = many(&lab);
    assert_eq!(seeded(&answer(&lab, Hook::Xdp, &[])), [MANY as u64, 0, 0]);
    assert_eq!(lab.flows_matching(&["--state", "established"]).len(), MANY);
    for pair in &pairs {
        pair.goes_on(b"after");
    }
}

/// RFC6888-REQ-4: no host gets more than its share. What is beyond it waits among the half-open
/// flows, of which it takes half at most; the rest is skipped, with a note.
#[test]
fn what_finds_no_room_is_skipped_with_a_note() {
    let lab = Lab::new();
    let pairs = many(&lab);
    let file = ConfigFile::of_lab(
        "[flows]\nestablished_max = 1024\nhalf_open_max = 1024\nestablished_per_host = 100\n",
    );
    let answer = answer(&lab, Hook::Xdp, &["-c", file.path()]);
    assert_eq!(seeded(&answer), [612, 0, 388], "{answer:#}");
    let notes = answer["notes"].to_string();
    assert!(notes.contains("388 of 1000 connections could not be seeded"), "{notes}");
    let tables = &lab.eigw_json(&["stats", "show"])["flows"];
    assert_eq!((&tables["established"], &tables["half_open"]), (&100.into(), &512.into()));
    let known = lab.flows();
    let is_known = |pair: &&Pair| {
        let port = pair.inside.local().port();
        known.iter().any(|flow| flow["local_port"] == port)
    };
    pairs.iter().filter(is_known).for_each(|pair| pair.goes_on(b"after"));
    // Inside's share frees itself as its flows go.
    lab.eigw(&["flow", "flush"]).success();
    lab.detach();
    for pair in &pairs {
        pair.goes_on(b"open again");
    }
}

/// Connections from the gateway's own host to one port outside.
fn many(lab: &Lab) -> Vec<Pair> {
    let server = OUTSIDE.port(Family::Ipv6, 443);
    let listener = lab.outside.run(|| TcpListener::bind(server)).expect("the port is free");
    let begun = Instant::now();
    let connect = || {
        let inside = TcpStream::connect(server).expect("a connection");
        let (outside, _) = listener.accept().expect("the connection");
        assert!(begun.elapsed() < PATIENCE, "connecting takes too long");
        Pair { inside: Channel::Tcp(inside), outside: Channel::Tcp(outside), listener: None }
    };
    lab.gateway.run(|| (0..MANY).map(|_| connect()).collect())
}
