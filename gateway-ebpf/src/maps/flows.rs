//! How flows end, as functions that the kernel verifies once each; see `ask_policy`.

use gateway_common::{counter::FlowEvent, ending, tuple::FlowKey};

use super::Maps;

/// Runs `body` with a copy of the key that a caller passes; zero without one. Kernels up to 6.1 look
/// up only keys that lie on the stack or in a map.
#[inline(always)]
pub(super) fn with_own(key: *const FlowKey, body: impl FnOnce(&FlowKey) -> u32) -> u32 {
    if key.is_null() {
        return 0;
    }
    let mut own = FlowKey::default();
    let (from, to) = (key.cast::<u32>(), (&raw mut own).cast::<u32>());
    for word in 0..size_of::<FlowKey>() / size_of::<u32>() {
        // SAFETY: the key, which is aligned and whose size the verifier checks in every caller, has
        // that many words, and so has the copy. It is volatile so that the compiler neither takes
        // the original after all nor makes two copies.
        unsafe { to.add(word).write_volatile(from.add(word).read_volatile()) }
    }
    body(&own)
}

/// See [`ending::end`].
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn end_flow(key: *const FlowKey, event: FlowEvent) -> u32 {
    with_own(key, |key| ending::end(key, event, &Maps).into())
}

/// See [`ending::reclaim`].
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn reclaim_flow(key: *const FlowKey) -> u32 {
    with_own(key, |key| ending::reclaim(key, &Maps).into())
}
