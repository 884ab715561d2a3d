//! Pins that somebody tampered with: nothing reads them, and detaching clears them away.

use std::{fs, path::Path};

use aya::maps::{Array, Map, MapData, MapInfo, MapType};
use aya_obj::generated::bpf_map_type;
use gateway_common::abi::name;
use gateway_userspace::{
    datapath::{self, DatapathError, HookChoice, TcChoice},
    net::interface,
};

use crate::Site;

/// Every map in turn is replaced by ones that differ in a single property, and by none.
#[test]
fn maps_that_are_not_ours_are_not_believed() {
    let site = Site::new();
    for map in MAPS {
        site.attach(&["up0"], HookChoice::Auto, TcChoice::Auto).expect("attached");
        let path = site.map(map);
        let original = MapData::from_pin(&path).and_then(|map| map.info()).expect("a map");
        for tampered in near_misses(map, &original) {
            fs::remove_file(&path).expect("the pin is there");
            let described = format!("{map} as {tampered:?}");
            let replacement = MapData::create(tampered, "tampered", None);
            replacement.expect("a map").pin(&path).expect("pinned");
            expect_damaged(&site, &path, &described);
        }
        fs::remove_file(&path).expect("the pin is there");
        expect_damaged(&site, &path, &format!("{map} missing"));
        fs::create_dir(&path).expect("made");
        expect_damaged(&site, &path, &format!("{map} as a directory"));
        assert_eq!(site.interface("up0").xdp.len(), 1, "the uplink stays protected");
        site.detach();
        assert_eq!(site.interface("up0").xdp, []);
    }
}

const META: &str = "META";

const MAPS: [&str; 13] = [
    name::CONFIG,
    name::ACTIVE,
    name::HALF_OPEN,
    name::ESTABLISHED,
    name::DATAGRAMS,
    name::PEERS,
    name::OPENERS,
    name::HOLDERS,
    name::OVERFLOW,
    name::OVERFLOW_TAKEN,
    name::VERDICTS,
    name::FLOW_EVENTS,
    META,
];

/// Maps like `original` but for their type, their keys' size, their values' size or their room.
fn near_misses(name: &str, original: &MapInfo) -> Vec<aya_obj::Map> {
    use bpf_map_type::{
        BPF_MAP_TYPE_ARRAY as ARRAY, BPF_MAP_TYPE_HASH as HASH, BPF_MAP_TYPE_LRU_HASH as LRU_HASH,
        BPF_MAP_TYPE_PERCPU_ARRAY as PER_CPU_ARRAY,
    };
    let (key, value, entries) =
        (original.key_size(), original.value_size(), original.max_entries());
    let found = original.map_type().expect("a known type");
    let types = [
        (MapType::Array, ARRAY, PER_CPU_ARRAY),
        (MapType::PerCpuArray, PER_CPU_ARRAY, ARRAY),
        (MapType::Hash, HASH, LRU_HASH),
        (MapType::LruHash, LRU_HASH, HASH),
    ];
    let (_, own, other) =
        types.into_iter().find(|it| it.0 == found).expect("the gateway has no other types");
    let map = |of: bpf_map_type, key, value, entries| {
        aya_obj::Map::new_from_params(of as u32, key, value, entries, 0)
    };
    let mut maps = vec![map(other, key, value, entries), map(own, key, value + 8, entries)];
    if matches!(own, HASH | LRU_HASH) {
        maps.push(map(own, key + 4, value, entries));
    }
    // The operator decides how large the flow tables are; `META` is read by its value alone.
    if ![name::HALF_OPEN, name::ESTABLISHED, name::OVERFLOW, META].contains(&name) {
        maps.push(map(own, key, value, entries + 1));
    }
    maps
}

fn expect_damaged(site: &Site, path: &Path, how: &str) {
    let refusals = [
        site.open().map(drop).unwrap_err(),
        site.attach(&["up0"], HookChoice::Auto, TcChoice::Auto).unwrap_err(),
    ];
    for refusal in refusals {
        assert!(
            matches!(&refusal, DatapathError::Damaged { path: named, .. } if named == path),
            "{how}: {refusal}"
        );
    }
}

