//! Packets in people's words.

use std::net::IpAddr;

use gateway_common::wire::tcp::flag;

/// An address and perhaps a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The address.
    pub address: IpAddr,
    /// The port.
    pub port: Option<u16>,
}

impl std::str::FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let (address, port) = match bracketed {
            Some((address, "")) => (address, None),
            Some((address, rest)) => (address, Some(rest.strip_prefix(':').unwrap_or(rest))),
            // Of an IPv6 address without brackets nobody knows where a port would begin.
            None if text.matches(':').count() == 1 => {
                text.split_once(':').map_or((text, None), |(address, port)| (address, Some(port)))
            }
            None => (text, None),
        };
        let address = address.parse().map_err(|_| {
            format!(
                "'{text}' is not an address with or without a port, such as 192.0.2.1:443, \
                 [2001:db8::1]:443 or 2001:db8::1"
            )
        })?;
        let port = port.map(|port| {
            port.parse().map_err(|_| format!("'{port}' in '{text}' is not a port from 0 to 65535"))
        });
        Ok(Self { address, port: port.transpose()? })
    }
}

/// The flags of TCP segments by the names that people use for them.
///
/// # Errors
/// What is wrong with the text, for people.
pub fn opening_flags(text: &str) -> Result<u8, String> {
    let mut flags = 0;
    for word in text.split(['-', ',', '+', '/']) {
        flags |= match word.to_ascii_lowercase().as_str() {
            "syn" => flag::SYN,
            "ack" => flag::ACK,
            "fin" => flag::FIN,
            "rst" => flag::RST,
            "psh" => flag::PSH,
            "urg" => flag::URG,
            "none" => 0,
            other => {
                return Err(format!(
                    "'{other}' is none of syn, ack, fin, rst, psh, urg and none, joined with '-'"
                ));
            }
        };
    }
    Ok(flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read_as_people_write_them() {
        let read =
            |text: &str| text.parse::<Endpoint>().map(|it| (it.address.to_string(), it.port));
        assert_eq!(read("192.0.2.1"), Ok(("192.0.2.1".to_owned(), None)));
        assert_eq!(read("192.0.2.1:443"), Ok(("192.0.2.1".to_owned(), Some(443))));
        assert_eq!(read("2a00:1::5"), Ok(("2a00:1::5".to_owned(), None)));
        assert_eq!(read("[2a00:1::5]"), Ok(("2a00:1::5".to_owned(), None)));
        assert_eq!(read("[2a00:1::5]:443"), Ok(("2a00:1::5".to_owned(), Some(443))));
        for wrong in ["", "x", "192.0.2.1:", "192.0.2.1:65536", "[2a00:1::5", "[2a00:1::5]:x"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn flags_are_read_in_any_order() {
        assert_eq!(opening_flags("syn"), Ok(flag::SYN));
        assert_eq!(opening_flags("SYN-ACK"), Ok(flag::SYN | flag::ACK));
        assert_eq!(opening_flags("ack,fin"), Ok(flag::FIN | flag::ACK));
        assert_eq!(opening_flags("none"), Ok(0));
        assert!(opening_flags("sin").is_err() && opening_flags("").is_err());
    }
}
