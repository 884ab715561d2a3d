//! TCP through a gateway: what a firewall costs a bulk transfer.
//!
//! Each firewall has a lab of its own, all made before the first transfer, so that turns change
//! nothing but which lab is busy.

mod transfer;

use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use clap::{ValueEnum, value_parser};
use gateway_common::tuple::Family;
use tests::{
    eigw, icmp,
    topology::{self, INSIDE, Lab, UPLINK},
};

use crate::{
    lab::firewall::{Firewall, Installed},
    report::{Column, Table},
    statistics::Spread,
};
use transfer::Direction;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// How often each firewall has its turn
    #[arg(long, value_name = "N", default_value_t = 3)]
    #[arg(value_parser = value_parser!(u32).range(1..))]
    rounds: u32,
    /// How long one transfer is measured
    #[arg(long, value_name = "SECONDS", default_value_t = 1)]
    #[arg(value_parser = value_parser!(u64).range(1..=600))]
    secs: u64,
    /// How many connections share the way
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [1, 8])]
    #[arg(value_parser = value_parser!(u32).range(1..=64))]
    streams: Vec<u32>,
    /// With which offloads of the labs' interfaces
    #[arg(long, value_name = "WHICH", value_enum, default_value_t = Choice::Both)]
    offloads: Choice,
}

/// What to measure with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Choice {
    /// Segmentation, receive and checksum offloads on: packets of up to 64 KiB
    On,
    /// All of them off: every packet fits the MTU
    Off,
    /// One after the other
    Both,
}

/// A lab with its firewall, and what was measured there.
struct Site {
    firewall: Firewall,
    lab: Lab,
    /// Gigabits per second in each round, by direction and number of connections.
    gigabits: [Vec<Vec<f64>>; Direction::ALL.len()],
    /// Keeps the firewall in place.
    _installed: Installed,
}

/// Runs the benchmark and adds its tables.
///
/// # Errors
/// If a firewall cannot be had, does not filter, or lets a transfer starve.
pub(crate) fn run(options: &Options, tables: &mut Vec<Table>) -> Result<()> {
    eprintln!("throughput: bringing eigw up to date");
    _ = eigw::binary();
    for offloads in [true, false] {
        if !matches!((options.offloads, offloads), (Choice::On, false) | (Choice::Off, true)) {
            tables.push(measure(options, offloads)?);
        }
    }
    Ok(())
}

fn measure(options: &Options, offloads: bool) -> Result<Table> {
    eprintln!("throughput: making a lab for each of {} firewalls", Firewall::TRANSFER.len());
    let mut sites = Firewall::TRANSFER
        .into_iter()
        .map(|firewall| Site::new(firewall, options, offloads))
        .collect::<Result<Vec<_>>>()?;
    for round in 0..options.rounds as usize {
        eprintln!(
            "throughput: round {} of {}, offloads {}",
            round + 1,
            options.rounds,
            on_off(offloads)
        );
        // Every round begins with another one, in case the place in a round matters.
        for place in 0..sites.len() {
            let index = (round + place) % sites.len();
            let site = &mut sites[index];
            for (direction, gigabits) in Direction::ALL.into_iter().zip(&mut site.gigabits) {
                for (&streams, gigabits) in options.streams.iter().zip(gigabits) {
                    let rate =
                        transfer::gigabits_per_sec(&site.lab, direction, streams, options.secs);
                    gigabits.push(rate.with_context(|| {
                        format!("{} with {}", direction.name(), site.firewall.name())
                    })?);
                }
            }
        }
    }
    for site in &sites {
        site.check().with_context(|| format!("checking {}", site.firewall.name()))?;
    }
    Ok(table(&sites, options, offloads))
}

impl Site {
    fn new(firewall: Firewall, options: &Options, offloads: bool) -> Result<Self> {
        let lab = Lab::with(topology::Options { offloads, ..topology::Options::default() });
        let installed =
            firewall.install(&lab).with_context(|| format!("installing {}", firewall.name()))?;
        if !offloads {
            // Older kernels switch it on again when a veth gets an XDP program.
            switch_receive_offload_off(&lab)?;
        }
        let site = Self {
            firewall,
            lab,
            gigabits: Direction::ALL.map(|_| vec![Vec::new(); options.streams.len()]),
            _installed: installed,
        };
        site.check().with_context(|| format!("checking {}", firewall.name()))?;
        Ok(site)
    }

    /// Checks that what is measured filters, or does not: by an echo request from outside.
    fn check(&self) -> Result<()> {
        let answer = icmp::ping(&self.lab.outside, INSIDE.ip(Family::Ipv6));
        match (self.firewall.filters(), answer) {
            (true, Ok(())) => bail!("an echo request from outside was answered"),
            (false, Err(error)) => {
                Err(error).context("an echo request from outside was not answered")
            }
            (true, Err(_)) | (false, Ok(())) => Ok(()),
        }
    }
}

fn table(sites: &[Site], options: &Options, offloads: bool) -> Table {
    let mut rows = Vec::new();
    for (index, direction) in Direction::ALL.into_iter().enumerate() {
        for (place, streams) in options.streams.iter().enumerate() {
            let base = |firewall: Firewall| {
                let site = sites.iter().find(|site| site.firewall == firewall);
                &site.expect("every firewall has a site").gigabits[index][place]
            };
            for site in sites {
                let gigabits = &site.gigabits[index][place];
                rows.push(vec![
                    direction.name().to_owned(),
                    streams.to_string(),
                    site.firewall.name().to_owned(),
                    format!("{:.2}", Spread::of(gigabits.iter().copied())),
                    format!("{:.2}", Spread::of_ratios(gigabits, base(Firewall::None))),
                    format!("{:.2}", Spread::of_ratios(gigabits, base(Firewall::Nftables))),
                ]);
            }
        }
    }
    Table {
        title: if offloads {
            "TCP throughput through the gateway, offloads on"
        } else {
            "TCP throughput through the gateway, offloads off"
        },
        notes: vec![
            format!(
                "IPv6 connections that inside opens, inside – gateway – router – outside in \
                 network namespaces joined by veths: median [min – max] of {} interleaved rounds \
                 of {} s, and ratios taken within each round. Sender and receiver share the \
                 machine's CPUs with the gateway.",
                options.rounds, options.secs
            ),
            if offloads {
                "Segmentation offload makes packets of up to 64 KiB, so a firewall judges few of \
                 them. An XDP program on a veth switches that offload of its peer off, whatever \
                 the program does; the row of the empty XDP program shows that price, which the \
                 gateway in XDP pays too. Physical cards have no such rule."
            } else {
                "Every packet fits the MTU of 1500 bytes and is judged by itself. Veths copy \
                 packets for XDP programs, physical cards do not; the row of the empty XDP \
                 program shows that price."
            }
            .into(),
            "Whether a firewall filters is checked before and after with an echo request from \
             outside."
                .into(),
        ],
        columns: vec![
            Column::Words("direction"),
            Column::Numbers("connections"),
            Column::Words("firewall"),
            Column::Numbers("Gbit/s"),
            Column::Numbers("to no firewall"),
            Column::Numbers("to nftables"),
        ],
        rows,
        pictures: Vec::new(),
    }
}

fn switch_receive_offload_off(lab: &Lab) -> Result<()> {
    let mut command = Command::new("ethtool");
    command.args(["-K", UPLINK, "gro", "off"]);
    let output = lab.gateway.output(&mut command).context("starting ethtool")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "switching receive offload off: {complaint}");
    Ok(())
}

const fn on_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}
