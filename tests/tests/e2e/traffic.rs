//! What inside opens is answered.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;

use serde_json::Value;
use tests::{
    address::{Dual, FAMILIES},
    eigw::Hook,
    icmp::{self, Pinger},
    netns::Netns,
    socket::{self, Server},
    topology::{GATEWAY, INSIDE, Lab, OUTSIDE},
    wait::PATIENCE,
};

use crate::in_every_hook;

in_every_hook!(what_inside_opens_is_answered);
in_every_hook!(a_half_closed_connection_still_delivers);

/// RFC6092-REC-31, RFC6092-REC-17, RFC4890-4.3.1-ECHO, RFC2979-3: TCP, UDP and ping work as
/// without a gateway, for hosts behind it and for itself, and nothing at all is dropped. E152: over
/// these links an answer may be back before its question's sender goes on.
fn what_inside_opens_is_answered(hook: Hook) {
    let lab = Lab::new();
    let _services = services(&lab);
    lab.attach(hook);
    for (host, _) in clients(&lab) {
        for family in FAMILIES {
            let server = OUTSIDE.port(family, 7);
            let payload: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
            let echoed = socket::tcp_exchange(host, server, &payload, PATIENCE).expect("TCP");
            assert!(echoed == payload, "the gateway changed what TCP carries");
            let echoed = socket::udp_exchange(host, server, b"datagram", PATIENCE).expect("UDP");
            assert_eq!(echoed, b"datagram");
            let pinger = Pinger::new(host, OUTSIDE.ip(family)).expect("a ping socket");
            for sequence in 1..=3 {
                pinger.ping(sequence).expect("an echo reply");
            }
        }
    }
    assert_eq!(drops(&lab), Vec::<Value>::new(), "nothing had to be dropped");
    assert!(lab.packets("in", "flow") > 0 && lab.packets("out", "flow-created") >= 12);
}

/// RFC6092-REC-31, E139: after inside has said all, outside may still answer at length.
fn a_half_closed_connection_still_delivers(hook: Hook) {
    const ANSWER: usize = 300_000;
    let lab = Lab::new();
    let server = |mut stream: std::net::TcpStream| {
        let mut question = Vec::new();
        stream.read_to_end(&mut question)?;
        stream.write_all(&vec![question[0]; ANSWER])
    };
    let _services =
        FAMILIES.map(|family| Server::tcp(&lab.outside, OUTSIDE.port(family, 9), server));
    lab.attach(hook);
    for family in FAMILIES {
        let server = OUTSIDE.port(family, 9);
        let mut stream = socket::connect(&lab.inside, server, PATIENCE).expect("a connection");
        stream.write_all(b"?").expect("the question is sent");
        stream.shutdown(Shutdown::Write).expect("half closed");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("the answer comes");
        assert_eq!(answer, vec![b'?'; ANSWER]);
    }
    assert_eq!(drops(&lab), Vec::<Value>::new(), "nothing had to be dropped");
}

/// RFC9293-ECN: the network's own congestion marks and negotiation pass.
#[test]
fn connections_with_explicit_congestion_notification_work() {
    let lab = Lab::new();
    for host in [&lab.inside, &lab.outside] {
        host.sysctl(&[("net/ipv4/tcp_ecn", "1")]);
    }
    let _services = services(&lab);
    lab.attach(Hook::Tc);
    for family in FAMILIES {
        let echoed = socket::tcp_exchange(&lab.inside, OUTSIDE.port(family, 7), b"ecn", PATIENCE);
        assert_eq!(echoed.expect("an ECN connection"), b"ecn");
    }
    assert_eq!(drops(&lab), Vec::<Value>::new(), "nothing had to be dropped");
}

/// E108, RFC5508-REQ-6: every one of a run of pings is answered over one flow.
#[test]
fn one_ping_flow_serves_a_run_of_pings() {
    let lab = Lab::new();
    lab.attach(Hook::Xdp);
    for family in FAMILIES {
        let pinger = Pinger::new(&lab.inside, OUTSIDE.ip(family)).expect("a ping socket");
        let created = lab.packets("out", "flow-created");
        for sequence in 1..=20 {
            pinger.ping(sequence).expect("an echo reply");
        }
        assert_eq!(lab.packets("out", "flow-created"), created + 1);
    }
}

/// RFC4890-4.4.1-ND: pinging the next hop itself works, by global and by link-local address.
#[test]
fn the_router_next_door_answers() {
    let lab = Lab::new();
    lab.attach(Hook::Tc);
    for family in FAMILIES {
        icmp::ping(&lab.gateway, tests::topology::ROUTER.ip(family)).expect("an echo reply");
    }
}

/// An echo service in TCP and UDP on the outside host.
fn services(lab: &Lab) -> Vec<Server> {
    let both = FAMILIES.map(|family| {
        let address = OUTSIDE.port(family, 7);
        [socket::tcp_echo(&lab.outside, address), socket::udp_echo(&lab.outside, address)]
    });
    both.into_iter().flatten().collect()
}

/// Whom the gateway protects: a host behind it, and itself.
fn clients(lab: &Lab) -> [(&Netns, Dual); 2] {
    [(&lab.inside, INSIDE), (&lab.gateway, GATEWAY)]
}

/// The counters of all drops.
pub(crate) fn drops(lab: &Lab) -> Vec<Value> {
    let stats = lab.eigw_json(&["stats", "show"]);
    let verdicts = stats["verdicts"].as_array().expect("stats have verdicts").iter();
    let dropped = |row: &&Value| row["verdict"] == "drop" && row["packets"] != 0;
    verdicts.filter(dropped).cloned().collect()
}
