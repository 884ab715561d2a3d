//! `eigw stats`: the counters of a gateway.

use std::{
    io::Write,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
    time::{MissedTickBehavior, interval},
};

use super::{
    Context, Result,
    cost::{self, By, Column},
    select, tables, values,
};
use crate::{
    datapath::{Gateway, GatewayName},
    output::Output,
    view::{CostView, EventsView, RatesView, StatsView, VerdictView, View},
};

/// Show the counters of packets and flows
///
/// Without a command, the counters are shown once.
#[derive(Args, Debug)]
pub(super) struct StatsArgs {
    #[command(subcommand)]
    command: Option<StatsCommand>,
    /// The gateway, needed when there are several
    #[arg(long, global = true, value_name = "NAME", value_parser = values::gateway_name)]
    name: Option<GatewayName>,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum StatsCommand {
    /// Show the counters once
    #[command(visible_alias = "list")]
    Show,
    /// Show what flows carried since 'eigw run' keeps accounts, and what it cost
    Cost {
        /// What to take together
        #[arg(long, value_enum, default_value_t)]
        by: By,
        /// What comes first: the greatest, or the first of names
        #[arg(long, value_name = "COLUMN", value_enum, default_value_t)]
        sort: Column,
    },
    /// Show the counters and their rates again and again, until interrupted
    Watch {
        /// Seconds between two looks, from 0.1 to 3600
        #[arg(long, value_name = "SECS", default_value = "1", value_parser = interval_secs)]
        interval: Duration,
    },
}

pub(super) fn run<W: Write>(
    context: &Context,
    args: &StatsArgs,
    output: &mut Output<W>,
) -> Result<()> {
    let gateway = select::open(context, args.name.as_ref())?;
    match args.command.unwrap_or(StatsCommand::Show) {
        StatsCommand::Show => {
            let cost = cost::document(context, gateway.name())?;
            let cost = cost.as_ref().map(CostView::new);
            Ok(output.print(&View::Stats(StatsView { cost, ..stats(&gateway)? }))?)
        }
        StatsCommand::Cost { by, sort } => {
            Ok(output.print(&View::Cost(Box::new(cost::list(context, &gateway, by, sort)?)))?)
        }
        StatsCommand::Watch { interval } => {
            let runtime = runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .context("cannot start waiting for signals")?;
            runtime.block_on(watch(&gateway, interval, output))
        }
    }
}

fn stats(gateway: &Gateway) -> Result<StatsView> {
    Ok(StatsView {
        name: gateway.name().to_string(),
        verdicts: verdicts(gateway)?,
        flows: tables::flow_tables(gateway)?,
        events: EventsView(gateway.flow_events()?),
        cost: None,
    })
}

/// Every counter that is not zero.
pub(super) fn verdicts(gateway: &Gateway) -> Result<Vec<VerdictView>> {
    Ok(gateway
        .verdicts()?
        .into_iter()
        .filter(|(_, _, counter)| counter.packets > 0)
        .map(|(direction, reason, counter)| VerdictView::new(direction, reason, counter))
        .collect())
}

/// Shows rates once per `pause` until a signal asks to stop or nobody reads any more.
async fn watch<W: Write>(gateway: &Gateway, pause: Duration, output: &mut Output<W>) -> Result<()> {
    let cannot_wait = "cannot wait for signals";
    let mut interrupted = signal(SignalKind::interrupt()).context(cannot_wait)?;
    let mut terminated = signal(SignalKind::terminate()).context(cannot_wait)?;
    let mut looks = interval(pause);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last: Option<(Instant, StatsView)> = None;
    loop {
        tokio::select! {
            _ = looks.tick() => {}
            _ = interrupted.recv() => return Ok(()),
            _ = terminated.recv() => return Ok(()),
        }
        let (now, current) = (Instant::now(), stats(gateway)?);
        let (before, elapsed) =
            last.as_ref().map_or((&current, Duration::ZERO), |(then, before)| {
                (before, now.duration_since(*then))
            });
        output.reprint(&View::Rates(RatesView::between(before, current.clone(), elapsed)))?;
        last = Some((now, current));
    }
}

pub(super) fn interval_secs(text: &str) -> std::result::Result<Duration, String> {
    text.parse::<f64>()
        .ok()
        .filter(|secs| (0.1..=3600.0).contains(secs))
        .map(Duration::from_secs_f64)
        .ok_or_else(|| "not a number of seconds from 0.1 to 3600".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_neither_busy_nor_forgotten() {
        assert_eq!(interval_secs("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(interval_secs("60"), Ok(Duration::from_mins(1)));
        for wrong in ["0", "-1", "0.05", "3601", "NaN", "inf", "1s", ""] {
            assert!(interval_secs(wrong).is_err(), "{wrong}");
        }
    }
}
