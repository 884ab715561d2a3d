//! The first rule that every field of a packet matches.

use super::{Class, NO_RULE, NO_TABLE, PolicyTables};
use crate::limits::{RULE_AGGREGATE_WORDS, RULE_WORDS};

/// Bits of a word.
const WORD_BITS: usize = u64::BITS as usize;

/// Rules behind one word of an aggregate.
const RULES_OF_PART: u32 = u64::BITS * u64::BITS;

/// A bit for each word of a bit vector over the rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Words(pub [u64; RULE_AGGREGATE_WORDS]);

impl Words {
    /// The bits that both have.
    #[must_use]
    #[inline(always)]
    pub const fn and(&self, other: &Self) -> Self {
        let mut both = [0; RULE_AGGREGATE_WORDS];
        let mut part = 0;
        while part < RULE_AGGREGATE_WORDS {
            both[part] = self.0[part] & other.0[part];
            part += 1;
        }
        Self(both)
    }

    /// Whether no bit is set.
    #[must_use]
    #[inline(always)]
    pub const fn is_empty(&self) -> bool {
        let mut any = 0;
        let mut part = 0;
        while part < RULE_AGGREGATE_WORDS {
            any |= self.0[part];
            part += 1;
        }
        any == 0
    }
}

/// The classes of a packet's fields.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'t> {
    /// Of direction and protocol.
    pub protocol: &'t Class,
    /// Of destination port or ICMP type.
    pub selector: &'t Class,
    /// Of the inside address.
    pub inside: &'t Class,
    /// Of the outside address.
    pub outside: &'t Class,
}

impl Fields<'_> {
    /// A part of the words in which every field has rules.
    // One at a time: all of them would have to lie on the stack.
    #[inline(always)]
    const fn words(&self, part: usize) -> u64 {
        self.protocol.aggregate.0[part]
            & self.selector.aggregate.0[part]
            & self.inside.aggregate.0[part]
            & self.outside.aggregate.0[part]
    }
}

/// The first rule that all fields match, [`NO_RULE`] if none does, [`NO_TABLE`] if the tables lack
/// what it takes to know.
// Both loops have constant bounds and run by index, so that every kernel's verifier follows them.
// It follows each round, of which there are many: nothing but the word at hand changes in one.
#[must_use]
#[inline(always)]
pub fn first_match<T: PolicyTables>(tables: &T, fields: &Fields<'_>) -> u32 {
    let Some(stored) = tables.words() else { return NO_TABLE };
    let mut first_of_part = 0;
    for part in 0..RULE_AGGREGATE_WORDS {
        let mut left = fields.words(part);
        for _ in 0..WORD_BITS.min(RULE_WORDS - part * WORD_BITS) {
            if left == 0 {
                break;
            }
            let (below, index) = lowest(left);
            left &= left.wrapping_sub(1);
            let word = |class: &Class| stored(class.position(part, below));
            let Some(selector) = word(fields.selector) else { return NO_TABLE };
            let Some(outside) = word(fields.outside) else { return NO_TABLE };
            let Some(inside) = word(fields.inside) else { return NO_TABLE };
            let Some(protocol) = word(fields.protocol) else { return NO_TABLE };
            let rules = selector & outside & inside & protocol;
            if rules != 0 {
                let (_, rule) = lowest(rules);
                return first_of_part + index * u64::BITS + rule;
            }
        }
        first_of_part += RULES_OF_PART;
    }
    NO_RULE
}

/// The bits below the lowest one of a word that is not zero, and how many they are.
// BPF cannot count zeroes. The compiler would look them up in a table, for which the object needs
// a section of constants, if this were written as the number of bits below.
#[inline(always)]
const fn lowest(word: u64) -> (u64, u32) {
    let up_to = word ^ word.wrapping_sub(1);
    (up_to >> 1, up_to.count_ones().wrapping_sub(1))
}
