//! Flows that almost are the one that a packet was looked up as: usually the answer to "but I have a
//! connection".

use gateway_common::{flow::FlowEntry, tables::Table, tuple::FlowKey};

use super::memory::{Looked, Memory};

/// How many are worth telling.
const SHOWN_MAX: usize = 3;
/// In how many respects a flow may differ.
const DIFFERENCES_MAX: usize = 2;

/// In what a flow differs from the one that was looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// The protocol.
    Protocol,
    /// The inside address.
    Local,
    /// The inside port.
    LocalPort,
    /// The outside address.
    Remote,
    /// The outside port.
    RemotePort,
    /// The VLAN.
    Vlan,
}

impl Difference {
    /// The name of the field of `flow show`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Protocol => "proto",
            Self::Local => "local",
            Self::LocalPort => "local_port",
            Self::Remote => "remote",
            Self::RemotePort => "remote_port",
            Self::Vlan => "vlan",
        }
    }
}

/// A flow that is almost the one that was looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NearFlow {
    /// The table it is in.
    pub table: Table,
    /// Its key.
    pub key: FlowKey,
    /// What is known of it.
    pub entry: FlowEntry,
    /// In what it differs.
    pub differences: Vec<Difference>,
}

/// The nearest flows, the most similar and then the most recent ones first.
pub(super) fn flows(key: &FlowKey, memory: &impl Memory) -> Looked<Vec<NearFlow>> {
    let mut near = Vec::new();
    for table in [Table::Established, Table::HalfOpen] {
        for (other, entry) in memory.flows(table)? {
            let differences = differences(key, &other);
            let is_near = other.family == key.family
                && (1..=DIFFERENCES_MAX).contains(&differences.len())
                && !is_other_pair(&differences);
            if is_near {
                near.push(NearFlow { table, key: other, entry, differences });
            }
        }
        // Only the best count, however many there are.
        near.sort_by_key(|flow| {
            let seen = flow.entry.outbound.seen.max(flow.entry.inbound.seen);
            (flow.differences.len(), std::cmp::Reverse(seen))
        });
        near.truncate(SHOWN_MAX);
    }
    Ok(near)
}

/// Whether nothing but chance makes the two alike: both differ in more than one end's numbers.
fn is_other_pair(differences: &[Difference]) -> bool {
    let has = |difference| differences.contains(&difference);
    has(Difference::Local) && has(Difference::Remote)
}

fn differences(a: &FlowKey, b: &FlowKey) -> Vec<Difference> {
    [
        (Difference::Protocol, a.protocol != b.protocol),
        (Difference::Local, a.inside != b.inside),
        (Difference::LocalPort, a.inside_port != b.inside_port),
        (Difference::Remote, a.outside != b.outside),
        (Difference::RemotePort, a.outside_port != b.outside_port),
        (Difference::Vlan, a.vlan != b.vlan),
    ]
    .into_iter()
    .filter_map(|(difference, is_different)| is_different.then_some(difference))
    .collect()
}
