//! Reading what an attached gateway knows.

mod batches;
mod run_stats;

use std::{collections::HashSet, net::IpAddr, os::fd::AsFd, path::Path};

use aya::{
    Pod, TestRun, TestRunOptions,
    maps::{Array, HashMap, IterableMap, MapData, MapError, PerCpuArray},
    programs::{ProgramError, SchedClassifier},
};
use aya_obj::generated::bpf_prog_type;
use gateway_common::{
    abi::{ABI_VERSION, name},
    config::Config,
    counter::{Counter, FlowEvent},
    flow::FlowEntry,
    host::{HostKey, Overflow, Paid},
    limits::RECLAIMED_MAX,
    tables::Table,
    timeouts::Ticks,
    tuple::{Direction, FlowKey},
    verdict::Reason,
};

use super::{
    DatapathError, GatewayName, UplinkStatus,
    bpffs::{self, Root},
    cause::errno_of,
    live::LiveTables,
    maps::{self, ConfigMaps, reading},
    meta::{META, Meta, MetaMap},
    pin::{self, GatewayDir},
    policy::{self, PolicyInForce, PolicyMaps},
    status, sys,
};

pub use self::{
    batches::{FlowBatch, FlowBatches},
    run_stats::RunStats,
};

type FlowTable = HashMap<MapData, FlowKey, FlowEntry>;
type HostTable = HashMap<MapData, HostKey, u64>;

/// The sizes of the flow tables, in entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableSizes {
    /// Of the table of new flows.
    pub half_open_max: u32,
    /// Of the table of established flows.
    pub established_max: u32,
}

/// The names of the gateways attached below `bpffs`, sorted.
///
/// # Errors
/// [`DatapathError::NotBpffs`] or [`DatapathError::Bpffs`].
pub fn list(bpffs: &Path) -> Result<Vec<GatewayName>, DatapathError> {
    Root::find(bpffs)?.map_or(Ok(Vec::new()), |root| root.names())
}

/// An attached gateway.
pub struct Gateway {
    name: GatewayName,
    directory: GatewayDir,
    meta: Meta,
    config: ConfigMaps,
    policy: PolicyMaps,
    half_open: FlowTable,
    established: FlowTable,
    openers: HostTable,
    holders: HostTable,
    verdicts: PerCpuArray<MapData, Counter>,
    flow_events: PerCpuArray<MapData, u64>,
    clock: SchedClassifier,
    forget: SchedClassifier,
    reclaim: SchedClassifier,
}

impl Gateway {
    /// Opens the gateway of that name, whose pins must be what this version attaches.
    ///
    /// # Errors
    /// [`DatapathError::NotAttached`], [`DatapathError::StalePins`],
    /// [`DatapathError::Damaged`] or [`DatapathError::NotBpffs`].
    pub fn open(bpffs: &Path, name: &GatewayName) -> Result<Self, DatapathError> {
        let directory = bpffs::gateway_directory(bpffs, name)?;
        if !directory.exists() {
            return Err(bpffs::not_attached(bpffs, name));
        }
        let (_, meta) = open_meta(name, &directory)?;
        maps::check_all(name, &directory)?;
        Ok(Self {
            config: ConfigMaps::open(name, &directory)?,
            policy: PolicyMaps::open(name, &directory)?,
            half_open: maps::open(name, &directory, name::HALF_OPEN)?,
            established: maps::open(name, &directory, name::ESTABLISHED)?,
            openers: maps::open(name, &directory, name::OPENERS)?,
            holders: maps::open(name, &directory, name::HOLDERS)?,
            verdicts: maps::open(name, &directory, name::VERDICTS)?,
            flow_events: maps::open(name, &directory, name::FLOW_EVENTS)?,
            clock: open_clock(name, &directory)?,
            forget: open_classifier(name, &directory, name::FORGET)?,
            reclaim: open_classifier(name, &directory, name::RECLAIM)?,
            name: name.clone(),
            directory,
            meta,
        })
    }

    /// The gateway's name.
    #[must_use]
    pub fn name(&self) -> &GatewayName {
        &self.name
    }

    /// What tells this gateway from earlier and later ones of its name: the kernel's id of a map,
    /// which it does not give away again.
    ///
    /// # Errors
    /// [`DatapathError::Map`].
    pub fn id(&self) -> Result<u32, DatapathError> {
        let info = self.established.map().info().map_err(reading(name::ESTABLISHED))?;
        Ok(info.id())
    }

    /// The configuration in force.
    ///
    /// # Errors
    /// [`DatapathError::Map`].
    pub fn config(&self) -> Result<Config, DatapathError> {
        self.config.in_force()
    }

