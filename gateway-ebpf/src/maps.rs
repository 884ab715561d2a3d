//! The maps, private behind the interface the packet logic asks for.

#![expect(
    unsafe_code,
    reason = "map values are shared memory that the kernel hands out by address"
)]

use aya_ebpf::{
    bindings::{BPF_ANY, BPF_NOEXIST},
    btf_maps::{Array, HashMap, LruHashMap, PerCpuArray},
    macros::btf_map,
};
use core::{arch::asm, ptr::NonNull};
use gateway_common::{
    config::Config,
    counter::{Counter, FlowEvent},
    flow::{FlowEntry, FlowHalf, FlowUpdate},
    fragment::{DatagramKey, PeerKey},
    gateway::Workspace,
    limits::{DATAGRAMS_MAX, PEERS_MAX},
    tables::{FlowSlot, Opening, Promotion, Replace, Table, Tables},
    timeouts::Ticks,
    tuple::{Direction, FlowKey},
    verdict::Reason,
};

use crate::{bytes::HeaderCopy, clock};

/// Sizes that user space overrides when it loads the object.
const FLOWS_DEFAULT: usize = 16_384;

#[btf_map]
static CONFIG: Array<Config, 2> = Array::new();
#[btf_map]
static ACTIVE: Array<u32, 1> = Array::new();
#[btf_map]
static HALF_OPEN: LruHashMap<FlowKey, FlowEntry, FLOWS_DEFAULT> = LruHashMap::new();
#[btf_map]
static ESTABLISHED: HashMap<FlowKey, FlowEntry, FLOWS_DEFAULT> = HashMap::new();
#[btf_map]
static DATAGRAMS: LruHashMap<DatagramKey, Ticks, { DATAGRAMS_MAX as usize }> = LruHashMap::new();
#[btf_map]
static PEERS: LruHashMap<PeerKey, Ticks, { PEERS_MAX as usize }> = LruHashMap::new();
#[btf_map]
static VERDICTS: PerCpuArray<Counter, { 2 * Reason::COUNT }> = PerCpuArray::new();
#[btf_map]
static FLOW_EVENTS: PerCpuArray<u64, { FlowEvent::ALL.len() }> = PerCpuArray::new();

#[btf_map]
static MEMORY: PerCpuArray<Memory, 1> = PerCpuArray::new();

/// What a packet's walk keeps outside the stack. All zeroes are a valid value.
pub(crate) struct Memory {
    pub(crate) workspace: Workspace,
    pub(crate) header: HeaderCopy,
}

/// This CPU's memory for the packet at hand. It is always there: the map has one element.
#[inline(always)]
pub(crate) fn memory() -> Option<&'static mut Memory> {
    let memory = MEMORY.get_ptr_mut(0)?;
    // SAFETY: the memory belongs to this CPU, where no second packet is judged before this one's
    // program has returned; it starts zeroed, which is a valid value, and only valid ones follow.
    Some(unsafe { &mut *memory })
}

/// Adds to this CPU's counter of a reason.
#[inline(always)]
pub(crate) fn add_to_counter(slot: u32, packets: u32, bytes: u64) {
    if let Some(counter) = VERDICTS.get_ptr_mut(slot) {
        // SAFETY: the slot belongs to this CPU and nothing interrupts the program on it that
        // could write the same slot; user space only reads.
        unsafe {
            (*counter).packets += u64::from(packets);
            (*counter).bytes += bytes;
        }
    }
}

/// The BPF maps as the packet logic sees them.
pub(crate) struct Maps;

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
    fn commit(&self, update: &FlowUpdate) {
        let half = self.half(update.direction);
        // SAFETY: `half` lies inside the entry, whose fields are aligned; see `Slot`.
        unsafe {
            atomic_add(&raw mut (*half).packets, update.packets);
            atomic_add(&raw mut (*half).bytes, update.bytes);
            if let Some(seen) = update.seen {
                (&raw mut (*half).seen).write_volatile(seen);
            }
            if let Some(reset) = update.reset {
                (&raw mut (*half).reset).write_volatile(reset);
            }
            // Marks only ever grow, so the common packet, which adds none, need not write them.
            if update.marks & !(&raw const (*half).marks).read_volatile() != 0 {
                atomic_or(&raw mut (*half).marks, update.marks);
            }
        }
    }
}

impl Slot {
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

impl Tables for Maps {
    type Slot = Slot;

    #[inline(always)]
    fn config(&self) -> Option<&Config> {
        let active = *ACTIVE.get(0)?;
        CONFIG.get(active)
    }

    #[inline(always)]
    fn now(&self) -> Ticks {
        clock::now()
    }

