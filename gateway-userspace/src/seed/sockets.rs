//! What the host's own sockets are connected to.

use std::{collections::HashSet, io, net::IpAddr};

use gateway_common::{seed::Stage, tuple::Direction};
use netlink_packet_core::Parseable as _;
use netlink_packet_sock_diag::{
    SockDiagMessage,
    inet::{ExtensionFlags, InetRequest, InetResponseHeader, SocketId, StateFlags},
};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use network_types::ip::IpProto;

use super::{
    Connection, End, SeedError, Survey, flow_key,
    netlink::Channel,
    routes::{Routes, Way},
};

/// The protocols of which the kernel lists connected sockets with one address at each end.
const PROTOCOLS: [u8; 3] = [IpProto::Tcp as u8, IpProto::Udp as u8, IpProto::UdpLite as u8];
/// The kernel's `AF_INET` and `AF_INET6`.
const FAMILIES: [u8; 2] = [2, 10];

/// A socket with a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Connected {
    /// This host's end.
    pub(super) local: End,
    /// The peer's.
    pub(super) remote: End,
    /// The interface that the socket is bound to, or 0.
    pub(super) interface: u32,
    /// How far the connection is.
    pub(super) stage: Stage,
}

/// Calls `each` with every connection of a socket that uses an uplink.
///
/// # Errors
/// [`SeedError`], or what `each` fails with.
pub(super) fn survey<E: From<SeedError>>(
    routes: &mut Routes<'_>,
    mut each: impl FnMut(Connection) -> Result<(), E>,
) -> Result<Survey, E> {
    let mut survey = Survey::default();
    let mut channel = match Channel::open(NETLINK_SOCK_DIAG) {
        Ok(channel) => channel,
        Err(error) if is_missing(&error) => return Ok(without_sockets()),
        Err(source) => return Err(listing(source).into()),
    };
    for protocol in PROTOCOLS {
        let listening = listeners(&mut channel, protocol).map_err(listing)?;
        for family in FAMILIES {
            let states = StateFlags::all() - StateFlags::LISTEN;
            // Answers are small, and asking for routes meanwhile keeps no lock of the kernel's.
            let dumped = channel.dump(&request(family, protocol, states), |payload| {
                survey.entries += 1;
                let socket = match connected(payload) {
                    Ok(Some(socket)) => socket,
                    Ok(None) => return Ok(()),
                    Err(()) => {
                        survey.unreadable += 1;
                        return Ok(());
                    }
                };
                let connections =
                    on_uplinks(&socket, protocol, &listening, routes).map_err(Stop::Route)?;
                connections.into_iter().try_for_each(&mut each).map_err(Stop::Caller)
            });
            match dumped {
                Ok(()) => {}
                Err(Stop::Kernel(error)) if is_missing(&error) => {
                    if protocol == PROTOCOLS[0] {
                        return Ok(without_sockets());
                    }
                }
                Err(Stop::Kernel(source)) => return Err(listing(source).into()),
                Err(Stop::Route(error)) => return Err(error.into()),
                Err(Stop::Caller(error)) => return Err(error),
            }
        }
    }
    Ok(survey)
}

/// Why reading a dump ended early.
pub(super) enum Stop<E> {
    /// The kernel failed.
    Kernel(io::Error),
    /// A question about a route failed.
    Route(SeedError),
    /// Whoever asked for the connections failed.
    Caller(E),
}

impl<E> From<io::Error> for Stop<E> {
    fn from(error: io::Error) -> Self {
        Self::Kernel(error)
    }
}

/// The ports on which this host takes connections.
fn listeners(channel: &mut Channel, protocol: u8) -> io::Result<HashSet<u16>> {
    let mut ports = HashSet::new();
    if protocol != IpProto::Tcp as u8 {
        return Ok(ports);
    }
    for family in FAMILIES {
        let dumped = channel.dump(&request(family, protocol, StateFlags::LISTEN), |payload| {
            if let Ok(header) = InetResponseHeader::parse(payload) {
                ports.insert(header.socket_id.source_port);
            }
            Ok::<_, io::Error>(())
        });
        match dumped {
            Err(error) if !is_missing(&error) => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(ports)
}

/// Reads a socket; `None` for one without a peer, or whose connection is over.
///
/// # Errors
/// It cannot be understood.
pub(super) fn connected(payload: &[u8]) -> Result<Option<Connected>, ()> {
    let header = InetResponseHeader::parse(payload).map_err(drop)?;
    let id = header.socket_id;
    let end = |address: IpAddr, port| End { address: address.to_canonical(), port };
    let remote = end(id.destination_address, id.destination_port);
    if remote.address.is_unspecified() || remote.port == 0 {
        return Ok(None);
    }
    let local = end(id.source_address, id.source_port);
    let Some(stage) = stage(header.state) else { return Ok(None) };
    Ok(Some(Connected { local, remote, interface: id.interface_id, stage }))
}

/// How far a connection is, by the kernel's `TCP_*` states, which sockets of UDP use as well.
const fn stage(state: u8) -> Option<Stage> {
    match state {
        1 => Some(Stage::Open),
        // SYN-SENT, SYN-RECEIVED, and the latter without a socket of its own.
        2 | 3 | 12 => Some(Stage::Opening),
        // FIN-WAIT-1, FIN-WAIT-2.
        4 | 5 => Some(Stage::InsideClosed),
        // CLOSE-WAIT.
        8 => Some(Stage::OutsideClosed),
        // LAST-ACK, CLOSING.
        9 | 11 => Some(Stage::BothClosed),
        // TIME-WAIT, CLOSE, LISTEN: there is nothing left, or nothing yet, to cut.
        _ => None,
    }
}

/// The connection as it is on each of the uplinks that it may use.
fn on_uplinks(
    socket: &Connected,
    protocol: u8,
    listening: &HashSet<u16>,
    routes: &mut Routes<'_>,
) -> Result<Vec<Connection>, SeedError> {
    let Connected { local, remote, interface, stage } = *socket;
    let Some(key) = flow_key(local, remote, protocol) else { return Ok(Vec::new()) };
    let way = routes.way(remote.address, Some(local.address), interface)?;
    let Way::Out(device) = way else { return Ok(Vec::new()) };
    let is_inbound = listening.contains(&local.port);
    let opened = if is_inbound { Direction::Inbound } else { Direction::Outbound };
    let paths = routes.links().paths(device).iter();
    let keys = paths.map(|&vlan| gateway_common::tuple::FlowKey { vlan, ..key });
    Ok(keys.map(|key| Connection { key, stage, opened, is_forwarded: false }).collect())
}

fn request(family: u8, protocol: u8, states: StateFlags) -> SockDiagMessage {
    SockDiagMessage::InetRequest(InetRequest {
        family,
        protocol,
        extensions: ExtensionFlags::empty(),
        states,
        socket_id: if family == FAMILIES[0] { SocketId::new_v4() } else { SocketId::new_v6() },
    })
}

fn without_sockets() -> Survey {
    Survey {
        missing: Some("the kernel does not list its sockets (CONFIG_INET_DIAG)"),
        ..Survey::default()
    }
}

/// Whether the kernel does not know what was asked of it.
pub(super) fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ENOENT | libc::EPROTONOSUPPORT | libc::EAFNOSUPPORT | libc::EOPNOTSUPP)
    )
}

fn listing(source: io::Error) -> SeedError {
    SeedError { action: "listing this host's sockets", source }
}
