//! Two hosts that talk TCP as RFC 9293 says, on a network that loses, repeats and reorders.
//!
//! Numbers are counted in 64 bits, so nothing here wraps around but what goes into the packets.

use std::{collections::BTreeMap, net::IpAddr};

use gateway_common::tuple::{Direction, Family};
use tests::{
    model::Frame,
    packet::{Packet, flag, tcp::on_the_wire},
    rows::prelude::{INSIDE, OUTSIDE},
};

const INSIDE_PORT: u16 = 40_000;
const OUTSIDE_PORT: u16 = 443;
/// Payload of one segment on the wire.
const SEGMENT_BYTES: u64 = 1_400;
/// Room for a retransmission timer to fire: the most that is sent again at once.
const RESENT_BYTES: u64 = 20_000;

/// What a host brings into a conversation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// Its first sequence number.
    pub(crate) first: u32,
    /// The window scale it offers, if it does.
    pub(crate) scale: Option<u8>,
    /// Whether it takes selective acknowledgements.
    pub(crate) takes_sack: bool,
    /// Its receive buffer in bytes.
    pub(crate) buffer: u64,
    /// How much it has to say, in bytes.
    pub(crate) data: u64,
}

/// Something that a host does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    /// Sends what it has not sent yet, up to so many bytes, and its FIN when there is no more.
    Send(u64),
    /// Sends again what was not acknowledged.
    Resend,
    /// Acknowledges.
    Acknowledge,
    /// Looks whether the other end is still there, with or without a byte that it knows.
    KeepAlive(bool),
    /// Sends a byte into a closed window.
    Probe,
    /// Takes what has arrived out of the buffer.
    Read,
}

/// A segment on its way.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) flags: u16,
    pub(crate) sequence: u64,
    pub(crate) acknowledgement: u64,
    pub(crate) len: u64,
    pub(crate) window: u16,
    options: Vec<u8>,
    sacks: Vec<(u64, u64)>,
}

/// One host.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    manner: Manner,
    opens: bool,
    first: u64,
    /// The first number that was not acknowledged.
    unacknowledged: u64,
    /// The first number that was never sent.
    next: u64,
    /// Up to where the other end takes data.
    edge: u64,
    /// The number of the FIN.
    fin: u64,
    heard: Option<Heard>,
}

/// What a host knows of the other one.
#[derive(Clone, Debug)]
struct Heard {
    /// The number that it expects next.
    next: u64,
    /// What came out of order: where it begins and ends.
    beyond: BTreeMap<u64, u64>,
    unread: u64,
    scale: Option<u8>,
    takes_sack: bool,
    /// The number of the other end's FIN.
    fin: Option<u64>,
}

impl Endpoint {
    pub(crate) fn new(manner: Manner, opens: bool) -> Self {
        let first = (1 << 40) + u64::from(manner.first);
        let fin = first + 1 + manner.data;
        Self { manner, opens, first, unacknowledged: first, next: first, edge: 0, fin, heard: None }
    }

    /// Whether all was said and heard, both ways.
    pub(crate) fn is_done(&self) -> bool {
        let has_heard_all =
            self.heard.as_ref().is_some_and(|heard| Some(heard.next - 1) == heard.fin);
        self.unacknowledged == self.fin + 1 && has_heard_all
    }

    /// What it has sent so far ends here.
    pub(crate) const fn end(&self) -> u64 {
        self.next
    }

    /// The window scale it offers, if it does.
    pub(crate) const fn scale(&self) -> Option<u8> {
        self.manner.scale
    }

