//! The compiled policy.

use gateway_common::{
    limits::{RULES_MAX, SUBNETS_MAX},
    policy::{AddressClass, Class, Levels, PrefixKey, ProtocolClasses, Rule, Summary},
};

use super::{bits::Classes, fields, levels::Prefixes};
use crate::settings::policy::{self, Policy};

/// A policy as the packet path's maps hold it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompiledPolicy {
    /// The policy as a whole.
    pub summary: Summary,
    /// The rules, in the order in which they are asked.
    pub rules: Vec<Rule>,
    /// Classes by direction and protocol: 256 of each [`Direction`](gateway_common::tuple::Direction).
    pub protocols: Vec<ProtocolClasses>,
    /// Classes by destination port or ICMP type.
    pub selectors: Vec<u32>,
    /// The prefix lengths of each field and family, by [`Levels::index`].
    pub levels: Vec<Levels>,
    /// What is known of addresses, by prefix; markers, where the search for longer prefixes passes,
    /// are among the prefixes.
    pub prefixes: Vec<(PrefixKey, AddressClass)>,
    /// The bit vectors of the classes.
    pub classes: Vec<Class>,
    /// Their words.
    pub words: Vec<u64>,
    sizes: PolicySizes,
}

/// How large a compiled policy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicySizes {
    /// Prefixes of inside addresses that differ from what is around them.
    pub inside_prefixes: usize,
    /// Prefixes of outside addresses that differ from what is around them.
    pub outside_prefixes: usize,
    /// Markers on the way to longer prefixes.
    pub markers: usize,
    /// Different bit vectors.
    pub classes: usize,
    /// Words of these that are not zero.
    pub words: usize,
}

impl CompiledPolicy {
    /// Compiles a valid policy. The same policy always becomes the same tables.
    ///
    /// # Panics
    ///
    /// The policy has more rules or subnets than settings allow.
    #[must_use]
    pub fn new(policy: &Policy) -> Self {
        assert!(policy.rules.len() <= RULES_MAX && policy.subnets.len() <= SUBNETS_MAX);
        let mut classes = Classes::new(policy.rules.len());
        let protocols = fields::protocols(&policy.rules, &mut classes);
        let selectors = fields::selectors(&policy.rules, &mut classes);
        let inside = fields::inside(policy, &mut classes);
        let outside = fields::outside(policy, &mut classes);
        let prefixes = Prefixes::new(&inside, &outside);
        let (classes, words) = classes.store();
        let count = |of: usize| u32::try_from(of).expect("no more than settings allow");
        Self {
            summary: Summary {
                rules: count(policy.rules.len()),
                subnets: count(policy.subnets.len()),
                default_route: policy.default_route as u8,
                zero: [0; 3],
            },
            rules: policy.rules.iter().map(rule).collect(),
            protocols,
            selectors,
            sizes: PolicySizes {
                inside_prefixes: inside.prefixes().count(),
                outside_prefixes: outside.prefixes().count(),
                markers: prefixes.markers,
                classes: classes.len(),
                words: words.len(),
            },
            levels: prefixes.levels,
            prefixes: prefixes.entries,
            classes,
            words,
        }
    }

    /// How large the tables are that vary in size.
    #[must_use]
    pub fn sizes(&self) -> PolicySizes {
        self.sizes
    }
}

fn rule(rule: &policy::Rule) -> Rule {
    Rule { action: rule.action as u8, log: rule.log.into(), shadow: rule.shadow.into(), zero: 0 }
}
