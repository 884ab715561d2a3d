//! What an unsolicited packet costs a gateway from the wire to its end.

mod outcome;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::value_parser;
use tests::eigw::{self, Hook};

use crate::{
    lab::{
        conntrack::Room,
        firewall::Firewall,
        site::{Site, Turn},
        stream::Stream,
        traffic::{Unsolicited, Way, only},
    },
    report::Table,
};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// How often each firewall has its turn
    #[arg(long, value_name = "N", default_value_t = 5)]
    #[arg(value_parser = value_parser!(u32).range(1..))]
    rounds: u32,
    /// How long a turn is
    #[arg(long, value_name = "MS", default_value_t = 250)]
    #[arg(value_parser = value_parser!(u64).range(10..=60_000))]
    turn_ms: u64,
    /// With how many live flows in the tables of those that have any
    #[arg(long, value_name = "N", value_delimiter = ',')]
    #[arg(default_values_t = [0, 1_000, 100_000, 1_000_000])]
    #[arg(value_parser = value_parser!(u32).range(..=4_000_000))]
    flows: Vec<u32>,
}

/// Firewalls that know nothing of flows, and cost the same with any number of them.
const STATELESS: [Firewall; 5] = [
    Firewall::XdpDrop,
    Firewall::XdpBusy,
    Firewall::None,
    Firewall::NftablesRaw,
    Firewall::NftablesIngress,
];
const STATEFUL: [Firewall; 4] = [
    Firewall::Nftables,
    Firewall::Eigw(Hook::Xdp),
    Firewall::Eigw(Hook::Tc),
    Firewall::Eigw(Hook::XdpGeneric),
];

/// A site and what was measured there.
struct Subject {
    site: Site,
    /// By what strangers sent.
    series: [Series; Unsolicited::ALL.len()],
}

/// What each round measured.
#[derive(Default)]
struct Series {
    /// Nanoseconds per packet in bursts.
    packet_ns: Vec<f64>,
    /// The same at full speed.
    full_ns: Vec<f64>,
    /// Packets received at full speed.
    full_mpps: Vec<f64>,
}

/// Frames of a burst: fewer than the veth's ring has places, so that the generator never waits for the
/// gateway, nor writes to the places that the gateway reads.
const BURST: u32 = 192;
/// From one burst to the next. The slowest firewall is done with one by then.
const BURST_INTERVAL_NS: u64 = 400_000;

/// Runs the benchmark and adds its table.
///
/// # Errors
/// If a firewall cannot be had, does not keep its flows, or does not filter.
pub(crate) fn run(options: &Options, tables: &mut Vec<Table>) -> Result<()> {
    eprintln!("flood: bringing eigw up to date");
    _ = eigw::binary();
    let _room = Room::for_flows(&options.flows)?;
    let mut subjects = Vec::new();
    for firewall in STATELESS {
        subjects.push(Subject::new(firewall, 0)?);
    }
    for &flows in &options.flows {
        for firewall in STATEFUL {
            subjects.push(Subject::new(firewall, flows)?);
        }
    }
    for round in 0..options.rounds as usize {
        eprintln!("flood: round {} of {}", round + 1, options.rounds);
        // Every round begins with another one, in case the place in a round matters.
        for place in 0..subjects.len() {
            let index = (round + place) % subjects.len();
            subjects[index].turn(Duration::from_millis(options.turn_ms))?;
        }
    }
    tables.push(outcome::table(&subjects, options));
    Ok(())
}

impl Subject {
    fn new(firewall: Firewall, flows: u32) -> Result<Self> {
        eprintln!("flood: {}, {flows} flows", firewall.name());
        let site = Site::new(firewall, flows)
            .with_context(|| format!("{} with {flows} flows", firewall.name()))?;
        Ok(Self { site, series: Default::default() })
    }

    fn turn(&mut self, duration: Duration) -> Result<()> {
        for (unsolicited, series) in Unsolicited::ALL.into_iter().zip(&mut self.series) {
            let full = only(unsolicited.kind());
            let bursts = Stream { interval_ns: BURST_INTERVAL_NS, burst: BURST, ..full };
            let turn = send(&mut self.site, &bursts, duration)?;
            series.packet_ns.push(turn.packet_ns());
            let turn = send(&mut self.site, &full, duration)?;
            series.full_ns.push(turn.packet_ns());
            series.full_mpps.push(turn.received_mpps());
        }
        Ok(())
    }
}

/// Sends a flood, and makes sure that it ends where it should.
fn send(site: &mut Site, stream: &Stream, duration: Duration) -> Result<Turn> {
    let turn = site.send_for(Way::In, stream, duration)?;
    let (name, arrived) = (site.firewall.name(), turn.arrived[0]);
    ensure!(site.firewall.filters() == (arrived == 0), "{arrived} packets got through {name}");
    Ok(turn)
}
