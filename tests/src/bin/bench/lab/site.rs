//! A lab with a firewall on its gateway, and generators at both ends.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result, ensure};
use tests::topology::{self, Lab, UPLINK};

use super::{
    end::{End, Sent},
    firewall::{Firewall, Installed},
    napi::{self, Thread},
    stream::{KINDS, Stream},
    traffic::{Way, live_in_order, only},
};
use crate::cpu;

/// The gateway's interface towards the inside host, and the interfaces of both hosts beside it.
const INSIDE_LINK: &str = "inside";
const GATEWAY_LINK: &str = "gateway";

/// Flows that are opened at a time, fewer than may be unanswered.
const BLOCK: u32 = 50_000;
/// From one packet to the next where none may be lost.
const CAREFUL_INTERVAL_NS: u64 = 4_000;
/// The same on a busy machine; the generator waits no longer than that.
const SLOWEST_INTERVAL_NS: u64 = 16_000;
/// How often a block is gone through until it is there.
const TRIES: u32 = 10;
/// Frames that tell how fast the generator is.
const TRIAL: u32 = 200_000;

/// Everything that a turn needs.
pub(crate) struct Site {
    pub(crate) firewall: Firewall,
    pub(crate) lab: Lab,
    /// How many flows are live.
    pub(crate) flows: u32,
    outside: End,
    inside: End,
    /// The gateway's receiving threads, on the uplink and on the inside.
    receivers: [Thread; Way::ALL.len()],
    /// How fast the generators are, once it is known.
    frames_per_sec: f64,
    /// Keeps the firewall in place.
    _installed: Installed,
}

/// What happened in a turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    pub(crate) sent: Sent,
    /// Frames that arrived at the other end, of each kind.
    pub(crate) arrived: [u64; KINDS],
    /// Frames that the gateway received: what its ring had no room for is not among them.
    pub(crate) received: u64,
    /// CPU time of the gateway.
    pub(crate) busy: Duration,
}

impl Turn {
    /// What a packet cost the gateway.
    pub(crate) fn packet_ns(&self) -> f64 {
        self.busy.as_secs_f64() * 1e9 / count(self.received)
    }

    /// Whether nearly all frames were received, and nearly all of those arrived: rings that overflow
    /// while somebody else has a CPU lose dozens at once.
    fn passed_nearly_all(&self) -> bool {
        let [sent, arrived] =
            [self.sent.frames, self.arrived].map(|kinds| kinds.iter().sum::<u64>());
        self.received * 10 >= sent * 8 && arrived * 10 >= self.received * 9
    }

    /// Millions of packets that it received in a second.
    pub(crate) fn received_mpps(&self) -> f64 {
        count(self.received) / self.sent.elapsed.as_secs_f64() / 1e6
    }
}

impl Site {
    /// Makes the lab, puts the firewall on it and opens so many flows.
    ///
    /// # Errors
    /// If the firewall cannot be had, or does not keep the flows.
    pub(crate) fn new(firewall: Firewall, flows: u32) -> Result<Self> {
        ensure!(cpu::first()? != cpu::last()?, "this needs two CPUs: one to send, one to receive");
        let lab = Lab::with(topology::Options { offloads: false, ..topology::Options::default() });
        let installed = firewall.install_for(&lab, flows)?;
        keep_neighbours(&lab);
        let outside = End::open(&lab.router, GATEWAY_LINK).context("the outside end")?;
        let inside = End::open(&lab.inside, GATEWAY_LINK).context("the inside end")?;
        let last = cpu::last()?;
        let receivers = [
            napi::on_cpu(&lab.gateway, UPLINK, last)?,
            napi::on_cpu(&lab.gateway, INSIDE_LINK, last)?,
        ];
        let mut site = Self {
            firewall,
            lab,
            flows,
            outside,
            inside,
            receivers,
            frames_per_sec: 0.0,
            _installed: installed,
        };
        if firewall.is_stateful() {
            site.fill().with_context(|| format!("opening {flows} flows"))?;
        }
        Ok(site)
    }

