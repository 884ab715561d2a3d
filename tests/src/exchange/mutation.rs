//! Small changes that turn what hosts say into what attackers, broken hosts and bad luck make of
//! it.

use crate::packet::flag::{ACK, FIN, PSH, RST, SYN, URG};
use fastrand::Rng;
use gateway_common::tuple::{
    Direction::{Inbound, Outbound},
    Family,
};

use crate::exchange::{
    grammar::{error, misdirected, pick},
    option::{self, TcpOption},
    step::{Checksum, Content, Datagram, IcmpError, Mutation, Query, Segment, Step, opposite},
};

/// Changes a sequence in a few places, or in none.
pub(crate) fn mutate(rng: &mut Rng, family: Family, steps: &mut Vec<Step>) {
    let times = *pick(rng, &[0, 0, 1, 1, 1, 1, 1, 2, 2, 3]);
    for _ in 0..times {
        if steps.is_empty() {
            return;
        }
        let at = rng.usize(..steps.len());
        if rng.bool() {
            rearrange(rng, family, steps, at);
        } else {
            change(rng, family, &mut steps[at]);
        }
    }
}

/// Changes which steps there are, at or behind `at`.
fn rearrange(rng: &mut Rng, family: Family, steps: &mut Vec<Step>, at: usize) {
    let behind = rng.usize(at..steps.len()) + 1;
    let relabelled = |label| Step { label, ..steps[at].clone() };
    match rng.u8(..10) {
        0 if steps.len() > 1 => drop(steps.remove(at)),
        0 | 1 => steps.insert(behind, relabelled("duplicate")),
        2 if at + 1 < steps.len() => steps.swap(at, at + 1),
        2 | 3 => {
            let other = misdirected(rng, relabelled("copy for or from somebody else"));
            steps.insert(behind, other);
        }
        4 | 5 => {
            let error = error(rng, family, steps[at].clone());
            steps.insert(behind, error);
        }
        _ => {
            if let Some(step) = forged(rng, &steps[at]) {
                steps.insert(behind, step);
            }
        }
    }
}

/// A segment of somebody who saw, or guessed, the numbers of `seen`.
fn forged(rng: &mut Rng, seen: &Step) -> Option<Step> {
    let known = seen.segment()?;
    let direction = *pick(rng, &[Inbound, Inbound, Outbound]);
    let (sequence, acknowledgment) = if direction == seen.direction {
        (known.end(), known.acknowledgment)
    } else {
        (known.acknowledgment, known.end())
    };
    let flags = *pick(rng, &[RST, RST, RST | ACK, SYN, SYN | ACK, FIN | ACK, ACK, ACK | PSH]);
    let segment = Segment {
        flags,
        sequence: displaced(rng, sequence, known.window),
        acknowledgment: displaced(rng, acknowledgment, known.window),
        window: known.window,
        options: Vec::new(),
        payload_len: if flags & PSH == 0 { 0 } else { 10 },
        claimed_words: None,
        checksum: Checksum::Right,
    };
    Some(Step::new(direction, "forged segment", Content::Tcp(segment)))
}

/// A number somewhere near another, or at one of the places where bounds are.
fn displaced(rng: &mut Rng, number: u32, window: u16) -> u32 {
    let window = u32::from(window);
    let distance = *pick(
        rng,
        &[0, 0, 0, 1, 2, 100, window, window + 1, 2 * window + 2, 66_000, 70_000, 1 << 24, 1 << 31],
    );
    if rng.bool() { number.wrapping_add(distance) } else { number.wrapping_sub(distance) }
}

/// Changes one thing about a step.
fn change(rng: &mut Rng, family: Family, step: &mut Step) {
    let before = step.clone();
    let name = match rng.u8(..16) {
        0 => {
            step.direction = opposite(step.direction);
            "travels the other way"
        }
        1 => {
            *step = misdirected(rng, before.clone());
            "for or from somebody else"
        }
        _ => match &mut step.content {
            Content::Tcp(segment) => change_segment(rng, segment),
            Content::Udp(datagram) => change_datagram(rng, datagram),
            Content::Query(query) => change_query(rng, query),
            Content::Error(error) => change_error(rng, family, error),
        },
    };
    if *step != before {
        step.mutation = Some(Mutation { name, before: Box::new(before) });
    }
}

