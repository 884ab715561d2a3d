//! TCP states and timeouts, without packets: segments go straight to the state machine.

use network_types::ip::IpProto;
use proptest::prelude::*;

use super::{
    FlowEntry, FlowState, FlowUpdate,
    tcp::{self, Outbound, Segment, Trace},
};
use crate::{
    config::Config,
    timeouts::{Ticks, TimeoutClass},
    tuple::{Direction, FlowKey},
    verdict::Reason,
    wire::tcp::flag,
};
use Direction::{Inbound, Outbound as Out};
use Segment::{Ack, Fin, Rst, Syn, SynAck};

/// A connection under a clock that the test moves.
struct Connection {
    entry: FlowEntry,
    now: Ticks,
}

fn key() -> FlowKey {
    FlowKey { protocol: IpProto::Tcp as u8, ..FlowKey::default() }
}

const TICKS_PER_SEC: u32 = 250;

impl Connection {
    fn open(segment: Segment) -> Self {
        let now = Ticks(1_000_000);
        let marks = tcp::opening(segment).expect("the segment opens a flow");
        let mut connection =
            Self { entry: FlowEntry { created: now, ..FlowEntry::default() }, now };
        connection.apply(Out, Trace { refreshes: true, resets: false, marks });
        connection
    }

    fn apply(&mut self, direction: Direction, trace: Trace) {
        self.entry.apply(&FlowUpdate {
            direction,
            packets: 1,
            bytes: 40,
            seen: trace.refreshes.then_some(self.now),
            reset: trace.resets.then_some(self.now),
            marks: trace.marks,
        });
    }

    /// Each segment comes one second after the one before.
    fn take(&mut self, direction: Direction, segment: Segment) -> Result<(), Reason> {
        self.now = self.now + Ticks(u64::from(TICKS_PER_SEC));
        let trace = match direction {
            Inbound => tcp::inbound(&self.entry, segment)?,
            Out => match tcp::outbound(&self.entry, segment) {
                Outbound::Continue(trace) => trace,
                Outbound::Reopen => {
                    let now = self.now;
                    *self = Self { now, ..Self::open(segment) };
                    return Ok(());
                }
            },
        };
        self.apply(direction, trace);
        Ok(())
    }

    fn after(mut self, segments: &[(Direction, Segment)]) -> Self {
        for &(direction, segment) in segments {
            self.take(direction, segment).unwrap_or_else(|reason| {
                panic!("{direction:?} {segment:?} in {:?}: {reason:?}", self.state())
            });
        }
        self
    }

    fn state(&self) -> FlowState {
        tcp::state(&self.entry)
    }

    fn class(&self) -> TimeoutClass {
        self.entry.timeout_class(&key())
    }

    fn secs_left(&self) -> u64 {
        let deadline = self.entry.deadline(&key(), &Config::new(TICKS_PER_SEC));
        deadline.since(self.now).to_ms(TICKS_PER_SEC) / 1000
    }
}

const HANDSHAKE: [(Direction, Segment); 2] = [(Inbound, SynAck), (Out, Ack)];

fn established() -> Connection {
    Connection::open(Syn).after(&HANDSHAKE)
}

/// RFC6092-REC-31, RFC6092-REC-35.
#[test]
fn a_handshake_establishes() {
    let connection = Connection::open(Syn);
    assert_eq!((connection.state(), connection.secs_left()), (FlowState::SynSent, 240));
    let connection = connection.after(&HANDSHAKE[..1]);
    // Outside's answer does not keep the opening alive: one of its 240 seconds is gone.
    assert_eq!((connection.state(), connection.secs_left()), (FlowState::SynReceived, 239));
    let connection = connection.after(&HANDSHAKE[1..]);
    assert_eq!((connection.state(), connection.secs_left()), (FlowState::Established, 7440));
}

/// RFC6092-REC-31, RFC9293-SO, E130.
#[test]
fn both_sides_may_open_at_the_same_time() {
    let connection = Connection::open(Syn).after(&[(Inbound, Syn), (Out, SynAck)]);
    assert_eq!(connection.state(), FlowState::Established);
    let connection = connection.after(&[(Inbound, SynAck), (Out, Ack), (Inbound, Ack)]);
    assert_eq!(connection.state(), FlowState::Established);
}

/// RFC6092-REC-31, RFC6092-REC-35, E139.
#[test]
fn closing_goes_through_its_states() {
    let half_closed = established().after(&[(Out, Fin)]);
    assert_eq!((half_closed.state(), half_closed.secs_left()), (FlowState::FinWait, 240));
    let half_closed = half_closed.after(&[(Inbound, Ack), (Inbound, Ack), (Out, Ack)]);
    assert_eq!((half_closed.state(), half_closed.secs_left()), (FlowState::FinWait, 240));
    let last = half_closed.after(&[(Inbound, Fin)]);
    assert_eq!((last.state(), last.class()), (FlowState::LastAck, TimeoutClass::TcpClosing));
    let over = last.after(&[(Out, Ack)]);
    assert_eq!((over.state(), over.secs_left()), (FlowState::TimeWait, 120));
    // A FIN that is sent again still meets its flow (RFC9293-2MSL).
    assert_eq!(over.after(&[(Inbound, Fin)]).state(), FlowState::TimeWait);

    let closed_by_peer = established().after(&[(Inbound, Fin)]);
    assert_eq!(closed_by_peer.state(), FlowState::CloseWait);
    let over = closed_by_peer.after(&[(Out, Ack), (Out, Fin), (Inbound, Ack)]);
    assert_eq!(over.state(), FlowState::TimeWait);
}

