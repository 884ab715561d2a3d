//! Watching what a gateway's packet path does while it does it.

use std::{
    fs::{self, File},
    os::{fd::AsFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
};

use aya::maps::{Array, ArrayOfMaps, IterableMap, Map, MapData, MapError, RingBuf};
use aya_obj::generated::bpf_map_type;
use gateway_common::{
    abi::name,
    limits::{OBSERVER_RING_BYTES, OBSERVERS_MAX},
    observe::{PacketRecord, Watch, WatchCount},
    record::FlowRecord,
};

use super::{
    DatapathError, GatewayName,
    bpffs::{self, LockedRoot, Root},
    claim::{self, Claim},
    gateway,
    maps::{self, reading, writing},
    pin::GatewayDir,
    requirements,
    sys::{self, value_in},
};

/// One of the few observers that a gateway may have at a time. It sees what it asked for from when
/// it is opened until it is stopped or dropped. New programs for the gateway do not disturb it.
///
/// ```text
/// <bpffs>/eigw/<name>+observer<N>/    locked by the observer; without a lock it means nothing
/// ```
///
/// When the process is killed, the packet path goes on filling the ring until the next observer or
/// the next command that changes something clears the place.
pub struct Observer {
    bpffs: PathBuf,
    gateway: GatewayDir,
    place: u32,
    tables: Tables,
    ring: RingBuf<MapData>,
    /// The maps that are watched, by a pin that goes away with them.
    identity: (u64, u64),
    directory: PathBuf,
    is_stopped: bool,
    _lock: File,
}

/// What an observer got to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observation {
    /// A packet, with its verdict.
    Packet(PacketRecord),
    /// Something that happened to a flow.
    Flow(FlowRecord),
}

impl Observer {
    /// Takes a free place of a gateway's observers and watches from now on.
    ///
    /// # Errors
    /// [`DatapathError::ObserversTaken`], [`DatapathError::NotAttached`],
    /// [`DatapathError::StalePins`], [`DatapathError::Damaged`], [`DatapathError::NotPrivileged`],
    /// or what the kernel says.
    pub fn open(bpffs: &Path, name: &GatewayName, watch: &Watch) -> Result<Self, DatapathError> {
        requirements::check_privileges()?;
        let not_attached = || DatapathError::NotAttached {
            name: name.to_string(),
            path: bpffs::gateway_path(bpffs, name),
        };
        let root = LockedRoot::find(bpffs)?.ok_or_else(not_attached)?;
        let gateway = root.root().gateway(name);
        if !gateway.exists() {
            return Err(not_attached());
        }
        gateway::open_meta(name, &gateway)?;
        let mut tables = Tables::open(name, &gateway)?;
        forget_dead(&root)?;
        let (place, directory, lock) = free_place(&root, name)?;
        let pin = gateway.maps().join(name::OBSERVED);
        let identity = identity(&pin).map_err(|source| DatapathError::Bpffs {
            action: "examining pin",
            path: pin,
            source,
        })?;
        let ring = tables.install(place, watch)?;
        let bpffs = bpffs.to_owned();
        let is_stopped = false;
        Ok(Self {
            bpffs,
            gateway,
            place,
            tables,
            ring,
            identity,
            directory,
            is_stopped,
            _lock: lock,
        })
    }

    /// The next thing that was seen, if there is one.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator that ends would not go on when there is more to see"
    )]
    pub fn next(&mut self) -> Option<Observation> {
        loop {
            let item = self.ring.next()?;
            // Whatever has another length is not ours.
            if item.len() == size_of::<PacketRecord>() {
                return value_in(&item).map(Observation::Packet);
            }
            if item.len() == size_of::<FlowRecord>() {
                return value_in(&item).map(Observation::Flow);
            }
        }
    }

    /// What became of the reports to this observer so far.
    ///
    /// # Errors
    /// [`DatapathError::Map`].
    pub fn counts(&self) -> Result<WatchCount, DatapathError> {
        self.tables.counts.get(&self.place, 0).map_err(reading(name::WATCH_COUNTS))
    }

    /// Whether the gateway that is watched is still attached. One that was detached and attached
    /// again is another one.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        let pin = self.gateway.maps().join(name::OBSERVED);
        identity(&pin).is_ok_and(|found| found == self.identity)
    }

    /// Ends the watch. When this returns, everything that was seen is in the ring and counted.
    ///
    /// # Errors
    /// [`DatapathError::Map`] or [`DatapathError::Syscall`], and those of a BPF file system that
    /// cannot be used any more.
    pub fn stop(&mut self) -> Result<(), DatapathError> {
        let _root = LockedRoot::find(&self.bpffs)?;
        self.is_stopped = true;
        self.tables.clear(self.place)?;
        self.tables.wait()
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        // What fails here leaves a place that the next observer finds dead and clears.
        if let Ok(Some(_root)) = LockedRoot::find(&self.bpffs) {
            if !self.is_stopped {
                drop(self.tables.clear(self.place));
            }
            drop(self.tables.remove_ring(self.place));
            drop(fs::remove_dir(&self.directory));
        }
    }
}

/// The maps by which a gateway's packet path knows its observers. Only who has the root's lock
/// writes to them.
struct Tables {
    watches: Array<MapData, Watch>,
    counts: Array<MapData, WatchCount>,
    observed: Array<MapData, u32>,
    rings: ArrayOfMaps<MapData, MapData>,
    /// The descriptor of `rings`, which its type keeps to itself.
    rings_map: MapData,
}

