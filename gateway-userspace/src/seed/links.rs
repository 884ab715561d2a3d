//! Which devices lead to an uplink, and with which VLAN tags their frames are seen there.

use std::collections::HashMap;

use gateway_common::tuple::VlanPath;

use crate::net::stack::Link;

/// How deep devices may be stacked; the kernel allows no more.
const DEPTH_MAX: usize = 8;

/// The devices that lead to an uplink.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links {
    paths: HashMap<u32, Vec<VlanPath>>,
}

impl Links {
    /// Finds out which of `links` lead to one of the uplinks of these indices: the uplinks
    /// themselves, VLANs on them, and bridges and bonds of which they are ports.
    #[must_use]
    pub fn new(links: &[Link], uplinks: &[u32]) -> Self {
        let mut found = Self::default();
        for &uplink in uplinks {
            found.add(uplink, VlanPath::default());
        }
        // Each round goes one device further up.
        for _ in 0..DEPTH_MAX {
            for link in links {
                if let Some(master) = link.master {
                    found.extend(master, link.index, Some);
                }
                if let Some(lower) = link.lower {
                    found.extend(link.index, lower, |path| tagged(path, link.vlan));
                }
            }
        }
        found
    }

    /// The ways in which frames of a device are seen on uplinks; none if they are not.
    #[must_use]
    pub fn paths(&self, device: u32) -> &[VlanPath] {
        self.paths.get(&device).map_or(&[], Vec::as_slice)
    }

    fn extend(&mut self, upper: u32, lower: u32, step: impl Fn(VlanPath) -> Option<VlanPath>) {
        let paths: Vec<_> = self.paths(lower).iter().copied().filter_map(step).collect();
        for path in paths {
            self.add(upper, path);
        }
    }

    fn add(&mut self, device: u32, path: VlanPath) {
        let paths = self.paths.entry(device).or_default();
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
}

/// A path with one more tag, inside those that it has; `None` when the parser would not follow.
fn tagged(path: VlanPath, vlan: Option<u16>) -> Option<VlanPath> {
    match (vlan, path) {
        (None | Some(0), path) => Some(path),
        (Some(outer), VlanPath { outer: 0, .. }) => Some(VlanPath { outer, inner: 0 }),
        (Some(inner), VlanPath { outer, inner: 0 }) => Some(VlanPath { outer, inner }),
        (Some(_), _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPLINK: u32 = 2;

    #[test]
    fn devices_on_an_uplink_lead_to_it_with_their_tags() {
        let vlan = |index, lower, vlan| Link {
            index,
            lower: Some(lower),
            vlan: Some(vlan),
            ..Link::default()
        };
        let port = |index, master| Link { index, master: Some(master), ..Link::default() };
        let links = [
            // Upper devices may come first.
            vlan(11, 10, 200),
            vlan(10, UPLINK, 100),
            vlan(12, 11, 300),
            port(UPLINK, 20),
            port(3, 20),
            vlan(21, 20, 7),
            Link { index: 22, lower: Some(UPLINK), ..Link::default() },
            vlan(31, 30, 100),
        ];
        let found = Links::new(&links, &[UPLINK]);
        let path = |outer, inner| VlanPath { outer, inner };
        for (device, expected) in [
            (UPLINK, Some(path(0, 0))),
            (10, Some(path(100, 0))),
            (11, Some(path(100, 200))),
            (12, None),
            (20, Some(path(0, 0))),
            (21, Some(path(7, 0))),
            (22, Some(path(0, 0))),
            (3, None),
            (30, None),
            (31, None),
        ] {
            assert_eq!(found.paths(device), expected.as_slice(), "device {device}");
        }
    }

    #[test]
    fn devices_that_stand_on_each_other_end_nothing() {
        let links = [
            Link { index: 5, lower: Some(6), vlan: Some(1), master: Some(UPLINK) },
            Link { index: 6, lower: Some(5), vlan: Some(2), master: Some(5) },
            Link { index: UPLINK, master: Some(6), ..Link::default() },
        ];
        assert!(!Links::new(&links, &[UPLINK]).paths(6).is_empty());
        assert_eq!(Links::new(&links, &[]), Links::default());
    }
}
