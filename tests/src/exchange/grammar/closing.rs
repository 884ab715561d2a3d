//! How connections end, and what comes after.

use crate::packet::flag::{ACK, FIN, PSH, RST, SYN};
use gateway_common::tuple::Direction::{self, Inbound, Outbound};

use super::{
    once_in,
    opening::{handshake, renumber, renumber_server},
    pick,
    talk::Talk,
};
use crate::exchange::step::opposite;

/// Ends a connection in one of many ways, or leaves it open.
pub(crate) fn close(talk: &mut Talk<'_>) {
    let first = talk.either();
    match talk.rng.u8(..12) {
        0..4 => one_after_the_other(talk, first),
        4 => at_the_same_time(talk, first),
        5 => half_close(talk, first),
        6..8 => reset(talk, first),
        8 => reset_in_answer_to_fin(talk, first),
        9 => inexact_reset(talk, first),
        _ => {}
    }
}

/// What may still come on the ports of a connection that is over, or is thought to be.
pub(crate) fn after(talk: &mut Talk<'_>) {
    for _ in 0..talk.rng.u8(..3) {
        match talk.rng.u8(..8) {
            0 => late_repetition(talk, Inbound),
            1 => late_repetition(talk, Outbound),
            2..5 => reuse(talk),
            5 => reuse_from_outside(talk),
            6 => crashed_client(talk),
            _ => {
                let direction = talk.either();
                talk.data(direction, 10);
            }
        }
    }
}

fn fin(talk: &mut Talk<'_>, direction: Direction) {
    let (push, len) = *pick(talk.rng, &[(0, 0), (0, 0), (PSH, 50)]);
    let len = if talk.room(direction) < u32::from(len) { 0 } else { len };
    talk.say(direction, "FIN", FIN | ACK | push, len);
}

/// One side closes, then the other; the acknowledgement in the middle may come with the FIN.
pub(crate) fn one_after_the_other(talk: &mut Talk<'_>, first: Direction) {
    fin(talk, first);
    if talk.rng.bool() {
        talk.acknowledge(opposite(first));
    }
    fin(talk, opposite(first));
    talk.say(first, "last ACK", ACK, 0);
}

/// Both sides close before they hear of each other.
fn at_the_same_time(talk: &mut Talk<'_>, first: Direction) {
    let one = talk.transmit(first, "FIN", FIN | ACK, 0);
    let other = talk.transmit(opposite(first), "crossing FIN", FIN | ACK, 0);
    talk.deliver(first, &one);
    talk.deliver(opposite(first), &other);
    talk.say(opposite(first), "last ACK", ACK, 0);
    talk.say(first, "last ACK", ACK, 0);
}

/// One side closes, the other has more to say.
fn half_close(talk: &mut Talk<'_>, first: Direction) {
    fin(talk, first);
    talk.acknowledge(opposite(first));
    for _ in 0..talk.rng.u8(1..4) {
        talk.data(opposite(first), 500);
        talk.acknowledge(first);
    }
    if talk.rng.bool() {
        fin(talk, opposite(first));
        talk.say(first, "last ACK", ACK, 0);
    }
}

/// One side resets; the other may not know yet.
fn reset(talk: &mut Talk<'_>, first: Direction) {
    let acknowledges = *pick(talk.rng, &[0, ACK]);
    let segment = talk.segment(first, RST | acknowledges, 0);
    talk.show(first, "RST", segment);
    if talk.rng.bool() {
        talk.data(opposite(first), 20);
    }
}

/// A host that is gone answers a FIN.
fn reset_in_answer_to_fin(talk: &mut Talk<'_>, first: Direction) {
    fin(talk, first);
    let mut segment = talk.segment(opposite(first), RST, 0);
    // The answer to a segment with an acknowledgement is a reset at that number, without any
    // (RFC 9293 section 3.5.2).
    segment.sequence = talk.peer(first).expected;
    segment.acknowledgment = 0;
    talk.show(opposite(first), "RST", segment);
}

/// A reset in the window, but not where the receiver is; the receiver asks, and the answer is
/// exact (RFC 5961 section 3.2).
fn inexact_reset(talk: &mut Talk<'_>, first: Direction) {
    let mut segment = talk.segment(first, RST, 0);
    segment.sequence = segment.sequence.wrapping_add(*pick(talk.rng, &[1, 10, 400]));
    talk.show(first, "inexact RST", segment);
    talk.say(opposite(first), "challenge ACK", ACK, 0);
    if talk.rng.bool() {
        let segment = talk.segment(first, RST, 0);
        talk.show(first, "RST", segment);
    } else {
        talk.data(first, 10);
        talk.acknowledge(opposite(first));
    }
}

/// Something sent earlier comes again, because its acknowledgement did not arrive.
fn late_repetition(talk: &mut Talk<'_>, direction: Direction) {
    if let Some(last) = talk.peer(direction).last.clone() {
        talk.show(direction, "late retransmission", last);
        talk.acknowledge(opposite(direction));
    }
}

/// Inside opens a new connection on the same ports.
fn reuse(talk: &mut Talk<'_>) {
    renumber(talk);
    renumber_server(talk);
    handshake(talk);
    talk.data(Outbound, 100);
    talk.data(Inbound, 100);
    if once_in(talk.rng, 2) {
        close(talk);
    }
}

/// Outside tries to open a new connection on the same ports.
fn reuse_from_outside(talk: &mut Talk<'_>) {
    renumber_server(talk);
    talk.say(Inbound, "SYN from outside", SYN, 0);
    if talk.rng.bool() {
        renumber(talk);
        talk.say(Outbound, "SYN/ACK", SYN | ACK, 0);
        talk.say(Inbound, "ACK of the opening", ACK, 0);
        talk.data(Inbound, 10);
    }
}

/// The client lost its memory and opens anew; the server answers with what it knows, is reset,
/// and then takes the opening (RFC 5961 section 4.2, RFC 9293 section 3.5.1).
fn crashed_client(talk: &mut Talk<'_>) {
    let mut syn = talk.segment(Outbound, SYN, 0);
    let ahead = *pick(talk.rng, &[1, 70_000, 1 << 30, 1 << 31, u32::MAX - 70_000]);
    syn.sequence = syn.sequence.wrapping_add(ahead);
    talk.show(Outbound, "SYN of a client that lost its memory", syn.clone());
    let challenge = talk.segment(Inbound, ACK, 0);
    talk.show(Inbound, "challenge ACK", challenge.clone());
    let mut reset = talk.segment(Outbound, RST, 0);
    reset.sequence = challenge.acknowledgment;
    talk.show(Outbound, "RST of the old connection", reset);
    let client = talk.peer(Outbound);
    (client.isn, client.next) = (syn.sequence, syn.sequence);
    (client.lost, client.last) = (None, None);
    renumber_server(talk);
    handshake(talk);
    talk.data(Outbound, 10);
    talk.data(Inbound, 10);
}
