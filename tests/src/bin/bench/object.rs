//! The gateway's object, loaded by hand to look at what the kernel makes of it.

use std::collections::HashMap;

use anyhow::{Context as _, Result};
use aya::{
    Ebpf, EbpfLoader,
    maps::{MapFd, MapInfo},
    programs::{Program, SchedClassifier},
};
use gateway_common::abi::name;
use gateway_userspace::datapath::{HostLimits, OBJECT, TableSizes};

/// Table sizes as `auto` chooses them on a router with 4 GB of memory.
pub(crate) const SIZES: TableSizes = TableSizes { half_open_max: 65_536, established_max: 262_144 };
/// The same on one with 1 GB.
pub(crate) const SMALL_SIZES: TableSizes =
    TableSizes { half_open_max: 16_384, established_max: 65_536 };

/// How long names of maps are in the kernel.
const NAME_BYTES_MAX: usize = 15;

/// The object as the gateway loads it: silent, so that the verifier drops what would log.
///
/// # Errors
/// If the kernel refuses a map.
pub(crate) fn load(sizes: TableSizes) -> Result<Ebpf> {
    EbpfLoader::new()
        .map_max_entries(name::HALF_OPEN, sizes.half_open_max)
        .map_max_entries(name::ESTABLISHED, sizes.established_max)
        .map_max_entries(name::OVERFLOW, HostLimits::default().within(sizes).half_open)
        .override_global("AYA_LOG_LEVEL", &0_u8, false)
        .load(OBJECT)
        .context("loading the eBPF object")
}

/// Has the verifier accept one of the programs.
///
/// # Errors
/// If it does not.
pub(crate) fn load_program(name: &str, program: &mut Program) -> Result<()> {
    let loaded = if let Program::Xdp(program) = program {
        program.load()
    } else {
        let program: &mut SchedClassifier = (&mut *program).try_into()?;
        program.load()
    };
    loaded.with_context(|| format!("loading {name}"))
}

/// A map of loaded programs.
pub(crate) struct LoadedMap {
    pub(crate) fd: MapFd,
    /// How many entries it has room for.
    pub(crate) entries: u32,
}

/// The maps of loaded programs by their names.
///
/// # Errors
/// If the kernel does not tell.
pub(crate) fn maps(ebpf: &Ebpf) -> Result<HashMap<String, LoadedMap>> {
    let mut maps = HashMap::new();
    for (_, program) in ebpf.programs() {
        for id in program.info()?.map_ids()?.unwrap_or_default() {
            let info = MapInfo::from_id(id).with_context(|| format!("asking about map {id}"))?;
            let name = info.name_as_str().context("a map's name is not text")?;
            // The kernel keeps the beginning of long names only.
            let mut names = ebpf.maps().map(|(name, _)| name);
            let is_cut = name.len() == NAME_BYTES_MAX;
            let whole = names.find(|whole| is_cut && whole.starts_with(name)).unwrap_or(name);
            let map = LoadedMap { fd: info.fd()?, entries: info.max_entries() };
            maps.insert(whole.to_owned(), map);
        }
    }
    Ok(maps)
}
