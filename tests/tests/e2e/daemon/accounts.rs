//! Accounts have every byte of every flow once, however flows end and however the daemon does.

use std::{
    ops::Range,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use aya::{TestRun as _, TestRunOptions, programs::SchedClassifier};
use gateway_common::{abi::name, counter::FlowEvent, tuple::Family};
use nix::sys::signal::Signal;
use serde_json::Value;
use tests::{
    eigw::NAME,
    rows::prelude::Flow,
    socket,
    topology::{INSIDE, Lab, OUTSIDE, STRANGER},
    wait::{self, PATIENCE},
};

use super::{Daemon, Home};

const FILE: &str = "\
[timeouts]
udp_dns = 1
tcp_closing = 1
tcp_time_wait = 1
[cost]
per_gb = 0.09
currency = 'USD'
[[cost.prefix]]
name = 'peer'
prefixes = ['10.77.3.2', '2a00:2:0:b::2']
per_gb = 500000
[[rule]]
name = 'names'
direction = 'out'
action = 'allow'
proto = 'udp'
ports = 53
";

/// Every way to end, with a daemon, without one, and with one that is killed at any moment.
#[test]
fn accounts_are_exact_however_flows_and_daemons_end() {
    let lab = Lab::new();
    let home = Home::new();
    home.configure(FILE);
    let server = OUTSIDE.port(Family::Ipv4, 80);
    let _service = socket::tcp_echo(&lab.outside, server);
    let mut daemon = Daemon::start(&lab, &home, &["-c", home.file()]);
    daemon.expect_ready();
    // What lives on, what expires, and a connection that is closed.
    send(&lab, STRANGER.v4.into(), 9, 0..50);
    send(&lab, OUTSIDE.v4.into(), 53, 0..300);
    socket::tcp_exchange(&lab.inside, server, b"hello", PATIENCE).expect("an answer");
    expect_exact(&lab);
    // Deleted, revoked by a reload, and opened again.
    lab.eigw(&["flow", "delete", "--local-port", "1007"]).success();
    home.configure(&format!(
        "{FILE}[[rule]]\ndirection='out'\naction='deny'\nproto='udp'\nports=9\n"
    ));
    daemon.reload();
    send(&lab, STRANGER.v4.into(), 9, 30..40);
    home.configure(FILE);
    daemon.reload();
    send(&lab, STRANGER.v4.into(), 9, 10..30);
    daemon.end(Signal::SIGKILL);
    // While nobody looks.
    send(&lab, OUTSIDE.v6.into(), 53, 0..40);
    lab.eigw(&["flow", "delete", "--local-port", "1012"]).success();
    let mut daemon = Daemon::start(&lab, &home, &["-c", home.file()]);
    daemon.expect_ready();
    expect_exact(&lab);

    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let (gateway, mut first) = (lab.gateway_maps(), 0);
            while !is_over.load(Ordering::Relaxed) {
                // Flows end no faster than they expire.
                if gateway.flows().expect("flows").len() < 2_000 {
                    send(&lab, OUTSIDE.v4.into(), 53, first..first + 200);
                    first = (first + 100) % 3_000;
                }
            }
        });
        for _ in 0..6 {
            let ended = ended(&lab);
            wait::until_true("flows to end", || self::ended(&lab) > ended + 100);
            daemon.end(Signal::SIGKILL);
            daemon = Daemon::start(&lab, &home, &["-c", home.file()]);
            daemon.expect_ready();
        }
        is_over.store(true, Ordering::Relaxed);
    });
    expect_exact(&lab);
    let gateway = lab.gateway_maps();
    let events = gateway.flow_events().expect("events");
    for event in [
        FlowEvent::Expired,
        FlowEvent::Closed,
        FlowEvent::Deleted,
        FlowEvent::Revoked,
        FlowEvent::Replaced,
    ] {
        let count = events[event as usize].1;
        assert!(count > 0 || event == FlowEvent::Replaced, "{event:?}: {events:?}");
    }
    assert_eq!(events[FlowEvent::RecordLost as usize].1, 0);

    let by_rule = accounts(&lab, "rule");
    assert!(account(&by_rule, "names")["packets_out"].as_u64() > Some(340), "{by_rule:#}");
    let by_destination = accounts(&lab, "destination");
    let peer = account(&by_destination, "peer");
    let bytes = peer["bytes_out"].as_u64().expect("a number");
    // 500000 a GB are 0.0005 a byte.
    let cost = peer["cost"].as_f64().expect("a price");
    #[expect(clippy::cast_precision_loss, reason = "a test sends few bytes")]
    let expected = bytes as f64 * 0.0005;
    assert!((cost - expected).abs() < 1e-6, "{cost} for {bytes} bytes");

    // An end in order, and a gateway of the same name with flows of its own.
    daemon.end(Signal::SIGTERM);
    let before = accounts(&lab, "host");
    lab.detach();
    let daemon = Daemon::start(&lab, &home, &["-c", home.file()]);
    daemon.expect_ready();
    send(&lab, STRANGER.v4.into(), 9, 0..1);
    let expected = before["total"]["packets_out"].as_u64().expect("a number") + 1;
    wait::until_true("the accounts to go on", || {
        accounts(&lab, "host")["total"]["packets_out"].as_u64() == Some(expected)
    });
    assert_eq!(accounts(&lab, "host")["since"], before["since"]);
    let stats = lab.eigw_json(&["stats", "show"]);
    assert_eq!(stats["cost"]["currency"], "USD", "{stats:#}");
    assert_eq!(stats["cost"]["total"]["packets_out"], expected, "{stats:#}");
}

