//! In what the reference remembers something else than `eigw` should.

use gateway_common::tuple::Direction::{self, Inbound, Outbound};

use super::{
    Sight,
    flow::{Flow, Judgement},
    is_noted,
    reading::{Kind, Reading},
    window::{Fit, Pair, Side, is_after},
};
use crate::{arena::CtState, runner::Observation};

/// What happened to a connection that the gateways remember differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parting {
    /// Inside opened again with another number, or after the end. `eigw` started over; the
    /// reference did not.
    Reopened,
    /// The reference had forgotten the connection, and took it up again in mid-stream.
    TakenUp(Forgotten),
    /// A segment from inside did not fit. `eigw` gave up its checks; the reference ignored it.
    LostTrack,
    /// A segment from inside fits. The reference ignored it.
    IgnoredInside,
    /// Outside sent more before inside had acknowledged anything. `eigw` knows a window; the
    /// reference does not.
    SentEarly,
    /// Of several segments beyond the window, the last was not the furthest. `eigw` remembers the
    /// furthest; the reference remembers the last.
    ReorderedExcess,
    /// One from inside ended exactly one window beyond the window. The reference ignored it.
    IgnoredExcess,
    /// Inside sent a SYN/ACK that is not about the openings. `eigw` ignored it; the reference
    /// takes it for a new one.
    StrayAnswer,
    /// A side reset something before outside had opened. `eigw` goes on when the sides do; the
    /// reference does not.
    ResetOpening,
    /// A reset from inside had other numbers than the connection. To `eigw` they mean nothing; the
    /// reference heeds them.
    ResetClaims,
    /// Outside opened again, or answered after that, with other numbers than before. `eigw`
    /// believed the latest; the reference stays with what came first.
    OpenedTwice,
    /// Inside repeated its SYN with another window, other options or less data. `eigw` heeds the
    /// first; the reference the last.
    RepeatedOtherwise,
    /// A SYN/ACK came late, but behind a SYN that inside had repeated. `eigw` ignored it; the
    /// reference starts over with it.
    AnsweredLate,
    /// An answer was not to inside's SYN. `eigw` forgot it; the reference did not.
    DroppedAnswer,
    /// An opening had options that nobody can read. `eigw` checks nothing; the reference goes on
    /// with those before.
    Unreadable,
}

impl Parting {
    /// What a segment from outside parts.
    pub(super) fn by_outside(flow: &Flow, reading: &Reading, sight: Sight) -> Option<Self> {
        let known = flow.side(Inbound);
        let is_other = known.opening.is_some() && !known.is_same_opening(&Side::opened_by(reading));
        match flow.judge(reading) {
            Judgement::Answers | Judgement::Opens if is_other => Some(Self::OpenedTwice),
            Judgement::AnswersOther => Some(Self::DroppedAnswer),
            Judgement::Resets(_) if flow.is_checked() && known.opening.is_none() => {
                Some(Self::ResetOpening)
            }
            Judgement::Fits(_) if reading.kind == Kind::SynAck => {
                sight.before.saw_opening_last().then_some(Self::AnsweredLate)
            }
            Judgement::Fits(_)
                if flow.side(Outbound).grant.is_none()
                    && is_after(reading.sequence, known.opening_end) =>
            {
                Some(Self::SentEarly)
            }
            Judgement::Fits(Fit::Overshoots) => {
                is_after(known.end, reading.end).then_some(Self::ReorderedExcess)
            }
            Judgement::Unrelated
            | Judgement::Opens
            | Judgement::OpensLate
            | Judgement::Answers
            | Judgement::Challenges
            | Judgement::EndsNothing
            | Judgement::Unchecked
            | Judgement::Fits(_)
            | Judgement::Resets(_) => None,
        }
    }

    /// What a segment from inside, which opens nothing new, parts.
    pub(super) fn by_inside(flow: &Flow, reading: &Reading, sight: Sight) -> Option<Self> {
        let mut after = flow.clone();
        after.add_from_inside(reading);
        let is_about_openings =
            flow.outside().has_crossed && flow.side(Outbound).opening == Some(reading.sequence);
        let is_ignored = sight.seen.reference == Some(CtState::Invalid);
        match reading.kind {
            Kind::SynAck => (!is_about_openings).then_some(Self::StrayAnswer),
            Kind::Rst if flow.side(Inbound).opening.is_none() => Some(Self::ResetOpening),
            Kind::Rst => {
                let pair = flow.pair(Outbound);
                let granted = reading.ack.map(|_| pair.granted(reading));
                let is_further = match (granted, pair.own.grant) {
                    (Some(new), Some(known)) => {
                        is_after(new.ack, known.ack) || is_after(new.edge, known.edge)
                    }
                    (new, _) => new.is_some(),
                };
                let is_new = is_further || is_after(reading.end, pair.own.end);
                is_new.then_some(Self::ResetClaims)
            }
            Kind::Syn => {
                let is_same = flow.side(Outbound).is_same_opening(&Side::opened_by(reading));
                (!is_same).then_some(Self::RepeatedOtherwise)
            }
            Kind::Ack | Kind::Fin if sight.begins_entry => {
                sight.before.forgotten.map(Self::TakenUp)
            }
            Kind::Ack | Kind::Fin if flow.is_checked() && !after.is_checked() => {
                Some(Self::LostTrack)
            }
            Kind::Ack | Kind::Fin => by_fit(flow.pair(Outbound), reading, is_ignored),
        }
    }
}

