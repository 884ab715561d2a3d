//! The tables of the policy in force, read back to be asked by the same text as in the kernel.

use std::{collections::HashMap, os::fd::AsFd};

use aya::{
    Pod,
    maps::{ArrayOfMaps, MapData, MapError},
};
use gateway_common::{
    abi::name,
    config::Config,
    limits::POLICY_SLOTS,
    policy::{
        AddressClass, Class, Decision, EMPTY_CLASS, Levels, PolicyTables, PrefixKey,
        ProtocolClasses, Query, Rule, Scope, decide,
    },
    tuple::Direction,
};

use crate::{
    datapath::{DatapathError, maps::reading, sys},
    policy::protocol_slot,
};

/// A policy's tables as they are in the kernel. What is missing there is missing here.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct StoredTables {
    protocols: Vec<ProtocolClasses>,
    selectors: Vec<u32>,
    levels: Vec<Levels>,
    prefixes: HashMap<PrefixKey, AddressClass>,
    classes: Vec<Class>,
    words: Option<Vec<u64>>,
    rules: Vec<Rule>,
}

impl StoredTables {
    /// Reads the tables that `config` names; `open` finds a map of maps by its name.
    ///
    /// # Errors
    /// [`DatapathError::Map`], or what `open` says.
    pub(in super::super) fn read(
        config: &Config,
        open: &impl Fn(&'static str) -> Result<MapData, DatapathError>,
    ) -> Result<Self, DatapathError> {
        // Without rules and subnets nobody looks at them.
        let is_asked = config.policy.rules != 0 || config.policy.subnets != 0;
        let slot = config.policy_slot;
        if !is_asked || slot as usize >= POLICY_SLOTS {
            return Ok(Self::default());
        }
        let inner = |name| inner(name, slot, open);
        let words = inner(name::POLICY_WORDS)?;
        Ok(Self {
            protocols: values(name::POLICY_PROTOCOLS, inner(name::POLICY_PROTOCOLS)?)?,
            selectors: values(name::POLICY_SELECTORS, inner(name::POLICY_SELECTORS)?)?,
            levels: values(name::POLICY_LEVELS, inner(name::POLICY_LEVELS)?)?,
            prefixes: entries(name::POLICY_PREFIXES, inner(name::POLICY_PREFIXES)?)?
                .into_iter()
                .collect(),
            classes: values(name::POLICY_CLASSES, inner(name::POLICY_CLASSES)?)?,
            rules: values(name::POLICY_RULES, inner(name::POLICY_RULES)?)?,
            words: match words {
                Some(map) => Some(values(name::POLICY_WORDS, Some(map))?),
                None => None,
            },
        })
    }

    /// What that much of the policy says to a packet.
    pub(in super::super) fn ask(&self, config: &Config, scope: Scope, query: &Query) -> Decision {
        let mut decision = Decision::default();
        decide(self, &config.policy, scope, query, &mut decision);
        decision
    }
}

impl PolicyTables for StoredTables {
    fn protocol(&self, direction: Direction, protocol: u8) -> ProtocolClasses {
        self.protocols.get(protocol_slot(direction, protocol)).copied().unwrap_or_default()
    }

    fn selector(&self, selector: u16) -> u32 {
        self.selectors.get(usize::from(selector)).copied().unwrap_or(EMPTY_CLASS)
    }

    fn levels(&self, index: u32) -> Option<&Levels> {
        self.levels.get(index as usize)
    }

    fn prefix(&self, key: &PrefixKey) -> Option<AddressClass> {
        self.prefixes.get(key).copied()
    }

    fn class(&self, class: u32) -> Option<&Class> {
        self.classes.get(class as usize)
    }

    fn words(&self) -> Option<impl Fn(u32) -> Option<u64>> {
        let words = self.words.as_deref()?;
        Some(|position: u32| words.get(position as usize).copied())
    }

    fn rule(&self, index: u32) -> Rule {
        self.rules.get(index as usize).copied().unwrap_or_default()
    }
}

/// The map that a map of maps has at `slot`, if any.
fn inner(
    name: &'static str,
    slot: u32,
    open: &impl Fn(&'static str) -> Result<MapData, DatapathError>,
) -> Result<Option<MapData>, DatapathError> {
    let outer = super::super::live::typed::<ArrayOfMaps<MapData, MapData>>(name, open(name)?)?;
    match outer.get(&slot, 0) {
        Ok(map) => Ok(Some(map)),
        Err(MapError::KeyNotFound | MapError::ElementNotFound) => Ok(None),
        Err(error) => Err(reading(name)(error)),
    }
}

fn values<V: Pod>(name: &'static str, map: Option<MapData>) -> Result<Vec<V>, DatapathError> {
    let entries = entries::<u32, V>(name, map)?;
    Ok(entries.into_iter().map(|(_, value)| value).collect())
}

/// Every entry of a map that must have keys and values of these sizes.
fn entries<K: Pod, V: Pod>(
    name: &'static str,
    map: Option<MapData>,
) -> Result<Vec<(K, V)>, DatapathError> {
    let Some(map) = map else { return Ok(Vec::new()) };
    let info = map.info().map_err(reading(name))?;
    let sizes = (info.key_size() as usize, info.value_size() as usize);
    if sizes != (size_of::<K>(), size_of::<V>()) {
        return Err(reading(name)(MapError::InvalidValueSize {
            size: sizes.1,
            expected: size_of::<V>(),
        }));
    }
    sys::read_all(map.fd().as_fd()).map_err(|source| reading(name)(MapError::IoError(source)))
}
