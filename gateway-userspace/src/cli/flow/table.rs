//! The live flows of a gateway, from both tables.

use gateway_common::{config::Config, flow::FlowEntry, timeouts::Ticks, tuple::FlowKey};

use super::filter::Filter;
use crate::{
    cli::{Failure, Result},
    datapath::Gateway,
    view::FlowView,
};

/// A moment's view of the flow tables.
#[derive(Clone, Debug)]
pub(in crate::cli) struct LiveFlows {
    /// The flows, sorted.
    pub(in crate::cli) flows: Vec<(FlowKey, FlowEntry)>,
    /// Flows that are over but not yet deleted.
    expired: Vec<FlowKey>,
    /// When that was.
    pub(in crate::cli) now: Ticks,
    /// The configuration in force then.
    pub(in crate::cli) config: Config,
}

impl LiveFlows {
    /// Reads both tables.
    pub(in crate::cli) fn read(gateway: &Gateway) -> Result<Self> {
        let (now, config) = (gateway.now()?, gateway.config()?);
        let flows = gateway.flows()?.into_iter().map(|(_, key, entry)| (key, entry)).collect();
        Ok(Self::new(flows, now, &config))
    }

    fn new(flows: Vec<(FlowKey, FlowEntry)>, now: Ticks, config: &Config) -> Self {
        let (mut flows, expired): (Vec<_>, Vec<_>) =
            flows.into_iter().partition(|(key, entry)| entry.is_live(key, now, config));
        flows.sort_by_key(|(key, _)| sort_key(key));
        let expired = expired.into_iter().map(|(key, _)| key).collect();
        Self { flows, expired, now, config: *config }
    }

    /// Only those that `filter` matches.
    pub(super) fn matching(mut self, filter: &Filter) -> Self {
        self.flows.retain(|(key, entry)| filter.matches(key, entry));
        self
    }

    pub(super) fn len(&self) -> usize {
        self.flows.len()
    }

    /// The flows for people, sorted.
    pub(super) fn views(&self) -> Vec<FlowView> {
        self.flows
            .iter()
            .map(|(key, entry)| FlowView::new(key, entry, self.now, &self.config))
            .collect()
    }

    /// The only flow.
    pub(super) fn only(&self) -> Result<FlowView> {
        match self.flows.as_slice() {
            [(key, entry)] => Ok(FlowView::new(key, entry, self.now, &self.config)),
            [] => Err(Failure::operation("no flow matches the filters")),
            several => Err(Failure::operation(format!(
                "{} flows match the filters, but 'flow get' wants exactly one; add filters, or \
                 use 'flow show' to see them",
                several.len()
            ))),
        }
    }

    /// Deletes the flows and returns how many there still were.
    pub(super) fn remove(&self, gateway: &Gateway) -> Result<usize> {
        let mut removed = 0;
        for (key, _) in &self.flows {
            removed += usize::from(gateway.forget(key)?);
        }
        Ok(removed)
    }

    /// Deletes the flows as [`Self::remove`] does, and what is left of expired ones.
    pub(super) fn flush(&self, gateway: &Gateway) -> Result<usize> {
        let removed = self.remove(gateway)?;
        for key in &self.expired {
            gateway.forget(key)?;
        }
        Ok(removed)
    }
}

/// The order of `flow show`: by protocol, then by who talks to whom.
fn sort_key(key: &FlowKey) -> impl Ord + use<> {
    (
        key.protocol,
        key.family,
        key.inside,
        key.outside,
        key.inside_port,
        key.outside_port,
        key.vlan.outer,
        key.vlan.inner,
    )
}

#[cfg(test)]
mod tests {
    use gateway_common::{
        flow::{FlowHalf, mark},
        tuple::{Address, VlanPath},
    };

    use super::*;

    const NOW: Ticks = Ticks(1_000_000);

    #[test]
    fn expired_flows_are_absent() {
        let config = Config::new(100);
        let at_deadline = udp(1, 120 * 100);
        let before_it = udp(2, 120 * 100 - 1);
        let flows = LiveFlows::new(vec![at_deadline, before_it], NOW, &config);
        assert_eq!(local_ports(&flows), [2]);
        assert_eq!(flows.expired, [at_deadline.0], "what 'flow flush' removes as well");
    }

    #[test]
    fn order_does_not_depend_on_the_table() {
        let ports = [5, 3, 9, 1, 7];
        let forward = LiveFlows::new(ports.map(|port| udp(port, 0)).into(), NOW, &Config::new(100));
        let mut reversed = ports;
        reversed.reverse();
        let backward =
            LiveFlows::new(reversed.map(|port| udp(port, 0)).into(), NOW, &Config::new(100));
        assert_eq!(local_ports(&forward), [1, 3, 5, 7, 9]);
        assert_eq!(local_ports(&backward), local_ports(&forward));
    }

    #[test]
    fn get_wants_exactly_one() {
        let flows = |ports: &[u16]| {
            let entries = ports.iter().map(|&port| udp(port, 0)).collect();
            LiveFlows::new(entries, NOW, &Config::new(100))
        };
        let message = |ports| match flows(ports).only() {
            Err(Failure::Operation(error)) => error.to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(message(&[]), "no flow matches the filters");
        assert!(message(&[1, 2]).starts_with("2 flows match the filters"));
        assert_eq!(flows(&[7]).only().expect("one flow").local_port, 7);
    }

    fn local_ports(flows: &LiveFlows) -> Vec<u16> {
        flows.views().iter().map(|flow| flow.local_port).collect()
    }

    /// An unanswered flow from `port`, idle for `idle` ticks.
    fn udp(port: u16, idle: u64) -> (FlowKey, FlowEntry) {
        let key = FlowKey {
            inside: Address::from_ipv4([192, 0, 2, 1]),
            outside: Address::from_ipv4([198, 51, 100, 1]),
            inside_port: port,
            outside_port: 5_000,
            vlan: VlanPath::default(),
            protocol: 17,
            family: 4,
            zero: 0,
        };
        let outbound = FlowHalf {
            packets: 1,
            seen: Ticks(NOW.0 - idle),
            marks: mark::OPENED,
            ..FlowHalf::default()
        };
        (key, FlowEntry { outbound, ..FlowEntry::default() })
    }
}
