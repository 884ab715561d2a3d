//! A flow entry in a map, which other CPUs write as well.

use core::ptr::NonNull;
use gateway_common::{
    flow::{
        Change, FlowEntry, FlowHalf, FlowUpdate, Tracking, mark,
        window::{Granted, Sent},
    },
    tables::{Commit, FlowSlot},
    timeouts::Ticks,
    tuple::Direction,
};

use crate::atomic;

/// A flow entry in a map. The kernel may recycle the memory for another flow as soon as the flow
/// is removed, at worst giving that flow a packet too many; it is never unmapped while the
/// program runs.
pub(crate) struct Slot(NonNull<FlowEntry>);

impl FlowSlot for Slot {
    #[inline(always)]
    fn read(&self) -> FlowEntry {
        // SAFETY: the pointer comes from a lookup in this run of the program. Other CPUs may
        // write meanwhile; every field is an aligned integer, read once.
        unsafe { self.0.read() }
    }

    #[inline(always)]
    fn commit(&self, update: &FlowUpdate) -> Commit {
        let half = self.half(update.direction);
        // SAFETY: `half` lies inside the entry, whose fields are aligned; see `Slot`.
        unsafe {
            let is_news = write(half, update);
            atomic::add(&raw mut (*half).packets, update.packets);
            atomic::add(&raw mut (*half).bytes, update.bytes);
            // Read after everything is written: whoever moves the flow sets the mark first and
            // collects afterwards, so one of us two sees the other.
            let marks = (&raw const (*half).marks).read_volatile();
            Commit { is_news, is_moved: marks & mark::MOVED != 0 }
        }
    }

    #[inline(always)]
    fn claim(&self) -> bool {
        let half = self.half(Direction::Outbound);
        // SAFETY: an aligned word of a map value; see `Slot`.
        let before = unsafe { atomic::fetch_or(&raw mut (*half).marks, mark::ENDED) };
        before & (mark::ENDED | mark::MOVED) == 0
    }

    #[inline(always)]
    fn disclaim(&self) {
        let half = self.half(Direction::Outbound);
        // SAFETY: an aligned word of a map value; see `Slot`.
        unsafe { atomic::and(&raw mut (*half).marks, !mark::ENDED) }
    }

    #[inline(always)]
    fn renew(&self, generation: u32) {
        let entry = self.0.as_ptr();
        // SAFETY: an aligned word of a map value; see `Slot`.
        unsafe { (&raw mut (*entry).generation).write_volatile(generation) }
    }
}

/// Writes what a packet changes in its half, but for the counters; whether it adds marks or resets
/// the connection.
///
/// # Safety
///
/// `half` must point into a map value.
#[inline(always)]
unsafe fn write(half: *mut FlowHalf, update: &FlowUpdate) -> bool {
    // SAFETY: the fields are aligned words of the map value that the caller vouches for.
    unsafe {
        if update.seen != Ticks(0) {
            (&raw mut (*half).seen).write_volatile(update.seen);
        }
        if update.reset != Ticks(0) {
            (&raw mut (*half).reset).write_volatile(update.reset);
        }
        record(half, &update.tracking);
        // Marks only ever grow, so the common packet, which adds none, need not write them.
        let has_new_marks = update.marks & !(&raw const (*half).marks).read_volatile() != 0;
        if has_new_marks {
            atomic::or(&raw mut (*half).marks, update.marks);
        }
        has_new_marks || update.reset != Ticks(0)
    }
}

/// Records what a packet says about its side's numbers, before the mark that makes them count.
///
/// # Safety
///
/// `half` must point into a map value.
#[inline(always)]
unsafe fn record(half: *mut FlowHalf, tracking: &Tracking) {
    let Tracking { change, sent, granted, announced } = *tracking;
    // SAFETY: the fields are aligned words of the map value that the caller vouches for.
    unsafe {
        let (sent_word, granted_word) = (&raw mut (*half).sent.0, &raw mut (*half).granted.0);
        match change {
            Change::Nothing => {}
            Change::Join => {
                atomic::update(sent_word, |word| Sent(word).join(sent).0);
                atomic::update(granted_word, |word| Granted(word).join(granted).0);
            }
            Change::Grant => {
                atomic::update(sent_word, |word| Sent(word).join(sent).0);
                granted_word.write_volatile(granted.0);
            }
            Change::Begin => {
                sent_word.write_volatile(sent.0);
                granted_word.write_volatile(granted.0);
                (&raw mut (*half).announced).write_volatile(announced);
            }
        }
    }
}

impl Slot {
    /// The entry that a lookup in this run of the program found, if it found one.
    #[inline(always)]
    pub(super) fn new(entry: *mut FlowEntry) -> Option<Self> {
        NonNull::new(entry).map(Self)
    }

    /// The entry, for a function of its own.
    #[inline(always)]
    pub(super) fn as_ptr(&self) -> *const FlowEntry {
        self.0.as_ptr()
    }

    #[inline(always)]
    fn half(&self, direction: Direction) -> *mut FlowHalf {
        let entry = self.0.as_ptr();
        // SAFETY: the pointer is valid, and taking a field's address reads nothing.
        unsafe {
            match direction {
                Direction::Inbound => &raw mut (*entry).inbound,
                Direction::Outbound => &raw mut (*entry).outbound,
            }
        }
    }
}

/// Brings an update to `to` that came too late for its move from `from`, and what else was left
/// there.
// Not inlined: it is as good as never called.
#[inline(never)]
pub(super) fn follow(to: &Slot, from: &Slot, update: &FlowUpdate) {
    let from = from.half(update.direction);
    let to = to.half(update.direction);
    // SAFETY: both halves lie inside map values, whose fields are aligned; see `Slot`.
    unsafe {
        _ = write(to, update);
        atomic::add(&raw mut (*to).packets, atomic::exchange(&raw mut (*from).packets, 0));
        atomic::add(&raw mut (*to).bytes, atomic::exchange(&raw mut (*from).bytes, 0));
    }
}

/// Brings to `to` what packets changed in the entry `from` since it was `before`; whether the flow
/// goes on, since nobody ended it there before it was marked.
///
/// The mark comes first: a packet whose update is not in what is collected here is one that sees
/// the mark afterwards, and collects itself. Counters are taken out, so nobody adds them twice;
/// if others were here first, less may be left than was copied before, and the sums wrap back.
// Not inlined: it is rare, and builds a whole update.
#[inline(never)]
pub(super) fn carry_over(to: &Slot, before: &FlowEntry, from: &Slot) -> bool {
    let mut earlier_marks = 0;
    for direction in Direction::ALL {
        let (old, half) = (before.half(direction), from.half(direction));
        // SAFETY: `half` lies inside the entry, whose fields are aligned; see `Slot`.
        let (packets, bytes, new) = unsafe {
            earlier_marks |= atomic::fetch_or(&raw mut (*half).marks, mark::MOVED);
            let packets = atomic::exchange(&raw mut (*half).packets, 0);
            let bytes = atomic::exchange(&raw mut (*half).bytes, 0);
            (packets, bytes, half.read())
        };
        // The new entry does not move again.
        _ = to.commit(&FlowUpdate {
            direction,
            packets: packets.wrapping_sub(old.packets),
            bytes: bytes.wrapping_sub(old.bytes),
            seen: new.seen,
            reset: new.reset,
            tracking: Tracking {
                change: Change::Join,
                sent: new.sent,
                granted: new.granted,
                announced: new.announced,
            },
            marks: new.marks & !mark::MOVED,
        });
    }
    earlier_marks & mark::ENDED == 0
}
