//! What gets through a gateway of what it should let through, while strangers flood it.

mod connection;

use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::value_parser;
use tests::eigw::{self, Hook};

use crate::{
    bars::{Bar, Bars, Group},
    lab::{
        firewall::Firewall,
        site::{Site, count},
        stream::Stream,
        traffic::{Unsolicited, Way, live},
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
    #[arg(long, value_name = "MS", default_value_t = 400)]
    #[arg(value_parser = value_parser!(u64).range(10..=10_000))]
    turn_ms: u64,
    /// Packets per second, those of live flows included; 0 is as many as the generator can
    #[arg(long, value_name = "N", value_delimiter = ',')]
    #[arg(default_values_t = [200_000, 500_000, 1_000_000, 2_000_000, 3_000_000, 0])]
    #[arg(value_parser = value_parser!(u32).range(..=10_000_000))]
    rates: Vec<u32>,
}

/// Without a firewall everything is delivered to a sink that has no CPU for it.
const FIREWALLS: [Firewall; 4] = [
    Firewall::Nftables,
    Firewall::Eigw(Hook::Xdp),
    Firewall::Eigw(Hook::Tc),
    Firewall::Eigw(Hook::XdpGeneric),
];
/// Flows that are live, and of how many packets one is theirs.
const FLOWS: u32 = 1_000;
const LEGITIMATE_EACH: u32 = 16;

/// A site and what was measured there.
struct Subject {
    site: Site,
    /// By rate.
    series: Vec<Series>,
}

/// What each round measured.
#[derive(Clone, Default)]
struct Series {
    /// Packets offered, in millions per second: on a busy machine fewer than were asked for.
    offered_mpps: Vec<f64>,
    /// Of the legitimate packets, in percent.
    delivered: Vec<f64>,
    /// What one TCP connection got through beside the flood, in megabits per second.
    tcp_megabits: Vec<f64>,
}

/// Runs the benchmark and adds its tables.
///
/// # Errors
/// If a firewall cannot be had.
pub(crate) fn run(options: &Options, tables: &mut Vec<Table>) -> Result<()> {
    eprintln!("goodput: bringing eigw up to date");
    _ = eigw::binary();
    let mut subjects = Vec::new();
    for firewall in FIREWALLS {
        eprintln!("goodput: {}", firewall.name());
        let site = Site::new(firewall, FLOWS).with_context(|| firewall.name().to_owned())?;
        subjects.push(Subject { site, series: vec![Series::default(); options.rates.len()] });
    }
    for round in 0..options.rounds as usize {
        eprintln!("goodput: round {} of {}", round + 1, options.rounds);
        // Every round begins with another one, in case the place in a round matters.
        for place in 0..subjects.len() {
            let index = (round + place) % subjects.len();
            let subject = &mut subjects[index];
            let name = subject.site.firewall.name();
            subject.turn(options).with_context(|| name.to_owned())?;
        }
    }
    tables.push(delivery(&subjects, options));
    tables.push(connection::table(&subjects, options));
    Ok(())
}

impl Subject {
    fn turn(&mut self, options: &Options) -> Result<()> {
        let duration = Duration::from_millis(options.turn_ms);
        for (&rate, series) in options.rates.iter().zip(&mut self.series) {
            let turn = self.site.send_for(Way::In, &mixed(rate), duration)?;
            let sent: u64 = turn.sent.frames.iter().sum();
            series.offered_mpps.push(count(sent) / turn.sent.elapsed.as_secs_f64() / 1e6);
            series.delivered.push(count(turn.arrived[1]) * 100.0 / count(turn.sent.frames[1]));
            let megabits = connection::megabits_per_sec(&mut self.site, &flood(rate), duration)?;
            series.tcp_megabits.push(megabits);
        }
        Ok(())
    }
}

/// Nothing but the flood.
fn flood(rate: u32) -> Stream {
    let interval_ns = 1_000_000_000_u32.checked_div(rate).unwrap_or(0).into();
    let mut stream = Stream { interval_ns, ..Stream::default() };
    stream.kinds[0] = Unsolicited::Udp.kind();
    stream
}

/// The flood with packets of live flows in it.
fn mixed(rate: u32) -> Stream {
    let mut stream = Stream { second_each: LEGITIMATE_EACH, ..flood(rate) };
    stream.kinds[1] = live(Way::In, FLOWS);
    stream
}

fn delivery(subjects: &[Subject], options: &Options) -> Table {
    let mut rows = Vec::new();
    for (index, &rate) in options.rates.iter().enumerate() {
        for Subject { site, series } in subjects {
            let Series { offered_mpps, delivered, .. } = &series[index];
            rows.push(vec![
                rate_name(rate),
                site.firewall.name().to_owned(),
                format!("{:.2}", Spread::of(offered_mpps.iter().copied())),
                format!("{:.1}", Spread::of(delivered.iter().copied())),
            ]);
        }
    }
    Table {
        title: "Legitimate packets delivered during a flood",
        notes: vec![
            format!(
                "One packet in {LEGITIMATE_EACH} is of one of {FLOWS} live flows, the others are \
                 unsolicited UDP datagrams from a million random sources: all made in the kernel \
                 by one CPU and put on the uplink's veth, whose ring has 256 places; the gateway \
                 has one other CPU. Percent of the legitimate packets that reach the inside host, \
                 median [min – max] of {} interleaved rounds of {} ms.",
                options.rounds, options.turn_ms
            ),
            "Where the machine does anything else, the generator falls behind the rate and the \
             gateway loses packets while it waits for its CPU."
                .into(),
        ],
        columns: vec![
            Column::Words("rate"),
            Column::Words("firewall"),
            Column::Numbers("Mpps offered"),
            Column::Numbers("% delivered"),
        ],
        rows,
        pictures: vec![picture(
            subjects,
            options,
            ("goodput.svg", "Legitimate packets delivered during a flood"),
            "percent of the packets of live flows; longer is better",
            |series| &series.delivered,
        )],
    }
}

/// Bars by rate, of what `values` picks.
fn picture(
    subjects: &[Subject],
    options: &Options,
    (file, title): (&'static str, &'static str),
    unit: &'static str,
    values: impl Fn(&Series) -> &[f64],
) -> crate::plot::Picture {
    let group = |(index, rate): (usize, &u32)| {
        let bar = |subject: &Subject| Bar {
            name: subject.site.firewall.name().to_owned(),
            spread: Spread::of(values(&subject.series[index]).iter().copied()),
            highlighted: matches!(subject.site.firewall, Firewall::Eigw(_)),
        };
        Group { name: rate_name(*rate), bars: subjects.iter().map(bar).collect() }
    };
    let groups = options.rates.iter().enumerate().map(group).collect();
    Bars { file, title, unit, groups }.picture()
}

fn rate_name(rate: u32) -> String {
    if rate == 0 {
        "as fast as can be".to_owned()
    } else {
        format!("{} packets per second", thousands(rate.into()))
    }
}
