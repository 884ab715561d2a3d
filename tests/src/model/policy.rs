//! Policies of the model.

use std::{cell::RefCell, collections::HashMap};

use gateway_common::{
    counter::Hits,
    policy::{
        AddressClass, Class, EMPTY_CLASS, Levels, PolicyTables, PrefixKey, ProtocolClasses, Rule,
    },
    tuple::Direction,
};
use gateway_userspace::policy::CompiledPolicy;

/// A policy and what it counted.
#[derive(Debug)]
pub(super) struct StoredPolicy {
    pub(super) policy: CompiledPolicy,
    pub(super) hits: RefCell<HashMap<u32, Hits>>,
}

/// Tables that are not there.
pub(super) struct MissingTables;

impl PolicyTables for MissingTables {
    fn protocol(&self, _: Direction, _: u8) -> ProtocolClasses {
        ProtocolClasses::default()
    }

    fn selector(&self, _: u16) -> u32 {
        EMPTY_CLASS
    }

    fn levels(&self, _: u32) -> Option<&Levels> {
        None
    }

    fn prefix(&self, _: &PrefixKey) -> Option<AddressClass> {
        None
    }

    fn class(&self, _: u32) -> Option<&Class> {
        None
    }

    fn words(&self) -> Option<impl Fn(u32) -> Option<u64>> {
        None::<fn(u32) -> Option<u64>>
    }

    fn rule(&self, _: u32) -> Rule {
        Rule::default()
    }
}
