//! What packets of live flows cost a gateway that lets them through, either way.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::value_parser;
use tests::eigw::{self, Hook};

use crate::{
    bars::{Bar, Bars, Group},
    lab::{
        conntrack::Room,
        firewall::Firewall,
        site::Site,
        traffic::{Way, live, only},
    },
    report::{Column, Table, thousands},
    statistics::Spread,
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
    /// Of how many live flows the packets are
    #[arg(long, value_name = "N", value_delimiter = ',')]
    #[arg(default_values_t = [1_000, 100_000, 1_000_000])]
    #[arg(value_parser = value_parser!(u32).range(1..=4_000_000))]
    flows: Vec<u32>,
}

const FIREWALLS: [Firewall; 7] = [
    Firewall::None,
    Firewall::EmptyXdp,
    Firewall::Nftables,
    Firewall::Flowtable,
    Firewall::Eigw(Hook::Xdp),
    Firewall::Eigw(Hook::Tc),
    Firewall::Eigw(Hook::XdpGeneric),
];

/// A site and what was measured there.
struct Subject {
    site: Site,
    /// By the way that packets went.
    series: [Series; Way::ALL.len()],
}

/// What each round measured.
#[derive(Default)]
struct Series {
    packet_ns: Vec<f64>,
    mpps: Vec<f64>,
}

/// Runs the benchmark and adds its table.
///
/// # Errors
/// If a firewall cannot be had, or does not let its flows through.
pub(crate) fn run(options: &Options, tables: &mut Vec<Table>) -> Result<()> {
    eprintln!("forward: bringing eigw up to date");
    _ = eigw::binary();
    let _room = Room::for_flows(&options.flows)?;
    let flowtable = Firewall::Flowtable.try_out();
    let mut subjects = Vec::new();
    for &flows in &options.flows {
        for firewall in FIREWALLS {
            if firewall != Firewall::Flowtable || flowtable.is_ok() {
                subjects.push(Subject::new(firewall, flows)?);
            }
        }
    }
    for round in 0..options.rounds as usize {
        eprintln!("forward: round {} of {}", round + 1, options.rounds);
        // Every round begins with another one, in case the place in a round matters.
        for place in 0..subjects.len() {
            let index = (round + place) % subjects.len();
            subjects[index].turn(Duration::from_millis(options.turn_ms))?;
        }
    }
    tables.push(table(&subjects, options, flowtable.is_ok()));
    Ok(())
}

impl Subject {
    fn new(firewall: Firewall, flows: u32) -> Result<Self> {
        eprintln!("forward: {}, {flows} flows", firewall.name());
        let site = Site::new(firewall, flows)
            .with_context(|| format!("{} with {flows} flows", firewall.name()))?;
        Ok(Self { site, series: Default::default() })
    }

    fn turn(&mut self, duration: Duration) -> Result<()> {
        for (way, series) in Way::ALL.into_iter().zip(&mut self.series) {
            let stream = only(live(way, self.site.flows));
            let turn = self.site.send_for(way, &stream, duration)?;
            let name = self.site.firewall.name();
            ensure!(turn.arrived[1] > 0, "no packet on its way {} got through {name}", way.name());
            series.packet_ns.push(turn.packet_ns());
            series.mpps.push(turn.received_mpps());
        }
        Ok(())
    }
}

fn table(subjects: &[Subject], options: &Options, has_flowtable: bool) -> Table {
    let mut rows = Vec::new();
    for way in Way::ALL {
        for subject in subjects {
            rows.push(row(subjects, subject, way));
        }
        if !has_flowtable {
            let words =
                [way.name(), Firewall::Flowtable.name(), "", "not available on this kernel"];
            rows.push(words.into_iter().chain([""; 3]).map(str::to_owned).collect());
        }
    }
    Table {
        title: "Packets of live flows, end to end",
        notes: vec![
            format!(
                "UDP datagrams in frames of 74 bytes over IPv6, each of a flow drawn at random, \
                 made in the kernel by one CPU as fast as it can; the gateway receives, judges and \
                 forwards them on a thread of its own on another CPU. Nanoseconds per packet are \
                 that thread's CPU time over the packets that it received. Median [min – max] of {} \
                 interleaved rounds of {} ms; ratios are taken within each round, to the same number \
                 of flows.",
                options.rounds, options.turn_ms
            ),
            "Packets in go from the uplink to the inside host, packets out the other way. An XDP \
             program on a veth makes it copy packets into other buffers, which the row of the \
             empty one shows; the gateway's hook for packets out is TC in every row."
                .into(),
        ],
        columns: vec![
            Column::Words("way"),
            Column::Words("firewall"),
            Column::Numbers("live flows"),
            Column::Numbers("ns per packet"),
            Column::Numbers("Mpps"),
            Column::Numbers("to no firewall"),
            Column::Numbers("to nftables, stateful"),
        ],
        rows,
        pictures: vec![bars(subjects, options).picture()],
    }
}

fn row(subjects: &[Subject], subject: &Subject, way: Way) -> Vec<String> {
    let Subject { site, series } = subject;
    let Series { packet_ns, mpps } = &series[way as usize];
    let base = |firewall| &of(subjects, firewall, site.flows)[way as usize].packet_ns;
    vec![
        way.name().to_owned(),
        site.firewall.name().to_owned(),
        thousands(site.flows.into()),
        format!("{:.0}", Spread::of(packet_ns.iter().copied())),
        format!("{:.2}", Spread::of(mpps.iter().copied())),
        format!("{:.2}", Spread::of_ratios(packet_ns, base(Firewall::None))),
        format!("{:.2}", Spread::of_ratios(packet_ns, base(Firewall::Nftables))),
    ]
}

fn bars(subjects: &[Subject], options: &Options) -> Bars {
    let group = |way: Way, flows: u32| {
        let its = subjects.iter().filter(|subject| subject.site.flows == flows);
        let bar = |subject: &Subject| Bar {
            name: subject.site.firewall.name().to_owned(),
            spread: Spread::of(subject.series[way as usize].packet_ns.iter().copied()),
            highlighted: matches!(subject.site.firewall, Firewall::Eigw(_)),
        };
        let name = format!("{}, {} live flows", way.name(), thousands(flows.into()));
        Group { name, bars: its.map(bar).collect() }
    };
    let groups = Way::ALL.into_iter();
    let groups = groups.flat_map(|way| options.flows.iter().map(move |flows| group(way, *flows)));
    Bars {
        file: "forward.svg",
        title: "A packet of a live flow, end to end",
        unit: "ns of the gateway's CPU time per packet; shorter is better",
        groups: groups.collect(),
    }
}

fn of(subjects: &[Subject], firewall: Firewall, flows: u32) -> &[Series] {
    let its = |subject: &&Subject| subject.site.firewall == firewall && subject.site.flows == flows;
    &subjects.iter().find(its).expect("each firewall has its sites").series
}
