//! The lab: a gateway with a network behind it and a small internet in front of it.
//!
//! ```text
//!  inside ─────────────── gateway ─────────────── router ─────────────── outside
//!    │ gateway      inside │   │ uplink     gateway │   │ outside     router │
//!    │                     │   │                    │   │                    │
//!  10.77.1.2       10.77.1.1   10.77.2.1    10.77.2.2   10.77.3.1    10.77.3.2
//!  2a00:1:0:a::2           ::1 2a00:1:0:ff::1     ::2   2a00:2:0:b::1      ::2
//! ```
//!
//! Each line is a pair of veths; an interface is named after where it leads. The gateway program
//! sits on `uplink`. Routers forward, hosts have a default route, and nothing filters but the
//! gateway: reverse-path checks and the kernel's limits on ICMP errors are off. Documentation
//! prefixes are not used, since the gateway rightly refuses them.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    process::Command,
};

use gateway_common::tuple::Family;

use crate::{
    address::{Dual, FAMILIES},
    bpffs::Bpffs,
    icmp,
    netns::{self, Netns},
    unique, wait,
};

/// The inside host.
pub const INSIDE: Dual =
    Dual { v4: Ipv4Addr::new(10, 77, 1, 2), v6: Ipv6Addr::new(0x2a00, 1, 0, 0xa, 0, 0, 0, 2) };
/// The gateway as its inside hosts see it.
pub const GATEWAY_INSIDE: Dual =
    Dual { v4: Ipv4Addr::new(10, 77, 1, 1), v6: Ipv6Addr::new(0x2a00, 1, 0, 0xa, 0, 0, 0, 1) };
/// The gateway on its uplink.
pub const GATEWAY: Dual =
    Dual { v4: Ipv4Addr::new(10, 77, 2, 1), v6: Ipv6Addr::new(0x2a00, 1, 0, 0xff, 0, 0, 0, 1) };
/// The provider's router at the other end of the uplink.
pub const ROUTER: Dual =
    Dual { v4: Ipv4Addr::new(10, 77, 2, 2), v6: Ipv6Addr::new(0x2a00, 1, 0, 0xff, 0, 0, 0, 2) };
/// The router as the outside host sees it.
pub const ROUTER_OUTSIDE: Dual =
    Dual { v4: Ipv4Addr::new(10, 77, 3, 1), v6: Ipv6Addr::new(0x2a00, 2, 0, 0xb, 0, 0, 0, 1) };
/// The outside host.
pub const OUTSIDE: Dual =
    Dual { v4: Ipv4Addr::new(10, 77, 3, 2), v6: Ipv6Addr::new(0x2a00, 2, 0, 0xb, 0, 0, 0, 2) };
/// A second address of the outside host: somebody else, to the gateway.
pub const STRANGER: Dual =
    Dual { v4: Ipv4Addr::new(10, 77, 3, 3), v6: Ipv6Addr::new(0x2a00, 2, 0, 0xb, 0, 0, 0, 3) };

/// The gateway's interface that the tests protect.
pub const UPLINK: &str = "uplink";
/// The link-layer address of the gateway's uplink.
pub const UPLINK_MAC: [u8; 6] = [0x02, 0x77, 0, 0, 0, 0x21];
/// The link-layer address of the router's end of the uplink.
pub const ROUTER_MAC: [u8; 6] = [0x02, 0x77, 0, 0, 0, 0x22];

/// What a lab may have otherwise than usual.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Every link's MTU, in bytes.
    pub mtu_bytes: u16,
    /// Whether segmentation, receive and checksum offloads are on, as they are on real cards.
    pub offloads: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { mtu_bytes: 1500, offloads: true }
    }
}

/// The four hosts, connected, and a BPF file system of their own.
#[derive(Debug)]
pub struct Lab {
    /// The host that the gateway protects.
    pub inside: Netns,
    /// The gateway.
    pub gateway: Netns,
    /// The provider's router.
    pub router: Netns,
    /// The host that offers services.
    pub outside: Netns,
    /// Where this lab's gateways are pinned.
    pub bpffs: Bpffs,
}

