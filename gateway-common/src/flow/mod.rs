//! A flow: what is remembered of a conversation that inside opened.
//!
//! The entry has two halves, one per direction, and each half is written by the hook of that
//! direction only. Everything about the flow's state is derived from what the halves recorded:
//! counters only grow, marks are only ever added, times and sequence numbers only advance. So two
//! CPUs that update the same flow at the same time can lose at most the older of two nearly equal
//! values.

mod entry;
pub mod sctp;
mod state;
pub mod tcp;
#[cfg(test)]
mod tests;
pub mod window;

use network_types::ip::IpProto;

pub use self::{
    entry::{Change, FlowEntry, FlowHalf, FlowUpdate, Tracking, announced, mark},
    state::FlowState,
};
use crate::{
    config::Config,
    packet::{Packet, TransportKind},
    tables::FlowSlot,
    timeouts::{Ticks, TimeoutClass},
    tuple::{Direction, FlowKey},
    verdict::Reason,
};

impl FlowEntry {
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
        const DCCP: u8 = IpProto::Dccp as u8;
        const ICMP: u8 = IpProto::Icmp as u8;
        const ICMPV6: u8 = IpProto::Ipv6Icmp as u8;
        let replied = self.inbound.has(mark::OPENED);
        match (key.protocol, replied) {
            (TCP, _) => tcp::timeout_class(self),
            (UDP | UDP_LITE, _) if matches!(key.outside_port, 53 | 123) => TimeoutClass::UdpDns,
            (UDP | UDP_LITE, false) => TimeoutClass::UdpUnreplied,
            (UDP | UDP_LITE, true) => TimeoutClass::Udp,
            (ICMP | ICMPV6, _) => TimeoutClass::Icmp,
            (SCTP, _) => sctp::timeout_class(self),
            (DCCP, false) => TimeoutClass::DccpHalfOpen,
            (DCCP, true) => TimeoutClass::DccpEstablished,
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
            TimeoutClass::TcpSynSent
            | TimeoutClass::TcpSynReceived
            | TimeoutClass::SctpHalfOpen => self.outbound.seen,
            TimeoutClass::TcpClosed => tcp::reset_at(self),
            TimeoutClass::SctpClosing if tcp::is_reset(self) => tcp::reset_at(self),
            TimeoutClass::TcpEstablished
            | TimeoutClass::TcpFinWait
            | TimeoutClass::TcpCloseWait
            | TimeoutClass::TcpLastAck
            | TimeoutClass::TcpTimeWait
            | TimeoutClass::UdpUnreplied
            | TimeoutClass::Udp
            | TimeoutClass::UdpDns
            | TimeoutClass::Icmp
            | TimeoutClass::SctpEstablished
            | TimeoutClass::SctpClosing
            | TimeoutClass::DccpHalfOpen
            | TimeoutClass::DccpEstablished
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
}

impl FlowUpdate {
    /// What `packet` adds when it leaves this trace.
    #[inline(always)]
    fn set(&mut self, packet: &Packet, direction: Direction, now: Ticks, trace: &Trace) {
        self.direction = direction;
        self.packets = u64::from(packet.packets);
        self.bytes = packet.wire_bytes;
        self.seen = if trace.refreshes { now } else { Ticks(0) };
        self.reset = if trace.resets { now } else { Ticks(0) };
        self.tracking = trace.tracking;
        self.marks = trace.marks;
    }

    /// Whether the packet showed that both sides take part: the flow has earned its place among
    /// the established ones.
    #[must_use]
    #[inline(always)]
    pub const fn proves_flow(&self) -> bool {
        self.marks & mark::CONFIRMED != 0
    }
}

/// What a packet of a protocol with states leaves behind in its direction's half.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Whether the flow's idle time starts anew.
    pub refreshes: bool,
    /// Whether the packet resets the connection.
    pub resets: bool,
    /// Marks to add.
    pub marks: u32,
    /// Numbers to record.
    pub tracking: Tracking,
}

impl Trace {
    /// The packet is counted, and that is all.
    #[inline(always)]
    fn nothing() -> Self {
        Self { refreshes: false, resets: false, marks: 0, tracking: Tracking::default() }
    }

    /// The packet keeps the flow and leaves `marks`.
    #[inline(always)]
    fn refresh(marks: u32) -> Self {
        Self { refreshes: true, marks, ..Self::nothing() }
    }

    /// A reset ends nothing at once (RFC7857-2.2, E134): the flow goes on under the closing
    /// timeout, which the first reset starts and later ones do not extend.
    #[inline(always)]
    fn reset(entry: &FlowEntry) -> Self {
        Self { resets: !tcp::is_reset(entry), ..Self::nothing() }
    }
}

