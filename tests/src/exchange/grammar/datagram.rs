//! Exchanges without connections: UDP, echo, and ICMP errors about them.

use fastrand::Rng;
use gateway_common::tuple::{
    Direction::{self, Inbound, Outbound},
    Family,
};

use super::{once_in, pick};
use crate::exchange::step::{
    Checksum, Content, Datagram, IcmpError, Outside, Query, QueryKind, Shift, Step, opposite,
};

/// Requests, answers, and what others make of them.
pub(crate) fn udp(rng: &mut Rng, family: Family) -> Vec<Step> {
    let mut steps = Vec::new();
    if once_in(rng, 4) {
        steps.push(datagram(rng, Inbound, "unsolicited datagram"));
    }
    for _ in 0..rng.u8(1..5) {
        steps.push(datagram(rng, Outbound, "request"));
        match rng.u8(..8) {
            0..4 => steps.push(datagram(rng, Inbound, "answer")),
            4 => {
                let answer = datagram(rng, Inbound, "answer");
                steps.push(misdirected(rng, answer));
            }
            5 => {
                let request = steps.last().expect("there is one").clone();
                steps.push(error(rng, family, request));
            }
            6 => {
                let answer = datagram(rng, Inbound, "answer");
                steps.push(answer.clone());
                steps.push(error(rng, family, answer));
            }
            _ => {}
        }
    }
    steps
}

/// Pings, their answers, and what others make of them.
pub(crate) fn icmp(rng: &mut Rng, family: Family) -> Vec<Step> {
    let mut steps = Vec::new();
    if once_in(rng, 4) {
        let kind = *pick(rng, &[QueryKind::EchoRequest, QueryKind::EchoReply]);
        steps.push(query(Inbound, "unsolicited message", kind, 1));
    }
    for sequence in 1..rng.u16(2..5) {
        let request = query(Outbound, "echo request", QueryKind::EchoRequest, sequence);
        let reply = query(Inbound, "echo reply", QueryKind::EchoReply, sequence);
        steps.push(request.clone());
        match rng.u8(..9) {
            0..4 => steps.push(reply),
            4 => steps.extend([reply.clone(), reply]),
            5 => steps.push(misdirected(rng, reply)),
            6 => steps.push(error(rng, family, request)),
            7 => {
                let kind = QueryKind::Other(informational(rng, family));
                let direction = *pick(rng, &Direction::ALL);
                steps.push(query(direction, "another message", kind, sequence));
            }
            _ => steps.push(query(Inbound, "ping back", QueryKind::EchoRequest, sequence)),
        }
    }
    steps
}

fn datagram(rng: &mut Rng, direction: Direction, label: &'static str) -> Step {
    let payload_len = *pick(rng, &[0, 1, 30, 500]);
    let content = Datagram { payload_len, claimed_len: None, checksum: Checksum::Right };
    Step::new(direction, label, Content::Udp(content))
}

fn query(direction: Direction, label: &'static str, kind: QueryKind, sequence: u16) -> Step {
    let content = Query { kind, code: 0, sequence, checksum: Checksum::Right };
    Step::new(direction, label, Content::Query(content))
}

/// A message type that is no echo and no error. Those that gateways send for themselves, like
/// router advertisements, are not forwarded and left out.
fn informational(rng: &mut Rng, family: Family) -> u8 {
    match family {
        Family::Ipv4 => *pick(rng, &[9, 10, 13, 14, 15, 16, 17, 18, 30, 42, 200]),
        Family::Ipv6 => *pick(rng, &[138, 139, 140, 144, 150, 160, 200]),
    }
}

/// The same packet from, or to, somebody else.
pub(crate) fn misdirected(rng: &mut Rng, step: Step) -> Step {
    let mut step = step;
    match rng.u8(..3) {
        0 => step.outside = Outside::Stranger,
        1 => step.shift = Shift { outside: 1, ..step.shift },
        _ => step.shift = Shift { inside: 1, ..step.shift },
    }
    step
}

/// An ICMP error about `about`, which goes where that came from.
pub(crate) fn error(rng: &mut Rng, family: Family, about: Step) -> Step {
    let (kind, code, value) = match family {
        Family::Ipv4 => *pick(
            rng,
            &[(3, 3, 0), (3, 1, 0), (3, 13, 0), (3, 4, 1400), (3, 4, 0), (11, 0, 0), (12, 0, 0)],
        ),
        Family::Ipv6 => *pick(
            rng,
            &[(1, 4, 0), (1, 0, 0), (1, 1, 0), (2, 0, 1400), (2, 0, 1280), (3, 0, 0), (4, 1, 6)],
        ),
    };
    let direction = opposite(about.direction);
    let quoted_len = *pick(rng, &[8, 8, 20, 600]);
    let quoted = Box::new(Step { mutation: None, ..about });
    let content = Content::Error(IcmpError { kind, code, value, quoted, quoted_len });
    let mut step = Step::new(direction, "ICMP error", content);
    // Routers on the way report errors too.
    step.outside = *pick(rng, &[Outside::Peer, Outside::Stranger]);
    step
}

/// A request and its answer, of each protocol.
pub(crate) fn plain_exchanges() -> [Vec<Step>; 2] {
    let mut rng = Rng::with_seed(1);
    [
        [Outbound, Inbound, Outbound, Inbound].map(|it| datagram(&mut rng, it, "datagram")).into(),
        vec![
            query(Outbound, "echo request", QueryKind::EchoRequest, 1),
            query(Inbound, "echo reply", QueryKind::EchoReply, 1),
        ],
    ]
}
