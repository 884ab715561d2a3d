//! The TCP state machine as a table, found by trying: every kind of segment in every state, on the
//! host build of the packet logic.

use std::fmt::Write as _;

use gateway_common::{
    config::Config,
    flow::{FlowEntry, tcp},
    timeouts::Ticks,
    tuple::{Direction, Family},
    verdict::{Reason, Verdict},
};

use crate::{
    model::{Frame, Model},
    packet::{Packet, flag},
    rows::hosts::{INSIDE, OUTSIDE, from},
};
use Direction::{Inbound, Outbound};

const TICKS_PER_SEC: u32 = 1000;
const ROOM: usize = 16;

/// Ports of the connection.
const INSIDE_PORT: u16 = 40_000;
const OUTSIDE_PORT: u16 = 443;
/// The numbers of both SYNs.
const INSIDE_FIRST: u32 = 700_000;
const OUTSIDE_FIRST: u32 = 500_000;
/// What both sides offer.
const WINDOW: u16 = 10_000;

/// How a segment's numbers relate to the connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Numbers {
    /// What its receiver expects next.
    Expected,
    /// The number of its sender's SYN.
    OfSyn,
    /// Ahead of what is expected, but in the window.
    InWindow,
    /// Before the window.
    Old,
    /// Far outside the window.
    Outside,
    /// It acknowledges what was never sent.
    WrongAck,
}

