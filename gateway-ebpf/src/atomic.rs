//! Atomic steps on words in map values, which other CPUs change at the same time.

#![expect(
    unsafe_code,
    reason = "map values are shared memory that the kernel hands out by address"
)]

use core::arch::asm;

/// How often an update is tried again when other CPUs come in between. Each time another one's
/// update has been made; see the callers for why ours may then be given up.
const TRIES: usize = 4;

/// # Safety
///
/// `target` must point to an aligned word in a map value.
#[inline(always)]
pub(crate) unsafe fn add(target: *mut u64, value: u64) {
    // SAFETY: one atomic instruction on memory that the caller vouches for.
    unsafe {
        asm!("lock *(u64 *)({target} + 0) += {value}", target = in(reg) target, value = in(reg) value);
    }
}

/// # Safety
///
/// `target` must point to an aligned word in a map value.
#[inline(always)]
pub(crate) unsafe fn or(target: *mut u32, bits: u32) {
    // SAFETY: one atomic instruction on memory that the caller vouches for.
    unsafe {
        asm!("lock *(u32 *)({target} + 0) |= {bits}", target = in(reg) target, bits = in(wreg) bits);
    }
}

/// # Safety
///
/// `target` must point to an aligned word in a map value.
#[inline(always)]
pub(crate) unsafe fn or_wide(target: *mut u64, bits: u64) {
    // SAFETY: one atomic instruction on memory that the caller vouches for.
    unsafe {
        asm!("lock *(u64 *)({target} + 0) |= {bits}", target = in(reg) target, bits = in(reg) bits);
    }
}

/// # Safety
///
/// `target` must point to an aligned word in a map value.
#[inline(always)]
pub(crate) unsafe fn and(target: *mut u32, bits: u32) {
    // SAFETY: one atomic instruction on memory that the caller vouches for.
    unsafe {
        asm!("lock *(u32 *)({target} + 0) &= {bits}", target = in(reg) target, bits = in(wreg) bits);
    }
}

/// Sets bits and returns what was there before.
///
/// # Safety
///
/// `target` must point to an aligned word in a map value.
#[inline(always)]
pub(crate) unsafe fn fetch_or(target: *mut u32, bits: u32) -> u32 {
    let before;
    // SAFETY: one atomic instruction on memory that the caller vouches for.
    unsafe {
        asm!(
            "{bits} = atomic_fetch_or((u32 *)({target} + 0), {bits})",
            target = in(reg) target,
            bits = inout(wreg) bits => before,
        );
    }
    before
}

/// Adds and returns what was there before.
///
/// # Safety
///
/// `target` must point to an aligned word in a map value.
#[inline(always)]
pub(crate) unsafe fn fetch_add(target: *mut u64, value: u64) -> u64 {
    let before;
    // SAFETY: one atomic instruction on memory that the caller vouches for.
    unsafe {
        asm!(
            "{value} = atomic_fetch_add((u64 *)({target} + 0), {value})",
            target = in(reg) target,
            value = inout(reg) value => before,
        );
    }
    before
}

/// Stores `value` and returns what was there before.
///
/// # Safety
///
/// `target` must point to an aligned word in a map value.
#[inline(always)]
pub(crate) unsafe fn exchange(target: *mut u64, value: u64) -> u64 {
    let before;
    // SAFETY: one atomic instruction on memory that the caller vouches for.
    unsafe {
        asm!(
            "{value} = xchg_64({target} + 0, {value})",
            target = in(reg) target,
            value = inout(reg) value => before,
        );
    }
    before
}

/// Stores `new` if the word is still `expected`; whether it was.
///
/// # Safety
///
/// `target` must point to an aligned word in a map value.
#[inline(always)]
pub(crate) unsafe fn compare_exchange(target: *mut u64, expected: u64, new: u64) -> bool {
    let before: u64;
    // SAFETY: one atomic instruction on memory that the caller vouches for.
    unsafe {
        asm!(
            "r0 = cmpxchg_64({target} + 0, r0, {new})",
            target = in(reg) target,
            new = in(reg) new,
            inout("r0") expected => before,
        );
    }
    before == expected
}

/// Replaces the word by what `step` makes of it. A step that changes nothing costs no atomic
/// instruction.
///
/// # Safety
///
/// `target` must point to an aligned word in a map value.
#[inline(always)]
pub(crate) unsafe fn update(target: *mut u64, step: impl Fn(u64) -> u64) {
    for _ in 0..TRIES {
        // SAFETY: the caller vouches for the word.
        unsafe {
            let before = target.read_volatile();
            let after = step(before);
            if after == before || compare_exchange(target, before, after) {
                return;
            }
        }
    }
}
