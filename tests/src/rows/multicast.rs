//! Groups, DHCP, and everything else that goes to more than one host.

use super::prelude::*;
use crate::packet::link::{LISTENER_DONE, LISTENER_REPORT};

const GATEWAY: &str = "fe80::a";
const ME: &str = "fe80::5";
const ALL_NODES: &str = "ff02::1";
const GROUP: &str = "ff02::1:ff00:5";

pub(super) fn rows() -> Vec<Row> {
    vec![
        listener_discovery(),
        listener_discovery_invalid(),
        listener_discovery_outbound(),
        multicast_router_discovery(),
        dhcpv4_reply(),
        dhcpv4_request(),
        dhcpv4_tricks(),
        dhcpv6_reply(),
        dhcpv6_request(),
        dhcpv6_from_afar(),
        dhcpv6_tricks(),
        dhcp_disallowed(),
        unsolicited_groups(),
        igmp(),
        broadcast(),
        group_as_source(),
        boundary_outbound(),
        boundary_inbound(),
        ping_to_a_group(),
        tcp_to_a_group(),
    ]
}

fn valid() -> Expect {
    passed(Reason::MulticastListener)
}

fn invalid() -> Expect {
    refused(Reason::MulticastListenerInvalid)
}

fn no_flow() -> Expect {
    refused(Reason::NoFlow)
}

fn dhcp() -> Expect {
    passed(Reason::DhcpClient)
}

fn listener_messages(source: &str) -> [Packet; 4] {
    [
        Packet::ip(source, ALL_NODES).listener_query(),
        Packet::ip(source, GROUP).listener(LISTENER_REPORT, GROUP),
        Packet::ip(source, "ff02::2").listener(LISTENER_DONE, GROUP),
        Packet::ip(source, "ff02::16").listener_report_v2(GROUP),
    ]
}

fn listener_discovery() -> Row {
    let row = row(&["RFC4890-4.4.1-MLD", "E120"], "multicast listener discovery on the link");
    let [_, reports @ ..] = listener_messages("::");
    listener_messages(GATEWAY)
        .into_iter()
        // A host that has no address yet reports without one.
        .chain(reports)
        .fold(row, |row, packet| row.inbound(packet, valid()))
        .inbound(
            // The padding may come first.
            Packet::ip(GATEWAY, ALL_NODES)
                .hop_limit(1)
                .hop_by_hop_with(&[1, 0, 5, 2, 0, 0])
                .icmp(130, 0, [0; 4], &[0; 16]),
            valid(),
        )
}

fn listener_discovery_invalid() -> Row {
    let row = row(
        &["RFC4890-4.4.1-MLD", "RFC4890-4.3.3-ND", "E120"],
        "listener discovery from afar, or without its router alert",
    );
    let bare = |source: &str, hops| {
        Packet::ip(source, ALL_NODES).hop_limit(hops).icmp(130, 0, [0; 4], &[0; 16])
    };
    listener_messages(GATEWAY)
        .into_iter()
        .map(|packet| packet.hop_limit(64))
        .chain(listener_messages("2a00:3::1"))
        .chain([
            Packet::ip("::", ALL_NODES).listener_query(),
            bare(GATEWAY, 1),
            bare(GATEWAY, 1).hop_by_hop(),
            bare(GATEWAY, 255).router_alert(),
        ])
        .fold(row, |row, packet| row.inbound(packet, invalid()))
}

fn listener_discovery_outbound() -> Row {
    let row = row(&["RFC4890-4.4.1-MLD"], "listener reports from inside pass and open nothing");
    listener_messages(ME).into_iter().fold(row, |row, packet| row.outbound(packet, valid()))
}

fn multicast_router_discovery() -> Row {
    let row = row(&["RFC4890-4.4.1-MRD"], "multicast router discovery, from the link only");
    [151, 152, 153].into_iter().fold(row, |row, kind| {
        let message =
            |source: &str| Packet::ip(source, "ff02::6a").hop_limit(1).icmp(kind, 0, [0; 4], &[]);
        row.inbound(message(GATEWAY), valid())
            .inbound(message(GATEWAY).hop_limit(255), invalid())
            .inbound(message("2a00:3::1"), invalid())
            .outbound(message(ME), valid())
    })
}

fn dhcpv4_reply() -> Row {
    row(&["E27"], "a DHCP server's answer, to everybody or to the new address")
        .inbound(Packet::ip("10.1.0.1", "255.255.255.255").dhcpv4(2), dhcp())
        .inbound(Packet::ip("10.1.0.1", "10.1.0.5").dhcpv4(2), dhcp())
        .inbound(Packet::ip("192.0.0.1", "255.255.255.255").dhcpv4(2), dhcp())
}

