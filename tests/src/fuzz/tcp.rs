//! Segments of one TCP connection.
//!
//! A segment is six bytes: direction, flags and wait; how far its numbers are from where they should
//! be; window; payload; options; a number for these. The same segments are sent with other initial
//! sequence numbers and over the other IP version, which must not matter.

use gateway_common::{
    config::Config,
    flow::FlowState,
    tuple::{
        Direction::{self, Inbound, Outbound},
        Family,
    },
    verdict::{Reason, Verdict},
};

use super::tape::WAITS_SECS;
use crate::{
    model::Model,
    packet::{
        Packet,
        flag::{ACK, FIN, PSH, RST, SYN},
        tcp::option,
    },
    rows::{
        check::TICKS_PER_SEC,
        prelude::{INSIDE, OUTSIDE, from},
    },
    state::State,
};

const SEGMENT_BYTES: usize = 6;
const SEGMENTS_MAX: usize = 40;
const FLAGS: [u16; 8] = [ACK, SYN, SYN | ACK, FIN | ACK, RST, RST | ACK, PSH | ACK, FIN | PSH];
const DISTANCES: [u32; 16] = [
    0,
    0,
    0,
    0,
    1,
    u32::MAX,
    100,
    100_u32.wrapping_neg(),
    1_000,
    65_535,
    65_536,
    66_000_u32.wrapping_neg(),
    70_000,
    1 << 24,
    1 << 31,
    (1_u32 << 30).wrapping_neg(),
];
const WINDOWS: [u16; 8] = [65_535, 65_535, 0, 1, 100, 1_000, 29_200, 14_600];
const PAYLOADS: [u16; 8] = [0, 0, 0, 1, 10, 100, 1_000, 1_400];

/// What must not matter.
#[derive(Clone, Copy)]
struct Variant {
    family: Family,
    /// Initial sequence numbers, by direction.
    first: [u32; 2],
}

const VARIANTS: [Variant; 3] = [
    Variant { family: Family::Ipv6, first: [0x1000_0000, 0x2000_0000] },
    Variant { family: Family::Ipv4, first: [0xffff_fff0, 0x2000_0000] },
    Variant { family: Family::Ipv6, first: [0x7fff_ff00, 0xffff_ffff] },
];

pub(super) fn run(data: &[u8]) {
    let histories = VARIANTS.map(|variant| play(data, variant));
    for history in &histories[1..] {
        assert_eq!(*history, histories[0], "by the numbers or the IP version alone");
    }
}

/// Openings, transfers and ends as they should be; the fuzzer does the rest.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let segment = |outbound: bool, flags: u8, payload: u8, options: u8| {
        [u8::from(outbound) | flags << 1, 0, 0, payload, options, 7]
    };
    let open = [segment(true, 1, 0, 3), segment(false, 2, 0, 3), segment(true, 0, 0, 0)];
    let talk = [segment(true, 6, 6, 0), segment(false, 6, 7, 4), segment(true, 0, 0, 4)];
    let close = [segment(true, 3, 0, 0), segment(false, 3, 0, 0), segment(true, 0, 0, 0)];
    let closed_by_outside =
        [segment(false, 3, 0, 0), segment(true, 3, 0, 0), segment(false, 0, 0, 0)];
    let reset = [segment(false, 4, 0, 0), segment(true, 0, 0, 0), segment(true, 1, 0, 0)];
    let both_open = [segment(true, 1, 0, 1), segment(false, 1, 0, 1), segment(true, 2, 0, 1)];
    [
        [&open[..], &talk, &close].concat(),
        [&open[..], &talk, &closed_by_outside].concat(),
        [&open[..], &reset].concat(),
        [&open[..], &close, &open].concat(),
        [&both_open[..], &talk, &close].concat(),
        [&talk[..], &close].concat(),
    ]
    .into_iter()
    .map(|segments| segments.concat())
    .collect()
}

/// What became of each segment, and in which state it left the connection.
type History = Vec<(Reason, Option<FlowState>)>;

