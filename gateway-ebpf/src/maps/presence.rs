//! The presence filter's bitmaps, see [`gateway_common::presence`].

#![expect(
    unsafe_code,
    reason = "map values are shared memory that the kernel hands out by address"
)]

use aya_ebpf::{bindings::BPF_F_MMAPABLE, btf_maps::Array, macros::btf_map};
use gateway_common::{
    presence::{BITMAP_WORDS, Bit, Bitmap, Control, Phase},
    tuple::FlowKey,
};

use crate::atomic;

#[btf_map]
static PRESENCE: Array<u64, { 2 * BITMAP_WORDS as usize }, { BPF_F_MMAPABLE as usize }> =
    Array::new();
#[btf_map]
static PRESENCE_CTRL: Array<Control, 1> = Array::new();

/// Whether there may be a flow of this key.
// Not inlined: the words of key and secret would push what callers hold onto their stacks.
#[inline(never)]
pub(super) fn may_have(key: &FlowKey) -> bool {
    let Some(control) = PRESENCE_CTRL.get(0) else { return true };
    let bit = control.bit(key);
    let Some(word) = PRESENCE.get_ptr(bit.index(phase(control).asked())) else { return true };
    // SAFETY: an aligned word of a map, which others change by atomic instructions.
    unsafe { word.read_volatile() & bit.mask != 0 }
}

/// Notes a key where it is asked for, and where the next bitmap is being made.
#[inline(always)]
pub(super) fn note(key: &FlowKey) {
    let Some(control) = PRESENCE_CTRL.get(0) else { return };
    let (bit, phase) = (control.bit(key), phase(control));
    set(bit, phase.asked());
    if phase.is_rebuilding() {
        set(bit, phase.asked().other());
    }
}

/// The phase, read once: user space changes it at any time.
#[inline(always)]
fn phase(control: &Control) -> Phase {
    // SAFETY: an aligned word of a map.
    Phase(unsafe { (&raw const control.phase.0).read_volatile() })
}

#[inline(always)]
fn set(bit: Bit, bitmap: Bitmap) {
    let Some(word) = PRESENCE.get_ptr_mut(bit.index(bitmap)) else { return };
    // SAFETY: an aligned word of a map.
    unsafe {
        // Most often it is set already, and the cache line stays shared.
        if word.read_volatile() & bit.mask == 0 {
            atomic::or_wide(word, bit.mask);
        }
    }
}
