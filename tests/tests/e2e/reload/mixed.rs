//! No packet sees half of one policy and half of another.

use std::fmt::Write as _;

use gateway_common::{tuple::Direction, verdict::Reason};
use tests::{
    address::{Dual, FAMILIES},
    config::Prepared,
    eigw::Hook,
    topology::{INSIDE, Lab, OUTSIDE, STRANGER},
};

use super::{
    barrage::Barrage,
    lane::{Allowed, Belief, Lane, socket},
    swaps,
};
use crate::in_every_hook;

in_every_hook!(no_packet_sees_two_policies);

/// Which port policy A opens, to whom.
const PORT_A: u16 = 4_001;
/// Which port policy B opens, to whom.
const PORT_B: u16 = 4_002;

/// Policy A lets one sender in on one port, policy B another one on another port, and all that
/// could be mixed up differs: how many rules there are, where the one that matters stands among
/// them, the lists, prefixes and classes. The other two combinations of sender and port never
/// arrive, and what arrives was sent while the policy was, or might be, in force that allows it.
fn no_packet_sees_two_policies(hook: Hook) {
    let lab = Lab::new();
    let (a, b) = (policy_a(), policy_b());
    lab.attach_policy(hook, &a);
    let (a, b) = (Prepared::of_lab(&a), Prepared::of_lab(&b));
    let mut lanes = Vec::new();
    let (mut senders, mut receivers) = (Vec::new(), Vec::new());
    for family in FAMILIES {
        let from = [OUTSIDE, STRANGER].map(|at| socket(&lab.outside, at.port(family, 4_000)));
        let to = [PORT_A, PORT_B].map(|port| socket(&lab.inside, INSIDE.port(family, port)));
        for (sender, port, allowed) in [
            (0, 0, Allowed::ONLY_A),
            (1, 1, Allowed::ONLY_B),
            (0, 1, Allowed::NEITHER),
            (1, 0, Allowed::NEITHER),
        ] {
            let name = format!("{family:?} sender {sender} to port {port}");
            lanes.push(Lane::new(name, &from[sender], &to[port], allowed));
        }
        senders.extend(from);
        receivers.extend(to);
    }
    let mut barrage = Barrage::begin(&lab, lanes, [senders, receivers]);
    barrage.settle(Belief::A);
    for _ in 0..swaps(hook) / 2 {
        barrage.swap(&b, Belief::B);
        barrage.swap(&a, Belief::A);
    }
    assert_eq!(barrage.drops(Direction::Inbound, Reason::NoPolicy), 0);
    assert_eq!(barrage.drops(Direction::Inbound, Reason::PolicyRevoked), 0, "there are no flows");
    barrage.finish("two policies");
    assert_eq!(lab.flows().len(), 0, "what outside sends opens no flow");
}

/// A few rules, with the one that matters first.
fn policy_a() -> String {
    let mut text = lists("a", OUTSIDE, 3);
    rule(&mut text, "in", "allow", PORT_A, "@friends", INSIDE);
    rule(&mut text, "in", "deny", 80, "@others", INSIDE);
    rule(&mut text, "out", "deny", 25, "@friends", OUTSIDE);
    text
}

/// Many rules, which need vectors of several words, with the one that matters in the middle; and
/// subnets, which A does not have.
fn policy_b() -> String {
    let mut text = lists("b", STRANGER, 40);
    text.push_str(
        "[[subnet]]\nname = \"v4\"\nprefix = \"10.77.1.0/24\"\n\
         [[subnet]]\nname = \"v6\"\nprefix = \"2a00:1:0:a::/64\"\n",
    );
    for port in 0..100 {
        rule(&mut text, "in", "deny", 10_000 + port, "@others", INSIDE);
    }
    rule(&mut text, "in", "allow", PORT_B, "@friends", INSIDE);
    for port in 0..100 {
        rule(&mut text, "in", "allow", 20_000 + port, "@others", INSIDE);
    }
    text
}

/// Lists of friends and of strangers that are nowhere in the lab; their prefixes depend on `salt`.
fn lists(salt: &str, friend: Dual, others: usize) -> String {
    let mut text = format!(
        "[prefix_list.friends]\nprefixes = [\"{}\", \"{}\"]\n[prefix_list.others]\nprefixes = [",
        friend.v4, friend.v6
    );
    let third = salt.as_bytes()[0];
    for other in 0..others {
        let len = 17 + other % 15;
        write!(text, "\"11.{third}.{other}.0/{}\", ", len.max(24)).expect("a string grows");
        write!(text, "\"2a01:{third:x}:{other:x}::/{}\", ", 48 + len).expect("a string grows");
    }
    text + "]\n"
}

fn rule(text: &mut String, direction: &str, action: &str, port: u16, from: &str, to: Dual) {
    let Dual { v4, v6 } = to;
    let text = write!(
        text,
        "[[rule]]\ndirection = \"{direction}\"\naction = \"{action}\"\nproto = \"udp\"\n\
         ports = {port}\nfrom = \"{from}\"\nto = [\"{v4}\", \"{v6}\"]\n"
    );
    text.expect("a string grows");
}
