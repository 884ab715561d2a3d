//! What happens between the opening and the end.

use crate::packet::flag::{ACK, ECE, PSH};
use gateway_common::tuple::Direction;

use super::{pick, talk::Talk};
use crate::exchange::{option::TcpOption, step::opposite};

/// A few exchanges of data.
pub(crate) fn transfer(talk: &mut Talk<'_>) {
    for _ in 0..talk.rng.u8(..6) {
        let direction = talk.either();
        match talk.rng.u8(..16) {
            0..5 => request(talk, direction),
            5..7 => burst(talk, direction),
            7 => repetition(talk, direction),
            8..10 => loss(talk, direction),
            10 => reordering(talk, direction),
            11 => keep_alive(talk, direction),
            12 => zero_window(talk, direction),
            13 => resized_window(talk, direction),
            14 => duplicate_acknowledgements(talk, direction),
            _ => silence(talk, direction),
        }
    }
}

/// Data, and an answer that acknowledges it.
fn request(talk: &mut Talk<'_>, direction: Direction) {
    let len = *pick(talk.rng, &[1, 10, 100, 1000]);
    talk.data(direction, len);
    if talk.rng.bool() {
        talk.data(opposite(direction), len);
    } else {
        talk.acknowledge(opposite(direction));
    }
}

/// As much as the window allows, up to a few segments, then one acknowledgement.
fn burst(talk: &mut Talk<'_>, direction: Direction) {
    for _ in 0..talk.rng.u8(2..6) {
        if !talk.data(direction, 1000) {
            break;
        }
    }
    talk.acknowledge(opposite(direction));
}

/// The last segment with data once more: its acknowledgement was lost.
fn repetition(talk: &mut Talk<'_>, direction: Direction) {
    if let Some(last) = talk.peer(direction).last.clone() {
        talk.show(direction, "retransmission", last);
        talk.acknowledge(opposite(direction));
    }
}

/// A segment is lost behind the gateway, more follow, the receiver says what it misses, and the
/// segment comes again.
fn loss(talk: &mut Talk<'_>, direction: Direction) {
    let room = talk.room(direction);
    if room < 3 {
        return;
    }
    let len = u16::try_from((room / 3).min(500)).expect("it is at most 500");
    let lost = talk.transmit(direction, "data that gets lost", ACK, len);
    talk.peer(direction).lost = Some(lost.clone());
    for _ in 0..talk.rng.u8(1..3) {
        let next = talk.transmit(direction, "data behind it", ACK | PSH, len);
        talk.deliver(direction, &next);
        let block = TcpOption::Sack { left: lost.end(), right: next.end() };
        let mut complaint = talk.segment(opposite(direction), ACK, 0);
        if talk.peer(direction).takes_sack {
            complaint.options.push(block);
        }
        talk.show(opposite(direction), "acknowledgement of what came before", complaint);
    }
    talk.peer(direction).lost = None;
    talk.show(direction, "retransmission", lost.clone());
    talk.deliver(direction, &lost);
    talk.acknowledge(opposite(direction));
}

/// Two segments that change places on their way to the gateway.
fn reordering(talk: &mut Talk<'_>, direction: Direction) {
    let before = talk.steps.len();
    talk.data(direction, 200);
    talk.data(direction, 200);
    if let [first, second] = &mut talk.steps[before..] {
        std::mem::swap(first, second);
    }
    talk.acknowledge(opposite(direction));
}

/// Is anybody there? (RFC 9293 section 3.8.4)
fn keep_alive(talk: &mut Talk<'_>, direction: Direction) {
    let len = *pick(talk.rng, &[0, 1]);
    let mut probe = talk.segment(direction, ACK, len);
    probe.sequence = probe.sequence.wrapping_sub(1);
    talk.show(direction, "keep-alive", probe);
    talk.acknowledge(opposite(direction));
}

/// The receiver has no room, is probed, and has room again (RFC 9293 section 3.8.6.1).
fn zero_window(talk: &mut Talk<'_>, direction: Direction) {
    let receiver = opposite(direction);
    talk.data(direction, 100);
    let usual = std::mem::take(&mut talk.peer(receiver).window);
    talk.acknowledge(receiver);
    for _ in 0..talk.rng.u8(1..3) {
        let probe = talk.segment(direction, ACK, 1);
        talk.show(direction, "zero-window probe", probe);
        talk.acknowledge(receiver);
    }
    talk.peer(receiver).window = usual;
    talk.say(receiver, "window update", ACK, 0);
    talk.data(direction, 100);
    talk.acknowledge(receiver);
}

/// The receiver changes its mind about its window. It does not take back what it has granted.
fn resized_window(talk: &mut Talk<'_>, direction: Direction) {
    let window = *pick(talk.rng, &[1, 100, 1000, 10_000, 65_535]);
    let granted = talk.room(direction);
    let receiver = talk.peer(opposite(direction));
    if u32::from(window) >= granted {
        receiver.window = window;
    }
    talk.say(opposite(direction), "window update", ACK, 0);
    talk.data(direction, 1000);
    talk.acknowledge(opposite(direction));
}

/// The same acknowledgement several times, also with congestion notification.
fn duplicate_acknowledgements(talk: &mut Talk<'_>, direction: Direction) {
    let echo = *pick(talk.rng, &[0, ECE]);
    for _ in 0..talk.rng.u8(2..5) {
        talk.say(direction, "acknowledgement again", ACK | echo, 0);
    }
}

/// The gateway misses a part of what is said, as when packets take another way for a while.
fn silence(talk: &mut Talk<'_>, direction: Direction) {
    let before = talk.steps.len();
    talk.data(direction, 1000);
    talk.acknowledge(opposite(direction));
    talk.steps.truncate(before);
    talk.data(direction, 1000);
    talk.acknowledge(opposite(direction));
}
