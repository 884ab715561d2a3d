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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FlowEvent {
    /// A flow was opened.
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
    /// Such a flow made room for the next one.
    HostRecycled,
}

impl FlowEvent {
    /// Every event, in slot order.
    pub const ALL: [Self; 6] = [
        Self::Created,
        Self::Promoted,
        Self::EstablishedFull,
        Self::HostShareFull,
        Self::HostOverflow,
        Self::HostRecycled,
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
        }
    }
}