fn change_segment(rng: &mut Rng, segment: &mut Segment) -> &'static str {
    match rng.u8(..17) {
        0..4 => {
            segment.sequence = displaced(rng, segment.sequence, segment.window);
            "sequence number"
        }
        4..8 => {
            segment.acknowledgment = displaced(rng, segment.acknowledgment, segment.window);
            "acknowledgment number"
        }
        8 => {
            segment.window = *pick(rng, &[0, 1, 1000, 65_535]);
            "window"
        }
        9..11 => {
            segment.flags = flags(rng, segment.flags);
            "flags"
        }
        11 => {
            segment.acknowledgment = 0;
            segment.flags &= !ACK;
            "no acknowledgment"
        }
        12 => {
            segment.payload_len = *pick(rng, &[0, 1, 1000, 1400]);
            "length"
        }
        13..15 => {
            change_options(rng, &mut segment.options);
            "options"
        }
        15 => {
            segment.claimed_words = Some(*pick(rng, &[0, 4, 5, 6, 15]));
            "length of the header"
        }
        _ => {
            segment.checksum = *pick(rng, &[Checksum::Wrong, Checksum::Absent]);
            "checksum"
        }
    }
}

/// Other flags: what another segment would have, or what none has.
fn flags(rng: &mut Rng, flags: u16) -> u16 {
    match rng.u8(..4) {
        0 => flags ^ *pick(rng, &[FIN, SYN, RST, PSH, ACK, URG]),
        1 => *pick(rng, &[0, FIN, SYN | FIN, SYN | RST, RST | FIN | ACK, FIN | PSH | URG, 0x3f]),
        2 => flags | *pick(rng, &[0x100, 0x200, 0x800]),
        _ => *pick(rng, &[SYN, SYN | ACK, ACK, FIN | ACK, RST, RST | ACK, ACK | URG, SYN | URG]),
    }
}

fn change_options(rng: &mut Rng, options: &mut Vec<TcpOption>) {
    let is_scale = |option: &TcpOption| option.scale().is_some();
    match rng.u8(..6) {
        0 => options.clear(),
        1 => options.insert(0, *pick(rng, &[TcpOption::Endless, TcpOption::TooLong])),
        2 => options.insert(0, TcpOption::Unknown),
        3 => {
            options.retain(|option| !is_scale(option));
            options.push(TcpOption::Scale(*pick(rng, &[0, 1, 14, 15, 255])));
        }
        4 => options.retain(|option| !is_scale(option)),
        _ => options.push(TcpOption::Sack { left: rng.u32(..), right: rng.u32(..) }),
    }
    while !option::fit(options) {
        options.pop();
    }
}

fn change_datagram(rng: &mut Rng, datagram: &mut Datagram) -> &'static str {
    match rng.u8(..4) {
        0 => {
            datagram.payload_len = *pick(rng, &[0, 1, 1400]);
            "length"
        }
        1 => {
            datagram.claimed_len = Some(*pick(rng, &[0, 7, 8, 9, 2000]));
            "length field"
        }
        _ => {
            datagram.checksum = *pick(rng, &[Checksum::Wrong, Checksum::Absent]);
            "checksum"
        }
    }
}

fn change_query(rng: &mut Rng, query: &mut Query) -> &'static str {
    match rng.u8(..3) {
        0 => {
            query.code = *pick(rng, &[1, 255]);
            "code"
        }
        1 => {
            query.sequence = rng.u16(..);
            "sequence number"
        }
        _ => {
            query.checksum = Checksum::Wrong;
            "checksum"
        }
    }
}

fn change_error(rng: &mut Rng, family: Family, error: &mut IcmpError) -> &'static str {
    match rng.u8(..6) {
        0 => {
            error.kind = match family {
                Family::Ipv4 => *pick(rng, &[4, 5, 6, 2]),
                Family::Ipv6 => *pick(rng, &[5, 100, 127]),
            };
            "type"
        }
        1 => {
            error.value = *pick(rng, &[0, 67, 1279, u32::MAX]);
            "value"
        }
        2 => {
            error.quoted_len = *pick(rng, &[0, 3, 4, 7]);
            "length of the quote"
        }
        3 => {
            error.quoted.direction = opposite(error.quoted.direction);
            "quotes the other direction"
        }
        4 => {
            *error.quoted = misdirected(rng, (*error.quoted).clone());
            "quotes another conversation"
        }
        _ => {
            // An error about an error, which nobody may send.
            let inner = Content::Error(error.clone());
            *error.quoted = Step::new(Inbound, "quoted error", inner);
            "quotes an error"
        }
    }
}
