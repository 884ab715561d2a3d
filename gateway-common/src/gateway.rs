//! What both directions share on the way to a verdict.

use crate::{
    bytes::PacketBytes,
    config::Config,
    counter::FlowEvent,
    flow::{FlowEntry, FlowUpdate},
    local, martian,
    packet::Packet,
    parse::{self, link, network::Network},
    policy::{Decision, Query},
    tables::{Commit, FlowSlot, Table, Tables},
    timeouts::Ticks,
    tuple::{Direction, FlowKey},
    verdict::Reason,
};

/// What became of a frame, ready to be counted.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The reason, from which the verdict follows.
    pub reason: Reason,
    /// Packets to count.
    pub packets: u32,
    /// Bytes to count.
    pub bytes: u64,
    /// Whether the frame was parsed: the workspace has its packet, not that of an earlier one.
    pub is_parsed: bool,
}

impl Outcome {
    /// The outcome of a frame of which nothing more is known.
    #[inline(always)]
    pub fn of_frame<B: PacketBytes>(bytes: &B, reason: Reason) -> Self {
        Self { reason, packets: bytes.segments(), bytes: bytes.len() as u64, is_parsed: false }
    }

    /// The outcome of a parsed packet.
    #[inline(always)]
    pub const fn of_packet(packet: &Packet, reason: Reason) -> Self {
        Self { reason, packets: packet.packets, bytes: packet.wire_bytes, is_parsed: true }
    }
}

/// The memory of a packet's walk, which would not fit the kernel's stack of 512 bytes. All
/// zeroes are a valid value; nothing in it outlives the packet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Workspace {
    /// The packet.
    pub packet: Packet,
    /// The packet that an ICMP error quotes.
    pub quoted: Network,
    /// The key of the flow in question.
    pub key: FlowKey,
    /// What the packet changes in its flow.
    pub update: FlowUpdate,
    /// The flow that is about to be stored.
    pub stored: FlowEntry,
    /// Why the packet is refused, should the policy have nothing to say about it. The kernel's
    /// verifier does not follow what lies in memory: once for all reasons is enough.
    pub refusal: Reason,
    /// What the policy is asked.
    pub query: Query,
    /// What it says.
    pub decision: Decision,
    /// Whether something happened to the packet's flow that is worth telling.
    pub has_news: bool,
    /// What it is.
    pub news: FlowEvent,
    /// Marks that a flow gets by the way it was let through; see [`admission`](crate::admission).
    pub admission_marks: u32,
}

impl Workspace {
    /// Notes that the flow's state may be another one, if `is_news`.
    #[inline(always)]
    pub(crate) fn note_change(&mut self, is_news: bool) {
        (self.has_news, self.news) = (is_news, FlowEvent::Changed);
    }

    /// Tells those who watch what happened to the packet's flow. It comes at the end of the walk,
    /// where less is on the stack.
    #[inline(always)]
    pub(crate) fn tell_news<T: Tables>(&self, tables: &T) {
        if self.has_news {
            tables.tell(&self.key, self.news);
        }
    }
}

/// Finds the IP packet in a frame.
///
/// # Errors
///
/// The reason that decides the frame without one: it is no IP packet, or not a valid one.
#[inline(always)]
pub fn find_packet<B: PacketBytes>(
    bytes: &B,
    config: &Config,
    packet: &mut Packet,
) -> Result<(), Reason> {
    let link = link::parse(bytes)?;
    if let Some(reason) = link::judge(&link, config) {
        return Err(reason);
    }
    parse::packet(bytes, &link, packet)
}

/// The configuration in force, if there is a valid one; without, nothing passes (RFC7084-G-3).
#[inline(always)]
pub fn valid_config<T: Tables>(tables: &T) -> Option<&Config> {
    tables.config().filter(|config| config.is_valid())
}

/// Whether verdicts are not enforced: not yet, or not any more because nobody confirmed in time
/// that the gateway lets in who should get in. No process has to live for that.
// The clock is asked only while somebody is waited for.
#[must_use]
#[inline(always)]
pub fn stands_by<T: Tables>(config: &Config, tables: &T) -> bool {
    config.is_standby() || (config.is_unconfirmed() && config.is_overdue(tables.now()))
}

/// Judges a packet as far as that goes without looking at any flow; `None` leaves it to the flows.
// What the link needs comes first: it uses addresses that are martians otherwise.
#[must_use]
#[inline(always)]
pub fn judge_stateless(packet: &Packet, direction: Direction, config: &Config) -> Option<Reason> {
    local::judge(packet, direction, config).or_else(|| martian::judge(packet, direction, config))
}

/// A live flow and where it was found.
pub struct Found<S> {
    /// The table it is in.
    pub table: Table,
    /// Its place there.
    pub slot: S,
    /// When that was.
    pub now: Ticks,
}

impl<S: FlowSlot> Found<S> {
    /// Records what a packet changes; whether the flow's state may be another one now.
    #[inline(always)]
    pub fn commit<T: Tables<Slot = S>>(
        &self,
        key: &FlowKey,
        update: &FlowUpdate,
        tables: &T,
    ) -> bool {
        let Commit { is_news, is_moved } = self.slot.commit(update);
        if is_moved {
            tables.follow(key, &self.slot, update);
        }
        is_news
    }
}

/// Looks a flow up, the established ones first: live traffic costs one lookup.
///
/// # Errors
///
/// [`Reason::NoFlow`] or, when there is a flow but its time is over, [`Reason::FlowExpired`].
#[inline(always)]
pub fn find_live<T: Tables>(
    key: &FlowKey,
    config: &Config,
    tables: &T,
) -> Result<Found<T::Slot>, Reason> {
    let mut reason = Reason::NoFlow;
    if !tables.may_have(key) {
        return Err(reason);
    }
    // The established ones once more: the flow may have moved between the two lookups.
    for table in [Table::Established, Table::HalfOpen, Table::Established] {
        let Some(slot) = tables.find(table, key) else { continue };
        let now = tables.now();
        if slot.read().is_live(key, now, config) {
            return Ok(Found { table, slot, now });
        }
        reason = Reason::FlowExpired;
    }
    Err(reason)
}
