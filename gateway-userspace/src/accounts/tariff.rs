//! Which class a destination belongs to, and what it costs to send there.

use std::{collections::HashMap, fmt, sync::Arc};

use gateway_common::{config::Prefix, tuple::Address};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::Money;
use crate::settings::{Cost, prefix};

/// The length of the IPv4 networks that destinations are taken together by.
const IPV4_LEN: u8 = 24;
/// The same of IPv6.
const IPV6_LEN: u8 = 48;

/// The bits in front of an IPv4 address in its mapped form.
const MAPPED_LEN: u32 = 96;

/// Where flows go to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Destination {
    /// A class of `[[cost.prefix]]`.
    Class(Arc<str>),
    /// The network of an address that no class has.
    Network(IpNet),
}

impl fmt::Display for Destination {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Class(name) => formatter.write_str(name),
            Self::Network(network) => network.fmt(formatter),
        }
    }
}

/// The prices in force.
#[derive(Clone, Debug, Default)]
pub struct Tariff {
    /// By length of the prefix as the packet path has it, the longest first.
    lengths: Vec<(u32, HashMap<u128, usize>)>,
    classes: Vec<(Arc<str>, u64)>,
    nanos_per_gb: u64,
    currency: String,
    is_priced: bool,
}

impl Tariff {
    /// The prices of a configuration. What has none costs nothing.
    #[must_use]
    pub fn new(cost: &Cost) -> Self {
        let usual = cost.per_gb.map_or(0, |price| price.nanos_per_gb);
        let mut by_length: HashMap<u32, HashMap<u128, usize>> = HashMap::new();
        for (index, class) in cost.classes.iter().enumerate() {
            for prefix in &class.prefixes {
                let prefix: Prefix = prefix::to_packet_path(prefix);
                let network = masked(prefix.address(), prefix.len());
                by_length.entry(prefix.len()).or_default().insert(network, index);
            }
        }
        let mut lengths: Vec<_> = by_length.into_iter().collect();
        lengths.sort_unstable_by_key(|&(length, _)| std::cmp::Reverse(length));
        let classes = cost.classes.iter().map(|class| {
            let price = class.per_gb.map_or(usual, |price| price.nanos_per_gb);
            (Arc::from(class.name.as_str()), price)
        });
        Self {
            lengths,
            classes: classes.collect(),
            nanos_per_gb: usual,
            currency: cost.currency.clone(),
            is_priced: cost.is_priced(),
        }
    }

    /// What prices are in.
    #[must_use]
    pub fn currency(&self) -> &str {
        &self.currency
    }

    /// Whether anything has a price.
    #[must_use]
    pub const fn is_priced(&self) -> bool {
        self.is_priced
    }

    /// Where an address is, and what so many bytes to it cost.
    #[must_use]
    pub fn of(&self, address: Address, bytes_out: u64) -> (Destination, Money) {
        // IPv4 has the mapped form, but is not in IPv6 prefixes as short as the default route's.
        let least = if address.is_ipv4_mapped() { MAPPED_LEN } else { 0 };
        let mut lengths = self.lengths.iter().take_while(|&&(length, _)| length >= least);
        let class = lengths.find_map(|(length, classes)| {
            classes.get(&masked(address, *length)).map(|&class| &self.classes[class])
        });
        let (destination, nanos_per_gb) = match class {
            Some((name, price)) => (Destination::Class(Arc::clone(name)), *price),
            None => (Destination::Network(network_of(address)), self.nanos_per_gb),
        };
        (destination, Money(u128::from(bytes_out) * u128::from(nanos_per_gb)))
    }
}

fn masked(address: Address, length: u32) -> u128 {
    // All bits of an address are gone when it is shifted by all of them.
    address.to_bits() & u128::MAX.checked_shl(u128::BITS - length).unwrap_or(0)
}

fn network_of(address: Address) -> IpNet {
    match address.to_ip() {
        std::net::IpAddr::V4(ip) => IpNet::V4(Ipv4Net::new_assert(ip, IPV4_LEN).trunc()),
        std::net::IpAddr::V6(ip) => IpNet::V6(Ipv6Net::new_assert(ip, IPV6_LEN).trunc()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    #[test]
    fn the_longest_prefix_has_the_price() {
        let (settings, _) = Settings::parse(
            "[cost]\nper_gb = 0.09\n[[cost.prefix]]\nname = 'region'\nper_gb = 0.01\nprefixes = \
             ['198.51.0.0/16', '2a00::/16']\n[[cost.prefix]]\nname = 'peer'\nper_gb = 0\n\
             prefixes = ['198.51.100.7', '2a00:9::/32']\n[[cost.prefix]]\nname = 'rest'\n\
             prefixes = '::/0'\n",
            1 << 30,
        )
        .expect("valid");
        let tariff = Tariff::new(&settings.cost);
        for (address, destination, cost) in [
            ("198.51.100.7", "peer", 0.0),
            ("198.51.100.8", "region", 0.01),
            ("203.0.113.9", "203.0.113.0/24", 0.09),
            ("2a00:9::1", "peer", 0.0),
            ("2a00:8::1", "region", 0.01),
            ("2001:db8:1:2::3", "rest", 0.09),
        ] {
            let address: std::net::IpAddr = address.parse().expect("valid address");
            let (found, money) = tariff.of(address.into(), 1_000_000_000);
            assert_eq!(found.to_string(), destination, "{address}");
            assert_eq!(money.units().to_bits(), f64::to_bits(cost), "{address}");
        }
    }

    #[test]
    fn without_prices_destinations_are_networks() {
        let tariff = Tariff::default();
        let (destination, money) = tariff.of(Address::from_octets([0x20; 16]), u64::MAX);
        assert_eq!((destination.to_string().as_str(), money), ("2020:2020:2020::/48", Money(0)));
        assert!(!tariff.is_priced());
    }
}
