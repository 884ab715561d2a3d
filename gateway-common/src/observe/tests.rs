use std::vec::Vec;

use super::*;
use crate::{
    policy::NO_RULE,
    tuple::{Address, VlanPath},
};

const TICKS_PER_SEC: u32 = 250;

const KEY: FlowKey = FlowKey {
    inside: Address::from_octets([0x2a, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5]),
    outside: Address::from_octets([0x2a, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
    inside_port: 40_000,
    outside_port: 443,
    vlan: VlanPath { outer: 0, inner: 0 },
    protocol: 6,
    family: 6,
    zero: 0,
};

/// An observer of everything.
fn all() -> Watch {
    Watch {
        reasons: [u64::MAX; OBSERVED_REASON_WORDS],
        wants: want::DROPS | want::PASSES | want::FLOWS,
        directions: 0b11,
        protocol: ANY,
        inside_port: ANY,
        outside_port: ANY,
        ..Watch::default()
    }
}

fn record(direction: Direction) -> PacketRecord {
    PacketRecord {
        at: Ticks(0),
        counted_bytes: 0,
        key: KEY,
        reason: 0,
        direction: direction as u32,
        ifindex: 0,
        rule: 0,
        subnet: 0,
        counted_packets: 0,
        frame_bytes: 0,
        offloaded_vlan: 0,
        snap_bytes: 0,
        snap: [0xee; SNAP_BYTES_MAX],
    }
}

fn sight(reason: Reason, is_parsed: bool) -> Sight {
    Sight::of(&Outcome { reason, packets: 1, bytes: 1, is_parsed })
}

/// Filters that let [`KEY`] through, each followed by one that is off by as little as possible.
fn filters() -> Vec<(&'static str, Watch, Watch)> {
    let elsewhere = |prefix: u32| {
        let last_bit = 1 << (u128::BITS - prefix);
        Prefix::new(Address::from_bits(KEY.inside.to_bits() ^ last_bit), prefix)
    };
    std::vec![
        ("protocol", Watch { protocol: 6, ..all() }, Watch { protocol: 17, ..all() }),
        (
            "inside port",
            Watch { inside_port: 40_000, ..all() },
            Watch { inside_port: 443, ..all() }
        ),
        (
            "outside port",
            Watch { outside_port: 443, ..all() },
            Watch { outside_port: 40_000, ..all() }
        ),
        (
            "inside",
            Watch { inside: Prefix::new(KEY.inside, 128), ..all() },
            Watch { inside: elsewhere(128), ..all() }
        ),
        (
            "inside network",
            Watch { inside: Prefix::new(KEY.inside, 32), ..all() },
            Watch { inside: elsewhere(32), ..all() }
        ),
        (
            "outside",
            Watch { outside: Prefix::new(KEY.outside, 128), ..all() },
            Watch { outside: Prefix::new(KEY.inside, 128), ..all() }
        ),
    ]
}

#[test]
fn every_filter_decides_by_itself() {
    let drop = sight(Reason::NoFlow, true);
    assert!(all().wants_packet(&record(Direction::Inbound), &drop) && all().wants_flow(&KEY));
    for (name, same, other) in filters() {
        let record = record(Direction::Inbound);
        assert!(same.wants_packet(&record, &drop) && same.wants_flow(&KEY), "{name}");
        assert!(!other.wants_packet(&record, &drop) && !other.wants_flow(&KEY), "{name}");
    }
}

#[test]
fn port_zero_is_a_port() {
    let watch = Watch { inside_port: 0, ..all() };
    assert!(!watch.wants_flow(&KEY));
    assert!(watch.wants_flow(&FlowKey { inside_port: 0, ..KEY }));
}

/// A filter can only be for packets of which one knows whom they are from.
#[test]
fn what_was_not_parsed_is_for_those_who_want_everything() {
    let broken = sight(Reason::FrameTruncated, false);
    let record = PacketRecord { key: FlowKey::default(), ..record(Direction::Inbound) };
    assert!(all().wants_packet(&record, &broken));
    for (name, same, other) in filters() {
        assert!(!same.wants_packet(&record, &broken), "{name}");
        assert!(!other.wants_packet(&record, &broken), "{name}");
    }
    // Not even what the zeroes in its place happen to match.
    for watch in [
        Watch { protocol: 0, ..all() },
        Watch { inside_port: 0, ..all() },
        Watch { outside_port: 0, ..all() },
        Watch { inside: Prefix::new(Address::UNSPECIFIED, 1), ..all() },
        Watch { outside: Prefix::new(Address::UNSPECIFIED, 1), ..all() },
    ] {
        assert!(!watch.wants_packet(&record, &broken), "{watch:?}");
    }
}

#[test]
fn verdicts_directions_and_reasons_are_chosen() {
    for &reason in Reason::ALL {
        let (sight, record) = (sight(reason, true), record(Direction::Outbound));
        let (wanted, other) = match reason.verdict() {
            Verdict::Pass => (want::PASSES, want::DROPS),
            Verdict::Drop => (want::DROPS, want::PASSES),
        };
        assert!(Watch { wants: wanted, ..all() }.wants_packet(&record, &sight), "{reason:?}");
        let others = other | want::FLOWS;
        assert!(!Watch { wants: others, ..all() }.wants_packet(&record, &sight), "{reason:?}");

        let mut only = [0; OBSERVED_REASON_WORDS];
        only[reason as usize / 64] = 1 << (reason as usize % 64);
        let all_but = only.map(|word: u64| !word);
        assert!(Watch { reasons: only, ..all() }.wants_packet(&record, &sight), "{reason:?}");
        assert!(!Watch { reasons: all_but, ..all() }.wants_packet(&record, &sight), "{reason:?}");
    }
    for (direction, other) in
        [(Direction::Inbound, Direction::Outbound), (Direction::Outbound, Direction::Inbound)]
    {
        let (sight, record) = (sight(Reason::NoFlow, true), record(direction));
        let watch = |direction: Direction| Watch { directions: 1 << direction as u32, ..all() };
        assert!(watch(direction).wants_packet(&record, &sight));
        assert!(!watch(other).wants_packet(&record, &sight));
    }
}

#[test]
fn nothing_is_wanted_until_somebody_does() {
    let nothing = Watch::default();
    assert!(!nothing.wants_flow(&KEY));
    assert!(!nothing.wants_packet(&record(Direction::Inbound), &sight(Reason::NoFlow, true)));
    assert!(!Watch { wants: want::DROPS | want::PASSES, ..all() }.wants_flow(&KEY));
}

/// Ten at once, and then one every hundred ticks.
#[test]
fn reports_are_limited() {
    let (cost, credit) = (Span::from(Ticks(100)), Span::from(Ticks(1_000)));
    let watch = Watch { cost, credit, ..all() };
    let now = Ticks(1 << 20);
    let burst = |mut paid: Paid, now| {
        let mut reports = 0;
        while let Some(next) = watch.pay(paid, now) {
            (paid, reports) = (next, reports + 1);
        }
        (paid, reports)
    };
    let (paid, reports) = burst(Paid::default(), now);
    assert_eq!(reports, 10);
    assert_eq!(burst(paid, now + Ticks(99)).1, 0);
    assert_eq!(burst(paid, now + Ticks(350)).1, 3);
    assert_eq!(burst(paid, now + Ticks(1 << 20)).1, 10, "no more than at first");
}

#[test]
fn without_a_cost_there_is_no_limit() {
    let mut paid = Paid::default();
    for _ in 0..10_000 {
        paid = all().pay(paid, Ticks(1 << 20)).expect("it costs nothing");
    }
}

#[test]
fn a_parsed_packet_is_recorded_as_it_was_counted() {
    let mut workspace = Workspace::default();
    workspace.packet.network.source = KEY.inside;
    workspace.packet.network.destination = KEY.outside;
    workspace.packet.network.protocol = 17;
    workspace.packet.transport.kind = crate::packet::TransportKind::Ports;
    workspace.packet.transport.ports.source = KEY.inside_port;
    workspace.packet.transport.ports.destination = KEY.outside_port;
    (workspace.packet.packets, workspace.packet.wire_bytes) = (3, 4_321);
    (workspace.decision.rule, workspace.decision.subnet) = (NO_RULE, 7);
    let frame: Vec<u8> = (0..=255).cycle().take(300).collect();
    let mut record = record(Direction::Inbound);
    let sight = sight(Reason::FlowCreated, true);
    record.fill(Ticks(99), Direction::Outbound, &sight, &frame.as_slice(), &workspace);
    let PacketRecord { key, snap, .. } = record;
    assert_eq!((key.inside, key.outside, key.protocol), (KEY.inside, KEY.outside, 17));
    assert_eq!((key.inside_port, key.outside_port), (40_000, 443));
    assert_eq!((record.counted_packets, record.counted_bytes), (3, 4_321));
    assert_eq!((record.rule, record.subnet), (NO_RULE, 7));
    assert_eq!((record.at, record.frame_bytes), (Ticks(99), 300));
    assert_eq!(record.reason(), Some(Reason::FlowCreated));
    assert_eq!(record.direction(), Some(Direction::Outbound));
    assert_eq!((record.snap_bytes as usize, &snap[..]), (SNAP_BYTES_MAX, &frame[..256]));
}

/// The workspace has the packet before, which is none of its business.
#[test]
fn a_frame_that_was_not_parsed_is_recorded_as_bytes() {
    let mut workspace = Workspace::default();
    workspace.packet.network.source = KEY.inside;
    (workspace.packet.packets, workspace.packet.wire_bytes) = (3, 4_321);
    let frame = [7_u8; 20];
    let mut record = record(Direction::Outbound);
    let sight = sight(Reason::FrameTruncated, false);
    record.fill(Ticks(1), Direction::Inbound, &sight, &&frame[..], &workspace);
    assert_eq!(record.key, FlowKey::default());
    assert_eq!((record.counted_packets, record.counted_bytes, record.frame_bytes), (1, 20, 20));
    assert_eq!((record.snap_bytes, &record.snap[..20]), (20, &frame[..]));
    assert_eq!(record.direction(), Some(Direction::Inbound));
}

#[test]
fn numbers_that_nobody_wrote_mean_nothing() {
    let broken = PacketRecord { reason: 9_999, direction: 2, ..record(Direction::Inbound) };
    assert_eq!((broken.reason(), broken.direction()), (None, None));
}

#[test]
fn a_limit_is_kept_in_the_long_run_and_allows_a_burst() {
    for per_sec in [1, 7, 250, 1_000, 100_000] {
        let watch = Watch::everything(want::DROPS).limited(per_sec, TICKS_PER_SEC);
        let mut paid = Paid::default();
        let mut reported = |ticks: u64| {
            let mut count = 0;
            while let Some(next) = watch.pay(paid, Ticks(1_000_000 + ticks)) {
                (paid, count) = (next, count + 1);
            }
            count
        };
        let burst = reported(0);
        assert_eq!(burst, per_sec);
        let secs = 100;
        let later: u32 = (1..=secs * u64::from(TICKS_PER_SEC)).map(&mut reported).sum();
        let expected = per_sec * 100;
        assert!((expected * 99 / 100..=expected).contains(&later), "{later} of {expected}");
    }
}

#[test]
fn everything_is_wanted_but_what_is_left_out() {
    let all = Watch::everything(want::DROPS | want::PASSES);
    let mut record = record(Direction::Inbound);
    for &reason in Reason::ALL {
        record.reason = reason as u32;
        let is_wanted = |watch: &Watch, is_parsed| {
            let wanted = wanted(reason.verdict());
            watch.wants_packet(&record, &Sight { reason: record.reason, wanted, is_parsed })
        };
        assert!(is_wanted(&all, 0) && is_wanted(&all, 1), "{}", reason.name());
        assert!(is_wanted(&all.about(&[reason]), 1), "{}", reason.name());
        let others: Vec<_> = Reason::ALL.iter().copied().filter(|&other| other != reason).collect();
        assert!(!is_wanted(&all.about(&others), 1), "{}", reason.name());
        let drops = Watch::everything(want::DROPS);
        assert_eq!(is_wanted(&drops, 1), matches!(reason.verdict(), Verdict::Drop));
        let about_tcp = Watch { protocol: 6, ..all };
        assert!(!is_wanted(&about_tcp, 0), "what was not parsed has no protocol");
    }
}

#[test]
fn only_what_a_rule_with_log_decided_is_logged() {
    let watch = Watch::everything(want::LOGGED);
    for &reason in Reason::ALL {
        for log in [false, true] {
            let outcome = Outcome { reason, packets: 1, bytes: 60, is_parsed: true };
            let sight = Sight::of(&outcome).after(&Decision { log, ..Decision::default() });
            let is_wanted = watch.wants_packet(&record(Direction::Inbound), &sight);
            assert_eq!(is_wanted, log && reason.is_of_rule(), "{}", reason.name());
            let watch = Watch::everything(want::DROPS | want::PASSES);
            assert!(watch.wants_packet(&record(Direction::Inbound), &sight), "{}", reason.name());
        }
    }
}
