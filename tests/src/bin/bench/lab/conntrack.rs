//! How many flows the kernel's connection tracking takes, a setting of the whole machine.

use std::fs;

use anyhow::{Context as _, Result};
use tests::interrupt;

use super::firewall::Firewall;

const PATH: &str = "/proc/sys/net/netfilter/nf_conntrack_max";

/// Room for more flows, until this value goes away.
pub(crate) struct Room {
    before: Option<String>,
}

impl Room {
    /// Makes room for so many flows in each namespace; where there is more already it stays.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub(crate) fn for_flows(flows: u32) -> Result<Self> {
        // The setting comes with the module, which comes with the first rule that asks for a state.
        Firewall::Nftables.try_out()?;
        let text = fs::read_to_string(PATH).with_context(|| format!("reading {PATH}"))?;
        let before: u32 = text.trim().parse().with_context(|| format!("reading {PATH}"))?;
        let wanted = flows.saturating_add(flows / 4);
        if before >= wanted {
            return Ok(Self { before: None });
        }
        interrupt::restore_when_interrupted(PATH, text.trim());
        fs::write(PATH, wanted.to_string()).with_context(|| format!("writing {PATH}"))?;
        Ok(Self { before: Some(text) })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            _ = fs::write(PATH, before.trim());
        }
    }
}
