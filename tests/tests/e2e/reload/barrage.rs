//! Datagrams on many lanes while policies are swapped, each of which is accounted for.
//!
//! ```text
//! belief    A ──► Either ──────────► B ──► Either ──────────► A
//! policy    A ───────────── swap ──► B ───────────── swap ──► A
//!               ▲                        ▲
//!               everything sent has arrived or was counted as dropped
//! ```
//!
//! A datagram carries its sender's belief. Beliefs change where nothing is under way, or to what
//! any of the policies may do; so a datagram that was sent in a belief met a policy that fits.

use std::{
    io,
    net::UdpSocket,
    sync::{
        Arc, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use gateway_common::{tuple::Direction, verdict::Reason};
use gateway_userspace::datapath::Gateway;
use tests::{
    config::Prepared,
    topology::Lab,
    wait::{self, PATIENCE},
};

use super::{
    Durations,
    lane::{Belief, Counters, Lane},
};

/// Datagrams under way at a time, at most about this many: too few for any queue to drop one.
const WINDOW: u64 = 120;
/// Time between two rounds of a station. It is the traffic's pace, and nobody waits for it.
const PACE: Duration = Duration::from_micros(100);
/// How many datagrams each lane carries between two changes, at least.
const EACH: u64 = 4;

/// Traffic on lanes between the hosts of a lab.
pub(super) struct Barrage<'a> {
    lab: &'a Lab,
    gateway: Gateway,
    shared: Arc<Shared>,
    stations: Vec<JoinHandle<()>>,
    pub(super) durations: Durations,
}

struct Shared {
    lanes: Vec<(Lane, Counters)>,
    orders: RwLock<Orders>,
    /// Drops before the first datagram.
    dropped_before: u64,
    is_over: AtomicBool,
}

#[derive(Clone, Copy)]
struct Orders {
    belief: Belief,
    is_sending: bool,
}

impl<'a> Barrage<'a> {
    /// Begins, with policy A in force. Each station is a thread with the sockets that it alone
    /// reads.
    pub(super) fn begin(
        lab: &'a Lab,
        lanes: Vec<Lane>,
        stations: [Vec<Arc<UdpSocket>>; 2],
    ) -> Self {
        let gateway = lab.gateway_maps();
        let shared = Arc::new(Shared {
            lanes: lanes.into_iter().map(|lane| (lane, Counters::default())).collect(),
            orders: RwLock::new(Orders { belief: Belief::A, is_sending: true }),
            dropped_before: dropped(&gateway),
            is_over: AtomicBool::new(false),
        });
        let stations = stations.into_iter().map(|sockets| {
            let (shared, gateway) = (Arc::clone(&shared), lab.gateway_maps());
            thread::spawn(move || shared.run(&sockets, &gateway))
        });
        let stations = stations.collect();
        Self { lab, gateway, shared, stations, durations: Durations::default() }
    }

    /// Puts the policy in force that is to be believed in, and waits until it has been tried and
    /// every datagram is accounted for.
    pub(super) fn swap(&mut self, policy: &Prepared, belief: Belief) {
        self.order(Belief::Either, true);
        self.wait_for_each();
        self.durations.time(|| self.lab.reload(policy));
        self.settle(belief);
    }

    /// Believes in a policy that is in force, until it has been tried and every datagram is
    /// accounted for.
    pub(super) fn settle(&self, belief: Belief) {
        self.order(belief, true);
        self.wait_for_each();
        self.order(belief, false);
        self.wait_for_all();
    }

    /// How many packets that travelled in `direction` were dropped for `reason`, so far.
    pub(super) fn drops(&self, direction: Direction, reason: Reason) -> u64 {
        let verdicts = self.gateway.verdicts().expect("counters can be read").into_iter();
        let mut of_reason = verdicts.filter(|(d, r, _)| (*d, *r) == (direction, reason));
        of_reason.next().map_or(0, |(_, _, counter)| counter.packets)
    }

    /// How many datagrams were sent on lanes whose names begin like this, so far.
    pub(super) fn sent(&self, prefix: &str) -> u64 {
        let lanes = self.shared.lanes.iter().filter(|(lane, _)| lane.name.starts_with(prefix));
        lanes.map(|(_, counters)| counters.sent.load(Ordering::Acquire)).sum()
    }

    /// Ends, checks every lane, and says what happened.
    pub(super) fn finish(mut self, what: &str) {
        self.shared.is_over.store(true, Ordering::Release);
        for station in self.stations.drain(..) {
            station.join().expect("stations do not panic");
        }
        for (lane, counters) in &self.shared.lanes {
            let [sent, arrived, owed, kept, trespassed] = [
                &counters.sent,
                &counters.arrived,
                &counters.owed,
                &counters.kept,
                &counters.trespassed,
            ]
            .map(|counter| counter.load(Ordering::Acquire));
            let name = &lane.name;
            println!(
                "{what}: {name}: sent {sent}, arrived {arrived}, of {owed} that had to {kept}, \
                 of others {trespassed}"
            );
            assert!(sent > 0, "{name} carried nothing");
            assert_eq!(trespassed, 0, "{name}: passed although what was in force forbade it");
            assert!(kept <= owed && (kept == owed || !lane.is_strict), "{name}: lost datagrams");
            if lane.allowed.by_a || lane.allowed.by_b {
                assert!(arrived > 0, "{name}: nothing arrived");
            }
        }
        println!("{what}: {}", self.durations);
    }

    fn order(&self, belief: Belief, is_sending: bool) {
        *self.shared.orders.write().expect("stations do not panic") = Orders { belief, is_sending };
    }

    /// Waits until every lane that is in use carried a few more datagrams.
    fn wait_for_each(&self) {
        let belief = self.shared.orders.read().expect("stations do not panic").belief;
        let in_use = self.shared.lanes.iter().filter(|(lane, _)| lane.is_used(belief));
        let counts = || in_use.clone().map(|(_, counters)| counters.sent.load(Ordering::Acquire));
        let goals: Vec<u64> = counts().map(|sent| sent + EACH).collect();
        wait::until_true("traffic on every lane", || {
            assert!(!self.stations.iter().any(JoinHandle::is_finished), "a station panicked");
            counts().zip(&goals).all(|(sent, goal)| sent >= *goal)
        });
    }

    fn wait_for_all(&self) {
        let deadline = Instant::now() + PATIENCE;
        while self.shared.under_way(&self.gateway) != 0 {
            assert!(
                Instant::now() < deadline,
                "{} datagrams neither arrived nor were dropped by the gateway",
                self.shared.under_way(&self.gateway)
            );
            thread::yield_now();
        }
    }
}

impl Drop for Barrage<'_> {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Release);
        for station in self.stations.drain(..) {
            _ = station.join();
        }
    }
}

