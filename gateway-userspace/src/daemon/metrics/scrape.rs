//! Reading what a page tells. The kernel is only asked for what it has at hand; what takes a pass
//! over the flow tables comes from the sweeper.

use std::{
    env,
    path::Path,
    sync::{Mutex, PoisonError},
    time::{Instant, SystemTime},
};

use gateway_common::{
    abi::ABI_VERSION,
    counter::{Counter, FlowEvent},
    flow::FlowState,
    tables::Table,
    tuple::Direction,
};

use super::{
    aws::{self, Peaks, Traffic},
    catalogue as metric,
    page::Page,
    process,
    vitals::{Vitals, place},
};
use crate::{
    datapath::{DatapathError, Gateway, GatewayName, UplinkStatus, fill_ratio, observer_counts},
    view::AccountsView,
};

/// Rules that have series of their own; a policy may have thousands.
const RULES_MAX: usize = 256;

/// Accounts of each kind that have series of their own.
const ACCOUNTS_MAX: usize = 50;

/// Where a page comes from.
pub(super) struct Sources<'a> {
    /// The BPF file system's directory.
    pub(super) bpffs: &'a Path,
    /// The gateway.
    pub(super) name: &'a GatewayName,
    /// What the daemon's parts know.
    pub(super) vitals: &'a Vitals,
    /// The highest rates.
    pub(super) peaks: &'a Mutex<Peaks>,
}

/// A source of the page: its name, and how it is told.
type Source<'a> = (&'static str, &'a dyn Fn(&mut Page) -> anyhow::Result<()>);