/// RFC7857-2.2, RFC5961-3.2-3, E134.
#[test]
fn a_reset_closes_until_inside_goes_on() {
    let mut reset = established().after(&[(Inbound, Rst)]);
    assert_eq!((reset.state(), reset.secs_left()), (FlowState::Closed, 240));
    // Outside can neither revive the flow nor keep it, with data or with further resets.
    reset = reset.after(&[(Inbound, Ack), (Inbound, Rst)]);
    assert_eq!((reset.state(), reset.secs_left()), (FlowState::Closed, 238));
    reset = reset.after(&[(Out, Ack)]);
    assert_eq!((reset.state(), reset.secs_left()), (FlowState::Established, 7440));
    reset = reset.after(&[(Out, Rst)]);
    assert_eq!((reset.state(), reset.secs_left()), (FlowState::Closed, 240));
}

/// RFC9293-TW, RFC5961-4.2, E131, E132.
#[test]
fn only_inside_reuses_ports() {
    let over = [(Out, Fin), (Inbound, Fin), (Out, Ack)];
    for closing in [&over[..1], &over[..2], &over[..], &[(Inbound, Rst)], &[(Out, Rst)]] {
        let mut connection = established().after(closing);
        assert_eq!(connection.take(Inbound, Syn), Err(Reason::TcpState), "{closing:?}");
        assert_eq!(connection.after(&[(Out, Syn)]).state(), FlowState::SynSent, "{closing:?}");
    }
    let mut alive = established();
    assert_eq!(alive.take(Inbound, Syn), Err(Reason::TcpState));
    assert_eq!(alive.after(&[(Out, Syn)]).state(), FlowState::Established);
}

/// RFC5961-4.2: the server still holds an old connection and challenges our SYN.
#[test]
fn a_challenge_to_our_syn_opens_nothing() {
    let challenged = Connection::open(Syn).after(&[(Inbound, Ack)]);
    assert_eq!((challenged.state(), challenged.secs_left()), (FlowState::SynSent, 239));
    let retried = challenged.after(&[(Out, Rst), (Out, Syn), (Inbound, SynAck), (Out, Ack)]);
    assert_eq!(retried.state(), FlowState::Established);
}

/// RFC6092-REC-32, E135, E136.
#[test]
fn only_data_or_a_syn_open_a_flow() {
    let mut picked_up = Connection::open(Ack);
    assert_eq!((picked_up.state(), picked_up.secs_left()), (FlowState::Established, 240));
    assert_eq!(picked_up.take(Inbound, Syn), Err(Reason::TcpState));
    let answered = picked_up.after(&[(Inbound, Ack)]);
    assert_eq!((answered.state(), answered.secs_left()), (FlowState::Established, 7440));
    for segment in [SynAck, Fin, Rst] {
        assert_eq!(tcp::opening(segment), None, "{segment:?}");
    }
}

/// RFC9293-ECN, RFC9293-RSVD, E125, E126: exactly these flags make a segment.
#[test]
fn flags_are_classified_without_psh_ece_and_cwr() {
    let relevant = [
        (flag::SYN, Some(Syn)),
        (flag::SYN | flag::URG, Some(Syn)),
        (flag::SYN | flag::ACK, Some(SynAck)),
        (flag::FIN | flag::ACK, Some(Fin)),
        (flag::FIN | flag::ACK | flag::URG, Some(Fin)),
        (flag::ACK, Some(Ack)),
        (flag::ACK | flag::URG, Some(Ack)),
        (flag::RST, Some(Rst)),
        (flag::RST | flag::ACK, Some(Rst)),
    ];
    let free = flag::PSH | 0xc0;
    for flags in 0..=u8::MAX {
        let expected =
            relevant.iter().find(|(known, _)| *known == flags & !free).and_then(|(_, kind)| *kind);
        assert_eq!(Segment::classify(flags), expected, "{flags:#010b}");
    }
}

fn any_step() -> impl Strategy<Value = (Direction, Segment)> {
    (prop::sample::select(&Direction::ALL[..]), prop::sample::select(&Segment::ALL[..]))
}

proptest! {
    /// RFC5382-REQ-5, RFC6092-REC-35: whatever outside sends, it cannot lengthen a flow's life
    /// beyond the timeout of its state, nor complete an opening on its own.
    #[test]
    fn outside_alone_never_establishes(segments in prop::collection::vec(any_step(), 0..40)) {
        let mut connection = Connection::open(Syn);
        for (direction, segment) in segments.into_iter().filter(|step| step.0 == Inbound) {
            _ = connection.take(direction, segment);
            prop_assert_ne!(connection.class(), TimeoutClass::TcpEstablished);
            prop_assert!(connection.secs_left() <= 240);
        }
    }

    /// Halves only grow: no order of updates can take back what an earlier one recorded.
    #[test]
    fn marks_and_counters_never_go_back(segments in prop::collection::vec(any_step(), 0..40)) {
        let mut connection = Connection::open(Syn);
        for (direction, segment) in segments {
            let before = connection.entry;
            if tcp::outbound(&before, segment) == Outbound::Reopen && direction == Out {
                continue;
            }
            _ = connection.take(direction, segment);
            for direction in Direction::ALL {
                let (old, new) = (before.half(direction), connection.entry.half(direction));
                prop_assert_eq!(old.marks & !new.marks, 0);
                prop_assert!(old.seen <= new.seen && old.packets <= new.packets);
            }
        }
    }
}
