//! The TCP connections of a row, as their two ends see them: which numbers the next segment of
//! either end carries, and what the gateway must have written down of it.
//!
//! Everything is counted in 64 bits, from numbers far above zero, so nothing here wraps around
//! and nothing is shared with the arithmetic that is to be checked. The lower half of both ends'
//! first numbers is just below where 32 bits wrap around: without a sign for one, with it for the
//! other.

use std::{collections::HashMap, net::SocketAddr};

use gateway_common::{
    flow::{announced, mark},
    tuple::Direction,
};

use super::{
    expect::{Numbers, Trace},
    prelude::SYN_ACK,
};
use crate::packet::{
    Packet, flag,
    tcp::{self, Header, on_the_wire},
};

/// The first numbers of both ends: of inside and outside for IPv4, the other way for IPv6.
const FIRST: [u64; 2] = [(1 << 40) - 24, (1 << 40) + (1 << 31) - 24];
/// How much further a new connection on the same ports begins.
const REOPENED: u64 = 1_000_000_007;
/// The largest window scale (RFC 7323 section 2.3).
const SCALE_MAX: u8 = 14;

/// All connections, by their inside and outside ends.
#[derive(Clone, Debug, Default)]
pub(super) struct Conversations(HashMap<(SocketAddr, SocketAddr), Conversation>);

/// One connection.
#[derive(Clone, Debug)]
struct Conversation {
    inside: Side,
    outside: Side,
    /// Whether the gateway cannot know all numbers for certain.
    is_unchecked: bool,
}

/// One end.
#[derive(Clone, Debug)]
struct Side {
    /// The number of its SYN.
    first: u64,
    /// The number that follows all that arrived of what it sent.
    next: u64,
    /// Its SYN as far as the gateway knows it.
    opening: Option<Opening>,
    record: Record,
}

/// What a SYN announces.
#[derive(Clone, Copy, Debug, Default)]
struct Opening {
    scale: Option<u8>,
    takes_sack: bool,
}

/// What the gateway must have written down of an end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// The number behind the last byte it sent.
    pub(super) end: u64,
    /// The largest window it ever offered.
    pub(super) window: u64,
    /// The highest number it acknowledged.
    pub(super) acknowledged: u64,
    /// The number up to which it offered to take data.
    pub(super) edge: u64,
    /// Bits of [`announced`].
    pub(super) announced: u32,
}

/// A segment with its place in the connection.
struct Segment {
    sequence: u64,
    acknowledgement: u64,
    /// The highest number that a selective acknowledgement goes up to.
    sacked: u64,
    header: Header,
}

impl Conversations {
    /// Fills in the numbers of a packet, if it is a TCP segment, and what it must leave behind.
    pub(super) fn say(
        &mut self,
        direction: Direction,
        packet: Packet,
        trace: Option<&mut Trace>,
    ) -> Packet {
        if !packet.is_tcp() {
            return packet;
        }
        let (source, destination) = packet.tcp_ends();
        let ends = match direction {
            Direction::Outbound => (source, destination),
            Direction::Inbound => (destination, source),
        };
        let [a, b] = FIRST;
        let first = if source.is_ipv4() { [a, b] } else { [b, a] };
        let conversation = self.0.entry(ends).or_insert_with(|| Conversation::new(first));
        if trace.as_ref().is_some_and(|trace| trace.opens) {
            conversation.restart();
        }
        let (sequence, acknowledgement) = conversation.numbers(direction, &packet);
        if let Some(trace) = trace {
            let sacks = packet.numbers().sacks.iter();
            let sacked = sacks.map(|&(_, end)| acknowledgement.strict_add_signed(end)).max();
            let segment = Segment {
                sequence,
                acknowledgement,
                sacked: sacked.unwrap_or(acknowledgement).max(acknowledgement),
                header: packet.tcp_header(),
            };
            conversation.note(direction, &segment, trace);
        }
        let [sequence, acknowledgement] = [sequence, acknowledgement].map(on_the_wire);
        packet.sequence(sequence).acknowledge(acknowledgement)
    }
}

impl Conversation {
    fn new(first: [u64; 2]) -> Self {
        let [inside, outside] = first.map(|first| Side {
            first,
            next: first,
            opening: None,
            record: Record::default(),
        });
        Self { inside, outside, is_unchecked: false }
    }

