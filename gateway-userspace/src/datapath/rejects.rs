//! Openings from outside that the packet path dropped and that shall be rejected later.

use std::path::Path;

use aya::maps::{MapData, RingBuf};
use gateway_common::{abi::name, rejection::Unsolicited, tuple::FlowKey};

use super::{DatapathError, Gateway, GatewayName, bpffs::gateway_directory, maps, sys::value_in};

/// The reports of a gateway's packet path. One process may take them.
pub struct Rejects {
    ring: RingBuf<MapData>,
    gateway: Gateway,
}

impl Rejects {
    /// Takes the reports of a gateway from now on.
    ///
    /// # Errors
    /// As [`Gateway::open`].
    pub fn open(bpffs: &Path, name: &GatewayName) -> Result<Self, DatapathError> {
        let gateway = Gateway::open(bpffs, name)?;
        let directory = gateway_directory(bpffs, name)?;
        Ok(Self { ring: maps::open(name, &directory, name::REJECTS)?, gateway })
    }

    /// The next report, if there is one.
    pub fn take(&mut self) -> Option<Unsolicited> {
        loop {
            let report = self.ring.next()?;
            // Whatever is too short is not ours.
            if let Some(report) = value_in(&report) {
                return Some(report);
            }
        }
    }

    /// Whether there is a live flow of this key now.
    ///
    /// # Errors
    /// [`DatapathError::Map`] or [`DatapathError::Program`].
    pub fn has_flow(&self, key: &FlowKey) -> Result<bool, DatapathError> {
        let Some((_, entry)) = self.gateway.flow(key)? else { return Ok(false) };
        Ok(entry.is_live(key, self.gateway.now()?, &self.gateway.config()?))
    }

    /// Whether the configuration in force asks for reports.
    ///
    /// # Errors
    /// [`DatapathError::Map`].
    pub fn are_wanted(&self) -> Result<bool, DatapathError> {
        Ok(self.gateway.config()?.delayed_reject != 0)
    }
}
