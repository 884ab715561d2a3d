//! What a gateway had to refuse its flows, why, and what the operator can do.

use std::net::IpAddr;

use gateway_common::{counter::FlowEvent, host::HostKey};
use serde::Serialize;

/// A limit that flows met since the gateway was attached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PressureView {
    /// The event's name.
    pub event: &'static str,
    /// How often it happened.
    pub count: u64,
    /// What it means for the flows concerned.
    pub meaning: &'static str,
    /// What to do.
    pub remedy: &'static str,
    /// The inside hosts that would meet the limit now, sorted; empty where none is at fault.
    pub hosts: Vec<HostView>,
}

/// An inside host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct HostView {
    /// Its address.
    pub address: IpAddr,
    /// The outer VLAN identifier, `null` without a tag.
    pub vlan: Option<u16>,
    /// The inner VLAN identifier of double-tagged hosts, else absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vlan_inner: Option<u16>,
}

impl PressureView {
    /// What `count` times `event` means; `None` for events that are no trouble.
    #[must_use]
    pub fn new(event: FlowEvent, count: u64, hosts: &[HostKey]) -> Option<Self> {
        let (meaning, remedy) = advice(event)?;
        let mut hosts: Vec<_> = hosts.iter().map(HostView::from).collect();
        hosts.sort_unstable();
        (count > 0).then(|| Self { event: event.name(), count, meaning, remedy, hosts })
    }
}

impl From<&HostKey> for HostView {
    fn from(host: &HostKey) -> Self {
        let vid = |vid: u16| (vid != 0).then_some(vid);
        Self {
            address: host.address.to_ip(),
            vlan: vid(host.vlan.outer),
            vlan_inner: vid(host.vlan.inner),
        }
    }
}

/// What an event means, and what to do about it.
const fn advice(event: FlowEvent) -> Option<(&'static str, &'static str)> {
    match event {
        FlowEvent::Created
        | FlowEvent::Promoted
        | FlowEvent::Changed
        | FlowEvent::Expired
        | FlowEvent::Closed
        | FlowEvent::Reset
        | FlowEvent::Deleted
        | FlowEvent::Revoked
        | FlowEvent::Replaced => None,
        FlowEvent::RecordLost => Some((
            "a flow ended while the ring of records was full, so no flow log has its end",
            "'eigw run' takes the records; without it the ring fills up",
        )),
        FlowEvent::EstablishedFull => Some((
            "the table of established flows was full when a confirmed flow should have moved \
             there; such flows work, but newer ones may push them out",
            "raise 'established_max' in [flows], then detach and attach again; if expired flows \
             fill the table, start 'eigw run', which removes them",
        )),
        FlowEvent::HostShareFull => Some((
            "an inside host held its whole share of established flows when another one of its \
             flows was confirmed; such flows work, but newer ones may push them out",
            "if the host is meant to have so many flows, raise 'established_per_host' in [flows] \
             and attach again; 'eigw flow show --local ADDR' shows them",
        )),
        FlowEvent::HostOverflow => Some((
            "an inside host opened flows faster than its allowance; such flows work, but there \
             are few places for them",
            "look for a scan with 'eigw flow show --local ADDR'; if the host is meant to open so \
             many flows, raise 'half_open_per_host' in [flows] and attach again",
        )),
        FlowEvent::HostRecycled => Some((
            "a flow beyond its host's allowance was still unconfirmed when a newer one took its \
             place; late answers to such flows are dropped",
            "as for host-overflow",
        )),
    }
}

#[cfg(test)]
mod tests {
    use gateway_common::tuple::{Address, VlanPath};

    use super::*;

    #[test]
    fn the_json_is_stable() {
        let host = |last, outer, inner| HostKey {
            address: Address::from_ipv4([10, 0, 0, last]),
            vlan: VlanPath { outer, inner },
        };
        let hosts = [host(7, 100, 5), host(5, 0, 0)];
        let view = PressureView::new(FlowEvent::HostOverflow, 12, &hosts).expect("trouble");
        let json = serde_json::to_value(&view).expect("plain data");
        assert_eq!((&json["event"], &json["count"]), (&"host-overflow".into(), &12.into()));
        assert!(json["meaning"].is_string() && json["remedy"].is_string(), "{json}");
        assert_eq!(
            json["hosts"].to_string(),
            r#"[{"address":"10.0.0.5","vlan":null},{"address":"10.0.0.7","vlan":100,"vlan_inner":5}]"#
        );
    }

    #[test]
    fn only_trouble_is_told_and_only_when_it_happened() {
        let told: Vec<_> = FlowEvent::ALL
            .into_iter()
            .filter_map(|event| PressureView::new(event, 1, &[]))
            .map(|view| view.event)
            .collect();
        assert_eq!(
            told,
            [
                "established-full",
                "host-share-full",
                "host-overflow",
                "host-recycled",
                "record-lost"
            ]
        );
        assert_eq!(PressureView::new(FlowEvent::EstablishedFull, 0, &[]), None);
    }
}
