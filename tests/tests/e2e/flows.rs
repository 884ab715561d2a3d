//! The flow table as its reader sees it.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use gateway_common::tuple::Family;
use serde_json::{Value, json};
use tests::{
    address::FAMILIES,
    eigw::Hook,
    icmp::Pinger,
    socket::{self, Server},
    topology::{INSIDE, Lab, OUTSIDE, STRANGER},
    wait::{self, PATIENCE},
};

/// Each field of `flow show`, for a UDP flow of known packets.
#[test]
fn a_flow_is_shown_with_all_its_fields() {
    let lab = Lab::new();
    let _services = FAMILIES.map(|family| socket::udp_echo(&lab.outside, OUTSIDE.port(family, 7)));
    lab.attach(Hook::Xdp);
    // The headers are those of IP and UDP.
    for (family, name, header_bytes) in [(Family::Ipv4, "ipv4", 28), (Family::Ipv6, "ipv6", 48)] {
        let server = OUTSIDE.port(family, 7);
        let client = socket::udp_client(&lab.inside, server, PATIENCE).expect("a socket");
        for _ in 0..3 {
            client.send(b"12345").expect("sent");
            client.recv(&mut [0; 64]).expect("an answer");
        }
        let flow = only_flow(&lab, &["--remote", &server.ip().to_string()]);
        let expected = [
            ("proto", json!("udp")),
            ("family", json!(name)),
            ("local", json!(INSIDE.ip(family).to_string())),
            ("local_port", json!(client.local_addr().expect("bound").port())),
            ("remote", json!(server.ip().to_string())),
            ("remote_port", json!(7)),
            ("vlan", Value::Null),
            ("state", json!("replied")),
            ("packets_out", json!(3)),
            ("bytes_out", json!(3 * (header_bytes + 5))),
            ("packets_in", json!(3)),
            ("bytes_in", json!(3 * (header_bytes + 5))),
        ];
        for (field, value) in expected {
            assert_eq!(flow[field], value, "{field} of {flow}");
        }
        let ms = |field: &str| flow[field].as_u64().expect("milliseconds are numbers");
        assert!(ms("idle_ms") <= ms("age_ms") && ms("age_ms") < 20_000, "{flow}");
        // RFC6092-REC-14: five minutes after a reply.
        assert!((280_000..=300_000).contains(&ms("expires_in_ms")), "{flow}");
    }
}

/// RFC9293 states by name, RFC6092-REC-35 and RFC7857-2.2 by their deadlines: what a connection's
/// flow is called in each stage of its life.
#[test]
fn connections_go_through_their_states() {
    let lab = Lab::new();
    let patient = |mut stream: TcpStream| stream.read_to_end(&mut Vec::new()).map(drop);
    let hasty = |mut stream: TcpStream| {
        stream.write_all(b"bye")?;
        drop(stream);
        Ok(())
    };
    lab.attach(Hook::Tc);
    for family in FAMILIES {
        let _services = [
            Server::tcp(&lab.outside, OUTSIDE.port(family, 1), patient),
            Server::tcp(&lab.outside, OUTSIDE.port(family, 2), hasty),
        ];
        let state = |port: u16| {
            let remote = OUTSIDE.ip(family).to_string();
            let flow = only_flow(&lab, &["--remote", &remote, "--remote-port", &port.to_string()]);
            (flow["state"].as_str().expect("states are names").to_owned(), flow)
        };
        let expires_within = |flow: &Value, secs: std::ops::RangeInclusive<u64>| {
            let ms = flow["expires_in_ms"].as_u64().expect("milliseconds are numbers");
            assert!(secs.contains(&ms.div_ceil(1000)), "{flow}");
        };
        let connect = |port| {
            socket::connect(&lab.inside, OUTSIDE.port(family, port), PATIENCE).expect("connected")
        };

        let stream = connect(1);
        let (name, flow) = state(1);
        assert_eq!(name, "established");
        expires_within(&flow, 7_400..=7_440);
        stream.shutdown(std::net::Shutdown::Both).expect("closed");
        wait::until_true("both to have closed", || state(1).0 == "time-wait");
        expires_within(&state(1).1, 100..=120);

        let mut stream = connect(2);
        stream.read_to_end(&mut Vec::new()).expect("all of it");
        let (name, flow) = state(2);
        assert_eq!(name, "close-wait");
        expires_within(&flow, 220..=240);
        // Unread data and a lingering time of zero: closing now resets.
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("set");
        drop(stream);
        wait::until_true("the reset", || state(2).0 == "closed");
        expires_within(&state(2).1, 220..=240);
    }
}

