//! Sends the errors of `delayed_reject`: whoever opened a connection from outside in vain learns of
//! it after six seconds, unless inside has opened the same meanwhile (RFC6092-REC-34,
//! RFC6092-REC-39). Errors never cost more than a fixed rate, and a flood of openings costs no more
//! than a full queue.

use std::{
    collections::{HashSet, VecDeque},
    io,
    net::SocketAddr,
    path::Path,
    time::Duration,
};

use anyhow::Context as _;
use etherparse::{Icmpv4Header, Icmpv4Type, icmpv4, icmpv6};
use gateway_common::{rejection::Unsolicited, tuple::FlowKey};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::ServiceContext;
use crate::datapath::{DatapathError, GatewayName, Rejects};

/// RFC 6092 asks for at least six seconds.
const DELAY: Duration = Duration::from_secs(6);
/// The time between two looks at the reports. With such a delay nobody has to be woken for each,
/// and a flood wakes nobody.
const LOOK: Duration = Duration::from_millis(250);
/// Openings that wait at a time; while there are so many, further ones are not looked at.
const WAITING_MAX: usize = 4_096;
/// The least time between two errors in the long run: 100 a second.
const INTERVAL: Duration = Duration::from_millis(10);
/// Errors that may be sent at once after a quiet time.
const BURST: u32 = 50;

/// Rejects what a gateway's packet path reports, until it shall stop.
///
/// # Errors
/// The gateway cannot be read, or sockets cannot be had.
pub(super) async fn run(context: ServiceContext) -> anyhow::Result<()> {
    let mut rejecter = Rejecter::open(&context.bpffs, &context.name)?;
    tokio::select! {
        error = rejecter.work() => Err(error),
        () = context.stopped() => Ok(()),
    }
}

struct Rejecter {
    reports: Rejects,
    waiting: Waiting,
    /// Opened when the first error is due.
    senders: Option<Senders>,
}

impl Rejecter {
    /// Takes the reports of a gateway from now on.
    fn open(bpffs: &Path, name: &GatewayName) -> Result<Self, DatapathError> {
        let mut reports = Rejects::open(bpffs, name)?;
        // Nobody knows how old those are that nobody took.
        while reports.take().is_some() {}
        Ok(Self { reports, waiting: Waiting::default(), senders: None })
    }

    /// Takes reports and sends errors until that fails, and returns why.
    async fn work(&mut self) -> anyhow::Error {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            if let Err(error) = self.look(Instant::now()) {
                return error;
            }
        }
    }

    fn look(&mut self, now: Instant) -> anyhow::Result<()> {
        self.take_reports(now);
        // Asked again each time: reports end with a policy that does not want them, whoever put it
        // in force, and those that wait end with them.
        if self.waiting.has_due(now) && self.reports.are_wanted()? {
            self.send_due(now)?;
        }
        self.waiting.drop_due(now);
        Ok(())
    }

    fn take_reports(&mut self, now: Instant) {
        while !self.waiting.is_full() {
            let Some(report) = self.reports.take() else { return };
            self.waiting.add(report, now);
        }
    }

    fn send_due(&mut self, now: Instant) -> anyhow::Result<()> {
        if self.senders.is_none() {
            self.senders = Some(Senders::open().context("cannot open raw sockets")?);
        }
        let Some(senders) = &self.senders else { return Ok(()) };
        while let Some(report) = self.waiting.take_due(now) {
            if !self.reports.has_flow(&report.key)? && self.waiting.pace.allows(now) {
                senders.send(&report);
            }
        }
        Ok(())
    }
}

/// Openings in the order in which their time comes, each connection once.
#[derive(Default)]
struct Waiting {
    queue: VecDeque<(Instant, Unsolicited)>,
    keys: HashSet<FlowKey>,
    pace: Pace,
}

impl Waiting {
    fn is_full(&self) -> bool {
        self.queue.len() >= WAITING_MAX
    }

    /// Repetitions of an opening that waits already change nothing.
    fn add(&mut self, report: Unsolicited, now: Instant) {
        if self.keys.insert(report.key) {
            self.queue.push_back((now + DELAY, report));
        }
    }

    fn has_due(&self, now: Instant) -> bool {
        self.queue.front().is_some_and(|(due, _)| *due <= now)
    }

    fn drop_due(&mut self, now: Instant) {
        while self.take_due(now).is_some() {}
    }

    fn take_due(&mut self, now: Instant) -> Option<Unsolicited> {
        let (_, report) = self.queue.pop_front_if(|(due, _)| *due <= now)?;
        self.keys.remove(&report.key);
        Some(report)
    }
}

/// A limit of errors: each moves the time up to which the allowance is spent.
#[derive(Default)]
struct Pace {
    spent_until: Option<Instant>,
}

