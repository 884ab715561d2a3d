//! A compiled policy outside the kernel, judged by the same text.

use std::collections::HashMap;

use gateway_common::{
    policy::{
        AddressClass, Class, Decision, Levels, PolicyTables, PrefixKey, ProtocolClasses, Query,
        Rule, Scope, decide,
    },
    tuple::Direction,
};

use super::{compile::CompiledPolicy, fields::protocol_slot};

/// The tables of a compiled policy.
#[derive(Clone, Debug)]
pub struct HostTables<'p> {
    policy: &'p CompiledPolicy,
    prefixes: HashMap<PrefixKey, AddressClass>,
}

impl<'p> HostTables<'p> {
    /// The tables of `policy`.
    #[must_use]
    pub fn new(policy: &'p CompiledPolicy) -> Self {
        Self { policy, prefixes: policy.prefixes.iter().copied().collect() }
    }

    /// What the policy says to a packet.
    #[must_use]
    pub fn decide(&self, query: &Query) -> Decision {
        self.ask(Scope::Everything, query)
    }

    /// What that much of the policy says to a packet.
    #[must_use]
    pub fn ask(&self, scope: Scope, query: &Query) -> Decision {
        let mut decision = Decision::default();
        decide(self, &self.policy.summary, scope, query, &mut decision);
        decision
    }
}

impl PolicyTables for HostTables<'_> {
    fn protocol(&self, direction: Direction, protocol: u8) -> ProtocolClasses {
        self.policy.protocols[protocol_slot(direction, protocol)]
    }

    fn selector(&self, selector: u16) -> u32 {
        self.policy.selectors[usize::from(selector)]
    }

    fn levels(&self, index: u32) -> Option<&Levels> {
        self.policy.levels.get(index as usize)
    }

    fn prefix(&self, key: &PrefixKey) -> Option<AddressClass> {
        self.prefixes.get(key).copied()
    }

    fn class(&self, class: u32) -> Option<&Class> {
        self.policy.classes.get(class as usize)
    }

    fn words(&self) -> Option<impl Fn(u32) -> Option<u64>> {
        Some(|position: u32| self.policy.words.get(position as usize).copied())
    }

    fn rule(&self, index: u32) -> Rule {
        self.policy.rules.get(index as usize).copied().unwrap_or_default()
    }
}
