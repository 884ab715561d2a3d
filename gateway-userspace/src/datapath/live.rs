//! What the packet path would look up right now, read from its maps and nothing written.

use std::{fmt, os::fd::AsFd};

use aya::{
    Pod,
    maps::{Array, HashMap, IterableMap, Map, MapData, MapError},
};
use gateway_common::{
    abi::name,
    config::Config,
    endpoint::EndpointKey,
    flow::FlowEntry,
    fragment::{DatagramKey, PeerKey},
    host::{HostKey, Overflow, Paid},
    policy::{Decision, Query, Scope},
    tables::Table,
    timeouts::Ticks,
    tuple::FlowKey,
};

use super::{
    DatapathError,
    gateway::{found, read_all},
    maps::{ConfigMaps, reading},
    policy::StoredTables,
};

/// The tables of a gateway as its packet path sees them. The configuration and the policy are those
/// that were in force when this was read; everything else is looked up when it is asked for, which
/// neither refreshes nor evicts anything.
pub struct LiveTables {
    config: Config,
    policy: StoredTables,
    now: Ticks,
    half_open: HashMap<MapData, FlowKey, FlowEntry>,
    established: HashMap<MapData, FlowKey, FlowEntry>,
    datagrams: HashMap<MapData, DatagramKey, u64>,
    peers: HashMap<MapData, PeerKey, u64>,
    openers: HashMap<MapData, HostKey, u64>,
    holders: HashMap<MapData, HostKey, u64>,
    endpoints: HashMap<MapData, EndpointKey, u64>,
    overflow: Array<MapData, Overflow>,
    overflow_taken: Array<MapData, u64>,
}

impl fmt::Debug for LiveTables {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { config, now, .. } = self;
        let mut debug = formatter.debug_struct("LiveTables");
        debug.field("config", config).field("now", now).finish_non_exhaustive()
    }
}

