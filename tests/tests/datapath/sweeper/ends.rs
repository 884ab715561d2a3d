//! Flows of every kind of end.

use gateway_common::{counter::FlowEvent, record::FlowRecord};
use gateway_userspace::{
    datapath::{self, HostLimits, NewPolicy, PolicySource, ReloadRequest},
    settings::Settings,
};
use tests::{packet::flag, rows::prelude::Flow};

use super::{FIRST, OUTSIDE, Road, ack, brief, config, fin, inside, rst, syn, syn_ack};
use crate::TABLES;

/// Flows of each kind.
const FLOWS: u16 = 50;
/// Unconfirmed flows that a host may have, and those beyond that all hosts may have together.
const ALLOWANCE: u16 = 100;

/// Every flow ends once and for the right reason, in the order of the serial numbers, and is seen
/// once in each pass until then.
#[test]
fn every_end_is_told_once_with_its_reason() {
    let road = Road::new(HostLimits { half_open: Some(ALLOWANCE.into()), established: None });
    let mut sweep = road.sweep();
    let live = make_ends(&road);
    let kinds = [
        FlowEvent::Expired,
        FlowEvent::Reset,
        FlowEvent::Closed,
        FlowEvent::Deleted,
        FlowEvent::Replaced,
        FlowEvent::Revoked,
        FlowEvent::HostRecycled,
    ];
    let all = kinds.len() * usize::from(FLOWS);
    sweep.until("all ends", |book| book.records.len() >= all);
    let pass = sweep.pass();
    sweep.book(|book| {
        for kind in kinds {
            let ends = book.ends(kind);
            assert_eq!(ends.len(), usize::from(FLOWS), "{kind:?}");
            assert_eq!(road.event(kind), u64::from(FLOWS), "{kind:?}");
            let host = kind as u8;
            assert!(ends.iter().all(|end| end.key.inside.to_ip() == inside(host)), "{ends:#?}");
        }
        assert_eq!(book.records.len(), all);
        assert!(book.records.iter().map(|record| record.serial).eq(0..all as u64));
        assert_eq!(book.seen.len(), live);
        let packets = |end: &&FlowRecord| end.entry.outbound.packets;
        assert!(book.ends(FlowEvent::Closed).iter().map(packets).all(|packets| packets == 4));
    });
    assert_eq!((pass.half_open.live, pass.established.live), (live as u64, 0));
    assert_eq!((pass.half_open.expired, pass.established.expired), (0, 0));
    assert_eq!(pass.recycled, 0);
    let stats = sweep.stats();
    assert_eq!((stats.records, stats.records_missing), (all as u64, 0));
    // Those whose time was over; the others ended at a packet or by a command.
    assert_eq!(stats.reclaimed, 3 * u64::from(FLOWS));
    assert_eq!(road.gateway.flows().expect("flows").len(), live);
}

/// Makes flows and their ends, those of each kind by a host of its own; how many flows live on.
fn make_ends(road: &Road) -> usize {
    let tcp = |kind: FlowEvent, port| Flow::tcp(inside(kind as u8), port, OUTSIDE, 443);
    let udp = |kind: FlowEvent, port| Flow::udp(inside(kind as u8), port, OUTSIDE, 9);
    let out = |packet| assert!(road.out(&packet), "{packet:?}");
    let pass = |(way, packet)| assert!(road.pass(way, &packet), "{way:?}: {packet:?}");
    for port in 1_000..1_000 + FLOWS {
        out(brief(FlowEvent::Expired as u8, port).out());

        let reset = tcp(FlowEvent::Reset, port);
        [syn(&reset), syn_ack(&reset), ack(&reset), rst(&reset)].into_iter().for_each(pass);

        let closed = tcp(FlowEvent::Closed, port);
        [syn(&closed), syn_ack(&closed), ack(&closed)].into_iter().for_each(pass);
        fin(&closed).into_iter().for_each(pass);

        let deleted = udp(FlowEvent::Deleted, port);
        out(deleted.out());
        assert!(road.gateway.forget(&deleted.key).expect("the program runs"));

        let replaced = tcp(FlowEvent::Replaced, port);
        out(replaced.segment_out(flag::SYN).sequence(FIRST));
        out(replaced.segment_out(flag::SYN).sequence(FIRST + 5_000));

        out(udp(FlowEvent::Revoked, port).out());
    }
    for port in 1_000..1_000 + 2 * ALLOWANCE + FLOWS {
        out(udp(FlowEvent::HostRecycled, port).out());
    }
    deny(road, &format!("{}", inside(FlowEvent::Revoked as u8)));
    for port in 1_000..1_000 + FLOWS {
        assert!(!road.out(&udp(FlowEvent::Revoked, port).out()));
    }
    usize::from(FLOWS + 2 * ALLOWANCE)
}

/// Puts a policy in force that lets a host send nothing.
fn deny(road: &Road, host: &str) {
    let text = format!(
        "[gateway]\nuplinks = [\"up0\"]\nname = \"wan\"\n\
         [[rule]]\ndirection = \"out\"\naction = \"deny\"\nfrom = [\"{host}\"]\n"
    );
    let (settings, _) = Settings::parse(&text, 1 << 30).expect("a valid file");
    let policy = NewPolicy::new(&settings.policy, PolicySource::default());
    let request = ReloadRequest {
        bpffs: road.site.bpffs.path(),
        name: &road.site.name,
        tables: TABLES,
        hosts: HostLimits { half_open: Some(ALLOWANCE.into()), established: None },
        config: &config(),
        policy: &policy,
    };
    datapath::reload(&request).expect("reloaded");
}
