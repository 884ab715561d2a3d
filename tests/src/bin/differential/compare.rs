//! Where the two gateways differ, and whether that is accounted for.

use gateway_common::tuple::{Direction, Family};

use crate::{
    difference::{self, Difference},
    expected::{Course, Judgement},
    runner::Observation,
    step::{Sequence, Step},
};

/// One packet that the gateways treated differently, with all that happened before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case<'s> {
    /// Whether its packets are IPv6.
    pub(crate) is_ipv6: bool,
    /// The steps up to and with the one in question.
    pub(crate) steps: &'s [Step],
    /// What became of them.
    pub(crate) observed: &'s [Observation],
}

impl<'s> Case<'s> {
    /// The packet in question.
    pub(crate) fn step(&self) -> &'s Step {
        self.steps.last().expect("a case is about a step")
    }

    /// What became of it.
    pub(crate) fn observation(&self) -> Observation {
        *self.observed.last().expect("a case is about a step")
    }

    /// Whether only `eigw` let it pass.
    pub(crate) fn passed_eigw_only(&self) -> bool {
        let Observation { eigw, reference } = self.observation();
        eigw && reference.is_none()
    }

    /// Whether only the reference let it pass.
    pub(crate) fn passed_reference_only(&self) -> bool {
        let Observation { eigw, reference } = self.observation();
        !eigw && reference.is_some()
    }

    /// What should have become of it, if something else did: a segment from outside that `eigw`
    /// is not meant to treat like this.
    pub(crate) fn unexpected(&self) -> Option<Judgement> {
        let segment = self.step().segment()?;
        let judgement = Course::before(self).judge(segment);
        let is_inbound = self.step().direction == Direction::Inbound;
        (is_inbound && judgement.passes() != self.observation().eigw).then_some(judgement)
    }

    /// What came before it, with what became of that.
    pub(crate) fn before(&self) -> impl DoubleEndedIterator<Item = (&'s Step, Observation)> {
        let last = self.steps.len() - 1;
        self.steps[..last].iter().zip(self.observed.iter().copied())
    }
}

/// What comparing a whole sequence gave.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    /// Packets that were compared.
    pub(crate) compared: usize,
    /// Packets behind a difference after which the gateways remember different things.
    pub(crate) not_compared: usize,
    /// The documented differences, by the step at which they showed.
    pub(crate) documented: Vec<(usize, &'static Difference)>,
    /// The step at which the gateways differed without a documented reason, or `eigw` from what
    /// is expected of it.
    pub(crate) unexplained: Option<usize>,
}

/// Compares what became of a sequence's packets: of each gateway's with the other's until they
/// part ways, and of `eigw`'s with what is expected of it to the end.
pub(crate) fn compare(sequence: &Sequence, observed: &[Observation]) -> Comparison {
    let mut comparison = Comparison::default();
    let mut is_over = false;
    for at in 0..observed.len() {
        let is_ipv6 = sequence.family == Family::Ipv6;
        let case = Case { is_ipv6, steps: &sequence.steps[..=at], observed: &observed[..=at] };
        if case.unexpected().is_some() {
            comparison.compared += 1;
            comparison.unexplained = Some(at);
            comparison.not_compared = observed.len() - comparison.compared;
            return comparison;
        }
        if is_over {
            continue;
        }
        comparison.compared += 1;
        if observed[at].agrees() {
            continue;
        }
        let Some(difference) = difference::all().find(|it| (it.covers)(&case)) else {
            comparison.unexplained = Some(at);
            break;
        };
        comparison.documented.push((at, difference));
        is_over = difference.parts_ways;
    }
    comparison.not_compared = observed.len() - comparison.compared;
    comparison
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{arena::CtState, grammar, step::Origin};

    /// Whatever the rules say: what is expected of `eigw` is not up to the reference.
    #[test]
    fn nothing_excuses_what_eigw_is_not_meant_to_do() {
        let mut flipped = 0;
        for number in 0..300 {
            let sequence = grammar::sequence(Origin { seed: 5, number });
            let mut observed = Vec::new();
            for at in 0..sequence.steps.len() {
                observed.push(seen(true));
                let case =
                    Case { is_ipv6: false, steps: &sequence.steps[..=at], observed: &observed };
                if case.unexpected().is_some() {
                    observed[at] = seen(false);
                }
                if !case_is_judged(&sequence.steps[at]) {
                    continue;
                }
                flipped += 1;
                for reference in [None, Some(CtState::Established)] {
                    let mut wrong = observed.clone();
                    wrong[at] = Observation { eigw: !observed[at].eigw, reference };
                    assert_eq!(compare(&sequence, &wrong).unexplained, Some(at), "{sequence:?}");
                }
            }
        }
        assert!(flipped > 500, "{flipped}");
    }

    fn case_is_judged(step: &Step) -> bool {
        step.segment().is_some() && step.direction == Direction::Inbound
    }

    /// Both gateways do the same.
    fn seen(passes: bool) -> Observation {
        Observation { eigw: passes, reference: passes.then_some(CtState::Established) }
    }
}
