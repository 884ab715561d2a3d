//! What a sequence consists of: packets as their senders mean them, without addresses and ports
//! of their own, so that one sequence can run many times side by side.

use crate::packet::flag;
use gateway_common::tuple::{Direction, Family};

use crate::exchange::option::{self, TcpOption};

/// Where a sequence comes from: its number among those of a seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// What the generator was seeded with.
    pub seed: u64,
    /// Which of its sequences this is.
    pub number: u64,
}

/// Packets of one conversation in the order in which a gateway sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// How to generate it again.
    pub origin: Origin,
    /// The IP version of all its packets.
    pub family: Family,
    /// The packets.
    pub steps: Vec<Step>,
}

/// One packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Which way it travels.
    pub direction: Direction,
    /// The host outside that sends or receives it.
    pub outside: Outside,
    /// How far its ports are from those of the conversation.
    pub shift: Shift,
    /// What it carries.
    pub content: Content,
    /// What the grammar meant by it.
    pub label: &'static str,
    /// What was changed about it, and what it was before that.
    pub mutation: Option<Mutation>,
}

/// A change to a step, which can be taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutation {
    /// What was changed.
    pub name: &'static str,
    /// The step without the change.
    pub before: Box<Step>,
}

/// A host outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outside {
    /// The one that inside talks to.
    Peer,
    /// Somebody else.
    Stranger,
}

/// Distances from the conversation's ports; of an echo, `inside` is the identifier's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shift {
    /// Of the inside port.
    pub inside: u16,
    /// Of the outside port.
    pub outside: u16,
}

/// What a packet carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A TCP segment.
    Tcp(Segment),
    /// A UDP datagram.
    Udp(Datagram),
    /// An ICMP message about nothing but itself.
    Query(Query),
    /// An ICMP error.
    Error(IcmpError),
}

/// A TCP segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Bits of [`flag`].
    pub flags: u16,
    /// The sequence number.
    pub sequence: u32,
    /// The acknowledgment number, whether or not the flags say that it counts.
    pub acknowledgment: u32,
    /// The window field, not scaled.
    pub window: u16,
    /// The options.
    pub options: Vec<TcpOption>,
    /// How many bytes of data it carries.
    pub payload_len: u16,
    /// How long the header says it is, in words of four bytes, instead of the truth.
    pub claimed_words: Option<u8>,
    /// Whether its checksum is what it should be.
    pub checksum: Checksum,
}

/// Whether a checksum is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// It is.
    Right,
    /// It is not.
    Wrong,
    /// There is none: the field is zero.
    Absent,
}

/// A UDP datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// How many bytes of data it carries.
    pub payload_len: u16,
    /// What the length field says instead of the truth.
    pub claimed_len: Option<u16>,
    /// Whether its checksum is what it should be.
    pub checksum: Checksum,
}

/// An ICMP message that is no error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// What it asks or answers.
    pub kind: QueryKind,
    /// The code, zero unless mutated.
    pub code: u8,
    /// The sequence number in it.
    pub sequence: u16,
    /// Whether its checksum is what it should be.
    pub checksum: Checksum,
}

/// Kinds of ICMP messages that are no errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryKind {
    /// Echo request.
    EchoRequest,
    /// Echo reply.
    EchoReply,
    /// Any other type, as a number of the packet's family.
    Other(u8),
}

/// An ICMP error about another packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IcmpError {
    /// The type, a number of the packet's family.
    pub kind: u8,
    /// The code.
    pub code: u8,
    /// The four bytes in front of the quote: an MTU, a pointer or nothing.
    pub value: u32,
    /// The packet that it quotes.
    pub quoted: Box<Step>,
    /// How many bytes of that packet, counted from the end of its IP header.
    pub quoted_len: u16,
}

impl Segment {
    /// Whether all of these flags are set.
    #[must_use]
    pub const fn has(&self, flags: u16) -> bool {
        self.flags & flags == flags
    }

    /// How many sequence numbers it takes.
    #[must_use]
    pub fn span(&self) -> u32 {
        u32::from(self.payload_len)
            + u32::from(self.has(flag::SYN))
            + u32::from(self.has(flag::FIN))
    }

    /// How many bytes it has, header included.
    #[must_use]
    pub fn bytes_len(&self) -> usize {
        20 + option::encode(&self.options).len().next_multiple_of(4) + usize::from(self.payload_len)
    }

    /// The sequence number behind its last.
    #[must_use]
    pub fn end(&self) -> u32 {
        self.sequence.wrapping_add(self.span())
    }
}

impl Step {
    /// A packet of the conversation itself.
    #[must_use]
    pub const fn new(direction: Direction, label: &'static str, content: Content) -> Self {
        Self {
            direction,
            outside: Outside::Peer,
            shift: Shift { inside: 0, outside: 0 },
            content,
            label,
            mutation: None,
        }
    }

    /// The segment, if it is TCP.
    #[must_use]
    pub const fn segment(&self) -> Option<&Segment> {
        match &self.content {
            Content::Tcp(segment) => Some(segment),
            Content::Udp(_) | Content::Query(_) | Content::Error(_) => None,
        }
    }
}

/// The direction of the answer.
#[must_use]
pub const fn opposite(direction: Direction) -> Direction {
    match direction {
        Direction::Inbound => Direction::Outbound,
        Direction::Outbound => Direction::Inbound,
    }
}
