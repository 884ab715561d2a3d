//! TCP without packets: segments go straight to the state machine.

mod resets;
mod states;
mod windows;

use network_types::ip::IpProto;

use super::{
    FlowEntry, FlowState, FlowUpdate, Trace,
    tcp::{self, Segment},
};
use crate::{
    config::Config,
    packet::{Packet, TcpHeader, TcpOptions},
    timeouts::{Ticks, TimeoutClass},
    tuple::{Direction, FlowKey},
    verdict::Reason,
    wire::tcp::flag,
};
use Direction::{Inbound, Outbound as Out};
use Segment::{Ack, Fin, Rst, Syn, SynAck};

const TICKS_PER_SEC: u32 = 250;

fn key() -> FlowKey {
    FlowKey { protocol: IpProto::Tcp as u8, ..FlowKey::default() }
}

/// A host: what it sends next.
#[derive(Clone, Copy, Debug)]
struct Host {
    /// The sequence number of its next byte.
    next: u32,
    /// What its window field says.
    window: u16,
    /// The options of its SYN.
    options: TcpOptions,
}

/// A connection under a clock that the test moves. Both hosts hear everything at once, so that
/// the numbers of the next segment follow from what was sent; a test that wants others changes
/// the header.
#[derive(Clone, Debug)]
struct Connection {
    entry: FlowEntry,
    now: Ticks,
    inside: Host,
    outside: Host,
}

/// The numbers begin shortly before they wrap around.
const INSIDE: Host = Host { next: u32::MAX - 100, window: 1_000, options: SCALED };
const OUTSIDE: Host = Host { next: u32::MAX - 5, window: 2_000, options: SCALED };

/// A window scale of one bit, and selective acknowledgements.
const SCALED: TcpOptions = TcpOptions {
    sack_edge: 0,
    window_scale: 1,
    found: TcpOptions::WINDOW_SCALE | TcpOptions::SACK_PERMITTED,
};

impl Connection {
    /// Inside opens the flow with this segment.
    fn open(segment: Segment) -> Self {
        Self::open_between(INSIDE, OUTSIDE, segment)
    }

    fn open_between(inside: Host, outside: Host, segment: Segment) -> Self {
        let now = Ticks(1_000_000);
        let entry = FlowEntry { created: now, ..FlowEntry::default() };
        let mut connection = Self { entry, now, inside, outside };
        connection.begin(segment);
        connection
    }

    fn begin(&mut self, segment: Segment) {
        let header = self.header(Out, segment, 0);
        let trace = tcp::opening(segment, &header).expect("the segment opens a flow");
        self.entry = self.stored(&header);
        self.apply(Out, &trace);
        self.sent(Out, segment, &header);
    }

    /// The entry that a segment which opens a flow begins with.
    fn stored(&self, header: &TcpHeader) -> FlowEntry {
        let first = header.sequence.wrapping_add(1);
        FlowEntry { created: self.now, first, ..FlowEntry::default() }
    }

    /// The header of what a host would send now, with so many bytes of data.
    fn header(&self, direction: Direction, segment: Segment, payload_len: u32) -> TcpHeader {
        let (sender, receiver) = match direction {
            Inbound => (self.outside, self.inside),
            Out => (self.inside, self.outside),
        };
        let is_opening = matches!(segment, Syn | SynAck);
        TcpHeader {
            sequence: sender.next,
            acknowledgement: if segment == Syn { 0 } else { receiver.next },
            payload_len,
            window: sender.window,
            flags: match segment {
                Syn => flag::SYN,
                SynAck => flag::SYN | flag::ACK,
                Fin => flag::FIN | flag::ACK,
                Ack => flag::ACK,
                Rst => flag::RST | flag::ACK,
            },
            options: if is_opening { sender.options } else { TcpOptions::default() },
            ..TcpHeader::default()
        }
    }

    fn sent(&mut self, direction: Direction, segment: Segment, header: &TcpHeader) {
        let sender = match direction {
            Inbound => &mut self.outside,
            Out => &mut self.inside,
        };
        let flags = u32::from(matches!(segment, Syn | SynAck | Fin));
        sender.next = header.sequence.wrapping_add(header.payload_len + flags);
    }

    fn apply(&mut self, direction: Direction, trace: &Trace) {
        let packet = Packet { packets: 1, wire_bytes: 40, ..Packet::default() };
        let mut update = FlowUpdate::default();
        update.set(&packet, direction, self.now, trace);
        self.entry.apply(&update);
    }

    /// A segment with these numbers, one second after the one before. The sender does not
    /// remember that it sent it.
    fn forge(
        &mut self,
        direction: Direction,
        segment: Segment,
        header: &TcpHeader,
    ) -> Result<(), Reason> {
        self.now = self.now + Ticks(u64::from(TICKS_PER_SEC));
        let trace = match direction {
            Inbound => tcp::inbound(&self.entry, segment, header)?,
            Out => tcp::outbound(&self.entry, segment, header).unwrap_or_else(|| {
                self.entry = self.stored(header);
                tcp::opening(segment, header).expect("what reopens a flow opens one")
            }),
        };
        self.apply(direction, &trace);
        Ok(())
    }

    /// The segment that a host would send now, one second after the one before.
    fn take(&mut self, direction: Direction, segment: Segment) -> Result<(), Reason> {
        self.send(direction, segment, 0)
    }

    /// The same with so many bytes of data.
    fn send(
        &mut self,
        direction: Direction,
        segment: Segment,
        payload_len: u32,
    ) -> Result<(), Reason> {
        let header = self.header(direction, segment, payload_len);
        self.forge(direction, segment, &header)?;
        self.sent(direction, segment, &header);
        Ok(())
    }

    fn after(mut self, segments: &[(Direction, Segment)]) -> Self {
        for &(direction, segment) in segments {
            self.take(direction, segment).unwrap_or_else(|reason| {
                panic!("{direction:?} {segment:?} in {:?}: {reason:?}", self.state())
            });
        }
        self
    }

    /// A host loses its memory: it goes on from another number.
    fn restart(mut self, direction: Direction, next: u32) -> Self {
        match direction {
            Inbound => self.outside.next = next,
            Out => self.inside.next = next,
        }
        self
    }

    fn state(&self) -> FlowState {
        tcp::state(&self.entry)
    }

    fn class(&self) -> TimeoutClass {
        self.entry.timeout_class(&key())
    }

    fn secs_left(&self) -> u64 {
        let deadline = self.entry.deadline(&key(), &Config::new(TICKS_PER_SEC));
        deadline.since(self.now).to_ms(TICKS_PER_SEC) / 1000
    }
}

const HANDSHAKE: [(Direction, Segment); 2] = [(Inbound, SynAck), (Out, Ack)];

fn established() -> Connection {
    Connection::open(Syn).after(&HANDSHAKE)
}