/// RFC6092-REC-35: a connection that nobody answers is half open.
#[test]
fn an_unanswered_connection_is_half_open() {
    let lab = Lab::new();
    lab.outside.ip("route add blackhole 10.77.1.2/32\nroute add blackhole 2a00:1:0:a::2/128\n");
    lab.attach(Hook::Xdp);
    for family in FAMILIES {
        let briefly = Duration::from_millis(100);
        let server = OUTSIDE.port(family, 9);
        socket::connect(&lab.inside, server, briefly).expect_err("nobody answers");
        let flow = only_flow(&lab, &["--remote", &server.ip().to_string()]);
        assert_eq!((&flow["state"], &flow["packets_in"]), (&json!("syn-sent"), &json!(0)));
        let expires_ms = flow["expires_in_ms"].as_u64().expect("a number");
        assert!((220_000..=240_000).contains(&expires_ms), "{flow}");
    }
}

/// E107: an echo flow is known by its identifier.
#[test]
fn an_echo_flow_is_shown_by_its_identifier() {
    let lab = Lab::new();
    lab.attach(Hook::Xdp);
    for (family, proto) in FAMILIES.into_iter().zip(["icmp", "icmpv6"]) {
        let pinger = Pinger::new(&lab.inside, OUTSIDE.ip(family)).expect("a ping socket");
        pinger.ping(1).expect("an echo reply");
        let flow = only_flow(&lab, &["--remote", &OUTSIDE.ip(family).to_string()]);
        let id = pinger.identifier().expect("an identifier");
        assert_eq!((&flow["proto"], &flow["state"]), (&json!(proto), &json!("replied")));
        assert_eq!((&flow["local_port"], &flow["remote_port"]), (&json!(id), &json!(0)));
    }
}

/// Filters choose flows; `delete` and `flush` end them for good, at once.
#[test]
fn flows_are_filtered_counted_and_deleted() {
    let lab = Lab::new();
    let everybody: Vec<_> = FAMILIES
        .into_iter()
        .flat_map(|family| {
            [OUTSIDE, STRANGER].map(|at| socket::udp_echo(&lab.outside, at.port(family, 7)))
        })
        .collect();
    lab.attach(Hook::Xdp);
    let clients: Vec<_> = everybody
        .iter()
        .map(|service| {
            let client = socket::udp_client(&lab.inside, service.address(), PATIENCE);
            let client = client.expect("a socket");
            client.send(b"question").expect("sent");
            client.recv(&mut [0; 64]).expect("an answer");
            client
        })
        .collect();
    let count = |filter: &[&str]| lab.flows_matching(filter).len();
    assert_eq!(count(&[]), 4);
    assert_eq!(count(&["--proto", "udp", "--local", "10.77.1.0/24"]), 2);
    assert_eq!(count(&["--proto", "tcp"]), 0);
    assert_eq!(count(&["--remote", &OUTSIDE.v6.to_string()]), 1);
    assert_eq!(count(&["--remote", "2a00:2::/32", "--state", "replied"]), 2);
    let port = clients[0].local_addr().expect("bound").port().to_string();
    assert_eq!(count(&["--local-port", &port, "--local", "10.77.1.2"]), 1);

    lab.eigw(&["flow", "delete", "--remote", &OUTSIDE.v4.to_string()]).success();
    assert_eq!(count(&[]), 3);
    assert_dead(&lab, &everybody[0], &clients[0]);
    lab.eigw(&["flow", "flush"]).success();
    assert_eq!(count(&[]), 0);
    assert_dead(&lab, &everybody[3], &clients[3]);
}

/// What the server sends by itself no longer passes; the client opens the flow anew.
fn assert_dead(lab: &Lab, service: &Server, client: &std::net::UdpSocket) {
    let from = service.address();
    let to = client.local_addr().expect("bound");
    let packet = tests::packet::Packet::ip(from.ip(), to.ip())
        .macs(tests::topology::ROUTER_MAC, tests::topology::UPLINK_MAC)
        .udp(from.port(), to.port());
    let link = tests::capture::Link::open(&lab.router, "gateway");
    lab.expect_drops("no-flow", 1, || link.send(&packet.frame()));
    client.send(b"again").expect("sent");
    client.recv(&mut [0; 64]).expect("an answer over a new flow");
}

#[track_caller]
fn only_flow(lab: &Lab, filter: &[&str]) -> Value {
    match lab.flows_matching(filter).as_slice() {
        [flow] => flow.clone(),
        other => panic!("expected one flow for {filter:?}, found {other:#?}"),
    }
}
