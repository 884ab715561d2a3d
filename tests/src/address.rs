//! Addresses of the lab, and of packets in general.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use gateway_common::tuple::{Address, Family};

/// Both families, for tests that hold for both.
pub const FAMILIES: [Family; 2] = [Family::Ipv4, Family::Ipv6];

/// A host's addresses.
#[derive(Clone, Copy, Debug)]
pub struct Dual {
    /// The IPv4 address.
    pub v4: Ipv4Addr,
    /// The IPv6 address.
    pub v6: Ipv6Addr,
}

impl Dual {
    /// The address of one family.
    #[must_use]
    pub const fn ip(self, family: Family) -> IpAddr {
        match family {
            Family::Ipv4 => IpAddr::V4(self.v4),
            Family::Ipv6 => IpAddr::V6(self.v6),
        }
    }

    /// The address of one family, with a port.
    #[must_use]
    pub const fn port(self, family: Family, port: u16) -> SocketAddr {
        SocketAddr::new(self.ip(family), port)
    }
}

/// Anything that can stand for an IP address where a packet is written down.
pub trait ToIp {
    /// The address.
    fn to_ip(&self) -> IpAddr;
}

impl ToIp for str {
    fn to_ip(&self) -> IpAddr {
        self.parse().unwrap_or_else(|_| panic!("{self:?} is no IP address"))
    }
}

impl ToIp for IpAddr {
    fn to_ip(&self) -> IpAddr {
        *self
    }
}

impl ToIp for Ipv4Addr {
    fn to_ip(&self) -> IpAddr {
        IpAddr::V4(*self)
    }
}

impl ToIp for Ipv6Addr {
    fn to_ip(&self) -> IpAddr {
        IpAddr::V6(*self)
    }
}

impl ToIp for Address {
    fn to_ip(&self) -> IpAddr {
        Self::to_ip(*self)
    }
}

impl<T: ToIp + ?Sized> ToIp for &T {
    fn to_ip(&self) -> IpAddr {
        T::to_ip(self)
    }
}
