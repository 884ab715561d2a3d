//! The pinned maps: what each must look like, and the two that make up the configuration.

use std::{os::fd::AsFd, path::Path};

use aya::maps::{Array, IterableMap, Map, MapData, MapError, MapType};
use gateway_common::{
    abi::name,
    config::{Config, Mode},
    counter::{Counter, FlowEvent},
    endpoint::EndpointKey,
    flow::FlowEntry,
    fragment::{DatagramKey, PeerKey},
    host::{HostKey, Overflow, Paid},
    limits::{
        DATAGRAMS_MAX, ENDPOINTS_MAX, HOSTS_MAX, OBSERVERS_MAX, PEERS_MAX, POLICY_SLOTS,
        RECORDS_BYTES, REJECTS_BYTES,
    },
    observe::{Watch, WatchCount},
    presence::{BITMAP_WORDS, Control},
    timeouts::Ticks,
    tuple::FlowKey,
    verdict::Reason,
};

use super::{
    DatapathError, GatewayName,
    pin::{self, GatewayDir},
    sys::wait_for_programs,
};

/// What a map must look like before anything in it is believed: nothing else checks it when a
/// pinned map is given to new programs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// The map's name, and its pin's.
    pub(super) name: &'static str,
    map_type: MapType,
    key_bytes: usize,
    value_bytes: usize,
    /// `None` where the operator's choice decides.
    entries: Option<usize>,
}

/// Every map that is pinned, in the order of [`name`].
pub(super) const SHAPES: [Shape; 31] = [
    shape::<u32, Config>(name::CONFIG, MapType::Array, Some(2)),
    shape::<u32, u32>(name::ACTIVE, MapType::Array, Some(1)),
    shape::<FlowKey, FlowEntry>(name::HALF_OPEN, MapType::LruHash, None),
    shape::<FlowKey, FlowEntry>(name::ESTABLISHED, MapType::Hash, None),
    shape::<u32, u64>(name::PRESENCE, MapType::Array, Some(2 * BITMAP_WORDS as usize)),
    shape::<u32, Control>(name::PRESENCE_CONTROL, MapType::Array, Some(1)),
    shape::<DatagramKey, Ticks>(name::DATAGRAMS, MapType::LruHash, Some(DATAGRAMS_MAX as usize)),
    shape::<PeerKey, Ticks>(name::PEERS, MapType::LruHash, Some(PEERS_MAX as usize)),
    shape::<HostKey, Paid>(name::OPENERS, MapType::LruHash, Some(HOSTS_MAX as usize)),
    shape::<HostKey, u64>(name::HOLDERS, MapType::LruHash, Some(HOSTS_MAX as usize)),
    shape::<u32, Overflow>(name::OVERFLOW, MapType::Array, None),
    shape::<u32, u64>(name::OVERFLOW_TAKEN, MapType::Array, Some(1)),
    both(name::POLICY_PROTOCOLS),
    both(name::POLICY_SELECTORS),
    both(name::POLICY_LEVELS),
    both(name::POLICY_PREFIXES),
    both(name::POLICY_CLASSES),
    both(name::POLICY_WORDS),
    both(name::POLICY_RULES),
    both(name::POLICY_HITS),
    both(name::POLICY_TEXT),
    shape::<EndpointKey, Ticks>(name::ENDPOINTS, MapType::LruHash, Some(ENDPOINTS_MAX as usize)),
    shape::<(), ()>(name::REJECTS, MapType::RingBuf, Some(REJECTS_BYTES)),
    shape::<(), ()>(name::RECORDS, MapType::RingBuf, Some(RECORDS_BYTES)),
    shape::<u32, u64>(name::RECORDS_WRITTEN, MapType::Array, Some(1)),
    shape::<u32, u32>(name::OBSERVED, MapType::Array, Some(1)),
    shape::<u32, Watch>(name::WATCHES, MapType::Array, Some(OBSERVERS_MAX)),
    shape::<u32, WatchCount>(name::WATCH_COUNTS, MapType::Array, Some(OBSERVERS_MAX)),
    shape::<u32, u32>(name::OBSERVERS, MapType::ArrayOfMaps, Some(OBSERVERS_MAX)),
    shape::<u32, Counter>(name::VERDICTS, MapType::PerCpuArray, Some(2 * Reason::COUNT)),
    shape::<u32, u64>(name::FLOW_EVENTS, MapType::PerCpuArray, Some(FlowEvent::ALL.len())),
];

/// The shape of one of the policy's maps, which has a map in it for each of two policies.
const fn both(name: &'static str) -> Shape {
    shape::<u32, u32>(name, MapType::ArrayOfMaps, Some(POLICY_SLOTS))
}

/// The shape of a map of this kind.
pub(super) const fn shape<K, V>(
    name: &'static str,
    map_type: MapType,
    entries: Option<usize>,
) -> Shape {
    Shape { name, map_type, key_bytes: size_of::<K>(), value_bytes: size_of::<V>(), entries }
}

