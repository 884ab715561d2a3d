//! What is counted per CPU.

use crate::timeouts::Ticks;

/// Packets and bytes that met one reason in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Counter {
    /// Packets as they are on the wire: a segmentation-offload packet counts as all its segments.
    pub packets: u64,
    /// Bytes from the IP header on; of frames that the parser refuses all bytes.
    pub bytes: u64,
}

/// What a rule decided, or what was refused to a subnet, as counted on one CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Hits {
    /// Packets and bytes, as in [`Counter`].
    pub count: Counter,
    /// When the last one was; zero if there was none.
    pub last: Ticks,
}

/// Things that happen to flows, as opposed to packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum FlowEvent {
    /// A flow was opened.
    #[default]
    Created,
    /// A flow moved from `half_open` to `established`.
    Promoted,
    /// A flow was ready to move but `established` was full; counted once a second at most for
    /// each flow that goes on.
    EstablishedFull,
    /// A flow was ready to move but its inside host held its share of `established`; counted like
    /// [`Self::EstablishedFull`].
    HostShareFull,
    /// A flow was opened beyond its inside host's allowance.
    HostOverflow,
    /// Such a flow made room for the next one, and ended.
    HostRecycled,
    /// A flow got new marks or was reset, so that its state may be another one. That is only told to
    /// those who watch, and not counted.
    Changed,
    /// A flow ended: it was idle for longer than its timeout.
    Expired,
    /// A flow ended: both sides had closed the connection.
    Closed,
    /// A flow ended: one side had reset the connection.
    Reset,
    /// A flow ended: an operator deleted it.
    Deleted,
    /// A flow ended: the policy in force did not allow it any more.
    Revoked,
    /// A flow ended: inside opened another one with the same key while it was live.
    Replaced,
    /// A flow ended, but its record found no room in the ring.
    RecordLost,
}

impl FlowEvent {
    /// Every event, in slot order.
    pub const ALL: [Self; 14] = [
        Self::Created,
        Self::Promoted,
        Self::EstablishedFull,
        Self::HostShareFull,
        Self::HostOverflow,
        Self::HostRecycled,
        Self::Changed,
        Self::Expired,
        Self::Closed,
        Self::Reset,
        Self::Deleted,
        Self::Revoked,
        Self::Replaced,
        Self::RecordLost,
    ];

    /// The name used in output and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Promoted => "promoted",
            Self::EstablishedFull => "established-full",
            Self::HostShareFull => "host-share-full",
            Self::HostOverflow => "host-overflow",
            Self::HostRecycled => "host-recycled",
            Self::Changed => "changed",
            Self::Expired => "expired",
            Self::Closed => "closed",
            Self::Reset => "reset",
            Self::Deleted => "deleted",
            Self::Revoked => "revoked",
            Self::Replaced => "replaced",
            Self::RecordLost => "record-lost",
        }
    }

    /// Whether this is how a flow ends; of every flow that ends so there is a record.
    #[must_use]
    #[inline(always)]
    pub const fn is_end(self) -> bool {
        match self {
            Self::HostRecycled
            | Self::Expired
            | Self::Closed
            | Self::Reset
            | Self::Deleted
            | Self::Revoked
            | Self::Replaced => true,
            Self::Created
            | Self::Promoted
            | Self::EstablishedFull
            | Self::HostShareFull
            | Self::HostOverflow
            | Self::Changed
            | Self::RecordLost => false,
        }
    }
}
