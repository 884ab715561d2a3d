//! A flow: what is remembered of a conversation that inside opened.
//!
//! The entry has two halves, one per direction, and each half is written by the hook of that
//! direction only. Everything about the flow's state is derived from what the halves recorded:
//! counters only grow, marks are only ever added, times only advance. So two CPUs that update
//! the same flow at the same time can lose at most the older of two nearly equal times.

pub mod tcp;
#[cfg(test)]
mod tests;

use network_types::ip::IpProto;

use crate::{
    config::Config,
    packet::{Packet, TransportKind},
    timeouts::{Ticks, TimeoutClass},
    tuple::{Direction, FlowKey},
    verdict::Reason,
};

/// What a half remembers as single bits, only ever set.
pub mod mark {
    /// This side has spoken: for TCP it sent its SYN (or any segment of a flow that was picked
    /// up mid-stream), otherwise any packet.
    pub const OPENED: u32 = 1;
    /// This side spoke again after the other side had opened: the handshake is complete.
    pub const CONFIRMED: u32 = 1 << 1;
    /// This side sent a FIN.
    pub const FIN: u32 = 1 << 2;
    /// This side sent a segment after both sides had sent their FIN.
    pub const LAST_ACK: u32 = 1 << 3;
    /// The flow was first seen in mid-stream, so its opening is unknown.
    pub const PICKED_UP: u32 = 1 << 4;
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
    /// Bits of [`mark`].
    pub marks: u32,
    /// Zero.
    pub zero: u32,
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
    /// The policy's generation that allowed the flow.
    pub generation: u32,
    /// Zero.
    pub zero: u32,
}

/// A flow's state as people know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowState {
    /// TCP: inside sent a SYN.
    SynSent,
    /// TCP: outside answered the SYN.
    SynReceived,
    /// TCP: the handshake is complete.
    Established,
    /// TCP: inside sent a FIN.
    FinWait,
    /// TCP: outside sent a FIN.
    CloseWait,
    /// TCP: both sides sent a FIN.
    LastAck,
    /// TCP: both FINs are acknowledged.
    TimeWait,
    /// TCP: one side reset the connection.
    Closed,
    /// Other protocols: outside has not answered.
    Unreplied,
    /// Other protocols: outside has answered.
    Replied,
}

impl FlowState {
    /// Every state.
    pub const ALL: [Self; 10] = [
        Self::SynSent,
        Self::SynReceived,
        Self::Established,
        Self::FinWait,
        Self::CloseWait,
        Self::LastAck,
        Self::TimeWait,
        Self::Closed,
        Self::Unreplied,
        Self::Replied,
    ];

    /// The kebab-case name used in output and filters.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SynSent => "syn-sent",
            Self::SynReceived => "syn-received",
            Self::Established => "established",
            Self::FinWait => "fin-wait",
            Self::CloseWait => "close-wait",
            Self::LastAck => "last-ack",
            Self::TimeWait => "time-wait",
            Self::Closed => "closed",
            Self::Unreplied => "unreplied",
            Self::Replied => "replied",
        }
    }
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

    /// The flow's state.
    #[must_use]
    #[inline(always)]
    pub fn state(&self, key: &FlowKey) -> FlowState {
        if key.protocol == IpProto::Tcp as u8 {
            tcp::state(self)
        } else if self.inbound.has(mark::OPENED) {
            FlowState::Replied
        } else {
            FlowState::Unreplied
        }
    }

    /// Which timeout the flow is under.
    #[must_use]
    #[inline(always)]
    pub fn timeout_class(&self, key: &FlowKey) -> TimeoutClass {
        const TCP: u8 = IpProto::Tcp as u8;
        const UDP: u8 = IpProto::Udp as u8;
        const UDP_LITE: u8 = IpProto::UdpLite as u8;
        const SCTP: u8 = IpProto::Sctp as u8;
        const ICMP: u8 = IpProto::Icmp as u8;
        const ICMPV6: u8 = IpProto::Ipv6Icmp as u8;
        let replied = self.inbound.has(mark::OPENED);
        match (key.protocol, replied) {
            (TCP, _) => tcp::timeout_class(self),
            (UDP | UDP_LITE, _) if matches!(key.outside_port, 53 | 123) => TimeoutClass::UdpDns,
            (UDP | UDP_LITE, false) => TimeoutClass::UdpUnreplied,
            (UDP | UDP_LITE, true) => TimeoutClass::Udp,
            (ICMP | ICMPV6, _) => TimeoutClass::Icmp,
            (SCTP, false) => TimeoutClass::SctpHalfOpen,
            (SCTP, true) => TimeoutClass::SctpEstablished,
            _ => TimeoutClass::Other,
        }
    }

    /// The moment from which the flow counts as absent.
    #[must_use]
    #[inline(always)]
    pub fn deadline(&self, key: &FlowKey, config: &Config) -> Ticks {
        let class = self.timeout_class(key);
        let idle_since = match class {
            // Only inside may keep an opening alive: outside cannot hold the door open.
            TimeoutClass::TcpHalfOpen => self.outbound.seen,
            TimeoutClass::TcpClosing if tcp::is_reset(self) => tcp::reset_at(self),
            TimeoutClass::TcpEstablished
            | TimeoutClass::TcpClosing
            | TimeoutClass::TcpTimeWait
            | TimeoutClass::UdpUnreplied
            | TimeoutClass::Udp
            | TimeoutClass::UdpDns
            | TimeoutClass::Icmp
            | TimeoutClass::SctpHalfOpen
            | TimeoutClass::SctpEstablished
            | TimeoutClass::Other => self.outbound.seen.max(self.inbound.seen),
        };
        idle_since + config.timeout(class)
    }

    /// Whether the flow still counts at `now`.
    #[must_use]
    #[inline(always)]
    pub fn is_live(&self, key: &FlowKey, now: Ticks, config: &Config) -> bool {
        now < self.deadline(key, config)
    }

    /// Applies `update` the plain way. The packet path in the kernel does the same with atomic
    /// additions; see [`FlowSlot`](crate::tables::FlowSlot).
    #[inline(always)]
    pub fn apply(&mut self, update: &FlowUpdate) {
        let half = match update.direction {
            Direction::Inbound => &mut self.inbound,
            Direction::Outbound => &mut self.outbound,
        };
        half.packets += update.packets;
        half.bytes += update.bytes;
        half.marks |= update.marks;
        half.seen = update.seen.unwrap_or(half.seen);
        half.reset = update.reset.unwrap_or(half.reset);
    }
}

