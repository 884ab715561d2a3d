//! The maps, private behind the interface the packet logic asks for.

#![expect(
    unsafe_code,
    reason = "map values are shared memory that the kernel hands out by address"
)]

use aya_ebpf::{
    bindings::{BPF_ANY, BPF_NOEXIST, BPF_RB_NO_WAKEUP},
    btf_maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf},
    macros::btf_map,
};
use gateway_common::{
    bytes::PacketBytes,
    config::Config,
    counter::{Counter, FlowEvent},
    endpoint::EndpointKey,
    flow::{FlowEntry, FlowUpdate},
    fragment::{DatagramKey, PeerKey},
    gateway::Workspace,
    host::{HostKey, Overflow, Paid},
    limits::{DATAGRAMS_MAX, ENDPOINTS_MAX, HOSTS_MAX, PEERS_MAX, REJECTS_BYTES},
    observe::{PacketRecord, want},
    packet::Packet,
    policy::{Decision, Query, Scope},
    rejection::Unsolicited,
    tables::{FlowSlot, Opening, Promotion, Replace, Table, Tables},
    timeouts::Ticks,
    tuple::FlowKey,
    verdict::Reason,
};

use self::slot::Slot;
use crate::{atomic, bytes::HeaderCopy, clock};

mod flows;
mod policy;
mod presence;
mod slot;
mod watch;

pub(crate) use self::{
    flows::{end_flow, reclaim_flow},
    watch::{show_skb, show_xdp},
};

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
static OPENERS: LruHashMap<HostKey, Paid, { HOSTS_MAX as usize }> = LruHashMap::new();
#[btf_map]
static HOLDERS: LruHashMap<HostKey, u64, { HOSTS_MAX as usize }> = LruHashMap::new();
#[btf_map]
static OVERFLOW: Array<Overflow, FLOWS_DEFAULT> = Array::new();
#[btf_map]
static OVERFLOW_TAKEN: Array<u64, 1> = Array::new();
#[btf_map]
static ENDPOINTS: LruHashMap<EndpointKey, Ticks, { ENDPOINTS_MAX as usize }> = LruHashMap::new();
#[btf_map]
static REJECTS: RingBuf<Unsolicited, REJECTS_BYTES> = RingBuf::new();

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
    /// The packet as observers get it, should there be any.
    pub(crate) record: PacketRecord,
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

/// Adds to this CPU's counter of an event.
#[inline(always)]
fn count_event(event: FlowEvent) {
    if let Some(count) = FLOW_EVENTS.get_ptr_mut(event as u32) {
        // SAFETY: as in `add_to_counter`.
        unsafe { *count += 1 }
    }
}

