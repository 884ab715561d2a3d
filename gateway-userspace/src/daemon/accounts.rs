//! Keeps the accounts of a gateway's flows; `crate::accounts` has what they are.

use std::{
    collections::HashSet,
    hash::{BuildHasher as _, RandomState},
    sync::{Arc, Mutex, PoisonError},
};

use gateway_common::{
    flow::FlowEntry,
    policy::{Action, NO_RULE, Query, Scope},
    record::FlowRecord,
    timeouts::Ticks,
    tuple::FlowKey,
};
use tracing::{error, warn};

use super::{
    ServiceContext,
    sweeper::{FlowSight, Ledger, Ledgers, PassStart, PassSummary},
};
use crate::{
    accounts::{Books, Count, Posting, RuleLabel, Store, Tariff, default_directory},
    datapath::{DatapathError, Gateway, LiveTables},
    settings::Settings,
    view::AccountsView,
};

/// The accounts of one gateway, from when its services start. Clones share them.
#[derive(Clone, Default)]
pub struct Accounts(Arc<Mutex<Option<Arc<Mutex<Clerk>>>>>);

impl Accounts {
    /// All accounts as of the last complete pass over the flow tables, with at most `most` by name
    /// in each list; `None` before they are opened.
    #[must_use]
    pub fn snapshot(&self, most: usize) -> Option<AccountsView> {
        let clerk = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        let clerk = clerk.lock().unwrap_or_else(PoisonError::into_inner);
        clerk.store.last.as_ref().map(|last| AccountsView::new(clerk.gateway.name(), last, most))
    }

    /// Has accounts kept of what these ledgers are told, unless that is done already. It has to come
    /// before the records are taken that wait for this process.
    ///
    /// # Errors
    /// The gateway cannot be read.
    pub(super) fn keep(
        &self,
        context: &ServiceContext,
        ledgers: &Ledgers,
    ) -> Result<(), DatapathError> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // One that panicked hears nothing any more; what it wrote down last is where to go on.
        if kept.as_ref().is_none_or(|clerk| clerk.is_poisoned()) {
            let clerk = Arc::new(Mutex::new(Clerk::open(context.clone())?));
            ledgers.keep(&clerk);
            *kept = Some(clerk);
        }
        Ok(())
    }
}

/// Posts what flows carried.
struct Clerk {
    gateway: Gateway,
    rulebook: Rulebook,
    context: ServiceContext,
    settings: Arc<Settings>,
    tariff: Tariff,
    store: Store,
    pass: Option<Census>,
}

/// What a pass has come to so far.
struct Census {
    hasher: RandomState,
    /// What live flows carried when they were seen.
    live: Books,
    /// What stands for these flows. That two have the same is as good as impossible, and would make
    /// one of them late for a pass.
    seen: HashSet<u64>,
    /// What ended since the pass began.
    ended: Vec<(u64, Posting)>,
}

impl Census {
    fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            live: Books::default(),
            seen: HashSet::new(),
            ended: Vec::new(),
        }
    }

    fn mark(&self, key: &FlowKey, created: Ticks) -> u64 {
        self.hasher.hash_one((key, created))
    }
}

impl Clerk {
    fn open(context: ServiceContext) -> Result<Self, DatapathError> {
        let gateway = Gateway::open(&context.bpffs, &context.name)?;
        let directory = default_directory(&context.bpffs, &context.name);
        let (store, problem) = Store::open(directory, gateway.id()?.to_string());
        if let Some(problem) = problem {
            error!(gateway = %context.name, "accounts begin anew: {problem:#}");
        }
        let settings = context.in_force().settings;
        let tariff = Tariff::new(&settings.cost);
        let rulebook = Rulebook::read(&gateway)?;
        let mut clerk = Self { gateway, rulebook, context, settings, tariff, store, pass: None };
        // From here on every end is noted as it comes.
        let known = clerk.store.last.as_ref().map(|last| Books::from(&last.all));
        let all = known.unwrap_or_default();
        clerk.write(&all);
        Ok(clerk)
    }

    fn posting(&self, key: &FlowKey, entry: &FlowEntry, flows: u64) -> Posting {
        let count = Count::of(entry);
        let (destination, cost) = self.tariff.of(key.outside, count.bytes_out);
        Posting {
            host: key.inside.to_ip(),
            destination,
            rule: self.rulebook.rule(key, entry),
            count: Count { flows, cost, ..count },
        }
    }

