//! For each value of each field: which rules accept it.

use std::{
    collections::{BTreeMap, HashMap},
    ops::RangeInclusive,
};

use gateway_common::{
    policy::{AddressClass, NO_SUBNET, ProtocolClasses, Route},
    tuple::Direction,
};

use super::{
    bits::{Classes, RuleSet},
    trie::{Key, Trie},
};
use crate::settings::policy::{Addresses, Policy, Rule};

/// Protocols of each direction.
pub(super) const PROTOCOLS: usize = 256;

/// Ports, or ICMP types.
const SELECTORS: usize = 65_536;

/// Where the classes of a protocol are.
pub(crate) fn protocol_slot(direction: Direction, protocol: u8) -> usize {
    direction as usize * PROTOCOLS + usize::from(protocol)
}

/// The classes of every protocol in every direction.
pub(super) fn protocols(rules: &[Rule], classes: &mut Classes) -> Vec<ProtocolClasses> {
    let nothing = RuleSet::empty(rules.len());
    let mut accepting = vec![(nothing.clone(), nothing); 2 * PROTOCOLS];
    for (index, rule) in rules.iter().enumerate() {
        let mut accept = |protocol| {
            let (all, live) = &mut accepting[protocol_slot(rule.direction, protocol)];
            all.insert(index);
            if !rule.shadow {
                live.insert(index);
            }
        };
        if rule.protocols.is_empty() {
            (0..=u8::MAX).for_each(&mut accept);
        } else {
            rule.protocols.iter().copied().for_each(&mut accept);
        }
    }
    let number = |(all, live): &(RuleSet, RuleSet)| ProtocolClasses {
        all: classes.number(all),
        live: classes.number(live),
    };
    accepting.iter().map(number).collect()
}

/// The class of every port or ICMP type.
pub(super) fn selectors(rules: &[Rule], classes: &mut Classes) -> Vec<u32> {
    let mut accepting = RuleSet::empty(rules.len());
    let mut changes: Vec<(usize, bool, usize)> = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        if rule.selectors.is_empty() {
            accepting.insert(index);
        }
        for range in &rule.selectors {
            changes.push((usize::from(*range.start()), true, index));
            changes.push((usize::from(*range.end()) + 1, false, index));
        }
    }
    changes.sort_unstable();
    let mut by_value = Vec::with_capacity(SELECTORS);
    for group in changes.chunk_by(|(value, ..), (next, ..)| value == next) {
        // What begins here begins behind a class that ends here; at 0 nothing does.
        if group[0].0 > by_value.len() {
            by_value.resize(group[0].0, classes.number(&accepting));
        }
        for &(_, begins, rule) in group {
            if begins {
                accepting.insert(rule);
            } else {
                accepting.remove(rule);
            }
        }
    }
    by_value.resize(SELECTORS, classes.number(&accepting));
    by_value
}

/// What is said of a prefix of one field.
#[derive(Debug, Default)]
struct Said {
    /// Which groups of rules name the prefix, sorted.
    groups: Vec<u32>,
    /// The subnet that begins here.
    subnet: Option<u16>,
    /// Whether only this host may send from addresses that no subnet below covers.
    is_foreign: bool,
}

/// The rules that name prefixes of one field: those that name the same list are one group, so that
/// the work for a list does not grow with them.
struct Prefixes {
    rules: usize,
    /// Rules that accept every address.
    any: RuleSet,
    groups: Vec<RuleSet>,
    said: BTreeMap<Key, Said>,
}

impl Prefixes {
    fn of<'p>(policy: &'p Policy, field: fn(&'p Rule) -> &'p [Addresses]) -> Self {
        let rules = policy.rules.len();
        let empty = RuleSet::empty(rules);
        let mut prefixes =
            Self { rules, any: empty.clone(), groups: Vec::new(), said: BTreeMap::new() };
        let mut of_lists = vec![empty; policy.lists.len()];
        for (index, rule) in policy.rules.iter().enumerate() {
            let mut inline = Vec::new();
            for addresses in field(rule) {
                match addresses {
                    Addresses::Prefix(prefix) => inline.push(Key::of(prefix)),
                    Addresses::List(list) => of_lists[*list].insert(index),
                }
            }
            if field(rule).is_empty() {
                prefixes.any.insert(index);
            } else if !inline.is_empty() {
                let mut only = RuleSet::empty(rules);
                only.insert(index);
                prefixes.add_group(only, inline);
            }
        }
        for (set, list) in of_lists.into_iter().zip(&policy.lists) {
            if set.iter().next().is_some() {
                prefixes.add_group(set, list.prefixes.iter().map(Key::of));
            }
        }
        prefixes
    }