fn dhcpv4_request() -> Row {
    let discover = || Packet::ip("0.0.0.0", "255.255.255.255").dhcpv4(1);
    row(&["E28"], "a DHCP client's question may go out, and not come in")
        .outbound(discover(), dhcp())
        .outbound(Packet::ip("10.1.0.5", "10.1.0.1").dhcpv4(1), dhcp())
        .inbound(discover(), refused(Reason::MartianSource))
        .inbound(Packet::ip("10.1.0.9", "10.1.0.5").dhcpv4(1), no_flow())
        .inbound(
            Packet::ip("10.1.0.9", "255.255.255.255").dhcpv4(1),
            refused(Reason::MartianDestination),
        )
}

fn dhcpv4_tricks() -> Row {
    let reply = |source: &str| Packet::ip(source, "10.1.0.5").dhcpv4(2);
    row(&["E22", "E23", "E24", "E27"], "DHCP's ports open nothing for what cannot be a server")
        .inbound(reply("127.0.0.1"), refused(Reason::MartianSource))
        .inbound(reply("0.0.0.0"), refused(Reason::MartianSource))
        .inbound(reply("255.255.255.255"), refused(Reason::MartianSource))
        .inbound(reply("224.0.0.1"), refused(Reason::MulticastSource))
        .inbound(reply("10.1.0.5"), refused(Reason::Land))
        .inbound(Packet::ip("10.1.0.1", "127.0.0.1").dhcpv4(2), refused(Reason::MartianDestination))
        .inbound(Packet::ip("10.1.0.1", "224.0.0.1").dhcpv4(2), no_flow())
        .inbound(from(OUTSIDE, INSIDE, Family::Ipv4).tcp(67, 68, flag::SYN), no_flow())
        // The rest of it could not follow.
        .inbound(reply("10.1.0.1").fragment(0, true).payload(&[0; 800]), no_flow())
}

fn dhcpv6_reply() -> Row {
    row(&["E121"], "a DHCPv6 server's answer on the link")
        .inbound(Packet::ip(GATEWAY, ME).dhcpv6(2, 547, 546), dhcp())
}

fn dhcpv6_request() -> Row {
    let solicit = || Packet::ip(ME, "ff02::1:2").dhcpv6(1, 546, 547);
    row(&["RFC6092-REC-9", "E123"], "a DHCPv6 client's question may go out, and not come in")
        .outbound(solicit(), dhcp())
        .outbound(Packet::ip(ME, GATEWAY).dhcpv6(3, 546, 547), dhcp())
        .inbound(solicit(), no_flow())
        .inbound(Packet::ip(GATEWAY, ME).dhcpv6(1, 546, 547), no_flow())
}

fn dhcpv6_from_afar() -> Row {
    let server = Flow::udp("2a00:1::5", 546, "2a00:2::1", 547);
    row(&["E122"], "a DHCPv6 server that is not on the link answers as any host does")
        .inbound(server.back(), no_flow())
        .answered(&server)
}

fn dhcpv6_tricks() -> Row {
    row(&["E122"], "DHCPv6's ports open nothing for what did not come from the link")
        .inbound(Packet::ip("2a00:2::1", ME).dhcpv6(2, 547, 546), no_flow())
        .inbound(Packet::ip(GATEWAY, "2a00:1::5").dhcpv6(2, 547, 546), no_flow())
        .inbound(Packet::ip(GATEWAY, ALL_NODES).dhcpv6(2, 547, 546), no_flow())
        .inbound(Packet::ip(GATEWAY, ME).dhcpv6(2, 547, 547), no_flow())
        .inbound(Packet::ip(ME, ME).dhcpv6(2, 547, 546), refused(Reason::Land))
        .inbound(
            Packet::ip(GATEWAY, ME).fragment(0, true).dhcpv6(2, 547, 546).payload(&[0; 800]),
            no_flow(),
        )
}

fn dhcp_disallowed() -> Row {
    row(&["E27", "E121"], "without leave DHCP is UDP like any other")
        .config(|config| config.allow_dhcp_client = 0)
        .inbound(Packet::ip("10.1.0.1", "10.1.0.5").dhcpv4(2), no_flow())
        .inbound(Packet::ip(GATEWAY, ME).dhcpv6(2, 547, 546), no_flow())
        .outbound(Packet::ip(ME, "ff02::1:2").dhcpv6(1, 546, 547), passed(Reason::Stateless))
        .outbound(
            Packet::ip("0.0.0.0", "255.255.255.255").dhcpv4(1),
            refused(Reason::MartianSource),
        )
}

fn unsolicited_groups() -> Row {
    row(&["E31", "E56"], "what strangers send to groups")
        .inbound(Packet::ip("10.2.0.1", "224.0.0.251").udp(5353, 5353), no_flow())
        .inbound(Packet::ip("10.2.0.1", "239.255.255.250").udp(40_000, 1900), no_flow())
        .inbound(Packet::ip(GATEWAY, "ff02::fb").udp(5353, 5353), no_flow())
        .inbound(Packet::ip(GATEWAY, ALL_NODES).echo_request(7, 1), refused(Reason::PingRefused))
}