/// What a packet changes in the half of its direction.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowUpdate {
    /// The half to write.
    pub direction: Direction,
    /// Packets to add.
    pub packets: u64,
    /// Bytes to add.
    pub bytes: u64,
    /// Refreshes the flow.
    pub seen: Option<Ticks>,
    /// Resets the connection.
    pub reset: Option<Ticks>,
    /// Marks to add.
    pub marks: u32,
}

impl FlowUpdate {
    /// What `packet` adds when it refreshes the flow and leaves `marks`.
    #[inline(always)]
    const fn refresh(packet: &Packet, direction: Direction, now: Ticks, marks: u32) -> Self {
        Self {
            direction,
            packets: packet.packets as u64,
            bytes: packet.wire_bytes,
            seen: Some(now),
            reset: None,
            marks,
        }
    }

    #[inline(always)]
    fn trace(packet: &Packet, direction: Direction, now: Ticks, trace: tcp::Trace) -> Self {
        Self {
            seen: trace.refreshes.then_some(now),
            reset: trace.resets.then_some(now),
            ..Self::refresh(packet, direction, now, trace.marks)
        }
    }

    /// Whether the packet showed that both sides take part: the flow has earned its place among
    /// the established ones.
    #[must_use]
    #[inline(always)]
    pub const fn proves_flow(&self) -> bool {
        self.marks & mark::CONFIRMED != 0
    }
}

/// What an outbound packet does to a live flow.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutboundStep {
    /// It belongs to the flow.
    Continue(FlowUpdate),
    /// It starts a new flow in place of this one.
    Reopen,
    /// It changes nothing: a combination of TCP flags that opens and continues nothing.
    Ignore,
}

/// Judges an inbound packet on a live flow.
///
/// # Errors
///
/// The reason why the flow does not take it.
#[inline(always)]
pub fn inbound(packet: &Packet, entry: &FlowEntry, now: Ticks) -> Result<FlowUpdate, Reason> {
    if packet.is_tcp() {
        let segment = packet.segment().ok_or(Reason::TcpFlags)?;
        let trace = tcp::inbound(entry, segment)?;
        return Ok(FlowUpdate::trace(packet, Direction::Inbound, now, trace));
    }
    // RFC 6092 REC-16: inbound may refresh, as every stateful filter in use lets it.
    Ok(FlowUpdate::refresh(packet, Direction::Inbound, now, mark::OPENED))
}

/// Judges an outbound packet on a live flow.
#[inline(always)]
pub fn outbound(packet: &Packet, entry: &FlowEntry, now: Ticks) -> OutboundStep {
    if packet.is_tcp() {
        let Some(segment) = packet.segment() else { return OutboundStep::Ignore };
        return match tcp::outbound(entry, segment) {
            tcp::Outbound::Reopen => OutboundStep::Reopen,
            tcp::Outbound::Continue(trace) => {
                OutboundStep::Continue(FlowUpdate::trace(packet, Direction::Outbound, now, trace))
            }
        };
    }
    let marks = if entry.inbound.has(mark::OPENED) { mark::CONFIRMED } else { 0 };
    OutboundStep::Continue(FlowUpdate::refresh(packet, Direction::Outbound, now, marks))
}

/// What an outbound packet records in the flow that it opens; `None` when it is of a kind that
/// opens none.
#[inline(always)]
#[must_use]
pub fn open(packet: &Packet, now: Ticks) -> Option<FlowUpdate> {
    let marks = match packet.transport.kind {
        TransportKind::Tcp => tcp::opening(packet.segment()?)?,
        TransportKind::Ports | TransportKind::Icmp | TransportKind::Portless => mark::OPENED,
        TransportKind::Missing | TransportKind::LaterFragment => return None,
    };
    Some(FlowUpdate::refresh(packet, Direction::Outbound, now, marks))
}
