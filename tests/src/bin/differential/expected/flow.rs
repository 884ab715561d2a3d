//! A TCP connection as `eigw` should remember it.

use gateway_common::tuple::Direction::{self, Inbound, Outbound};

use super::{
    reading::{Kind, Reading},
    window::{Fit, Grant, Pair, Place, Side, is_after},
};
use crate::step::opposite;

/// More data than this fits no packet.
const DATA_MAX: u32 = 65_535;

/// What should become of a segment from outside, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// There is no connection, or the segment is nonsense: it is dropped.
    Unrelated,
    /// An opening that crosses inside's passes.
    Opens,
    /// An opening at any other time is dropped.
    OpensLate,
    /// Outside acknowledges inside's opening: that passes.
    Answers,
    /// An answer, a reset or the first acknowledgement is not to inside's opening: it is dropped.
    AnswersOther,
    /// Outside acknowledges something before it has answered: that passes, without effect.
    Challenges,
    /// Outside ends what was not opened: that is dropped.
    EndsNothing,
    /// It passes, as nothing can be checked.
    Unchecked,
    /// It depends on how the numbers fit.
    Fits(Fit),
    /// A reset depends on where it is.
    Resets(Place),
}

/// How far a connection has come, as single steps that are never taken back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Progress {
    /// Inside has opened.
    #[default]
    Opening,
    /// Inside spoke after outside had answered.
    Confirmed,
    /// The opening is unknown: it was seen in mid-stream, or the answer took another way.
    PickedUp,
}

/// A connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flow {
    /// Behind inside's SYN.
    first: u32,
    /// Both sides, by the direction in which they send.
    sides: [Side; 2],
    progress: Progress,
    /// Numbers are not checked any more.
    is_unchecked: bool,
    /// What outside did.
    outside: Outside,
    /// A side sent a FIN.
    has_ended: bool,
    /// A reset stands.
    is_reset: bool,
    /// Inside's acknowledgements while numbers are not checked.
    pub(crate) unchecked_acks: Vec<u32>,
    /// Whether any segment of a direction ended beyond the window.
    has_exceeded: [bool; 2],
}

/// What outside did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outside {
    /// It spoke.
    has_spoken: bool,
    /// It acknowledged something.
    pub(crate) has_acked: bool,
    /// It opened too.
    pub(crate) has_crossed: bool,
}

impl Judgement {
    /// Whether the segment passes.
    pub(crate) const fn passes(self) -> bool {
        match self {
            Self::Opens | Self::Answers | Self::Challenges | Self::Unchecked => true,
            Self::Fits(fit) => !matches!(fit, Fit::AcksUnsent | Fit::Beyond),
            Self::Resets(place) => matches!(place, Place::Next | Place::Window),
            Self::Unrelated | Self::OpensLate | Self::AnswersOther | Self::EndsNothing => false,
        }
    }
}

impl Flow {
    /// What a segment from inside opens, if it opens anything.
    pub(crate) fn opened_by(reading: &Reading) -> Option<Self> {
        let mut flow = Self { first: reading.sequence.wrapping_add(1), ..Self::default() };
        match reading.kind {
            Kind::Syn => flow.begin(Outbound, reading),
            Kind::Ack => {
                flow.progress = Progress::PickedUp;
                flow.acknowledge(reading);
            }
            Kind::SynAck | Kind::Fin | Kind::Rst => return None,
        }
        Some(flow)
    }

    /// One of the sides.
    pub(crate) const fn side(&self, direction: Direction) -> &Side {
        &self.sides[direction as usize]
    }

    /// What outside did.
    pub(crate) const fn outside(&self) -> Outside {
        self.outside
    }

    /// Whether any segment of a direction ended beyond the window.
    pub(crate) const fn has_exceeded(&self, direction: Direction) -> bool {
        self.has_exceeded[direction as usize]
    }

