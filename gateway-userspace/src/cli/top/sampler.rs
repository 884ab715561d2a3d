//! Reads the tables again and again, and tells what changed in between.

use std::{
    cmp::Reverse,
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    net::IpAddr,
    time::{Duration, Instant},
};

use gateway_common::{
    config::Config,
    counter::Hits,
    flow::{FlowEntry, mark},
    tables::Table,
    timeouts::Ticks,
    tuple::{Direction, FlowKey},
};

use super::{
    super::{Context, Result, cost, flow::Filter, stats, tables},
    order::{self, Order},
};
use crate::{
    accounts::{Destination, Document, Tariff},
    datapath::{FlowBatch, FlowBatches, Gateway, UplinkStatus},
    settings::policy::Rule,
    view::{
        AccountListView, AccountsView, FlowRateView, FlowTablesView, FlowView, LineView, RateView,
        RatesBothView, RuleRateView, TopUplinkView, TopView, VerdictRateView, VerdictView, per_sec,
    },
};

/// The most lines that a list keeps; a screen shows fewer, and the greatest are there in any case.
const LINES_MAX: usize = 1000;

/// Reads a gateway's tables.
pub(super) struct Sampler {
    context: Context,
    gateway: Gateway,
    hasher: RandomState,
    before: Option<Before>,
}

/// What is left of the reading before, to tell differences from.
struct Before {
    at: Instant,
    now: Ticks,
    flows: HashMap<u64, [u64; 4]>,
    verdicts: Vec<VerdictView>,
    hits: Vec<Hits>,
    generation: u32,
}

/// Flows that have something in common: how many, what they carried and what they did just now.
#[derive(Clone, Copy, Default)]
struct Sum {
    flows: u64,
    carried: [u64; 4],
    grown: [u64; 4],
}

impl Sum {
    fn add(&mut self, carried: [u64; 4], grown: [u64; 4]) {
        self.flows += 1;
        for index in 0..4 {
            self.carried[index] += carried[index];
            self.grown[index] += grown[index];
        }
    }
}

/// A reading under way.
#[derive(Default)]
struct Reading {
    seen: HashMap<u64, [u64; 4]>,
    total: Sum,
    hosts: HashMap<IpAddr, Sum>,
    destinations: HashMap<Destination, Sum>,
    flows: Vec<(FlowKey, FlowEntry, [u64; 4])>,
    tables: FlowTablesView,
}

impl Sampler {
    pub(super) fn new(context: Context, gateway: Gateway) -> Self {
        Self { context, gateway, hasher: RandomState::new(), before: None }
    }

    /// Reads everything. The first answer has no rates.
    pub(super) fn read(&mut self, filter: &Filter, order: Order) -> Result<TopView> {
        let begun = Instant::now();
        let gateway = &self.gateway;
        let (now, config) = (gateway.now()?, gateway.config()?);
        let mut reading = self.flows(filter, order, now, &config)?;
        let verdicts = stats::verdicts(gateway)?;
        let policy = gateway.policy()?;
        let document = cost::document(&self.context, gateway.name())?;
        let at = Instant::now();
        let elapsed = self.before.as_ref().map_or(Duration::ZERO, |before| at - before.at);
        let accounts = document.as_ref();
        let accounts = accounts.map(|it| AccountsView::new(gateway.name(), it, usize::MAX));
        let verdict_rates = self.verdict_rates(&verdicts, elapsed);
        let mut view = TopView {
            name: gateway.name().to_string(),
            uplinks: gateway.uplinks()?.iter().map(uplink).collect(),
            generation: policy.generation,
            interval_ms: super::super::ms(elapsed),
            tables: reading.tables,
            inbound: direction(&verdict_rates, Direction::Inbound),
            outbound: direction(&verdict_rates, Direction::Outbound),
            total: line("total".to_owned(), &reading.total, elapsed),
            rules: self.rules(&policy.policy.rules, &policy.rules, policy.generation, elapsed),
            ..TopView::default()
        };
        view.drops = verdict_rates.into_iter().filter(|it| it.total.verdict == "drop").collect();
        view.drops_per_sec = view.drops.iter().map(|drop| drop.packets_per_sec).sum();
        view.talkers = lines(&reading.hosts, elapsed);
        view.destinations = lines(&reading.destinations, elapsed);
        add_costs(&mut view, accounts.as_ref(), document.as_ref());
        order::lines(&mut view.talkers, order);
        order::lines(&mut view.destinations, order);
        order::drops(&mut view.drops, order);
        order::rules(&mut view.rules, order);
        view.talkers.truncate(LINES_MAX);
        view.destinations.truncate(LINES_MAX);
        keep_greatest(&mut reading.flows, order, LINES_MAX);
        view.flows = reading
            .flows
            .iter()
            .map(|(key, entry, grown)| FlowRateView {
                flow: FlowView::new(key, entry, now, &config),
                rates: rates(grown, elapsed),
            })
            .collect();
        order::flows(&mut view.flows, order);
        view.read_ms = super::super::ms(begun.elapsed());
        let (hits, generation) = (policy.rules, policy.generation);
        self.before = Some(Before { at, now, flows: reading.seen, verdicts, hits, generation });
        Ok(view)
    }

