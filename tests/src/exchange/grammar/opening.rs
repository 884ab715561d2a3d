//! How connections begin.

use crate::packet::flag::{ACK, CWR, ECE, RST, SYN};
use gateway_common::tuple::Direction::{Inbound, Outbound};

use super::{once_in, pick, talk::Talk};

/// Opens a connection in one of many ways; whether it goes on from there.
pub(crate) fn open(talk: &mut Talk<'_>) -> bool {
    match talk.rng.u8(..24) {
        0..9 => handshake(talk),
        9..11 => repeated(talk),
        11..13 => data_on_opening(talk),
        13..15 => simultaneous(talk),
        15..18 => mid_stream(talk),
        18 => restarted_before_answer(talk),
        19..21 => half_open_server(talk),
        21 => return refused(talk),
        22 => return from_outside(talk),
        _ => return unanswered(talk),
    }
    true
}

/// The three-way handshake, with or without congestion notification.
pub(crate) fn handshake(talk: &mut Talk<'_>) {
    let (ask, grant) = *pick(talk.rng, &[(0, 0), (0, 0), (0, 0), (ECE | CWR, ECE)]);
    talk.say(Outbound, "SYN", SYN | ask, 0);
    talk.say(Inbound, "SYN/ACK", SYN | ACK | grant, 0);
    talk.say(Outbound, "ACK of the opening", ACK, 0);
}

/// Openings that are sent more than once.
fn repeated(talk: &mut Talk<'_>) {
    let syn = talk.transmit(Outbound, "SYN", SYN, 0);
    if talk.rng.bool() {
        talk.show(Outbound, "SYN again", syn.clone());
    }
    talk.deliver(Outbound, &syn);
    let answer = talk.transmit(Inbound, "SYN/ACK", SYN | ACK, 0);
    talk.show(Inbound, "SYN/ACK again", answer.clone());
    if talk.rng.bool() {
        talk.show(Outbound, "SYN again, crossing the answer", syn);
        talk.show(Inbound, "SYN/ACK again", answer.clone());
    }
    talk.deliver(Inbound, &answer);
    talk.say(Outbound, "ACK of the opening", ACK, 0);
    if talk.rng.bool() {
        talk.show(Inbound, "SYN/ACK again, late", answer);
        talk.acknowledge(Outbound);
    }
}

/// Data on the SYN (RFC 7413), which the other side takes or not, and data on the answer.
fn data_on_opening(talk: &mut Talk<'_>) {
    let syn = talk.transmit(Outbound, "SYN with data", SYN, 100);
    let taken = talk.rng.bool();
    if taken {
        talk.deliver(Outbound, &syn);
    } else {
        let peer = talk.peer(Outbound);
        peer.next = peer.isn.wrapping_add(1);
        talk.peer(Inbound).expected = syn.sequence.wrapping_add(1);
    }
    let len = *pick(talk.rng, &[0, 0, 50]);
    talk.say(Inbound, "SYN/ACK", SYN | ACK, len);
    talk.say(Outbound, "ACK of the opening", ACK, if taken { 0 } else { 100 });
}

/// Both sides open at the same time (RFC 9293 section 3.5).
fn simultaneous(talk: &mut Talk<'_>) {
    let ours = talk.transmit(Outbound, "SYN", SYN, 0);
    let theirs = talk.transmit(Inbound, "crossing SYN", SYN, 0);
    talk.deliver(Outbound, &ours);
    talk.deliver(Inbound, &theirs);
    let order = *pick(talk.rng, &[[Outbound, Inbound], [Inbound, Outbound]]);
    // Both repeat their SYN, now with an acknowledgement.
    for direction in order {
        let mut answer = talk.segment(direction, SYN | ACK, 0);
        answer.sequence = talk.peer(direction).isn;
        talk.show(direction, "SYN/ACK", answer.clone());
        talk.deliver(direction, &answer);
    }
    let first = talk.either();
    talk.acknowledge(first);
    talk.acknowledge(crate::exchange::step::opposite(first));
}

/// The gateway sees a connection that began without it.
fn mid_stream(talk: &mut Talk<'_>) {
    talk.assume_open();
    if once_in(talk.rng, 3) {
        talk.acknowledge(Inbound);
    }
    if talk.rng.bool() {
        talk.data(Outbound, 100);
    } else {
        talk.acknowledge(Outbound);
    }
    talk.acknowledge(Inbound);
}

/// A client that starts again with another initial sequence number before it was answered.
fn restarted_before_answer(talk: &mut Talk<'_>) {
    talk.transmit(Outbound, "SYN", SYN, 0);
    renumber(talk);
    handshake(talk);
}

/// A server that still has an old connection on these ports answers with what it knows, the
/// client resets that, and starts again (RFC 9293 section 3.5.1).
fn half_open_server(talk: &mut Talk<'_>) {
    let syn = talk.transmit(Outbound, "SYN", SYN, 0);
    let old = talk.rng.u32(..);
    let mut challenge = talk.segment(Inbound, ACK, 0);
    challenge.acknowledgment = old;
    talk.show(Inbound, "ACK of an old connection", challenge);
    let mut reset = talk.segment(Outbound, RST, 0);
    reset.sequence = old;
    talk.show(Outbound, "RST of the old connection", reset);
    if talk.rng.bool() {
        talk.show(Outbound, "SYN again", syn.clone());
        talk.deliver(Outbound, &syn);
    } else {
        renumber(talk);
        talk.say(Outbound, "SYN of a new attempt", SYN, 0);
    }
    talk.say(Inbound, "SYN/ACK", SYN | ACK, 0);
    talk.say(Outbound, "ACK of the opening", ACK, 0);
}

/// Nobody listens, and the client may try again.
fn refused(talk: &mut Talk<'_>) -> bool {
    talk.say(Outbound, "SYN", SYN, 0);
    let mut refusal = talk.segment(Inbound, RST | ACK, 0);
    refusal.sequence = 0;
    refusal.window = 0;
    talk.show(Inbound, "refusal", refusal);
    let again = talk.rng.bool();
    if again {
        renumber(talk);
        handshake(talk);
    }
    again
}

/// Outside opens, which no egress-only gateway lets happen; inside answers all the same.
fn from_outside(talk: &mut Talk<'_>) -> bool {
    talk.say(Inbound, "SYN from outside", SYN, 0);
    talk.say(Outbound, "SYN/ACK", SYN | ACK, 0);
    talk.say(Inbound, "ACK of the opening", ACK, 0);
    talk.data(Inbound, 10);
    talk.rng.bool()
}

/// Nobody answers; the client gives up or goes on.
fn unanswered(talk: &mut Talk<'_>) -> bool {
    let syn = talk.transmit(Outbound, "SYN", SYN, 0);
    for _ in 0..talk.rng.u8(..4) {
        talk.show(Outbound, "SYN again", syn.clone());
    }
    false
}

/// The client chooses another initial sequence number.
pub(crate) fn renumber(talk: &mut Talk<'_>) {
    let ahead = *pick(talk.rng, &[1, 70_000, 1 << 20, 1 << 31, u32::MAX - 100_000]);
    let peer = talk.peer(Outbound);
    peer.isn = peer.next.wrapping_add(ahead);
    peer.next = peer.isn;
    (peer.lost, peer.last) = (None, None);
}

/// The server chooses another initial sequence number.
pub(crate) fn renumber_server(talk: &mut Talk<'_>) {
    let isn = talk.rng.u32(..);
    let peer = talk.peer(Inbound);
    (peer.isn, peer.next) = (isn, isn);
    (peer.lost, peer.last) = (None, None);
}
