//! Two TCP peers with real sequence numbers, and what they say as a gateway between them sees it.

use crate::packet::flag;
use fastrand::Rng;
use gateway_common::tuple::Direction;

use super::{once_in, pick};
use crate::exchange::{
    option::TcpOption,
    step::{Checksum, Content, Segment, Step, opposite},
};

/// One of the two hosts.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// Its initial sequence number.
    pub(crate) isn: u32,
    /// The number of the next byte it will send.
    pub(crate) next: u32,
    /// The number of the next byte it expects.
    pub(crate) expected: u32,
    /// The window field that it sends.
    pub(crate) window: u16,
    /// Up to which number the other side lets it send.
    pub(crate) edge: u32,
    /// How far its windows are shifted, if it offers to shift them.
    pub(crate) scale: Option<u8>,
    /// Whether it takes selective acknowledgements.
    pub(crate) takes_sack: bool,
    /// Whether it adds timestamps to what it sends.
    pub(crate) stamps: bool,
    /// The first segment that it sent and that did not arrive.
    pub(crate) lost: Option<Segment>,
    /// The last segment with data that it sent.
    pub(crate) last: Option<Segment>,
}

/// The conversation so far.
pub(crate) struct Talk<'r> {
    /// Decides what happens next.
    pub(crate) rng: &'r mut Rng,
    /// The peers, by the direction in which they send.
    pub(crate) peers: [Peer; 2],
    /// What was said.
    pub(crate) steps: Vec<Step>,
}

impl Peer {
    fn new(rng: &mut Rng) -> Self {
        // Near the wrap is where arithmetic goes wrong.
        let isn = if once_in(rng, 3) { u32::MAX - rng.u32(..3000) } else { rng.u32(..) };
        Self {
            isn,
            next: isn,
            expected: 0,
            window: *pick(rng, &[1, 500, 1460, 5840, 8192, 65_535]),
            edge: isn,
            scale: *pick(rng, &[None, None, Some(0), Some(2), Some(7), Some(14)]),
            takes_sack: rng.bool(),
            stamps: once_in(rng, 4),
            lost: None,
            last: None,
        }
    }

    /// The options of its SYN.
    fn opening_options(&self) -> Vec<TcpOption> {
        let mut options = vec![TcpOption::SegmentSize(1460)];
        options.extend(self.scale.map(TcpOption::Scale));
        options.extend(self.takes_sack.then_some(TcpOption::SackPermitted));
        options.extend(self.stamps.then_some(TcpOption::Timestamps));
        options
    }
}

impl<'r> Talk<'r> {
    /// Two peers that have said nothing yet.
    pub(crate) fn new(rng: &'r mut Rng) -> Self {
        let peers = [Peer::new(rng), Peer::new(rng)];
        Self { rng, peers, steps: Vec::new() }
    }

    /// The peer that sends in this direction.
    pub(crate) fn peer(&mut self, direction: Direction) -> &mut Peer {
        &mut self.peers[direction as usize]
    }

    /// A direction at random.
    pub(crate) fn either(&mut self) -> Direction {
        *pick(self.rng, &Direction::ALL)
    }

    /// What a peer would send now with these flags and this much data. Nothing is sent.
    pub(crate) fn segment(&self, direction: Direction, flags: u16, payload_len: u16) -> Segment {
        let peer = &self.peers[direction as usize];
        let opens = flags & flag::SYN != 0;
        let options = if opens {
            peer.opening_options()
        } else if peer.stamps {
            vec![TcpOption::Timestamps]
        } else {
            Vec::new()
        };
        let acknowledgment = if flags & flag::ACK == 0 { 0 } else { peer.expected };
        Segment {
            flags,
            sequence: peer.next,
            acknowledgment,
            window: peer.window,
            options,
            payload_len,
            claimed_words: None,
            checksum: Checksum::Right,
        }
    }

    /// Puts a segment on the record without any effect on the peers.
    pub(crate) fn show(&mut self, direction: Direction, label: &'static str, segment: Segment) {
        self.steps.push(Step::new(direction, label, Content::Tcp(segment)));
    }

    /// A peer sends a segment and the other receives it.
    pub(crate) fn say(
        &mut self,
        direction: Direction,
        label: &'static str,
        flags: u16,
        payload_len: u16,
    ) {
        let segment = self.transmit(direction, label, flags, payload_len);
        self.deliver(direction, &segment);
    }

    /// A peer sends a segment, which the gateway sees; whether it arrives is left open.
    pub(crate) fn transmit(
        &mut self,
        direction: Direction,
        label: &'static str,
        flags: u16,
        payload_len: u16,
    ) -> Segment {
        let segment = self.segment(direction, flags, payload_len);
        let peer = self.peer(direction);
        peer.next = segment.end();
        if segment.span() > 0 {
            peer.last = Some(segment.clone());
        }
        self.show(direction, label, segment.clone());
        segment
    }

    /// The other side takes note of a segment that arrived.
    pub(crate) fn deliver(&mut self, direction: Direction, segment: &Segment) {
        let scales = self.peers.iter().all(|peer| peer.scale.is_some());
        let sender = self.peer(direction);
        let scale = if scales && !segment.has(flag::SYN) { sender.scale.unwrap_or(0) } else { 0 };
        let (is_whole, next) = (sender.lost.is_none(), sender.next);
        let receiver = self.peer(opposite(direction));
        if segment.has(flag::ACK) {
            let edge = segment.acknowledgment.wrapping_add(u32::from(segment.window) << scale);
            receiver.edge = edge;
        }
        if is_whole && segment.span() > 0 {
            receiver.expected = next;
        }
    }

    /// A peer sends this much data, or as much less as the other's window allows; whether there
    /// was any room.
    pub(crate) fn data(&mut self, direction: Direction, len: u16) -> bool {
        let room = self.room(direction).min(u32::from(len));
        let len = u16::try_from(room).expect("it is at most what was asked for");
        if len > 0 {
            let push = *pick(self.rng, &[0, flag::PSH, flag::PSH, flag::PSH | flag::URG]);
            self.say(direction, "data", flag::ACK | push, len);
        }
        len > 0
    }

    /// How much a peer may send.
    pub(crate) fn room(&mut self, direction: Direction) -> u32 {
        let peer = self.peer(direction);
        let room = peer.edge.wrapping_sub(peer.next);
        if room.cast_signed() > 0 { room } else { 0 }
    }

    /// A peer acknowledges all it has.
    pub(crate) fn acknowledge(&mut self, direction: Direction) {
        self.say(direction, "acknowledgement", flag::ACK, 0);
    }

    /// Both peers take up in the middle of a connection whose opening nobody saw.
    pub(crate) fn assume_open(&mut self) {
        for direction in Direction::ALL {
            let other = self.peer(opposite(direction)).clone();
            let peer = self.peer(direction);
            peer.expected = other.next;
            peer.edge = peer.next.wrapping_add(u32::from(other.window));
            // The gateway cannot know them, so they are left out.
            peer.scale = None;
        }
    }
}
