//! Attaching takes over a gateway that the version before this one attached.

use std::{thread, time::Instant};

use aya::maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray};
use gateway_common::{
    abi::{ABI_VERSION, name},
    counter::Counter,
    flow::FlowEntry,
    presence::{BITMAP_WORDS, Control},
    tuple::{Direction, FlowKey},
    verdict::Reason,
};
use gateway_userspace::datapath::{GatewayName, Records};
use tests::{
    address::FAMILIES,
    earlier,
    eigw::{Hook, NAME},
    socket,
    topology::{INSIDE, Lab, OUTSIDE, UPLINK},
    wait::PATIENCE,
};

use crate::{
    in_every_hook,
    lifecycle::{echoes, kill_attach_after},
    stream::Stream,
};

in_every_hook!(an_upgrade_loses_nothing);

/// Where an intruder knocks.
const PRIVATE: u16 = 9;

/// E153: over an upgrade no packet of a live flow is lost and no intruder gets in; every flow, counter
/// and record stays, in the same maps of the kernel; afterwards the presence filter knows
/// the flows and little else.
fn an_upgrade_loses_nothing(hook: Hook) {
    let lab = Lab::new();
    let _services = echoes(&lab);
    let _tcp = FAMILIES.map(|family| socket::tcp_echo(&lab.outside, OUTSIDE.port(family, 7)));
    let private = socket::udp_echo(&lab.inside, INSIDE.port(FAMILIES[1], PRIVATE));
    earlier::attach(&lab, hook, |eigw| {
        for family in FAMILIES {
            let server = OUTSIDE.port(family, 7);
            socket::udp_exchange(&lab.inside, server, b"over", PATIENCE).expect("an answer");
        }
        eigw(&["flow", "flush", "--name", NAME]);
    });
    let streams = FAMILIES.map(|family| Stream::start(&lab.inside, OUTSIDE.port(family, 7)));
    let connections = FAMILIES.map(|family| {
        let stream = socket::connect(&lab.inside, OUTSIDE.port(family, 7), PATIENCE);
        let stream = stream.expect("a connection");
        assert_eq!(socket::exchange(&stream, b"before").expect("an answer"), b"before");
        stream
    });
    knock(&lab);

    let before = Memory::of(&lab);
    thread::scope(|scope| {
        let attaching = scope.spawn(|| lab.attach(hook));
        // All the while, so that no service takes a connection for idle.
        while !attaching.is_finished() {
            for stream in &connections {
                assert_eq!(socket::exchange(stream, b"during").expect("an answer"), b"during");
            }
        }
    });
    let after = Memory::of(&lab);

    assert_eq!(after.ids, before.ids, "maps were replaced");
    assert!(before.flows.len() >= 4, "{:?}", before.flows);
    for (key, entry) in &before.flows {
        let same = after.flows.iter().find(|(other, _)| other == key);
        let (_, same) = same.unwrap_or_else(|| panic!("{key:?} is not among {:?}", after.flows));
        assert_eq!((same.created, same.first), (entry.created, entry.first), "{key:?}");
        for direction in Direction::ALL {
            let packets = |entry: &FlowEntry| entry.half(direction).packets;
            assert!(packets(same) >= packets(entry), "{key:?} was counted anew");
        }
    }
    assert!(before.dropped > 0 && after.dropped >= before.dropped, "drops were counted anew");
    for stream in &connections {
        assert_eq!(socket::exchange(stream, b"after").expect("an answer"), b"after");
    }
    streams.iter().for_each(Stream::progress);
    lab.expect_drops("no-flow", 1, || knock(&lab));
    assert_eq!(private.served(), 0, "an intruder got in");
    streams.into_iter().for_each(Stream::finish);
    assert_eq!(records(&lab), 2, "records of the flows that ended before");

    let status = lab.eigw_json(&["status"]);
    assert_eq!(status[0]["abi_version"], ABI_VERSION, "{status}");
    let bits = filter_bits(&lab);
    assert!((4..100).contains(&bits), "{bits} bits of the filter are set");
    // As any other gateway.
    lab.attach(hook);
    lab.detach();
    assert_eq!(lab.bpffs.entries(), Vec::<std::path::PathBuf>::new());
}

/// E153: an upgrade that is killed at any point leaves the uplink protected and its live flow alive;
/// the next one completes it, and says so once.
#[test]
fn an_upgrade_killed_at_any_point_can_be_completed() {
    let lab = Lab::new();
    let _services = echoes(&lab);
    let private = socket::udp_echo(&lab.inside, INSIDE.port(FAMILIES[1], PRIVATE));
    earlier::attach(&lab, Hook::Xdp, |_| ());
    let stream = Stream::start(&lab.inside, OUTSIDE.port(FAMILIES[1], 7));
    let start = Instant::now();
    lab.attach(Hook::Xdp);
    let whole = start.elapsed();
    let mut completed = 0;
    // Most of them in the second half: the first is spent on checks and in the verifier.
    for percent in (30..60).step_by(15).chain((60..=100).step_by(8)) {
        earlier::replace(&lab);
        kill_attach_after(&lab, &[], whole * percent / 100);
        lab_drops_intruders(&lab);
        assert!(!stream.is_broken(), "killed after {percent} % of {whole:?}");
        let attached = lab.eigw_json(&["attach", "--uplink", UPLINK, "--name", NAME]);
        completed += u32::from(attached["notes"].to_string().contains("upgraded in place"));
        stream.progress();
        lab_drops_intruders(&lab);
        let bits = filter_bits(&lab);
        assert!((1..100).contains(&bits), "{percent} %: {bits} bits of the filter are set");
    }
    assert!(completed > 0, "no upgrade was killed before it was complete");
    assert_eq!(private.served(), 0, "an intruder got in");
    stream.finish();
}

