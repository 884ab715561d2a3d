//! What went wrong, for people.

use std::fmt::Write as _;

use gateway_common::{
    flow::{FlowEntry, FlowHalf},
    record::FlowRecord,
    tables::Table,
    tuple::{Direction, FlowKey},
};

use super::Step;
use crate::state::{Change, Entry};

/// A step's packet: which way it travels, and its bytes.
pub(super) fn packet(step: &Step) -> String {
    let way = match step.direction {
        Direction::Inbound => "inbound",
        Direction::Outbound => "outbound",
    };
    let (secs, len) = (step.wait_secs, step.frame.bytes.len());
    let mut text = format!("{way}, after {secs} s, {len} bytes");
    for (index, byte) in step.frame.bytes.iter().take(160).enumerate() {
        let gap = if index % 16 == 0 { "\n  " } else { " " };
        write!(text, "{gap}{byte:02x}").expect("strings take everything");
    }
    text
}

/// A change of state, one line each.
pub(super) fn change(change: &Change) -> String {
    let mut lines = vec![String::new()];
    for (direction, reason, counter) in &change.verdicts {
        let (packets, bytes) = (counter.packets, counter.bytes);
        lines.push(format!("{} {reason:?}: {packets} packets, {bytes} bytes", direction.name()));
    }
    lines.push(format!("flow events {:?}", change.events));
    let mut entries = lines_of(&change.flows, flow_key, flow);
    entries.extend(lines_of(&change.datagrams, |key| format!("{key:?}"), debug));
    entries.extend(lines_of(&change.peers, |key| format!("{key:?}"), debug));
    entries.extend(lines_of(&change.openers, |key| format!("{key:?}"), debug));
    entries.extend(lines_of(&change.holders, |key| format!("{key:?}"), debug));
    entries.extend(lines_of(&change.overflow, |key| format!("place {key}"), debug));
    entries.extend(lines_of(&change.hits, |place| format!("hits of {place}"), debug));
    entries.extend(lines_of(&change.endpoints, |key| format!("{key:?}"), debug));
    entries.sort();
    lines.extend(entries);
    lines.extend(change.records.iter().map(record));
    lines.join("\n  ")
}

fn lines_of<K, V>(
    entries: &[Entry<K, V>],
    name: impl Fn(&K) -> String,
    show: impl Fn(&V) -> String,
) -> Vec<String> {
    let line = |entry: &Entry<K, V>| match entry {
        Entry::Added(key, value) => format!("+ {}: {}", name(key), show(value)),
        Entry::Changed(key, old, new) => {
            format!("~ {}: {}\n  → {}", name(key), show(old), show(new))
        }
        Entry::Removed(key, value) => format!("- {}: {}", name(key), show(value)),
    };
    entries.iter().map(line).collect()
}

fn debug<V: std::fmt::Debug>(value: &V) -> String {
    format!("{value:?}")
}

fn flow_key((table, key): &(Table, FlowKey)) -> String {
    format!("{} {}", table.name(), tuple(key))
}

fn tuple(key: &FlowKey) -> String {
    let FlowKey { inside, outside, inside_port, outside_port, vlan, protocol, .. } = key;
    let (inside, outside) = (inside.to_ip(), outside.to_ip());
    format!("protocol {protocol} {inside}:{inside_port} {outside}:{outside_port} {vlan:?}")
}

fn record(record: &FlowRecord) -> String {
    let FlowRecord { serial, at, entry, key, .. } = record;
    let (event, at) = (record.event(), at.0);
    format!("record {serial} at {at}: {event:?} of {}: {}", tuple(key), flow(entry))
}

fn flow(entry: &FlowEntry) -> String {
    let FlowEntry { outbound, inbound, created, generation, first } = entry;
    let (out, back) = (half(outbound), half(inbound));
    format!(
        "created {} generation {generation} first {first}\n    out {out}\n    in  {back}",
        created.0
    )
}

fn half(half: &FlowHalf) -> String {
    let FlowHalf { packets, bytes, seen, reset, sent, granted, marks, announced } = half;
    format!(
        "{packets} packets {bytes} bytes, seen {} reset {}, sent {} window {}, \
         acknowledged {} edge {}, marks {marks:#b} announced {announced:#x}",
        seen.0,
        reset.0,
        sent.end(),
        sent.window(),
        granted.ack(),
        granted.edge(),
    )
}
