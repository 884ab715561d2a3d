//! From settings to the packet path's configuration.

use std::net::{IpAddr, Ipv6Addr};

use gateway_common::{config::Config, timeouts::TimeoutClass};
use ipnet::{IpNet, Ipv6Net};

use super::{Settings, prefix};

/// Unique local addresses (RFC 4193).
pub const ULA: IpNet =
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7));

/// Whether `address` is a unique local one. An uplink that has one lies within its site, so the
/// gateway is not the border that RFC 7084 (ULA-4) wants unique local addresses stopped at.
#[must_use]
pub fn is_ula(address: &IpAddr) -> bool {
    ULA.contains(address)
}

impl Settings {
    /// The configuration for a kernel with `ticks_per_sec`; `ula_uplink` says that an uplink has
    /// a unique local address.
    #[must_use]
    pub fn to_config(&self, ticks_per_sec: u32, ula_uplink: bool) -> Config {
        let mut config = Config::new(ticks_per_sec);
        for class in TimeoutClass::ALL {
            config.timeouts[class as usize] = config.ticks(self.timeouts_secs.get(class));
        }
        config.allow_ping = self.allow.ping.into();
        config.allow_dhcp_client = self.allow.dhcp_client.into();
        config.allow_redirects = self.allow.redirects.into();
        config.martians_enabled = self.martians.enabled.into();
        config.martian_exceptions_used = fill(
            &mut config.martian_exceptions,
            self.exceptions(ula_uplink),
            prefix::to_packet_path,
        );
        config.pass_ethertypes_used =
            fill(&mut config.pass_ethertypes, self.pass_ethertypes.clone(), |ethertype| *ethertype);
        config.policy = self.policy.summary();
        config.endpoint_independent = self.rfc6092.endpoint_independent_filtering.into();
        config.delayed_reject = self.rfc6092.delayed_reject.into();
        config
    }

    /// The configured exceptions and the uplink's own, in which exceptions within it are merged.
    fn exceptions(&self, ula_uplink: bool) -> Vec<IpNet> {
        let mut except = self.martians.except.clone();
        if ula_uplink && !except.iter().any(|prefix| prefix.contains(&ULA)) {
            except.retain(|prefix| !ULA.contains(prefix));
            except.push(ULA);
        }
        except
    }
}

/// Fills the front of `slots` and returns how many were filled. The settings are validated
/// against the number of slots.
fn fill<T, S>(slots: &mut [S], values: Vec<T>, convert: impl Fn(&T) -> S) -> u32 {
    let mut used = 0;
    for (slot, value) in slots.iter_mut().zip(values) {
        *slot = convert(&value);
        used += 1;
    }
    used
}
