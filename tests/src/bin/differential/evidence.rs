//! One sequence, step by step, with what both gateways say about each packet.

use anyhow::{Context as _, Result};
use gateway_common::tuple::{Direction, Family};
use serde_json::Value;

use crate::{
    compare::Case,
    print::{self, Origins},
    runner::{Observation, Runner},
    step::{Sequence, Step},
};

/// What became of a step, and why.
pub(crate) struct Witnessed {
    /// The step in a line.
    pub(crate) text: String,
    /// What became of it.
    pub(crate) observation: Observation,
    /// The reason that `eigw` counted it under, and the state of the flow afterwards.
    pub(crate) eigw: String,
    /// What should have become of it by `eigw`, if something else did.
    pub(crate) expected: Option<String>,
    /// What connection tracking thought of it, and the state of its entry afterwards.
    pub(crate) reference: String,
}

/// Runs a sequence alone and asks both gateways about every step.
///
/// # Errors
/// If one of them does not answer.
pub(crate) fn witness(runner: &mut Runner, sequence: &Sequence) -> Result<Vec<Witnessed>> {
    let origins = Origins::of(sequence);
    let alone = [sequence.clone()];
    let mut course = runner.start(&alone);
    let mut witnessed = Vec::new();
    for (at, step) in sequence.steps.iter().enumerate() {
        let before = Counters::read(runner)?;
        runner.step(&mut course);
        let after = Counters::read(runner)?;
        let observed = &course.observed[0];
        let observation = *observed.last().expect("a step was just observed");
        let is_ipv6 = sequence.family == Family::Ipv6;
        let case = Case { is_ipv6, steps: &sequence.steps[..=at], observed };
        let expected = case.unexpected().map(|judgement| format!("{judgement:?}"));
        let port = course.inside_port(0).to_string();
        witnessed.push(Witnessed {
            text: print::step(step, origins),
            observation,
            expected,
            eigw: eigw(runner, step, observation, [&before, &after], &port)?,
            reference: reference(runner, observation, [&before, &after], &port)?,
        });
    }
    Ok(witnessed)
}

fn eigw(
    runner: &Runner,
    step: &Step,
    observation: Observation,
    [before, after]: [&Counters; 2],
    port: &str,
) -> Result<String> {
    let passed = if observation.eigw { "pass" } else { "drop" };
    let reason = after.reason_since(before, step.direction);
    let flows = runner.arena.eigw_json(&["flow", "show", "--local-port", port])?;
    let state = flows[0]["state"].as_str().unwrap_or("no flow");
    Ok(format!("{passed} {reason} → {state}"))
}

fn reference(
    runner: &Runner,
    observation: Observation,
    [before, after]: [&Counters; 2],
    port: &str,
) -> Result<String> {
    let verdict = match observation.reference {
        Some(state) => format!("pass {}", state.name()),
        None if after.invalid > before.invalid => "drop invalid".to_owned(),
        None if after.new > before.new => "drop new".to_owned(),
        None => "drop".to_owned(),
    };
    let entry = runner.arena.tracked(port).context("reading the reference's entries")?;
    Ok(format!("{verdict} → {}", entry.as_deref().unwrap_or("no entry")))
}

/// What the gateways counted so far.
struct Counters {
    verdicts: Value,
    invalid: u64,
    new: u64,
}

impl Counters {
    fn read(runner: &Runner) -> Result<Self> {
        let verdicts = runner.arena.eigw_json(&["stats", "show"])?["verdicts"].take();
        let counted = runner.arena.nft(&["-j", "list", "counters"])?;
        let counted: Value = serde_json::from_str(&counted).context("reading nft -j")?;
        let packets = |name: &str| {
            let objects = counted["nftables"].as_array().into_iter().flatten();
            let mut counters = objects.map(|object| &object["counter"]);
            counters
                .find(|counter| counter["name"] == name)
                .and_then(|counter| counter["packets"].as_u64())
                .with_context(|| format!("nft lists no counter {name}"))
        };
        Ok(Self { invalid: packets("invalid")?, new: packets("new")?, verdicts })
    }

    /// The reason that counts one packet more than before, a sentinel's aside.
    fn reason_since(&self, before: &Self, direction: Direction) -> String {
        let rows = self.verdicts.as_array().into_iter().flatten();
        let mut reasons = rows.filter(|row| row["direction"] == direction.name()).filter(|row| {
            let reason = row["reason"].as_str().unwrap_or_default();
            let sentinels = u64::from(reason == "flow");
            before.packets(direction, reason) + sentinels < row["packets"].as_u64().unwrap_or(0)
        });
        let reason = reasons.next().and_then(|row| row["reason"].as_str());
        reason.unwrap_or("(not counted)").to_owned()
    }

    fn packets(&self, direction: Direction, reason: &str) -> u64 {
        let mut rows = self.verdicts.as_array().into_iter().flatten();
        let row = rows.find(|row| row["direction"] == direction.name() && row["reason"] == reason);
        row.and_then(|row| row["packets"].as_u64()).unwrap_or(0)
    }
}
