//! A compiled policy outside the kernel, judged by the same text.

use gateway_common::{
    policy::{
        Class, Decision, Inside, PolicyTables, ProtocolClasses, Query, Rule, Summary, decide,
    },
    tuple::{Address, Direction},
};

use super::{compile::CompiledPolicy, fields::protocol_slot};

/// The tables of a compiled policy.
#[derive(Clone, Copy, Debug)]
pub struct HostTables<'p>(pub &'p CompiledPolicy);

impl HostTables<'_> {
    /// What the policy says to a packet.
    #[must_use]
    pub fn decide(&self, query: &Query) -> Decision {
        let mut decision = Decision::default();
        decide(self, query, &mut decision);
        decision
    }
}

impl PolicyTables for HostTables<'_> {
    fn summary(&self) -> Option<Summary> {
        Some(self.0.summary)
    }

    fn protocol(&self, direction: Direction, protocol: u8) -> ProtocolClasses {
        self.0.protocols[protocol_slot(direction, protocol)]
    }

    fn selector(&self, selector: u16) -> u32 {
        self.0.selectors[usize::from(selector)]
    }

    fn inside(&self, address: &Address) -> Option<Inside> {
        Some(self.0.inside.lookup(address))
    }

    fn outside(&self, address: &Address) -> u32 {
        self.0.outside.lookup(address)
    }

    fn class(&self, class: u32) -> Option<&Class> {
        self.0.classes.get(class as usize)
    }

    fn word(&self, position: u32) -> Option<u64> {
        self.0.words.get(position as usize).copied()
    }

    fn rule(&self, index: u32) -> Rule {
        self.0.rules[index as usize]
    }
}
