//! The first rule that every field of a packet matches.

use super::{Class, NO_RULE, PolicyTables};
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
pub(super) struct Fields<'t> {
    pub(super) protocol: &'t Class,
    pub(super) selector: &'t Class,
    pub(super) inside: &'t Class,
    pub(super) outside: &'t Class,
}

impl Fields<'_> {
    /// The words in which every field has rules.
    #[inline(always)]
    pub(super) const fn words(&self) -> Words {
        self.protocol
            .aggregate
            .and(&self.selector.aggregate)
            .and(&self.inside.aggregate)
            .and(&self.outside.aggregate)
    }
}

/// The first rule that all fields match, in the words in which all have rules, or [`NO_RULE`]; so
/// it is when the tables lack a word.
// Both loops have constant bounds and run by index, so that every kernel's verifier follows them.
// It follows each round, of which there are many: nothing but the word at hand changes in one.
#[inline(never)]
pub(super) fn first_match<T: PolicyTables>(tables: &T, fields: &Fields<'_>, words: &Words) -> u32 {
    let mut first_of_part = 0;
    for part in 0..RULE_AGGREGATE_WORDS {
        let mut left = words.0[part];
        for _ in 0..WORD_BITS.min(RULE_WORDS - part * WORD_BITS) {
            if left == 0 {
                break;
            }
            let (below, index) = lowest(left);
            left &= left.wrapping_sub(1);
            let word = |class: &Class| tables.word(class.position(part, below));
            let Some(selector) = word(fields.selector) else { return NO_RULE };
            let Some(outside) = word(fields.outside) else { return NO_RULE };
            let Some(inside) = word(fields.inside) else { return NO_RULE };
            let Some(protocol) = word(fields.protocol) else { return NO_RULE };
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