impl Sources<'_> {
    /// Reads everything. What cannot be read is missing, and a metric says so.
    pub(super) fn page(&self) -> Page {
        let begun = Instant::now();
        let (mut page, name) = (Page::default(), self.name.as_str());
        page.add(metric::BUILD, [env!("CARGO_PKG_VERSION"), &ABI_VERSION.to_string()], true);
        self.tell_reloads(&mut page);
        self.tell_sweeper(&mut page);
        self.tell_flow_log(&mut page);
        self.tell_accounts(&mut page);
        self.tell_all(&mut page, &[("process", &|page| process::tell(page))]);
        page.add(metric::PROCESS_START, [], unix_secs(self.vitals.begun()));
        let opened = Gateway::open(self.bpffs, self.name);
        page.add(metric::ATTACHED, [name], opened.is_ok());
        match opened {
            Ok(gateway) => self.tell_gateway(&mut page, &gateway),
            Err(DatapathError::NotAttached { .. }) => {}
            Err(error) => {
                tracing::debug!("the gateway cannot be read: {error}");
                page.add(metric::SCRAPE_SUCCESS, [name, "gateway"], false);
            }
        }
        page.add(metric::SCRAPE_SECONDS, [], begun.elapsed().as_secs_f64());
        page
    }

    fn tell_gateway(&self, page: &mut Page, gateway: &Gateway) {
        self.tell_all(
            page,
            &[
                ("config", &|page| self.tell_config(page, gateway)),
                ("counters", &|page| self.tell_counters(page, gateway)),
                ("uplinks", &|page| self.tell_uplinks(page, gateway)),
                ("policy", &|page| self.tell_policy(page, gateway)),
                ("observers", &|page| self.tell_observers(page)),
                ("programs", &|page| self.tell_programs(page, gateway)),
            ],
        );
        let peaks = self.peaks.lock().unwrap_or_else(PoisonError::into_inner);
        peaks.tell(page, self.name.as_str());
    }

    /// Tells all of these, each whole or not at all.
    fn tell_all(&self, page: &mut Page, sources: &[Source<'_>]) {
        for (source, tell) in sources {
            let mut with_it = page.clone();
            let told = tell(&mut with_it);
            if let Err(error) = &told {
                tracing::debug!(source, "a source of metrics cannot be read: {error:#}");
            } else {
                *page = with_it;
            }
            page.add(metric::SCRAPE_SUCCESS, [self.name.as_str(), source], told.is_ok());
        }
    }

    fn tell_reloads(&self, page: &mut Page) {
        let (name, reloads) = (self.name.as_str(), self.vitals.reloads());
        page.add(metric::RELOADS, [name, "success"], reloads.succeeded);
        page.add(metric::RELOADS, [name, "failure"], reloads.failed);
        page.add(metric::RELOAD_SUCCESS, [name], reloads.last.is_none_or(|(_, success)| success));
        if let Some((at, _)) = reloads.last {
            page.add(metric::RELOAD_TIME, [name], unix_secs(at));
        }
    }

    fn tell_sweeper(&self, page: &mut Page) {
        let name = self.name.as_str();
        let Some((stats, last)) = self.vitals.swept() else { return };
        page.add(metric::SWEEPER_PASSES, [name], stats.passes);
        page.add(metric::SWEEPER_ENTRIES, [name], stats.entries);
        page.add(metric::SWEEPER_RECLAIMED, [name], stats.reclaimed);
        page.add(metric::SWEEPER_CPU, [name], stats.cpu.as_secs_f64());
        page.add(metric::SWEEPER_RECORDS, [name], stats.records);
        page.add(metric::SWEEPER_MISSING, [name], stats.records_missing);
        page.add(metric::SWEEPER_WAITING, [name], stats.records_waiting);
        let Some(last) = last else { return };
        page.add(metric::FILTER_FILL, [name], fill_ratio(last.summary.filter_bits));
        for (table, count) in [
            (Table::HalfOpen, last.summary.half_open),
            (Table::Established, last.summary.established),
        ] {
            for state in FlowState::ALL {
                let labels = [name, table.name(), state.name()];
                page.add(metric::FLOWS, labels, last.flows[place(table)][state as usize]);
            }
            page.add(metric::FLOWS_EXPIRED, [name, table.name()], count.expired);
        }
        page.add(metric::AWS_ACTIVE, [name], aws::active(&last.flows[place(Table::Established)]));
        page.add(metric::FLOWS_RECYCLED, [name], last.summary.recycled);
        page.add(metric::SWEEPER_PASS_SECONDS, [name], last.summary.duration.as_secs_f64());
        page.add(metric::SWEEPER_PASS_TIME, [name], unix_secs(last.at));
    }

    fn tell_flow_log(&self, page: &mut Page) {
        let name = self.name.as_str();
        let Some(counts) = self.vitals.logged() else { return };
        page.add(metric::LOG_LINES, [name], counts.lines);
        page.add(metric::LOG_BYTES, [name], counts.bytes);
        page.add(metric::LOG_LOST, [name], counts.lost);
        page.add(metric::LOG_MISSED, [name], counts.rejects_missed);
        page.add(metric::LOG_WINDOWS, [name], counts.windows);
    }

    fn tell_accounts(&self, page: &mut Page) {
        let name = self.name.as_str();
        let Some(AccountsView { cost, hosts, destinations, rules, .. }) =
            self.vitals.accounted(ACCOUNTS_MAX)
        else {
            return;
        };
        page.add(metric::COST_BYTES, [name, Direction::Outbound.name()], cost.total.bytes_out);
        page.add(metric::COST_BYTES, [name, Direction::Inbound.name()], cost.total.bytes_in);
        for (by, list) in [("host", hosts), ("destination", destinations), ("rule", rules)] {
            let named = list.accounts.iter().map(|account| (account.name.as_str(), account.count));
            for (account, count) in named.chain([("other", list.other)]) {
                for (direction, bytes) in
                    [(Direction::Outbound, count.bytes_out), (Direction::Inbound, count.bytes_in)]
                {
                    let labels = [name, by, account, direction.name()];
                    page.add(metric::ACCOUNT_BYTES, labels, bytes);
                }
                if let Some(price) = count.cost {
                    page.add(metric::COST, [name, by, account, &cost.currency], price);
                }
            }
        }
    }

    fn tell_config(&self, page: &mut Page, gateway: &Gateway) -> anyhow::Result<()> {
        let (name, config, now) = (self.name.as_str(), gateway.config()?, gateway.now()?);
        let is_armed = config.is_valid() && !config.is_standby() && !config.is_overdue(now);
        page.add(metric::ARMED, [name], is_armed);
        page.add(metric::UNCONFIRMED, [name], config.is_unconfirmed());
        page.add(metric::GENERATION, [name], config.generation);
        page.add(metric::RULES, [name], config.policy.rules);
        page.add(metric::SUBNETS, [name], config.policy.subnets);
        let sizes = gateway.table_sizes()?;
        page.add(metric::CAPACITY, [name, Table::HalfOpen.name()], sizes.half_open_max);
        page.add(metric::CAPACITY, [name, Table::Established.name()], sizes.established_max);
        Ok(())
    }

    fn tell_counters(&self, page: &mut Page, gateway: &Gateway) -> anyhow::Result<()> {
        let (name, verdicts) = (self.name.as_str(), gateway.verdicts()?);
        for (direction, reason, counter) in &verdicts {
            let labels = [name, direction.name(), reason.verdict().name(), reason.name()];
            page.add(metric::VERDICT_PACKETS, labels, counter.packets);
            page.add(metric::VERDICT_BYTES, labels, counter.bytes);
        }
        Traffic::of(&verdicts).tell(page, name);
        let events = gateway.flow_events()?;
        for &(event, count) in &events {
            match event {
                FlowEvent::Created => page.add(metric::FLOWS_CREATED, [name], count),
                FlowEvent::Promoted => page.add(metric::FLOWS_PROMOTED, [name], count),
                FlowEvent::RecordLost => page.add(metric::RECORDS_LOST, [name], count),
                FlowEvent::EstablishedFull | FlowEvent::HostShareFull | FlowEvent::HostOverflow => {
                    page.add(metric::PRESSURE, [name, event.name()], count);
                }
                FlowEvent::HostRecycled => {
                    page.add(metric::PRESSURE, [name, event.name()], count);
                    page.add(metric::FLOWS_ENDED, [name, event.name()], count);
                }
                FlowEvent::Expired
                | FlowEvent::Closed
                | FlowEvent::Reset
                | FlowEvent::Deleted
                | FlowEvent::Revoked
                | FlowEvent::Replaced => page.add(metric::FLOWS_ENDED, [name, event.name()], count),
                FlowEvent::Changed => {}
            }
        }
        aws::tell_connections(page, name, &events);
        Ok(())
    }

    fn tell_uplinks(&self, page: &mut Page, gateway: &Gateway) -> anyhow::Result<()> {
        let name = self.name.as_str();
        for status in gateway.uplinks()? {
            let UplinkStatus { ifindex, name: uplink, present, up, ingress, egress } = &status;
            let hook = ingress.map_or("none", |program| program.hook.name());
            let means = egress.map_or("none", |program| program.hook.name());
            page.add(metric::UPLINK, [name, uplink, &ifindex.to_string(), hook, means], true);
            page.add(metric::UPLINK_UP, [name, uplink], *present && *up);
            page.add(metric::UPLINK_PROGRAM, [name, uplink, "in"], ingress.is_some());
            page.add(metric::UPLINK_PROGRAM, [name, uplink, "out"], egress.is_some());
        }
        Ok(())
    }

    fn tell_policy(&self, page: &mut Page, gateway: &Gateway) -> anyhow::Result<()> {
        let (name, policy) = (self.name.as_str(), gateway.policy()?);
        page.add(metric::POLICY_LOADED, [name], policy.source.loaded_unix_secs);
        let mut add = |rule: &str, rule_name: &str, count: Counter| {
            page.add(metric::RULE_PACKETS, [name, rule, rule_name], count.packets);
            page.add(metric::RULE_BYTES, [name, rule, rule_name], count.bytes);
        };
        let rules = policy.policy.rules.iter().zip(&policy.rules);
        for (index, (rule, hits)) in rules.clone().enumerate().take(RULES_MAX) {
            add(&(index + 1).to_string(), rule.name.as_deref().unwrap_or_default(), hits.count);
        }
        if policy.rules.len() > RULES_MAX {
            let others = rules.skip(RULES_MAX).map(|(_, hits)| hits.count);
            add("other", "", others.fold(Counter::default(), aws::sum));
        }
        Ok(())
    }

    fn tell_observers(&self, page: &mut Page) -> anyhow::Result<()> {
        for (place, count) in observer_counts(self.bpffs, self.name)? {
            let place = place.to_string();
            for (outcome, reports) in
                [("reported", count.reported), ("limited", count.limited), ("lost", count.lost)]
            {
                let labels = [self.name.as_str(), place.as_str(), outcome];
                page.add(metric::OBSERVER_REPORTED, labels, reports);
            }
        }
        Ok(())
    }

    fn tell_programs(&self, page: &mut Page, gateway: &Gateway) -> anyhow::Result<()> {
        for stats in gateway.run_stats()? {
            let labels = [self.name.as_str(), stats.program];
            page.add(metric::PROGRAM_SECONDS, labels, stats.time.as_secs_f64());
            page.add(metric::PROGRAM_RUNS, labels, stats.runs);
        }
        Ok(())
    }
}

/// Seconds since 1970.
fn unix_secs(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
