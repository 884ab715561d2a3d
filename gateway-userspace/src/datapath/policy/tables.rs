//! The maps of the two policies that the kernel holds.

use std::{os::fd::AsFd, thread};

use aya::{
    Pod,
    maps::{Array, ArrayOfMaps, HashMap, IterableMap, MapData, MapError, MapType},
    util::nr_cpus,
};
use aya_obj::generated::BPF_F_INNER_MAP;
use gateway_common::{
    abi::{POLICY_TABLES, name},
    config::Config,
    counter::Hits,
    policy::{AddressClass, PrefixKey, Summary},
};

use super::{
    document::{Block, Counted, Document},
    hits,
};
use crate::{
    datapath::{
        DatapathError, GatewayName,
        maps::{self, Shape, reading, shape, writing},
        pin::GatewayDir,
        sys,
    },
    policy::CompiledPolicy,
};

/// What the maps that are read back must look like; they are as large as their policy.
const TEXT: Shape = shape::<u32, Block>(name::POLICY_TEXT, MapType::Array, None);
const HITS: Shape = shape::<u32, Hits>(name::POLICY_HITS, MapType::Array, None);

type Outer = ArrayOfMaps<MapData, MapData>;

/// A map that is not in its place yet.
type Inner = (&'static str, MapData);

/// Tables of a policy, made and filled but nowhere in force.
///
/// There are none for a policy that needs none.
pub struct BuiltTables(Vec<Inner>);

impl BuiltTables {
    /// Makes the maps and fills them.
    ///
    /// # Errors
    /// [`DatapathError::Map`] or [`DatapathError::Syscall`].
    pub fn new(compiled: &CompiledPolicy) -> Result<Self, DatapathError> {
        if compiled.summary.is_egress_only() {
            return Ok(Self(Vec::new()));
        }
        let CompiledPolicy {
            rules, protocols, selectors, levels, prefixes, classes, words, ..
        } = compiled;
        Ok(Self(vec![
            array(name::POLICY_PROTOCOLS, protocols, 0)?,
            array(name::POLICY_SELECTORS, selectors, 0)?,
            array(name::POLICY_LEVELS, levels, 0)?,
            hash(name::POLICY_PREFIXES, prefixes)?,
            array(name::POLICY_CLASSES, classes, BPF_F_INNER_MAP)?,
            array(name::POLICY_WORDS, words, BPF_F_INNER_MAP)?,
            array(name::POLICY_RULES, rules, BPF_F_INNER_MAP)?,
            zeroed_hits(&compiled.summary)?,
        ]))
    }

    /// The maps, each with the name of the map of maps that it is made for.
    pub fn maps(&self) -> impl Iterator<Item = (&'static str, &MapData)> {
        self.0.iter().map(|(name, map)| (*name, map))
    }
}

/// The maps of maps of a gateway, each with a place for either policy.
pub(in super::super) struct PolicyMaps {
    gateway: GatewayName,
    directory: GatewayDir,
    /// Those of [`POLICY_TABLES`].
    tables: Vec<(&'static str, Outer)>,
    text: Outer,
}

impl PolicyMaps {
    /// Opens the maps in `directory`.
    ///
    /// # Errors
    /// [`DatapathError::Damaged`].
    pub(in super::super) fn open(
        gateway: &GatewayName,
        directory: &GatewayDir,
    ) -> Result<Self, DatapathError> {
        let open = |name| maps::open(gateway, directory, name);
        let tables = POLICY_TABLES.into_iter().map(|name| Ok((name, open(name)?)));
        Ok(Self {
            tables: tables.collect::<Result<_, DatapathError>>()?,
            text: open(name::POLICY_TEXT)?,
            gateway: gateway.clone(),
            directory: directory.clone(),
        })
    }

    /// Puts a policy in the place `slot`, which no packet looks at.
    ///
    /// The text comes first, since it has what would be lost with the hits that are there. Every
    /// replacement waits for packets under way, so the other maps are put in place together.
    ///
    /// # Errors
    /// [`DatapathError::Map`].
    pub(super) fn install(
        &mut self,
        slot: u32,
        built: &BuiltTables,
        document: &Document,
    ) -> Result<(), DatapathError> {
        let (_, text) = array(name::POLICY_TEXT, &document.encode(), BPF_F_INNER_MAP)?;
        let put = |name, outer: &mut Outer, inner: &MapData| {
            outer.set(slot, inner, 0).map_err(writing(name))
        };
        put(name::POLICY_TEXT, &mut self.text, &text)?;
        thread::scope(|scope| {
            let mut threads = Vec::new();
            for (name, outer) in &mut self.tables {
                if let Some((_, inner)) = built.maps().find(|(built, _)| built == name) {
                    threads.push(scope.spawn(move || put(name, outer, inner)));
                }
            }
            threads.into_iter().try_for_each(|put| put.join().expect("writing a map ends"))
        })
    }

    /// The document of the policy in force.
    ///
    /// # Errors
    /// [`DatapathError::Damaged`] or [`DatapathError::Map`].
    pub(super) fn document(
        &self,
        slot: u32,
        summary: Option<&Summary>,
    ) -> Result<Document, DatapathError> {
        let text = self.inner(&self.text, &TEXT, slot)?;
        let blocks = read_array::<Block>(&text, name::POLICY_TEXT)?;
        Document::decode(&blocks, summary)
            .map_err(|reason| self.damaged(name::POLICY_TEXT, &reason))
    }

    /// A policy with what was counted while it was in force.
    ///
    /// # Errors
    /// [`DatapathError::Damaged`] or [`DatapathError::Map`].
    pub(super) fn counted(
        &self,
        slot: u32,
        summary: Option<&Summary>,
    ) -> Result<Counted, DatapathError> {
        // Before the text, which is replaced before the hits are: so they belong to it, or it is a
        // successor's, which has them.
        let outer = self.tables.iter().find(|(name, _)| *name == HITS.name);
        let (_, outer) = outer.expect("hits are among the tables");
        let per_cpu = self.inner(outer, &HITS, slot);
        let per_cpu = per_cpu.and_then(|map| read_array::<Hits>(&map, name::POLICY_HITS));
        let document = self.document(slot, summary)?;
        let places = document.places();
        if document.is_egress_only() {
            return Ok(Counted { hits: vec![Hits::default(); places], document });
        }
        let per_cpu = per_cpu?;
        if per_cpu.is_empty() || !per_cpu.len().is_multiple_of(places) {
            let reason = format!("has {} counters for {places} places", per_cpu.len());
            return Err(self.damaged(name::POLICY_HITS, &reason));
        }
        Ok(Counted { hits: hits::over_cpus(&per_cpu, places), document })
    }

    fn inner(&self, outer: &Outer, shape: &Shape, slot: u32) -> Result<MapData, DatapathError> {
        let found = outer.get(&slot, 0);
        if matches!(found, Err(MapError::KeyNotFound)) {
            return Err(self.damaged(shape.name, &format!("has nothing at {slot}")));
        }
        let map = found.map_err(reading(shape.name))?;
        match shape.check(&map) {
            Ok(()) => Ok(map),
            Err(reason) => {
                Err(self.damaged(shape.name, &format!("has a map at {slot} that {reason}")))
            }
        }
    }

    /// What is wrong with one of the maps.
    pub(super) fn damaged(&self, map: &str, reason: &str) -> DatapathError {
        DatapathError::Damaged {
            name: self.gateway.to_string(),
            path: self.directory.maps().join(map),
            reason: reason.to_owned(),
        }
    }
}

/// The place of the policy in force, and the other one.
pub(super) fn slots(in_force: &Config) -> (u32, u32) {
    let slot = u32::from(in_force.policy_slot != 0);
    (slot, 1 - slot)
}

fn array<V: Pod>(name: &'static str, values: &[V], flags: u32) -> Result<Inner, DatapathError> {
    let room = count(values.len()).max(1);
    let map: Array<MapData, V> = Array::create(room, flags).map_err(making(name))?;
    let keys: Vec<u32> = (0..count(values.len())).collect();
    filled(name, map.map(), &keys, values)
}

/// Preallocated, as a hash that programs search without locks has to be; so its memory is bounded
/// by its size.
fn hash(name: &'static str, entries: &[(PrefixKey, AddressClass)]) -> Result<Inner, DatapathError> {
    /// Elements that other CPUs keep for themselves cannot be taken.
    const SPARE: u32 = 64;
    let room = count(entries.len()).saturating_add(SPARE);
    let map: HashMap<MapData, PrefixKey, AddressClass> =
        HashMap::create(room, 0).map_err(making(name))?;
    let (keys, values): (Vec<_>, Vec<_>) = entries.iter().copied().unzip();
    filled(name, map.map(), &keys, &values)
}

fn zeroed_hits(summary: &Summary) -> Result<Inner, DatapathError> {
    let cpus = nr_cpus().map_err(|(_, source)| DatapathError::Syscall {
        action: "finding out how many CPUs there may be",
        source,
    })?;
    let room = count(cpus).saturating_mul(summary.places());
    let name = name::POLICY_HITS;
    let map: Array<MapData, Hits> = Array::create(room, BPF_F_INNER_MAP).map_err(making(name))?;
    filled::<u32, Hits>(name, map.map(), &[], &[])
}

/// Fills a new map and keeps it apart from aya's type for it.
fn filled<K: Pod, V: Pod>(
    name: &'static str,
    map: &MapData,
    keys: &[K],
    values: &[V],
) -> Result<Inner, DatapathError> {
    let fd = map.fd().as_fd();
    let failed = |source| writing(name)(MapError::IoError(source));
    sys::write_all(fd, keys, values).map_err(failed)?;
    let fd = fd.try_clone_to_owned().map_err(failed)?;
    Ok((name, MapData::from_fd(fd).map_err(writing(name))?))
}

fn read_array<V: Pod>(map: &MapData, name: &'static str) -> Result<Vec<V>, DatapathError> {
    let entries: Vec<(u32, V)> = sys::read_all(map.fd().as_fd())
        .map_err(|source| reading(name)(MapError::IoError(source)))?;
    Ok(entries.into_iter().map(|(_, value)| value).collect())
}

/// Larger than any map is too large for the kernel as well, which says so.
fn count(of: usize) -> u32 {
    u32::try_from(of).unwrap_or(u32::MAX)
}

fn making(map: &'static str) -> impl FnOnce(MapError) -> DatapathError {
    move |source| DatapathError::Map { action: "creating", map, source }
}