/// A column: a kind of segment.
type Column = (&'static str, u16, Numbers);

const SYN_ACK: u16 = flag::SYN | flag::ACK;
const FIN_ACK: u16 = flag::FIN | flag::ACK;

const COLUMNS: [Column; 13] = [
    ("SYN, repeated", flag::SYN, Numbers::OfSyn),
    ("SYN, another number", flag::SYN, Numbers::Outside),
    ("SYN/ACK", SYN_ACK, Numbers::OfSyn),
    ("SYN/ACK, wrong ack", SYN_ACK, Numbers::WrongAck),
    ("ACK", flag::ACK, Numbers::Expected),
    ("ACK, old", flag::ACK, Numbers::Old),
    ("ACK, outside", flag::ACK, Numbers::Outside),
    ("ACK, wrong ack", flag::ACK, Numbers::WrongAck),
    ("FIN", FIN_ACK, Numbers::Expected),
    ("FIN, outside", FIN_ACK, Numbers::Outside),
    ("RST, exact", flag::RST | flag::ACK, Numbers::Expected),
    ("RST, in window", flag::RST | flag::ACK, Numbers::InWindow),
    ("RST, outside", flag::RST | flag::ACK, Numbers::Outside),
];

/// A row: a state, and what leads to it.
type Row = (&'static str, &'static [(Direction, u16)]);

const SYN: (Direction, u16) = (Outbound, flag::SYN);
const ANSWER: (Direction, u16) = (Inbound, SYN_ACK);
const ACK: (Direction, u16) = (Outbound, flag::ACK);
const FIN_OUT: (Direction, u16) = (Outbound, FIN_ACK);
const FIN_IN: (Direction, u16) = (Inbound, FIN_ACK);

const ROWS: [Row; 12] = [
    ("no flow", &[]),
    ("`syn-sent`", &[SYN]),
    ("`syn-received`, crossing SYNs", &[SYN, (Inbound, flag::SYN)]),
    ("`syn-received`", &[SYN, ANSWER]),
    ("`established`", &[SYN, ANSWER, ACK]),
    ("`established`, picked up", &[ACK]),
    ("`established`, picked up, answered", &[ACK, (Inbound, flag::ACK)]),
    ("`fin-wait`", &[SYN, ANSWER, ACK, FIN_OUT]),
    ("`close-wait`", &[SYN, ANSWER, ACK, FIN_IN]),
    ("`last-ack`", &[SYN, ANSWER, ACK, FIN_OUT, FIN_IN]),
    ("`time-wait`", &[SYN, ANSWER, ACK, FIN_OUT, FIN_IN, ACK]),
    ("`closed`", &[SYN, ANSWER, ACK, (Inbound, flag::RST | flag::ACK)]),
];

/// The table as a page of Markdown.
#[must_use]
pub fn page() -> String {
    let mut text = String::from(
        "# TCP states\n\n\
         Every kind of segment in every state, found by trying it on the packet logic. `cargo test -p tests --test docs` compares this page with\n\
         the code; `UPDATE_DOCS=1` writes it anew.\n\n\
         - A state's name: the segment passes, keeps the flow alive, and this is the state afterwards.\n\
         - **new** and a state: it opens a flow, in place of the old one if there is one.\n\
         - *passes*: it passes and leaves the flow as it was: neither state, nor timeout, nor numbers.\n\
         - *drop* and a [reason](reasons.md): it is refused, and leaves the flow as it was.\n\n\
         Numbers: *repeated* is the side's first SYN again; *wrong ack* acknowledges what was never sent; *old* lies more than a window behind;\n\
         *outside* lies far off the window; a reset is *exact* where its receiver expects the next byte. A flow is *picked up* when its\n\
         first packet was not a SYN. `closed` is a flow that outside has reset; inside revives it by going on (RFC 7857 section 2.2).\n",
    );
    for (direction, title) in [(Outbound, "From inside"), (Inbound, "From outside")] {
        write!(text, "\n## {title}\n\n| state |").expect("writing to a string");
        for (name, ..) in COLUMNS {
            write!(text, " {name} |").expect("writing to a string");
        }
        write!(text, "\n|---|{}\n", "---|".repeat(COLUMNS.len())).expect("writing to a string");
        for (state, steps) in ROWS {
            write!(text, "| {state} |").expect("writing to a string");
            for column in COLUMNS {
                write!(text, " {} |", cell(steps, direction, column)).expect("writing to a string");
            }
            text.push('\n');
        }
    }
    text
}

/// What becomes of one segment after these steps.
fn cell(steps: &[(Direction, u16)], direction: Direction, (_, flags, numbers): Column) -> String {
    let mut connection = Connection::new();
    for &(direction, flags) in steps {
        connection.take_expected(direction, flags);
    }
    let before = connection.entry();
    let packet = connection.packet(direction, flags, numbers);
    let reason = connection.run(direction, &packet);
    let after = connection.entry();
    let state = after.as_ref().map(|entry| tcp::state(entry).name());
    match (reason.verdict(), reason) {
        (Verdict::Drop, _) => {
            assert_eq!(before, after, "what is dropped changes nothing");
            format!("*drop* `{}`", reason.name())
        }
        (_, Reason::FlowCreated) => format!("**new** `{}`", state.expect("it was just opened")),
        (_, Reason::Stateless) => "*passes*".into(),
        _ if has_trace(before.as_ref(), after.as_ref()) => {
            format!("`{}`", state.expect("it belongs to a flow"))
        }
        _ => "*passes*".into(),
    }
}

/// Whether a packet changed more than the counters of its flow.
fn has_trace(before: Option<&FlowEntry>, after: Option<&FlowEntry>) -> bool {
    let uncounted = |entry: &FlowEntry| {
        let mut entry = *entry;
        for half in [&mut entry.inbound, &mut entry.outbound] {
            (half.packets, half.bytes) = (0, 0);
        }
        entry
    };
    before.map(uncounted) != after.map(uncounted)
}

/// The gateway, with one connection through it.
struct Connection {
    model: Model,
    inside: u32,
    outside: u32,
}

impl Connection {
    fn new() -> Self {
        let model = Model::new(&Config::new(TICKS_PER_SEC), ROOM, ROOM);
        Self { model, inside: INSIDE_FIRST, outside: OUTSIDE_FIRST }
    }

    fn take_expected(&mut self, direction: Direction, flags: u16) {
        let packet = self.packet(direction, flags, Numbers::Expected);
        let reason = self.run(direction, &packet);
        assert_eq!(reason.verdict(), Verdict::Pass, "{direction:?} {flags:#x}: {reason:?}");
        let next = match direction {
            Outbound => &mut self.inside,
            Inbound => &mut self.outside,
        };
        *next += u32::from(flags & (flag::SYN | flag::FIN) != 0);
    }

    fn packet(&self, direction: Direction, flags: u16, numbers: Numbers) -> Packet {
        let (packet, next, first, expected) = match direction {
            Outbound => {
                let packet = from(INSIDE, OUTSIDE, Family::Ipv6);
                (
                    packet.tcp(INSIDE_PORT, OUTSIDE_PORT, flags),
                    self.inside,
                    INSIDE_FIRST,
                    self.outside,
                )
            }
            Inbound => {
                let packet = from(OUTSIDE, INSIDE, Family::Ipv6);
                (
                    packet.tcp(OUTSIDE_PORT, INSIDE_PORT, flags),
                    self.outside,
                    OUTSIDE_FIRST,
                    self.inside,
                )
            }
        };
        let window = u32::from(WINDOW);
        let sequence = match numbers {
            Numbers::Expected | Numbers::WrongAck => next,
            Numbers::OfSyn => first,
            Numbers::InWindow => next + window / 2,
            Numbers::Old => next - 2 * window,
            Numbers::Outside => next + 0x1000_0000,
        };
        let is_wrong = numbers == Numbers::WrongAck;
        packet
            .window(WINDOW)
            .sequence(if is_wrong && flags & flag::SYN != 0 { first } else { sequence })
            .acknowledge(if is_wrong { expected + 1_000 } else { expected })
    }

    fn run(&mut self, direction: Direction, packet: &Packet) -> Reason {
        self.model.advance(Ticks(u64::from(TICKS_PER_SEC)));
        self.model.run(direction, &Frame::from(packet.frame())).reason
    }

    fn entry(&self) -> Option<FlowEntry> {
        let flows = self.model.state().flows;
        assert!(flows.len() <= 1, "there is one connection");
        flows.into_values().next()
    }
}

#[cfg(test)]
mod tests {
    use gateway_common::flow::FlowState;

    use super::*;

    /// Each row's steps lead where its name says.
    #[test]
    fn steps_lead_to_their_states() {
        for (name, steps) in ROWS {
            let mut connection = Connection::new();
            for &(direction, flags) in steps {
                connection.take_expected(direction, flags);
            }
            let state = connection.entry().map(|entry| tcp::state(&entry));
            let named = FlowState::ALL
                .into_iter()
                .find(|state| name.split(',').next() == Some(&format!("`{}`", state.name())));
            assert_eq!(state, named, "{name}");
        }
    }
}
