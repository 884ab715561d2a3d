//! Names of IP protocols, in output and in filters.

use network_types::ip::IpProto;

/// The protocols that have a name here; all others go by their number.
const NAMES: [(IpProto, &str); 21] = [
    (IpProto::Tcp, "tcp"),
    (IpProto::Udp, "udp"),
    (IpProto::Icmp, "icmp"),
    (IpProto::Ipv6Icmp, "icmpv6"),
    (IpProto::Sctp, "sctp"),
    (IpProto::UdpLite, "udplite"),
    (IpProto::Dccp, "dccp"),
    (IpProto::Gre, "gre"),
    (IpProto::Esp, "esp"),
    (IpProto::Ah, "ah"),
    (IpProto::Ipv4, "ipip"),
    (IpProto::Ipv6, "ipv6"),
    (IpProto::Igmp, "igmp"),
    (IpProto::Ospfigp, "ospf"),
    (IpProto::Pim, "pim"),
    (IpProto::Vrrp, "vrrp"),
    (IpProto::L2tp, "l2tp"),
    (IpProto::IpComp, "ipcomp"),
    (IpProto::Etherip, "etherip"),
    (IpProto::Rsvp, "rsvp"),
    (IpProto::Hip, "hip"),
];

/// The protocol's name, or its number in digits.
#[must_use]
pub fn name(number: u8) -> String {
    NAMES
        .iter()
        .find(|(protocol, _)| *protocol as u8 == number)
        .map_or_else(|| number.to_string(), |(_, name)| (*name).to_owned())
}

/// Every name, in the order of [`parse`]'s complaint.
pub fn names() -> impl Iterator<Item = &'static str> {
    NAMES.iter().map(|(_, name)| *name)
}

/// The number behind a name or digits, in any case.
///
/// # Errors
///
/// The text is neither; the message is for people.
pub fn parse(text: &str) -> Result<u8, String> {
    NAMES
        .iter()
        .find(|(_, name)| name.eq_ignore_ascii_case(text))
        .map(|(protocol, _)| *protocol as u8)
        .or_else(|| text.parse().ok())
        .ok_or_else(|| {
            let names: Vec<_> = names().collect();
            format!("not a number from 0 to 255 and none of {}", names.join(", "))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_a_name_that_reads_back() {
        for number in 0..=u8::MAX {
            assert_eq!(parse(&name(number)), Ok(number));
        }
        assert_eq!(
            [6, 17, 1, 58, 132, 253].map(name),
            ["tcp", "udp", "icmp", "icmpv6", "sctp", "253"]
        );
        assert_eq!(parse("TCP"), Ok(6));
        assert!(parse("tpc").is_err() && parse("256").is_err() && parse("").is_err());
    }
}
