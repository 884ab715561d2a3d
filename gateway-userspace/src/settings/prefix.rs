//! Address prefixes as people write them.

use std::net::{IpAddr, Ipv6Addr};

use gateway_common::{config::Prefix, tuple::Address};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Bits of an IPv4 address's mapped form in front of the address.
const MAPPED_BITS: u8 = 96;

/// Where the IPv4-mapped addresses lie.
pub const MAPPED: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96);

/// Reads `ADDR` or `ADDR/LEN`; an address alone is a prefix of its full length.
///
/// # Errors
///
/// What is wrong with the text, for people. A prefix with bits set behind its length is refused:
/// one of the two is a slip, and only its author knows which.
pub fn parse(text: &str) -> Result<IpNet, String> {
    let parsed = match text.parse::<IpAddr>() {
        Ok(address) => Some(IpNet::from(address)),
        Err(_) => text.parse::<IpNet>().ok(),
    };
    let prefix = parsed.ok_or_else(|| {
        format!(
            "'{text}' is not an address or prefix like 192.0.2.1, 192.0.2.0/24 or 2001:db8::/32"
        )
    })?;
    if prefix.trunc() != prefix {
        return Err(format!(
            "'{text}' has bits set behind its length; the prefix would be {}",
            prefix.trunc()
        ));
    }
    Ok(prefix)
}

/// Whether an IPv6 prefix has addresses in common with `::ffff:0:0/96`.
#[must_use]
pub fn touches_mapped_addresses(prefix: &IpNet) -> bool {
    match prefix {
        IpNet::V4(_) => false,
        IpNet::V6(prefix) => prefix.contains(&MAPPED) || MAPPED.contains(prefix),
    }
}

/// The prefix in the shape of the packet path.
#[must_use]
pub fn to_packet_path(prefix: &IpNet) -> Prefix {
    let mapped_bits = match prefix {
        IpNet::V4(_) => MAPPED_BITS,
        IpNet::V6(_) => 0,
    };
    Prefix::new(prefix.network().into(), u32::from(mapped_bits + prefix.prefix_len()))
}

/// The prefix as people write it, from the shape of the packet path.
#[must_use]
pub fn from_packet_path(prefix: &Prefix) -> IpNet {
    // A mask has 128 bits, so the length always fits.
    let len = u8::try_from(prefix.len()).unwrap_or(128);
    match prefix.address().to_ip() {
        IpAddr::V4(address) if len >= MAPPED_BITS => {
            IpNet::V4(Ipv4Net::new_assert(address, len - MAPPED_BITS))
        }
        IpAddr::V4(_) | IpAddr::V6(_) => {
            IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::from_bits(prefix.address().to_bits()), len))
        }
    }
}

/// Whether `address` lies in `prefix`; addresses of the other family never do.
#[must_use]
pub fn contains(prefix: &IpNet, address: Address) -> bool {
    prefix.contains(&address.to_ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses_and_prefixes_and_refuses_stray_bits() {
        let text = |input| parse(input).map(|prefix| prefix.to_string());
        assert_eq!(text("10.0.0.0/8").as_deref(), Ok("10.0.0.0/8"));
        assert_eq!(text("192.0.2.1").as_deref(), Ok("192.0.2.1/32"));
        assert_eq!(text("2001:db8::").as_deref(), Ok("2001:db8::/128"));
        assert!(text("10.0.0.1/8").is_err_and(|why| why.contains("would be 10.0.0.0/8")));
        for wrong in ["", "10.0.0/8", "10.0.0.0/33", "::/129", "eth0"] {
            assert!(text(wrong).is_err_and(|why| why.contains("is not an address")), "{wrong}");
        }
    }

    #[test]
    fn survives_the_way_to_the_packet_path_and_back() {
        for text in ["0.0.0.0/0", "10.0.0.0/8", "192.0.2.1/32", "fc00::/7", "2001:db8::1/128"] {
            let prefix = parse(text).expect("valid prefix");
            assert_eq!(from_packet_path(&to_packet_path(&prefix)).to_string(), text);
        }
        let ipv4 = to_packet_path(&parse("10.0.0.0/8").expect("valid prefix"));
        assert_eq!((ipv4.address().ipv4_octets(), ipv4.len()), ([10, 0, 0, 0], 104));
    }

    #[test]
    fn knows_the_prefixes_that_hold_mapped_addresses() {
        for (text, touches) in [
            ("::/0", true),
            ("::/64", true),
            ("::ffff:10.0.0.0/104", true),
            ("::/96", false),
            ("fc00::/7", false),
            ("0.0.0.0/0", false),
        ] {
            assert_eq!(touches_mapped_addresses(&parse(text).expect(text)), touches, "{text}");
        }
    }

    #[test]
    fn families_do_not_mix() {
        let any = parse("::/0").expect("valid prefix");
        assert!(!contains(&any, Address::from_ipv4([10, 0, 0, 1])));
        assert!(contains(&any, Address::from_octets([0x20; 16])));
    }
}
