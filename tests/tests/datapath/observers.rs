//! Observers: their places, and what they leave behind.

use std::process;

use aya::maps::{Array, Map, MapData};
use gateway_common::{
    abi::name,
    observe::{Watch, WatchCount, want},
    tuple::Direction,
    verdict::Reason,
};
use gateway_userspace::datapath::{
    DatapathError, HookChoice, Observation, Observer, TcChoice, has_daemon,
};
use tests::{capture::Link, packet::Packet};

use crate::Site;

/// An observer sees what it asked for, across a new attach, and what it leaves is nothing.
#[test]
fn an_observer_sees_packets_until_it_stops() {
    let site = Site::new();
    site.attach(&["up0"], HookChoice::Auto, TcChoice::Auto).expect("attached");
    let before = site.bpffs.entries();
    let mut observer = open(&site, &Watch::everything(want::DROPS)).expect("a place is free");
    assert_eq!(observed(&site), want::DROPS);
    assert_eq!(drops(&site, &mut observer, 3), 3);
    site.attach(&["up0"], HookChoice::Auto, TcChoice::Auto).expect("attached again");
    assert!(observer.is_attached(), "new programs are no new gateway");
    assert_eq!(drops(&site, &mut observer, 2), 2);

    observer.stop().expect("it stops");
    assert_eq!(observed(&site), 0);
    assert_eq!(drops(&site, &mut observer, 1), 0);
    let counts = observer.counts().expect("counted");
    assert_eq!((counts.reported, counts.limited, counts.lost), (5, 0, 0));
    drop(observer);
    assert_eq!(site.bpffs.entries(), before);
}

/// The fifth observer is refused and learns who has the places; each place is free again when its
/// observer ends, and begins to count from zero.
#[test]
fn there_are_four_places() {
    let site = Site::new();
    site.attach(&["up0"], HookChoice::Tc, TcChoice::Auto).expect("attached");
    let wants = [want::DROPS, want::PASSES, want::FLOWS, want::DROPS];
    let mut observers: Vec<_> = wants
        .into_iter()
        .map(|wants| open(&site, &Watch::everything(wants)).expect("a place is free"))
        .collect();
    let refused = open(&site, &Watch::everything(want::DROPS)).err().expect("there is no place");
    let DatapathError::ObserversTaken { holders, .. } = &refused else { panic!("{refused}") };
    assert_eq!(*holders, [Some(process::id()); 4]);
    assert!(refused.to_string().contains(&process::id().to_string()), "{refused}");
    assert!(!has_daemon(site.bpffs.path(), &site.name), "an observer is no daemon");

    assert_eq!(drops(&site, &mut observers[0], 2), 2);
    assert_eq!(drops(&site, &mut observers[3], 0), 2, "each has a ring of its own");
    drop(observers.remove(0));
    assert_eq!(observed(&site), want::DROPS | want::PASSES | want::FLOWS);
    let mut next = open(&site, &Watch::everything(want::DROPS)).expect("a place is free again");
    assert_eq!(next.counts().expect("counted"), WatchCount::default());
    assert_eq!(drops(&site, &mut next, 1), 1);
    observers.clear();
    assert_eq!(observed(&site), want::DROPS);
    drop(next);
    assert_eq!(observed(&site), 0);
}

/// What an observer held when its gateway was detached is nobody's, and a new gateway of that name
/// is not taken for the old one.
#[test]
fn detaching_ends_observers() {
    let site = Site::new();
    let refused = open(&site, &Watch::everything(want::DROPS)).err().expect("nothing is attached");
    assert!(matches!(refused, DatapathError::NotAttached { .. }), "{refused}");
    site.attach(&["up0"], HookChoice::Tc, TcChoice::Auto).expect("attached");
    let mut observer = open(&site, &Watch::everything(want::DROPS)).expect("a place is free");
    assert!(observer.is_attached());
    gateway_userspace::datapath::detach(site.bpffs.path(), &site.name).expect("detached");
    assert!(!observer.is_attached());
    site.attach(&["up0"], HookChoice::Tc, TcChoice::Auto).expect("attached anew");
    assert!(!observer.is_attached());
    assert_eq!(observed(&site), 0);
    observer.stop().expect("its maps are still there");
    drop(observer);
    site.detach();
}

/// Sends as many packets that nobody asked for, and takes what the observer then has. They are
/// there already: sending over a veth runs the programs of its other end.
fn drops(site: &Site, observer: &mut Observer, packets: usize) -> usize {
    let link = Link::open(&site.peer, "pe0");
    let from: std::net::IpAddr = "2a00:2::1".parse().expect("an address");
    let to: std::net::IpAddr = "2a00:1::1".parse().expect("an address");
    let frame = Packet::ip(from, to).udp(4_000, 53).payload(b"?").frame();
    let total = |site: &Site| {
        let verdicts = site.open().expect("the gateway opens").verdicts().expect("counted");
        let mut found = verdicts.into_iter().filter(|(direction, reason, _)| {
            (*direction, *reason) == (Direction::Inbound, Reason::NoFlow)
        });
        found.next().expect("every reason is counted").2.packets
    };
    let before = total(site);
    for _ in 0..packets {
        link.send(&frame);
    }
    tests::wait::until_true("the drops", || total(site) == before + packets as u64);
    let mut seen = 0;
    while let Some(observation) = observer.next() {
        let Observation::Packet(record) = observation else { panic!("{observation:?}") };
        if record.reason() == Some(Reason::NoFlow) && record.key.outside_port == 4_000 {
            assert_eq!(record.direction(), Some(Direction::Inbound));
            assert_eq!(record.snap[..record.snap_bytes as usize], frame);
            seen += 1;
        }
    }
    seen
}

fn open(site: &Site, watch: &Watch) -> Result<Observer, DatapathError> {
    // What the kernel says by itself on these links is nobody's business here.
    let watch = watch.about(&[Reason::NoFlow]);
    Observer::open(site.bpffs.path(), &site.name, &watch)
}

fn observed(site: &Site) -> u32 {
    let path = site.bpffs.path().join("eigw").join(site.name.as_str()).join("maps");
    let map = MapData::from_pin(path.join(name::OBSERVED)).expect("the map is pinned");
    let map = Map::from_map_data(map).expect("of a known type");
    let observed: Array<MapData, u32> = map.try_into().expect("an array");
    observed.get(&0, 0).expect("it can be read")
}
