//! The policy's maps.

use aya_ebpf::{
    bindings::BPF_F_INNER_MAP,
    btf_maps::{Array, ArrayOfMaps, HashMap},
    helpers::bpf_get_smp_processor_id,
    macros::btf_map,
};
use gateway_common::{
    config::Config,
    counter::Hits,
    limits::{POLICY_SLOTS, POLICY_TEXT_BLOCK_BYTES},
    packet::Packet,
    policy::{
        AddressClass, Class, Decision, EMPTY_CLASS, Field, Fields, Levels, NO_TABLE, PolicyTables,
        PrefixKey, ProtocolClasses, Query, Rule, Scope, Summary, decide, first_match,
        longest_match,
    },
    tuple::{Address, Direction},
};

use crate::clock;

/// Of every table of a policy there are two, so that a new policy can be put together beside the
/// one in force. Of most, user space chooses the size.
type Both<T> = ArrayOfMaps<T, POLICY_SLOTS>;
type Sized<T> = Array<T, 1, { BPF_F_INNER_MAP as usize }>;

/// A value as plain words. Kernels up to 6.1 know of a structure that it contains no timer, but not
/// so of a value that they have no type of; to them the one cannot take the place of the other, and
/// user space makes maps without types.
macro_rules! words {
    ($type:ty) => {
        [u64; size_of::<$type>() / 8]
    };
    ($type:ty, halves) => {
        [u32; size_of::<$type>() / 4]
    };
}

#[btf_map]
static POLICY_PROTOCOLS: Both<Array<words!(ProtocolClasses, halves), 512>> = Both::new();
#[btf_map]
static POLICY_SELECTORS: Both<Array<u32, 65_536>> = Both::new();
#[btf_map]
static POLICY_LEVELS: Both<Array<words!(Levels, halves), { Levels::COUNT }>> = Both::new();
#[btf_map]
static POLICY_PREFIXES: Both<HashMap<PrefixKey, words!(AddressClass, halves), 1>> = Both::new();
#[btf_map]
static POLICY_CLASSES: Both<Sized<words!(Class)>> = Both::new();
#[btf_map]
static POLICY_WORDS: Both<Sized<u64>> = Both::new();
#[btf_map]
static POLICY_RULES: Both<Sized<[u8; size_of::<Rule>()]>> = Both::new();
#[btf_map]
static POLICY_HITS: Both<Sized<words!(Hits)>> = Both::new();
#[btf_map]
static POLICY_TEXT: Both<Sized<[u8; POLICY_TEXT_BLOCK_BYTES]>> = Both::new();

/// The value behind plain words.
///
/// # Safety
///
/// `T` must be made of integers and have no padding, as `gateway_common::pod` asserts of every
/// shared type.
#[inline(always)]
unsafe fn value<W, T>(words: &W) -> &T {
    const { assert!(size_of::<W>() == size_of::<T>() && align_of::<W>() >= align_of::<T>()) }
    // SAFETY: of the same size and aligned as well, any bytes are a value of `T`.
    unsafe { &*core::ptr::from_ref(words).cast() }
}

/// Asks the policy in `slot`.
///
/// The kernel verifies a function with a global symbol once, for whatever its callers may pass,
/// instead of once more for each way that leads to a call. So it takes pointers that may be null.
#[unsafe(no_mangle)]
#[inline(never)]
pub(super) extern "C" fn ask_policy(
    slot: u32,
    scope: Scope,
    summary: *const Summary,
    query: *const Query,
    decision: *mut Decision,
) -> u32 {
    // SAFETY: the verifier checks that every caller passes either null or memory of that size; the
    // only one passes references.
    let asked = unsafe { (summary.as_ref(), query.as_ref(), decision.as_mut()) };
    if let (Some(summary), Some(query), Some(decision)) = asked {
        decide(&PolicyMaps { slot }, summary, scope, query, decision);
    }
    0
}

/// Finds an address's longest prefix in the policy in `slot`; zero if there is no policy. Verified
/// once, too.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn find_prefix(
    slot: u32,
    field: Field,
    address: *const Address,
    found: *mut AddressClass,
) -> u32 {
    // SAFETY: as above.
    let Some((address, found)) = (unsafe { address.as_ref().zip(found.as_mut()) }) else {
        return 0;
    };
    let Some(class) = longest_match(&PolicyMaps { slot }, field, address) else { return 0 };
    *found = class;
    1
}

