//! The SSH session that a command was started in.

use std::{
    env, fs,
    net::{IpAddr, SocketAddr},
};

use crate::process;

/// The variable in which an SSH server tells a session who is at its two ends.
const VARIABLE: &str = "SSH_CONNECTION";

/// An SSH session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SshSession {
    /// Where the operator sits.
    pub(crate) client: SocketAddr,
    /// The interface through which a client on the link is reached.
    pub(crate) zone: Option<String>,
    /// This end.
    pub(crate) server: SocketAddr,
}

impl SshSession {
    /// The session that led to this process. `sudo` and others take the variable away, but those
    /// who called them still have it.
    pub(crate) fn current() -> Option<Self> {
        let own = env::var(VARIABLE).ok();
        own.or_else(|| process::ancestors().find_map(|process| inherited(&process)))
            .and_then(|value| Self::parse(&value))
    }

    /// Reads `client-address client-port server-address server-port`.
    fn parse(value: &str) -> Option<Self> {
        let words: Vec<_> = value.split_whitespace().collect();
        let [client, client_port, server, server_port] = words[..] else { return None };
        let (client, zone) = split_zone(client);
        let (server, _) = split_zone(server);
        Some(Self {
            client: SocketAddr::new(address(client)?, client_port.parse().ok()?),
            zone: zone.map(str::to_owned),
            server: SocketAddr::new(address(server)?, server_port.parse().ok()?),
        })
    }
}

/// IPv4 addresses are that in every writing.
fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok().map(|address: IpAddr| address.to_canonical())
}

fn split_zone(text: &str) -> (&str, Option<&str>) {
    text.split_once('%').map_or((text, None), |(address, zone)| (address, Some(zone)))
}

/// The variable's value in the environment that a process was started with, if that can be read.
fn inherited(process: &str) -> Option<String> {
    let environment = fs::read(format!("/proc/{process}/environ")).ok()?;
    value_in(&environment)
}

fn value_in(environment: &[u8]) -> Option<String> {
    environment.split(|&byte| byte == 0).find_map(|entry| {
        let value = str::from_utf8(entry).ok()?.strip_prefix(VARIABLE)?.strip_prefix('=')?;
        Some(value.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_are_read_in_every_writing() {
        let session = |client: &str, zone: Option<&str>, server: &str| SshSession {
            client: client.parse().expect("an endpoint"),
            zone: zone.map(str::to_owned),
            server: server.parse().expect("an endpoint"),
        };
        for (value, expected) in [
            ("10.0.0.9 50000 10.0.0.1 22", session("10.0.0.9:50000", None, "10.0.0.1:22")),
            ("::ffff:10.0.0.9 5 10.0.0.1 22", session("10.0.0.9:5", None, "10.0.0.1:22")),
            ("2a00::9 5 2a00::1 2222", session("[2a00::9]:5", None, "[2a00::1]:2222")),
            (
                "fe80::9%eth0 5 fe80::1%eth0 22",
                session("[fe80::9]:5", Some("eth0"), "[fe80::1]:22"),
            ),
        ] {
            assert_eq!(SshSession::parse(value), Some(expected));
        }
    }

    #[test]
    fn what_is_no_session_is_none() {
        for value in ["", "UNKNOWN 65535 UNKNOWN 65535", "10.0.0.9 22", "10.0.0.9 x 10.0.0.1 22"] {
            assert_eq!(SshSession::parse(value), None, "{value:?}");
        }
    }

    #[test]
    fn the_variable_is_found_among_others() {
        let environment = b"PATH=/bin\0SSH_CONNECTION_OLD=x\0\xff=\0SSH_CONNECTION=a 1 b 2\0";
        assert_eq!(value_in(environment).as_deref(), Some("a 1 b 2"));
        assert_eq!(value_in(b"PATH=/bin\0"), None);
    }
}
