//! The laboratory's programs.
//!
//! ```text
//! generate ─► veth ─► gateway under test ─► veth ─► sink
//!
//! vary_xdp, vary_tc ─► any program, by a tail call: each run sees another flow
//! ```
//!
//! `generate` is run by `BPF_PROG_TEST_RUN` with live frames: the kernel sends what it returns.
//! The kernel uses the frames again and leaves in them what their last receiver wrote, so every
//! run writes the whole frame.

#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]
#![expect(
    unsafe_code,
    reason = "packets and map values are memory that the kernel hands out by address"
)]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "what is cut off is zero: numbers are below 2^32, tails below 2^16, verdicts below 5"
)]
#![expect(clippy::needless_pass_by_value, reason = "the macros hand the contexts over")]

mod stream;

use core::{arch::asm, ptr};

use aya_ebpf::{
    bindings::{TC_ACT_OK, xdp_action},
    btf_maps::{Array, PerCpuArray, ProgramArray},
    helpers::generated::{bpf_get_prandom_u32, bpf_ktime_get_ns, bpf_redirect},
    macros::{btf_map, classifier, xdp},
    programs::{TcContext, XdpContext},
};

use crate::stream::{
    DESTINATION_OFFSET, FRAME_BYTES, FRAME_WORDS, INSIDE_PORT, KINDS, Kind, OUTSIDE_PORT, Progress,
    SOURCE_OFFSET, Stream,
};

#[btf_map]
static STREAM: Array<Stream, 1> = Array::new();
#[btf_map]
static PROGRESS: Array<Progress, 1> = Array::new();
/// What arrived of each kind.
#[btf_map]
static ARRIVED: PerCpuArray<u64, KINDS> = PerCpuArray::new();
/// What `drop_busy` computes, added up, so that it has to.
#[btf_map]
static PRODUCTS: PerCpuArray<u64, 1> = PerCpuArray::new();
/// The program behind `vary_xdp`, and that behind `vary_tc`.
#[btf_map]
static VARIED_XDP: ProgramArray<1> = ProgramArray::new();
#[btf_map]
static VARIED_TC: ProgramArray<1> = ProgramArray::new();

/// How often the clock is read at most until a frame is due: some hundred microseconds.
const WAIT_READINGS: u32 = 16_384;
/// A stream that is later than this does not try to catch up.
const LATE_NS: u64 = 1_000_000;

/// Writes the next frame and sends it.
#[xdp]
fn generate(context: XdpContext) -> u32 {
    let (Some(stream), Some(progress)) = (STREAM.get(0), PROGRESS.get_ptr_mut(0)) else {
        return xdp_action::XDP_DROP;
    };
    // SAFETY: one thread generates, and user space looks only before and afterwards.
    let progress = unsafe { &mut *progress };
    let is_first = progress.sent_total % u64::from(stream.burst.max(1)) == 0;
    if stream.interval_ns != 0 && is_first {
        wait_until_due(stream, progress);
    }
    let is_second =
        stream.second_each != 0 && progress.sent_total % u64::from(stream.second_each) == 0;
    progress.sent_total += 1;
    let (kind, sent) = if is_second {
        (&stream.kinds[1], &mut progress.sent[1])
    } else {
        (&stream.kinds[0], &mut progress.sent[0])
    };
    let number = next_number(kind, *sent);
    *sent += 1;
    if !write_frame(&context, kind, number) {
        return xdp_action::XDP_DROP;
    }
    // SAFETY: the helper takes numbers only.
    unsafe { bpf_redirect(stream.interface, 0) as u32 }
}

#[inline(always)]
fn wait_until_due(stream: &Stream, progress: &mut Progress) {
    // SAFETY: the helper takes nothing.
    let mut now = unsafe { bpf_ktime_get_ns() };
    if now > progress.due_ns + LATE_NS {
        progress.due_ns = now;
    }
    for _ in 0..WAIT_READINGS {
        if now >= progress.due_ns {
            break;
        }
        // SAFETY: as above.
        now = unsafe { bpf_ktime_get_ns() };
    }
    progress.due_ns += stream.interval_ns;
}

#[inline(always)]
fn next_number(kind: &Kind, sent: u64) -> u32 {
    let beyond = if kind.in_order != 0 {
        (sent % u64::from(kind.numbers.max(1))) as u32
    } else {
        random_below(kind.numbers)
    };
    kind.first.wrapping_add(beyond)
}

#[inline(always)]
fn random_below(end: u32) -> u32 {
    // SAFETY: the helper takes nothing.
    let random = unsafe { bpf_get_prandom_u32() };
    ((u64::from(random) * u64::from(end)) >> 32) as u32
}

/// The number and its complement: their sum is the same for all numbers.
#[inline(always)]
fn number_word(number: u32) -> u64 {
    u64::from(number) | u64::from(!number) << 32
}

