//! Echo requests as an ordinary program sends them, and a raw ear for ICMP errors.

use std::{
    io::{self, Read as _},
    net::{IpAddr, SocketAddr, UdpSocket},
    time::Duration,
};

use gateway_common::tuple::Family;
use socket2::{Domain, Protocol, Socket, Type};

use crate::{
    netns::Netns,
    wait::{PATIENCE, patient},
};

/// How long an answer to a single probe may take. Short, because some probes must fail.
pub const ANSWER_WITHIN: Duration = Duration::from_millis(500);

/// Sends one echo request from `host` and waits for its answer.
///
/// # Errors
/// If none comes in time, or if an ICMP error comes instead.
pub fn ping(host: &Netns, to: IpAddr) -> io::Result<()> {
    Pinger::new(host, to)?.ping(1)
}

/// A ping socket: one echo identifier, chosen by the kernel.
#[derive(Debug)]
pub struct Pinger {
    socket: Socket,
    request_kind: u8,
}

impl Pinger {
    /// A pinger of `host` towards one address.
    ///
    /// # Errors
    /// If the kernel refuses the socket or has no route.
    pub fn new(host: &Netns, to: IpAddr) -> io::Result<Self> {
        let (domain, protocol, request_kind) = match to {
            IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4, 8),
            IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6, 128),
        };
        let socket = host.run(|| Socket::new(domain, Type::DGRAM, Some(protocol)))?;
        socket.set_read_timeout(Some(patient(ANSWER_WITHIN)))?;
        socket.connect(&SocketAddr::new(to, 0).into())?;
        Ok(Self { socket, request_kind })
    }

    /// The identifier that the kernel chose.
    ///
    /// # Errors
    /// If the kernel does not tell.
    pub fn identifier(&self) -> io::Result<u16> {
        let address = self.socket.local_addr()?;
        Ok(address.as_socket().map_or(0, |address| address.port()))
    }

    /// Limits how many hops a request travels.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn set_hop_limit(&self, hops: u32) -> io::Result<()> {
        if self.request_kind == 8 {
            self.socket.set_ttl_v4(hops)
        } else {
            self.socket.set_unicast_hops_v6(hops)
        }
    }

    /// Sends one echo request and waits for its answer.
    ///
    /// # Errors
    /// If none comes in time, or if an ICMP error comes instead.
    pub fn ping(&self, sequence: u16) -> io::Result<()> {
        self.send(sequence)?;
        let mut answer = [0; 64];
        let len = loop {
            match (&self.socket).read(&mut answer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        let answered = u16::from_be_bytes([answer[6], answer[7]]);
        if len >= 8 && answered == sequence {
            return Ok(());
        }
        Err(io::Error::other(format!("answer to {sequence} is {:02x?}", &answer[..len])))
    }

    /// Sends one echo request. The kernel fills in identifier and checksum.
    ///
    /// # Errors
    /// If it cannot be sent.
    pub fn send(&self, sequence: u16) -> io::Result<()> {
        let [high, low] = sequence.to_be_bytes();
        self.socket.send(&[self.request_kind, 0, 0, 0, 0, 0, high, low]).map(drop)
    }
}

/// An ICMP message that a host received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who sent it.
    pub from: IpAddr,
    /// Its type.
    pub kind: u8,
    /// Its code.
    pub code: u8,
    /// What follows the first eight bytes: of an error the packet it quotes.
    pub body: Vec<u8>,
}

/// Hears all ICMP messages that reach a host.
#[derive(Debug)]
pub struct Listener {
    // The standard library's datagram socket does for any datagram socket what is needed here.
    socket: UdpSocket,
    family: Family,
}

impl Listener {
    /// Listens from now on.
    ///
    /// # Panics
    /// If the kernel refuses the socket.
    #[must_use]
    pub fn new(host: &Netns, family: Family) -> Self {
        let (domain, protocol) = match family {
            Family::Ipv4 => (Domain::IPV4, Protocol::ICMPV4),
            Family::Ipv6 => (Domain::IPV6, Protocol::ICMPV6),
        };
        let socket = host
            .run(|| Socket::new(domain, Type::RAW, Some(protocol)))
            .expect("root may open raw sockets");
        socket.set_read_timeout(Some(patient(PATIENCE))).expect("a timeout can be set");
        Self { socket: socket.into(), family }
    }

    /// Waits for the first message that `wanted` accepts; skips others.
    ///
    /// # Panics
    /// If none comes while patience lasts.
    pub fn expect(&self, what: &str, wanted: impl Fn(&Message) -> bool) -> Message {
        loop {
            let message = self.next().unwrap_or_else(|error| panic!("waited for {what}: {error}"));
            if wanted(&message) {
                return message;
            }
        }
    }

    fn next(&self) -> io::Result<Message> {
        let mut bytes = vec![0; 65_536];
        let (len, from) = self.socket.recv_from(&mut bytes)?;
        // IPv4 raw sockets hand out the IP header too.
        let start = match self.family {
            Family::Ipv4 => usize::from(bytes[0] & 0xf) * 4,
            Family::Ipv6 => 0,
        };
        let message = &bytes[start..len];
        let body = message.get(8..).unwrap_or_default().to_vec();
        Ok(Message { from: from.ip(), kind: message[0], code: message[1], body })
    }
}
