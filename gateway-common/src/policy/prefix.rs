//! The longest prefix of an address, among any number of them.
//!
//! The prefixes lie in one hash table, so the search is for the length (Waldvogel et al., "Scalable
//! High Speed IP Routing Lookups", SIGCOMM 1997): it halves the lengths that occur. A hit says that
//! the match is at least as long, a miss that it is shorter. For the former to be so, a marker
//! stands wherever the search for some longer prefix passes; it carries what is known there without
//! that prefix, so nothing is taken back when the longer one turns out to be another's.

use super::{AddressClass, Field, Levels, PolicyTables, PrefixKey};
use crate::{limits::PREFIX_LENGTHS_MAX, tuple::Address};

/// Keeps an index within [`Levels::lens`].
const INDEX_MASK: u32 = 127;

const _: () = assert!(PREFIX_LENGTHS_MAX == INDEX_MASK as usize + 1);

/// What is known of an address in a field by its longest prefix; `None` when there is no policy.
/// The lengths may be anything: what they promise is only needed to find what is there.
#[must_use]
#[inline(always)]
pub fn longest_match<T: PolicyTables>(
    tables: &T,
    field: Field,
    address: &Address,
) -> Option<AddressClass> {
    let levels = tables.levels(Levels::index(field, address))?;
    let words = address.words();
    let mut longest = levels.root;
    let mut longest_len = 0;
    let mut passed = levels.zero;
    let mut step = Levels::FIRST_STEP;
    while step != 0 {
        let next = passed.wrapping_add(step);
        let len = levels.lens[(next.wrapping_sub(1) & INDEX_MASK) as usize];
        step /= 2;
        // Lengths grow, so one that does not lies behind the last of them.
        if len > longest_len {
            let address = masked(words, len);
            let key = PrefixKey { address, len, field: field as u8, zero: 0 };
            if let Some(class) = tables.prefix(&key) {
                longest = class;
                longest_len = len;
                passed = next;
            }
        }
    }
    Some(longest)
}

/// The first `len` bits of an address in words as they lie in memory, and zeroes behind them.
#[inline(always)]
fn masked(words: [u32; 4], len: u8) -> Address {
    let len = u32::from(len);
    let first = !long_shift(len, u64::wrapping_shr);
    let last = long_shift(128_u32.wrapping_sub(len), u64::wrapping_shl);
    let ([a, b], [c, d]) = (halves(first), halves(last));
    Address::from_words([words[0] & a, words[1] & b, words[2] & c, words[3] & d])
}

/// The upper and the lower half of a word, as they lie in an address.
#[inline(always)]
const fn halves(word: u64) -> [u32; 2] {
    [((word >> 32) as u32).to_be(), ((word & 0xffff_ffff) as u32).to_be()]
}

/// A word of ones, shifted by up to 128 bits.
// In four parts, each less than a word: a comparison with a word's size would double the ways that
// the kernel's verifier follows in each round.
#[inline(always)]
fn long_shift(bits: u32, shift: impl Fn(u64, u32) -> u64) -> u64 {
    let part = bits / 4;
    shift(shift(shift(shift(u64::MAX, part), part), part), bits.wrapping_sub(3 * part))
}
