//! TCP through a gateway: what a firewall costs a bulk transfer.
//!
//! Each firewall has a lab of its own, all made before the first transfer, so that turns change
//! nothing but which lab is busy.

mod firewall;
mod transfer;

use anyhow::{Context as _, Result, bail};
use clap::value_parser;
use gateway_common::tuple::Family;
use tests::{
    icmp,
    topology::{INSIDE, Lab},
};

use crate::{
    report::{Column, Table},
    statistics::Spread,
};
use firewall::{Firewall, Installed};
use transfer::Direction;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// How often each firewall has its turn
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = value_parser!(u32).range(1..))]
    rounds: u32,
    /// How long one transfer is measured
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = value_parser!(u64).range(1..=600))]
    secs: u64,
}

/// A lab with its firewall, and what was measured there.
struct Site {
    firewall: Firewall,
    lab: Lab,
    /// Gigabits per second in each round, by direction.
    gigabits: [Vec<f64>; Direction::ALL.len()],
    /// Keeps the firewall in place.
    _installed: Installed,
}

/// Runs the benchmark and adds its table.
///
/// # Errors
/// If a firewall cannot be had, does not filter, or lets a transfer starve.
pub(crate) fn run(options: &Options, tables: &mut Vec<Table>) -> Result<()> {
    eprintln!("throughput: making a lab for each of {} firewalls", Firewall::ALL.len());
    let mut sites = Firewall::ALL.into_iter().map(Site::new).collect::<Result<Vec<_>>>()?;
    for round in 1..=options.rounds {
        eprintln!("throughput: round {round} of {}", options.rounds);
        for site in &mut sites {
            for (direction, gigabits) in Direction::ALL.into_iter().zip(&mut site.gigabits) {
                let rate = transfer::gigabits_per_sec(&site.lab, direction, options.secs)
                    .with_context(|| {
                        format!("{} with {}", direction.name(), site.firewall.name())
                    })?;
                gigabits.push(rate);
            }
        }
    }
    for site in &sites {
        site.check().with_context(|| format!("checking {}", site.firewall.name()))?;
    }
    tables.push(table(&sites, options));
    Ok(())
}

impl Site {
    fn new(firewall: Firewall) -> Result<Self> {
        let lab = Lab::new();
        let installed =
            firewall.install(&lab).with_context(|| format!("installing {}", firewall.name()))?;
        let site = Self {
            firewall,
            lab,
            gigabits: Direction::ALL.map(|_| Vec::new()),
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

fn table(sites: &[Site], options: &Options) -> Table {
    let mut rows = Vec::new();
    for (index, direction) in Direction::ALL.into_iter().enumerate() {
        let base = |firewall: Firewall| {
            let site = sites.iter().find(|site| site.firewall == firewall);
            &site.expect("every firewall has a site").gigabits[index]
        };
        for site in sites {
            let gigabits = &site.gigabits[index];
            rows.push(vec![
                direction.name().to_owned(),
                site.firewall.name().to_owned(),
                format!("{:.2}", Spread::of(gigabits.iter().copied())),
                format!("{:.2}", Spread::of_ratios(gigabits, base(Firewall::None))),
                format!("{:.2}", Spread::of_ratios(gigabits, base(Firewall::Nftables))),
            ]);
        }
    }
    Table {
        title: "TCP throughput through the gateway",
        notes: vec![
            format!(
                "One IPv6 connection that inside opens, inside – gateway – router – outside in \
                 network namespaces joined by veths: median [min – max] of {} interleaved rounds \
                 of {} s, and ratios taken within each round. Sender and receiver share the \
                 machine's CPUs with the gateway.",
                options.rounds, options.secs
            ),
            "An XDP program on a veth switches segmentation offload of its peer off, whatever the \
             program does; the row of the empty XDP program shows that price, which the gateway \
             in XDP pays too. Physical cards have no such rule."
                .into(),
            "Whether a firewall filters is checked before and after with an echo request from \
             outside."
                .into(),
        ],
        columns: vec![
            Column::Words("direction"),
            Column::Words("firewall"),
            Column::Numbers("Gbit/s"),
            Column::Numbers("to no firewall"),
            Column::Numbers("to nftables"),
        ],
        rows,
    }
}