impl Shared {
    /// A station: sends on the lanes that begin at its sockets, and counts what arrives there.
    fn run(&self, sockets: &[Arc<UdpSocket>], gateway: &Gateway) {
        let is_ours = |lane: &Lane| sockets.iter().any(|socket| Arc::ptr_eq(socket, &lane.from));
        let lanes: Vec<usize> =
            (0..self.lanes.len()).filter(|&index| is_ours(&self.lanes[index].0)).collect();
        let per_round = u64::try_from(lanes.len()).expect("there are few lanes");
        let mut room = 0;
        while !self.is_over.load(Ordering::Acquire) {
            if room < per_round {
                room = (WINDOW / 2).saturating_sub(self.under_way(gateway));
            }
            if room >= per_round {
                self.send(&lanes);
                room -= per_round;
            }
            for socket in sockets {
                self.receive(socket);
            }
            thread::park_timeout(PACE);
        }
    }

    fn send(&self, lanes: &[usize]) {
        // Held until all are sent: beliefs do not change meanwhile.
        let orders = self.orders.read().expect("nobody panics with it");
        let Orders { belief, is_sending } = *orders;
        if !is_sending {
            return;
        }
        for &index in lanes {
            let (lane, counters) = &self.lanes[index];
            if lane.is_used(belief) {
                let number = u8::try_from(index).expect("there are few lanes");
                counters.note_sent(lane, belief);
                lane.from.send_to(&[number, belief.code()], lane.to).expect("lanes can be used");
            }
        }
    }

    fn receive(&self, socket: &UdpSocket) {
        let mut datagram = [0; 64];
        loop {
            match socket.recv_from(&mut datagram) {
                Ok((len, from)) => {
                    assert_eq!(len, 2, "a datagram that is not ours, from {from}");
                    let (lane, counters) = &self.lanes[usize::from(datagram[0])];
                    counters.note_arrived(lane, Belief::decode(datagram[1]));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => panic!("receive on {socket:?}: {error}"),
            }
        }
    }

    /// Datagrams that were sent and neither arrived nor were dropped by the gateway.
    fn under_way(&self, gateway: &Gateway) -> u64 {
        // What came to an end is read first: what is sent meanwhile counts as under way.
        let dropped = dropped(gateway) - self.dropped_before;
        let sum = |counter: fn(&Counters) -> u64| -> u64 {
            self.lanes.iter().map(|(_, counters)| counter(counters)).sum()
        };
        let arrived = sum(|counters| counters.arrived.load(Ordering::Acquire));
        let sent = sum(|counters| counters.sent.load(Ordering::Acquire));
        sent.checked_sub(arrived + dropped).expect("nothing else is dropped, nothing arrives twice")
    }
}

impl Lane {
    fn is_used(&self, belief: Belief) -> bool {
        self.only_in.is_none_or(|only| only == belief)
    }
}

/// All packets that the policy, or the want of a flow, has dropped so far.
fn dropped(gateway: &Gateway) -> u64 {
    const BY_POLICY: [Reason; 3] = [Reason::PolicyRevoked, Reason::NoFlow, Reason::RuleDenied];
    let verdicts = gateway.verdicts().expect("counters can be read").into_iter();
    let drops = verdicts.filter(|(_, reason, _)| BY_POLICY.contains(reason));
    drops.map(|(_, _, counter)| counter.packets).sum()
}
