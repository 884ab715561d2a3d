//! What the kernel's connection tracking knows: above all what the host forwards.
//!
//! An entry has two tuples, one for each direction as its packets arrive. Where addresses are
//! translated they differ, and on the uplink's wire packets carry the translated ones: those of the
//! reply tuple if inside opened the connection, those of the original tuple if outside did.
//!
//! ```text
//!  opened by inside, masqueraded               opened by outside, forwarded to a port
//!  original  10.0.0.2:5000 → 192.0.2.1:443     original  192.0.2.1:6000 → 203.0.113.1:22
//!  reply     192.0.2.1:443 → 203.0.113.1:5000  reply     10.0.0.2:22 → 192.0.2.1:6000
//!  flow      203.0.113.1:5000 ↔ 192.0.2.1:443  flow      203.0.113.1:22 ↔ 192.0.2.1:6000
//! ```

mod entry;

use std::{fs, io};

use gateway_common::{
    packet::query_port,
    seed::Stage,
    tuple::{Direction, Family, FlowKey},
};
use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterProtoFamily, conntrack::ConntrackMessage,
};
use netlink_sys::protocols::NETLINK_NETFILTER;
use network_types::ip::IpProto;

use super::{
    Connection, End, SeedError, Survey, flow_key,
    netlink::Channel,
    routes::{Routes, Way},
    sockets::{Stop, is_missing},
};
use entry::Entry;

/// How many entries this network namespace has; the file is there when the kernel has connection
/// tracking. Asking the subsystem itself would load its module on hosts that do not use it.
const COUNT: &str = "/proc/sys/net/netfilter/nf_conntrack_count";

const TCP: u8 = IpProto::Tcp as u8;
const UDP: u8 = IpProto::Udp as u8;
const UDP_LITE: u8 = IpProto::UdpLite as u8;
const SCTP: u8 = IpProto::Sctp as u8;
const DCCP: u8 = IpProto::Dccp as u8;
const ICMP: u8 = IpProto::Icmp as u8;
const ICMPV6: u8 = IpProto::Ipv6Icmp as u8;

/// Calls `each` with every connection that uses an uplink.
///
/// # Errors
/// [`SeedError`], or what `each` fails with.
pub(super) fn survey<E: From<SeedError>>(
    routes: &mut Routes<'_>,
    mut each: impl FnMut(Connection) -> Result<(), E>,
) -> Result<Survey, E> {
    if let Some(nothing) = without_entries(fs::read_to_string(COUNT)).map_err(listing)? {
        return Ok(nothing);
    }
    let mut channel = match Channel::open(NETLINK_NETFILTER) {
        Ok(channel) => channel,
        Err(error) if is_missing(&error) => return Ok(unlisted()),
        Err(source) => return Err(listing(source).into()),
    };
    let mut survey = Survey::default();
    let header = NetfilterHeader::new(NetfilterProtoFamily::Unspec, 0, 0);
    let request = NetfilterMessage::new(header, ConntrackMessage::Get(Vec::new()));
    let dumped = channel.dump(&request, |payload| {
        survey.entries += 1;
        let Some(entry) = Entry::parse(payload) else {
            survey.unreadable += 1;
            return Ok(());
        };
        if entry.zone != 0 {
            survey.zoned += 1;
            return Ok(());
        }
        let connections = on_uplinks(&entry, routes).map_err(Stop::Route)?;
        connections.into_iter().try_for_each(&mut each).map_err(Stop::Caller)
    });
    match dumped {
        Ok(()) => Ok(survey),
        // What the kernel says to a subsystem that it does not have.
        Err(Stop::Kernel(error))
            if is_missing(&error) || error.raw_os_error() == Some(libc::EINVAL) =>
        {
            Ok(unlisted())
        }
        Err(Stop::Kernel(source)) => Err(listing(source).into()),
        Err(Stop::Route(error)) => Err(error.into()),
        Err(Stop::Caller(error)) => Err(error),
    }
}

/// What there is to say if there are no entries.
fn without_entries(count: io::Result<String>) -> io::Result<Option<Survey>> {
    match count {
        Ok(count) if count.trim() == "0" => Ok(Some(Survey::default())),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let missing = Some("the kernel does not track connections here");
            Ok(Some(Survey { missing, ..Survey::default() }))
        }
        Err(error) => Err(error),
    }
}

