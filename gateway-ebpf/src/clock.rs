//! The tick clock.

#![expect(unsafe_code, reason = "helpers are foreign functions")]

use aya_ebpf::{helpers::generated::bpf_jiffies64, programs::TcContext};
use gateway_common::timeouts::Ticks;

/// The kernel's tick counter. The verifier turns the call into a load, so it is free, where
/// nanosecond clocks cost as much as a flow lookup.
#[inline(always)]
pub(crate) fn now() -> Ticks {
    // SAFETY: the helper has no arguments and no preconditions.
    Ticks(unsafe { bpf_jiffies64() })
}

/// Writes the clock into the first bytes of the packet that user space ran the program with.
pub(crate) fn write_to(context: &mut TcContext) {
    // A failure leaves the packet as it was, which user space notices.
    _ = context.store(0, &now().0, 0);
}
