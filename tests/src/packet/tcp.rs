//! TCP segments.
//!
//! A segment's numbers count from those that its sender would use at this point of the
//! conversation, unless they are given: `reply.ahead(100)` leaves a gap of 100 bytes. What its
//! sender would use, a [`Row`](crate::rows::Row) knows; alone, it is zero.

use std::net::SocketAddr;

use super::{Packet, bytes, transport::Checksum};

pub(super) const TCP: u8 = 6;

const HEADER_LEN: usize = 20;
const SACK: u8 = 5;
/// No-operation, twice, and the kind and length of the option.
const SACK_PREFIX_LEN: usize = 4;

/// TCP options as they are on the wire.
pub mod option {
    /// Selective acknowledgements are permitted (RFC 2018).
    pub const SACK_PERMITTED: [u8; 2] = [4, 2];

    /// Windows are counted in units of two to the power of `shift` (RFC 7323).
    #[must_use]
    pub const fn scale(shift: u8) -> [u8; 3] {
        [3, 3, shift]
    }

    /// Both of these.
    #[must_use]
    pub fn scale_and_sack(shift: u8) -> Vec<u8> {
        [&scale(shift)[..], &SACK_PERMITTED].concat()
    }
}

/// A sequence or acknowledgment number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// This one.
    Given(u32),
    /// The one that would be right, and so many on.
    Shifted(i64),
}

impl Default for Number {
    fn default() -> Self {
        Self::Shifted(0)
    }
}

/// The numbers of a segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// The sequence number.
    pub sequence: Number,
    /// The acknowledgment number.
    pub acknowledgement: Number,
    /// Selective acknowledgements: where each begins and ends, counted from the acknowledgment
    /// number.
    pub sacks: Vec<(i64, i64)>,
}

/// What a segment says, numbers aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The flags.
    pub flags: u16,
    /// The window field.
    pub window: u16,
    /// The options.
    pub options: Vec<u8>,
    /// Bytes of data.
    pub payload_len: usize,
}

impl Packet {
    /// TCP with these [`flag`](super::flag)s, a window of 65535 and no options.
    pub fn tcp(mut self, source_port: u16, destination_port: u16, flags: u16) -> Self {
        let mut header = bytes::ports(source_port, destination_port);
        header.extend([0; 8]);
        header.extend((5 << 12 | flags).to_be_bytes());
        header.extend([0xff, 0xff, 0, 0, 0, 0]);
        self.numbers = Numbers::default();
        self.transport(TCP, header, Checksum::Pseudo(16))
    }

    /// TCP: the sequence number.
    pub const fn sequence(mut self, number: u32) -> Self {
        self.numbers.sequence = Number::Given(number);
        self
    }

    /// TCP: the acknowledgment number.
    pub const fn acknowledge(mut self, number: u32) -> Self {
        self.numbers.acknowledgement = Number::Given(number);
        self
    }

    /// TCP: begins so many bytes later than it should.
    pub const fn ahead(mut self, bytes: u32) -> Self {
        self.numbers.sequence = Number::Shifted(bytes as i64);
        self
    }

    /// TCP: begins so many bytes earlier than it should: it repeats them.
    pub const fn behind(mut self, bytes: u32) -> Self {
        self.numbers.sequence = Number::Shifted(-(bytes as i64));
        self
    }

    /// TCP: acknowledges so many bytes more than were sent.
    pub const fn acknowledging_more(mut self, bytes: u32) -> Self {
        self.numbers.acknowledgement = Number::Shifted(bytes as i64);
        self
    }

    /// TCP: acknowledges so many bytes less than were sent.
    pub const fn acknowledging_less(mut self, bytes: u32) -> Self {
        self.numbers.acknowledgement = Number::Shifted(-(bytes as i64));
        self
    }

    /// TCP: the window field.
    pub fn window(self, window: u16) -> Self {
        self.set_transport(14, &window.to_be_bytes())
    }

