//! Values of pinned maps, which anybody with the right to may have written. The first byte chooses.

use aya::Pod;
use gateway_common::{
    config::Config, flow::FlowEntry, observe::PacketRecord, record::FlowRecord, timeouts::Ticks,
    tuple::FlowKey,
};
use gateway_userspace::{
    datapath::fuzzing,
    settings::{Policy, Settings},
    view::{FlowEventView, FlowView, Names, PacketView},
};
use jiff::Timestamp;

use super::{
    policies::policy_of,
    stories::{FRAMES, STORIES},
};
use crate::{
    model::Model,
    rows::check::TICKS_PER_SEC,
    sys::{Shared, bytes_of, value_in},
};

pub(super) fn run(data: &[u8]) {
    let Some((kind, mut data)) = data.split_first() else { return };
    match kind % 5 {
        0 => {
            let (words, _) = data.as_chunks();
            let words: Vec<_> = words.iter().map(|word| u64::from_ne_bytes(*word)).collect();
            fuzzing::check_meta(&words);
        }
        1 => fuzzing::check_policy_text(data),
        2 => {
            let (key, entry): (FlowKey, FlowEntry) = (take(&mut data), take(&mut data));
            let (now, config): (u64, Config) = (take(&mut data), take(&mut data));
            check_flow(&FlowView::new(&key, &entry, Ticks(now), &config));
        }
        3 => {
            let record: FlowRecord = take(&mut data);
            let config: Config = take(&mut data);
            if let Some(view) = FlowEventView::new(&record, Timestamp::UNIX_EPOCH, &config) {
                check_flow(&view.flow);
            }
        }
        _ => check_packet(&take(&mut data)),
    }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut meta = vec![0_u8];
    for word in [1_u64, 4, 4, 99, 1, 7, 5, u64::from_ne_bytes(*b"eth0\0\0\0\0"), 0] {
        meta.extend(word.to_ne_bytes());
    }
    let mut seeds = vec![meta];
    for seed in 1..6 {
        let (settings, _) = Settings::parse(&policy_of(seed, true), 1 << 30).expect("it is valid");
        seeds.push([vec![1], fuzzing::policy_text(&settings.policy)].concat());
    }
    let config = Config::new(TICKS_PER_SEC);
    for story in STORIES.iter().step_by(61).take(8) {
        let mut model = Model::new(&config, 64, 64);
        for travelling in story {
            _ = model.run(travelling.direction, &travelling.frame);
        }
        let now = model.now();
        for ((_, key), entry) in model.state().flows.iter().take(1) {
            let parts =
                [&[2][..], &bytes(key), &bytes(entry), &now.0.to_ne_bytes(), &bytes(&config)];
            seeds.push(parts.concat());
            let record = FlowRecord { serial: 1, at: now, entry: *entry, key: *key, event: 2 };
            seeds.push([&[3][..], &bytes(&record), &bytes(&config)].concat());
        }
    }
    for travelling in FRAMES.iter().step_by(211).take(8) {
        let mut record: PacketRecord = take(&mut &[][..]);
        let len = travelling.frame.bytes.len().min(record.snap.len());
        record.snap[..len].copy_from_slice(&travelling.frame.bytes[..len]);
        record.snap_bytes = 256;
        seeds.push([&[4][..], &bytes(&record)].concat());
    }
    seeds
}

/// The value at the beginning of bytes, of which missing ones are zero.
pub(super) fn take<T: Pod>(bytes: &mut &[u8]) -> T {
    let (head, rest) = bytes.split_at(bytes.len().min(size_of::<T>()));
    *bytes = rest;
    let mut whole = head.to_vec();
    whole.resize(size_of::<T>(), 0);
    value_in(&whole)
}

/// The bytes of a value.
pub(super) fn bytes<T: Shared>(value: &T) -> Vec<u8> {
    bytes_of(value).to_vec()
}

fn check_flow(flow: &FlowView) {
    let json = serde_json::to_value(flow).expect("plain data");
    assert!(json["state"].as_str().is_some_and(|state| !state.is_empty()), "{json}");
    assert!(matches!(flow.family, "ipv4" | "ipv6"), "{json}");
}

fn check_packet(record: &PacketRecord) {
    let policy = Policy::default();
    let names = Names { uplink: "eth0", policy: &policy };
    let Some(view) = PacketView::new(record, Timestamp::UNIX_EPOCH, &names) else { return };
    let json = serde_json::to_value(&view).expect("plain data");
    assert!(json["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{json}");
    assert_eq!(view.source.is_some(), view.destination.is_some(), "{json}");
    if let (Some(source), Some(destination)) = (view.source, view.destination)
        && record.key == FlowKey::default()
    {
        assert_eq!(source.is_ipv4(), destination.is_ipv4(), "{json}");
    }
}
