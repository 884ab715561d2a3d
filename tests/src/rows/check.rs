//! Running rows.

use gateway_common::{
    config::Config,
    flow::FlowEntry,
    host::Paid,
    limits::{DATAGRAM_SECS, PEER_RENEW_SECS, PEER_SECS},
    tables::Table,
    timeouts::Ticks,
    tuple::FlowKey,
    verdict::Verdict,
};

use super::{
    Row, Step,
    effects::{self, ENDPOINT_SECS, Moment, in_parts},
    errand::{Errand, Task},
    report,
};
use gateway_userspace::policy::CompiledPolicy;

use crate::{model::Model, state::State};

/// Ticks in a second of the rows. The kernel's clock may well run at another rate: its stored
/// times are moved instead of waiting.
pub const TICKS_PER_SEC: u32 = 1000;
/// Flows that each table has room for.
pub const FLOWS_MAX: u32 = 256;

/// Something that rows can be run on.
pub trait Machine {
    /// Forgets all flows, fragments and peers, and puts a configuration in force.
    fn reset(&mut self, config: &Config);

    /// Puts a policy in force: `None` stands for tables that are missing.
    fn govern(&mut self, config: &Config, policy: Option<&CompiledPolicy>);

    /// Lets time pass.
    fn advance(&mut self, span: Ticks);

    /// What the clock shows.
    fn now(&self) -> Ticks;

    /// Puts a packet through the program of its direction.
    fn run(&mut self, step: &Step) -> Verdict;

    /// Has a program do what user space asks for; how many flows it says it ended.
    fn perform(&mut self, task: &Task) -> usize;

    /// Everything that is remembered.
    fn state(&self) -> State;

    /// Stores a flow.
    fn insert(&mut self, table: Table, key: &FlowKey, entry: &FlowEntry);

    /// Sees to it that some packets can follow each other before a new one of these periods begins.
    fn settle(&mut self, period: Ticks);

    /// Whether this machine can run the packet.
    fn can_run(&self, step: &Step) -> bool;
}

/// Runs a row.
///
/// # Errors
/// What a packet did and should have done.
pub fn check(row: &Row, machine: &mut impl Machine) -> Result<(), String> {
    let mut config = Config::new(TICKS_PER_SEC);
    (row.tweak)(&mut config);
    machine.reset(&config);
    if let Some(secs) = row.confirm_secs {
        config.confirm_by = machine.now() + config.ticks(secs);
        machine.reset(&config);
    }
    if row.established_full {
        fill_established(machine);
    }
    for (index, step) in row.steps.iter().enumerate() {
        if let Some(policy) = &step.policy {
            let compiled = policy.come_into_force(&mut config);
            machine.govern(&config, compiled.as_ref());
        }
        let place = |what: &str, difference: &str| {
            let Row { ids, about, .. } = row;
            format!("{about} [{}]\nstep {}: {what}\n{difference}", ids.join(", "), index + 1)
        };
        for errand in &step.errands {
            check_errand(errand, machine, &config)
                .map_err(|difference| place(&format!("before it, {errand:?}"), &difference))?;
        }
        if !machine.can_run(step) {
            if step.expect.changes_flows() {
                break;
            }
            machine.advance(config.ticks(step.wait_secs));
            continue;
        }
        let is_followed_at_once = row.steps.get(index + 1).is_some_and(|next| next.wait_secs == 0);
        if is_followed_at_once {
            machine.settle(config.ticks(1));
        }
        check_step(step, machine, &config)
            .map_err(|difference| place(&report::packet(step), &difference))?;
    }
    Ok(())
}

fn check_errand(
    errand: &Errand,
    machine: &mut impl Machine,
    config: &Config,
) -> Result<(), String> {
    machine.advance(config.ticks(errand.wait_secs));
    let before = machine.state();
    let earliest = machine.now();
    let ended = machine.perform(&errand.task);
    let moment = Moment { earliest, latest: machine.now() };
    let actual = snap(machine.state(), moment, config);
    let expected = effects::after_errand(errand, &before, moment, config);
    if ended != errand.ends.len() || actual != expected {
        return Err(format!(
            "expected {} ends {}\nactual   {ended} ends {}",
            errand.ends.len(),
            report::change(&expected.since(&before)),
            report::change(&actual.since(&before)),
        ));
    }
    Ok(())
}

