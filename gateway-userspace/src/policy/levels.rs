//! Prefixes as the packet path searches them: the lengths that occur, and a marker wherever the
//! search for a longer prefix passes.

use std::collections::{BTreeMap, BTreeSet};

use gateway_common::{
    limits::PREFIX_LENGTHS_MAX,
    policy::{AddressClass, Field, Levels, PrefixKey},
};

use super::trie::{Key, Trie};

/// The prefixes of both fields.
#[derive(Debug)]
pub(super) struct Prefixes {
    /// By [`Levels::index`].
    pub(super) levels: Vec<Levels>,
    /// Prefixes and markers.
    pub(super) entries: Vec<(PrefixKey, AddressClass)>,
    /// How many entries are markers.
    pub(super) markers: usize,
}

impl Prefixes {
    pub(super) fn new(inside: &Trie<AddressClass>, outside: &Trie<AddressClass>) -> Self {
        let mut all = Self { levels: Vec::new(), entries: Vec::new(), markers: 0 };
        for (field, trie) in [(Field::Inside, inside), (Field::Outside, outside)] {
            all.add(field, trie);
        }
        all
    }

    fn add(&mut self, field: Field, trie: &Trie<AddressClass>) {
        self.levels.extend(Key::ROOTS.map(|root| levels(trie, root)));
        let mut found: BTreeMap<Key, AddressClass> = trie.prefixes().collect();
        let prefixes = found.len();
        for (key, _) in trie.prefixes() {
            let levels = &self.levels[Levels::index(field, &key.address()) as usize];
            for marker in path(levels, key.len()).map(|len| key.shortened(len)) {
                found.entry(marker).or_insert_with(|| trie.at(marker));
            }
        }
        self.markers += found.len() - prefixes;
        self.entries.extend(found.into_iter().map(|(key, value)| {
            let len = small(key.len());
            (PrefixKey { address: key.address(), len, field: field as u8, zero: 0 }, value)
        }));
    }
}

/// The lengths of a trie's prefixes in the family that begins at `root`.
fn levels(trie: &Trie<AddressClass>, root: Key) -> Levels {
    let is_ipv4 = root.address().is_ipv4_mapped();
    let of_family = trie.prefixes().filter(|(key, _)| key.address().is_ipv4_mapped() == is_ipv4);
    let used: BTreeSet<u8> = of_family.map(|(key, _)| small(key.len())).collect();
    let mut lens = [0; PREFIX_LENGTHS_MAX];
    for (len, used) in lens.iter_mut().zip(&used) {
        *len = *used;
    }
    Levels { root: trie.at(root), count: small(used.len()), zero: 0, lens }
}

/// The shorter lengths at which the search for a prefix of length `len` has to hit.
fn path(levels: &Levels, len: u32) -> impl Iterator<Item = u32> {
    let steps = std::iter::successors(Some(Levels::FIRST_STEP), |step| Some(step / 2));
    let mut passed = 0;
    steps.take_while(|step| *step != 0).filter_map(move |step| {
        let next = passed + step;
        let at = levels.lens[..levels.count as usize].get(next as usize - 1);
        let at = at.map(|at| u32::from(*at)).filter(|at| *at <= len)?;
        passed = next;
        (at < len).then_some(at)
    })
}

/// A length, or a number of them.
fn small<N: TryFrom<T, Error: std::fmt::Debug>, T>(number: T) -> N {
    number.try_into().expect("at most 128")
}