/// Other commands say what to do; gateways of unknown versions can be detached and stay until then.
#[test]
fn a_gateway_of_another_version_is_refused_with_the_remedy() {
    let attach = ["attach", "--uplink", UPLINK, "--name", NAME];
    let lab = Lab::new();
    earlier::attach(&lab, Hook::Xdp, |_| ());
    let refusals = [&["flow", "show"][..], &["stats", "show"]].map(|it| lab.eigw(it).failure(1));
    let status = lab.eigw(&["status"]).success();
    for text in refusals.into_iter().chain([status]) {
        assert!(text.contains("layout 4") && text.contains("`eigw attach`"), "{text}");
    }
    for (abi, what) in [(ABI_VERSION + 1, "newer version"), (3, "too old")] {
        earlier::set_abi(&lab, abi);
        for command in [&["flow", "show"][..], &attach] {
            let refusal = lab.eigw(command).failure(1);
            assert!(refusal.contains(what), "{refusal}");
            assert!(refusal.contains(&format!("layout {abi}")), "{refusal}");
            assert!(refusal.contains("`eigw detach --name wan`"), "{refusal}");
        }
        lab.detach();
        assert_eq!(lab.bpffs.entries(), Vec::<std::path::PathBuf>::new());
        earlier::attach(&lab, Hook::Xdp, |_| ());
    }
    lab.detach();
}

/// What a gateway remembers, read without its programs.
struct Memory {
    /// The kernel's ids of its maps, by name.
    ids: Vec<(&'static str, u32)>,
    flows: Vec<(FlowKey, FlowEntry)>,
    /// How many packets from outside had no flow.
    dropped: u64,
}

impl Memory {
    fn of(lab: &Lab) -> Self {
        let kept =
            [name::HALF_OPEN, name::ESTABLISHED, name::RECORDS, name::VERDICTS, name::CONFIG];
        let id = |map| (map, data(lab, map).info().expect("a map has an id").id());
        let mut flows = Vec::new();
        for map in [name::HALF_OPEN, name::ESTABLISHED] {
            let table: HashMap<MapData, FlowKey, FlowEntry> = open(lab, map);
            flows.extend(table.iter().map(|flow| flow.expect("the table is readable")));
        }
        let verdicts: PerCpuArray<MapData, Counter> = open(lab, name::VERDICTS);
        let slot = Reason::NoFlow.slot(Direction::Inbound);
        let per_cpu = verdicts.get(&slot, 0).expect("the counters are readable");
        let dropped = per_cpu.iter().map(|counter| counter.packets).sum();
        Self { ids: kept.map(id).to_vec(), flows, dropped }
    }
}

fn data(lab: &Lab, map: &str) -> MapData {
    let pin = earlier::directory(lab).join("maps").join(map);
    MapData::from_pin(&pin).unwrap_or_else(|error| panic!("{}: {error}", pin.display()))
}

fn open<T: TryFrom<Map, Error = MapError>>(lab: &Lab, map: &str) -> T {
    let opened = Map::from_map_data(data(lab, map)).and_then(T::try_from);
    opened.unwrap_or_else(|error| panic!("{map}: {error}"))
}

/// How many bits are set in the bitmap that packets ask.
fn filter_bits(lab: &Lab) -> u32 {
    let control: Array<MapData, Control> = open(lab, name::PRESENCE_CONTROL);
    let control = control.get(&0, 0).expect("it has a value");
    assert!(!control.phase.is_rebuilding() && control.secret != [0; _], "{control:?}");
    let words: Array<MapData, u64> = open(lab, name::PRESENCE);
    let first = control.phase.asked() as u32 * BITMAP_WORDS;
    let bits = |word| words.get(&word, 0).expect("the bitmap is readable").count_ones();
    (first..first + BITMAP_WORDS).map(bits).sum()
}

/// The records that wait, which are taken.
fn records(lab: &Lab) -> usize {
    let name = GatewayName::new(NAME).expect("a valid name");
    let mut records = Records::open(lab.bpffs.path(), &name).expect("the gateway has records");
    std::iter::from_fn(|| records.take(|_| ())).count()
}

fn lab_drops_intruders(lab: &Lab) {
    let dropped = || Memory::of(lab).dropped;
    let before = dropped();
    knock(lab);
    tests::wait::until_true("the intruder's packet to be dropped", || dropped() > before);
}

/// Sends a datagram from outside that nobody asked for.
fn knock(lab: &Lab) {
    let intruder = socket::udp_client(&lab.outside, INSIDE.port(FAMILIES[1], PRIVATE), PATIENCE);
    intruder.expect("a socket").send(b"now?").expect("sent");
}