    /// Does something; that may be to send a segment.
    pub(crate) fn act(&mut self, act: Act) -> Option<Segment> {
        if self.next == self.first || self.unacknowledged == self.first {
            return self.open();
        }
        let room = self.edge.saturating_sub(self.next);
        match act {
            Act::Send(bytes) => {
                let len = bytes.min(room).min(self.fin.saturating_sub(self.next));
                let ends = self.next + len == self.fin && len < room;
                (len > 0 || ends).then(|| self.send(self.next, len, ends))
            }
            Act::Resend => {
                let sent = self.next - self.unacknowledged;
                let ends = self.next == self.fin + 1 && (1..=RESENT_BYTES).contains(&sent);
                let len = sent.min(RESENT_BYTES) - u64::from(ends);
                (sent > 0).then(|| self.send(self.unacknowledged, len, ends))
            }
            Act::Acknowledge => Some(self.send(self.next, 0, false)),
            Act::KeepAlive(has_byte) => {
                let is_idle = self.next > self.first + 1
                    && self.unacknowledged == self.next
                    && self.next <= self.fin;
                is_idle.then(|| self.send(self.next - 1, u64::from(has_byte), false))
            }
            Act::Probe => {
                // Only when all was acknowledged, and by that the window was closed.
                let is_idle = self.unacknowledged == self.next && self.next < self.fin;
                let is_closed = is_idle && self.next == self.edge;
                is_closed.then(|| self.send(self.next, 1, false))
            }
            Act::Read => {
                self.heard.as_mut().expect("the connection is open").unread = 0;
                None
            }
        }
    }

    /// A SYN, or the answer to one.
    fn open(&mut self) -> Option<Segment> {
        let Manner { scale, takes_sack, .. } = self.manner;
        let acknowledgement = match &self.heard {
            None if !self.opens => return None,
            None => 0,
            Some(heard) => heard.next,
        };
        // Whoever answers offers only what was offered.
        let may = |offered: fn(&Heard) -> bool| self.heard.as_ref().is_none_or(offered);
        let mut options = vec![2, 4, 5, 0x78];
        if let Some(scale) = scale.filter(|_| may(|heard| heard.scale.is_some())) {
            options.extend([1, 3, 3, scale]);
        }
        if takes_sack && may(|heard| heard.takes_sack) {
            options.extend([1, 1, 4, 2]);
        }
        self.next = self.first + 1;
        let flags = if acknowledgement == 0 { flag::SYN } else { flag::SYN | flag::ACK };
        let window = u16::try_from(self.manner.buffer).unwrap_or(u16::MAX);
        let sequence = self.first;
        Some(Segment { flags, sequence, acknowledgement, len: 0, window, options, sacks: vec![] })
    }

    fn send(&mut self, sequence: u64, len: u64, ends: bool) -> Segment {
        self.next = self.next.max(sequence + len + u64::from(ends));
        let heard = self.heard.as_ref().expect("the connection is open");
        let scale = self.manner.scale.filter(|_| heard.scale.is_some()).unwrap_or(0);
        let window = self.manner.buffer.saturating_sub(heard.unread) >> scale;
        let takes_sack = heard.takes_sack && self.manner.takes_sack;
        let beyond = heard.beyond.iter().map(|(&start, &end)| (start, end));
        Segment {
            flags: flag::ACK | if ends { flag::FIN } else { 0 },
            sequence,
            acknowledgement: heard.next,
            len,
            window: u16::try_from(window).unwrap_or(u16::MAX),
            options: vec![],
            sacks: beyond.filter(|_| takes_sack).take(3).collect(),
        }
    }

    /// Takes a segment from the network; whether it asks for an answer.
    pub(crate) fn take(&mut self, segment: &Segment) -> bool {
        let has = |flags| segment.flags & flags == flags;
        if has(flag::SYN) && self.heard.is_none() {
            if self.opens != has(flag::ACK) {
                return false;
            }
            self.hear(segment);
        } else if self.heard.is_none() || has(flag::SYN) {
            return self.heard.is_some();
        }
        if has(flag::ACK) {
            self.take_acknowledgement(segment);
        }
        self.take_data(segment)
    }

    /// Learns of the other end from its SYN.
    fn hear(&mut self, segment: &Segment) {
        let offers = |kind: u8, len: u8| {
            let mut options = segment.options.windows(usize::from(len));
            options.find(|option| option[0] == kind && option[1] == len)
        };
        self.heard = Some(Heard {
            next: segment.sequence + 1,
            beyond: BTreeMap::new(),
            unread: 0,
            scale: offers(3, 3).map(|option| option[2]),
            takes_sack: offers(4, 2).is_some(),
            fin: None,
        });
        if !self.opens {
            self.edge = self.first + 1 + u64::from(segment.window);
        }
    }