fn igmp() -> Row {
    // A general query, to all hosts, with a router alert.
    let query = Packet::ip("10.1.0.1", "224.0.0.1")
        .hop_limit(1)
        .options(&[148, 4, 0, 0])
        .protocol(2, &[0x11, 100, 0xee, 0x9b, 0, 0, 0, 0]);
    let report = Packet::ip("10.1.0.5", "224.0.0.22").hop_limit(1).protocol(2, &[0x22; 16]);
    row(&["E30"], "IGMP queries are not let in; reports may go out")
        .inbound(query, no_flow())
        .outbound(report, passed(Reason::Stateless))
}

fn broadcast() -> Row {
    row(&["E29"], "UDP to everybody")
        .inbound(Packet::ip("10.2.0.1", "10.1.0.255").udp(40_000, 7), no_flow())
        .inbound(
            Packet::ip("10.2.0.1", "255.255.255.255").udp(40_000, 7),
            refused(Reason::MartianDestination),
        )
        .outbound(
            Packet::ip("10.1.0.5", "255.255.255.255").udp(40_000, 7),
            refused(Reason::MartianDestination),
        )
}

fn group_as_source() -> Row {
    let l = tcp_flow(Family::Ipv6);
    let row = row(&["RFC6092-REC-1", "E24", "E52"], "a group never sends").established(&l);
    ["ff02::1", "ff0e::1"]
        .into_iter()
        .fold(row, |row, group| {
            let spoofed = Packet::ip(group, "2a00:1::5").tcp(443, 40_000, flag::ACK);
            let out = Packet::ip(group, "2a00:2::1").udp(40_000, 5000);
            row.inbound(spoofed, refused(Reason::MulticastSource))
                .outbound(out, refused(Reason::MulticastSource))
        })
        .inbound(
            Packet::ip("224.0.0.1", "10.1.0.5").udp(53, 40_001),
            refused(Reason::MulticastSource),
        )
        .outbound(Packet::ip("239.0.0.1", "10.2.0.1").udp(1, 2), refused(Reason::MulticastSource))
}

fn boundary_outbound() -> Row {
    let out6 = |group: &str| Packet::ip("2a00:1::5", group).udp(40_000, 5000);
    let out4 = |group: &str| Packet::ip("10.1.0.5", group).udp(40_000, 5000);
    row(&["RFC6092-REC-2"], "groups up to the organization's do not cross the uplink")
        .outbound(out6("ff05::1:3"), refused(Reason::MulticastScope))
        .outbound(out6("ff08::1"), refused(Reason::MulticastScope))
        .outbound(out4("239.255.255.250"), refused(Reason::MulticastScope))
        .outbound(out6("ff0e::1"), passed(Reason::Stateless))
        .outbound(out6("ff02::fb"), passed(Reason::Stateless))
        .outbound(out4("224.0.0.251"), passed(Reason::Stateless))
}

fn boundary_inbound() -> Row {
    let row = row(&["RFC6092-REC-2"], "nothing comes in to a group of any scope");
    ["ff05::1:3", "ff08::1", "ff0e::1"].into_iter().fold(row, |row, group| {
        row.outbound(
            Packet::ip("2a00:1::5", "ff0e::1").udp(40_000, 5000),
            passed(Reason::Stateless),
        )
        .inbound(Packet::ip("2a00:2::1", group).udp(5000, 40_000), no_flow())
    })
}

fn ping_to_a_group() -> Row {
    row(&["E57"], "answers to a ping to all nodes come from addresses that nobody asked")
        .outbound(Packet::ip(ME, ALL_NODES).echo_request(7, 1), passed(Reason::Stateless))
        .inbound(Packet::ip("fe80::a", ME).echo_reply(7, 1), no_flow())
        .inbound(Packet::ip("fe80::b", ME).echo_reply(7, 1), no_flow())
}

fn tcp_to_a_group() -> Row {
    row(&["RFC9293-BCAST"], "TCP knows no groups")
        .inbound(Packet::ip("2a00:2::1", "ff0e::1").tcp(443, 22, flag::SYN), no_flow())
        .inbound(Packet::ip("10.2.0.1", "224.0.0.1").tcp(443, 22, flag::SYN), no_flow())
        .inbound(Packet::ip("10.2.0.1", "10.1.0.255").tcp(443, 22, flag::SYN), no_flow())
        .outbound(
            Packet::ip("2a00:1::5", "ff0e::1").tcp(40_000, 443, flag::SYN),
            passed(Reason::Stateless),
        )
        .outbound(
            Packet::ip("10.1.0.5", "224.0.1.1").tcp(40_000, 443, flag::SYN),
            passed(Reason::Stateless),
        )
}
