//! The uplinks' addresses, as far as the packet path depends on them.

use std::{collections::BTreeSet, net::IpAddr};

use gateway_common::config::Config;
use ipnet::{IpNet, Ipv6Net};
use tracing::{debug, info};

use crate::{
    daemon::InForce,
    datapath::{self, DatapathError, Gateway},
    settings::{self, is_ula},
};

/// What is told apart of IPv6 addresses: hosts change the rest as they like.
const PREFIX_LEN: u8 = 64;

/// The addresses and prefixes that were there at the last look, by the name of the uplink.
#[derive(Debug, Default)]
pub(super) struct Addresses(Option<BTreeSet<(String, IpNet)>>);

impl Addresses {
    /// Logs what changed since the last look, and has the packet path take unique local addresses
    /// for what they are on these uplinks.
    ///
    /// # Errors
    /// Those of reading the gateway and of changing its configuration.
    pub(super) fn look(
        &mut self,
        bpffs: &std::path::Path,
        gateway: &Gateway,
        in_force: &InForce,
    ) -> Result<(), DatapathError> {
        let addresses = gateway.uplink_addresses()?;
        let has_ula = addresses.iter().any(|(_, addresses)| addresses.iter().any(is_ula));
        let prefixes = addresses.into_iter().flat_map(|(uplink, addresses)| {
            addresses.into_iter().filter_map(prefix).map(move |prefix| (uplink.clone(), prefix))
        });
        let prefixes: BTreeSet<_> = prefixes.collect();
        let name = gateway.name();
        if let Some(before) = &self.0 {
            for (uplink, prefix) in prefixes.difference(before) {
                info!(gateway = %name, %uplink, %prefix, "the uplink has an address here now");
            }
            for (uplink, prefix) in before.difference(&prefixes) {
                info!(gateway = %name, %uplink, %prefix, "the uplink has no address here any more");
            }
        }
        self.0 = Some(prefixes);
        if martians_differ(&gateway.config()?, in_force, has_ula).is_none() {
            return Ok(());
        }
        let change = |config: Config| martians_differ(&config, in_force, has_ula);
        if datapath::adjust(bpffs, name, change)? {
            let are = if has_ula { "no martians" } else { "martians" };
            info!(gateway = %name, "unique local addresses are {are} from now on");
        }
        Ok(())
    }
}

/// The configuration with the martians that the uplinks' addresses call for, if it has others.
fn martians_differ(config: &Config, in_force: &InForce, has_ula: bool) -> Option<Config> {
    if config.generation != in_force.generation {
        debug!("another command's policy is in force; its martians stay");
        return None;
    }
    let ticks_per_sec = settings::ticks_per_sec().ok()?;
    let asked = in_force.settings.to_config(ticks_per_sec, has_ula);
    let changed = Config {
        martian_exceptions: asked.martian_exceptions,
        martian_exceptions_used: asked.martian_exceptions_used,
        ..*config
    };
    (changed != *config).then_some(changed)
}

/// What is told of an address; link-local ones are nobody's concern.
fn prefix(address: IpAddr) -> Option<IpNet> {
    match address {
        IpAddr::V4(address) => Some(IpNet::from(IpAddr::V4(address))),
        IpAddr::V6(address) if address.is_unicast_link_local() => None,
        IpAddr::V6(address) => {
            Ipv6Net::new(address, PREFIX_LEN).ok().map(|net| IpNet::V6(net.trunc()))
        }
    }
}
