//! Pins that somebody tampered with: nothing reads them, and detaching clears them away.

use std::{fs, path::Path};

use aya::maps::{Array, HashMap, IterableMap, Map, MapData};
use gateway_common::abi::name;
use gateway_userspace::datapath::{self, DatapathError, HookChoice, TcChoice};

use crate::Site;

/// Every map in turn is replaced by one of another type, of other sizes and by nothing.
#[test]
fn maps_that_are_not_ours_are_not_believed() {
    let site = Site::new();
    for map in [
        name::CONFIG,
        name::ACTIVE,
        name::HALF_OPEN,
        name::ESTABLISHED,
        name::DATAGRAMS,
        name::PEERS,
        name::VERDICTS,
        name::FLOW_EVENTS,
        "META",
    ] {
        site.attach(&["up0"], HookChoice::Auto, TcChoice::Auto).expect("attached");
        let path = site.map(map);
        for (what, tamper) in TAMPERINGS {
            fs::remove_file(&path).expect("the pin is there");
            tamper(&path);
            let refusals = [
                site.open().map(drop).unwrap_err(),
                site.attach(&["up0"], HookChoice::Auto, TcChoice::Auto).unwrap_err(),
            ];
            for refusal in refusals {
                assert!(
                    matches!(&refusal, DatapathError::Damaged { path: named, .. } if *named == path),
                    "{map} {what}: {refusal}"
                );
            }
        }
        assert_eq!(site.interface("up0").xdp.len(), 1, "the uplink stays protected");
        site.detach();
        assert_eq!(site.interface("up0").xdp, []);
    }
}

type Tampering = fn(&Path);

/// What is put in the place of a map. The last one leaves nothing there.
const TAMPERINGS: [(&str, Tampering); 3] = [
    ("of another size", |path| {
        let map: Array<MapData, [u8; 3]> = Array::create(1, 0).expect("a map");
        map.map().pin(path).expect("pinned");
    }),
    ("of another type", |path| {
        let map: HashMap<MapData, u16, u16> = HashMap::create(1, 0).expect("a map");
        map.map().pin(path).expect("pinned");
    }),
    ("that is a directory", |path| fs::create_dir(path).expect("made")),
];

/// A later version's pins are named as such, and can be detached.
#[test]
fn pins_of_another_version_are_refused_and_detached() {
    for (hook, tc) in [(HookChoice::Auto, TcChoice::Auto), (HookChoice::Tc, TcChoice::Clsact)] {
        let site = Site::new();
        site.attach(&["up0"], hook, tc).expect("attached");
        change_meta(&site, |words| words[1] = 99);
        let refusals =
            [site.open().map(drop).unwrap_err(), site.attach(&["up0"], hook, tc).unwrap_err()];
        for refusal in refusals {
            assert!(matches!(&refusal, DatapathError::StalePins { pinned: 99, .. }), "{refusal}");
        }
        site.detach();
        assert_eq!(site.interface("up0").xdp, []);
    }
}

/// Directories of any name and content go, and nothing outside.
#[test]
fn detaching_all_clears_everything_away() {
    let site = Site::new();
    site.attach(&["up0"], HookChoice::Auto, TcChoice::Auto).expect("attached");
    let root = site.bpffs.path().join("eigw");
    for odd in ["half", "half/maps", "no%name", "gone+attaching", "gone+attaching/links"] {
        fs::create_dir(root.join(odd)).expect("made");
    }
    let outside = site.bpffs.path().join("outside");
    fs::create_dir(&outside).expect("made");
    std::os::unix::fs::symlink(&outside, root.join("half/link")).expect("linked");
    let outcome = datapath::detach_all(site.bpffs.path()).expect("detached");
    assert_eq!(outcome.detached, ["half", "no%name", "wan"]);
    assert_eq!(outcome.notes.len(), 1, "{:?}", outcome.notes);
    assert!(site.bpffs.entries().is_empty() && outside.exists());
    assert_eq!(site.interface("up0").xdp, []);
}

/// How `META` stores its value.
type Words = [u64; 69];

fn change_meta(site: &Site, change: impl FnOnce(&mut Words)) {
    let data = MapData::from_pin(site.map("META")).expect("META is pinned");
    let mut map: Array<MapData, Words> =
        Map::from_map_data(data).and_then(TryInto::try_into).expect("META is an array");
    let mut words = map.get(&0, 0).expect("it has a value");
    change(&mut words);
    map.set(0, words, 0).expect("written");
}
