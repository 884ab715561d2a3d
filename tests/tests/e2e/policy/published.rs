//! Services inside that a rule publishes.

use std::{
    io::{self, Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use serde_json::Value;
use socket2::SockRef;
use tests::{
    address::FAMILIES,
    eigw::Hook,
    icmp,
    socket::{self, Server},
    topology::{GATEWAY, INSIDE, Lab, OUTSIDE},
    wait::{self, PATIENCE},
};

use super::{assert_unreachable, rule};
use crate::{in_every_hook, traffic::drops};

in_every_hook!(a_connection_has_a_flow_once_inside_has_spoken);
in_every_hook!(datagrams_and_pings_need_no_flow);
in_every_hook!(a_client_may_connect_again_from_the_same_port);
in_every_hook!(path_mtu_discovery_reaches_a_published_service);

/// What these tests publish.
fn policy() -> String {
    [
        rule("in", "allow", "name = \"web\"\nproto = \"tcp\"\nports = 443"),
        rule("in", "allow", "name = \"dns\"\nproto = \"udp\"\nports = 53"),
        rule("in", "allow", "name = \"ping4\"\nproto = \"icmp\"\nicmp_types = 8"),
        rule("in", "allow", "name = \"ping6\"\nproto = \"icmpv6\"\nicmp_types = 128"),
    ]
    .concat()
}

/// A client's handshake leaves no trace; what inside says on the connection opens its flow, which
/// carries the rest. Hosts behind the gateway and the gateway itself may offer services.
fn a_connection_has_a_flow_once_inside_has_spoken(hook: Hook) {
    let lab = Lab::new();
    lab.attach_policy(hook, &policy());
    for (host, at) in [(&lab.inside, INSIDE), (&lab.gateway, GATEWAY)] {
        for family in FAMILIES {
            let server = socket::tcp_echo(host, at.port(family, 443));
            let (hits, flows) = (lab.hits("web"), lab.flows().len());
            let client = socket::connect(&lab.outside, server.address(), PATIENCE);
            let client = client.expect("the service is published");
            // The SYN and the acknowledgement that completes the handshake; none opens a flow.
            wait::until_true("the handshake", || lab.hits("web") >= hits + 2);
            assert_eq!(lab.flows().len(), flows, "a handshake is no reason for a flow");
            let payload: Vec<u8> = (0..=250).cycle().take(300_000).collect();
            let echoed = socket::exchange(&client, &payload).expect("an echo");
            assert!(echoed == payload, "the gateway changed what TCP carries");
            assert_eq!(lab.flows().len(), flows + 1);
            let decided = lab.hits("web");
            socket::exchange(&client, &payload).expect("an echo");
            assert_eq!(lab.hits("web"), decided, "packets of live flows ask no rule");
            let flow = &lab.flows_matching(&["--local", &at.ip(family).to_string()])[0];
            assert_eq!((&flow["local_port"], &flow["proto"]), (&443.into(), &"tcp".into()));
        }
    }
    assert_eq!(drops(&lab), Vec::<Value>::new(), "nothing had to be dropped");
    for family in FAMILIES {
        let other = INSIDE.port(family, 80);
        lab.expect_drops("no-flow", 1, || assert_unreachable(&lab.outside, other));
    }
}

/// Queries that may be forged fill no table: neither they nor their answers open flows, however
/// large they are.
fn datagrams_and_pings_need_no_flow(hook: Hook) {
    let lab = Lab::new();
    lab.attach_policy(hook, &policy());
    for (host, at) in [(&lab.inside, INSIDE), (&lab.gateway, GATEWAY)] {
        for family in FAMILIES {
            let server = socket::udp_echo(host, at.port(family, 53));
            let published = lab.packets("out", "published");
            for len in [1, 1_000, 5_000] {
                let query = vec![0x51; len];
                let answer = socket::udp_exchange(&lab.outside, server.address(), &query, PATIENCE);
                assert!(answer.expect("an answer") == query, "the gateway changed a datagram");
            }
            icmp::ping(&lab.outside, at.ip(family)).expect("pings are let in");
            assert!(lab.packets("out", "published") >= published + 4);
        }
    }
    assert_eq!(lab.flows(), Vec::<Value>::new());
    assert_eq!(drops(&lab), Vec::<Value>::new(), "nothing had to be dropped");
    assert_eq!(["ping4", "ping6"].map(|rule| lab.hits(rule)), [2, 2]);
    assert!(lab.hits("dns") >= 12);
}

/// The end of a connection, whoever ends it and however, is no obstacle to the next one on the
/// same ports.
fn a_client_may_connect_again_from_the_same_port(hook: Hook) {
    let lab = Lab::new();
    lab.attach_policy(hook, &policy());
    for family in FAMILIES {
        let server = Server::tcp(&lab.inside, INSIDE.port(family, 443), obey);
        let connect = || {
            let from = OUTSIDE.port(family, 50_000);
            socket::connect_from(&lab.outside, from, server.address(), PATIENCE)
        };
        for ending in [CLOSE, RESET, CLOSE, RESET, RESET] {
            let mut client = connect().expect("a connection on the ports of the old one");
            client.write_all(&[ECHO]).expect("sent");
            client.read_exact(&mut [0]).expect("an answer");
            client.write_all(&[ending]).expect("sent");
            let end = client.read(&mut [0]);
            let is_reset = end.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::ConnectionReset);
            assert_eq!(is_reset, ending == RESET, "{end:?}");
        }
        // The client resets, and comes back at once.
        for _ in 0..3 {
            let mut client = connect().expect("a connection on the ports of the old one");
            client.write_all(&[ECHO]).expect("sent");
            client.read_exact(&mut [0]).expect("an answer");
            SockRef::from(&client).set_linger(Some(Duration::ZERO)).expect("can be set");
        }
    }
}

/// The service answers, closes its connection, or resets it, as its client asks.
fn obey(mut stream: TcpStream) -> io::Result<()> {
    loop {
        let mut command = [0];
        stream.read_exact(&mut command)?;
        match command[0] {
            ECHO => stream.write_all(&command)?,
            CLOSE => return Ok(()),
            _ => return SockRef::from(&stream).set_linger(Some(Duration::ZERO)),
        }
    }
}

const ECHO: u8 = b'e';
const CLOSE: u8 = b'c';
const RESET: u8 = b'r';

/// RFC4890-4.3.1-PTB: an error about an answer that needed no flow gets through to whoever sent
/// the answer, and the next answer is cut to fit.
fn path_mtu_discovery_reaches_a_published_service(hook: Hook) {
    const NARROW: u16 = 1_400;
    let lab = Lab::new();
    lab.router.ip(&format!(
        "route add {}/32 dev outside mtu lock {NARROW}\n\
         route add {}/128 dev outside mtu lock {NARROW}\n",
        OUTSIDE.v4, OUTSIDE.v6
    ));
    lab.attach_policy(hook, &policy());
    for family in FAMILIES {
        let service = |request: &[u8]| Some(vec![request[0]; 1_450]);
        let server = Server::udp(&lab.inside, INSIDE.port(family, 53), service);
        let from = OUTSIDE.port(family, 0);
        let client = socket::udp_client_from(&lab.outside, from, server.address());
        let client = client.expect("a socket");
        let related = lab.packets("in", "related");
        client.send(b"1").expect("sent");
        wait::until_true("the path's MTU", || {
            let route = lab.inside.ip_output(&format!("route get {}", OUTSIDE.ip(family)));
            route.contains(&format!("mtu {NARROW}"))
        });
        assert_eq!(lab.packets("in", "related"), related + 1);
        client.send(b"2").expect("sent");
        let mut answer = [0; 2_000];
        let len = client.recv(&mut answer).expect("an answer that fits");
        assert_eq!((len, answer[0]), (1_450, b'2'));
    }
    assert_eq!(lab.flows(), Vec::<Value>::new());
}