/// Waits until the accounts have what the packet path counted, and each list adds up to that.
#[track_caller]
fn expect_exact(lab: &Lab) {
    let mut last = (Value::Null, Value::Null);
    let mut is_exact = || {
        let stats = lab.eigw_json(&["stats", "show"]);
        let counted = |direction: &str, field: &str| {
            let rows = stats["verdicts"].as_array().expect("an array").iter();
            let rows = rows.filter(|row| {
                let reason = row["reason"].as_str().expect("a name");
                row["direction"] == direction && ["flow", "flow-created"].contains(&reason)
            });
            rows.map(|row| row[field].as_u64().expect("a number")).sum::<u64>()
        };
        let total = &stats["cost"]["total"];
        last = (stats["verdicts"].clone(), total.clone());
        for direction in ["out", "in"] {
            for field in ["packets", "bytes"] {
                if total[format!("{field}_{direction}")] != counted(direction, field) {
                    return false;
                }
            }
        }
        true
    };
    for _ in 0..100 {
        if is_exact() {
            break;
        }
        thread::sleep(std::time::Duration::from_millis(200));
    }
    assert!(is_exact(), "the packet path counted {:#}, the accounts have {:#}", last.0, last.1);
    for by in ["host", "destination", "rule"] {
        let view = accounts(lab, by);
        for field in ["flows", "packets_out", "bytes_out", "packets_in", "bytes_in"] {
            let named = view["accounts"].as_array().expect("an array").iter();
            let sum = named.chain([&view["other"]]).map(|it| it[field].as_u64().expect("a number"));
            assert_eq!(view["total"][field], sum.sum::<u64>(), "{field} of {view:#}");
        }
    }
}

fn accounts(lab: &Lab, by: &str) -> Value {
    lab.eigw_json(&["stats", "cost", "--by", by])
}

#[track_caller]
fn account<'v>(view: &'v Value, name: &str) -> &'v Value {
    let accounts = view["accounts"].as_array().expect("an array");
    let found = accounts.iter().find(|account| account["name"] == name);
    found.unwrap_or_else(|| panic!("no account of {name} in {view:#}"))
}

fn ended(lab: &Lab) -> u64 {
    let events = lab.gateway_maps().flow_events().expect("events");
    events.iter().filter(|(event, _)| event.is_end()).map(|(_, count)| count).sum()
}

/// Sends a packet of a UDP flow towards a port from each of these ports.
fn send(lab: &Lab, to: std::net::IpAddr, port: u16, ports: Range<u16>) {
    let directory = lab.bpffs.path().join("eigw").join(NAME).join("programs");
    let egress = SchedClassifier::from_pin(directory.join(name::EGRESS_TC)).expect("pinned");
    let family = if to.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 };
    let inside = INSIDE.ip(family);
    for number in ports {
        let frame = Flow::udp(inside, 1_000 + number, to, port).out().frame();
        let options = TestRunOptions { data_in: Some(&frame), ..TestRunOptions::default() };
        egress.test_run(options).expect("the program runs");
    }
}