/// What a segment from inside, which does not end the checks, parts by its place.
fn by_fit(pair: Pair, reading: &Reading, is_ignored: bool) -> Option<Parting> {
    let overshoots = pair.fit(reading) == Fit::Overshoots;
    let excess = pair.excess(reading).filter(|_| overshoots);
    if is_ignored && excess.is_some_and(|it| it.bytes == it.window) {
        Some(Parting::IgnoredExcess)
    } else if is_ignored {
        Some(Parting::IgnoredInside)
    } else {
        (overshoots && is_after(pair.own.end, reading.end)).then_some(Parting::ReorderedExcess)
    }
}

/// What the reference remembers of a connection, as its own classification of packets tells.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reference {
    /// How its present entry began.
    entry: Option<Kind>,
    /// Why it has no entry any more.
    pub(crate) forgotten: Option<Forgotten>,
    /// What it saw from outside: a bit for each kind.
    answers: u8,
    /// Whether it took a SYN/ACK.
    pub(super) is_synchronised: bool,
    /// How many FINs it saw, of whichever side: one that comes again is the other side's to it.
    fins: u32,
    /// Whether it saw an acknowledgement after two.
    is_over: bool,
    /// Whether it saw a reset.
    is_reset: bool,
    /// The last segment that it saw and took.
    last: Option<Kind>,
}

/// Why the reference forgot a connection that `eigw` remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forgotten {
    /// It was reset before outside had said anything else.
    Reset,
    /// Outside opened after the end.
    Opened,
}

impl Reference {
    /// Whether its entry began in mid-stream.
    pub(crate) fn is_picked_up(self) -> bool {
        self.entry == Some(Kind::Ack)
    }

    /// Whether outside opened as well, and nobody has answered yet.
    pub(crate) fn is_crossing(self) -> bool {
        self.answers & 1 << Kind::Syn as u8 != 0 && !self.is_synchronised
    }

    /// Whether it saw a FIN or a reset.
    pub(crate) const fn is_closing(self) -> bool {
        self.fins > 0 || self.is_reset
    }

    /// Whether a SYN was the last that it saw.
    pub(crate) fn saw_opening_last(self) -> bool {
        self.last == Some(Kind::Syn)
    }

    /// Whether it will take an answer to the SYN that it saw last for that of a new connection,
    /// instead of the one it knows.
    pub(super) fn follows_answers(self) -> bool {
        self.is_synchronised && !self.is_picked_up() && self.saw_opening_last()
    }

    /// It has.
    pub(super) fn start_over(&mut self) {
        *self = Self {
            entry: self.entry,
            answers: 1 << Kind::SynAck as u8,
            is_synchronised: true,
            last: Some(Kind::SynAck),
            ..Self::default()
        };
    }

    /// Takes note of a segment; whether it began a new entry.
    pub(super) fn add(
        &mut self,
        direction: Direction,
        reading: &Reading,
        seen: Observation,
        fits: bool,
    ) -> bool {
        if !is_noted(seen) {
            if self.is_over && direction == Inbound && reading.kind == Kind::Syn {
                self.forgotten = Some(Forgotten::Opened);
            }
            if matches!(reading.kind, Kind::Fin | Kind::Rst) {
                self.last = Some(reading.kind);
            }
            return false;
        }
        let has_entry = self.entry.is_some() && self.forgotten.is_none() && self.answers == 0;
        let is_new = seen.reference == Some(CtState::New) && direction == Outbound && !has_entry;
        if is_new {
            *self = Self { entry: Some(reading.kind), ..Self::default() };
        }
        if reading.kind == Kind::Rst && self.answers == 0 {
            self.forgotten = Some(Forgotten::Reset);
        }
        if direction == Inbound {
            self.answers |= 1 << reading.kind as u8;
        }
        self.is_synchronised |= reading.kind == Kind::SynAck;
        self.fins += u32::from(reading.kind == Kind::Fin);
        self.is_over |= self.fins > 1 && reading.kind == Kind::Ack;
        self.is_reset |= reading.kind == Kind::Rst;
        if fits || reading.kind == Kind::Syn {
            self.last = Some(reading.kind);
        }
        is_new
    }
}
