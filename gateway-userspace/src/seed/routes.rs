//! Which device the kernel sends packets by.

use std::{collections::HashMap, io, net::IpAddr};

use netlink_packet_core::Parseable as _;
use netlink_sys::protocols::NETLINK_ROUTE;
use rtnetlink::packet_route::{
    AddressFamily, RouteNetlinkMessage,
    route::{RouteAddress, RouteAttribute, RouteMessage, RouteType},
};

use super::{Links, SeedError, netlink::Channel};

/// Answers that are remembered: many connections go to few hosts, and the memory is bounded.
const REMEMBERED_MAX: usize = 65_536;

/// Where packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// To this host itself.
    Here,
    /// Out by the device of this index, which leads to an uplink.
    Out(u32),
    /// Anywhere else, or nowhere.
    Elsewhere,
}

/// A question: destination, source if it is this host's, and device if that is given.
type Question = (IpAddr, Option<IpAddr>, u32);

/// The kernel's routes, and what they have answered so far.
pub(super) struct Routes<'a> {
    links: &'a Links,
    channel: Channel,
    known: HashMap<Question, Way>,
}

impl<'a> Routes<'a> {
    /// Begins to ask.
    ///
    /// # Errors
    /// [`SeedError`].
    pub(super) fn open(links: &'a Links) -> Result<Self, SeedError> {
        let channel = Channel::open(NETLINK_ROUTE).map_err(looking_up)?;
        Ok(Self { links, channel, known: HashMap::new() })
    }

    /// The devices that lead to uplinks.
    pub(super) const fn links(&self) -> &'a Links {
        self.links
    }

    /// Where packets to `destination` go, if they are from `source`, which is this host's, and
    /// from a socket that is bound to the device `interface` unless that is 0.
    ///
    /// # Errors
    /// [`SeedError`].
    pub(super) fn way(
        &mut self,
        destination: IpAddr,
        source: Option<IpAddr>,
        interface: u32,
    ) -> Result<Way, SeedError> {
        let question = (destination, source, interface);
        if let Some(&way) = self.known.get(&question) {
            return Ok(way);
        }
        let way = match self.look_up(question)? {
            // The kernel refuses sources that are not its own, which a transparent proxy's sockets
            // have.
            None if source.is_some() => self.way(destination, None, interface)?,
            way => way.unwrap_or(Way::Elsewhere),
        };
        if self.known.len() >= REMEMBERED_MAX {
            self.known.clear();
        }
        self.known.insert(question, way);
        Ok(way)
    }

    /// What the kernel answers; `None` if there is no way.
    fn look_up(&mut self, question: Question) -> Result<Option<Way>, SeedError> {
        match self.channel.ask(&request(question)) {
            Ok(answer) => Ok(RouteMessage::parse(&answer[..]).ok().map(|route| self.read(&route))),
            Err(error) if is_no_route(&error) => Ok(None),
            Err(source) => Err(looking_up(source)),
        }
    }

    fn read(&self, route: &RouteMessage) -> Way {
        let oif = route.attributes.iter().find_map(|attribute| {
            if let RouteAttribute::Oif(index) = attribute { Some(*index) } else { None }
        });
        match (route.header.kind, oif) {
            (RouteType::Local, _) => Way::Here,
            (RouteType::Unicast, Some(device)) if !self.links.paths(device).is_empty() => {
                Way::Out(device)
            }
            _ => Way::Elsewhere,
        }
    }
}

fn request((destination, source, interface): Question) -> RouteNetlinkMessage {
    let mut message = RouteMessage::default();
    let (family, bits) = match destination {
        IpAddr::V4(_) => (AddressFamily::Inet, 32),
        IpAddr::V6(_) => (AddressFamily::Inet6, 128),
    };
    message.header.address_family = family;
    message.header.destination_prefix_length = bits;
    message.attributes.push(RouteAttribute::Destination(RouteAddress::from(destination)));
    if let Some(source) = source {
        message.header.source_prefix_length = bits;
        message.attributes.push(RouteAttribute::Source(RouteAddress::from(source)));
    }
    if interface != 0 {
        message.attributes.push(RouteAttribute::Oif(interface));
    }
    RouteNetlinkMessage::GetRoute(message)
}

/// Whether the kernel says that packets would go nowhere. It also refuses sources that are not its
/// own any more, and devices that are gone.
fn is_no_route(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::ENETUNREACH
                | libc::EHOSTUNREACH
                | libc::EACCES
                | libc::EINVAL
                | libc::ENODEV
                | libc::EADDRNOTAVAIL
                | libc::EAFNOSUPPORT
                | libc::EOPNOTSUPP
                | libc::ESRCH
        )
    )
}

fn looking_up(source: io::Error) -> SeedError {
    SeedError { action: "looking up routes", source }
}
