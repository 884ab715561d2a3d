//! The kernel's own account of the gateway's maps.

use std::{
    collections::BTreeMap,
    fs,
    os::fd::{AsFd as _, AsRawFd as _},
};

use anyhow::{Context as _, Result};
use gateway_common::abi::name;
use gateway_userspace::datapath::TableSizes;

use crate::{
    object::{self, LoadedMap},
    report::{Column, Table},
};

/// A map's size.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct MapSize {
    pub(super) bytes: u64,
    pub(super) entries: u32,
}

impl MapSize {
    pub(super) fn bytes_per_entry(self) -> f64 {
        ratio(self.bytes, u64::from(self.entries))
    }
}

/// All maps of a gateway.
pub(super) struct Footprint {
    sizes: TableSizes,
    maps: BTreeMap<String, MapSize>,
}

impl Footprint {
    /// Loads a gateway of this size, asks, and lets go of it.
    pub(super) fn of(sizes: TableSizes) -> Result<Self> {
        let mut ebpf = object::load(sizes)?;
        for (name, program) in ebpf.programs_mut() {
            object::load_program(name, program)?;
        }
        let mut maps = BTreeMap::new();
        for (name, map) in object::maps(&ebpf)? {
            let bytes = locked_bytes(&map).with_context(|| format!("asking about map {name}"))?;
            maps.insert(name, MapSize { bytes, entries: map.entries });
        }
        Ok(Self { sizes, maps })
    }

    pub(super) fn map(&self, name: &str) -> Result<MapSize> {
        self.maps.get(name).copied().with_context(|| format!("no program uses a map {name}"))
    }

    pub(super) fn bytes(&self) -> u64 {
        self.maps.values().map(|map| map.bytes).sum()
    }

    /// How many flows there is room for.
    pub(super) fn flows(&self) -> u64 {
        u64::from(self.sizes.half_open_max) + u64::from(self.sizes.established_max)
    }

    pub(super) fn bytes_per_flow(&self) -> f64 {
        ratio(self.bytes(), self.flows())
    }
}

/// What the kernel says that the map takes of its memory.
fn locked_bytes(map: &LoadedMap) -> Result<u64> {
    let path = format!("/proc/self/fdinfo/{}", map.fd.as_fd().as_raw_fd());
    let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("memlock:"));
    let value = line.with_context(|| format!("{path} has no line memlock: {text}"))?;
    value.trim().parse().with_context(|| format!("memlock: {value} in {path}"))
}

#[expect(clippy::cast_precision_loss, reason = "memory sizes are far below 2^52 bytes")]
fn ratio(bytes: u64, entries: u64) -> f64 {
    bytes as f64 / entries as f64
}

/// All maps, those of both flow tables' sizes twice.
pub(super) fn table(footprints: &[Footprint]) -> Table {
    let mut sizes: Vec<(&str, MapSize)> = Vec::new();
    for footprint in footprints {
        sizes.extend(footprint.maps.iter().map(|(name, size)| (name.as_str(), *size)));
    }
    // The flow tables first, then the others from the largest on.
    let is_other = |name| name != name::HALF_OPEN && name != name::ESTABLISHED;
    sizes.sort_by_key(|&(name, size)| (is_other(name), name, size.entries));
    sizes.dedup();
    let cells = |name: &str, bytes: u64, entries: String, per_entry: f64| {
        vec![name.to_owned(), entries, bytes.to_string(), format!("{per_entry:.1}")]
    };
    let mut rows: Vec<_> = sizes
        .into_iter()
        .map(|(name, size)| {
            cells(name, size.bytes, size.entries.to_string(), size.bytes_per_entry())
        })
        .collect();
    for footprint in footprints {
        let TableSizes { half_open_max, established_max } = footprint.sizes;
        let flows = format!("{half_open_max} + {established_max} flows");
        rows.push(cells("all maps", footprint.bytes(), flows, footprint.bytes_per_flow()));
    }
    Table {
        title: "Memory of the maps",
        notes: vec![
            "The kernel's own account of each map that the programs use (`memlock` in \
             /proc/self/fdinfo), and that divided by the entries that the map has room for. Maps \
             that follow the size of the flow tables are there twice."
                .into(),
        ],
        columns: vec![
            Column::Words("map"),
            Column::Numbers("entries"),
            Column::Numbers("bytes"),
            Column::Numbers("bytes per entry"),
        ],
        rows,
        pictures: Vec::new(),
    }
}
