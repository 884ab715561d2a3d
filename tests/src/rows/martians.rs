//! Addresses that cannot be on the other side of an uplink.

use std::net::IpAddr;

use gateway_common::config::Prefix;

use super::prelude::*;

pub(super) fn rows() -> Vec<Row> {
    vec![
        never_on_the_internet(),
        mapped(),
        ipv4_blocks(),
        loopback(),
        land(),
        unique_local(),
        unique_local_excepted(),
        nothing_is_a_martian(),
        private_and_metadata(),
        no_state_from_martians(),
    ]
}

fn as_source() -> Expect {
    refused(Reason::MartianSource)
}

fn as_destination() -> Expect {
    refused(Reason::MartianDestination)
}

/// A packet with a martian address at each end, each way.
fn refuse_everywhere(row: Row, martian: &str) -> Row {
    let is_ipv4 = !martian.contains(':');
    let (inside, outside) =
        if is_ipv4 { ("10.1.0.5", "10.2.0.1") } else { ("2a00:1::5", "2a00:2::1") };
    row.inbound(Packet::ip(martian, inside).udp(53, 40_001), as_source())
        .inbound(Packet::ip(martian, inside).tcp(443, 22, flag::SYN), as_source())
        .inbound(Packet::ip(outside, martian).udp(53, 40_001), as_destination())
        .outbound(Packet::ip(martian, outside).udp(40_001, 53), as_source())
        .outbound(Packet::ip(inside, martian).tcp(40_000, 443, flag::SYN), as_destination())
}

fn never_on_the_internet() -> Row {
    let row = row(
        &["RFC6092-REC-3", "RFC7084-4.5-MARTIAN", "E48", "E49"],
        "IPv6 addresses that may not appear on the Internet",
    );
    ["::", "::1", "::192.0.2.1", "fec0::1", "2001:db8::1", "2001:10::1", "100::1"]
        .into_iter()
        .fold(row, refuse_everywhere)
}

fn mapped() -> Row {
    // Our own keys write IPv4 this way, so the parser is where these end.
    let refusal = || as_source().counting_frame();
    row(&["RFC6092-REC-3", "E49"], "IPv6 packets with IPv4-mapped addresses")
        .established(&tcp_flow(Family::Ipv4))
        .inbound(
            Packet::ip("::ffff:10.2.0.1", "::ffff:10.1.0.5").tcp(443, 40_000, flag::ACK),
            refusal(),
        )
        .inbound(Packet::ip("::ffff:10.2.0.1", "2a00:1::5").udp(53, 40_001), refusal())
        .inbound(Packet::ip("2a00:2::1", "::ffff:10.1.0.5").udp(53, 40_001), refusal())
        .outbound(Packet::ip("2a00:1::5", "::ffff:10.2.0.1").udp(40_001, 53), refusal())
}

fn ipv4_blocks() -> Row {
    let row = row(
        &["RFC6092-REC-3", "RFC7084-4.5-MARTIAN", "E24"],
        "IPv4 addresses that may not appear on the Internet",
    );
    [
        "0.0.0.0",
        "0.1.2.3",
        "127.0.0.1",
        "192.0.2.1",
        "198.51.100.1",
        "203.0.113.1",
        "240.0.0.1",
        "255.255.255.255",
    ]
    .into_iter()
    .fold(row, refuse_everywhere)
}

fn loopback() -> Row {
    row(&["E23", "E48"], "loopback addresses, whatever the packet pretends to be")
        .inbound(Packet::ip("127.0.0.1", "10.1.0.5").echo_reply(7, 1), as_source())
        .inbound(Packet::ip("10.2.0.1", "127.0.0.1").tcp(443, 8080, flag::SYN), as_destination())
        .inbound(Packet::ip("::1", "2a00:1::5").protocol(50, &[0; 16]), as_source())
        .inbound(Packet::ip("2a00:2::1", "::1").echo_request(7, 1), as_destination())
        .inbound(
            Packet::ip("127.0.0.1", "10.1.0.5").fragment(10, false).protocol(17, &[0; 8]),
            as_source(),
        )
}

fn land() -> Row {
    let land = |family| from(INSIDE, INSIDE, family).tcp(22, 22, flag::SYN);
    row(&["E22", "E53"], "a packet that pretends to come from where it goes")
        .both_ways(&land(Family::Ipv4), &refused(Reason::Land))
        .both_ways(&land(Family::Ipv6), &refused(Reason::Land))
        .inbound(from(INSIDE, INSIDE, Family::Ipv6).udp(53, 40_001), refused(Reason::Land))
}

fn unique_local() -> Row {
    let row = row(
        &["RFC6092-REC-7", "RFC7084-ULA-4", "E49"],
        "unique local addresses do not cross the uplink",
    );
    ["fd00::1", "fc00::1"].into_iter().fold(row, refuse_everywhere)
}

fn unique_local_excepted() -> Row {
    let u = Flow::udp("fd00::5", 40_001, "fd00:2::1", 53);
    row(&["RFC6092-REC-7"], "unless the uplink itself has such addresses")
        .config(|config| {
            let address = "fd00::".parse::<IpAddr>().expect("an address").into();
            config.martian_exceptions[0] = Prefix::new(address, 8);
            config.martian_exceptions_used = 1;
        })
        .inbound(u.back(), refused(Reason::NoFlow))
        .answered(&u)
        .inbound(Packet::ip("fc00::1", "fd00::5").udp(53, 40_001), as_source())
        .inbound(Packet::ip("2001:db8::1", "fd00::5").udp(53, 40_001), as_source())
}

fn nothing_is_a_martian() -> Row {
    let u = Flow::udp("192.0.2.5", 40_001, "203.0.113.1", 53);
    row(&[], "with the list switched off, what remains cannot be anywhere")
        .config(|config| config.martians_enabled = 0)
        .answered(&u)
        .inbound(Packet::ip("ff0e::1", "2a00:1::5").udp(1, 2), refused(Reason::MulticastSource))
        .inbound(Packet::ip("192.0.2.5", "192.0.2.5").udp(1, 2), refused(Reason::Land))
        .inbound(Packet::ip("::ffff:10.2.0.1", "2a00:1::5").udp(1, 2), as_source().counting_frame())
        .outbound(Packet::ip("2a00:1::5", "ff05::1").udp(1, 2), passed(Reason::Stateless))
}

fn private_and_metadata() -> Row {
    let private = Flow::tcp("10.1.0.5", 40_000, "10.0.0.5", 443);
    let metadata = Flow::tcp("10.1.0.5", 40_001, "169.254.169.254", 80);
    let carrier = Flow::udp("100.64.0.5", 40_002, "192.168.7.1", 5000);
    row(&["E25", "E26"], "private networks and a cloud's metadata service are nothing special")
        .inbound(private.segment_back(flag::ACK), refused(Reason::NoFlow))
        .inbound(metadata.segment_back(flag::ACK), refused(Reason::NoFlow))
        .established(&private)
        .established(&metadata)
        .answered(&carrier)
}

fn no_state_from_martians() -> Row {
    let spoofed = Packet::ip("2001:db8::1", "2a00:1::5").udp(5000, 40_001);
    let error = Packet::ip("2001:db8::1", "2a00:1::5").icmp_error(
        1,
        0,
        0,
        &udp_flow(Family::Ipv6).out().ip_bytes(),
    );
    row(&["RFC6092-REC-3"], "martians neither answer nor report errors")
        .asked(&udp_flow(Family::Ipv6))
        .inbound(spoofed, as_source())
        .inbound(error, as_source())
}
