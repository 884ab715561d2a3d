//! The rings through which user space learns what happens: the records of flows that ended, and what
//! observers asked to see.

use aya_ebpf::{
    bindings::{__sk_buff, BPF_RB_NO_WAKEUP, xdp_md},
    btf_maps::{Array, ArrayOfMaps, RingBuf},
    macros::btf_map,
    programs::{TcContext, XdpContext},
};
use gateway_common::{
    counter::FlowEvent,
    flow::FlowEntry,
    gateway::{Outcome, Workspace},
    host::Paid,
    limits::{OBSERVER_RING_BYTES, OBSERVERS_MAX, RECORDS_BYTES},
    observe::{PacketRecord, Sight, Watch, WatchCount, want},
    record::FlowRecord,
    tables::{Table, Tables},
    timeouts::Ticks,
    tuple::{Direction, FlowKey},
};

use super::{Maps, Memory, count_event, flows, memory};
use crate::{
    atomic,
    bytes::{SkbBytes, Uplink, XdpBytes},
    clock,
};

#[btf_map]
static RECORDS: RingBuf<FlowRecord, RECORDS_BYTES> = RingBuf::new();
#[btf_map]
static RECORDS_WRITTEN: Array<u64, 1> = Array::new();
#[btf_map]
static OBSERVED: Array<u32, 1> = Array::new();
#[btf_map]
static WATCHES: Array<Watch, OBSERVERS_MAX> = Array::new();
#[btf_map]
static WATCH_COUNTS: Array<WatchCount, OBSERVERS_MAX> = Array::new();
#[btf_map]
static OBSERVERS: ArrayOfMaps<RingBuf<PacketRecord, OBSERVER_RING_BYTES>, OBSERVERS_MAX> =
    ArrayOfMaps::new();

/// How many observers there may be.
#[expect(clippy::cast_possible_truncation, reason = "there are a few")]
const PLACES: u32 = OBSERVERS_MAX as u32;

/// User space looks at the rings by itself: waking it for each record would cost more than the
/// record.
const NO_WAKEUP: u64 = BPF_RB_NO_WAKEUP as u64;

/// Bits of [`want`] that any observer has.
#[inline(always)]
pub(super) fn observed() -> u32 {
    // SAFETY: one aligned word, which user space replaces as a whole.
    OBSERVED.get_ptr(0).map_or(0, |wants| unsafe { wants.read_volatile() })
}

/// Leaves the record of a flow that ended, and shows observers whatever happened to a flow. Verified
/// once for all callers, like the policy's functions.
#[unsafe(no_mangle)]
#[inline(never)]
pub(super) extern "C" fn announce_flow(
    key: *const FlowKey,
    entry: *const FlowEntry,
    event: FlowEvent,
) -> u32 {
    // SAFETY: the verifier checks that every caller passes either null or memory of that size. Of
    // the entry, which other CPUs write, every field is an aligned integer.
    let (Some(key), Some(entry)) = (unsafe { (key.as_ref(), entry.as_ref()) }) else { return 0 };
    let now = clock::now();
    let mut serial = 0;
    if event.is_end() {
        let Some(written) = RECORDS_WRITTEN.get_ptr_mut(0) else { return 0 };
        // SAFETY: an aligned word of a map.
        serial = unsafe { atomic::fetch_add(written, 1) };
        match RECORDS.reserve(0) {
            Some(mut place) => {
                fill(place.as_mut_ptr(), serial, now, key, entry, event);
                place.submit(NO_WAKEUP);
            }
            None => count_event(FlowEvent::RecordLost),
        }
    }
    if observed() & want::FLOWS != 0 {
        for index in 0..PLACES {
            show_flow(index, key, entry, event, now, serial);
        }
    }
    0
}

/// Shows observers what happened to a flow that goes on. Verified once, too.
#[unsafe(no_mangle)]
#[inline(never)]
pub(super) extern "C" fn tell_flow(key: *const FlowKey, event: FlowEvent) -> u32 {
    flows::with_own(key, |key| {
        for table in [Table::Established, Table::HalfOpen] {
            if let Some(slot) = Maps.find(table, key) {
                return announce_flow(key, slot.as_ptr(), event);
            }
        }
        0
    })
}

#[inline(always)]
fn show_flow(
    index: u32,
    key: &FlowKey,
    entry: &FlowEntry,
    event: FlowEvent,
    at: Ticks,
    serial: u64,
) {
    let Some(watch) = WATCHES.get(index) else { return };
    if !watch.wants_flow(key) || !is_allowed(index, watch, at) {
        return;
    }
    let Some(ring) = OBSERVERS.get(index) else { return };
    if let Some(mut place) = ring.reserve_untyped::<FlowRecord>(0) {
        fill(place.as_mut_ptr(), serial, at, key, entry, event);
        place.submit(NO_WAKEUP);
        count_report(index, true);
    } else {
        count_report(index, false);
    }
}