    /// The policy in force, and what it counted.
    ///
    /// # Errors
    /// [`DatapathError::Damaged`] or [`DatapathError::Map`].
    pub fn policy(&self) -> Result<PolicyInForce, DatapathError> {
        policy::read(&self.config, &self.policy)
    }

    /// What the packet path would look up right now.
    ///
    /// # Errors
    /// As [`LiveTables::read`], and [`DatapathError::Damaged`] or [`DatapathError::Program`].
    pub fn tables(&self) -> Result<LiveTables, DatapathError> {
        LiveTables::read(self.now()?, |map| maps::open_data(&self.name, &self.directory, map))
    }

    /// The packet path's clock.
    ///
    /// # Errors
    /// [`DatapathError::Program`].
    pub fn now(&self) -> Result<Ticks, DatapathError> {
        read_clock(&self.clock)
    }

    /// Every flow of both tables, live or expired. A flow that moves from one table to the other
    /// meanwhile is in the list once. Reading changes nothing: no flow is refreshed or evicted.
    ///
    /// # Errors
    /// [`DatapathError::Map`].
    pub fn flows(&self) -> Result<Vec<(Table, FlowKey, FlowEntry)>, DatapathError> {
        // In this order: a flow that moves is then seen at least once.
        let half_open = read_all(&self.half_open, name::HALF_OPEN)?;
        let established = read_all(&self.established, name::ESTABLISHED)?;
        let half_open_keys: HashSet<&FlowKey> = half_open.iter().map(|(key, _)| key).collect();
        let moved: HashSet<FlowKey> = established
            .iter()
            .map(|&(key, _)| key)
            .filter(|key| half_open_keys.contains(key))
            .collect();
        let half_open = half_open.into_iter().filter(|(key, _)| !moved.contains(key));
        let half_open = half_open.map(|(key, entry)| (Table::HalfOpen, key, entry));
        let established =
            established.into_iter().map(|(key, entry)| (Table::Established, key, entry));
        Ok(half_open.chain(established).collect())
    }

    /// One flow, live or expired.
    ///
    /// # Errors
    /// [`DatapathError::Map`].
    pub fn flow(&self, key: &FlowKey) -> Result<Option<(Table, FlowEntry)>, DatapathError> {
        let half_open = found(self.half_open.get(key, 0)).map_err(reading(name::HALF_OPEN))?;
        let established =
            found(self.established.get(key, 0)).map_err(reading(name::ESTABLISHED))?;
        let established = established.map(|entry| (Table::Established, entry));
        Ok(established.or(half_open.map(|entry| (Table::HalfOpen, entry))))
    }

    /// Removes a flow, live or expired, from whichever table it is in; false when there was none.
    /// A program of the gateway does it, because the inside host's count goes with the flow.
    ///
    /// # Errors
    /// [`DatapathError::Program`].
    pub fn forget(&self, key: &FlowKey) -> Result<bool, DatapathError> {
        let key = sys::bytes_of_key(key);
        let options = TestRunOptions { data_in: Some(&key), ..TestRunOptions::default() };
        let result = self.forget.test_run(options).map_err(running(name::FORGET))?;
        Ok(result.return_value != 0)
    }

    /// Removes those of the flows whose time has been over for a while, each with a record, and
    /// tells how many that were. A flow that a packet revived meanwhile stays.
    ///
    /// # Errors
    /// [`DatapathError::Program`]; some flows may have been removed.
    pub fn reclaim(&self, keys: &[FlowKey]) -> Result<usize, DatapathError> {
        let mut reclaimed = 0;
        for keys in keys.chunks(RECLAIMED_MAX) {
            let keys: Vec<u8> = keys.iter().flat_map(sys::bytes_of_key).collect();
            let options = TestRunOptions { data_in: Some(&keys), ..TestRunOptions::default() };
            let result = self.reclaim.test_run(options).map_err(running(name::RECLAIM))?;
            reclaimed += result.return_value as usize;
        }
        Ok(reclaimed)
    }

    /// The inside hosts that hold their share of the table of established flows, or more.
    ///
    /// # Errors
    /// [`DatapathError::Map`].
    pub fn hosts_at_share(&self) -> Result<Vec<HostKey>, DatapathError> {
        let share = u64::from(self.config()?.established_per_host);
        let mut holders = read_all(&self.holders, name::HOLDERS)?;
        holders.retain(|&(_, held)| held >= share);
        Ok(holders.into_iter().map(|(host, _)| host).collect())
    }

