//! Counting what became of a packet.

use aya_ebpf::EbpfContext;
use aya_log_ebpf::trace;
use gateway_common::{gateway::Outcome, tuple::Direction, verdict::Verdict};

use crate::maps;

/// Counts the outcome under its reason and returns the verdict that follows from it.
#[inline(always)]
pub(crate) fn count<C: EbpfContext>(
    context: &C,
    direction: Direction,
    outcome: &Outcome,
) -> Verdict {
    let slot = outcome.reason.slot(direction);
    maps::add_to_counter(slot, outcome.packets, outcome.bytes);
    // For developers. User space sets the level before it loads the programs, so that a silent
    // one leaves no instruction behind.
    trace!(context, "counter {} packets {} bytes {}", slot, outcome.packets, outcome.bytes);
    outcome.reason.verdict()
}
