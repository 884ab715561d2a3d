//! Sets of rules as bit vectors, and their classes.

use std::{collections::HashMap, rc::Rc};

use gateway_common::{
    limits::RULE_AGGREGATE_WORDS,
    policy::{Class, EMPTY_CLASS, Words},
};

const WORD_BITS: usize = u64::BITS as usize;

/// A set of rules of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RuleSet(Vec<u64>);

impl RuleSet {
    /// No rule of `rules`.
    pub(super) fn empty(rules: usize) -> Self {
        Self(vec![0; rules.div_ceil(WORD_BITS)])
    }

    /// The rules below `end` of `rules`.
    pub(super) fn below(end: usize, rules: usize) -> Self {
        let mut set = Self::empty(rules);
        for (word, bits) in set.0.iter_mut().enumerate() {
            let covered = end.saturating_sub(word * WORD_BITS).min(WORD_BITS);
            *bits =
                u64::MAX.checked_shr(u32::try_from(WORD_BITS - covered).unwrap_or(0)).unwrap_or(0);
        }
        set
    }

    pub(super) fn insert(&mut self, rule: usize) {
        self.0[rule / WORD_BITS] |= 1 << (rule % WORD_BITS);
    }

    pub(super) fn remove(&mut self, rule: usize) {
        self.0[rule / WORD_BITS] &= !(1 << (rule % WORD_BITS));
    }

    pub(super) fn contains(&self, rule: usize) -> bool {
        self.0[rule / WORD_BITS] & 1 << (rule % WORD_BITS) != 0
    }

    pub(super) fn add_all(&mut self, other: &[u64]) {
        for (bits, more) in self.0.iter_mut().zip(other) {
            *bits |= more;
        }
    }

    pub(super) fn keep_only(&mut self, other: &[u64]) {
        for (bits, kept) in self.0.iter_mut().zip(other) {
            *bits &= kept;
        }
    }

    pub(super) fn words(&self) -> &[u64] {
        &self.0
    }

    /// The rules in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().flat_map(|(word, &bits)| {
            std::iter::successors((bits != 0).then_some(bits), |left| {
                let left = left & (left - 1);
                (left != 0).then_some(left)
            })
            .map(move |left| word * WORD_BITS + left.trailing_zeros() as usize)
        })
    }
}

/// The different sets that occur, numbered in the order in which they came up.
#[derive(Debug)]
pub(super) struct Classes {
    sets: Vec<Rc<[u64]>>,
    numbers: HashMap<Rc<[u64]>, u32>,
}

impl Classes {
    /// The classes of a policy with this many rules: that of no rule.
    pub(super) fn new(rules: usize) -> Self {
        let mut classes = Self { sets: Vec::new(), numbers: HashMap::new() };
        let empty = classes.number(&RuleSet::empty(rules));
        debug_assert_eq!(empty, EMPTY_CLASS);
        classes
    }

    /// The class of a set.
    pub(super) fn number(&mut self, set: &RuleSet) -> u32 {
        if let Some(number) = self.numbers.get(set.words()) {
            return *number;
        }
        let number = u32::try_from(self.sets.len()).expect("fewer classes than values of a field");
        let words: Rc<[u64]> = set.words().into();
        self.sets.push(Rc::clone(&words));
        self.numbers.insert(words, number);
        number
    }

    /// The set of a class.
    pub(super) fn words(&self, class: u32) -> &[u64] {
        &self.sets[class as usize]
    }

    /// The bit vectors as the packet path reads them, and their words.
    pub(super) fn store(&self) -> (Vec<Class>, Vec<u64>) {
        let mut stored = Vec::new();
        let classes = self.sets.iter().map(|set| store(set, &mut stored)).collect();
        (classes, stored)
    }
}

/// Appends the words that are not zero.
fn store(set: &[u64], stored: &mut Vec<u64>) -> Class {
    let mut class = Class::default();
    for part in 0..RULE_AGGREGATE_WORDS {
        class.starts[part] = u32::try_from(stored.len()).expect("words fit a map");
        let words = set.iter().enumerate().skip(part * WORD_BITS).take(WORD_BITS);
        for (index, &word) in words.filter(|(_, word)| **word != 0) {
            let Words(aggregate) = &mut class.aggregate;
            aggregate[part] |= 1 << (index % WORD_BITS);
            stored.push(word);
        }
    }
    class
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_rules_name_their_members_in_order() {
        let mut set = RuleSet::empty(200);
        for rule in [199, 0, 64, 63, 130] {
            set.insert(rule);
        }
        set.remove(130);
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 63, 64, 199]);
        for end in [0, 1, 63, 64, 65, 199, 200] {
            let below = RuleSet::below(end, 200);
            assert!(below.iter().eq(0..end), "{end}");
        }
    }

    #[test]
    fn only_words_with_rules_are_stored() {
        let rules = 130 * WORD_BITS;
        let mut classes = Classes::new(rules);
        let mut set = RuleSet::empty(rules);
        for rule in [3, 64 * 5 + 1, 64 * 64 + 9, 64 * 129] {
            set.insert(rule);
        }
        assert_eq!((classes.number(&set), classes.number(&set)), (1, 1));
        let (stored, words) = classes.store();
        assert_eq!(words, [8, 2, 512, 1]);
        assert_eq!(stored[0], Class::default());
        assert_eq!(stored[1].aggregate, Words([0b10_0001, 1, 2]));
        assert_eq!(stored[1].starts, [0, 2, 3]);
        assert_eq!(stored[1].position(0, 0b1_1111), 1);
    }
}