fn play(data: &[u8], variant: Variant) -> History {
    let config = Config::new(TICKS_PER_SEC);
    let mut model = Model::new(&config, 16, 16);
    let mut next = variant.first;
    let mut before = model.state();
    let mut history = Vec::new();
    for segment in data.as_chunks::<SEGMENT_BYTES>().0.iter().take(SEGMENTS_MAX) {
        let direction = if segment[0] & 1 == 0 { Inbound } else { Outbound };
        model.advance(config.ticks(WAITS_SECS[usize::from(segment[0] >> 4)]));
        let packet = packet(*segment, direction, variant.family, &mut next);
        let reason = model.run(direction, &packet.frame().as_slice()).reason;
        if direction == Outbound {
            assert_eq!(reason.verdict(), Verdict::Pass, "inside is never held back: {reason:?}");
        }
        let after = model.state();
        assert!(after.flows.len() <= 1, "{after:?}");
        check_progress(direction, &before, &after);
        if reason.verdict() == Verdict::Drop {
            assert_eq!(after.flows, before.flows, "dropped: {reason:?}");
        }
        history.push((reason, state(&after)));
        before = after;
    }
    history
}

fn packet(segment: [u8; 6], direction: Direction, family: Family, next: &mut [u32; 2]) -> Packet {
    let [head, distances, window, payload, options, number] = segment;
    let flags = FLAGS[usize::from(head >> 1 & 7)];
    let distance = |nibble: u8| DISTANCES[usize::from(nibble & 15)];
    let payload_len = PAYLOADS[usize::from(payload & 7)];
    let (own, other) = (direction as usize, direction.opposite() as usize);
    let sequence = next[own].wrapping_add(distance(distances));
    let acknowledged = next[other].wrapping_add(distance(distances >> 4));
    if distance(distances) == 0 {
        let len = u32::from(payload_len) + u32::from(flags & (SYN | FIN) != 0);
        next[own] = next[own].wrapping_add(len);
    }
    let (source, destination, from_port, to_port) = match direction {
        Inbound => (OUTSIDE, INSIDE, 443, 40_000),
        Outbound => (INSIDE, OUTSIDE, 40_000, 443),
    };
    let packet = from(source, destination, family).tcp(from_port, to_port, flags);
    let acknowledged = if flags & ACK == 0 { 0 } else { acknowledged };
    packet
        .tcp_options(&option_bytes(options, number, acknowledged))
        .sequence(sequence)
        .acknowledge(acknowledged)
        .window(WINDOWS[usize::from(window & 7)])
        .payload(&vec![b'.'; payload_len.into()])
}

fn option_bytes(options: u8, number: u8, acknowledged: u32) -> Vec<u8> {
    let right = acknowledged.wrapping_add(u32::from(number) << 8);
    match options & 7 {
        1 => option::scale(number & 15).to_vec(),
        2 => option::SACK_PERMITTED.to_vec(),
        3 => option::scale_and_sack(number & 15),
        4 => [&[5, 10][..], &acknowledged.to_be_bytes(), &right.to_be_bytes()].concat(),
        5 => vec![200, number],
        _ => Vec::new(),
    }
}

fn state(state: &State) -> Option<FlowState> {
    state.flows.iter().next().map(|((_, key), entry)| entry.state(key))
}

/// A connection's state only goes forward, unless another one begins on the same ports, or inside
/// goes on after a reset, which then was not for this connection.
fn check_progress(direction: Direction, before: &State, after: &State) {
    let (Some(then), Some(now)) = (before.flows.values().next(), after.flows.values().next())
    else {
        return;
    };
    if direction == Outbound && state(before) == Some(FlowState::Closed) {
        return;
    }
    let is_another = now.outbound.packets < then.outbound.packets
        || now.inbound.packets < then.inbound.packets
        || now.created != then.created
        || (now.outbound.packets == then.outbound.packets && now.outbound != then.outbound);
    if !is_another {
        let ranks = (state(before).map(rank), state(after).map(rank));
        assert!(ranks.0 <= ranks.1, "from {then:?} to {now:?}");
    }
}

fn rank(state: FlowState) -> u8 {
    match state {
        FlowState::SynSent | FlowState::Unreplied => 0,
        FlowState::SynReceived | FlowState::Replied => 1,
        FlowState::Established => 2,
        FlowState::FinWait | FlowState::CloseWait => 3,
        FlowState::LastAck => 4,
        FlowState::TimeWait => 5,
        FlowState::Closed => 6,
    }
}