impl Lab {
    /// A lab with the usual options.
    ///
    /// # Panics
    /// Without root, or if the kernel lacks something.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Options::default())
    }

    /// A lab with these options.
    ///
    /// # Panics
    /// Without root, or if the kernel lacks something.
    #[must_use]
    pub fn with(options: Options) -> Self {
        Self::named(&unique::stem(), Bpffs::new(), options)
    }

    /// A lab whose namespaces are called `<stem>-inside` and so on.
    ///
    /// # Panics
    /// Without root, or if the kernel lacks something.
    #[must_use]
    pub fn named(stem: &str, bpffs: Bpffs, options: Options) -> Self {
        netns::require_root();
        let [inside, gateway, router, outside] = roles(stem).map(|name| Netns::new(&name));
        let lab = Self { inside, gateway, router, outside, bpffs };
        lab.prepare_hosts();
        lab.connect(options.mtu_bytes);
        if !options.offloads {
            lab.switch_offloads_off();
        }
        for family in FAMILIES {
            lab.wait_for_path(family);
        }
        lab
    }

    /// The four hosts.
    #[must_use]
    pub const fn hosts(&self) -> [&Netns; 4] {
        [&self.inside, &self.gateway, &self.router, &self.outside]
    }

    /// Leaves everything in place when this value goes away.
    pub fn keep(&mut self) {
        for host in [&mut self.inside, &mut self.gateway, &mut self.router, &mut self.outside] {
            host.keep();
        }
        self.bpffs.keep();
    }

    /// Waits until inside reaches outside and back.
    fn wait_for_path(&self, family: Family) {
        let outside = OUTSIDE.ip(family);
        wait::until_true("the path from inside to outside", || {
            icmp::ping(&self.inside, outside).is_ok()
        });
    }

    fn prepare_hosts(&self) {
        for host in self.hosts() {
            host.sysctl(&[
                // Addresses are usable at once; nobody else is on these links.
                ("net/ipv6/conf/default/accept_dad", "0"),
                ("net/ipv6/conf/default/router_solicitations", "0"),
                ("net/ipv4/conf/all/rp_filter", "0"),
                ("net/ipv4/conf/default/rp_filter", "0"),
                // Every error is sent, so that tests can count them.
                ("net/ipv4/icmp_ratelimit", "0"),
                ("net/ipv6/icmp/ratelimit", "0"),
                ("net/ipv4/ping_group_range", "0 0"),
            ]);
        }
        for host in [&self.gateway, &self.router] {
            host.sysctl(&[("net/ipv4/ip_forward", "1"), ("net/ipv6/conf/all/forwarding", "1")]);
        }
    }

    fn connect(&self, mtu: u16) {
        let [inside, _, router, outside] = self.hosts().map(Netns::name);
        self.gateway.ip(&format!(
            "link add inside mtu {mtu} type veth peer name gateway mtu {mtu} netns {inside}\n\
             link add uplink mtu {mtu} type veth peer name gateway mtu {mtu} netns {router}\n\
             link set inside address 02:77:00:00:00:12\n\
             link set uplink address 02:77:00:00:00:21\n"
        ));
        self.router.ip(&format!(
            "link add outside mtu {mtu} type veth peer name router mtu {mtu} netns {outside}\n\
             link set gateway address 02:77:00:00:00:22\n\
             link set outside address 02:77:00:00:00:31\n"
        ));
        self.inside.ip("link set gateway address 02:77:00:00:00:11\n");
        self.outside.ip("link set router address 02:77:00:00:00:32\n");

        address(&self.inside, "gateway", INSIDE);
        address(&self.gateway, "inside", GATEWAY_INSIDE);
        address(&self.gateway, UPLINK, GATEWAY);
        address(&self.router, "gateway", ROUTER);
        address(&self.router, "outside", ROUTER_OUTSIDE);
        address(&self.outside, "router", OUTSIDE);
        address(&self.outside, "router", STRANGER);

        default_route(&self.inside, GATEWAY_INSIDE);
        default_route(&self.gateway, ROUTER);
        default_route(&self.outside, ROUTER_OUTSIDE);
        self.router.ip(&format!(
            "route add 10.77.1.0/24 via {}\nroute add 2a00:1:0:a::/64 via {}\n",
            GATEWAY.v4, GATEWAY.v6
        ));
    }

    fn switch_offloads_off(&self) {
        let links = [
            (&self.inside, "gateway"),
            (&self.gateway, "inside"),
            (&self.gateway, UPLINK),
            (&self.router, "gateway"),
            (&self.router, "outside"),
            (&self.outside, "router"),
        ];
        for (host, interface) in links {
            let mut command = Command::new("ethtool");
            command.args(["-K", interface, "tx", "off", "rx", "off", "sg", "off"]);
            command.args(["tso", "off", "gso", "off", "gro", "off"]);
            let output =
                host.output(&mut command).unwrap_or_else(|error| panic!("start ethtool: {error}"));
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "switch offloads of {interface} off:\n{stderr}");
        }
    }
}

impl Default for Lab {
    fn default() -> Self {
        Self::new()
    }
}

/// The names of the four namespaces of the lab called `stem`.
#[must_use]
pub fn roles(stem: &str) -> [String; 4] {
    ["inside", "gateway", "router", "outside"].map(|role| format!("{stem}-{role}"))
}

fn address(host: &Netns, interface: &str, at: Dual) {
    host.ip(&format!(
        "link set {interface} up\n\
         address add {}/24 dev {interface}\n\
         address add {}/64 dev {interface} nodad\n",
        at.v4, at.v6
    ));
}

fn default_route(host: &Netns, via: Dual) {
    host.ip(&format!("route add default via {}\nroute add default via {}\n", via.v4, via.v6));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_host_reaches_every_other_without_a_gateway() {
        let lab = Lab::new();
        for family in FAMILIES {
            icmp::ping(&lab.outside, INSIDE.ip(family)).expect("outside reaches inside");
            icmp::ping(&lab.gateway, OUTSIDE.ip(family)).expect("the gateway reaches outside");
            icmp::ping(&lab.inside, STRANGER.ip(family)).expect("inside reaches the stranger");
        }
    }

    #[test]
    fn a_lab_leaves_nothing_behind() {
        let lab = Lab::with(Options { mtu_bytes: 9000, offloads: false });
        let names = lab.hosts().map(|host| host.name().to_owned());
        let bpffs = lab.bpffs.path().to_owned();
        assert!(names.iter().all(|name| netns::exists(name)) && bpffs.exists());
        drop(lab);
        assert!(!names.iter().any(|name| netns::exists(name)) && !bpffs.exists());
    }

    #[test]
    fn labs_are_independent() {
        let (one, two) = (Lab::new(), Lab::new());
        one.outside.ip("link set router down");
        icmp::ping(&two.inside, OUTSIDE.v4.into()).expect("the other lab still works");
        assert!(icmp::ping(&one.inside, OUTSIDE.v4.into()).is_err());
    }
}