impl Tables {
    fn open(name: &GatewayName, directory: &GatewayDir) -> Result<Self, DatapathError> {
        Ok(Self {
            watches: maps::open(name, directory, name::WATCHES)?,
            counts: maps::open(name, directory, name::WATCH_COUNTS)?,
            observed: maps::open(name, directory, name::OBSERVED)?,
            rings: maps::open(name, directory, name::OBSERVERS)?,
            rings_map: maps::open_data(name, directory, name::OBSERVERS)?,
        })
    }

    /// Has the packet path report to a place that nobody has, from zero on.
    fn install(&mut self, place: u32, watch: &Watch) -> Result<RingBuf<MapData>, DatapathError> {
        let ring = new_ring()?;
        self.clear(place)?;
        // Waits for packets under way, which may count for an earlier observer.
        self.rings.set(place, &ring, 0).map_err(writing(name::OBSERVERS))?;
        self.counts.set(place, WatchCount::default(), 0).map_err(writing(name::WATCH_COUNTS))?;
        let ring = Map::from_map_data(ring).and_then(RingBuf::try_from).map_err(making)?;
        // In two steps: a packet that sees a half-written value finds that it wants nothing.
        for wants in [0, watch.wants] {
            let watch = Watch { wants, ..*watch };
            self.watches.set(place, watch, 0).map_err(writing(name::WATCHES))?;
        }
        self.sum_up()?;
        Ok(ring)
    }

    /// Has the packet path report nothing more to a place.
    fn clear(&mut self, place: u32) -> Result<(), DatapathError> {
        self.watches.set(place, Watch::default(), 0).map_err(writing(name::WATCHES))?;
        self.sum_up()
    }

    /// Tells the packet path what any observer wants.
    fn sum_up(&mut self) -> Result<(), DatapathError> {
        let mut wants = 0;
        for place in places() {
            wants |= self.watches.get(&place, 0).map_err(reading(name::WATCHES))?.wants;
        }
        self.observed.set(0, wants, 0).map_err(writing(name::OBSERVED))
    }

    /// Waits for packets under way.
    fn wait(&self) -> Result<(), DatapathError> {
        sys::wait_for_programs(self.observed.map().fd().as_fd()).map_err(|source| {
            DatapathError::Syscall { action: "waiting for packets under way", source }
        })
    }

    /// Gives the memory of a place's ring back.
    fn remove_ring(&self, place: u32) -> Result<(), DatapathError> {
        sys::remove_inner(self.rings_map.fd().as_fd(), place)
            .map_err(|source| writing(name::OBSERVERS)(MapError::IoError(source)))
    }
}

/// What became of the reports to each observer that watches a gateway now, by its place.
///
/// # Errors
/// [`DatapathError::NotBpffs`], [`DatapathError::Damaged`] or [`DatapathError::Map`].
pub fn observer_counts(
    bpffs: &Path,
    name: &GatewayName,
) -> Result<Vec<(u32, WatchCount)>, DatapathError> {
    let Some(root) = Root::find(bpffs)? else { return Ok(Vec::new()) };
    let tables = Tables::open(name, &root.gateway(name))?;
    let mut found = Vec::new();
    for place in places() {
        let watch = tables.watches.get(&place, 0).map_err(reading(name::WATCHES))?;
        if watch.wants != 0 {
            let count = tables.counts.get(&place, 0).map_err(reading(name::WATCH_COUNTS))?;
            found.push((place, count));
        }
    }
    Ok(found)
}

/// Clears the places of observers that did not end by themselves.
///
/// # Errors
/// [`DatapathError::Bpffs`].
pub(super) fn forget_dead(root: &LockedRoot) -> Result<(), DatapathError> {
    for (gateway, place, directory) in root.observers()? {
        if claim::is_held(&directory) {
            continue;
        }
        // A gateway that is not there, or not one of this version, has nothing to clear.
        if let Ok(name) = GatewayName::new(&gateway)
            && gateway::open_meta(&name, &root.root().gateway(&name)).is_ok()
            && let Ok(mut tables) = Tables::open(&name, &root.root().gateway(&name))
        {
            drop(tables.clear(place));
            drop(tables.remove_ring(place));
        }
        claim::remove_dead(&directory)?;
    }
    Ok(())
}

/// A place that nobody has, and the lock that makes it ours.
fn free_place(
    root: &LockedRoot,
    name: &GatewayName,
) -> Result<(u32, PathBuf, File), DatapathError> {
    let mut holders = Vec::new();
    for place in places() {
        let directory = root.root().observer(name, place);
        match claim::take(&directory)? {
            Claim::Held(lock) => return Ok((place, directory, lock)),
            Claim::Taken(pid) => holders.push(pid),
        }
    }
    Err(DatapathError::ObserversTaken { name: name.to_string(), holders })
}

fn places() -> impl Iterator<Item = u32> {
    (0..).take(OBSERVERS_MAX)
}

fn new_ring() -> Result<MapData, DatapathError> {
    let bytes = u32::try_from(OBSERVER_RING_BYTES).expect("a ring is smaller than 4 GiB");
    let kind = bpf_map_type::BPF_MAP_TYPE_RINGBUF as u32;
    let ring = aya_obj::Map::new_from_params(kind, 0, 0, bytes, 0);
    MapData::create(ring, "observer", None).map_err(making)
}

fn making(source: MapError) -> DatapathError {
    DatapathError::Map { action: "creating", map: "ring of an observer", source }
}

fn identity(pin: &Path) -> std::io::Result<(u64, u64)> {
    let metadata = fs::metadata(pin)?;
    Ok((metadata.dev(), metadata.ino()))
}
