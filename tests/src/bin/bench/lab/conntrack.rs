//! How many flows the kernel's connection tracking takes: settings of the whole machine.

use std::fs;

use anyhow::{Context as _, Result};
use tests::interrupt;

use super::firewall::Firewall;

/// Flows at most, in each namespace.
const MAX: &str = "/proc/sys/net/netfilter/nf_conntrack_max";
/// Places of the hash table, which all namespaces share.
const BUCKETS: &str = "/proc/sys/net/netfilter/nf_conntrack_buckets";

/// Places for each flow. Two are enough for its two directions; a second site may have it too.
const BUCKETS_PER_FLOW: u32 = 4;

/// Room for more flows, until this value goes away.
pub(crate) struct Room {
    _max: Raised,
    _buckets: Raised,
}

impl Room {
    /// Makes room for sites of which each has one of these numbers of flows: where there is more
    /// already it stays. The hash table grows with all of them, so that no site pays for the chains
    /// that another one's flows make.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub(crate) fn for_flows(sites: &[u32]) -> Result<Self> {
        // The settings come with the module, which comes with the first rule that asks for a state.
        Firewall::Nftables.try_out()?;
        let most = sites.iter().copied().max().unwrap_or(0);
        let all = sites.iter().fold(0, |all: u32, flows| all.saturating_add(*flows));
        Ok(Self {
            _max: Raised::to(MAX, most.saturating_add(most / 4))?,
            _buckets: Raised::to(BUCKETS, all.saturating_mul(BUCKETS_PER_FLOW))?,
        })
    }
}

/// A setting that goes back to what it was.
struct Raised {
    path: &'static str,
    before: Option<String>,
}

impl Raised {
    fn to(path: &'static str, wanted: u32) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("reading {path}"))?;
        let before: u32 = text.trim().parse().with_context(|| format!("reading {path}"))?;
        if before >= wanted {
            return Ok(Self { path, before: None });
        }
        interrupt::restore_when_interrupted(path, text.trim());
        fs::write(path, wanted.to_string()).with_context(|| format!("writing {path}"))?;
        Ok(Self { path, before: Some(text) })
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            _ = fs::write(self.path, before.trim());
        }
    }
}