    /// The inside hosts whose next new flow would be beyond their allowance.
    ///
    /// # Errors
    /// [`DatapathError::Map`] or [`DatapathError::Program`].
    pub fn hosts_beyond_allowance(&self) -> Result<Vec<HostKey>, DatapathError> {
        let (now, config) = (self.now()?, self.config()?);
        let mut openers = read_all(&self.openers, name::OPENERS)?;
        openers.retain(|&(_, paid)| Paid(paid).charge(now, &config).is_none());
        Ok(openers.into_iter().map(|(host, _)| host).collect())
    }

    /// What was counted for every direction and reason, over all CPUs.
    ///
    /// # Errors
    /// [`DatapathError::Map`].
    pub fn verdicts(&self) -> Result<Vec<(Direction, Reason, Counter)>, DatapathError> {
        let mut verdicts = Vec::with_capacity(Direction::ALL.len() * Reason::COUNT);
        for direction in Direction::ALL {
            for &reason in Reason::ALL {
                let slot = reason.slot(direction);
                let per_cpu = self.verdicts.get(&slot, 0).map_err(reading(name::VERDICTS))?;
                let mut sum = Counter::default();
                for counter in per_cpu.iter() {
                    sum.packets = sum.packets.wrapping_add(counter.packets);
                    sum.bytes = sum.bytes.wrapping_add(counter.bytes);
                }
                verdicts.push((direction, reason, sum));
            }
        }
        Ok(verdicts)
    }

    /// How often every kind of event happened to a flow, over all CPUs.
    ///
    /// # Errors
    /// [`DatapathError::Map`].
    pub fn flow_events(&self) -> Result<Vec<(FlowEvent, u64)>, DatapathError> {
        let sum = |event: FlowEvent| {
            let per_cpu = self.flow_events.get(&(event as u32), 0)?;
            Ok((event, per_cpu.iter().fold(0, |sum: u64, count| sum.wrapping_add(*count))))
        };
        FlowEvent::ALL
            .into_iter()
            .map(sum)
            .collect::<Result<_, _>>()
            .map_err(reading(name::FLOW_EVENTS))
    }

    /// How many flows the tables have room for.
    ///
    /// # Errors
    /// [`DatapathError::Damaged`].
    pub fn table_sizes(&self) -> Result<TableSizes, DatapathError> {
        table_sizes(&self.name, &self.directory)
    }

    /// The names that the uplinks had when they were attached.
    #[must_use]
    pub fn uplink_names(&self) -> Vec<&str> {
        self.meta.uplinks.iter().map(|uplink| uplink.name.as_str()).collect()
    }

    /// The addresses of each uplink that there still is.
    ///
    /// # Errors
    /// [`DatapathError::Net`].
    pub fn uplink_addresses(&self) -> Result<Vec<(String, Vec<IpAddr>)>, DatapathError> {
        status::addresses(&self.meta)
    }

    /// The uplinks, and what is attached to them now. Finds them in whatever network namespace
    /// the gateway is.
    ///
    /// # Errors
    /// [`DatapathError::Net`].
    pub fn uplinks(&self) -> Result<Vec<UplinkStatus>, DatapathError> {
        status::of(&self.directory, &self.meta)
    }
}

/// The sizes of a gateway's flow tables.
///
/// # Errors
/// [`DatapathError::Damaged`].
pub(super) fn table_sizes(
    name: &GatewayName,
    directory: &GatewayDir,
) -> Result<TableSizes, DatapathError> {
    let size_of = |map: &'static str| {
        let table: FlowTable = maps::open(name, directory, map)?;
        let info = table.map().info().map_err(reading(map))?;
        Ok::<_, DatapathError>(info.max_entries())
    };
    Ok(TableSizes {
        half_open_max: size_of(name::HALF_OPEN)?,
        established_max: size_of(name::ESTABLISHED)?,
    })
}

/// How many places a gateway has for flows of hosts beyond their allowance.
///
/// # Errors
/// [`DatapathError::Damaged`] or [`DatapathError::Map`].
pub(super) fn overflow_slots(
    name: &GatewayName,
    directory: &GatewayDir,
) -> Result<u32, DatapathError> {
    let overflow: Array<MapData, Overflow> = maps::open(name, directory, name::OVERFLOW)?;
    Ok(overflow.map().info().map_err(reading(name::OVERFLOW))?.max_entries())
}

