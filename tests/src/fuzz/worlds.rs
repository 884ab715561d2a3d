//! Circumstances in which sequences are played: configurations, policies and sizes of tables.

use fastrand::Rng;
use gateway_common::{
    config::Config,
    timeouts::{Ticks, TimeoutClass},
    verdict::Reason,
};
use gateway_userspace::policy::CompiledPolicy;

use super::policies::policy_of;
use crate::{
    model::Model,
    rows::{Policy, check::TICKS_PER_SEC},
};

/// Sizes that the table of established flows has in different worlds, in entries.
pub const ESTABLISHED_MAX: [u32; 2] = [4, 256];

/// An ethertype that some worlds let pass.
const ETHERTYPE: u16 = 0x88f7;

/// A configuration, a policy and sizes of tables.
#[derive(Clone, Debug)]
pub struct World {
    /// The configuration.
    pub config: Config,
    /// The policy that the configuration is about; none for one without tables.
    pub policy: Option<CompiledPolicy>,
    /// Entries of the table of half-open flows: enough for every flow of a sequence, since which one
    /// the kernel's LRU list gives up is not for the model to know.
    pub half_open_max: u32,
    /// Entries of the table of established flows.
    pub established_max: u32,
}

impl World {
    /// The world of this number, of which 0 is the default configuration.
    #[must_use]
    pub fn new(number: u16) -> Self {
        Self::random(number, true)
    }

    /// As [`World::new`], but with nothing in it that lets outside begin anything, other than what
    /// [`World::for_the_link`] lists.
    #[must_use]
    pub fn closed(number: u16) -> Self {
        Self::random(number, false)
    }

    fn random(number: u16, lets_in: bool) -> Self {
        let mut config = Config::new(TICKS_PER_SEC);
        let (half_open_max, mut established_max, mut policy) = (1024, ESTABLISHED_MAX[1], None);
        if number != 0 {
            let mut rng = Rng::with_seed(number.into());
            switches(&mut rng, &mut config);
            established_max = ESTABLISHED_MAX[rng.usize(..ESTABLISHED_MAX.len())];
            if rng.u8(..5) < 3 {
                let text = policy_of(number.into(), lets_in);
                policy = Policy { text, has_tables: true }.come_into_force(&mut config);
            }
        }
        Self { config, policy, half_open_max, established_max }
    }

    /// The model of a gateway in this world.
    ///
    /// # Panics
    /// Never: tables are small.
    #[must_use]
    pub fn model(&self) -> Model {
        let max = |entries: u32| usize::try_from(entries).expect("tables are small");
        let (half_open, established) = (max(self.half_open_max), max(self.established_max));
        let mut model = Model::new(&self.config, half_open, established);
        if let Some(policy) = &self.policy {
            model.govern(&self.config, policy.clone());
        }
        model
    }

    /// Whether a packet from outside may pass for this reason although inside has not asked for
    /// anything: the link lives on it, or the operator said so in `[allow]` or `[link]`.
    #[must_use]
    pub fn for_the_link(&self, reason: Reason) -> bool {
        const ALWAYS: [Reason; 4] = [
            Reason::Arp,
            Reason::LinkControl,
            Reason::NeighbourDiscovery,
            Reason::MulticastListener,
        ];
        let switches = [
            (Reason::DhcpClient, self.config.allow_dhcp_client),
            (Reason::PingAllowed, self.config.allow_ping),
            (Reason::RedirectAllowed, self.config.allow_redirects),
            (Reason::EthertypeAllowed, self.config.pass_ethertypes_used),
        ];
        ALWAYS.contains(&reason) || switches.iter().any(|(of, is_on)| *of == reason && *is_on != 0)
    }
}

fn switches(rng: &mut Rng, config: &mut Config) {
    let mut switch = |once_in: u32| u32::from(rng.u32(..once_in) == 0);
    config.allow_ping = switch(3);
    config.allow_dhcp_client = 1 - switch(3);
    config.allow_redirects = switch(3);
    config.martians_enabled = 1 - switch(3);
    config.endpoint_independent = switch(4);
    config.delayed_reject = switch(4);
    config.pass_ethertypes_used = switch(4);
    config.pass_ethertypes[0] = ETHERTYPE;
    if switch(3) != 0 {
        // As in the profile `aws`.
        let timeout = Ticks(350 * u64::from(TICKS_PER_SEC));
        config.timeouts = [timeout; TimeoutClass::ALL.len()];
    }
    if rng.u8(..3) == 0 {
        *config = config.with_host_limits(rng.u32(1..6), rng.u32(1..6));
    }
}
