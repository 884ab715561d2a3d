//! Small exchanges through a gateway, with everything on one CPU: round trips, and connections.

mod exchange;

use anyhow::{Context as _, Result};
use clap::value_parser;
use tests::{eigw, topology::Lab};

use self::exchange::RoundTrips;
use crate::{
    bars::{Bar, Bars, Group},
    lab::firewall::{Firewall, Installed},
    report::{Column, Table},
    statistics::Spread,
};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// How often each firewall has its turn
    #[arg(long, value_name = "N", default_value_t = 9)]
    #[arg(value_parser = value_parser!(u32).range(1..))]
    rounds: u32,
    /// How many round trips a turn is
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    #[arg(value_parser = value_parser!(u32).range(100..=10_000_000))]
    round_trips: u32,
    /// How many connections a turn is
    #[arg(long, value_name = "N", default_value_t = 2_000)]
    #[arg(value_parser = value_parser!(u32).range(10..=20_000))]
    connections: u32,
}

/// A lab with its firewall, and what was measured there.
struct Site {
    firewall: Firewall,
    lab: Lab,
    round_trips: Vec<RoundTrips>,
    connections_per_sec: Vec<f64>,
    /// Keeps the firewall in place.
    _installed: Installed,
}

/// Runs the benchmark and adds its tables.
///
/// # Errors
/// If a firewall cannot be had, or exchanges do not get through.
pub(crate) fn run(options: &Options, tables: &mut Vec<Table>) -> Result<()> {
    eprintln!("transactions: bringing eigw up to date");
    _ = eigw::binary();
    let mut sites = Firewall::TRANSFER.into_iter().map(Site::new).collect::<Result<Vec<_>>>()?;
    for round in 0..options.rounds as usize {
        eprintln!("transactions: round {} of {}", round + 1, options.rounds);
        // Every round begins with another one, in case the place in a round matters.
        for place in 0..sites.len() {
            let index = (round + place) % sites.len();
            let site = &mut sites[index];
            let name = site.firewall.name();
            site.turn(options).with_context(|| name.to_owned())?;
        }
    }
    tables.push(round_trips(&sites, options));
    tables.push(connections(&sites, options));
    Ok(())
}

impl Site {
    fn new(firewall: Firewall) -> Result<Self> {
        let lab = Lab::new();
        let installed =
            firewall.install(&lab).with_context(|| format!("installing {}", firewall.name()))?;
        Ok(Self {
            firewall,
            lab,
            round_trips: Vec::new(),
            connections_per_sec: Vec::new(),
            _installed: installed,
        })
    }

    fn turn(&mut self, options: &Options) -> Result<()> {
        self.round_trips.push(exchange::round_trips(&self.lab, options.round_trips)?);
        let rate = exchange::connections_per_sec(&self.lab, options.connections)?;
        self.connections_per_sec.push(rate);
        Ok(())
    }

    fn micros(&self, of: fn(&RoundTrips) -> f64) -> Vec<f64> {
        self.round_trips.iter().map(of).collect()
    }
}

fn base(sites: &[Site], firewall: Firewall) -> &Site {
    sites.iter().find(|site| site.firewall == firewall).expect("every firewall has a site")
}

fn round_trips(sites: &[Site], options: &Options) -> Table {
    let none = base(sites, Firewall::None);
    let row = |site: &Site| {
        let of: [fn(&RoundTrips) -> f64; 3] = [|t| t.p10, |t| t.p50, |t| t.p99];
        let mut row = vec![site.firewall.name().to_owned()];
        row.extend(of.map(|of| format!("{:.1}", Spread::of(site.micros(of)))));
        let added = of.map(|of| Spread::of_differences(&site.micros(of), &none.micros(of)));
        row.extend(added[..2].iter().map(|added| format!("{added:+.2}")));
        row
    };
    let title = "Round trips of a UDP datagram";
    let bar = |site: &Site| Bar {
        name: site.firewall.name().to_owned(),
        spread: Spread::of(site.micros(|trips| trips.p50)),
        highlighted: matches!(site.firewall, Firewall::Eigw(_)),
    };
    let group = Group { name: "median".to_owned(), bars: sites.iter().map(bar).collect() };
    Table {
        title,
        notes: vec![format!(
            "Inside sends a datagram over IPv6, outside answers, {} times a turn, all of it on one \
             CPU: microseconds, the percentiles of each of {} interleaved rounds, then their median \
             [min – max]. What is added to no firewall is taken within each round. The tenth \
             percentile is the code's, undisturbed; both hooks are in it, one each way.",
            options.round_trips, options.rounds
        )],
        columns: vec![
            Column::Words("firewall"),
            Column::Numbers("p10"),
            Column::Numbers("p50"),
            Column::Numbers("p99"),
            Column::Numbers("added to p10"),
            Column::Numbers("added to p50"),
        ],
        rows: sites.iter().map(row).collect(),
        pictures: vec![
            Bars {
                file: "round-trips.svg",
                title,
                unit: "microseconds; shorter is better",
                groups: vec![group],
            }
            .picture(),
        ],
    }
}

fn connections(sites: &[Site], options: &Options) -> Table {
    let row = |site: &Site| {
        let rates = &site.connections_per_sec;
        let ratio = |firewall| {
            format!("{:.2}", Spread::of_ratios(rates, &base(sites, firewall).connections_per_sec))
        };
        vec![
            site.firewall.name().to_owned(),
            format!("{:.0}", Spread::of(rates.iter().copied())),
            ratio(Firewall::None),
            ratio(Firewall::Nftables),
        ]
    };
    Table {
        title: "New TCP connections, one after the other",
        notes: vec![format!(
            "Inside connects over IPv6, outside accepts and closes, inside reads the end and closes: \
             {} times a turn, all of it on one CPU. Connections per second, median [min – max] of \
             {} interleaved rounds, and ratios taken within each round. Both ends' sockets are most \
             of it.",
            options.connections, options.rounds
        )],
        columns: vec![
            Column::Words("firewall"),
            Column::Numbers("connections per second"),
            Column::Numbers("to no firewall"),
            Column::Numbers("to nftables"),
        ],
        rows: sites.iter().map(row).collect(),
        pictures: Vec::new(),
    }
}