/// The BPF maps as the packet logic sees them.
pub(crate) struct Maps;

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
    fn may_have(&self, key: &FlowKey) -> bool {
        presence::may_have(key)
    }

    #[inline(always)]
    fn find(&self, table: Table, key: &FlowKey) -> Option<Slot> {
        let entry = match table {
            Table::HalfOpen => HALF_OPEN.get_ptr_mut(key),
            Table::Established => ESTABLISHED.get_ptr_mut(key),
        };
        entry.and_then(Slot::new)
    }

    #[inline(always)]
    fn open(&self, key: &FlowKey, entry: &FlowEntry, replace: Replace) -> Opening {
        let flags = match replace {
            Replace::No => BPF_NOEXIST,
            Replace::Yes => BPF_ANY,
        };
        // Before the flow can be found, and before the packet leaves.
        presence::note(key);
        match HALF_OPEN.insert(key, entry, u64::from(flags)) {
            Ok(()) => Opening::Done,
            Err(EEXIST) => Opening::Exists,
            Err(_) => Opening::Failed,
        }
    }

    #[inline(always)]
    fn promote(&self, key: &FlowKey, slot: &Slot, entry: &mut FlowEntry) -> Promotion {
        *entry = slot.read();
        let moved: &FlowEntry = entry;
        match ESTABLISHED.insert(key, moved, u64::from(BPF_NOEXIST)) {
            Ok(()) => {}
            // Another CPU moved it at the same moment; this packet is counted in the copy that
            // was moved or in the old entry, which is caught up with below.
            Err(EEXIST) => return Promotion::Exists,
            Err(_) => return Promotion::Full,
        }
        // Packets that found the old entry while it was copied are carried over, by us or by
        // those CPUs, so that the counters stay exact; from here on every lookup finds the new
        // one first.
        if let Some(established) = ESTABLISHED.get_ptr_mut(key).and_then(Slot::new)
            && !slot::carry_over(&established, moved, slot)
        {
            // Whoever ended it meanwhile removes it where it was.
            _ = ESTABLISHED.remove(key);
            return Promotion::Exists;
        }
        _ = HALF_OPEN.remove(key);
        Promotion::Done
    }

    #[inline(always)]
    fn follow(&self, key: &FlowKey, slot: &Slot, update: &FlowUpdate) {
        if let Some(established) = ESTABLISHED.get_ptr_mut(key).and_then(Slot::new) {
            slot::follow(&established, slot, update);
        }
    }

    #[inline(always)]
    fn remove(&self, table: Table, key: &FlowKey) -> bool {
        let removed = match table {
            Table::HalfOpen => HALF_OPEN.remove(key),
            Table::Established => ESTABLISHED.remove(key),
        };
        // A failure means that it is gone already.
        removed.is_ok()
    }

    #[inline(always)]
    fn update_paid(&self, host: &HostKey, step: impl Fn(Paid) -> Option<Paid>) -> bool {
        let Some(stored) = OPENERS.get_ptr_mut(host) else {
            let Some(paid) = step(Paid::default()) else { return false };
            // Without room the host keeps a whole allowance.
            _ = OPENERS.insert(host, paid, u64::from(BPF_ANY));
            return true;
        };
        let word: *mut u64 = stored.cast();
        // SAFETY: the value is one aligned word of a map; if it is recycled for another host
        // under us, that host is charged or refunded one opening.
        let paid = Paid(unsafe { word.read_volatile() });
        match step(paid) {
            // When another CPU changed it meanwhile that change stands, and ours is forgotten:
            // one opening more or less.
            Some(Paid(next)) => {
                // SAFETY: as above.
                unsafe { atomic::compare_exchange(word, paid.0, next) };
                true
            }
            None => false,
        }
    }

    #[inline(always)]
    fn take_place(&self, slots: u32, flow: &Overflow) -> Option<Overflow> {
        let taken = OVERFLOW_TAKEN.get_ptr_mut(0)?;
        // SAFETY: an aligned word of a map.
        let turn = unsafe { atomic::fetch_add(taken, 1) };
        let place = turn.checked_rem(u64::from(slots))?;
        let place = OVERFLOW.get_ptr_mut(u32::try_from(place).ok()?)?;
        // SAFETY: the place lies in map memory. Two CPUs have it at the same time only when one
        // of them is overtaken by a whole round; then what is read is a mixture that names no
        // flow, and a flow too many stays until the LRU list takes it.
        unsafe {
            let previous = place.read();
            place.write(*flow);
            (previous.created != Ticks(0)).then_some(previous)
        }
    }

    #[inline(always)]
    fn held(&self, host: &HostKey) -> u64 {
        // SAFETY: one aligned word.
        HOLDERS.get_ptr(host).map_or(0, |held| unsafe { held.read_volatile() })
    }

    #[inline(always)]
    fn hold(&self, host: &HostKey) {
        match HOLDERS.get_ptr_mut(host) {
            // SAFETY: an aligned word of a map.
            Some(held) => _ = unsafe { atomic::fetch_add(held, 1) },
            // Another CPU that does the same for the first time wins or loses one count.
            None => _ = HOLDERS.insert(host, 1, u64::from(BPF_ANY)),
        }
    }

    #[inline(always)]
    fn release(&self, host: &HostKey) {
        // A host that was forgotten holds nothing any more, as far as this count goes.
        if let Some(held) = HOLDERS.get_ptr_mut(host) {
            // SAFETY: an aligned word of a map.
            unsafe { atomic::update(held, |held| held.saturating_sub(1)) }
        }
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
    fn ask(&self, config: &Config, scope: Scope, query: &Query, decision: &mut Decision) {
        policy::ask_policy(config.policy_slot, scope, &raw const config.policy, query, decision);
    }

    #[inline(always)]
    fn hit(&self, config: &Config, place: u32, packet: &Packet) {
        policy::hit(config, place, packet);
    }

    #[inline(always)]
    fn endpoint(&self, key: &EndpointKey) -> Option<Ticks> {
        // SAFETY: as in `datagram`.
        unsafe { ENDPOINTS.get(key) }.copied()
    }

    #[inline(always)]
    fn note_endpoint(&self, key: &EndpointKey, deadline: Ticks) {
        // Without room nobody but those who were asked may answer.
        _ = ENDPOINTS.insert(key, deadline, u64::from(BPF_ANY));
    }

    #[expect(clippy::cast_possible_truncation, reason = "it is a few bytes")]
    #[inline(always)]
    fn report<B: PacketBytes>(&self, bytes: &B, key: &FlowKey, offset: usize, len: usize) {
        // User space looks by itself.
        const NO_WAKEUP: u64 = BPF_RB_NO_WAKEUP as u64;
        // Without room it stays a silent drop.
        let Some(mut report) = REJECTS.reserve(0) else { return };
        let place = report.as_mut_ptr();
        // SAFETY: the place is reserved for us alone and has room for the type, of which all zeroes
        // are a valid value.
        let Unsolicited { key: key_place, quoted_len, quoted } = unsafe {
            place.write_bytes(0, 1);
            &mut *place
        };
        *key_place = *key;
        let copied = bytes.copy(offset, len, quoted);
        *quoted_len = copied as u32;
        if copied == 0 {
            report.discard(NO_WAKEUP);
        } else {
            report.submit(NO_WAKEUP);
        }
    }

    #[inline(always)]
    fn count(&self, event: FlowEvent) {
        count_event(event);
    }

    #[inline(always)]
    fn tell(&self, key: &FlowKey, event: FlowEvent) {
        if watch::observed() & want::FLOWS != 0 {
            watch::tell_flow(key, event);
        }
    }

    #[inline(always)]
    fn announce(&self, key: &FlowKey, slot: &Slot, event: FlowEvent) {
        watch::announce_flow(key, slot.as_ptr(), event);
    }
}

/// The kernel's "already exists".
const EEXIST: i32 = -17;