/// Writes a record field by field: as a whole it would lie on the stack before.
#[inline(always)]
fn fill(
    place: *mut FlowRecord,
    serial: u64,
    at: Ticks,
    key: &FlowKey,
    entry: &FlowEntry,
    event: FlowEvent,
) {
    // SAFETY: the ring gave out the place for this type, to us alone.
    unsafe {
        (*place).serial = serial;
        (*place).at = at;
        (*place).entry = *entry;
        (*place).key = *key;
        (*place).event = event as u32;
    }
}

/// Shows observers what became of a frame at the XDP hook, if there are any.
#[inline(always)]
pub(crate) fn show_xdp(context: &XdpContext, outcome: &Outcome) {
    if observed() != 0 {
        let Sight { reason, wanted, is_parsed } = Sight::of(outcome);
        show_xdp_frame(context.ctx, reason, wanted, is_parsed);
    }
}

/// The same at a TC hook.
#[inline(always)]
pub(crate) fn show_skb(context: &TcContext, direction: Direction, outcome: &Outcome) {
    if observed() != 0 {
        let Sight { reason, wanted, is_parsed } = Sight::of(outcome);
        show_skb_frame(context.skb.skb, reason, wanted, is_parsed, direction);
    }
}

/// Verified once for all reasons.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn show_xdp_frame(
    context: *mut xdp_md,
    reason: u32,
    wanted: u32,
    is_parsed: u32,
) -> u32 {
    let Some(Memory { workspace, record, .. }) = memory() else { return 0 };
    let sight = Sight { reason, wanted, is_parsed }.after(&workspace.decision);
    let bytes = XdpBytes::new(&XdpContext::new(context));
    show(&bytes, Direction::Inbound, &sight, workspace, record)
}

/// Verified once for all reasons.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn show_skb_frame(
    context: *mut __sk_buff,
    reason: u32,
    wanted: u32,
    is_parsed: u32,
    direction: Direction,
) -> u32 {
    let Some(Memory { workspace, record, header }) = memory() else { return 0 };
    let sight = Sight { reason, wanted, is_parsed }.after(&workspace.decision);
    let context = TcContext::new(context);
    show(&SkbBytes::new(&context, header), direction, &sight, workspace, record)
}

#[inline(always)]
fn show<B: Uplink>(
    bytes: &B,
    direction: Direction,
    sight: &Sight,
    workspace: &Workspace,
    record: &mut PacketRecord,
) -> u32 {
    const TAGGED: u32 = 1 << 16;
    record.fill(clock::now(), direction, sight, bytes, workspace);
    record.ifindex = bytes.ifindex();
    record.offloaded_vlan = bytes.offloaded_vlan().map_or(0, |tag| TAGGED | u32::from(tag));
    for index in 0..PLACES {
        show_packet(index, record, sight);
    }
    0
}

#[inline(always)]
fn show_packet(index: u32, record: &PacketRecord, sight: &Sight) {
    let Some(watch) = WATCHES.get(index) else { return };
    if !watch.wants_packet(record, sight) || !is_allowed(index, watch, record.at) {
        return;
    }
    if let Some(ring) = OBSERVERS.get(index) {
        count_report(index, ring.output(record, NO_WAKEUP).is_ok());
    }
}

/// Whether the observer's limit allows one more report; counts it if not.
#[inline(always)]
fn is_allowed(index: u32, watch: &Watch, now: Ticks) -> bool {
    let Some(count) = WATCH_COUNTS.get_ptr_mut(index) else { return false };
    // SAFETY: the fields are aligned words of a map value.
    unsafe {
        let paid = (&raw mut (*count).paid).read_volatile();
        let Some(Paid(next)) = watch.pay(Paid(paid), now) else {
            atomic::add(&raw mut (*count).limited, 1);
            return false;
        };
        // When another CPU was faster, one report is for free.
        atomic::compare_exchange(&raw mut (*count).paid, paid, next);
    }
    true
}

#[inline(always)]
fn count_report(index: u32, had_room: bool) {
    let Some(count) = WATCH_COUNTS.get_ptr_mut(index) else { return };
    // SAFETY: the fields are aligned words of a map value.
    unsafe {
        let field = if had_room { &raw mut (*count).reported } else { &raw mut (*count).lost };
        atomic::add(field, 1);
    }
}