/// What an outbound packet does to a live flow.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutboundStep {
    /// It belongs to the flow.
    Continue,
    /// It starts a new flow in place of this one.
    Reopen,
    /// It changes nothing: a combination of TCP flags or SCTP chunks that opens and
    /// continues nothing.
    Ignore,
}

/// Judges an inbound packet on a live flow; `update` tells what it changes there.
///
/// # Errors
///
/// The reason why the flow does not take it.
#[inline(always)]
pub fn inbound<S: FlowSlot>(
    packet: &Packet,
    slot: &S,
    now: Ticks,
    update: &mut FlowUpdate,
) -> Result<(), Reason> {
    if packet.is_tcp() {
        return inbound_segment(packet, slot, now, update);
    }
    if packet.is_sctp() {
        return inbound_message(packet, slot, now, update);
    }
    // RFC 6092 REC-16: inbound may refresh, as every stateful filter in use lets it.
    update.set(packet, Direction::Inbound, now, &Trace::refresh(mark::OPENED));
    Ok(())
}

// Not inlined, like its counterpart below: what happens inside is more than the kernel's verifier
// should have to follow again for every way that leads here.
#[inline(always)]
fn inbound_segment<S: FlowSlot>(
    packet: &Packet,
    slot: &S,
    now: Ticks,
    update: &mut FlowUpdate,
) -> Result<(), Reason> {
    let segment = packet.segment().ok_or(Reason::TcpFlags)?;
    let trace = tcp::inbound(&slot.read(), segment, &packet.transport.tcp)?;
    update.set(packet, Direction::Inbound, now, &trace);
    Ok(())
}

#[inline(never)]
fn inbound_message<S: FlowSlot>(
    packet: &Packet,
    slot: &S,
    now: Ticks,
    update: &mut FlowUpdate,
) -> Result<(), Reason> {
    let message = packet.message().ok_or(Reason::SctpChunks)?;
    let trace = sctp::inbound(&slot.read(), message, &packet.transport.sctp)?;
    update.set(packet, Direction::Inbound, now, &trace);
    Ok(())
}

/// Judges an outbound packet on a live flow; `update` tells what it changes there if it continues.
#[inline(always)]
pub fn outbound<S: FlowSlot>(
    packet: &Packet,
    slot: &S,
    now: Ticks,
    update: &mut FlowUpdate,
) -> OutboundStep {
    if packet.is_tcp() {
        return outbound_segment(packet, slot, now, update);
    }
    if packet.is_sctp() {
        return outbound_message(packet, slot, now, update);
    }
    let marks = if slot.read().inbound.has(mark::OPENED) { mark::CONFIRMED } else { 0 };
    update.set(packet, Direction::Outbound, now, &Trace::refresh(marks));
    OutboundStep::Continue
}

#[inline(never)]
fn outbound_segment<S: FlowSlot>(
    packet: &Packet,
    slot: &S,
    now: Ticks,
    update: &mut FlowUpdate,
) -> OutboundStep {
    let Some(segment) = packet.segment() else { return OutboundStep::Ignore };
    match tcp::outbound(&slot.read(), segment, &packet.transport.tcp) {
        Some(trace) => {
            update.set(packet, Direction::Outbound, now, &trace);
            OutboundStep::Continue
        }
        None => OutboundStep::Reopen,
    }
}

#[inline(never)]
fn outbound_message<S: FlowSlot>(
    packet: &Packet,
    slot: &S,
    now: Ticks,
    update: &mut FlowUpdate,
) -> OutboundStep {
    let Some(message) = packet.message() else { return OutboundStep::Ignore };
    match sctp::outbound(&slot.read(), message, &packet.transport.sctp) {
        Some(trace) => {
            update.set(packet, Direction::Outbound, now, &trace);
            OutboundStep::Continue
        }
        None => OutboundStep::Reopen,
    }
}

/// Whether an outbound packet is of a kind that opens a flow; `update` tells what it records.
#[inline(always)]
#[must_use]
pub fn open(packet: &Packet, now: Ticks, update: &mut FlowUpdate) -> bool {
    let trace = match packet.transport.kind {
        TransportKind::Tcp => {
            packet.segment().and_then(|segment| tcp::opening(segment, &packet.transport.tcp))
        }
        TransportKind::Sctp => {
            packet.message().and_then(|message| sctp::opening(message, &packet.transport.sctp))
        }
        TransportKind::Ports | TransportKind::Icmp | TransportKind::Portless => {
            Some(Trace::refresh(mark::OPENED))
        }
        TransportKind::Missing | TransportKind::LaterFragment => None,
    };
    if let Some(trace) = &trace {
        update.set(packet, Direction::Outbound, now, trace);
    }
    trace.is_some()
}
