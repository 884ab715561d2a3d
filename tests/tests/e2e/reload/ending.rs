//! What the new policy forbids ends with the switch, in both directions; what it allows does not.

use std::{
    io,
    net::{TcpStream, UdpSocket},
    sync::Arc,
    time::Duration,
};

use gateway_common::{
    tuple::{Direction, Family},
    verdict::Reason,
};
use tests::{
    address::FAMILIES,
    config::Prepared,
    eigw::Hook,
    socket::{self as plain, Server},
    topology::{INSIDE, Lab, OUTSIDE},
    wait::{self, PATIENCE},
};

use super::{
    barrage::Barrage,
    lane::{Allowed, Belief, Lane, socket},
    swaps,
};
use crate::in_every_hook;

in_every_hook!(forbidden_flows_end_with_the_switch);
in_every_hook!(a_published_connection_ends_with_its_rule);
in_every_hook!(a_revoked_connection_does_not_come_back);

/// A flow that both policies allow.
const KEPT: u16 = 5_000;
/// A flow that only A allows, on which both sides speak.
const TALKATIVE: u16 = 5_001;
/// A flow that only A allows, on which inside speaks only to open it.
const SILENT: u16 = 5_002;
/// A published service that both policies allow.
const OPEN: u16 = 7_000;
/// A published service that only A allows.
const CLOSED: u16 = 7_001;

/// With idle times that no phase of a slow run exceeds.
const POLICY_A: &str = "[timeouts]\nudp = 3600\nudp_unreplied = 3600\n\
    [[rule]]\ndirection = \"in\"\naction = \"allow\"\nproto = \"udp\"\nports = [7000, 7001]\n";
const POLICY_B: &str = "[timeouts]\nudp = 3600\nudp_unreplied = 3600\n\
    [[rule]]\ndirection = \"out\"\naction = \"deny\"\nproto = \"udp\"\nports = \"5001-5002\"\n\
    [[rule]]\ndirection = \"out\"\naction = \"allow\"\nproto = \"udp\"\nports = 5000\n\
    [[rule]]\ndirection = \"in\"\naction = \"deny\"\nproto = \"udp\"\nports = \"7001-7999\"\n\
    [[rule]]\ndirection = \"in\"\naction = \"allow\"\nproto = \"udp\"\nports = 7000\n";

/// From the moment in which a reload has returned, no datagram passes that the policy forbids, in
/// either direction, until the other policy is back. The first of a flow is dropped as
/// `policy-revoked`, later ones of inside as what they are without a flow, and those of outside
/// as `policy-revoked` as long as inside is silent. Flows and services that both policies allow
/// lose nothing at all meanwhile.
fn forbidden_flows_end_with_the_switch(hook: Hook) {
    let lab = Lab::new();
    lab.attach_policy(hook, POLICY_A);
    let (a, b) = (Prepared::of_lab(POLICY_A), Prepared::of_lab(POLICY_B));
    let (mut inside, mut outside, mut lanes) = (Vec::new(), Vec::new(), Vec::new());
    for family in FAMILIES {
        lanes.extend(lanes_of(&lab, family, &mut inside, &mut outside));
    }
    let mut barrage = Barrage::begin(&lab, lanes, [inside, outside]);
    barrage.settle(Belief::A);
    for _ in 0..swaps(hook) / 2 {
        let before = Drops::read(&barrage);
        barrage.swap(&b, Belief::B);
        let [revoked_out, revoked_in, no_flow, denied_in, silent, talkative, closed] =
            Drops::read(&barrage).since(&before);
        assert_eq!(revoked_out, 2, "the first datagram of inside of each family, and no other");
        // Those that were sent just before the switch arrived, all others have this reason.
        assert!(revoked_in > 0 && revoked_in <= silent + talkative);
        assert!(no_flow <= talkative, "a silent flow has to say that it was revoked");
        assert!(denied_in > 0 && denied_in <= closed, "{denied_in} of {closed}");
        barrage.swap(&a, Belief::A);
    }
    for direction in Direction::ALL {
        assert_eq!(barrage.drops(direction, Reason::NoPolicy), 0);
    }
    barrage.finish("ending");
}

/// The lanes of one family; their sockets go to the hosts' stations.
fn lanes_of(
    lab: &Lab,
    family: Family,
    inside: &mut Vec<Arc<UdpSocket>>,
    outside: &mut Vec<Arc<UdpSocket>>,
) -> Vec<Lane> {
    let mut lanes = Vec::new();
    let mut pair = |port: u16| {
        let here = socket(&lab.inside, INSIDE.port(family, port));
        let there = socket(&lab.outside, OUTSIDE.port(family, port));
        inside.push(Arc::clone(&here));
        outside.push(Arc::clone(&there));
        (here, there)
    };
    let named = |what: &str| format!("{what} {family:?}");
    let (here, there) = pair(KEPT);
    open(&here, &there);
    lanes.push(Lane::new(named("kept out"), &here, &there, Allowed::BOTH));
    lanes.push(Lane::new(named("kept in"), &there, &here, Allowed::BOTH));
    let (here, there) = pair(TALKATIVE);
    lanes.push(Lane::new(named("talkative out"), &here, &there, Allowed::ONLY_A));
    lanes.push(Lane::new(named("talkative in"), &there, &here, Allowed::ONLY_A).lenient());
    let (here, there) = pair(SILENT);
    open(&here, &there);
    let opening = Lane::new(named("opening out"), &here, &there, Allowed::ONLY_A);
    lanes.push(opening.only_in(Belief::A));
    lanes.push(Lane::new(named("silent in"), &there, &here, Allowed::ONLY_A));
    let (here, there) = pair(OPEN);
    lanes.push(Lane::new(named("open in"), &there, &here, Allowed::BOTH));
    let (here, there) = pair(CLOSED);
    lanes.push(Lane::new(named("closed in"), &there, &here, Allowed::ONLY_A));
    lanes
}

