//! Which rules match all that another one does.

use gateway_common::policy::ProtocolClasses;

use super::{
    bits::{Classes, RuleSet},
    fields::{self, contains_protocols, contains_selectors, protocol_slot},
    trie::{Key, Trie},
};
use crate::settings::policy::{Addresses, Policy, Rule};

/// The rules of a policy, field by field. What several rules cover only together is not seen.
pub(super) struct Coverage<'p> {
    policy: &'p Policy,
    classes: Classes,
    protocols: Vec<ProtocolClasses>,
    selectors: Vec<u32>,
    inside: Side<'p>,
    outside: Side<'p>,
}

/// The addresses of one side of the uplink.
struct Side<'p> {
    field: fn(&'p Rule) -> &'p [Addresses],
    trie: Trie<u32>,
    /// The rules that match all addresses of a list.
    lists: Vec<RuleSet>,
}

impl<'p> Coverage<'p> {
    pub(super) fn of(policy: &'p Policy) -> Self {
        let mut classes = Classes::new(policy.rules.len());
        Self {
            protocols: fields::protocols(&policy.rules, &mut classes),
            selectors: fields::selectors(&policy.rules, &mut classes),
            inside: Side::of(policy, Rule::inside, &mut classes),
            outside: Side::of(policy, Rule::outside, &mut classes),
            policy,
            classes,
        }
    }

    /// The first rule before `index` that decides all that this one would.
    pub(super) fn covering(&self, index: usize) -> Option<(usize, &'p Rule)> {
        let rule = &self.policy.rules[index];
        let mut candidates = RuleSet::below(index, self.policy.rules.len());
        let protocol = rule.protocols.first().copied().unwrap_or_default();
        let selector = rule.selectors.first().map_or(0, |range| *range.start());
        // What accepts all values of a field accepts any one of them. Shadow rules decide nothing.
        let live = self.protocols[protocol_slot(rule.direction, protocol)].live;
        for class in [live, self.selectors[usize::from(selector)]] {
            candidates.keep_only(self.classes.words(class));
        }
        for side in [&self.inside, &self.outside] {
            side.keep_covering(rule, &self.classes, &mut candidates);
        }
        let covers = |earlier: &Rule| {
            contains_protocols(&earlier.protocols, &rule.protocols)
                && contains_selectors(&earlier.selectors, &rule.selectors)
        };
        candidates
            .iter()
            .map(|earlier| (earlier, &self.policy.rules[earlier]))
            .find(|(_, earlier)| covers(earlier))
    }

    /// Whether `covered`, which the rule `covering` covers, covers that one as well.
    pub(super) fn is_same(&self, covering: usize, covered: usize) -> bool {
        let rules = &self.policy.rules;
        let mut candidates = RuleSet::empty(rules.len());
        candidates.insert(covered);
        for side in [&self.inside, &self.outside] {
            side.keep_covering(&rules[covering], &self.classes, &mut candidates);
        }
        candidates.contains(covered)
            && contains_protocols(&rules[covered].protocols, &rules[covering].protocols)
            && contains_selectors(&rules[covered].selectors, &rules[covering].selectors)
    }
}

impl<'p> Side<'p> {
    fn of(
        policy: &'p Policy,
        field: fn(&'p Rule) -> &'p [Addresses],
        classes: &mut Classes,
    ) -> Self {
        let trie = fields::addresses(policy, field, classes);
        let all = RuleSet::below(policy.rules.len(), policy.rules.len());
        let lists = policy
            .lists
            .iter()
            .map(|list| {
                let mut covering = all.clone();
                let mut at: Vec<_> =
                    list.prefixes.iter().map(|prefix| trie.at(Key::of(prefix))).collect();
                at.sort_unstable();
                at.dedup();
                for class in at {
                    covering.keep_only(classes.words(class));
                }
                covering
            })
            .collect();
        Self { field, trie, lists }
    }

    /// Keeps the rules in `candidates` that match all addresses of `rule` on this side.
    fn keep_covering(&self, rule: &'p Rule, classes: &Classes, candidates: &mut RuleSet) {
        let at = |key| classes.words(self.trie.at(key));
        let addresses = (self.field)(rule);
        if addresses.is_empty() {
            for root in Key::ROOTS {
                candidates.keep_only(at(root));
            }
        }
        for addresses in addresses {
            candidates.keep_only(match addresses {
                Addresses::Prefix(prefix) => at(Key::of(prefix)),
                Addresses::List(list) => self.lists[*list].words(),
            });
        }
    }
}