/// Another version's pins are named as such, and can be detached.
#[test]
fn pins_of_another_version_are_refused_and_detached() {
    for (hook, tc, version) in
        [(HookChoice::Auto, TcChoice::Auto, 99), (HookChoice::Tc, TcChoice::Clsact, 1)]
    {
        let site = Site::new();
        site.attach(&["up0"], hook, tc).expect("attached");
        change_meta(&site, |words| words[1] = version);
        let refusals =
            [site.open().map(drop).unwrap_err(), site.attach(&["up0"], hook, tc).unwrap_err()];
        for refusal in refusals {
            assert!(
                matches!(&refusal, DatapathError::StalePins { pinned, .. }
                    if u64::from(*pinned) == version),
                "{refusal}"
            );
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

/// Whatever is wrong, nobody stays locked out: each damage by itself, on each kind of hook.
#[test]
fn detaching_all_works_whatever_is_damaged() {
    let hooks = [
        (HookChoice::Auto, TcChoice::Auto),
        (HookChoice::XdpGeneric, TcChoice::Tcx),
        (HookChoice::Tc, TcChoice::Clsact),
    ];
    for (number, (hook, tc)) in hooks.into_iter().enumerate() {
        for (what, damage) in DAMAGES {
            let is_by_filter = tc == TcChoice::Clsact;
            let site = Site::new();
            site.attach(&["up0", "up1"], hook, tc).expect("attached");
            damage(&site);
            let outcome = datapath::detach_all(site.bpffs.path())
                .unwrap_or_else(|error| panic!("{what}, {hook:?}: {error}"));
            assert_eq!(outcome.detached, ["wan"], "{what}, {hook:?}");
            assert!(site.bpffs.entries().is_empty(), "{what}, {hook:?}");
            let left = site.host.run(|| {
                let up1 = interface::find("up1").expect("the interface exists");
                datapath::programs_on(&up1).expect("the kernel tells")
            });
            // Filters have no pins: only `META` knows of them.
            let may_stay = is_by_filter && what.starts_with("META");
            assert!(left.is_empty() || may_stay, "{what}, hook {number}: {left:?}");
        }
    }
}

/// A way to damage a gateway.
type Damage = fn(&Site);

/// What can be wrong with a gateway, and how it gets there.
const DAMAGES: [(&str, Damage); 8] = [
    ("META empty", |site| change_meta(site, |words| words.fill(0))),
    ("META full of nonsense", |site| change_meta(site, |words| words.fill(u64::MAX))),
    ("META missing", |site| fs::remove_file(site.map(META)).expect("it is there")),
    ("another version", |site| change_meta(site, |words| words[1] = 99)),
    ("the configuration missing", |site| {
        fs::remove_file(site.map(name::CONFIG)).expect("it is there");
    }),
    ("no map at all", |site| {
        let maps = site.map(META).parent().expect("a directory").to_owned();
        let meta = maps.join(META);
        for map in fs::read_dir(maps).expect("a directory").flatten() {
            if map.path() != meta {
                fs::remove_file(map.path()).expect("it is there");
            }
        }
    }),
    ("an interface gone", |site| site.host.ip("link delete up0")),
    ("a directory in place of a link", |site| {
        let links = site.map(META).ancestors().nth(2).expect("a directory").join("links");
        let link = fs::read_dir(&links).expect("a directory").flatten().next();
        let other = link.map_or_else(|| links.join("2_egress_tcx"), |link| link.path());
        // The kernel lets go of what nobody holds any more.
        _ = fs::remove_file(&other);
        fs::create_dir_all(other.join("more")).expect("made");
    }),
];

/// How `META` stores its value.
type Words = [u64; 69];

fn change_meta(site: &Site, change: impl FnOnce(&mut Words)) {
    let data = MapData::from_pin(site.map(META)).expect("META is pinned");
    let mut map: Array<MapData, Words> =
        Map::from_map_data(data).and_then(TryInto::try_into).expect("META is an array");
    let mut words = map.get(&0, 0).expect("it has a value");
    change(&mut words);
    map.set(0, words, 0).expect("written");
}