    /// TCP: adds options, which are padded to four bytes with end-of-list.
    ///
    /// # Panics
    /// If this is not TCP or they do not fit its header.
    pub fn tcp_options(mut self, options: &[u8]) -> Self {
        assert!(self.is_tcp() && options.len() <= 40, "TCP has room for 40 bytes of options");
        self.transport.truncate(HEADER_LEN);
        self.transport.extend(options);
        self.transport.resize(HEADER_LEN + options.len().next_multiple_of(4), 0);
        let words = u8::try_from(self.transport.len() / 4).expect("at most 60 bytes");
        self.transport[12] = words << 4 | self.transport[12] & 0xf;
        self
    }

    /// TCP: acknowledges blocks beyond the acknowledgment number, from which they count, and has
    /// no other options.
    ///
    /// # Panics
    /// If these are more blocks than fit a header.
    pub fn sacks(self, blocks: &[(i64, i64)]) -> Self {
        let len = u8::try_from(2 + 8 * blocks.len()).expect("four blocks at most");
        let mut options = vec![1, 1, SACK, len];
        options.resize(SACK_PREFIX_LEN + 8 * blocks.len(), 0);
        let mut packet = self.tcp_options(&options);
        packet.numbers.sacks = blocks.to_vec();
        packet
    }

    /// Whether this is TCP, with a header of its own.
    #[must_use]
    pub fn is_tcp(&self) -> bool {
        self.protocol == TCP && self.checksum != Checksum::None
    }

    /// Where a segment comes from and where it goes.
    ///
    /// # Panics
    /// If this is no TCP segment.
    #[must_use]
    pub fn tcp_ends(&self) -> (SocketAddr, SocketAddr) {
        let port = |at: usize| u16::from_be_bytes([self.transport[at], self.transport[at + 1]]);
        let ip = self.ip_ref();
        (SocketAddr::new(ip.source, port(0)), SocketAddr::new(ip.destination, port(2)))
    }

    /// The flags, of a segment.
    #[must_use]
    pub fn tcp_flags(&self) -> u16 {
        u16::from_be_bytes([self.transport[12] & 0xf, self.transport[13]])
    }

    /// What the segment says.
    #[must_use]
    pub fn tcp_header(&self) -> Header {
        let upper = self.upper_layer();
        let header_len = usize::from(upper[12] >> 4) * 4;
        Header {
            flags: u16::from_be_bytes([upper[12] & 0xf, upper[13]]),
            window: u16::from_be_bytes([upper[14], upper[15]]),
            options: upper[HEADER_LEN..header_len].to_vec(),
            payload_len: upper.len() - header_len,
        }
    }

    /// Its numbers.
    #[must_use]
    pub const fn numbers(&self) -> &Numbers {
        &self.numbers
    }

    /// Puts the numbers into the header.
    pub(super) fn number(&self, header: &mut [u8]) {
        let Numbers { sequence, acknowledgement, sacks } = &self.numbers;
        let acknowledgement = acknowledgement.alone();
        header[4..8].copy_from_slice(&sequence.alone().to_be_bytes());
        header[8..12].copy_from_slice(&acknowledgement.to_be_bytes());
        let edges = sacks.iter().flat_map(|&(start, end)| [start, end]);
        let fields = header.iter_mut().skip(HEADER_LEN + SACK_PREFIX_LEN);
        let edges = edges.flat_map(|edge| {
            acknowledgement.wrapping_add(on_the_wire(edge.cast_unsigned())).to_be_bytes()
        });
        for (field, byte) in fields.zip(edges) {
            *field = byte;
        }
    }
}

/// The lower 32 bits of a number, which are what a header has room for.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "that is the point")]
pub const fn on_the_wire(number: u64) -> u32 {
    number as u32
}

impl Number {
    /// What it is in a segment that belongs to no conversation.
    const fn alone(self) -> u32 {
        match self {
            Self::Given(number) => number,
            Self::Shifted(by) => on_the_wire(by.cast_unsigned()),
        }
    }

    /// What it is where `right` would be right.
    #[must_use]
    pub fn near(self, right: u64) -> u64 {
        let by = match self {
            Self::Given(number) => i64::from(number.wrapping_sub(on_the_wire(right)).cast_signed()),
            Self::Shifted(by) => by,
        };
        right.strict_add_signed(by)
    }
}
