//! What the packet logic needs from its surroundings: flow tables, clock and configuration. The
//! kernel implements it with BPF maps, tests with the standard library's.

use crate::{
    config::Config,
    counter::FlowEvent,
    flow::{FlowEntry, FlowUpdate},
    fragment::{DatagramKey, PeerKey},
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
    /// The flow is there now, put there by this call or by another CPU at the same moment.
    Done,
    /// There is no room; the flow stays where it is and still works.
    Full,
}

/// A flow found in a table.
pub trait FlowSlot {
    /// A copy of the entry.
    fn read(&self) -> FlowEntry;

    /// Adds `update` to the stored entry as [`FlowEntry::apply`] would, exactly even when other
    /// CPUs do the same: counters and marks are atomic; of two times the later store wins.
    fn commit(&self, update: &FlowUpdate);
}

/// The packet logic's surroundings.
pub trait Tables {
    /// A flow found in a table.
    type Slot: FlowSlot;

    /// The configuration in force, whatever it contains.
    fn config(&self) -> Option<&Config>;

    /// The tick clock.
    fn now(&self) -> Ticks;

    /// Looks a flow up, live or not.
    fn find(&self, table: Table, key: &FlowKey) -> Option<Self::Slot>;

    /// Stores a new flow in [`Table::HalfOpen`].
    fn open(&self, key: &FlowKey, entry: &FlowEntry, replace: Replace) -> Opening;

    /// Moves a flow from [`Table::HalfOpen`], where it is `slot`, to [`Table::Established`].
    fn promote(&self, key: &FlowKey, slot: &Self::Slot) -> Promotion;

    /// Removes a flow that a new one replaces.
    fn remove(&self, table: Table, key: &FlowKey);

    /// Until when later fragments of this datagram may come in.
    fn datagram(&self, key: &DatagramKey) -> Option<Ticks>;

    /// Lets later fragments of this datagram come in until `deadline`.
    fn admit_datagram(&self, key: &DatagramKey, deadline: Ticks);

    /// Until when these hosts count as talking.
    fn peer(&self, key: &PeerKey) -> Option<Ticks>;

    /// Notes that these hosts talk, until `deadline`.
    fn note_peer(&self, key: &PeerKey, deadline: Ticks);

    /// Counts something that happened to a flow.
    fn count(&self, event: FlowEvent);
}
