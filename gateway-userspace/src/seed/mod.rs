//! The connections that are there before the gateway, so that attaching to a live machine cuts
//! nothing: those of the host's own sockets, and those that the kernel's connection tracking knows
//! of, which has what the host forwards.
//!
//! ```text
//! sock_diag ──► sockets ───┐
//!                          ├─► Connection ─► (datapath: policy, flow tables)
//! ctnetlink ──► conntrack ─┘
//!                  ▲ routes, links: does it leave by an uplink, and with which VLAN tags?
//! ```
//!
//! A connection counts if the kernel's own routing sends its packets to outside by an uplink: of
//! two connections with the same addresses only routing tells which one the gateway will see. What
//! neither source knows is not seeded: sockets that send to anybody (`sendto`), which ask again
//! anyway, and pings.

mod conntrack;
mod links;
mod netlink;
mod routes;
mod sockets;

use std::{io, net::IpAddr};

use gateway_common::{
    seed::Stage,
    tuple::{Direction, Family, FlowKey, VlanPath},
};
use thiserror::Error;

pub use self::links::Links;

use self::routes::Routes;

/// A failure to learn what connections there are.
#[derive(Debug, Error)]
#[error(
    "{action} failed: {source}; --no-seed attaches without the connections that are there, \
         which cuts those that are idle"
)]
pub struct SeedError {
    /// What was tried.
    pub action: &'static str,
    /// What the kernel answered.
    pub source: io::Error,
}

/// A connection that uses an uplink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The flow as it is seen on the uplink: addresses and ports after translation.
    pub key: FlowKey,
    /// How far it is.
    pub stage: Stage,
    /// Which side opened it.
    pub opened: Direction,
    /// Whether it is another host's, for which this one forwards.
    pub is_forwarded: bool,
}

/// What came of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Entries that were read, on an uplink or not.
    pub entries: u64,
    /// Entries that could not be understood.
    pub unreadable: u64,
    /// Entries of connection tracking zones other than the default one, of which nothing tells
    /// where they belong.
    pub zoned: u64,
    /// Why the source said nothing, if the kernel does not have it.
    pub missing: Option<&'static str>,
}

/// Calls `each` with every connection of the host's own sockets that uses one of the uplinks.
///
/// # Errors
/// [`SeedError`], or what `each` fails with.
pub fn sockets<E: From<SeedError>>(
    links: &Links,
    each: impl FnMut(Connection) -> Result<(), E>,
) -> Result<Survey, E> {
    sockets::survey(&mut Routes::open(links)?, each)
}

/// Calls `each` with every connection in the kernel's connection tracking that uses one of the
/// uplinks. One may come twice, when the table changes meanwhile.
///
/// # Errors
/// [`SeedError`], or what `each` fails with.
pub fn conntrack<E: From<SeedError>>(
    links: &Links,
    each: impl FnMut(Connection) -> Result<(), E>,
) -> Result<Survey, E> {
    conntrack::survey(&mut Routes::open(links)?, each)
}

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct End {
    address: IpAddr,
    port: u16,
}

/// The key of a flow between these ends, with addresses of dual-stack sockets as what they stand
/// for. `None` when the ends are not of one family.
fn flow_key(inside: End, outside: End, protocol: u8) -> Option<FlowKey> {
    let addresses = (inside.address.to_canonical(), outside.address.to_canonical());
    let family = match addresses {
        (IpAddr::V4(_), IpAddr::V4(_)) => Family::Ipv4,
        (IpAddr::V6(_), IpAddr::V6(_)) => Family::Ipv6,
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return None,
    };
    Some(FlowKey {
        inside: addresses.0.into(),
        outside: addresses.1.into(),
        inside_port: inside.port,
        outside_port: outside.port,
        vlan: VlanPath::default(),
        protocol,
        family: family.version(),
        zero: 0,
    })
}

#[cfg(test)]
mod tests;