impl LiveTables {
    /// Reads the configuration and the policy in force, and opens the other maps. `open` finds a map
    /// by its name in [`abi::name`](name); `now` is what the packet path's clock shows.
    ///
    /// # Errors
    /// [`DatapathError::Map`] or [`DatapathError::Unsteady`], or what `open` says.
    pub fn read(
        now: Ticks,
        open: impl Fn(&'static str) -> Result<MapData, DatapathError>,
    ) -> Result<Self, DatapathError> {
        let config_maps = ConfigMaps::of(
            typed(name::CONFIG, open(name::CONFIG)?)?,
            typed(name::ACTIVE, open(name::ACTIVE)?)?,
        );
        let (config, policy) = steady(&config_maps, &open)?;
        Ok(Self {
            config,
            policy,
            now,
            half_open: typed(name::HALF_OPEN, open(name::HALF_OPEN)?)?,
            established: typed(name::ESTABLISHED, open(name::ESTABLISHED)?)?,
            datagrams: typed(name::DATAGRAMS, open(name::DATAGRAMS)?)?,
            peers: typed(name::PEERS, open(name::PEERS)?)?,
            openers: typed(name::OPENERS, open(name::OPENERS)?)?,
            holders: typed(name::HOLDERS, open(name::HOLDERS)?)?,
            endpoints: typed(name::ENDPOINTS, open(name::ENDPOINTS)?)?,
            overflow: typed(name::OVERFLOW, open(name::OVERFLOW)?)?,
            overflow_taken: typed(name::OVERFLOW_TAKEN, open(name::OVERFLOW_TAKEN)?)?,
        })
    }

    /// The configuration that was in force.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// What the clock showed.
    #[must_use]
    pub const fn now(&self) -> Ticks {
        self.now
    }

    /// What that much of the policy that was in force says to a packet.
    #[must_use]
    pub fn ask(&self, config: &Config, scope: Scope, query: &Query) -> Decision {
        self.policy.ask(config, scope, query)
    }

    /// A flow, live or not.
    ///
    /// # Errors
    /// [`DatapathError::Map`].
    pub fn flow(&self, table: Table, key: &FlowKey) -> Result<Option<FlowEntry>, DatapathError> {
        match table {
            Table::HalfOpen => look_up(&self.half_open, name::HALF_OPEN, key),
            Table::Established => look_up(&self.established, name::ESTABLISHED, key),
        }
    }

    /// Every flow of a table, live or not.
    ///
    /// # Errors
    /// [`DatapathError::Map`].
    pub fn flows(&self, table: Table) -> Result<Vec<(FlowKey, FlowEntry)>, DatapathError> {
        match table {
            Table::HalfOpen => read_all(&self.half_open, name::HALF_OPEN),
            Table::Established => read_all(&self.established, name::ESTABLISHED),
        }
    }

    /// How many flows the table of established flows has room for.
    ///
    /// # Errors
    /// [`DatapathError::Map`].
    pub fn established_max(&self) -> Result<u32, DatapathError> {
        let info = self.established.map().info().map_err(reading(name::ESTABLISHED))?;
        Ok(info.max_entries())
    }

    /// Until when later fragments of a datagram may come in.
    ///
    /// # Errors
    /// [`DatapathError::Map`].
    pub fn datagram(&self, key: &DatagramKey) -> Result<Option<Ticks>, DatapathError> {
        Ok(look_up(&self.datagrams, name::DATAGRAMS, key)?.map(Ticks))
    }

    /// Until when two hosts count as talking.
    ///
    /// # Errors
    /// [`DatapathError::Map`].
    pub fn peer(&self, key: &PeerKey) -> Result<Option<Ticks>, DatapathError> {
        Ok(look_up(&self.peers, name::PEERS, key)?.map(Ticks))
    }

    /// Until when anybody may answer to an inside endpoint.
    ///
    /// # Errors
    /// [`DatapathError::Map`].
    pub fn endpoint(&self, key: &EndpointKey) -> Result<Option<Ticks>, DatapathError> {
        Ok(look_up(&self.endpoints, name::ENDPOINTS, key)?.map(Ticks))
    }

    /// How far a host's openings are paid for.
    ///
    /// # Errors
    /// [`DatapathError::Map`].
    pub fn paid(&self, host: &HostKey) -> Result<Option<Paid>, DatapathError> {
        Ok(look_up(&self.openers, name::OPENERS, host)?.map(Paid))
    }

    /// How many established flows a host holds.
    ///
    /// # Errors
    /// [`DatapathError::Map`].
    pub fn held(&self, host: &HostKey) -> Result<Option<u64>, DatapathError> {
        look_up(&self.holders, name::HOLDERS, host)
    }

    /// What has the next of `slots` places for flows beyond their hosts' allowance.
    ///
    /// # Errors
    /// [`DatapathError::Map`].
    pub fn next_place(&self, slots: u32) -> Result<Option<Overflow>, DatapathError> {
        let turn = self.overflow_taken.get(&0, 0).map_err(reading(name::OVERFLOW_TAKEN))?;
        let place = turn.checked_rem(u64::from(slots)).and_then(|place| u32::try_from(place).ok());
        let Some(place) = place.filter(|&place| place < self.overflow.len()) else {
            return Ok(None);
        };
        let flow = self.overflow.get(&place, 0).map_err(reading(name::OVERFLOW))?;
        Ok((flow.created != Ticks(0)).then_some(flow))
    }
}

/// The configuration in force, and the policy that belongs to it.
fn steady(
    config_maps: &ConfigMaps,
    open: &impl Fn(&'static str) -> Result<MapData, DatapathError>,
) -> Result<(Config, StoredTables), DatapathError> {
    /// A reload takes longer than reading, so two of them rarely come between.
    const ATTEMPTS: usize = 8;
    for _ in 0..ATTEMPTS {
        let config = config_maps.in_force()?;
        let policy = StoredTables::read(&config, open)?;
        // Until then what was read stayed in its place.
        if config_maps.in_force()?.generation == config.generation {
            return Ok((config, policy));
        }
    }
    Err(DatapathError::Unsteady)
}

/// A map as aya's type for it.
pub(super) fn typed<T>(name: &'static str, data: MapData) -> Result<T, DatapathError>
where
    T: TryFrom<Map, Error = MapError>,
{
    Map::from_map_data(data).and_then(T::try_from).map_err(reading(name))
}

fn look_up<K: Pod, V: Pod>(
    map: &HashMap<MapData, K, V>,
    name: &'static str,
    key: &K,
) -> Result<Option<V>, DatapathError> {
    found(map.get(key, 0)).map_err(reading(name))
}

/// A second hold on a map that somebody else has open.
///
/// # Errors
/// [`DatapathError::Map`].
pub fn share(name: &'static str, map: &MapData) -> Result<MapData, DatapathError> {
    let fd = map.fd().as_fd().try_clone_to_owned();
    let fd = fd.map_err(|source| reading(name)(MapError::IoError(source)))?;
    MapData::from_fd(fd).map_err(reading(name))
}