    /// Reads the flow tables a part at a time.
    fn flows(&self, filter: &Filter, order: Order, now: Ticks, config: &Config) -> Result<Reading> {
        let sizes = self.gateway.table_sizes()?;
        let mut reading = Reading::default();
        reading.tables.half_open_max = sizes.half_open_max;
        reading.tables.established_max = sizes.established_max;
        let networks = Tariff::default();
        let mut batches = FlowBatches::new();
        while let Some(FlowBatch { table, keys, entries }) = batches.next(&self.gateway)? {
            for (key, entry) in keys.iter().zip(entries) {
                if entry.outbound.has(mark::ENDED)
                    || (table == Table::HalfOpen && entry.outbound.has(mark::MOVED))
                {
                    continue;
                }
                let is_live = entry.is_live(key, now, config);
                tables::count(&mut reading.tables, table, is_live);
                if is_live {
                    self.note(&mut reading, filter, &networks, key, entry);
                }
            }
            if reading.flows.len() > 4 * LINES_MAX {
                keep_greatest(&mut reading.flows, order, LINES_MAX);
            }
        }
        Ok(reading)
    }

    fn note(
        &self,
        reading: &mut Reading,
        filter: &Filter,
        networks: &Tariff,
        key: &FlowKey,
        entry: &FlowEntry,
    ) {
        let carried = carried(entry);
        let mark = self.hasher.hash_one((key, entry.created));
        // Who moves from one table to the other meanwhile is in both.
        if reading.seen.insert(mark, carried).is_some() || !filter.matches(key, entry) {
            return;
        }
        let grown = match &self.before {
            None => [0; 4],
            Some(before) => match before.flows.get(&mark) {
                Some(earlier) => [0, 1, 2, 3].map(|at| carried[at].saturating_sub(earlier[at])),
                None if entry.created >= before.now => carried,
                // It was there, but not to be seen.
                None => [0; 4],
            },
        };
        reading.total.add(carried, grown);
        reading.hosts.entry(key.inside.to_ip()).or_default().add(carried, grown);
        let (destination, _) = networks.of(key.outside, 0);
        reading.destinations.entry(destination).or_default().add(carried, grown);
        reading.flows.push((*key, *entry, grown));
    }

    fn verdict_rates(&self, verdicts: &[VerdictView], elapsed: Duration) -> Vec<VerdictRateView> {
        let before = self.before.as_ref().map_or(verdicts, |before| before.verdicts.as_slice());
        VerdictRateView::between(before, verdicts.iter().copied(), elapsed)
    }

    fn rules(
        &self,
        rules: &[Rule],
        hits: &[Hits],
        generation: u32,
        elapsed: Duration,
    ) -> Vec<RuleRateView> {
        let same = self.before.as_ref().filter(|before| before.generation == generation);
        let rules = rules.iter().zip(hits).enumerate().map(|(index, (rule, hits))| {
            let now = hits.count.packets;
            let before = same.and_then(|before| before.hits.get(index));
            RuleRateView {
                number: index + 1,
                name: rule.name.clone(),
                direction: rule.direction.name(),
                action: rule.action.name(),
                hits: now,
                hits_per_sec: per_sec(now, before.map_or(now, |hits| hits.count.packets), elapsed),
                flow_bytes: None,
                cost: None,
            }
        });
        rules.collect()
    }
}

