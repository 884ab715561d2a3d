//! What the packet path tells user space about flows.

use crate::{flow::FlowEntry, timeouts::Ticks, tuple::FlowKey};

/// Something that happened to a flow: of every end, for whoever keeps records, and of whatever
/// else somebody watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct FlowRecord {
    /// Numbers the ends of a gateway's flows, from zero: where one is missing, a record was lost. Of
    /// what is no end it is zero.
    pub serial: u64,
    /// When it happened.
    pub at: Ticks,
    /// The flow as it was then.
    pub entry: FlowEntry,
    /// The flow's key.
    pub key: FlowKey,
    /// What happened: a [`FlowEvent`](crate::counter::FlowEvent).
    pub event: u32,
}
