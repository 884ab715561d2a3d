//! From a sequence that shows a difference to the smallest one that still does.

use ::tests::packet::flag;
use gateway_common::tuple::Direction;

use crate::{
    compare::compare,
    runner::{BATCH_MAX, Observation, Runner},
    step::{Content, Sequence, Step},
};

/// What a difference has to have in common with another to be taken for the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Signature {
    passed_eigw: bool,
    direction: Direction,
    kind: Kind,
}

/// What a packet carries, roughly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Tcp(u16),
    Udp,
    Query,
    Error,
}

impl Signature {
    /// Of a difference at this step.
    pub(crate) fn of(step: &Step, observation: Observation) -> Self {
        Self { passed_eigw: observation.eigw, ..Self::of_step(step) }
    }

    fn of_step(step: &Step) -> Self {
        const DECISIVE: u16 = flag::SYN | flag::FIN | flag::RST | flag::ACK;
        let kind = match &step.content {
            Content::Tcp(segment) => Kind::Tcp(segment.flags & DECISIVE),
            Content::Udp(_) => Kind::Udp,
            Content::Query(_) => Kind::Query,
            Content::Error(_) => Kind::Error,
        };
        Self { passed_eigw: false, direction: step.direction, kind }
    }
}

/// What a sequence looks like when numbers are left out.
pub(crate) fn shape(sequence: &Sequence) -> Vec<Signature> {
    sequence.steps.iter().map(Signature::of_step).collect()
}

/// The smallest sequence found that has an unexplained difference of this signature, in its last
/// step. `sequence` is one.
pub(crate) fn shrink(runner: &mut Runner, sequence: Sequence, signature: Signature) -> Sequence {
    let mut smallest = sequence;
    while let Some(smaller) = smaller(runner, &smallest, signature) {
        smallest = smaller;
    }
    smallest
}

/// The first candidate that still shows the difference, cut behind it.
fn smaller(runner: &mut Runner, sequence: &Sequence, signature: Signature) -> Option<Sequence> {
    candidates(sequence).chunks(BATCH_MAX).find_map(|candidates| {
        let observed = runner.run(candidates);
        candidates.iter().zip(observed).find_map(|(candidate, observed)| {
            let at = compare(candidate, &observed).unexplained?;
            (Signature::of(&candidate.steps[at], observed[at]) == signature).then(|| {
                let mut found = candidate.clone();
                found.steps.truncate(at + 1);
                found
            })
        })
    })
}

/// Sequences that are simpler by one thing; those that are simpler by most come first.
fn candidates(sequence: &Sequence) -> Vec<Sequence> {
    let with = |steps| Sequence { steps, ..sequence.clone() };
    let steps = &sequence.steps;
    let mut candidates = Vec::new();
    let mut len = steps.len() / 2;
    while len > 0 {
        for start in (0..steps.len()).step_by(len) {
            let end = (start + len).min(steps.len());
            candidates.push(with([&steps[..start], &steps[end..]].concat()));
        }
        len /= 2;
    }
    for (at, step) in steps.iter().enumerate() {
        for simple in simpler(step) {
            let mut steps = steps.clone();
            steps[at] = simple;
            candidates.push(with(steps));
        }
    }
    candidates
}

/// The step with one thing less about it.
fn simpler(step: &Step) -> Vec<Step> {
    let mut simpler = Vec::new();
    simpler.extend(step.mutation.as_ref().map(|mutation| (*mutation.before).clone()));
    if let Content::Tcp(segment) = &step.content {
        let mut with = |segment| {
            simpler.push(Step { content: Content::Tcp(segment), ..step.clone() });
        };
        for at in 0..segment.options.len() {
            let mut plain = segment.clone();
            plain.options.remove(at);
            with(plain);
        }
        let mut plain = segment.clone();
        plain.flags &= !(flag::PSH | flag::URG | flag::ECE | flag::CWR | flag::AE);
        if plain != *segment {
            with(plain);
        }
    }
    simpler
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{grammar, step::Origin};

    #[test]
    fn every_candidate_is_simpler() {
        for number in 0..200 {
            let sequence = grammar::sequence(Origin { seed: 9, number });
            let whole = size(&sequence);
            for candidate in candidates(&sequence) {
                assert!(size(&candidate) < whole, "{candidate:?} of {sequence:?}");
            }
        }
    }

    /// Steps count more than changes, and changes more than ornaments.
    fn size(sequence: &Sequence) -> (usize, usize, usize) {
        let mut size = (sequence.steps.len(), 0, 0);
        for step in &sequence.steps {
            let mut change = step.mutation.as_ref();
            while let Some(mutation) = change {
                size.1 += 1;
                change = mutation.before.mutation.as_ref();
            }
            if let Some(segment) = step.segment() {
                size.2 += segment.options.len() + segment.flags.count_ones() as usize;
            }
        }
        size
    }
}