/// Opens a gateway's `META` and makes sure that its other maps have our layout.
///
/// # Errors
/// [`DatapathError::Damaged`] or [`DatapathError::StalePins`].
pub(super) fn open_meta(
    name: &GatewayName,
    directory: &GatewayDir,
) -> Result<(MetaMap, Meta), DatapathError> {
    let (map, meta) = open_any_meta(name, directory)?;
    if meta.abi_version == ABI_VERSION {
        Ok((map, meta))
    } else {
        Err(stale(name, meta.abi_version))
    }
}

/// The refusal of a gateway that another version attached.
pub(super) fn stale(name: &GatewayName, pinned: u32) -> DatapathError {
    DatapathError::StalePins { name: name.to_string(), pinned, ours: ABI_VERSION }
}

/// Opens the `META` of a gateway that any version attached.
///
/// # Errors
/// [`DatapathError::Damaged`].
pub(super) fn open_any_meta(
    name: &GatewayName,
    directory: &GatewayDir,
) -> Result<(MetaMap, Meta), DatapathError> {
    let opened = MetaMap::open(&directory.maps()).and_then(|map| {
        let meta = map.read()?;
        Ok((map, meta))
    });
    opened.map_err(|reason| DatapathError::Damaged {
        name: name.to_string(),
        path: directory.maps().join(META),
        reason,
    })
}

/// The keys of all flows in the tables, in an order in which one that moves meanwhile is met at least
/// once.
///
/// # Errors
/// [`DatapathError::Damaged`] or [`DatapathError::Map`].
pub(super) fn flow_keys(
    name: &GatewayName,
    directory: &GatewayDir,
) -> Result<Vec<FlowKey>, DatapathError> {
    let mut keys = Vec::new();
    for map in [name::HALF_OPEN, name::ESTABLISHED] {
        let table: FlowTable = maps::open(name, directory, map)?;
        keys.extend(read_all(&table, map)?.into_iter().map(|(key, _)| key));
    }
    Ok(keys)
}

/// The length of the frame that the clock program writes to, in numbers of its size. The kernel
/// wants at least an Ethernet header.
const CLOCK_FRAME_WORDS: usize = 8;

/// Opens the program that tells a gateway's time.
///
/// # Errors
/// [`DatapathError::Damaged`].
pub(super) fn open_clock(
    name: &GatewayName,
    directory: &GatewayDir,
) -> Result<SchedClassifier, DatapathError> {
    open_classifier(name, directory, name::CLOCK)
}

/// Has the time told.
///
/// # Errors
/// [`DatapathError::Program`].
pub(super) fn read_clock(clock: &SchedClassifier) -> Result<Ticks, DatapathError> {
    let mut frame = [[0; size_of::<u64>()]; CLOCK_FRAME_WORDS];
    let options = TestRunOptions {
        data_in: Some(&[0; CLOCK_FRAME_WORDS * size_of::<u64>()]),
        data_out: Some(frame.as_flattened_mut()),
        ..TestRunOptions::default()
    };
    clock.test_run(options).map_err(running(name::CLOCK))?;
    Ok(Ticks(u64::from_ne_bytes(frame[0])))
}

/// Opens one of the programs that are not attached anywhere.
fn open_classifier(
    name: &GatewayName,
    directory: &GatewayDir,
    program: &'static str,
) -> Result<SchedClassifier, DatapathError> {
    let path = directory.program(program);
    let opened = pin::check_program(&path).and_then(|()| {
        SchedClassifier::from_pin(&path).map_err(|error| format!("cannot be opened: {error}"))
    });
    let checked = opened.and_then(|program| {
        let info = program.info().map_err(|error| format!("cannot be examined: {error}"))?;
        let found = info.program_type();
        if found == bpf_prog_type::BPF_PROG_TYPE_SCHED_CLS {
            return Ok(program);
        }
        Err(format!("is a program of type {found:?}"))
    });
    checked.map_err(|reason| DatapathError::Damaged { name: name.to_string(), path, reason })
}

/// Wraps a failure to run a program.
fn running(program: &'static str) -> impl FnOnce(ProgramError) -> DatapathError {
    move |source| DatapathError::Program { action: "running", program, source }
}

pub(super) fn read_all<K: Pod, V: Pod>(
    table: &HashMap<MapData, K, V>,
    name: &'static str,
) -> Result<Vec<(K, V)>, DatapathError> {
    sys::read_all(table.map().fd().as_fd())
        .map_err(|source| reading(name)(MapError::IoError(source)))
}

/// Turns the error that says "not there" into nothing.
pub(super) fn found<T>(result: Result<T, MapError>) -> Result<Option<T>, MapError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(MapError::KeyNotFound | MapError::ElementNotFound) => Ok(None),
        Err(error) if errno_of(&error) == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}