    fn write(&mut self, all: &Books) {
        if let Err(problem) = self.store.write(all, &self.tariff) {
            error!(gateway = %self.context.name, "{problem:#}");
        }
    }

    /// Follows reloads.
    fn update(&mut self, generation: u32) {
        let settings = self.context.in_force().settings;
        if !Arc::ptr_eq(&settings, &self.settings) {
            self.tariff = Tariff::new(&settings.cost);
            self.settings = settings;
        }
        if self.rulebook.generation != generation {
            match Rulebook::read(&self.gateway) {
                Ok(rulebook) => self.rulebook = rulebook,
                Err(error) => {
                    warn!(gateway = %self.context.name, "accounts by rule are late: {error:#}");
                }
            }
        }
    }

    /// Adds to what ended flows carried what ended during the pass.
    fn settle(&mut self, ended: Vec<(u64, Posting)>) {
        for (_, posting) in ended {
            self.store.ended.post(posting);
        }
    }
}

impl Ledger for Clerk {
    fn begin(&mut self, start: &PassStart) {
        if let Some(broken_off) = self.pass.take() {
            self.settle(broken_off.ended);
        }
        self.update(start.config.generation);
        self.pass = Some(Census::new());
    }

    fn flow(&mut self, flow: &FlowSight<'_>) {
        let posting = self.posting(flow.key, flow.entry, u64::from(flow.is_live));
        let Some(census) = &mut self.pass else { return };
        let mark = census.mark(flow.key, flow.entry.created);
        if census.seen.insert(mark) {
            census.live.post(posting);
        }
    }

    fn ended(&mut self, record: &FlowRecord) {
        if self.store.knows(record.serial) {
            return;
        }
        let posting = self.posting(&record.key, &record.entry, 0);
        if let Err(problem) = self.store.note(record.serial, &posting) {
            error!(
                gateway = %self.context.name,
                "what ends from now on is only in the accounts if this process goes on: {problem}"
            );
        }
        match &mut self.pass {
            Some(census) => {
                let mark = census.mark(&record.key, record.entry.created);
                census.ended.push((mark, posting));
            }
            None => self.store.ended.post(posting),
        }
    }

    fn finish(&mut self, _summary: &PassSummary) {
        let Some(Census { live, seen, ended, .. }) = self.pass.take() else { return };
        // Each flow once: as it was seen, or as it ended if that was before it could be seen.
        let mut all = self.store.ended.clone();
        all.merge(&live);
        let unseen = ended.iter().filter(|(mark, _)| !seen.contains(mark));
        unseen.for_each(|(_, posting)| all.post(posting.clone()));
        self.settle(ended);
        self.write(&all);
    }
}

/// The rules in force.
struct Rulebook {
    generation: u32,
    /// `None` if there are no rules.
    tables: Option<LiveTables>,
    /// Of rules that allow.
    labels: Vec<RuleLabel>,
}

impl Rulebook {
    fn read(gateway: &Gateway) -> Result<Self, DatapathError> {
        let policy = gateway.policy()?;
        let label = |(index, rule): (usize, &crate::settings::policy::Rule)| match rule.action {
            Action::Allow => {
                let name = rule.name.clone().unwrap_or_else(|| format!("#{}", index + 1));
                RuleLabel(Some(name.into()))
            }
            Action::Deny => RuleLabel::default(),
        };
        let labels: Vec<_> = policy.policy.rules.iter().enumerate().map(label).collect();
        let tables = if labels.is_empty() { None } else { Some(gateway.tables()?) };
        let generation = tables.as_ref().map_or(policy.generation, |it| it.config().generation);
        Ok(Self { generation, tables, labels })
    }

    /// The rule that admits a flow under this policy.
    fn rule(&self, key: &FlowKey, entry: &FlowEntry) -> RuleLabel {
        let Some(tables) = &self.tables else { return RuleLabel::default() };
        let query = Query::of_flow(key, entry.outbound.marks);
        match tables.ask(tables.config(), Scope::Everything, &query).rule {
            NO_RULE => RuleLabel::default(),
            rule => self.labels.get(rule as usize).cloned().unwrap_or_default(),
        }
    }
}
