//! One job, disturbed at one boundary after the other.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use nix::errno::Errno;

use super::{
    boundary::Boundary,
    job::Job,
    site::{Site, State, done},
    tracer::{Moment, Reaction},
};
use crate::eigw::Answer;

/// What happens to a job at a boundary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disturbance {
    /// The process is killed.
    Kill(Moment),
    /// The call fails.
    Refuse(Errno),
}

impl Disturbance {
    /// Killed before and after.
    pub const KILLS: [Self; 2] = [Self::Kill(Moment::Before), Self::Kill(Moment::After)];

    /// What calls fail with: no memory, no right, somebody else has it, no room.
    pub const REFUSALS: [Self; 4] = [
        Self::Refuse(Errno::ENOMEM),
        Self::Refuse(Errno::EPERM),
        Self::Refuse(Errno::EBUSY),
        Self::Refuse(Errno::ENOSPC),
    ];
}

/// Which boundaries are tried.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// One of so many.
    pub every: usize,
    /// The first one; modulo `every`.
    pub offset: usize,
}

impl Sample {
    /// All of them.
    pub const ALL: Self = Self { every: 1, offset: 0 };

    pub(super) fn of(self, boundaries: usize) -> impl Iterator<Item = usize> {
        (self.offset % self.every.max(1)..boundaries).step_by(self.every.max(1))
    }
}

/// What came of a sweep.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// The boundaries that the job has.
    pub boundaries: usize,
    /// How often it was disturbed.
    pub tried: usize,
    /// How often that left what.
    pub outcomes: BTreeMap<String, usize>,
    /// What the job complained of, and how often.
    pub complaints: BTreeMap<String, usize>,
    /// What was wrong.
    pub findings: Vec<String>,
    /// How long it took.
    pub took: Duration,
}

/// Does a job again and again and disturbs it at one boundary after the other: each time in one of
/// these ways, or in all of them if `all` says so.
///
/// # Panics
/// If the job does not even work undisturbed.
#[must_use]
pub fn sweep(
    site: &Site,
    job: Job,
    disturbances: &[Disturbance],
    sample: Sample,
    all: bool,
) -> Row {
    let begun = Instant::now();
    let boundaries = boundaries_of(site, job)
        .unwrap_or_else(|error| panic!("{job} by {} does not work: {error}", site.way()));
    let mut row = Row { boundaries: boundaries.len(), ..Row::default() };
    for (turn, number) in sample.of(boundaries.len()).enumerate() {
        let chosen =
            if all { disturbances } else { &disturbances[turn % disturbances.len()..][..1] };
        for &disturbance in chosen {
            row.tried += 1;
            let outcome = attempt(site, job, number, disturbance, &mut row.complaints);
            match outcome {
                Ok(outcome) => *row.outcomes.entry(outcome).or_default() += 1,
                Err(finding) => {
                    let boundary = boundaries[number];
                    row.findings.push(format!(
                        "{job} by {}, {disturbance:?} at {number} ({boundary}): {finding}",
                        site.way()
                    ));
                    // The next attempt begins anew.
                    if let Err(error) = site.clear() {
                        row.findings.push(format!("and that cannot be cleared away: {error}"));
                        return row;
                    }
                }
            }
        }
    }
    row.took = begun.elapsed();
    row
}

/// The boundaries of a job, in the order in which it comes to them.
fn boundaries_of(site: &Site, job: Job) -> Result<Vec<Boundary>, String> {
    let mut boundaries = Vec::new();
    site.prepare(job)?;
    let ending = site.perform(job, |moment, call| {
        boundaries.extend(Boundary::of(call).filter(|_| moment == Moment::Before));
        Reaction::GoOn
    });
    done(&ending.answer)?;
    expect(site, job, &[job.goal()])?;
    Ok(boundaries)
}

/// Disturbs a job once. Returns what that left.
fn attempt(
    site: &Site,
    job: Job,
    number: usize,
    disturbance: Disturbance,
    complaints: &mut BTreeMap<String, usize>,
) -> Result<String, String> {
    site.prepare(job)?;
    let mut met = 0;
    let ending = site.perform(job, |moment, call| {
        if Boundary::of(call).is_none() {
            return Reaction::GoOn;
        }
        // The call that is counted last at its beginning is the one that ends next, but for
        // threads, whose calls are alike here.
        met += usize::from(moment == Moment::Before);
        match disturbance {
            Disturbance::Kill(at) if at == moment && met == number + 1 => Reaction::Kill,
            Disturbance::Refuse(errno) if moment == Moment::Before && met == number + 1 => {
                Reaction::Refuse(errno)
            }
            Disturbance::Kill(_) | Disturbance::Refuse(_) => Reaction::GoOn,
        }
    });
    let answer = &ending.answer;
    let (outcome, state) = if ending.is_killed {
        let state = expect(site, job, job.when_killed())?;
        (format!("killed: {state}"), state)
    } else if answer.code == Some(0) {
        let state = expect(site, job, &[job.goal()])?;
        ("done all the same".to_owned(), state)
    } else {
        *complaints.entry(complaint(answer)?).or_default() += 1;
        let state = expect(site, job, job.when_failed())?;
        // What could not be detached is there until that is tried again.
        if job == Job::Attach {
            site.is_clear()?;
        }
        (format!("refused: {state}"), state)
    };
    if disturbance == Disturbance::Kill(Moment::After) {
        // Whoever has had enough gets rid of everything.
        site.clear().map_err(|error| format!("after {outcome}: detaching all: {error}"))?;
    } else {
        repeat(site, job, state).map_err(|error| format!("after {outcome}: once more: {error}"))?;
    }
    Ok(outcome)
}

/// The same command, undisturbed.
fn repeat(site: &Site, job: Job, state: State) -> Result<(), String> {
    let answer = site.perform(job, |_, _| Reaction::GoOn).answer;
    let may_be_done = state == job.goal();
    let is_done_already = job.done_already().is_some_and(|text| answer.stderr.contains(text));
    if !(may_be_done && answer.code == Some(1) && is_done_already) {
        done(&answer)?;
    }
    expect(site, job, &[job.goal()])?;
    site.is_tidy()
}

/// Makes sure that the gateway is in one of these states.
fn expect(site: &Site, job: Job, states: &[State]) -> Result<State, String> {
    let state = site.examine(job.start() != State::Nothing)?;
    if states.contains(&state) { Ok(state) } else { Err(format!("the uplink is {state}")) }
}

/// What a command complained of, if it did so as it should.
fn complaint(answer: &Answer) -> Result<String, String> {
    let text = answer.stderr.trim();
    if answer.code != Some(1) || text.is_empty() || text.contains("panicked") {
        return Err(format!("it ended with {:?}: {text}", answer.code));
    }
    Ok(text.to_owned())
}
