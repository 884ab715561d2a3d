//! What is remembered of a flow, and how packets change it.

use super::window::{Granted, Sent};
use crate::{timeouts::Ticks, tuple::Direction};

/// What a half remembers as single bits, only ever set.
pub mod mark {
    /// This side has spoken: for TCP and SCTP it opened, or sent any packet of a flow that was
    /// picked up mid-stream; otherwise it sent any packet.
    pub const OPENED: u32 = 1;
    /// This side spoke again after the other side had opened: the handshake is complete.
    pub const CONFIRMED: u32 = 1 << 1;
    /// This side sent a FIN; for SCTP a SHUTDOWN.
    pub const FIN: u32 = 1 << 2;
    /// This side acknowledged the other's FIN after it had sent its own.
    pub const LAST_ACK: u32 = 1 << 3;
    /// The flow was first seen in mid-stream, so its opening is unknown.
    pub const PICKED_UP: u32 = 1 << 4;
    /// This side's SYN or INIT was seen, so its numbers and options are known.
    pub const SYN: u32 = 1 << 5;
    /// This side acknowledged something that the other side sent.
    pub const ACKED: u32 = 1 << 6;
    /// This side's numbers, options or tags cannot be known for certain: they are not checked.
    pub const UNCHECKED: u32 = 1 << 7;
    /// The flow was opened beyond its inside host's allowance.
    pub const OVERFLOW: u32 = 1 << 8;
    /// The flow has moved to the established ones; what is left here is about to go. Set in both
    /// halves of the entry left behind, never in the one that stays.
    pub const MOVED: u32 = 1 << 9;
    /// Outside opened the flow, and the policy let it.
    pub const ADMITTED: u32 = 1 << 10;
    /// The packet that opened the flow was another host's, which this one forwarded.
    pub const FORWARDED: u32 = 1 << 11;
    /// Whoever sets this in inside's half ends the flow: removes it and leaves its record.
    pub const ENDED: u32 = 1 << 12;
    /// The policy did not allow the flow any more, but what inside repeats of it must not open
    /// another one: it goes on as a closed connection.
    pub const REVOKED: u32 = 1 << 13;
}

/// What a side announced in its opening, for good: bits of [`FlowHalf::announced`] for TCP.
pub mod announced {
    /// The window scale's bits.
    pub const SCALE_MASK: u32 = 0xff;
    /// The side offers to scale windows.
    pub const SCALING: u32 = 1 << 8;
    /// The side takes selective acknowledgements.
    pub const SACK: u32 = 1 << 9;
}

/// One direction's half of a flow entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct FlowHalf {
    /// Packets as on the wire.
    pub packets: u64,
    /// Bytes from the IP header on, as on the wire.
    pub bytes: u64,
    /// When this direction last refreshed the flow; zero if it never did.
    pub seen: Ticks,
    /// When this direction reset the connection; zero if it never did.
    pub reset: Ticks,
    /// TCP: what this side sent. SCTP: the verification tag that inside puts in its packets.
    pub sent: Sent,
    /// TCP: what this side granted the other; counts with [`mark::ACKED`].
    pub granted: Granted,
    /// Bits of [`mark`].
    pub marks: u32,
    /// TCP: bits of [`announced`]. SCTP: the verification tag that inside expects.
    pub announced: u32,
}

impl FlowHalf {
    /// Whether all of `marks` are set.
    #[must_use]
    #[inline(always)]
    pub const fn has(&self, marks: u32) -> bool {
        self.marks & marks == marks
    }
}

/// The value of a flow in either table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct FlowEntry {
    /// Written by the egress hook only.
    pub outbound: FlowHalf,
    /// Written by the ingress hook only.
    pub inbound: FlowHalf,
    /// When the flow was opened.
    pub created: Ticks,
    /// The policy's generation that allowed the flow. Either direction renews it.
    pub generation: u32,
    /// TCP: the sequence number behind inside's SYN, from which outside's answer has to follow.
    pub first: u32,
}

impl FlowEntry {
    /// The half that packets of `direction` write.
    #[must_use]
    #[inline(always)]
    pub const fn half(&self, direction: Direction) -> &FlowHalf {
        match direction {
            Direction::Inbound => &self.inbound,
            Direction::Outbound => &self.outbound,
        }
    }

    /// A flow that begins with inside's packet of `update`.
    // Put together from the update: the kernel side would clear a whole entry byte by byte.
    #[must_use]
    #[inline(always)]
    pub fn opened(update: &FlowUpdate, created: Ticks, generation: u32, first: u32) -> Self {
        let FlowUpdate { packets, bytes, seen, reset, tracking, marks, .. } = *update;
        let Tracking { sent, granted, announced, .. } = tracking;
        let outbound = FlowHalf { packets, bytes, seen, reset, sent, granted, marks, announced };
        Self { outbound, inbound: FlowHalf::default(), created, generation, first }
    }

    /// Applies `update` the plain way. The packet path in the kernel does the same in atomic
    /// steps; see [`FlowSlot`](crate::tables::FlowSlot).
    #[inline(always)]
    pub fn apply(&mut self, update: &FlowUpdate) {
        let half = match update.direction {
            Direction::Inbound => &mut self.inbound,
            Direction::Outbound => &mut self.outbound,
        };
        half.packets += update.packets;
        half.bytes += update.bytes;
        if update.seen != Ticks(0) {
            half.seen = update.seen;
        }
        if update.reset != Ticks(0) {
            half.reset = update.reset;
        }
        let Tracking { change, sent, granted, announced } = update.tracking;
        match change {
            Change::Nothing => {}
            Change::Join => {
                half.sent = half.sent.join(sent);
                half.granted = half.granted.join(granted);
            }
            Change::Grant => {
                half.sent = half.sent.join(sent);
                half.granted = granted;
            }
            Change::Begin => {
                half.sent = sent;
                half.granted = granted;
                half.announced = announced;
            }
        }
        half.marks |= update.marks;
    }
}

/// What a packet changes in the half of its direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowUpdate {
    /// The half to write.
    pub direction: Direction,
    /// Packets to add.
    pub packets: u64,
    /// Bytes to add.
    pub bytes: u64,
    /// When the packet refreshed the flow; zero if it does not.
    pub seen: Ticks,
    /// When the packet reset the connection; zero if it does not.
    pub reset: Ticks,
    /// What is recorded of the packet's numbers. Stored before the marks, which tell others that
    /// it counts.
    pub tracking: Tracking,
    /// Marks to add.
    pub marks: u32,
}

impl FlowUpdate {
    /// Whether it adds marks to `entry` or resets the connection, so that the flow's state may be
    /// another one.
    #[must_use]
    pub fn is_news_to(&self, entry: &FlowEntry) -> bool {
        !entry.half(self.direction).has(self.marks) || self.reset != Ticks(0)
    }
}

/// What a packet changes in the records of its side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tracking {
    /// How.
    pub change: Change,
    /// What the side sent.
    pub sent: Sent,
    /// What the side granted.
    pub granted: Granted,
    /// What the side announced.
    pub announced: u32,
}

/// How records change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Change {
    /// Not at all.
    #[default]
    Nothing,
    /// They move ahead to the new numbers.
    Join,
    /// The same, but the side granted nothing before.
    Grant,
    /// They begin with the new numbers: the side has just opened, or opens in another way.
    Begin,
}
