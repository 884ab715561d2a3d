//! What is needed to understand what an observer sees.

use std::{collections::HashMap, path::PathBuf, time::SystemTime};

use gateway_common::{config::Config, timeouts::Ticks};
use jiff::Timestamp;

use super::clock::WallClock;
use crate::{
    cli::Result,
    datapath::{Gateway, GatewayName},
    settings::Policy,
    view::Names,
};

/// The gateway that is watched, as it is now.
pub(in crate::cli) struct Scene {
    bpffs: PathBuf,
    gateway: Gateway,
    config: Config,
    policy: Policy,
    uplinks: HashMap<u32, String>,
    clock: WallClock,
}

impl Scene {
    /// Looks at a gateway below `bpffs`.
    pub(super) fn new(bpffs: PathBuf, gateway: Gateway) -> Result<Self> {
        let config = gateway.config()?;
        let policy = gateway.policy()?.policy;
        let clock = WallClock::new(&gateway, config.ticks_per_sec)?;
        let mut scene = Self { bpffs, gateway, config, policy, uplinks: HashMap::new(), clock };
        scene.find_uplinks()?;
        Ok(scene)
    }

    /// Follows changes of the gateway. What is seen in the moment of a reload may be told with
    /// the names of rules before or after it.
    pub(super) fn refresh(&mut self) -> Result<()> {
        self.look()?;
        let config = self.gateway.config()?;
        if config != self.config {
            self.policy = self.gateway.policy()?.policy;
            self.config = config;
        }
        Ok(())
    }

    /// Compares the clocks.
    pub(super) fn look(&mut self) -> Result<()> {
        self.clock.adjust(self.gateway.now()?, SystemTime::now());
        Ok(())
    }

    pub(in crate::cli) fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    pub(in crate::cli) fn name(&self) -> &GatewayName {
        self.gateway.name()
    }

    pub(in crate::cli) fn config(&self) -> &Config {
        &self.config
    }

    pub(in crate::cli) fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The uplinks, by their index.
    pub(in crate::cli) fn uplinks(&self) -> impl Iterator<Item = (u32, &str)> {
        self.uplinks.iter().map(|(&index, name)| (index, name.as_str()))
    }

    /// What things are called, of which packets know numbers only.
    pub(in crate::cli) fn names(&mut self, ifindex: u32) -> Result<Names<'_>> {
        if !self.uplinks.contains_key(&ifindex) {
            self.gateway = Gateway::open(&self.bpffs, self.gateway.name())?;
            self.find_uplinks()?;
            self.uplinks.entry(ifindex).or_insert_with(|| ifindex.to_string());
        }
        Ok(Names { uplink: &self.uplinks[&ifindex], policy: &self.policy })
    }

    /// When something happened.
    pub(in crate::cli) fn time(&self, at: Ticks) -> Timestamp {
        // Only times that no machine has are out of range.
        Timestamp::try_from(self.clock.at(at)).unwrap_or(Timestamp::MAX)
    }

    fn find_uplinks(&mut self) -> Result<()> {
        let uplinks = self.gateway.uplinks()?.into_iter();
        self.uplinks = uplinks.map(|uplink| (uplink.ifindex, uplink.name)).collect();
        Ok(())
    }
}
