//! Sequences: stories of the conformance table, exchanges as hosts have them, single frames, and
//! changes to all of these.

use fastrand::Rng;
use gateway_common::tuple::Direction;
use tests::{
    exchange::{
        frame::{Ports, frame},
        grammar,
        step::Origin,
    },
    fuzz::{
        mutate::mutate,
        stories::{FRAMES, STORIES, Travelling},
        tape::{Step, Tape},
    },
    model::Frame,
};

/// Sequences stop growing when they have this many frames.
const LEN_ENOUGH: usize = 60;
/// Frames are shorter than this, so that a page holds them.
const BYTES_MAX: usize = 1_800;

/// The sequence of this number in a world.
pub(crate) fn tape(seed: u64, number: u64, world: u16) -> Tape {
    let mut rng = rng(seed, number);
    let mut steps = Vec::new();
    while steps.len() < LEN_ENOUGH {
        let piece = piece(&mut rng, seed, number);
        for mut travelling in piece {
            travelling.frame.bytes.truncate(BYTES_MAX);
            travelling.frame.offloaded_vlan = None;
            travelling.frame.segments = if travelling.frame.segments > 1 { 3 } else { 1 };
            if rng.u8(..3) == 0 {
                let other = &FRAMES[rng.usize(..FRAMES.len())].frame.bytes;
                mutate(&mut rng, &mut travelling.frame.bytes, other);
            }
            let wait = if rng.u8(..12) == 0 { rng.u8(..16) } else { 0 };
            steps.push(Step { wait, sweep: rng.u8(..100) == 0, travelling });
        }
    }
    Tape { world, steps }
}

/// The sequence of this number, of which every frame comes from outside: also those that inside
/// sends elsewhere, as if somebody had sent them back.
pub(crate) fn tape_from_outside(seed: u64, number: u64, world: u16) -> Tape {
    let mut tape = tape(seed, number, world);
    for step in &mut tape.steps {
        step.travelling.direction = Direction::Inbound;
        step.travelling.frame.is_forwarded = false;
        (step.wait, step.sweep) = (0, false);
    }
    tape
}

fn rng(seed: u64, number: u64) -> Rng {
    // An odd multiplier spreads consecutive numbers over all seeds.
    Rng::with_seed(seed.rotate_left(32) ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn piece(rng: &mut Rng, seed: u64, number: u64) -> Vec<Travelling> {
    match rng.u8(..10) {
        0..4 => STORIES[rng.usize(..STORIES.len())].clone(),
        4..7 => {
            let number = number << 8 | u64::from(rng.u8(..));
            let sequence = grammar::sequence(Origin { seed, number });
            let ports = Ports { inside: 20_000 + rng.u16(..3), outside: 30_000 };
            let travelling = |step| {
                let bytes = frame(step, sequence.family, ports, 0);
                Travelling { direction: step.direction, frame: Frame::from(bytes) }
            };
            sequence.steps.iter().map(travelling).collect()
        }
        _ => (0..rng.usize(1..6)).map(|_| FRAMES[rng.usize(..FRAMES.len())].clone()).collect(),
    }
}