    #[inline(always)]
    fn find(&self, table: Table, key: &FlowKey) -> Option<Slot> {
        let entry = match table {
            Table::HalfOpen => HALF_OPEN.get_ptr_mut(key),
            Table::Established => ESTABLISHED.get_ptr_mut(key),
        };
        entry.and_then(NonNull::new).map(Slot)
    }

    #[inline(always)]
    fn open(&self, key: &FlowKey, entry: &FlowEntry, replace: Replace) -> Opening {
        let flags = match replace {
            Replace::No => BPF_NOEXIST,
            Replace::Yes => BPF_ANY,
        };
        match HALF_OPEN.insert(key, entry, u64::from(flags)) {
            Ok(()) => Opening::Done,
            Err(EEXIST) => Opening::Exists,
            Err(_) => Opening::Failed,
        }
    }

    #[inline(always)]
    fn promote(&self, key: &FlowKey, slot: &Slot) -> Promotion {
        let moved = slot.read();
        // SAFETY: the entry lies in map memory, from which the kernel copies it.
        match ESTABLISHED.insert(key, unsafe { slot.0.as_ref() }, u64::from(BPF_NOEXIST)) {
            Ok(()) => {}
            // Another CPU moved it at the same moment; this packet is counted in the copy that
            // was moved or in the old entry, which is caught up with below.
            Err(EEXIST) => return Promotion::Done,
            Err(_) => return Promotion::Full,
        }
        // Packets that found the old entry while it was copied are carried over, so that the
        // counters stay exact; from here on every lookup finds the new one.
        if let Some(established) = ESTABLISHED.get_ptr_mut(key).and_then(NonNull::new) {
            carry_over(&Slot(established), &moved, &slot.read());
        }
        _ = HALF_OPEN.remove(key);
        Promotion::Done
    }

    #[inline(always)]
    fn remove(&self, table: Table, key: &FlowKey) {
        // A failure means that it is gone already.
        _ = match table {
            Table::HalfOpen => HALF_OPEN.remove(key),
            Table::Established => ESTABLISHED.remove(key),
        };
    }

    #[inline(always)]
    fn datagram(&self, key: &DatagramKey) -> Option<Ticks> {
        // SAFETY: the value is one aligned word; if it is recycled under us we read the deadline
        // of another datagram, which is at most a minute ahead too.
        unsafe { DATAGRAMS.get(key) }.copied()
    }

    #[inline(always)]
    fn admit_datagram(&self, key: &DatagramKey, deadline: Ticks) {
        // Without room the datagram's other fragments have to match a pair of hosts.
        _ = DATAGRAMS.insert(key, deadline, u64::from(BPF_ANY));
    }

    #[inline(always)]
    fn peer(&self, key: &PeerKey) -> Option<Ticks> {
        // SAFETY: as in `datagram`.
        unsafe { PEERS.get(key) }.copied()
    }

    #[inline(always)]
    fn note_peer(&self, key: &PeerKey, deadline: Ticks) {
        // Without room fragments that overtake their first one are lost.
        _ = PEERS.insert(key, deadline, u64::from(BPF_ANY));
    }

    #[inline(always)]
    fn count(&self, event: FlowEvent) {
        if let Some(count) = FLOW_EVENTS.get_ptr_mut(event as u32) {
            // SAFETY: as in `add_to_counter`.
            unsafe { *count += 1 }
        }
    }
}

/// The kernel's "already exists".
const EEXIST: i32 = -17;

/// Adds to `to` what packets added to an entry between `before` and `after`.
#[inline(always)]
fn carry_over(to: &Slot, before: &FlowEntry, after: &FlowEntry) {
    for direction in Direction::ALL {
        let (old, new) = (before.half(direction), after.half(direction));
        let packets = new.packets.wrapping_sub(old.packets);
        if packets != 0 {
            to.commit(&FlowUpdate {
                direction,
                packets,
                bytes: new.bytes.wrapping_sub(old.bytes),
                seen: Some(new.seen),
                reset: (new.reset != old.reset).then_some(new.reset),
                marks: new.marks,
            });
        }
    }
}

/// # Safety
///
/// `target` must point to an aligned word in a map value.
#[inline(always)]
unsafe fn atomic_add(target: *mut u64, value: u64) {
    // SAFETY: one atomic instruction on memory that the caller vouches for.
    unsafe {
        asm!("lock *(u64 *)({target} + 0) += {value}", target = in(reg) target, value = in(reg) value);
    }
}

/// # Safety
///
/// `target` must point to an aligned word in a map value.
#[inline(always)]
unsafe fn atomic_or(target: *mut u32, bits: u32) {
    // SAFETY: one atomic instruction on memory that the caller vouches for.
    unsafe {
        asm!("lock *(u32 *)({target} + 0) |= {bits}", target = in(reg) target, bits = in(wreg) bits);
    }
}