    /// Who sends in a direction, and to whom.
    pub(crate) const fn pair(&self, direction: Direction) -> Pair {
        Pair { own: *self.side(direction), other: *self.side(opposite(direction)) }
    }

    /// Whether numbers are checked, as far as is known before outside has answered.
    pub(crate) fn is_checked(&self) -> bool {
        self.progress != Progress::PickedUp && !self.is_unchecked
    }

    /// Judges a segment from outside.
    pub(crate) fn judge(&self, reading: &Reading) -> Judgement {
        let Outside { has_spoken, has_acked, .. } = self.outside;
        let is_opening = self.is_opening();
        let is_answer = self.is_answered_by(reading);
        let is_silent = !has_spoken && self.progress != Progress::PickedUp;
        match reading.kind {
            Kind::Syn if is_opening && !has_acked && !self.is_reset => Judgement::Opens,
            Kind::Syn => Judgement::OpensLate,
            Kind::SynAck if is_opening && is_answer => Judgement::Answers,
            Kind::SynAck if is_opening => Judgement::AnswersOther,
            // As soon as outside has opened, its own numbers tell.
            Kind::Rst if is_opening && !is_answer && self.side(Inbound).opening.is_none() => {
                Judgement::AnswersOther
            }
            Kind::Rst => Judgement::Resets(self.place(Inbound, reading.sequence)),
            Kind::Ack if is_silent => Judgement::Challenges,
            Kind::Fin if is_silent => Judgement::EndsNothing,
            Kind::SynAck | Kind::Ack | Kind::Fin if !self.is_tracked() => Judgement::Unchecked,
            Kind::Ack | Kind::Fin if !has_acked && !is_answer => Judgement::AnswersOther,
            Kind::SynAck | Kind::Ack | Kind::Fin => {
                Judgement::Fits(self.pair(Inbound).fit(reading))
            }
        }
    }

    /// Whether a segment's numbers say something new, as far as can be told.
    pub(crate) fn takes(&self, direction: Direction, reading: &Reading) -> bool {
        !self.is_tracked() || self.pair(direction).fit(reading) == Fit::Inside
    }

    /// Takes note of a segment from outside that passed.
    pub(crate) fn add_from_outside(&mut self, reading: &Reading) {
        let judgement = self.judge(reading);
        let excess = self.pair(Inbound).excess(reading);
        match judgement {
            Judgement::Opens => {
                self.begin(Inbound, reading);
                self.outside.has_crossed = true;
            }
            Judgement::Answers => {
                self.begin(Inbound, reading);
                self.outside.has_acked = true;
            }
            Judgement::Unchecked => self.outside.has_acked = true,
            Judgement::Fits(Fit::Inside) if reading.kind != Kind::SynAck => {
                self.sides[Inbound as usize] = self.pair(Inbound).advanced(reading);
                self.outside.has_acked = true;
                self.has_exceeded[Inbound as usize] |= excess.is_some();
            }
            Judgement::Fits(Fit::Overshoots) if reading.kind != Kind::SynAck => {
                self.sides[Inbound as usize] = self.side(Inbound).overshooting(reading);
                self.has_exceeded[Inbound as usize] = true;
                return;
            }
            Judgement::Resets(Place::Next) => {
                self.is_reset = true;
                return;
            }
            Judgement::Unrelated
            | Judgement::OpensLate
            | Judgement::AnswersOther
            | Judgement::Challenges
            | Judgement::EndsNothing
            | Judgement::Fits(_)
            | Judgement::Resets(_) => return,
        }
        self.outside.has_spoken = true;
        self.has_ended |= reading.kind == Kind::Fin;
    }

    /// Whether a SYN from inside is that of this connection once more.
    pub(crate) fn is_repeated(&self, reading: &Reading) -> bool {
        let Side { opening, end, .. } = *self.side(Outbound);
        let is_longer = is_after(reading.end, end);
        opening == Some(reading.sequence) && !is_longer && !self.is_reset && !self.has_ended
    }

