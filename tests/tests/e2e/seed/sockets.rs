//! Connections of the gateway's own host.

use std::{
    io,
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use gateway_common::tuple::Family;
use serde_json::{Value, json};
use tests::{
    address::FAMILIES,
    eigw::Hook,
    topology::{GATEWAY, Lab, OUTSIDE},
    wait::{self, PATIENCE},
};

use super::pair::{Channel, Pair, Side, answer, attach, seeded};
use crate::in_every_hook;

in_every_hook!(connections_of_this_host_go_on);

/// RFC6092-REC-32, E136: connections in both families, opened by either side, which are idle when
/// the gateway is attached.
fn connections_of_this_host_go_on(hook: Hook) {
    let lab = Lab::new();
    let pairs = pairs(&lab);
    assert_eq!(attach(&lab, hook, &[]), [pairs.len() as u64, 0, 0]);
    let flows = lab.flows();
    assert_eq!(flows.len(), pairs.len(), "{flows:#?}");
    for pair in &pairs {
        let flow = flow_of(&flows, pair.inside.local(), pair.outside.local());
        let is_udp = flow["proto"] == "udp";
        let state = if is_udp { "replied" } else { "established" };
        assert_eq!((&flow["state"], &flow["packets_in"]), (&json!(state), &json!(0)), "{flow}");
        pair.goes_on(b"after");
    }
    assert_eq!(lab.packets("in", "no-flow"), 0);
}

/// The same without seeding: outside is not heard any more.
#[test]
fn without_seeding_idle_connections_are_cut() {
    let lab = Lab::new();
    let pairs = pairs(&lab);
    lab.attach_with(Hook::Xdp, &["--no-seed"]);
    assert_eq!(lab.flows(), Vec::<Value>::new());
    for pair in &pairs {
        pair.is_cut(&lab, "no-flow");
    }
}

/// A dual-stack server's IPv4 connections, whose addresses the kernel lists as IPv6.
#[test]
fn dual_stack_sockets_are_known_by_their_ipv4_addresses() {
    let lab = Lab::new();
    let any: SocketAddr = "[::]:22".parse().expect("an address");
    let target = GATEWAY.port(Family::Ipv4, 22);
    let pair = Pair::tcp(&lab.gateway, any, &lab.outside, target, Side::Client);
    assert_eq!(attach(&lab, Hook::Xdp, &[]), [1, 0, 0]);
    assert_eq!(lab.flows()[0]["family"], "ipv4");
    pair.goes_on(b"after");
}

/// Connections that do not use the uplink have no flows: within the host, and with its inside
/// network. Those that are over have none either.
#[test]
fn other_connections_are_left_alone() {
    let lab = Lab::new();
    let loopback: SocketAddr = "127.0.0.1:80".parse().expect("an address");
    let own = GATEWAY.port(Family::Ipv6, 81);
    let inner = tests::topology::GATEWAY_INSIDE.port(Family::Ipv4, 82);
    let pairs = [
        Pair::tcp(&lab.gateway, loopback, &lab.gateway, loopback, Side::Client),
        Pair::tcp(&lab.gateway, own, &lab.gateway, own, Side::Client),
        Pair::tcp(&lab.gateway, inner, &lab.inside, inner, Side::Client),
    ];
    let target = GATEWAY.port(Family::Ipv4, 83);
    drop(Pair::tcp(&lab.gateway, target, &lab.outside, target, Side::Client));
    wait::until_true("the connection to be over", || {
        let sockets = lab.gateway.run(|| std::fs::read_to_string("/proc/thread-self/net/tcp"));
        // Port 83 in hexadecimal, in any state but LISTEN and TIME-WAIT.
        let sockets = sockets.expect("the kernel lists sockets");
        sockets
            .lines()
            .filter(|line| line.contains(":0053 "))
            .all(|line| [" 0A ", " 06 "].iter().any(|state| line.contains(state)))
    });
    assert_eq!(attach(&lab, Hook::Tc, &[]), [0, 0, 0]);
    for pair in &pairs {
        pair.goes_on(b"after");
    }
}

/// Connections that are half closed go on in the other direction.
#[test]
fn half_closed_connections_go_on() {
    let lab = Lab::new();
    for (port, state) in [(1, "fin-wait"), (2, "close-wait")] {
        let server = OUTSIDE.port(Family::Ipv6, port);
        let pair = Pair::tcp(&lab.outside, server, &lab.gateway, server, Side::Server);
        let (closing, other) = match port {
            1 => (&pair.inside, &pair.outside),
            _ => (&pair.outside, &pair.inside),
        };
        let Channel::Tcp(stream) = closing else { unreachable!("they are TCP") };
        stream.shutdown(std::net::Shutdown::Write).expect("shut down");
        wait::until_true("the end to arrive", || is_at_its_end(other));
        assert_eq!(attach(&lab, Hook::Xdp, &[]), [1, 0, 0]);
        assert_eq!(lab.flows()[0]["state"], state);
        other.send(b"after");
        closing.receive(b"after", PATIENCE).expect("the other direction goes on");
        lab.detach();
        drop(pair);
    }
}

/// Attaching again seeds nothing: what the gateway has cut stays cut. An uplink that is added brings
/// its connections along.
#[test]
fn only_uplinks_that_are_new_are_seeded() {
    let lab = Lab::new();
    lab.gateway.ip(&format!(
        "link add uplink2 type veth peer name gateway2 netns {}\n\
         link set uplink2 up\n\
         address add 10.77.4.1/24 dev uplink2\n",
        lab.router.name()
    ));
    lab.router.ip("link set gateway2 up\naddress add 10.77.4.2/24 dev gateway2\n");
    let [first, second] = ["10.77.2.1:22", "10.77.4.1:23"].map(|at| {
        let at: SocketAddr = at.parse().expect("an address");
        Pair::tcp(&lab.gateway, at, &lab.router, at, Side::Client)
    });
    assert_eq!(attach(&lab, Hook::Xdp, &[]), [1, 0, 0]);
    lab.eigw(&["flow", "flush"]).success();
    let again = answer(&lab, Hook::Xdp, &[]);
    assert_eq!(again["seeded"], Value::Null);
    first.is_cut(&lab, "no-flow");
    let both = answer(&lab, Hook::Xdp, &["--uplink", "uplink2"]);
    assert_eq!(seeded(&both), [1, 0, 0], "{both:#}");
    second.goes_on(b"after");
    first.is_cut(&lab, "no-flow");
}

/// Only outside sends, without a pause, while the gateway is attached: nothing of it is lost.
#[test]
fn no_datagram_from_outside_is_lost_while_attaching() {
    let lab = Lab::new();
    let pairs = FAMILIES
        .map(|family| Pair::udp(&lab.outside, OUTSIDE.port(family, 9), &lab.gateway, Side::Server));
    let (stop, heard) = (AtomicBool::new(false), AtomicU64::new(0));
    let talk = |pair: &Pair| {
        let mut number = 0_u64;
        while !stop.load(Ordering::Acquire) {
            number += 1;
            pair.outside.send(&number.to_be_bytes());
            let result = pair.inside.receive(&number.to_be_bytes(), PATIENCE);
            result.unwrap_or_else(|error| panic!("datagram {number} was lost: {error}"));
            heard.fetch_add(1, Ordering::Release);
        }
    };
    thread::scope(|scope| {
        let talkers = pairs.each_ref().map(|pair| scope.spawn(|| talk(pair)));
        let progress = || {
            let goal = heard.load(Ordering::Acquire) + 500;
            wait::until_true("datagrams to arrive", || {
                heard.load(Ordering::Acquire) >= goal
                    || talkers.iter().any(thread::ScopedJoinHandle::is_finished)
            });
        };
        for _ in 0..3 {
            progress();
            assert_eq!(attach(&lab, Hook::Xdp, &[]), [2, 0, 0]);
            progress();
            lab.detach();
        }
        stop.store(true, Ordering::Release);
    });
}

/// The connections of a machine in use: TCP that either side opened, and UDP.
fn pairs(lab: &Lab) -> Vec<Pair> {
    let of_family = |family| {
        let ssh = GATEWAY.port(family, 22);
        let (web, quic) = (OUTSIDE.port(family, 443), OUTSIDE.port(family, 444));
        [
            Pair::tcp(&lab.gateway, ssh, &lab.outside, ssh, Side::Client),
            Pair::tcp(&lab.outside, web, &lab.gateway, web, Side::Server),
            Pair::udp(&lab.outside, quic, &lab.gateway, Side::Server),
        ]
    };
    FAMILIES.into_iter().flat_map(of_family).collect()
}

#[track_caller]
fn flow_of(flows: &[Value], local: SocketAddr, remote: SocketAddr) -> &Value {
    let has = |flow: &&Value, side: &str, at: SocketAddr| {
        flow[side] == at.ip().to_string() && flow[format!("{side}_port")] == at.port()
    };
    flows
        .iter()
        .find(|flow| has(flow, "local", local) && has(flow, "remote", remote))
        .unwrap_or_else(|| panic!("no flow {local} to {remote} in {flows:#?}"))
}

fn is_at_its_end(channel: &Channel) -> bool {
    let Channel::Tcp(stream) = channel else { return false };
    let peeked = |stream: &TcpStream| -> io::Result<usize> {
        stream.set_read_timeout(Some(Duration::from_millis(10)))?;
        stream.peek(&mut [0])
    };
    peeked(stream).is_ok_and(|bytes| bytes == 0)
}
