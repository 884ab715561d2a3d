//! What happens to flows while somebody watches.

use gateway_common::{config::Config, record::FlowRecord};
use jiff::Timestamp;
use serde::Serialize;

use super::{FlowView, packet::in_ms};

/// Something that happened to a flow, with the flow as it was then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FlowEventView {
    /// When it happened, to a jiffy.
    #[serde(serialize_with = "in_ms")]
    pub time: Timestamp,
    /// `existing`, `created`, `changed`, or the name of how it ended.
    pub event: &'static str,
    /// The flow. Of one that has ended, its age is how long it lasted.
    #[serde(flatten)]
    pub flow: FlowView,
}

impl FlowEventView {
    /// What a record says; `None` of one that no packet path of ours wrote.
    #[must_use]
    pub fn new(record: &FlowRecord, time: Timestamp, config: &Config) -> Option<Self> {
        let event = record.event()?;
        let mut flow = FlowView::new(&record.key, &record.entry, record.at, config);
        if event.is_end() {
            flow.expires_in_ms = 0;
        }
        Some(Self { time, event: event.name(), flow })
    }

    /// A flow that was there when the watch began.
    #[must_use]
    pub fn existing(flow: FlowView, time: Timestamp) -> Self {
        Self { time, event: "existing", flow }
    }
}