    /// Takes note of a segment from inside that opens nothing new.
    pub(crate) fn add_from_inside(&mut self, reading: &Reading) {
        match reading.kind {
            // Inside goes on after a reset, which therefore was none.
            Kind::Syn => self.is_reset = false,
            Kind::Rst => {
                let is_next = self.place(Outbound, reading.sequence) == Place::Next;
                self.is_reset |= !self.is_tracked() || is_next;
            }
            Kind::SynAck if !self.is_tracked() || !self.is_opening() => {}
            Kind::SynAck | Kind::Ack | Kind::Fin if self.is_tracked() => {
                self.add_tracked(reading);
            }
            Kind::SynAck | Kind::Ack | Kind::Fin => {
                if !self.outside.has_spoken {
                    self.progress = Progress::PickedUp;
                }
                self.acknowledge(reading);
            }
        }
    }

    /// Takes note of a segment from inside whose numbers can be checked.
    fn add_tracked(&mut self, reading: &Reading) {
        let pair = self.pair(Outbound);
        match pair.fit(reading) {
            Fit::Inside => {
                self.has_exceeded[Outbound as usize] |= pair.excess(reading).is_some();
                self.sides[Outbound as usize] = pair.advanced(reading);
                self.go_on(reading);
            }
            Fit::Overshoots => {
                self.sides[Outbound as usize] = pair.own.overshooting(reading);
                self.has_exceeded[Outbound as usize] = true;
            }
            // Part of the connection took another way.
            Fit::AcksUnsent | Fit::Beyond if reading.kind != Kind::SynAck => {
                self.is_unchecked = true;
                self.acknowledge(reading);
            }
            Fit::Old | Fit::AcksUnsent | Fit::Beyond => {}
        }
    }

    /// A segment from inside on a connection whose numbers are not checked. Its acknowledgement
    /// is where a reset has to be.
    fn acknowledge(&mut self, reading: &Reading) {
        let ack = reading.ack.unwrap_or_default();
        self.sides[Outbound as usize].grant = Some(Grant { ack, edge: ack });
        self.unchecked_acks.push(ack);
        self.go_on(reading);
    }

    fn go_on(&mut self, reading: &Reading) {
        let Outside { has_spoken, has_acked, has_crossed, .. } = self.outside;
        // Anybody could have sent a SYN.
        if has_spoken && (has_acked || !has_crossed) {
            self.progress = self.progress.max(Progress::Confirmed);
        }
        self.has_ended |= reading.kind == Kind::Fin;
        self.is_reset = false;
    }

    /// Whether the numbers of both sides are known.
    fn is_tracked(&self) -> bool {
        self.is_checked() && self.sides.iter().all(|side| side.opening.is_some())
    }

    /// Whether inside has opened and not gone on yet.
    fn is_opening(&self) -> bool {
        self.progress == Progress::Opening
    }

    /// Whether a segment acknowledges inside's SYN, or some of the data that came with it.
    fn is_answered_by(&self, reading: &Reading) -> bool {
        let sent = self.side(Outbound).end;
        let end = if self.is_unchecked { self.first.wrapping_add(DATA_MAX) } else { sent };
        reading.ack.is_some_and(|ack| !is_after(self.first, ack) && !is_after(ack, end))
    }

    fn begin(&mut self, direction: Direction, reading: &Reading) {
        self.sides[direction as usize] = Side::opened_by(reading);
        self.is_unchecked |= reading.options.are_unreadable;
    }

    /// Where a reset is. Without windows, everything behind what is expected is in the window.
    fn place(&self, direction: Direction, sequence: u32) -> Place {
        if self.is_tracked() {
            return self.pair(direction).place(sequence);
        }
        match self.side(opposite(direction)).grant {
            Some(grant) if is_after(grant.ack, sequence) => Place::Before,
            Some(grant) if grant.ack != sequence => Place::Window,
            _ => Place::Next,
        }
    }
}
