//! Counting what became of a packet.

use gateway_common::{gateway::Outcome, tuple::Direction, verdict::Verdict};

use crate::maps;

/// Counts the outcome under its reason and returns the verdict that follows from it.
#[inline(always)]
pub(crate) fn count(direction: Direction, outcome: &Outcome) -> Verdict {
    maps::add_to_counter(outcome.reason.slot(direction), outcome.packets, outcome.bytes);
    outcome.reason.verdict()
}
