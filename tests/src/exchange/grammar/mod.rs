//! What hosts say to each other: sequences that follow the protocols, before anything is changed
//! about them.

mod closing;
mod datagram;
mod opening;
mod talk;
mod transfer;

use fastrand::Rng;
use gateway_common::tuple::Family;

use crate::exchange::{
    STEPS_MAX, mutation,
    step::{Origin, Sequence},
};

pub(crate) use datagram::{error, misdirected};
use talk::Talk;

/// The sequence of this origin. The same origin gives the same sequence on every machine.
#[must_use]
pub fn sequence(origin: Origin) -> Sequence {
    // An odd multiplier spreads consecutive numbers over all seeds.
    let spread = origin.number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut rng = Rng::with_seed(origin.seed.rotate_left(32) ^ spread);
    let rng = &mut rng;
    let family = *pick(rng, &[Family::Ipv4, Family::Ipv6]);
    let mut steps = match rng.u8(..20) {
        0..15 => connection(rng),
        15..18 => datagram::udp(rng, family),
        _ => datagram::icmp(rng, family),
    };
    mutation::mutate(rng, family, &mut steps);
    // Mutations only ever add a few steps; this is a belt.
    steps.truncate(STEPS_MAX);
    Sequence { origin, family, steps }
}

/// A TCP connection from its opening to what comes after its end, or a part of that.
fn connection(rng: &mut Rng) -> Vec<crate::exchange::step::Step> {
    let mut talk = Talk::new(rng);
    if opening::open(&mut talk) {
        transfer::transfer(&mut talk);
        closing::close(&mut talk);
        closing::after(&mut talk);
    }
    talk.steps
}

/// One of several.
pub(crate) fn pick<'t, T>(rng: &mut Rng, choices: &'t [T]) -> &'t T {
    &choices[rng.usize(..choices.len())]
}

/// True once in `n` times.
pub(crate) fn once_in(rng: &mut Rng, n: u32) -> bool {
    rng.u32(..n) == 0
}

/// Exchanges as textbooks have them: every packet is what its receiver expects.
#[must_use]
pub fn plain_exchanges() -> Vec<Vec<crate::exchange::step::Step>> {
    let mut rng = Rng::with_seed(1);
    let mut exchanges = Vec::new();
    for _ in 0..50 {
        let mut talk = Talk::new(&mut rng);
        opening::handshake(&mut talk);
        transfer::transfer(&mut talk);
        closing::one_after_the_other(&mut talk, gateway_common::tuple::Direction::Outbound);
        exchanges.push(talk.steps);
    }
    exchanges.extend(datagram::plain_exchanges());
    exchanges
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::step::Content;

    fn sequences(seed: u64) -> impl Iterator<Item = Sequence> {
        (0..2000).map(move |number| sequence(Origin { seed, number }))
    }

    #[test]
    fn an_origin_always_gives_the_same_sequence() {
        assert!(sequences(1).eq(sequences(1)));
        assert!(!sequences(1).eq(sequences(2)));
    }

    #[test]
    fn sequences_are_short_and_of_every_kind() {
        let mut kinds = [0; 4];
        for sequence in sequences(3) {
            assert!((1..=80).contains(&sequence.steps.len()), "{sequence:?}");
            for step in &sequence.steps {
                kinds[match step.content {
                    Content::Tcp(_) => 0,
                    Content::Udp(_) => 1,
                    Content::Query(_) => 2,
                    Content::Error(_) => 3,
                }] += 1;
            }
        }
        assert!(kinds.iter().all(|&count| count > 100), "{kinds:?}");
    }
}
