//! Tagged frames. The kernel here may have no VLAN devices, so both ends write their own.

use serde_json::json;
use tests::{
    address::FAMILIES,
    capture::Link,
    eigw::Hook,
    packet::{PROVIDER_TAG, Packet, flag},
    topology::{GATEWAY, Lab, OUTSIDE, ROUTER_MAC, UPLINK_MAC},
    wait,
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