/// Finds the first rule that the classes of all fields have in the policy in `slot`. Verified once,
/// too.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn find_rule(
    slot: u32,
    protocol: *const Class,
    selector: *const Class,
    inside: *const Class,
    outside: *const Class,
) -> u32 {
    // SAFETY: as above.
    let classes =
        unsafe { (protocol.as_ref(), selector.as_ref(), inside.as_ref(), outside.as_ref()) };
    let (Some(protocol), Some(selector), Some(inside), Some(outside)) = classes else {
        return NO_TABLE;
    };
    let fields = Fields { protocol, selector, inside, outside };
    first_match(&PolicyMaps { slot }, &fields)
}

/// The tables of one of the two policies.
struct PolicyMaps {
    slot: u32,
}

impl PolicyTables for PolicyMaps {
    #[inline(always)]
    fn protocol(&self, direction: Direction, protocol: u8) -> ProtocolClasses {
        let index = direction as u32 * 256 + u32::from(protocol);
        match POLICY_PROTOCOLS.get_value(self.slot, &index) {
            // SAFETY: a shared type.
            Some(words) => unsafe { *value(words) },
            None => ProtocolClasses::default(),
        }
    }

    #[inline(always)]
    fn selector(&self, selector: u16) -> u32 {
        POLICY_SELECTORS.get_value(self.slot, &selector.into()).copied().unwrap_or(EMPTY_CLASS)
    }

    #[inline(always)]
    fn levels(&self, index: u32) -> Option<&Levels> {
        // SAFETY: a shared type.
        POLICY_LEVELS.get_value(self.slot, &index).map(|words| unsafe { value(words) })
    }

    #[inline(always)]
    fn prefix(&self, key: &PrefixKey) -> Option<AddressClass> {
        let prefixes = POLICY_PREFIXES.get(self.slot)?;
        // SAFETY: nobody changes or removes entries of a policy that a packet may be reading; the
        // value is a shared type.
        unsafe { prefixes.get(key).map(|words| *value(words)) }
    }

    #[inline(always)]
    fn class_of(&self, field: Field, address: &Address) -> Option<AddressClass> {
        let mut found = AddressClass::default();
        (find_prefix(self.slot, field, address, &raw mut found) != 0).then_some(found)
    }

    #[inline(always)]
    fn class(&self, class: u32) -> Option<&Class> {
        // SAFETY: a shared type.
        POLICY_CLASSES.get_value(self.slot, &class).map(|words| unsafe { value(words) })
    }

    #[inline(always)]
    fn words(&self) -> Option<impl Fn(u32) -> Option<u64>> {
        let words = POLICY_WORDS.get(self.slot)?;
        Some(|position| words.get(position).copied())
    }

    #[inline(always)]
    fn first_match(&self, fields: &Fields<'_>) -> u32 {
        let Fields { protocol, selector, inside, outside } = fields;
        find_rule(self.slot, *protocol, *selector, *inside, *outside)
    }

    #[inline(always)]
    fn rule(&self, index: u32) -> Rule {
        match POLICY_RULES.get_value(self.slot, &index) {
            // SAFETY: a shared type.
            Some(bytes) => unsafe { *value(bytes) },
            None => Rule::default(),
        }
    }
}

/// Counts a packet for a place among the hits, on this CPU.
// Not inlined: packets of live flows never come here.
#[inline(never)]
pub(super) fn hit(config: &Config, place: u32, packet: &Packet) {
    // SAFETY: the helper takes nothing and always succeeds.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    let index = cpu.wrapping_mul(config.policy.places()).wrapping_add(place);
    let hits = POLICY_HITS.get_value_ptr_mut(config.policy_slot, &index);
    let Some(hits) = hits.map(<*mut words!(Hits)>::cast::<Hits>) else { return };
    // SAFETY: the place is this CPU's, on which nothing else writes to it while the program runs;
    // user space only reads.
    unsafe {
        (*hits).count.packets += u64::from(packet.packets);
        (*hits).count.bytes += packet.wire_bytes;
        (*hits).last = clock::now();
    }
}
