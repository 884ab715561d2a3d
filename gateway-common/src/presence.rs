//! The presence filter: a bitmap in front of the flow tables, small enough to stay in the processor's
//! cache. A flood of packets that nobody asked for ends there, whatever addresses it comes from, and
//! touches no table.
//!
//! A flow's key names one bit. Opening the flow sets it, before the packet leaves; a packet whose
//! flow's bit is clear has no flow. A set bit promises nothing: flows share bits, and those that
//! ended leave theirs behind. So there are two bitmaps, of which packets ask one. User space makes
//! the other one anew from the tables, in three steps:
//!
//! 1. It clears the other one, while nobody uses it.
//! 2. It has flows that are opened noted in both, waits until no packet under way has not heard of
//!    that, and only then reads the tables: a flow that it does not meet there is noted by its own
//!    packet.
//! 3. It has packets ask that one.
//!
//! Whatever interrupts it, the one that is asked is complete at any time. If nobody ever does it,
//! bits are only added, and more packets reach the tables.
//!
//! Which bit is a key's depends on a secret, so that outside can choose no addresses that meet many
//! set bits. The hash is the multilinear one by pairs (M. Thorup, "High Speed Hashing for Integers and
//! Strings", section 3.6; NH of UMAC, RFC 4418 section 5.2.2, is another of its kind): whatever two
//! keys somebody chooses, their sums are equal for no more than one in 2^32 secrets. Keys that follow
//! each other have sums that do so too, so the sum is mixed before bits are taken from it.

use crate::tuple::{FlowKey, VlanPath};

/// Binary logarithm of the number of bits in a bitmap: 512 KiB, of which a million flows set a fifth.
const BITS_LOG2: u32 = 22;
/// The same of the bits in a word.
const WORD_BITS_LOG2: u32 = u64::BITS.ilog2();

/// Words of a bitmap.
pub const BITMAP_WORDS: u32 = 1 << (BITS_LOG2 - WORD_BITS_LOG2);

/// Numbers that the hash keeps secret: one for each word of four bytes of a key, in pairs.
pub const SECRETS: usize = (size_of::<FlowKey>() / size_of::<u32>()).next_multiple_of(2);

/// One of the two bitmaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Bitmap {
    /// The one that is asked at first.
    First = 0,
    /// The other.
    Second = 1,
}

impl Bitmap {
    /// Both of them.
    pub const BOTH: [Self; 2] = [Self::First, Self::Second];

    /// The other one.
    #[must_use]
    #[inline(always)]
    pub const fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

/// Which bitmap is asked, and where flows that are opened are noted. One word, so that it changes in
/// one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Phase(pub u32);

impl Phase {
    const REBUILDING: u32 = 2;

    /// Packets ask `asked`; if `is_rebuilding`, flows are noted in the other one as well.
    #[must_use]
    pub const fn new(asked: Bitmap, is_rebuilding: bool) -> Self {
        Self(asked as u32 | if is_rebuilding { Self::REBUILDING } else { 0 })
    }

    /// The bitmap that packets ask.
    #[must_use]
    #[inline(always)]
    pub const fn asked(self) -> Bitmap {
        if self.0 & 1 == 0 { Bitmap::First } else { Bitmap::Second }
    }

    /// Whether flows that are opened are noted in the other one as well.
    #[must_use]
    #[inline(always)]
    pub const fn is_rebuilding(self) -> bool {
        self.0 & Self::REBUILDING != 0
    }
}

/// What the filter goes by. All zeroes are a valid value, but a poor hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Control {
    /// Which bitmap is asked.
    pub phase: Phase,
    /// Zero.
    pub zero: u32,
    /// What the hash keeps secret. It never changes as long as the bitmaps are in use.
    pub secret: [u64; SECRETS],
}

/// The bit of a key, in either bitmap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bit {
    /// Which word of a bitmap it is in, below [`BITMAP_WORDS`].
    word: u32,
    /// The bit in that word.
    pub mask: u64,
}

impl Bit {
    /// Where the bit's word is when both bitmaps lie one behind the other.
    #[must_use]
    #[inline(always)]
    pub const fn index(self, bitmap: Bitmap) -> u32 {
        bitmap as u32 * BITMAP_WORDS + self.word
    }
}

impl Control {
    /// The bit of a key.
    #[must_use]
    #[inline(always)]
    pub fn bit(&self, key: &FlowKey) -> Bit {
        let hash = hash(key, &self.secret);
        let word = (hash >> (u64::BITS - (BITS_LOG2 - WORD_BITS_LOG2))) as u32;
        let bit = (hash >> (u64::BITS - BITS_LOG2)) % u64::from(u64::BITS);
        Bit { word, mask: 1 << bit }
    }
}