    fn add_group(&mut self, rules: RuleSet, prefixes: impl IntoIterator<Item = Key>) {
        let group = u32::try_from(self.groups.len()).expect("no more groups than rules and lists");
        self.groups.push(rules);
        for key in prefixes {
            let groups = &mut self.said.entry(key).or_default().groups;
            if groups.last() != Some(&group) {
                groups.push(group);
            }
        }
    }

    /// Builds the trie; `make` turns the class, the value around and what else is said of a prefix
    /// into its value.
    fn trie<V: Copy + PartialEq>(
        self,
        classes: &mut Classes,
        class_of: impl Fn(V) -> u32,
        make: impl Fn(u32, Option<V>, &Said) -> V,
    ) -> Trie<V> {
        let Self { rules, any, groups, said } = self;
        let any_class = classes.number(&any);
        // Prefixes of the same lists within the same class are many, and need one class.
        let mut known: HashMap<(u32, Vec<u32>), u32> = HashMap::new();
        Trie::build(said, |outer, said| {
            let around = outer.map_or(any_class, &class_of);
            let class = *known.entry((around, said.groups.clone())).or_insert_with(|| {
                let mut set = RuleSet::empty(rules);
                set.add_all(classes.words(around));
                for group in &said.groups {
                    set.add_all(groups[*group as usize].words());
                }
                classes.number(&set)
            });
            make(class, outer, said)
        })
    }
}

/// The inside addresses with their classes, subnets and routes. Who sends from an address that no
/// subnet covers is foreign, but only in a family that has subnets, and unless the default route
/// says that such addresses may talk both ways.
pub(super) fn inside(policy: &Policy, classes: &mut Classes) -> Trie<AddressClass> {
    let mut prefixes = Prefixes::of(policy, Rule::inside);
    for (index, subnet) in policy.subnets.iter().enumerate() {
        let index = u16::try_from(index).expect("no more subnets than settings allow");
        prefixes.said.entry(Key::of(&subnet.prefix)).or_default().subnet = Some(index);
        if policy.default_route != Route::Internet {
            let family = Key::family(&subnet.prefix);
            prefixes.said.entry(family).or_default().is_foreign = true;
        }
    }
    prefixes.trie(
        classes,
        |inside: AddressClass| inside.class,
        |class, outer, said| match (said.subnet, outer) {
            (Some(index), _) => {
                let route = policy.subnets[usize::from(index)].route as u8;
                AddressClass { class, subnet: index, route, is_foreign: 0 }
            }
            (None, Some(outer)) => AddressClass { class, ..outer },
            (None, None) => AddressClass {
                class,
                subnet: NO_SUBNET,
                route: policy.default_route as u8,
                is_foreign: u8::from(said.is_foreign),
            },
        },
    )
}

/// The outside addresses with their classes; nothing else is known of them.
pub(super) fn outside(policy: &Policy, classes: &mut Classes) -> Trie<AddressClass> {
    Prefixes::of(policy, Rule::outside).trie(
        classes,
        |outside: AddressClass| outside.class,
        |class, _, _| AddressClass { class, subnet: NO_SUBNET, route: 0, is_foreign: 0 },
    )
}

/// The classes of the addresses that rules name in one field.
pub(super) fn addresses<'p>(
    policy: &'p Policy,
    field: fn(&'p Rule) -> &'p [Addresses],
    classes: &mut Classes,
) -> Trie<u32> {
    Prefixes::of(policy, field).trie(classes, |class| class, |class, _, _| class)
}

/// Whether every protocol of `inner` is one of `outer`; of both, nothing means everything.
pub(super) fn contains_protocols(outer: &[u8], inner: &[u8]) -> bool {
    let is_among = |protocol| outer.binary_search(protocol).is_ok();
    outer.is_empty() || (!inner.is_empty() && inner.iter().all(is_among))
}

/// Whether every value of `inner` is one of `outer`; of both, nothing means everything.
pub(super) fn contains_selectors(
    outer: &[RangeInclusive<u16>],
    inner: &[RangeInclusive<u16>],
) -> bool {
    let covers = |range: &RangeInclusive<u16>| {
        let place = outer.partition_point(|outer| outer.end() < range.end());
        outer.get(place).is_some_and(|outer| outer.start() <= range.start())
    };
    outer.is_empty() || (!inner.is_empty() && inner.iter().all(covers))
}
