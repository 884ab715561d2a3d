//! What `eigw` is meant to make of the segments of a TCP conversation, and why.
//!
//! This is `docs/adr/0009-windows-without-locks.md`, RFC 9293 section 3.10.7 and RFC 5961 written
//! down a second time, for a single thread without a clock. It shares no code with the gateway: a
//! packet that `eigw` treats otherwise is a failure, whatever the reference does with it.

mod flow;
mod parting;
mod reading;
mod window;

use gateway_common::tuple::Direction;

pub(crate) use self::{
    flow::{Flow, Judgement},
    parting::{Forgotten, Parting, Reference},
    reading::{Kind, Reading},
    window::{Fit, Place, is_after},
};
use crate::{
    arena::CtState,
    compare::Case,
    runner::Observation,
    step::{Content, Segment, Step},
};

/// A conversation up to some step: what `eigw` should remember of it, and in what the reference
/// is known to remember something else.
#[derive(Clone, Debug, Default)]
pub(crate) struct Course {
    /// What `eigw` should remember.
    pub(crate) flow: Option<Flow>,
    /// How the memories came to differ since the flow was opened.
    partings: Vec<Parting>,
    /// What the reference remembers.
    pub(crate) reference: Reference,
}

/// A segment from outside that `eigw` treated as it should.
#[derive(Debug)]
pub(crate) struct Expected {
    /// What came before.
    pub(crate) course: Course,
    /// The connection.
    pub(crate) flow: Flow,
    /// The segment.
    pub(crate) reading: Reading,
    /// What should become of it.
    pub(crate) judgement: Judgement,
}

impl Expected {
    /// The last segment of a case; `None` if it is no such segment, or if `eigw` treated it in
    /// another way.
    pub(crate) fn of(case: &Case<'_>) -> Option<Self> {
        let segment = case.step().segment()?;
        let course = Course::before(case);
        let reading = Reading::of(segment)?;
        let flow = course.flow.clone()?;
        let judgement = flow.judge(&reading);
        let is_inbound = case.step().direction == Direction::Inbound;
        let is_expected = judgement.passes() == case.observation().eigw;
        (is_inbound && is_expected).then_some(Self { course, flow, reading, judgement })
    }
}

impl Course {
    /// What was said before the last step of a case, on that step's addresses and ports; if it is
    /// an error, on those of the packet that it quotes.
    pub(crate) fn before(case: &Case<'_>) -> Self {
        let about = match &case.step().content {
            Content::Error(error) => &error.quoted,
            Content::Tcp(_) | Content::Udp(_) | Content::Query(_) => case.step(),
        };
        let place = |step: &Step| (step.outside, step.shift);
        let mut course = Self::default();
        for (step, seen) in case.before().filter(|(step, _)| place(step) == place(about)) {
            if let Some(segment) = step.segment() {
                course.add(step.direction, segment, seen);
            }
        }
        course
    }

    /// What should become of a segment from outside.
    pub(crate) fn judge(&self, segment: &Segment) -> Judgement {
        match (&self.flow, Reading::of(segment)) {
            (Some(flow), Some(reading)) => flow.judge(&reading),
            _ => Judgement::Unrelated,
        }
    }

    /// Whether the memories came to differ in this way.
    pub(crate) fn parted_by(&self, parting: Parting) -> bool {
        self.partings.contains(&parting)
    }

    /// Takes note of a segment. What `eigw` drops leaves no trace in the flow.
    fn add(&mut self, direction: Direction, segment: &Segment, seen: Observation) {
        let Some(reading) = Reading::of(segment) else { return };
        let before = self.reference;
        let fits = self.flow.as_ref().is_none_or(|flow| flow.takes(direction, &reading));
        let begins_entry = self.reference.add(direction, &reading, seen, fits);
        let is_answer = reading.kind == Kind::SynAck;
        if is_answer && self.parted_by(Parting::Reopened) && !before.follows_answers() {
            // The reference lets answers to an opening pass that it does not know, but takes no
            // notice of them.
            self.reference.is_synchronised = before.is_synchronised;
        }
        let sight = Sight { seen, before, begins_entry };
        match direction {
            Direction::Inbound => self.add_from_outside(&reading, sight),
            Direction::Outbound if seen.eigw => self.add_from_inside(&reading, sight),
            Direction::Outbound => {}
        }
        if seen.eigw && reading.opens() && reading.options.are_unreadable {
            self.partings.push(Parting::Unreadable);
        }
    }

    fn add_from_outside(&mut self, reading: &Reading, sight: Sight) {
        let Some(flow) = &mut self.flow else { return };
        self.partings.extend(Parting::by_outside(flow, reading, sight));
        let answers_all = flow.judge(reading) == Judgement::Answers
            && reading.ack == Some(flow.side(Direction::Outbound).end);
        if answers_all && is_noted(sight.seen) && sight.before.follows_answers() {
            // Only now the reference believes inside's second opening.
            self.partings.retain(|it| *it != Parting::Reopened);
            self.reference.start_over();
        }
        if sight.seen.eigw {
            flow.add_from_outside(reading);
        }
    }

    fn add_from_inside(&mut self, reading: &Reading, sight: Sight) {
        if let Some(flow) = &mut self.flow
            && (reading.kind != Kind::Syn || flow.is_repeated(reading))
        {
            self.partings.extend(Parting::by_inside(flow, reading, sight));
            flow.add_from_inside(reading);
        } else if let Some(flow) = Flow::opened_by(reading) {
            self.partings.clear();
            if self.flow.is_some() && !sight.begins_entry {
                self.partings.push(Parting::Reopened);
            }
            self.flow = Some(flow);
        }
    }
}

/// How the gateways took a segment.
#[derive(Clone, Copy, Debug)]
struct Sight {
    seen: Observation,
    /// What the reference remembered before.
    before: Reference,
    /// Whether it began a new entry.
    begins_entry: bool,
}

/// Whether the reference took note of a packet.
fn is_noted(seen: Observation) -> bool {
    matches!(seen.reference, Some(CtState::New | CtState::Established))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar;

    #[test]
    fn what_follows_the_protocol_is_expected_to_pass() {
        for exchange in grammar::plain_exchanges() {
            let mut course = Course::default();
            for step in &exchange {
                let Some(segment) = step.segment() else { continue };
                if step.direction == Direction::Inbound {
                    let judgement = course.judge(segment);
                    assert!(judgement.passes(), "{judgement:?}: {step:?} of {exchange:?}");
                }
                course.add(step.direction, segment, BOTH);
            }
        }
    }

    #[test]
    fn what_nobody_sends_is_expected_to_be_dropped() {
        for exchange in grammar::plain_exchanges() {
            let mut course = Course::default();
            for step in &exchange {
                let Some(segment) = step.segment() else { continue };
                if step.direction == Direction::Inbound {
                    let acknowledgment = segment.acknowledgment.wrapping_add(1 << 30);
                    let forged = Segment { acknowledgment, ..segment.clone() };
                    let judgement = course.judge(&forged);
                    assert!(!judgement.passes(), "{judgement:?}: {forged:?} in {exchange:?}");
                }
                course.add(step.direction, segment, BOTH);
            }
        }
    }

    const BOTH: Observation = Observation { eigw: true, reference: Some(CtState::Established) };
}