impl Shape {
    /// The shape of the map of that name.
    fn of(name: &str) -> &'static Self {
        SHAPES.iter().find(|shape| shape.name == name).expect("every map has a shape")
    }

    /// Opens the map in `directory` if it has this shape.
    ///
    /// # Errors
    /// What is wrong with the pin, for people.
    fn open(&self, directory: &Path) -> Result<MapData, String> {
        let map = pin::open_map(&directory.join(self.name))?;
        self.check(&map)?;
        Ok(map)
    }

    /// Makes sure that a map has this shape.
    ///
    /// # Errors
    /// What is wrong with the map, for people.
    pub(super) fn check(&self, map: &MapData) -> Result<(), String> {
        let info = map.info().map_err(|error| format!("cannot be examined: {error}"))?;
        let found_type =
            info.map_type().map_err(|error| format!("is of an unknown type: {error}"))?;
        if found_type != self.map_type {
            return Err(format!("is a map of type {found_type:?}, not {:?}", self.map_type));
        }
        for (what, found, expected) in [
            ("keys", info.key_size() as usize, self.key_bytes),
            ("values", info.value_size() as usize, self.value_bytes),
        ] {
            if found != expected {
                return Err(format!("has {what} of {found} bytes, not {expected}"));
            }
        }
        let room = info.max_entries() as usize;
        match self.entries {
            Some(entries) if entries != room => {
                Err(format!("has room for {room} entries, not {entries}"))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// Opens a pinned map of the gateway `gateway`, checked against its shape, as aya's type for it.
///
/// # Errors
/// [`DatapathError::Damaged`].
pub(super) fn open<T>(
    gateway: &GatewayName,
    directory: &GatewayDir,
    map: &'static str,
) -> Result<T, DatapathError>
where
    T: TryFrom<Map, Error = MapError>,
{
    let data = open_data(gateway, directory, map)?;
    Map::from_map_data(data).and_then(T::try_from).map_err(|error| DatapathError::Damaged {
        name: gateway.to_string(),
        path: directory.maps().join(map),
        reason: format!("is another kind of map: {error}"),
    })
}

/// As [`open`], as a map of any type.
///
/// # Errors
/// [`DatapathError::Damaged`].
pub(super) fn open_data(
    gateway: &GatewayName,
    directory: &GatewayDir,
    map: &'static str,
) -> Result<MapData, DatapathError> {
    Shape::of(map).open(&directory.maps()).map_err(|reason| DatapathError::Damaged {
        name: gateway.to_string(),
        path: directory.maps().join(map),
        reason,
    })
}

/// Checks every pinned map of the gateway `gateway`.
///
/// # Errors
/// [`DatapathError::Damaged`].
pub(super) fn check_all(
    gateway: &GatewayName,
    directory: &GatewayDir,
) -> Result<(), DatapathError> {
    check_all_but(gateway, directory, &[])
}

/// As [`check_all`], but for the maps of these names.
///
/// # Errors
/// [`DatapathError::Damaged`].
pub(super) fn check_all_but(
    gateway: &GatewayName,
    directory: &GatewayDir,
    others: &[&str],
) -> Result<(), DatapathError> {
    for shape in SHAPES.iter().filter(|shape| !others.contains(&shape.name)) {
        open_data(gateway, directory, shape.name)?;
    }
    Ok(())
}

/// The two maps that hold the configuration.
pub(super) struct ConfigMaps {
    config: Array<MapData, Config>,
    active: Array<MapData, u32>,
}

impl ConfigMaps {
    /// Opens the maps in `directory`.
    ///
    /// # Errors
    /// [`DatapathError::Damaged`].
    pub(super) fn open(
        gateway: &GatewayName,
        directory: &GatewayDir,
    ) -> Result<Self, DatapathError> {
        Ok(Self {
            config: open(gateway, directory, name::CONFIG)?,
            active: open(gateway, directory, name::ACTIVE)?,
        })
    }

    /// The maps, opened already.
    pub(super) fn of(config: Array<MapData, Config>, active: Array<MapData, u32>) -> Self {
        Self { config, active }
    }

    /// The configuration in force.
    ///
    /// # Errors
    /// [`DatapathError::Map`].
    pub(super) fn in_force(&self) -> Result<Config, DatapathError> {
        let mut slot = self.active_slot()?;
        loop {
            let config = self.config.get(&slot, 0).map_err(reading(name::CONFIG))?;
            // A slot is rewritten only after it went out of force, so a value that was in force
            // before and after reading it was read whole.
            let slot_now = self.active_slot()?;
            if slot_now == slot {
                return Ok(config);
            }
            slot = slot_now;
        }
    }

    /// Puts a configuration in force that names the policy in force, in one step for all packets
    /// on all uplinks.
    ///
    /// # Errors
    /// [`DatapathError::Map`] or [`DatapathError::Syscall`].
    pub(super) fn commit(&mut self, config: &Config, mode: Mode) -> Result<(), DatapathError> {
        self.wait()?;
        self.put(config, mode)
    }

    /// Waits for packets under way. One may still be reading what the last change put out of
    /// force, even if the process that made it was killed right then. So this comes before
    /// anything is written there.
    ///
    /// # Errors
    /// [`DatapathError::Syscall`].
    pub(super) fn wait(&self) -> Result<(), DatapathError> {
        let failed =
            |source| DatapathError::Syscall { action: "waiting for packets under way", source };
        wait_for_programs(self.active.map().fd().as_fd()).map_err(failed)
    }

    /// As [`Self::commit`], after [`Self::wait`].
    ///
    /// # Errors
    /// [`DatapathError::Map`].
    pub(super) fn put(&mut self, config: &Config, mode: Mode) -> Result<(), DatapathError> {
        let spare_slot = u32::from(self.active_slot()? == 0);
        let config = Config { mode: mode as u32, ..*config };
        self.config.set(spare_slot, config, 0).map_err(writing(name::CONFIG))?;
        self.active.set(0, spare_slot, 0).map_err(writing(name::ACTIVE))
    }

    fn active_slot(&self) -> Result<u32, DatapathError> {
        self.active.get(&0, 0).map_err(reading(name::ACTIVE))
    }
}

/// Wraps a failure to read a map.
pub(super) fn reading(map: &'static str) -> impl FnOnce(MapError) -> DatapathError {
    move |source| DatapathError::Map { action: "reading", map, source }
}

/// Wraps a failure to write a map.
pub(super) fn writing(map: &'static str) -> impl FnOnce(MapError) -> DatapathError {
    move |source| DatapathError::Map { action: "writing", map, source }
}
