//! Whole conversations of two hosts, and strangers who interfere.

mod lab;

use gateway_common::{
    flow::window::{Granted, Sent},
    tuple::{Direction, Family},
};
use proptest::{collection::vec, option, prelude::*, sample::select};
use tests::packet::{flag, tcp::on_the_wire};

use crate::endpoints::{Act, Manner};
use lab::{Fate, Forged, Forgery, Lab, Step};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// RFC6092-REC-31, RFC5961-9.3, RFC9293-WIN0, RFC9293-KA: whatever two hosts say to each other
    /// and whatever the network makes of it, no segment is refused, the gateway never loses track,
    /// and in the end it knows that both have closed.
    #[test]
    fn conversations_go_through(mut lab in lab(), steps in vec(step(), 0..200)) {
        for step in steps {
            lab.step(step)?;
        }
        lab.finish()?;
    }

    /// RFC5382-S9, RFC5961-3.2-1, RFC5961-4.2, RFC5961-5.2: whoever cannot see the conversation
    /// has to guess numbers. As long as these do not fit, nothing changes, and the conversation
    /// goes on.
    #[test]
    fn strangers_change_nothing(
        mut lab in lab(),
        steps in vec((step(), option::weighted(0.3, forgery())), 0..200),
    ) {
        for (step, forgery) in steps {
            lab.step(step)?;
            let Some(forgery) = forgery else { continue };
            if lab.is_established() && lab.forge(&forgery)? == Forged::Fits {
                return Ok(());
            }
        }
        lab.finish()?;
    }

    /// Records can be joined in any order, and again, as long as they lie within half the number
    /// space: the result is the larger of each.
    #[test]
    fn records_join_in_any_order(base in any::<u32>(), numbers in any::<[[u32; 3]; 2]>()) {
        let base = (1 << 40) + u64::from(base);
        let numbers = numbers.map(|three| three.map(|number| base + u64::from(number >> 1)));
        let [[a, b, c], [x, y, z]] = numbers;
        let (low, high) = (a.max(b).max(c), x.max(y).max(z));
        let sent = |end: u64, window: u64| Sent::new(on_the_wire(end), on_the_wire(window - base));
        let records = [sent(a, x), sent(b, y), sent(c, z)];
        prop_assert_eq!(joined(records, Sent::join)?, sent(low, high));
        let granted = |ack: u64, edge: u64| Granted::new(on_the_wire(ack), on_the_wire(edge));
        let records = [granted(a, x), granted(b, y), granted(c, z)];
        prop_assert_eq!(joined(records, Granted::join)?, granted(low, high));
    }
}

/// Joins three records in every order, some of them twice.
fn joined<T>([a, b, c]: [T; 3], join: fn(T, T) -> T) -> Result<T, TestCaseError>
where
    T: Copy + PartialEq + std::fmt::Debug,
{
    let all = join(join(a, b), c);
    prop_assert_eq!(all, join(a, join(b, c)));
    for (a, b, c) in [(a, c, b), (b, a, c), (b, c, a), (c, a, b), (c, b, a)] {
        prop_assert_eq!(all, join(join(a, b), c));
        prop_assert_eq!(join(a, b), join(b, a));
    }
    for one in [a, b, c, all] {
        prop_assert_eq!(one, join(one, one));
        prop_assert_eq!(all, join(all, one));
    }
    Ok(all)
}

fn lab() -> impl Strategy<Value = Lab> {
    (select(vec![Family::Ipv4, Family::Ipv6]), manner(), manner())
        .prop_map(|(family, inside, outside)| Lab::new(family, inside, outside))
}

fn manner() -> impl Strategy<Value = Manner> {
    let first =
        prop_oneof![any::<u32>(), (0_u32..60_000).prop_map(|below| 0_u32.wrapping_sub(below))];
    let buffer = prop_oneof![200_u64..2_000, 2_000_u64..65_536, 65_536_u64..4_000_000];
    let data = prop_oneof![0_u64..100, 100_u64..60_000];
    (first, option::of(0_u8..15), any::<bool>(), buffer, data).prop_map(
        |(first, scale, takes_sack, buffer, data)| {
            // Nobody chooses a scale by which the own buffer counts for nothing.
            let buffer = buffer.max(4 << scale.unwrap_or(0));
            Manner { first, scale, takes_sack, buffer, data }
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let direction = || select(&Direction::ALL[..]);
    let act = prop_oneof![
        4 => (1_u64..40_000).prop_map(Act::Send),
        3 => (1_u64..1_400).prop_map(Act::Send),
        2 => Just(Act::Resend),
        2 => Just(Act::Acknowledge),
        1 => any::<bool>().prop_map(Act::KeepAlive),
        1 => Just(Act::Probe),
        2 => Just(Act::Read),
    ];
    let fate =
        prop_oneof![8 => Just(Fate::Carried), 1 => Just(Fate::Repeated), 1 => Just(Fate::Lost)];
    prop_oneof![
        4 => (direction(), act).prop_map(|(direction, act)| Step::Act(direction, act)),
        8 => (direction(), any::<bool>(), 0_usize..4, fate).prop_map(
            |(direction, is_past, which, fate)| Step::Carry { direction, is_past, which, fate }
        ),
        1 => Just(Step::Wait),
    ]
}

fn forgery() -> impl Strategy<Value = Forgery> {
    let flags = select(vec![
        flag::RST,
        flag::RST | flag::ACK,
        flag::SYN,
        flag::SYN | flag::ACK,
        flag::ACK,
        flag::ACK | flag::PSH,
        flag::FIN | flag::ACK,
    ]);
    let number = || {
        prop_oneof![
            4 => any::<u32>(),
            1 => (0_u32..200_000).prop_map(|off| off.wrapping_sub(100_000)),
        ]
    };
    (flags, number(), number(), 0_u64..1_400, any::<u16>()).prop_map(
        |(flags, sequence, acknowledgement, len, window)| Forgery {
            flags,
            sequence,
            acknowledgement,
            len,
            window,
        },
    )
}
