//! Tagged frames. The kernel here may have no VLAN devices, so both ends write their own, but for
//! the test that is about such devices.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::json;
use tests::{
    address::{Dual, FAMILIES},
    capture::Link,
    eigw::{Hook, NAME},
    packet::{PROVIDER_TAG, Packet, flag},
    socket,
    topology::{GATEWAY, Lab, OUTSIDE, ROUTER_MAC, UPLINK_MAC},
    wait::{self, PATIENCE},
};

use crate::in_every_hook;

in_every_hook!(a_flow_belongs_to_its_vlan);
in_every_hook!(tags_hide_nothing);

/// E6, E9: a reply passes in the VLAN of its question and in no other.
fn a_flow_belongs_to_its_vlan(hook: Hook) {
    let lab = Lab::new();
    lab.attach(hook);
    let (router, gateway) =
        (Link::open(&lab.router, "gateway"), Link::open(&lab.gateway, "uplink"));
    for family in FAMILIES {
        let question = Packet::ip(GATEWAY.ip(family), OUTSIDE.ip(family))
            .macs(UPLINK_MAC, ROUTER_MAC)
            .udp(40_001, 5_000)
            .payload(b"question");
        let answer = question.mirror();
        let created = lab.packets("out", "flow-created");
        gateway.send(&question.clone().vlan(10).frame());
        wait::until_true("the flow", || lab.packets("out", "flow-created") == created + 1);
        let expected = question.clone().vlan(10).frame();
        router.expect("the question", |frame| frame == expected || frame == question.frame());

        lab.expect_drops("no-flow", 3, || {
            router.send(&answer.frame());
            router.send(&answer.clone().vlan(20).frame());
            router.send(&answer.clone().tag(PROVIDER_TAG, 30).vlan(10).frame());
        });
        let passed = lab.packets("in", "flow");
        router.send(&answer.clone().vlan(10).frame());
        // Priority bits are not part of the VLAN.
        router.send(&answer.clone().vlan(0xe000 | 0xa).frame());
        wait::until_true("the answers", || lab.packets("in", "flow") == passed + 2);
        let remote = json!(OUTSIDE.ip(family).to_string());
        let flows = lab.flows();
        let vlans: Vec<_> = flows
            .iter()
            .filter(|flow| flow["remote"] == remote)
            .map(|flow| &flow["vlan"])
            .collect();
        assert_eq!(vlans, [&json!(10)], "{flows:#?}");
    }
}

/// E5, E7, E8: no number of tags gets anything past the gateway.
fn tags_hide_nothing(hook: Hook) {
    let lab = Lab::new();
    lab.attach(hook);
    let router = Link::open(&lab.router, "gateway");
    for family in FAMILIES {
        let syn = || {
            Packet::ip(OUTSIDE.ip(family), GATEWAY.ip(family)).macs(ROUTER_MAC, UPLINK_MAC).tcp(
                40_000,
                22,
                flag::SYN,
            )
        };
        lab.expect_drops("no-flow", 3, || {
            router.send(&syn().vlan(0).frame());
            router.send(&syn().vlan(10).frame());
            router.send(&syn().tag(PROVIDER_TAG, 20).vlan(10).frame());
        });
        lab.expect_drops("vlan-depth", 1, || {
            router.send(&syn().tag(PROVIDER_TAG, 20).vlan(10).vlan(5).frame());
        });
    }
}

/// E6: connections of a VLAN device belong to its VLAN where the uplink carries it, and to none where
/// the device is the uplink itself, which takes what hooks such a device has. Unasked, nothing
/// comes in either way.
#[test]
#[ignore = "needs VLAN devices, which not every kernel has: `cargo xtask kernels` runs it"]
fn a_vlan_device_is_protected_and_so_is_what_carries_it() {
    const HERE: Dual = dual(1);
    const THERE: Dual = dual(2);
    let lab = Lab::new();
    for (host, below, at) in [(&lab.gateway, "uplink", HERE), (&lab.router, "gateway", THERE)] {
        host.ip(&format!(
            "link add link {below} name tagged type vlan id 10\n\
             link set tagged up\n\
             address add {}/24 dev tagged\n\
             address add {}/64 dev tagged nodad\n",
            at.v4, at.v6
        ));
    }
    let _services = FAMILIES.map(|family| socket::tcp_echo(&lab.router, THERE.port(family, 7)));
    let private = FAMILIES.map(|family| socket::udp_echo(&lab.gateway, HERE.port(family, 9)));
    let carrier: &[&str] = &["attach", "--uplink", "uplink", "--name", NAME, "--hook", "tc"];
    let device: &[&str] = &["attach", "--uplink", "tagged", "--name", NAME];
    for (attach, vlan) in [(carrier, json!(10)), (device, json!(null))] {
        lab.eigw(attach).success();
        for (family, service) in FAMILIES.into_iter().zip(&private) {
            let server = THERE.port(family, 7);
            let echoed = socket::tcp_exchange(&lab.gateway, server, b"tagged", PATIENCE);
            assert_eq!(echoed.expect("TCP"), b"tagged", "{attach:?}");
            lab.expect_drops("no-flow", 1, || {
                let stranger = socket::udp_client(&lab.router, HERE.port(family, 9), PATIENCE);
                stranger.expect("a socket").send(b"now?").expect("sent");
            });
            assert_eq!(service.served(), 0, "{attach:?}");
        }
        let flows = lab.flows();
        assert!(flows.len() >= 2 && flows.iter().all(|flow| flow["vlan"] == vlan), "{flows:#?}");
        lab.detach();
    }
}

/// Addresses of the VLAN, of which the host part is this.
const fn dual(host: u8) -> Dual {
    Dual {
        v4: Ipv4Addr::new(10, 77, 10, host),
        v6: Ipv6Addr::new(0x2a00, 1, 0, 0x10, 0, 0, 0, host as u16),
    }
}
