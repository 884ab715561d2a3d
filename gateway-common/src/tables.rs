//! What the packet logic needs from its surroundings: flow tables, clock and configuration. The
//! kernel implements it with BPF maps, tests with the standard library's.

use crate::{
    bytes::PacketBytes,
    config::Config,
    counter::FlowEvent,
    endpoint::EndpointKey,
    flow::{FlowEntry, FlowUpdate},
    fragment::{DatagramKey, PeerKey},
    host::{HostKey, Overflow, Paid},
    packet::Packet,
    policy::{Decision, Query, Scope},
    timeouts::Ticks,
    tuple::FlowKey,
};

/// One of the two flow tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Table {
    /// Takes every new flow; under pressure the least recently used one makes room.
    HalfOpen,
    /// Flows that were answered and sent again; never evicted.
    Established,
}

impl Table {
    /// The name used in output and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HalfOpen => "half_open",
            Self::Established => "established",
        }
    }
}

/// How storing a new flow ended.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// The flow is stored.
    Done,
    /// Another CPU stored the same flow at the same moment.
    Exists,
    /// The kernel has no room at all.
    Failed,
}

/// Whether a new flow may take the place of an old one with the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replace {
    /// There was none: if there is now, it is newer.
    No,
    /// The old one is over.
    Yes,
}

/// How a move to [`Table::Established`] ended.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promotion {
    /// The flow is there now.
    Done,
    /// Another CPU moved it at the same moment.
    Exists,
    /// There is no room; the flow stays where it is and still works.
    Full,
}

/// What became of an update, which was made in any case.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit {
    /// It added marks or reset the connection, so that the flow's state may be another one.
    pub is_news: bool,
    /// Another CPU is moving the flow and may not see it any more.
    pub is_moved: bool,
}

/// A flow found in a table.
pub trait FlowSlot {
    /// A copy of the entry. Whoever needs little of it costs little.
    fn read(&self) -> FlowEntry;

    /// Adds `update` to the stored entry as [`FlowEntry::apply`] would, exactly even when other
    /// CPUs do the same: counters and marks are atomic; of two times the later store wins.
    fn commit(&self, update: &FlowUpdate) -> Commit;

    /// Notes that the policy of this generation allows the flow. If that is lost, the policy is
    /// asked once more.
    fn renew(&self, generation: u32);

    /// Sets [`mark::ENDED`](crate::flow::mark::ENDED), and tells whether that falls to the caller:
    /// nobody else did, and the flow has not moved elsewhere.
    fn claim(&self) -> bool;

    /// Takes [`mark::ENDED`](crate::flow::mark::ENDED) back.
    fn disclaim(&self);
}

/// The packet logic's surroundings.
pub trait Tables {
    /// A flow found in a table.
    type Slot: FlowSlot;

    /// The configuration in force, whatever it contains.
    fn config(&self) -> Option<&Config>;

    /// The tick clock.
    fn now(&self) -> Ticks;

    /// Whether there may be a flow of this key, so that it is worth looking. Where nothing tells there
    /// may be one; see [`presence`](crate::presence).
    #[inline(always)]
    fn may_have(&self, _key: &FlowKey) -> bool {
        true
    }

    /// Looks a flow up, live or not.
    fn find(&self, table: Table, key: &FlowKey) -> Option<Self::Slot>;

    /// Stores a new flow in [`Table::HalfOpen`].
    fn open(&self, key: &FlowKey, entry: &FlowEntry, replace: Replace) -> Opening;

    /// Moves a flow from [`Table::HalfOpen`], where it is `slot`, to [`Table::Established`];
    /// `entry` is room for a copy of it.
    fn promote(&self, key: &FlowKey, slot: &Self::Slot, entry: &mut FlowEntry) -> Promotion;

    /// Brings an update that came too late for a move, and what else was left in `slot`, to where
    /// the flow is now.
    fn follow(&self, key: &FlowKey, slot: &Self::Slot, update: &FlowUpdate);

    /// Removes a flow; whether there was one.
    fn remove(&self, table: Table, key: &FlowKey) -> bool;

    /// Replaces how far a host's openings are paid for by what `step` makes of it, in one atomic
    /// step; of a host that is not known it is zero. Whether `step` made anything of it.
    fn update_paid(&self, host: &HostKey, step: impl Fn(Paid) -> Option<Paid>) -> bool;

    /// Takes the next of `slots` places for flows beyond their hosts' allowance, in turn, and
    /// returns what had it before.
    fn take_place(&self, slots: u32, flow: &Overflow) -> Option<Overflow>;

    /// How many entries of [`Table::Established`] a host holds.
    fn held(&self, host: &HostKey) -> u64;

    /// Counts an entry of [`Table::Established`] that a host holds from now on.
    fn hold(&self, host: &HostKey);

    /// Counts one less, but never less than none.
    fn release(&self, host: &HostKey);

    /// Until when later fragments of this datagram may come in.
    fn datagram(&self, key: &DatagramKey) -> Option<Ticks>;

    /// Lets later fragments of this datagram come in until `deadline`.
    fn admit_datagram(&self, key: &DatagramKey, deadline: Ticks);

    /// Until when these hosts count as talking.
    fn peer(&self, key: &PeerKey) -> Option<Ticks>;

    /// Notes that these hosts talk, until `deadline`.
    fn note_peer(&self, key: &PeerKey, deadline: Ticks);

    /// Asks the policy of `config`; the answer goes to `decision`.
    fn ask(&self, config: &Config, scope: Scope, query: &Query, decision: &mut Decision);

    /// Counts a packet for a place among the hits of the policy in force; see
    /// [`Summary::places`](crate::policy::Summary::places).
    fn hit(&self, config: &Config, place: u32, packet: &Packet);

    /// Until when anybody may answer to this endpoint.
    fn endpoint(&self, key: &EndpointKey) -> Option<Ticks>;

    /// Lets anybody answer to this endpoint, until `deadline`.
    fn note_endpoint(&self, key: &EndpointKey, deadline: Ticks);

    /// Reports an opening from outside that was dropped: the packet of `len` bytes at `offset`. If
    /// nobody takes reports, this one is lost.
    fn report<B: PacketBytes>(&self, bytes: &B, key: &FlowKey, offset: usize, len: usize);

    /// Counts something that happened to a flow.
    fn count(&self, event: FlowEvent);

    /// Tells those who watch flows, if anybody does, what happened to one that goes on.
    fn tell(&self, key: &FlowKey, event: FlowEvent);

    /// Leaves the record of a flow that ends, see [`FlowRecord`](crate::record::FlowRecord), and
    /// tells those who watch.
    fn announce(&self, key: &FlowKey, slot: &Self::Slot, event: FlowEvent);
}