    fn take_acknowledgement(&mut self, segment: &Segment) {
        let heard = self.heard.as_ref().expect("its SYN came first");
        let is_new = self.unacknowledged <= segment.acknowledgement;
        if !is_new || segment.acknowledgement > self.next {
            return;
        }
        self.unacknowledged = segment.acknowledgement;
        let is_scaled = self.manner.scale.is_some() && segment.flags & flag::SYN == 0;
        let scale = heard.scale.filter(|_| is_scaled).unwrap_or(0);
        let edge = segment.acknowledgement + (u64::from(segment.window) << scale);
        self.edge = self.edge.max(edge);
    }

    fn take_data(&mut self, segment: &Segment) -> bool {
        let buffer = self.manner.buffer;
        let heard = self.heard.as_mut().expect("its SYN came first");
        let start = segment.sequence + u64::from(segment.flags & flag::SYN != 0);
        let end = start + segment.len;
        let has_fin = segment.flags & flag::FIN != 0;
        let room = heard.next + buffer - heard.unread;
        if end > room + 1 {
            return true;
        }
        if has_fin {
            heard.fin = Some(end);
        }
        if segment.len > 0 {
            let longest = heard.beyond.entry(start).or_insert(end);
            *longest = end.max(*longest);
        }
        while let Some((&start, &end)) = heard.beyond.first_key_value()
            && start <= heard.next
        {
            heard.unread = (heard.unread + end.saturating_sub(heard.next)).min(buffer);
            heard.next = heard.next.max(end);
            heard.beyond.pop_first();
        }
        if heard.fin == Some(heard.next) {
            heard.next += 1;
        }
        segment.len > 0 || has_fin
    }
}

impl Segment {
    /// The frame that carries it, under segmentation offload if it is long and leaves from inside.
    pub(crate) fn frame(&self, family: Family, direction: Direction) -> Frame {
        let payload = vec![0; usize::try_from(self.len).expect("short enough")];
        let number = |number: u64| number.wrapping_sub(self.acknowledgement).cast_signed();
        let packet = bare(family, direction, self.flags);
        let packet = if self.sacks.is_empty() {
            packet.tcp_options(&self.options)
        } else {
            let blocks: Vec<_> =
                self.sacks.iter().map(|&(start, end)| (number(start), number(end))).collect();
            packet.sacks(&blocks)
        };
        let packet = packet
            .sequence(on_the_wire(self.sequence))
            .acknowledge(on_the_wire(self.acknowledgement))
            .window(self.window)
            .payload(&payload);
        let segments = match direction {
            Direction::Outbound => self.len.div_ceil(SEGMENT_BYTES).max(1),
            Direction::Inbound => 1,
        };
        let segments = u32::try_from(segments).expect("few");
        Frame { segments, ..packet.frame().into() }
    }

    /// The number behind its last byte.
    pub(crate) fn end(&self) -> u64 {
        let has = |bit| u64::from(self.flags & bit != 0);
        self.sequence + self.len + has(flag::SYN) + has(flag::FIN)
    }

    /// The highest number that it acknowledges, in or out of order.
    pub(crate) fn acknowledged(&self) -> u64 {
        let sacked = self.sacks.iter().map(|(_, end)| *end).max();
        sacked.unwrap_or(0).max(self.acknowledgement)
    }
}

/// A segment of the conversation with nothing filled in.
pub(crate) fn bare(family: Family, direction: Direction, flags: u16) -> Packet {
    let (inside, outside): (IpAddr, IpAddr) = (INSIDE.ip(family), OUTSIDE.ip(family));
    match direction {
        Direction::Outbound => Packet::ip(inside, outside).tcp(INSIDE_PORT, OUTSIDE_PORT, flags),
        Direction::Inbound => Packet::ip(outside, inside).tcp(OUTSIDE_PORT, INSIDE_PORT, flags),
    }
}