fn check_step(step: &Step, machine: &mut impl Machine, config: &Config) -> Result<(), String> {
    machine.advance(config.ticks(step.wait_secs));
    let before = machine.state();
    let earliest = machine.now();
    let verdict = machine.run(step);
    let moment = Moment { earliest, latest: machine.now() };
    let mut actual = snap(machine.state(), moment, config);
    let expected = effects::after(step, &before, moment, config);
    if moment.straddles(config.ticks(PEER_RENEW_SECS)) {
        // Whether the hosts were to be noted again cannot be known.
        actual.peers.clone_from(&expected.peers);
        actual.endpoints.clone_from(&expected.endpoints);
    }
    let reason = step.expect.reason;
    if verdict != reason.verdict() || actual != expected {
        return Err(format!(
            "expected {:?} {}\nactual   {verdict:?} {}",
            reason.verdict(),
            report::change(&expected.since(&before)),
            report::change(&actual.since(&before)),
        ));
    }
    for (key, state) in &step.states {
        let entry = [Table::Established, Table::HalfOpen]
            .into_iter()
            .find_map(|table| actual.flows.get(&(table, *key)))
            .ok_or_else(|| format!("expected state {state:?}, but there is no such flow"))?;
        if entry.state(key) != *state {
            return Err(format!("expected state {state:?}\nactual   {:?}", entry.state(key)));
        }
    }
    Ok(())
}

/// The state with all times of the packet at hand set to the earliest possible one.
fn snap(mut state: State, moment: Moment, config: &Config) -> State {
    let records = state.records.iter_mut();
    let (moments, entries): (Vec<_>, Vec<_>) =
        records.map(|record| (&mut record.at, &mut record.entry)).unzip();
    for at in moments {
        *at = moment.snap(*at, Ticks(0));
    }
    for entry in state.flows.values_mut().chain(entries) {
        let FlowEntry { outbound, inbound, created, .. } = entry;
        for time in [
            created,
            &mut outbound.seen,
            &mut outbound.reset,
            &mut inbound.seen,
            &mut inbound.reset,
        ] {
            *time = moment.snap(*time, Ticks(0));
        }
    }
    for deadline in state.datagrams.values_mut() {
        *deadline = moment.snap(Ticks(*deadline), config.ticks(DATAGRAM_SECS)).0;
    }
    for deadline in state.peers.values_mut() {
        *deadline = moment.snap(Ticks(*deadline), config.ticks(PEER_SECS)).0;
    }
    for deadline in state.endpoints.values_mut() {
        for secs in ENDPOINT_SECS {
            *deadline = moment.snap(Ticks(*deadline), config.ticks(secs)).0;
        }
    }
    for hits in state.hits.values_mut() {
        hits.last = moment.snap(hits.last, Ticks(0));
    }
    for place in state.overflow.values_mut() {
        place.created = moment.snap(place.created, Ticks(0));
    }
    // One opening paid for beyond this moment.
    let cost = config.opening_cost.0;
    for Paid(paid) in state.openers.values_mut() {
        if (in_parts(moment.earliest)..=in_parts(moment.latest)).contains(&(*paid - cost)) {
            *paid = in_parts(moment.earliest) + cost;
        }
    }
    state
}

fn fill_established(machine: &mut impl Machine) {
    for number in (0..).take(FLOWS_MAX as usize) {
        let key = FlowKey { outside_port: number, zero: 1, ..FlowKey::default() };
        machine.insert(Table::Established, &key, &FlowEntry::default());
    }
}

impl Machine for Model {
    fn reset(&mut self, config: &Config) {
        *self = Self::new(config, FLOWS_MAX as usize, FLOWS_MAX as usize);
    }

    fn govern(&mut self, config: &Config, policy: Option<&CompiledPolicy>) {
        match policy {
            Some(policy) => self.govern(config, policy.clone()),
            None => self.configure(config),
        }
    }

    fn advance(&mut self, span: Ticks) {
        self.advance(span);
    }

    fn now(&self) -> Ticks {
        self.now()
    }

    fn run(&mut self, step: &Step) -> Verdict {
        self.run(step.direction, &step.frame).reason.verdict()
    }

    fn perform(&mut self, task: &Task) -> usize {
        match task {
            Task::Forget(key) => self.forget(key).into(),
            Task::Reclaim(keys) => keys.iter().filter(|key| self.reclaim(key)).count(),
        }
    }

    fn state(&self) -> State {
        self.state()
    }

    fn insert(&mut self, table: Table, key: &FlowKey, entry: &FlowEntry) {
        self.insert(table, key, entry);
    }

    fn settle(&mut self, _period: Ticks) {}

    fn can_run(&self, _step: &Step) -> bool {
        true
    }
}