impl Pace {
    fn allows(&mut self, now: Instant) -> bool {
        let spent_until = self.spent_until.map_or(now, |until| until.max(now)) + INTERVAL;
        let is_allowed = spent_until <= now + INTERVAL * BURST;
        if is_allowed {
            self.spent_until = Some(spent_until);
        }
        is_allowed
    }
}

/// Where errors go out, for each IP version that this machine has.
struct Senders {
    ipv4: Option<Socket>,
    ipv6: Option<Socket>,
}

impl Senders {
    fn open() -> io::Result<Self> {
        let open = |domain, protocol| match Socket::new(domain, Type::RAW, Some(protocol)) {
            Ok(socket) => socket.set_nonblocking(true).map(|()| Some(socket)),
            Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => Ok(None),
            Err(error) => Err(error),
        };
        Ok(Self {
            ipv4: open(Domain::IPV4, Protocol::ICMPV4)?,
            ipv6: open(Domain::IPV6, Protocol::ICMPV6)?,
        })
    }

    /// Sends the error for an opening. Like any other ICMP error it may get lost, and that it could
    /// not be sent is no different.
    fn send(&self, report: &Unsolicited) {
        let to = report.key.outside.to_ip();
        let socket = if to.is_ipv4() { &self.ipv4 } else { &self.ipv6 };
        if let Some(socket) = socket {
            let _ = socket.send_to(&error(report), &SockAddr::from(SocketAddr::new(to, 0)));
        }
    }
}

/// The ICMP error that quotes an opening: "communication administratively prohibited" of its IP
/// version. The kernel writes the checksum of version 6, which is about addresses too.
fn error(report: &Unsolicited) -> Vec<u8> {
    let len = report.quoted.len().min(report.quoted_len as usize);
    let quoted = &report.quoted[..len];
    let header = if report.key.outside.to_ip().is_ipv4() {
        let kind =
            Icmpv4Type::DestinationUnreachable(icmpv4::DestUnreachableHeader::FilterProhibited);
        Icmpv4Header::with_checksum(kind, quoted).to_bytes().to_vec()
    } else {
        let code = icmpv6::DestUnreachableCode::Prohibited as u8;
        vec![icmpv6::TYPE_DST_UNREACH, code, 0, 0, 0, 0, 0, 0]
    };
    [&header, quoted].concat()
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use gateway_common::limits::QUOTED_BYTES_MAX;

    use super::*;

    #[test]
    fn openings_wait_in_turn_and_once_each() {
        let (mut waiting, now) = (Waiting::default(), Instant::now());
        waiting.add(opening("2a00:2::1", 1), now);
        waiting.add(opening("2a00:2::1", 2), now + Duration::from_secs(1));
        waiting.add(opening("2a00:2::1", 1), now + Duration::from_secs(2));
        assert_eq!(waiting.take_due(now + DELAY - INTERVAL), None);
        let port = |report: Unsolicited| report.key.outside_port;
        assert_eq!(waiting.take_due(now + DELAY).map(port), Some(1));
        assert_eq!(waiting.take_due(now + DELAY), None);
        // Once rejected, the same may be opened and rejected again.
        waiting.add(opening("2a00:2::1", 1), now + DELAY);
        assert_eq!(waiting.take_due(now + 2 * DELAY).map(port), Some(2));
        assert_eq!(waiting.take_due(now + 2 * DELAY).map(port), Some(1));
        assert_eq!(waiting.take_due(now + 3 * DELAY), None);
    }

    #[test]
    fn errors_keep_to_their_rate() {
        let (mut pace, begin) = (Pace::default(), Instant::now());
        let mut sent_at = |now| (0..1_000).filter(|_| pace.allows(now)).count();
        assert_eq!(sent_at(begin), BURST as usize);
        assert_eq!(sent_at(begin + 3 * INTERVAL), 3);
        let sent: usize = (1..=10).map(|second| sent_at(begin + Duration::from_secs(second))).sum();
        assert_eq!(sent, 10 * BURST as usize);
    }

    #[test]
    fn errors_quote_the_packet() {
        let report = opening("192.0.2.1", 7);
        let text = error(&report);
        assert_eq!((text[..2].as_ref(), text.len()), ([3, 13].as_ref(), 8 + 40));
        let sum: u32 =
            text.chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
        assert_eq!((sum >> 16) + (sum & 0xffff), 0xffff, "the checksum is right");
        let text = error(&opening("2a00:2::1", 7));
        assert_eq!((text[..8].as_ref(), text.len()), ([1, 1, 0, 0, 0, 0, 0, 0].as_ref(), 48));
        assert_eq!(text[8..], report.quoted[..40]);
    }

    fn opening(outside: &str, outside_port: u16) -> Unsolicited {
        let outside: IpAddr = outside.parse().expect("an address");
        let key = FlowKey { outside: outside.into(), outside_port, ..FlowKey::default() };
        Unsolicited { key, quoted_len: 40, quoted: [0x45; QUOTED_BYTES_MAX] }
    }
}