/// The sum of the products of pairs, mixed; its upper bits are the best.
#[inline(always)]
fn hash(key: &FlowKey, secret: &[u64; SECRETS]) -> u64 {
    /// 2^64 divided by the golden ratio, and odd.
    const MIXER: u64 = 0x9e37_79b9_7f4a_7c15;
    let words = words(key);
    let mut sum = 0_u64;
    for (pair, secret) in words.as_flattened().chunks_exact(2).zip(secret.chunks_exact(2)) {
        let (first, second) = (u64::from(pair[0]), u64::from(pair[1]));
        let product = secret[0].wrapping_add(second).wrapping_mul(secret[1].wrapping_add(first));
        sum = sum.wrapping_add(product);
    }
    (sum ^ sum >> 32).wrapping_mul(MIXER)
}

/// Every byte of a key, in words as they lie in memory, and a zero to make them pairs.
#[inline(always)]
fn words(key: &FlowKey) -> [[u32; 4]; 3] {
    let FlowKey { inside, outside, inside_port, outside_port, vlan, protocol, family, zero } = key;
    let VlanPath { outer, inner } = *vlan;
    let pair = |first: u16, second: u16| u32::from(first) | u32::from(second) << 16;
    let kind = u16::from_le_bytes([*protocol, *family]);
    let rest = [pair(*inside_port, *outside_port), pair(outer, inner), pair(kind, *zero), 0];
    [inside.words(), outside.words(), rest]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::tuple::Address;

    #[test]
    fn every_bit_of_a_key_counts() {
        let control = control(1);
        let base = key(7);
        let bit = control.bit(&base);
        let mut different = 0;
        let mut changed: Vec<FlowKey> = vec![
            FlowKey { inside_port: 1, ..base },
            FlowKey { outside_port: 1, ..base },
            FlowKey { protocol: 6, ..base },
            FlowKey { family: 4, ..base },
            FlowKey { vlan: VlanPath { outer: 1, inner: 0 }, ..base },
            FlowKey { vlan: VlanPath { outer: 0, inner: 1 }, ..base },
        ];
        for octet in 0..16 {
            let bit = 1 << (8 * octet);
            let inside = Address::from_bits(base.inside.to_bits() ^ bit);
            let outside = Address::from_bits(base.outside.to_bits() ^ bit << 7);
            changed.extend([FlowKey { inside, ..base }, FlowKey { outside, ..base }]);
        }
        for key in &changed {
            different += usize::from(control.bit(key) != bit);
        }
        assert_eq!(different, changed.len(), "two of a few keys share one of four million bits");
    }

    #[test]
    fn keys_spread_over_the_bitmap_as_chance_has_it() {
        const KEYS: u32 = 200_000;
        for seed in 1..4 {
            let control = control(seed);
            let bits: HashSet<(u32, u64)> = (0..KEYS)
                .map(|number| control.bit(&key(number)))
                .map(|bit| (bit.index(Bitmap::First), bit.mask))
                .collect();
            // Of n keys in m bits chance has n²/2m meet another one: 4,768 here.
            let shared = KEYS as usize - bits.len();
            assert!((4_000..5_600).contains(&shared), "{shared} of {KEYS} keys share a bit");
            assert!(
                bits.iter().all(|(index, mask)| *index < BITMAP_WORDS && mask.is_power_of_two())
            );
        }
    }

    #[test]
    fn another_secret_is_another_bit() {
        let bits: HashSet<(u32, u64)> = (1..1_000)
            .map(|seed| control(seed).bit(&key(1)))
            .map(|bit| (bit.index(Bitmap::Second) - BITMAP_WORDS, bit.mask))
            .collect();
        assert!(bits.len() > 990, "{} different bits", bits.len());
    }

    #[test]
    fn phases_are_read_as_they_are_made() {
        for asked in Bitmap::BOTH {
            for is_rebuilding in [false, true] {
                let phase = Phase::new(asked, is_rebuilding);
                assert_eq!((phase.asked(), phase.is_rebuilding()), (asked, is_rebuilding));
            }
        }
        assert_eq!(Phase::default(), Phase::new(Bitmap::First, false));
    }

    fn control(seed: u64) -> Control {
        let mut random = fastrand::Rng::with_seed(seed);
        Control { secret: core::array::from_fn(|_| random.u64(..)), ..Control::default() }
    }

    /// Keys as a scan makes them: next to each other.
    fn key(number: u32) -> FlowKey {
        let inside = Address::from_bits(0x2a << 120 | u128::from(number));
        FlowKey {
            inside,
            outside: Address::from_octets([0x20; 16]),
            family: 6,
            ..FlowKey::default()
        }
    }
}
