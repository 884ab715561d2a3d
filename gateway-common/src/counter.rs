//! What is counted per CPU.

/// Packets and bytes that met one reason in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Counter {
    /// Packets as they are on the wire: a segmentation-offload packet counts as all its segments.
    pub packets: u64,
    /// Bytes from the IP header on; of frames that the parser refuses all bytes.
    pub bytes: u64,
}

/// Things that happen to flows, as opposed to packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FlowEvent {
    /// A flow was opened.
    Created,
    /// A flow moved from `half_open` to `established`.
    Promoted,
    /// A flow was ready to move but `established` was full; counted per attempt.
    EstablishedFull,
}

impl FlowEvent {
    /// Every event, in slot order.
    pub const ALL: [Self; 3] = [Self::Created, Self::Promoted, Self::EstablishedFull];

    /// The name used in output and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Promoted => "promoted",
            Self::EstablishedFull => "established-full",
        }
    }
}
