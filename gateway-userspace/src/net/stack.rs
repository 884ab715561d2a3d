//! How network devices stand on each other.

use futures_util::TryStreamExt as _;
use rtnetlink::{
    Handle,
    packet_route::link::{InfoData, InfoKind, InfoVlan, LinkAttribute, LinkInfo, LinkMessage},
};

use super::{NetError, rtnetlink::ask};

/// A network device and what it stands on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Its index.
    pub index: u32,
    /// The bridge, bond or other device that it is a port of.
    pub master: Option<u32>,
    /// The device of this host that its frames leave by.
    pub lower: Option<u32>,
    /// The tag that frames get on their way to `lower`.
    pub vlan: Option<u16>,
}

/// Every device of this thread's network namespace.
///
/// # Errors
/// [`NetError::Netlink`].
pub fn links() -> Result<Vec<Link>, NetError> {
    ask("listing interfaces", async |handle: Handle| {
        handle.link().get().execute().map_ok(|message| link(&message)).try_collect().await
    })
}

fn link(message: &LinkMessage) -> Link {
    let attributes = &message.attributes;
    let master = attributes.iter().find_map(|attribute| {
        if let LinkAttribute::Controller(master) = attribute { Some(*master) } else { None }
    });
    let below = attributes.iter().find_map(|attribute| {
        if let LinkAttribute::Link(index) = attribute { Some(*index) } else { None }
    });
    let info: &[LinkInfo] = attributes
        .iter()
        .find_map(|attribute| {
            if let LinkAttribute::LinkInfo(info) = attribute { Some(&info[..]) } else { None }
        })
        .unwrap_or_default();
    // Of other kinds the index may be one in another namespace: that of a veth's peer.
    let leaves_by_it = info.iter().any(|part| {
        matches!(
            part,
            LinkInfo::Kind(
                InfoKind::Vlan | InfoKind::MacVlan | InfoKind::IpVlan | InfoKind::MacSec
            )
        )
    });
    let vlan = info.iter().find_map(|part| {
        let LinkInfo::Data(InfoData::Vlan(parts)) = part else { return None };
        parts.iter().find_map(|part| if let InfoVlan::Id(vlan) = part { Some(*vlan) } else { None })
    });
    Link { index: message.header.index, master, lower: below.filter(|_| leaves_by_it), vlan }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_some_kinds_leave_by_the_device_below() {
        let device = |kind, data: Vec<LinkInfo>| {
            let mut message = LinkMessage::default();
            message.header.index = 9;
            let info = [vec![LinkInfo::Kind(kind)], data].concat();
            message.attributes = vec![
                LinkAttribute::Link(4),
                LinkAttribute::Controller(7),
                LinkAttribute::LinkInfo(info),
            ];
            link(&message)
        };
        let tag = vec![LinkInfo::Data(InfoData::Vlan(vec![InfoVlan::Id(100)]))];
        let port = Link { index: 9, master: Some(7), lower: None, vlan: None };
        assert_eq!(device(InfoKind::Veth, Vec::new()), port);
        let on_four = Link { lower: Some(4), ..port };
        assert_eq!(device(InfoKind::MacVlan, Vec::new()), on_four);
        assert_eq!(device(InfoKind::Vlan, tag), Link { vlan: Some(100), ..on_four });
    }

    #[test]
    fn the_loopback_device_stands_on_nothing() {
        let links = links().expect("interfaces are listed");
        let loopback = Link { index: 1, ..Link::default() };
        assert!(links.contains(&loopback), "{links:?}");
    }
}
