//! Openings that nobody means, on a port that is open.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use gateway_common::{
    tuple::{Direction, Family},
    verdict::Reason,
};
use gateway_userspace::datapath::Gateway;
use tests::{
    address::FAMILIES,
    capture::Link,
    eigw::Hook,
    packet::{Packet, flag},
    socket,
    topology::{INSIDE, Lab, OUTSIDE, ROUTER_MAC, UPLINK_MAC},
    wait::{self, PATIENCE},
};

use super::rule;
use crate::{in_every_hook, stream::Stream};

in_every_hook!(a_flood_of_forged_openings_fills_no_table);

/// Senders that do not exist.
const SOURCES: u32 = 10_000;
/// Frames that are sent before those on the way are waited for; no queue drops so few.
const BURST: u32 = 100;

/// RFC4787-REQ-11: SYNs from ten thousand forged sources on a published port reach the service,
/// are counted for the rule, and change no flow table; connections and flows that there are go on.
fn a_flood_of_forged_openings_fills_no_table(hook: Hook) {
    let lab = Lab::new();
    let publish = rule("in", "allow", "name = \"web\"\nproto = \"tcp\"\nports = 443");
    // The limits are far below what the flood would need.
    let limits = "[flows]\nhalf_open_max = 1024\nestablished_max = 1024\n";
    lab.attach_policy(hook, &format!("{limits}{publish}"));
    let gateway = lab.gateway_maps();
    let link = Link::open(&lab.router, "gateway");
    for family in FAMILIES {
        let _echo = socket::udp_echo(&lab.outside, OUTSIDE.port(family, 7));
        let server = socket::tcp_echo(&lab.inside, INSIDE.port(family, 443));
        let stream = Stream::start(&lab.inside, OUTSIDE.port(family, 7));
        let client = socket::connect(&lab.outside, server.address(), PATIENCE).expect("let in");
        socket::exchange(&client, b"before").expect("an echo");
        let count = || lab.eigw_json(&["flow", "count"])["count"].clone();
        let (flows, hits) = (count(), lab.hits("web"));
        let created = flow_events(&gateway);

        flood(&gateway, &link, family);
        assert_eq!(lab.hits("web"), hits + u64::from(SOURCES));
        assert_eq!(count(), flows, "the flood opened flows");
        assert_eq!(flow_events(&gateway), created, "the flood did something to flows");
        socket::exchange(&client, b"after").expect("the connection goes on");
        stream.finish();
        let earlier = server.served();
        socket::tcp_exchange(&lab.outside, server.address(), b"new", PATIENCE).expect("served");
        assert_eq!(server.served(), earlier + 1);
        lab.eigw(&["flow", "flush"]).success();
    }
}

fn flood(gateway: &Gateway, link: &Link, family: Family) {
    let let_in = || {
        let verdicts = gateway.verdicts().expect("counters can be read").into_iter();
        let wanted = (Direction::Inbound, Reason::RuleAllowed);
        let packets = verdicts.filter(|(d, r, _)| (*d, *r) == wanted);
        packets.map(|(_, _, counter)| counter.packets).sum::<u64>()
    };
    let before = let_in();
    for source in 0..SOURCES {
        let opening = Packet::ip(forged(family, source), INSIDE.ip(family));
        let opening = opening.macs(ROUTER_MAC, UPLINK_MAC).tcp(40_000, 443, flag::SYN);
        link.send(&opening.frame());
        if (source + 1) % BURST == 0 {
            wait::until_true("the openings under way", || let_in() > before + u64::from(source));
        }
    }
}

/// An address that nobody in the lab has.
fn forged(family: Family, number: u32) -> IpAddr {
    let [.., high, low] = number.to_be_bytes();
    match family {
        Family::Ipv4 => Ipv4Addr::new(11, 1, high, low).into(),
        Family::Ipv6 => {
            let number = u16::from_be_bytes([high, low]);
            Ipv6Addr::new(0x2a01, 7, 0, 0, 0, 0, number, 1).into()
        }
    }
}

/// How often anything happened to any flow.
fn flow_events(gateway: &Gateway) -> u64 {
    let events = gateway.flow_events().expect("counters can be read");
    events.into_iter().map(|(_, count)| count).sum()
}