/// Opens a flow, so that outside may speak from the very beginning.
fn open(here: &UdpSocket, there: &UdpSocket) {
    here.send_to(b"open", there.local_addr().expect("bound")).expect("sent");
    wait::until_true("the first datagram of a flow", || match there.recv_from(&mut [0; 64]) {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}");
            false
        }
    });
}

/// What was dropped and what was sent up to a moment.
struct Drops([u64; 7]);

impl Drops {
    fn read(barrage: &Barrage) -> Self {
        Self([
            barrage.drops(Direction::Outbound, Reason::PolicyRevoked),
            barrage.drops(Direction::Inbound, Reason::PolicyRevoked),
            barrage.drops(Direction::Inbound, Reason::NoFlow),
            barrage.drops(Direction::Inbound, Reason::RuleDenied),
            barrage.sent("silent in"),
            barrage.sent("talkative in"),
            barrage.sent("closed in"),
        ])
    }

    fn since(&self, before: &Self) -> [u64; 7] {
        std::array::from_fn(|index| self.0[index] - before.0[index])
    }
}

/// Lets connections in to port 443.
const PUBLISHED: &str = "[[rule]]\ndirection = \"in\"\naction = \"allow\"\nproto = \"tcp\"\n\
    ports = 443\n";
/// Lets connections in to another port.
const ELSEWHERE: &str = "[[rule]]\ndirection = \"in\"\naction = \"allow\"\nproto = \"tcp\"\n\
    ports = 80\n";
/// And none out.
const NOTHING_OUT: &str = "[[rule]]\ndirection = \"out\"\naction = \"deny\"\nproto = \"tcp\"\n";

/// A connection that a rule let in is judged as that opening when the rule is gone: what either
/// side sends on it is dropped as `policy-revoked`. It goes on if the rule comes back before inside
/// has said anything, and has ended afterwards.
fn a_published_connection_ends_with_its_rule(hook: Hook) {
    let lab = Lab::new();
    lab.attach_policy(hook, PUBLISHED);
    let published = Prepared::of_lab(PUBLISHED);
    let elsewhere = Prepared::of_lab(&format!("{ELSEWHERE}{NOTHING_OUT}"));
    for family in FAMILIES {
        let (mut client, mut service, _server) = connection(&lab, family);
        lab.reload(&elsewhere);
        lab.expect_drops("policy-revoked", 1, || send(&mut client));
        lab.reload(&published);
        arrive(&mut service);
        exchange(&mut client, &mut service).expect("the rule is back");

        lab.reload(&elsewhere);
        // The first time, and when it is sent again.
        lab.expect_packets("out", "policy-revoked", 2, || send(&mut service));
        assert_eq!(lab.flows_matching(&["--local-port", "443"])[0]["state"], "closed");
        lab.expect_drops("policy-revoked", 1, || send(&mut client));
        assert_dead(&mut client);
        lab.reload(&published);
    }
}

/// Where inside may open connections, what it sends again on one that was revoked does not open it
/// anew.
fn a_revoked_connection_does_not_come_back(hook: Hook) {
    let lab = Lab::new();
    lab.attach_policy(hook, PUBLISHED);
    let (published, elsewhere) = (Prepared::of_lab(PUBLISHED), Prepared::of_lab(ELSEWHERE));
    for family in FAMILIES {
        let (mut client, mut service, _server) = connection(&lab, family);
        lab.reload(&elsewhere);
        lab.expect_packets("out", "policy-revoked", 1, || send(&mut service));
        assert_dead(&mut client);
        lab.reload(&published);
    }
}

/// An open connection from outside to a service on port 443 inside: the client, the accepted end,
/// and the service.
fn connection(lab: &Lab, family: Family) -> (TcpStream, TcpStream, Server) {
    let (accepted, server) = accepting(lab, family);
    let mut client = plain::connect(&lab.outside, server.address(), PATIENCE).expect("let in");
    let mut service = accepted.recv_timeout(PATIENCE).expect("accepted");
    exchange(&mut client, &mut service).expect("an open connection");
    exchange(&mut service, &mut client).expect("an open connection");
    (client, service, server)
}

/// Makes sure that nothing arrives any more, for longer than anybody waits to send again.
#[track_caller]
fn assert_dead(client: &mut TcpStream) {
    let silence = read(client, Duration::from_secs(2));
    assert!(is_timeout(&silence), "the connection came back to life: {silence:?}");
}

/// A server on port 443 inside, and the connections that it accepts.
fn accepting(lab: &Lab, family: Family) -> (std::sync::mpsc::Receiver<TcpStream>, Server) {
    let (accept, accepted) = std::sync::mpsc::channel();
    let server = Server::tcp(&lab.inside, INSIDE.port(family, 443), move |stream| {
        accept.send(stream).map_err(io::Error::other)
    });
    (accepted, server)
}

fn send(from: &mut TcpStream) {
    io::Write::write_all(from, b"!").expect("the socket takes it");
}

fn arrive(to: &mut TcpStream) {
    assert_eq!(read(to, PATIENCE).expect("it arrives"), 1);
}

fn exchange(from: &mut TcpStream, to: &mut TcpStream) -> io::Result<usize> {
    io::Write::write_all(from, b"!")?;
    read(to, PATIENCE)
}

fn read(from: &mut TcpStream, patience: Duration) -> io::Result<usize> {
    from.set_read_timeout(Some(patience))?;
    io::Read::read(from, &mut [0; 64])
}

fn is_timeout(result: &io::Result<usize>) -> bool {
    result.as_ref().is_err_and(|error| {
        matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
    })
}