    /// Sends so many frames.
    ///
    /// # Errors
    /// If they cannot be sent.
    pub(crate) fn send(&mut self, way: Way, stream: &Stream, frames: u32) -> Result<Turn> {
        let Self { lab, outside, inside, .. } = self;
        let thread = self.receivers[way as usize];
        let (link, host, near, far) = match way {
            Way::In => (UPLINK, &lab.router, outside, &*inside),
            Way::Out => (INSIDE_LINK, &lab.inside, inside, &*outside),
        };
        thread.wait_until_idle();
        let before = (thread.ran()?, received(lab, link)?, far.arrived()?);
        let sent = near.send(host, stream, frames)?;
        thread.wait_until_idle();
        let after = (thread.ran()?, received(lab, link)?, far.arrived()?);
        Ok(Turn {
            sent,
            arrived: std::array::from_fn(|kind| after.2[kind] - before.2[kind]),
            received: after.1 - before.1,
            busy: after.0.saturating_sub(before.0),
        })
    }

    /// Sends for about so long: at the rate of the stream, or as fast as the generator can.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub(crate) fn send_for(
        &mut self,
        way: Way,
        stream: &Stream,
        duration: Duration,
    ) -> Result<Turn> {
        let frames = if stream.interval_ns == 0 {
            if self.frames_per_sec == 0.0 {
                let trial = self.send(way, stream, TRIAL)?;
                self.frames_per_sec = f64::from(TRIAL) / trial.sent.elapsed.as_secs_f64();
            }
            self.frames_per_sec * duration.as_secs_f64()
        } else {
            let bursts = duration.as_secs_f64() * 1e9 / count(stream.interval_ns);
            bursts * f64::from(stream.burst.max(1))
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is clamped"
        )]
        let frames = frames.clamp(f64::from(TRIAL), 1e8) as u32;
        self.send(way, stream, frames)
    }

    /// Opens the flows, has them answered, and checks that answers get through. Packets that get
    /// lost were not all of the same flows, so blocks are gone through at least twice.
    fn fill(&mut self) -> Result<()> {
        let (mut first, mut interval_ns) = (0, CAREFUL_INTERVAL_NS);
        while first < self.flows {
            let flows = BLOCK.min(self.flows - first);
            let mut tries = 0;
            loop {
                let mut send = |way| {
                    let stream = Stream { interval_ns, ..only(live_in_order(way, first, flows)) };
                    self.send(way, &stream, flows)
                };
                send(Way::Out)?;
                let turn = send(Way::In)?;
                tries += 1;
                if tries > 1 && turn.passed_nearly_all() {
                    break;
                }
                ensure!(tries < TRIES, "answers do not get in: {turn:?}");
                interval_ns = SLOWEST_INTERVAL_NS.min(interval_ns * 2);
            }
            first += flows;
        }
        Ok(())
    }
}

/// Floods would keep the gateway from asking who its neighbours are.
fn keep_neighbours(lab: &Lab) {
    use topology::{INSIDE, ROUTER};
    lab.gateway.ip(&format!(
        "neigh replace {} lladdr 02:77:00:00:00:11 dev {INSIDE_LINK} nud permanent\n\
         neigh replace {} lladdr 02:77:00:00:00:22 dev {UPLINK} nud permanent\n",
        INSIDE.v6, ROUTER.v6
    ));
}

/// How many frames the gateway has received on an interface.
fn received(lab: &Lab, interface: &str) -> Result<u64> {
    let path = "/proc/thread-self/net/dev";
    let read = || fs::read_to_string(path).with_context(|| format!("reading {path}"));
    let text = lab.gateway.run(read)?;
    let fields =
        text.lines().find_map(|line| line.trim().strip_prefix(interface)?.strip_prefix(':'));
    let packets = fields.and_then(|fields| fields.split_whitespace().nth(1));
    Ok(packets.with_context(|| format!("{path} has no {interface}"))?.parse()?)
}

/// Counts that small are exact.
#[expect(clippy::cast_precision_loss, reason = "nobody counts to 2^53 here")]
pub(crate) const fn count(number: u64) -> f64 {
    number as f64
}
