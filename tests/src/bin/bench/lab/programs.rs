//! The laboratory's BPF object, from `tests-ebpf`.

use anyhow::{Context as _, Result, ensure};
use aya::Ebpf;

const OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/laboratory.o"));

/// Creates its maps; no program is loaded yet.
///
/// # Errors
/// If this was built without the object, or the kernel refuses a map.
pub(crate) fn load() -> Result<Ebpf> {
    ensure!(
        !OBJECT.is_empty(),
        "this was built without the laboratory's BPF programs: build it without EIGW_EBPF_SKIP \
         and EIGW_EBPF_OBJECT"
    );
    Ebpf::load(OBJECT).context("loading the laboratory's BPF object")
}
