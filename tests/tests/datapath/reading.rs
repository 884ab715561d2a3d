//! What a gateway tells.

use std::{collections::HashSet, time::Instant};

use aya::maps::{HashMap, Map, MapData};
use gateway_common::{
    abi::name,
    config::Mode,
    flow::FlowEntry,
    tables::Table,
    tuple::{Address, FlowKey, VlanPath},
};
use gateway_userspace::{
    datapath::{HookChoice, TcChoice},
    settings::ticks_per_sec,
};

use crate::{Site, TABLES};

/// More flows than one system call reads, some of them in both tables, as while they move.
#[test]
fn every_flow_is_read_once() {
    let site = Site::new();
    site.attach(&["up0"], HookChoice::Tc, TcChoice::Auto).expect("attached");
    fill(&site, name::HALF_OPEN, 0..9_000);
    fill(&site, name::ESTABLISHED, 6_000..18_000);
    let gateway = site.open().expect("the gateway opens");
    let flows = gateway.flows().expect("flows");
    let keys: HashSet<FlowKey> = flows.iter().map(|flow| flow.1).collect();
    assert_eq!((flows.len(), keys.len()), (18_000, 18_000));
    for &(table, key, entry) in &flows {
        let number = entry.generation;
        assert_eq!(key, key_of(number));
        let expected = if number < 6_000 { Table::HalfOpen } else { Table::Established };
        assert_eq!(table, expected, "flow {number}");
    }

    let moving = key_of(7_000);
    assert_eq!(gateway.flow(&moving).expect("read").expect("there").0, Table::Established);
    assert!(gateway.forget(&moving).expect("the program runs"));
    assert_eq!(gateway.flow(&moving).expect("read"), None, "it is gone from both tables");
    assert!(!gateway.forget(&moving).expect("the program runs"));
    assert_eq!(gateway.flows().expect("flows").len(), 17_999);
}

#[test]
fn flows_counters_and_tables_survive_an_update() {
    let site = Site::new();
    site.attach(&["up0"], HookChoice::Tc, TcChoice::Auto).expect("attached");
    fill(&site, name::ESTABLISHED, 0..100);
    site.attach(&["up0", "up1"], HookChoice::Xdp, TcChoice::Auto).expect("updated");
    let gateway = site.open().expect("the gateway opens");
    assert_eq!(gateway.flows().expect("flows").len(), 100);
    assert_eq!(gateway.table_sizes().expect("sizes"), TABLES);
    assert_eq!(gateway.config().expect("a configuration").mode, Mode::Armed as u32);
    let quiet = gateway.flow_events().expect("events").iter().all(|event| event.1 == 0);
    assert!(quiet, "flows that were put there were not opened");
}

/// The clock is the kernel's, and settings know its rate.
#[test]
fn the_clock_runs_at_the_rate_that_settings_assume() {
    let site = Site::new();
    site.attach(&["up0"], HookChoice::Tc, TcChoice::Auto).expect("attached");
    let gateway = site.open().expect("the gateway opens");
    let rate = u64::from(ticks_per_sec().expect("a rate"));
    let now = || gateway.now().expect("the clock runs");
    let (start, began) = (now(), Instant::now());
    tests::wait::until_true("half a second of ticks", || now().since(start).0 >= rate / 2);
    let elapsed_ms = u64::try_from(began.elapsed().as_millis()).expect("a moment");
    let ticks_ms = now().since(start).0 * 1_000 / rate;
    // Reading the two clocks is not one moment, least of all on a loaded machine.
    assert!(ticks_ms.abs_diff(elapsed_ms) < 200, "{ticks_ms} ms of ticks in {elapsed_ms} ms");
}

fn fill(site: &Site, map: &str, numbers: std::ops::Range<u32>) {
    let data = MapData::from_pin(site.map(map)).expect("the table is pinned");
    let mut table: HashMap<MapData, FlowKey, FlowEntry> =
        Map::from_map_data(data).and_then(TryInto::try_into).expect("a flow table");
    for number in numbers {
        let entry = FlowEntry { generation: number, ..FlowEntry::default() };
        table.insert(key_of(number), entry, 0).expect("there is room");
    }
}

fn key_of(number: u32) -> FlowKey {
    let mut inside = [0; 16];
    inside[..4].copy_from_slice(&number.to_be_bytes());
    FlowKey {
        inside: Address::from_octets(inside),
        outside: Address::from_octets([9; 16]),
        inside_port: 1,
        outside_port: 2,
        vlan: VlanPath::default(),
        protocol: 17,
        family: 6,
        zero: 0,
    }
}
