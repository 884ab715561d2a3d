//! Associations without packets: headers go straight to the state machine.

mod closing;
mod opening;
mod tags;

use network_types::ip::IpProto;
use proptest::prelude::*;

use super::{super::FlowUpdate, *};
use crate::{
    config::Config,
    packet::Packet,
    timeouts::Ticks,
    tuple::{
        Direction::{Inbound, Outbound as Out},
        FlowKey,
    },
    wire::sctp::chunk,
};

/// What inside announced, and what packets to it carry.
const INSIDE: u32 = 0x1111_1111;
/// What outside announced, and what packets to it carry.
const OUTSIDE: u32 = 0x9999_9999;
/// The tag of another association.
const OTHER: u32 = 0x7777_7777;
/// A tag that no association has.
const STRANGER: u32 = 0x5555_5555;

const SACK: u8 = 3;
const HEARTBEAT: u8 = 4;
const HEARTBEAT_ACK: u8 = 5;
/// A type that is not assigned.
const UNKNOWN: u8 = 63;

const TICKS_PER_SEC: u64 = 250;

/// How an association opens, after the INIT.
const HANDSHAKE: [(Direction, SctpHeader); 3] = [
    (Inbound, init_ack(INSIDE, OUTSIDE)),
    (Out, packet(&[chunk::COOKIE_ECHO], OUTSIDE)),
    (Inbound, packet(&[chunk::COOKIE_ACK], INSIDE)),
];

/// A packet with these chunks.
const fn packet(kinds: &[u8], tag: u32) -> SctpHeader {
    let (mut found, mut count) = (0, 0);
    while (count as usize) < kinds.len() {
        found |= SctpChunks::kind(kinds[count as usize]);
        count += 1;
    }
    let chunks = SctpChunks { initiate_tag: 0, found, count, is_reflected: false };
    SctpHeader { tag, chunks }
}

const fn init(initiate_tag: u32) -> SctpHeader {
    let mut header = packet(&[chunk::INIT], 0);
    header.chunks.initiate_tag = initiate_tag;
    header
}

const fn init_ack(tag: u32, initiate_tag: u32) -> SctpHeader {
    let mut header = packet(&[chunk::INIT_ACK], tag);
    header.chunks.initiate_tag = initiate_tag;
    header
}

fn to_inside(kinds: &[u8]) -> SctpHeader {
    packet(kinds, INSIDE)
}

fn to_outside(kinds: &[u8]) -> SctpHeader {
    packet(kinds, OUTSIDE)
}

fn reflected(mut header: SctpHeader) -> SctpHeader {
    header.chunks.is_reflected = true;
    header
}

fn established() -> Association {
    Association::open(init(INSIDE)).after(&HANDSHAKE)
}

fn uncounted(mut entry: FlowEntry) -> FlowEntry {
    for half in [&mut entry.inbound, &mut entry.outbound] {
        half.packets = 0;
        half.bytes = 0;
    }
    entry
}

/// An association under a clock that the test moves.
#[derive(Clone, Debug)]
struct Association {
    entry: FlowEntry,
    now: Ticks,
}

impl Association {
    /// Inside opens the flow with this packet.
    fn open(header: SctpHeader) -> Self {
        let now = Ticks(1_000_000);
        let mut association = Self { entry: FlowEntry::default(), now };
        let message = Message::classify(&header).expect("hosts send this");
        assert!(association.begin(message, header), "{message:?} opens no flow");
        association
    }

    fn begin(&mut self, message: Message, header: SctpHeader) -> bool {
        let Some(trace) = opening(message, &header) else { return false };
        self.entry = FlowEntry { created: self.now, ..FlowEntry::default() };
        self.apply(Out, &trace);
        true
    }

    fn apply(&mut self, direction: Direction, trace: &Trace) {
        let packet = Packet { packets: 1, wire_bytes: 40, ..Packet::default() };
        let mut update = FlowUpdate::default();
        update.set(&packet, direction, self.now, trace);
        self.entry.apply(&update);
    }

    /// Each packet comes one second after the one before.
    fn take(&mut self, direction: Direction, header: SctpHeader) -> Result<(), Reason> {
        self.now = self.now + Ticks(TICKS_PER_SEC);
        let message = Message::classify(&header);
        match (direction, message) {
            (Inbound, message) => {
                let message = message.ok_or(Reason::SctpChunks)?;
                let trace = inbound(&self.entry, message, &header)?;
                self.apply(Inbound, &trace);
            }
            (Out, Some(message)) => match outbound(&self.entry, message, &header) {
                Some(trace) => self.apply(Out, &trace),
                None => _ = self.begin(message, header),
            },
            (Out, None) => {}
        }
        Ok(())
    }

    fn after(mut self, packets: &[(Direction, SctpHeader)]) -> Self {
        for &(direction, header) in packets {
            self.take(direction, header).unwrap_or_else(|reason| {
                panic!("{direction:?} {header:?} in {:?}: {reason:?}", self.entry)
            });
        }
        self
    }

    /// The timeout class, and how many seconds of it are left.
    fn life(&self) -> (TimeoutClass, u64) {
        let key = FlowKey { protocol: IpProto::Sctp as u8, ..FlowKey::default() };
        let config = Config::new(TICKS_PER_SEC.try_into().expect("a small number"));
        let left = self.entry.deadline(&key, &config).since(self.now);
        (self.entry.timeout_class(&key), left.0 / TICKS_PER_SEC)
    }

    /// Whether packets from outside need the right tag.
    fn is_checked(&self) -> bool {
        is_tracked(&self.entry)
    }
}

fn any_tag() -> impl Strategy<Value = u32> {
    prop::sample::select(&[INSIDE, OUTSIDE, OTHER, 0][..])
}

fn any_header() -> impl Strategy<Value = SctpHeader> {
    let kinds = prop::collection::vec(0..=15_u8, 1..3);
    (kinds, any_tag(), any_tag(), any::<bool>()).prop_map(
        |(kinds, tag, initiate_tag, reflected)| {
            let SctpHeader { tag, chunks } = packet(&kinds, tag);
            let is_reflected =
                reflected && matches!(kinds[0], chunk::ABORT | chunk::SHUTDOWN_COMPLETE);
            let is_opening = matches!(kinds[0], chunk::INIT | chunk::INIT_ACK);
            let initiate_tag = if is_opening { initiate_tag } else { 0 };
            SctpHeader { tag, chunks: SctpChunks { initiate_tag, is_reflected, ..chunks } }
        },
    )
}

fn any_step() -> impl Strategy<Value = (Direction, SctpHeader)> {
    (prop::sample::select(&Direction::ALL[..]), any_header())
}
