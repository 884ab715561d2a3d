//! Interfaces that lie on top of others, or together in one.

use std::collections::HashSet;

use futures_util::TryStreamExt;
use rtnetlink::{
    Handle,
    packet_route::link::{InfoData, InfoVlan, LinkAttribute, LinkInfo, LinkMessage},
};

use super::{
    NetError,
    interface::{self, Interface},
    rtnetlink::ask,
};

/// An interface and its place among the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    /// The interface, without its addresses.
    pub(crate) interface: Interface,
    /// What kind of virtual interface it is, as in `ip link`; none for hardware.
    pub(crate) kind: Option<String>,
    /// The interface below it in this namespace, or a veth's other end.
    pub(crate) lower: Option<u32>,
    /// The bridge, bond or other interface that it is a port of.
    pub(crate) controller: Option<u32>,
    /// The VLAN that it carries of the one below.
    pub(crate) vlan_id: Option<u16>,
}

impl Link {
    fn is_any_of(&self, kinds: &[&str]) -> bool {
        self.kind.as_deref().is_some_and(|kind| kinds.contains(&kind))
    }

    /// Whether its frames travel as they are over the interface below it.
    fn shares_its_lower(&self) -> bool {
        self.is_any_of(&["vlan", "macvlan", "macvtap", "ipvlan", "ipvtap"])
    }

    /// Whether its frames travel as they are over its ports.
    pub(crate) fn has_ports(&self) -> bool {
        self.is_any_of(&["bridge", "bond", "team"])
    }
}

/// Every interface of this thread's network namespace, in the order of their indices.
///
/// # Errors
/// [`NetError::Netlink`].
pub(crate) fn all() -> Result<Vec<Link>, NetError> {
    let links = ask("listing the interfaces", async |handle: Handle| {
        handle.link().get().execute().map_ok(|link| from_message(&link)).try_collect().await
    });
    links.map(|mut links: Vec<Link>| {
        links.sort_by_key(|link| link.interface.index);
        links
    })
}

/// The interfaces over which what goes through the one of index `top` may travel: itself, those
/// below it, and the ports of bridges and bonds.
pub(crate) fn under(links: &[Link], top: u32) -> HashSet<u32> {
    let mut found = HashSet::from([top]);
    let mut open = vec![top];
    while let Some(index) = open.pop() {
        let Some(link) = links.iter().find(|link| link.interface.index == index) else { continue };
        let lower = link.lower.filter(|_| link.shares_its_lower());
        let ports = links
            .iter()
            .filter(|port| link.has_ports() && port.controller == Some(index))
            .map(|port| port.interface.index);
        open.extend(lower.into_iter().chain(ports).filter(|&index| found.insert(index)));
    }
    found
}

fn from_message(message: &LinkMessage) -> Link {
    let interface = interface::from_message(message);
    let mut link = Link { interface, kind: None, lower: None, controller: None, vlan_id: None };
    let mut is_lower_elsewhere = false;
    for attribute in &message.attributes {
        if let LinkAttribute::LinkInfo(infos) = attribute {
            (link.kind, link.vlan_id) = virtual_kind(infos);
        } else if let LinkAttribute::Link(lower) = attribute {
            link.lower = Some(*lower).filter(|&lower| lower != 0);
        } else if let LinkAttribute::Controller(controller) = attribute {
            link.controller = Some(*controller).filter(|&controller| controller != 0);
        } else if let LinkAttribute::LinkNetNsId(_) = attribute {
            is_lower_elsewhere = true;
        }
    }
    link.lower = link.lower.filter(|_| !is_lower_elsewhere);
    link
}

fn virtual_kind(infos: &[LinkInfo]) -> (Option<String>, Option<u16>) {
    let (mut kind, mut vlan_id) = (None, None);
    for info in infos {
        if let LinkInfo::Kind(found) = info {
            kind = Some(found.to_string());
        } else if let LinkInfo::Data(InfoData::Vlan(vlan)) = info {
            vlan_id = vlan
                .iter()
                .find_map(|info| if let InfoVlan::Id(id) = info { Some(*id) } else { None });
        }
    }
    (kind, vlan_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_under_an_interface_is_found_through_vlans_bonds_and_bridges() {
        let links = [
            link(1, None, None, None),
            link(2, None, None, Some(4)),
            link(3, None, None, Some(4)),
            link(4, Some("bond"), None, None),
            link(5, Some("vlan"), Some(4), Some(6)),
            link(6, Some("bridge"), None, None),
            link(7, Some("veth"), Some(2), Some(6)),
            link(8, Some("gre"), Some(1), None),
            link(9, Some("vrf"), None, None),
            link(10, None, None, Some(9)),
        ];
        for (top, expected) in [
            (1, &[1][..]),
            (5, &[2, 3, 4, 5]),
            (6, &[2, 3, 4, 5, 6, 7]),
            (7, &[7]),
            (8, &[8]),
            (9, &[9]),
            (99, &[99]),
        ] {
            assert_eq!(under(&links, top), expected.iter().copied().collect(), "{top}");
        }
    }

    #[test]
    fn the_loopback_device_is_among_all() {
        let links = all().expect("the kernel answers");
        let loopback = links.iter().find(|link| link.interface.name == "lo").expect("it is there");
        assert_eq!(
            (loopback.kind.as_ref(), loopback.lower, loopback.controller),
            (None, None, None)
        );
    }

    fn link(index: u32, kind: Option<&str>, lower: Option<u32>, controller: Option<u32>) -> Link {
        let interface = Interface {
            index,
            name: format!("if{index}"),
            mtu: 1_500,
            link_type: 1,
            up: true,
            addresses: Vec::new(),
            xdp: Vec::new(),
        };
        Link { interface, kind: kind.map(str::to_owned), lower, controller, vlan_id: None }
    }
}
