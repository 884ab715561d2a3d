//! The flows that live through the flood, the flood, and strangers from outside.

use fastrand::Rng;
use gateway_common::{limits::HOSTS_MAX, tuple::Family};
use tests::packet::Packet;

use super::super::flow::{Ends, Flow};

/// How many flows are established before the flood.
pub(super) const LIVE_FLOWS: u32 = 100_000;
const LIVE_HOSTS: u32 = 500;

// Inside hosts of different kinds, by their first numbers.
const QUIET_HOSTS: u32 = 1_000;
const SCANNING_HOST: u32 = 2_000;
const FORGED_HOSTS: u32 = 10_000;
/// Outside hosts that nobody inside ever talks to begin here.
const STRANGERS: u32 = 1 << 24;

const SEED: u64 = 0x0e19_0e19;

/// What a packet carries.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    pub(super) const ALL: [Self; 2] = [Self::Tcp, Self::Udp];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        }
    }

    /// What its first packet is called.
    pub(super) const fn opening_name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP SYN",
            Self::Udp => "UDP",
        }
    }

    fn flow(self, ends: Ends) -> Flow {
        match self {
            Self::Tcp => Flow::tcp(ends),
            Self::Udp => Flow::udp(ends),
        }
    }
}

/// One of the flows that are established, by its number.
pub(super) fn live(number: u32) -> Flow {
    let family = if number & 1 == 0 { Family::Ipv6 } else { Family::Ipv4 };
    let ends = Ends::numbered(family, number % LIVE_HOSTS, number);
    if number & 2 == 0 { Flow::tcp_with_options(ends) } else { Flow::udp(ends) }
}

/// Who floods.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Opener {
    /// One inside host.
    Scanner,
    /// Somebody who forges inside addresses.
    Forger,
}

impl Opener {
    pub(super) const ALL: [Self; 2] = [Self::Scanner, Self::Forger];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Scanner => "one scanning host",
            Self::Forger => "forged hosts",
        }
    }
}

/// Openings without end, every one to another outside host.
#[derive(Default)]
pub(super) struct Openings {
    opened: u32,
    forged: u32,
}

impl Openings {
    /// The next packet of the flood.
    pub(super) fn next(&mut self, opener: Opener, protocol: Protocol) -> Packet {
        let inside = match opener {
            Opener::Scanner => SCANNING_HOST,
            Opener::Forger => {
                self.forged += 1;
                FORGED_HOSTS + self.forged % HOSTS_MAX
            }
        };
        protocol.flow(self.next_ends(inside)).opening
    }

    /// The next flow of a host that opens only a few.
    pub(super) fn next_handshake(&mut self) -> Ends {
        let inside = QUIET_HOSTS + self.opened % LIVE_HOSTS;
        self.next_ends(inside)
    }

    fn next_ends(&mut self, inside: u32) -> Ends {
        self.opened += 1;
        Ends::numbered(Family::Ipv6, inside, LIVE_FLOWS + self.opened)
    }
}

/// What is drawn at random; the same in every run.
pub(super) struct Strangers {
    random: Rng,
}

impl Default for Strangers {
    fn default() -> Self {
        Self { random: Rng::with_seed(SEED) }
    }
}

impl Strangers {
    /// A packet from outside between hosts and ports that have no flow.
    pub(super) fn packet(&mut self, family: Family, protocol: Protocol) -> Packet {
        let random = &mut self.random;
        let (inside, outside) = (random.u32(..1 << 16), random.u32(STRANGERS..3 * STRANGERS));
        let ends = Ends { port: random.u16(..), ..Ends::numbered(family, inside, outside) };
        protocol.flow(ends.reversed()).opening
    }

    /// One of the flows that are established.
    pub(super) fn any_live(&mut self, protocol: Protocol) -> Flow {
        let bit = if protocol == Protocol::Tcp { 0 } else { 2 };
        live(self.random.u32(..LIVE_FLOWS) & !2 | bit)
    }
}