    /// Another connection begins on the same ports. That of a row's first one is not another.
    fn restart(&mut self) {
        let used = self.inside.next != self.inside.first;
        let more = if used { REOPENED } else { 0 };
        *self = Self::new([self.inside.first + more, self.outside.first + more]);
    }

    fn sides(&mut self, from: Direction) -> (&mut Side, &mut Side) {
        match from {
            Direction::Outbound => (&mut self.inside, &mut self.outside),
            Direction::Inbound => (&mut self.outside, &mut self.inside),
        }
    }

    /// The numbers of a segment.
    fn numbers(&mut self, from: Direction, packet: &Packet) -> (u64, u64) {
        let (sender, receiver) = self.sides(from);
        let tcp::Numbers { sequence, acknowledgement, .. } = packet.numbers();
        let right = if packet.tcp_flags() & flag::SYN == 0 { sender.next } else { sender.first };
        let is_given = matches!(acknowledgement, tcp::Number::Given(_));
        let acknowledgement = if packet.tcp_flags() & flag::ACK != 0 || is_given {
            acknowledgement.near(receiver.next)
        } else {
            0
        };
        (sequence.near(right), acknowledgement)
    }

    /// Both ends go on after a segment that leaves a trace.
    fn note(&mut self, from: Direction, segment: &Segment, trace: &mut Trace) {
        let has = |flags| segment.header.flags & flags == flags;
        let is_repetition = has(flag::SYN) && !has(flag::ACK) && !trace.opens;
        // An opening from outside counts as an answer to that of inside only.
        let answers = from == Direction::Inbound && self.inside.opening.is_some();
        let is_opening = has(flag::SYN) && (trace.opens || (trace.refreshes && answers));
        let is_tracked =
            self.inside.opening.is_some() && self.outside.opening.is_some() && !self.is_unchecked;
        let (sender, receiver) = self.sides(from);
        if (trace.refreshes && !is_repetition) || trace.numbers == Numbers::Overshot {
            sender.next = sender.next.max(segment.end());
        }
        if trace.opens {
            sender.first = segment.sequence;
            trace.first = segment.sequence + 1;
        }
        if is_opening {
            sender.open(segment);
            trace.marks |= mark::SYN | if has(flag::ACK) { mark::ACKED } else { 0 };
            trace.record = Some(sender.record);
        } else if trace.numbers == Numbers::Overshot {
            sender.record.end = sender.record.end.max(segment.end());
            trace.record = Some(sender.record);
        } else if trace.refreshes && !has(flag::SYN)
            || trace.refreshes && is_tracked && has(SYN_ACK)
        {
            trace.marks |= mark::ACKED;
            if is_tracked && trace.numbers == Numbers::Recorded {
                sender.go_on(segment, receiver.opening.unwrap_or_default());
                trace.record = Some(sender.record);
            } else if from == Direction::Outbound {
                // Nothing more is known, but this is where a reset has to be.
                sender.record.acknowledged = segment.acknowledgement;
                sender.record.edge = segment.acknowledgement;
                trace.record = Some(sender.record);
            }
        }
        self.is_unchecked |= trace.marks & (mark::UNCHECKED | mark::PICKED_UP) != 0;
    }
}

impl Side {
    /// Its record begins with this SYN.
    fn open(&mut self, segment: &Segment) {
        let opening = segment.opening();
        let Opening { scale, takes_sack } = opening;
        self.next = segment.end();
        self.opening = Some(opening);
        // The window of a SYN is never scaled (RFC 7323 section 2.2).
        let window = u64::from(segment.header.window).max(1);
        let acknowledges = segment.header.flags & flag::ACK != 0;
        let granted = |number| if acknowledges { number } else { 0 };
        self.record = Record {
            end: segment.end(),
            window,
            acknowledged: granted(segment.acknowledgement),
            edge: granted(segment.acknowledgement + window),
            announced: scale.map_or(0, |scale| announced::SCALING | u32::from(scale))
                | if takes_sack { announced::SACK } else { 0 },
        };
    }