#[inline(always)]
fn write_frame(context: &XdpContext, kind: &Kind, number: u32) -> bool {
    let (start, end) = (context.data(), context.data_end());
    if start + FRAME_BYTES > end {
        return false;
    }
    let frame = start as *mut u64;
    for index in 0..FRAME_WORDS {
        // SAFETY: all words of a frame and its tail are inside the packet, as the comparison above
        // shows to us and to the kernel's verifier.
        unsafe { frame.add(index).write_unaligned(kind.words[index]) };
    }
    // SAFETY: as above.
    unsafe { frame.add(FRAME_WORDS).cast::<u16>().write_unaligned(kind.tail as u16) };
    let offset = if kind.in_destination != 0 { DESTINATION_OFFSET } else { SOURCE_OFFSET };
    // SAFETY: as above; both places are inside a frame.
    unsafe { ((start + offset) as *mut u64).write_unaligned(number_word(number)) };
    true
}

/// Counts and drops the frames of a stream, and lets everything else pass.
#[xdp]
fn sink(context: XdpContext) -> u32 {
    const ETHERTYPE_OFFSET: usize = 12;
    const IPV6: u16 = 0x86dd;
    const PORTS_OFFSET: usize = 54;
    let (start, end) = (context.data(), context.data_end());
    if start + PORTS_OFFSET + 4 > end {
        return xdp_action::XDP_PASS;
    }
    // SAFETY: all three are inside the packet, as the comparison shows.
    let [ethertype, source, destination] = [ETHERTYPE_OFFSET, PORTS_OFFSET, PORTS_OFFSET + 2]
        .map(|offset| unsafe { u16::from_be(((start + offset) as *const u16).read_unaligned()) });
    let ((OUTSIDE_PORT, inside) | (inside, OUTSIDE_PORT)) = (source, destination) else {
        return xdp_action::XDP_PASS;
    };
    let kind = inside.wrapping_sub(INSIDE_PORT);
    if ethertype != IPV6 || usize::from(kind) >= KINDS {
        return xdp_action::XDP_PASS;
    }
    if let Some(count) = ARRIVED.get_ptr_mut(u32::from(kind)) {
        // SAFETY: the count belongs to this CPU, and nothing interrupts the program on it.
        unsafe { *count += 1 };
    }
    xdp_action::XDP_DROP
}

/// The floor: what a driver and an XDP program cost that looks at nothing.
#[xdp(frags)]
fn drop_all(_context: XdpContext) -> u32 {
    xdp_action::XDP_DROP
}

/// Drops everything after as many multiplications, each of which needs the one before, as take about as
/// long as judging a packet. The first one needs the packet, and the atomic instruction the last one:
/// otherwise the processor would go on with the next packet meanwhile.
#[xdp(frags)]
fn drop_busy(context: XdpContext) -> u32 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    const MULTIPLICATIONS: u32 = 64;
    let start = context.data();
    if start + FRAME_BYTES > context.data_end() {
        return xdp_action::XDP_PASS;
    }
    // SAFETY: it is inside the packet, as the comparison shows.
    let mut product = unsafe { ((start + SOURCE_OFFSET) as *const u64).read_unaligned() } | 1;
    for _ in 0..MULTIPLICATIONS {
        product = product.wrapping_mul(FACTOR) ^ 2;
    }
    if let Some(sum) = PRODUCTS.get_ptr_mut(0) {
        // SAFETY: it adds to an aligned word of a map.
        unsafe {
            asm!("lock *(u64 *)({sum} + 0) += {product}", sum = in(reg) sum, product = in(reg) product);
        }
    }
    xdp_action::XDP_DROP
}

/// Lets the packet be of another flow each time, then goes on with the program under test.
#[xdp(frags)]
fn vary_xdp(context: XdpContext) -> u32 {
    vary(context.data(), context.data_end());
    // SAFETY: the map holds programs that take this context.
    unsafe { VARIED_XDP.tail_call(&context, 0) };
    xdp_action::XDP_ABORTED
}

/// The same for packets that have left the driver.
#[classifier]
fn vary_tc(context: TcContext) -> i32 {
    vary(context.data(), context.data_end());
    // SAFETY: as above.
    unsafe { VARIED_TC.tail_call(&context, 0) };
    TC_ACT_OK
}

#[inline(always)]
fn vary(start: usize, end: usize) {
    let (Some(stream), Some(progress)) = (STREAM.get(0), PROGRESS.get_ptr_mut(0)) else { return };
    if start + FRAME_BYTES > end {
        return;
    }
    let kind = &stream.kinds[0];
    // SAFETY: one thread runs this, and user space looks only before and afterwards.
    let sent = unsafe { &mut (*progress).sent_total };
    let word = number_word(next_number(kind, *sent));
    *sent += 1;
    let offset = if kind.in_destination != 0 { DESTINATION_OFFSET } else { SOURCE_OFFSET };
    // SAFETY: both places are inside a frame, which the comparison above shows to be there.
    unsafe { ptr::write_unaligned((start + offset) as *mut u64, word) };
}

/// Stands where the program under test does otherwise: what varying a packet costs by itself.
#[xdp(frags)]
fn pass_xdp(_context: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}

/// The same for packets that have left the driver.
#[classifier]
fn pass_tc(_context: TcContext) -> i32 {
    TC_ACT_OK
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The kernel lets only GPL-compatible programs use the helpers these need.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