/// Packets and bytes of inside, then of outside.
const fn carried(entry: &FlowEntry) -> [u64; 4] {
    let FlowEntry { outbound, inbound, .. } = entry;
    [outbound.packets, outbound.bytes, inbound.packets, inbound.bytes]
}

/// Leaves the flows that will be shown first.
fn keep_greatest(flows: &mut Vec<(FlowKey, FlowEntry, [u64; 4])>, order: Order, most: usize) {
    if flows.len() <= most {
        return;
    }
    let key = |(_, entry, grown): &(FlowKey, FlowEntry, [u64; 4])| {
        let carried = carried(entry);
        order.rank_flow(carried, *grown, entry.created.0)
    };
    if order.is_reversed {
        flows.select_nth_unstable_by_key(most - 1, key);
    } else {
        flows.select_nth_unstable_by_key(most - 1, |flow| Reverse(key(flow)));
    }
    flows.truncate(most);
}

fn lines<K: ToString>(sums: &HashMap<K, Sum>, elapsed: Duration) -> Vec<LineView> {
    sums.iter().map(|(key, sum)| line(key.to_string(), sum, elapsed)).collect()
}

fn line(name: String, sum: &Sum, elapsed: Duration) -> LineView {
    let [packets_out, bytes_out, packets_in, bytes_in] = sum.carried;
    LineView {
        name,
        flows: sum.flows,
        packets_out,
        bytes_out,
        packets_in,
        bytes_in,
        rates: rates(&sum.grown, elapsed),
        cost: None,
    }
}

fn rates(grown: &[u64; 4], elapsed: Duration) -> RatesBothView {
    let rate = |grown: u64| per_sec(grown, 0, elapsed);
    RatesBothView {
        packets_out_per_sec: rate(grown[0]),
        bits_out_per_sec: rate(grown[1].saturating_mul(8)),
        packets_in_per_sec: rate(grown[2]),
        bits_in_per_sec: rate(grown[3].saturating_mul(8)),
    }
}

fn direction(rates: &[VerdictRateView], direction: Direction) -> RateView {
    let ours = rates.iter().filter(|rate| rate.total.direction == direction.name());
    ours.fold(RateView::default(), |sum, rate| RateView {
        packets_per_sec: sum.packets_per_sec + rate.packets_per_sec,
        bits_per_sec: sum.bits_per_sec + 8.0 * rate.bytes_per_sec,
    })
}

fn uplink(status: &UplinkStatus) -> TopUplinkView {
    TopUplinkView {
        name: status.name.clone(),
        state: match (status.present, status.up) {
            (true, true) => "up",
            (true, false) => "down",
            (false, _) => "absent",
        },
        hook: status.ingress.map(|program| program.hook.name()),
    }
}

/// Adds what the daemon's accounts know.
fn add_costs(view: &mut TopView, accounts: Option<&AccountsView>, document: Option<&Document>) {
    let Some(accounts) = accounts else { return };
    let of = |list: &AccountListView| -> HashMap<String, (u64, Option<f64>)> {
        let accounts = list.accounts.iter().map(|account| {
            let bytes = account.count.bytes_out.saturating_add(account.count.bytes_in);
            (account.name.clone(), (bytes, account.count.cost))
        });
        accounts.collect()
    };
    for (lines, list) in
        [(&mut view.talkers, &accounts.hosts), (&mut view.destinations, &accounts.destinations)]
    {
        let known = of(list);
        for line in lines {
            line.cost = known.get(&line.name).and_then(|(_, cost)| *cost);
        }
    }
    let known = of(&accounts.rules);
    for rule in &mut view.rules {
        let label = rule.name.clone().unwrap_or_else(|| format!("#{}", rule.number));
        if let Some((bytes, cost)) = known.get(&label) {
            (rule.flow_bytes, rule.cost) = (Some(*bytes), *cost);
        }
    }
    view.total.cost = accounts.cost.total.cost;
    view.cost = document.map(crate::view::CostView::new);
}