    /// It goes on, towards the side that opened like this.
    fn go_on(&mut self, segment: &Segment, receiver: Opening) {
        let own = self.opening.unwrap_or_default();
        let is_scaled = receiver.scale.is_some() && segment.header.flags & flag::SYN == 0;
        let scale = if is_scaled { own.scale.unwrap_or(0) } else { 0 };
        // Behind an empty window there is room for a byte that probes it.
        let window = (u64::from(segment.header.window) << scale).max(1);
        let Segment { acknowledgement, .. } = *segment;
        let acked = if receiver.takes_sack { segment.sacked } else { acknowledgement };
        let record = &mut self.record;
        record.end = record.end.max(segment.end());
        record.window = record.window.max(window + acked - acknowledgement);
        record.acknowledged = record.acknowledged.max(acknowledgement);
        record.edge = record.edge.max(acked + window);
    }
}

impl Segment {
    /// The number behind its last byte: a SYN and a FIN count as one each.
    fn end(&self) -> u64 {
        let Header { flags, payload_len, .. } = self.header;
        let has = |bit| u64::from(flags & bit != 0);
        self.sequence + payload_len as u64 + has(flag::SYN) + has(flag::FIN)
    }

    /// What it announces, if it is a SYN: options that contradict themselves end the list.
    fn opening(&self) -> Opening {
        let mut opening = Opening::default();
        let mut options = &self.header.options[..];
        while let [kind, rest @ ..] = options {
            options = match (kind, rest) {
                (0, _) => &[],
                (1, rest) => rest,
                (_, &[len, ..]) if (2..=options.len()).contains(&len.into()) => {
                    match (kind, &options[2..len.into()]) {
                        (3, &[scale]) => opening.scale = Some(scale.min(SCALE_MAX)),
                        (4, []) => opening.takes_sack = true,
                        _ => {}
                    }
                    &options[len.into()..]
                }
                _ => &[],
            };
        }
        opening
    }
}

#[cfg(test)]
mod tests {
    use super::super::prelude::*;
    use crate::packet::tcp::{Number, Numbers};

    /// The numbers of a row's segments.
    fn numbers(row: Row) -> Vec<(u32, u32)> {
        let given = |number| match number {
            Number::Given(number) => number,
            Number::Shifted(_) => panic!("{number:?} was not filled in"),
        };
        let numbers = row.steps.into_iter().map(|step| {
            let Numbers { sequence, acknowledgement, .. } = *step.packet.numbers();
            (given(sequence), given(acknowledgement))
        });
        numbers.collect()
    }

    #[test]
    fn segments_carry_the_numbers_that_hosts_would_give_them() {
        let l = tcp_flow(Family::Ipv4);
        let (out, back) = (|| l.segment_out(flag::ACK), || l.segment_back(flag::ACK));
        let row = row(&[], "a conversation")
            .established(&l)
            .outbound(out().payload(&[0; 30]), belongs_to(&l))
            .inbound(back(), belongs_to(&l))
            .inbound(back().payload(&[0; 5]).behind(2), belongs_to(&l))
            .inbound(back().ahead(100), refused(Reason::TcpWindow))
            .outbound(l.segment_out(FIN_ACK), belongs_to(&l).marked(mark::FIN))
            .inbound(l.segment_back(FIN_ACK).acknowledging_less(1), belongs_to(&l))
            .outbound(out().behind(1).acknowledging_less(1), belongs_to(&l));
        // 24 bytes before the numbers wrap around, and 24 before their sign changes.
        let (inside, outside) = (0_u32.wrapping_sub(24), (1_u32 << 31) - 24);
        let expected = [
            (inside, 0),
            (outside, inside + 1),
            (inside + 1, outside + 1),
            (inside + 1, outside + 1),
            (outside + 1, 7),
            (outside - 1, 7),
            (outside + 104, 7),
            (7, outside + 4),
            (outside + 4, 7),
            (7, outside + 4),
        ];
        assert_eq!(numbers(row), expected);
    }

    #[test]
    fn another_connection_begins_with_other_numbers() {
        let l = tcp_flow(Family::Ipv6);
        let row = row(&[], "two connections").established(&l).established(&l);
        let numbers = numbers(row);
        assert_ne!(numbers[0], numbers[3]);
        assert_eq!(numbers[4].1, numbers[3].0 + 1);
        assert_eq!(numbers[5], (numbers[3].0 + 1, numbers[4].0 + 1));
    }
}
