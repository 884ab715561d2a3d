//! What went wrong, for people.

use std::fmt::Write as _;

use gateway_common::{
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
    let mut entries: Vec<String> = change.flows.iter().map(|entry| line(entry, flow)).collect();
    entries.extend(change.datagrams.iter().map(|entry| line(entry, |key| format!("{key:?}"))));
    entries.extend(change.peers.iter().map(|entry| line(entry, |key| format!("{key:?}"))));
    entries.sort();
    lines.extend(entries);
    lines.join("\n  ")
}

fn line<K, V: std::fmt::Debug>(entry: &Entry<K, V>, name: impl Fn(&K) -> String) -> String {
    match entry {
        Entry::Added(key, value) => format!("+ {} = {value:?}", name(key)),
        Entry::Changed(key, old, new) => format!("~ {} = {old:?}\n  → {new:?}", name(key)),
        Entry::Removed(key, value) => format!("- {} = {value:?}", name(key)),
    }
}

fn flow((table, key): &(Table, FlowKey)) -> String {
    let FlowKey { inside, outside, inside_port, outside_port, vlan, protocol, .. } = key;
    let (inside, outside) = (inside.to_ip(), outside.to_ip());
    format!(
        "{} protocol {protocol} {inside}:{inside_port} {outside}:{outside_port} {vlan:?}",
        table.name()
    )
}
