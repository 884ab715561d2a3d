//! What is kept of inside hosts, and the limits that they have.

use aya::{
    Pod,
    maps::{HashMap, Map, MapData},
};
use gateway_common::{
    abi::name,
    flow::FlowEntry,
    host::HostKey,
    tuple::{Address, FlowKey, VlanPath},
};
use gateway_userspace::datapath::{AttachOutcome, HookChoice, HostLimits, TcChoice};

use crate::{Site, TABLES, attach_with};

/// The usual limits are parts of the tables, and there is a place for each flow beyond them.
#[test]
fn limits_follow_the_tables() {
    let site = Site::new();
    attach(&site, HostLimits::default());
    let config = site.open().expect("the gateway opens").config().expect("a configuration");
    assert_eq!(config.overflow_slots, TABLES.half_open_max / 8);
    assert_eq!(config.established_per_host, TABLES.established_max / 4 * 3);
    assert_eq!(overflow_places(&site), config.overflow_slots);
}

/// An update changes the limits at once, within the maps that it keeps.
#[test]
fn an_update_changes_limits_but_no_map() {
    let site = Site::new();
    let limits = |half_open, established| HostLimits {
        half_open: Some(half_open),
        established: Some(established),
    };
    assert_eq!(attach(&site, limits(100, 7)).notes, Vec::<String>::new());
    assert_eq!(overflow_places(&site), 100);

    let rows = [
        // Asked for, in force, and the beginning of what is said about it.
        ((50, 8), (50, 8), &[][..]),
        ((200, 9), (100, 9), &["gateway wan keeps its 100 places for flows"][..]),
        ((100, 30_000), (100, 20_000), &["'established_per_host' counts as 20000, "]),
    ];
    for ((half_open, established), expected, notes) in rows {
        let outcome = attach(&site, limits(half_open, established));
        assert_eq!(outcome.notes.len(), notes.len(), "{:?}", outcome.notes);
        for (note, beginning) in outcome.notes.iter().zip(notes) {
            assert!(note.starts_with(beginning), "{note}");
        }
        let config = site.open().expect("the gateway opens").config().expect("a configuration");
        assert_eq!((config.overflow_slots, config.established_per_host), expected);
        let allowance = config.opening_credit.0 / config.opening_cost.0;
        assert_eq!(allowance, u64::from(half_open), "the allowance is as asked for");
        assert_eq!(overflow_places(&site), 100);
    }
}

/// Deleting an established flow gives its host's share back, once; deleting others does not.
#[test]
fn a_deleted_flow_is_no_longer_held() {
    let site = Site::new();
    attach(&site, HostLimits::default());
    let [one, other] = [1, 2].map(host);
    put(&site, name::ESTABLISHED, &[(flow(one, 1), FlowEntry::default())]);
    put(&site, name::HALF_OPEN, &[(flow(one, 1), FlowEntry::default())]);
    put(&site, name::HALF_OPEN, &[(flow(one, 2), FlowEntry::default())]);
    put(&site, name::HOLDERS, &[(one, 3_u64), (other, 1)]);
    let gateway = site.open().expect("the gateway opens");
    for (port, existed, held) in [(2, true, 3), (1, true, 2), (1, false, 2), (3, false, 2)] {
        let forgotten = gateway.forget(&flow(one, port)).expect("the program runs");
        assert_eq!((forgotten, self::held(&site, one)), (existed, held), "port {port}");
    }
    assert_eq!(held(&site, other), 1);
    assert_eq!(gateway.flows().expect("flows"), []);
}

/// Hosts are named by what they hold and owe now.
#[test]
fn hosts_at_their_limits_are_named() {
    let site = Site::new();
    attach(&site, HostLimits { half_open: Some(10), established: Some(5) });
    let gateway = site.open().expect("the gateway opens");
    let (now, config) = (gateway.now().expect("a clock"), gateway.config().expect("a config"));
    let [at_share, below, never] = [1, 2, 3].map(host);
    put(&site, name::HOLDERS, &[(at_share, 5_u64), (below, 4)]);
    assert_eq!(gateway.hosts_at_share().expect("read"), [at_share]);

    // Paid for nine tenths of the way ahead, and for all of it with some more time to come.
    let ahead = |tenths| (now.0 << 16) + config.opening_credit.0 / 10 * tenths;
    put(&site, name::OPENERS, &[(at_share, ahead(10)), (below, ahead(8)), (never, 0)]);
    assert_eq!(gateway.hosts_beyond_allowance().expect("read"), [at_share]);
}

fn attach(site: &Site, hosts: HostLimits) -> AttachOutcome {
    let ways = (HookChoice::Tc, TcChoice::Auto);
    let attached = site.host.run(|| attach_with(&site.bpffs, &site.name, &["up0"], ways, hosts));
    attached.expect("attached")
}

fn overflow_places(site: &Site) -> u32 {
    let map = MapData::from_pin(site.map(name::OVERFLOW)).expect("the map is pinned");
    map.info().expect("it is there").max_entries()
}

fn put<K: Pod, V: Pod>(site: &Site, map: &str, entries: &[(K, V)]) {
    let mut table = table::<K, V>(site, map);
    for (key, value) in entries {
        table.insert(key, value, 0).expect("there is room");
    }
}

fn held(site: &Site, host: HostKey) -> u64 {
    table::<HostKey, u64>(site, name::HOLDERS).get(&host, 0).expect("the host is known")
}

fn table<K: Pod, V: Pod>(site: &Site, map: &str) -> HashMap<MapData, K, V> {
    let data = MapData::from_pin(site.map(map)).expect("the map is pinned");
    Map::from_map_data(data).and_then(TryInto::try_into).expect("a hash map")
}

fn host(number: u8) -> HostKey {
    HostKey { address: Address::from_ipv4([10, 0, 0, number]), vlan: VlanPath::default() }
}

fn flow(host: HostKey, inside_port: u16) -> FlowKey {
    FlowKey {
        inside: host.address,
        outside: Address::from_ipv4([10, 9, 9, 9]),
        inside_port,
        outside_port: 7,
        vlan: host.vlan,
        protocol: 17,
        family: 4,
        zero: 0,
    }
}