/// The connection as it is on each of the uplinks that it may use.
fn on_uplinks(entry: &Entry, routes: &mut Routes<'_>) -> Result<Vec<Connection>, SeedError> {
    let nothing = Ok(Vec::new());
    let Some(direction) = direction(entry, routes)? else { return nothing };
    let Leaving { opened, device, is_forwarded } = direction;
    let Some(stage) = stage(entry, opened) else { return nothing };
    let Some(key) = key(entry, opened) else { return nothing };
    let paths = routes.links().paths(device).iter();
    let keys = paths.map(|&vlan| FlowKey { vlan, ..key });
    Ok(keys.map(|key| Connection { key, stage, opened, is_forwarded }).collect())
}

/// How a connection uses an uplink.
struct Leaving {
    opened: Direction,
    device: u32,
    is_forwarded: bool,
}

/// Which side of an uplink a connection was opened from; `None` if it does not use any.
fn direction(entry: &Entry, routes: &mut Routes<'_>) -> Result<Option<Leaving>, SeedError> {
    let Entry { original, reply, .. } = entry;
    // Whoever replies does so from the address after translation.
    let ends = (routes.way(original.source, None, 0)?, routes.way(reply.source, None, 0)?);
    let leaving = match ends {
        (Way::Here, Way::Here) => return Ok(None),
        // Of what this host sends itself, the source decides where it goes, too.
        (Way::Here, _) => match routes.way(reply.source, Some(original.source), 0)? {
            Way::Out(device) => (Direction::Outbound, device, false),
            Way::Here | Way::Elsewhere => return Ok(None),
        },
        (_, Way::Here) => match routes.way(original.source, Some(reply.source), 0)? {
            Way::Out(device) => (Direction::Inbound, device, false),
            Way::Here | Way::Elsewhere => return Ok(None),
        },
        (_, Way::Out(device)) => (Direction::Outbound, device, true),
        (Way::Out(device), Way::Elsewhere) => (Direction::Inbound, device, true),
        (Way::Elsewhere, Way::Elsewhere) => return Ok(None),
    };
    let (opened, device, is_forwarded) = leaving;
    Ok(Some(Leaving { opened, device, is_forwarded }))
}

/// The flow as it is seen on the uplink.
fn key(entry: &Entry, opened: Direction) -> Option<FlowKey> {
    let Entry { original, reply, protocol, .. } = entry;
    let (inside, outside) = match opened {
        Direction::Outbound => (reply.destination_end(), reply.source_end()),
        Direction::Inbound => (original.destination_end(), original.source_end()),
    };
    let portless = |end: End, port: u16| End { port, ..end };
    match *protocol {
        ICMP | ICMPV6 => {
            // Only inside may ask, and translation may have chosen another identifier.
            let (kind, id) = (original.icmp_type?, reply.icmp_id?);
            let family = if *protocol == ICMPV6 { Family::Ipv6 } else { Family::Ipv4 };
            let port =
                query_port(family, opened, kind).filter(|_| opened == Direction::Outbound)?;
            flow_key(portless(inside, id), portless(outside, port), *protocol)
        }
        TCP | UDP | UDP_LITE | SCTP | DCCP => flow_key(inside, outside, *protocol),
        // What tracking calls the ports of GRE are parts of its header.
        _ => flow_key(portless(inside, 0), portless(outside, 0), *protocol),
    }
}

/// How far a connection is; `None` when it is over, or when nobody inside ever took part.
fn stage(entry: &Entry, opened: Direction) -> Option<Stage> {
    if entry.is_over {
        return None;
    }
    let is_outbound = opened == Direction::Outbound;
    let opening = is_outbound.then_some(Stage::Opening);
    if entry.protocol != TCP {
        return if entry.has_reply { Some(Stage::Open) } else { opening };
    }
    // The kernel's `TCP_CONNTRACK_*`.
    match entry.tcp_state? {
        // SYN_SENT, SYN_SENT2.
        1 | 9 => opening,
        // SYN_RECV: the side that did not open has answered.
        2 => Some(Stage::Opening),
        3 => Some(Stage::Open),
        // FIN_WAIT, CLOSE_WAIT: one side has closed.
        4 | 5 => {
            let is_inside = entry.opener_closed == is_outbound;
            Some(if is_inside { Stage::InsideClosed } else { Stage::OutsideClosed })
        }
        // LAST_ACK.
        6 => Some(Stage::BothClosed),
        // NONE, TIME_WAIT, CLOSE: there is nothing left to cut.
        _ => None,
    }
}

fn unlisted() -> Survey {
    let missing = Some("the kernel does not list tracked connections (CONFIG_NF_CT_NETLINK)");
    Survey { missing, ..Survey::default() }
}

fn listing(source: io::Error) -> SeedError {
    SeedError { action: "listing tracked connections", source }
}

#[cfg(test)]
mod tests;
