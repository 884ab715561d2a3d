//! Flows.

use std::net::IpAddr;

use gateway_common::{
    config::Config,
    flow::FlowEntry,
    timeouts::Ticks,
    tuple::{Family, FlowKey},
};
use serde::Serialize;

use crate::protocol;

/// One live flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FlowView {
    /// The IP protocol's name, or its number in digits.
    pub proto: String,
    /// `ipv4` or `ipv6`.
    pub family: &'static str,
    /// The inside address.
    pub local: IpAddr,
    /// The inside port; of ICMP queries the identifier; else 0.
    pub local_port: u16,
    /// The outside address.
    pub remote: IpAddr,
    /// The outside port, else 0.
    pub remote_port: u16,
    /// The outer VLAN identifier, `null` without a tag.
    pub vlan: Option<u16>,
    /// The inner VLAN identifier of double-tagged flows, else absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vlan_inner: Option<u16>,
    /// The state's name.
    pub state: &'static str,
    /// Packets that inside sent.
    pub packets_out: u64,
    /// Bytes that inside sent, from the IP header on.
    pub bytes_out: u64,
    /// Packets that outside sent.
    pub packets_in: u64,
    /// Bytes that outside sent, from the IP header on.
    pub bytes_in: u64,
    /// Time since the flow was opened.
    pub age_ms: u64,
    /// Time since the last packet that kept the flow alive.
    pub idle_ms: u64,
    /// Time until the flow is forgotten if nothing happens.
    pub expires_in_ms: u64,
}

impl FlowView {
    /// The flow as it stands at `now`.
    #[must_use]
    pub fn new(key: &FlowKey, entry: &FlowEntry, now: Ticks, config: &Config) -> Self {
        let span_ms = |later: Ticks, earlier: Ticks| {
            // A zeroed configuration, which no armed gateway has, must not divide by zero.
            later.since(earlier).to_ms(config.ticks_per_sec.max(1))
        };
        let vid = |vid: u16| (vid != 0).then_some(vid);
        let seen = entry.outbound.seen.max(entry.inbound.seen);
        Self {
            proto: protocol::name(key.protocol),
            family: if key.family == Family::Ipv4.version() { "ipv4" } else { "ipv6" },
            local: key.inside.to_ip(),
            local_port: key.inside_port,
            remote: key.outside.to_ip(),
            remote_port: key.outside_port,
            vlan: vid(key.vlan.outer),
            vlan_inner: vid(key.vlan.inner),
            state: entry.state(key).name(),
            packets_out: entry.outbound.packets,
            bytes_out: entry.outbound.bytes,
            packets_in: entry.inbound.packets,
            bytes_in: entry.inbound.bytes,
            age_ms: span_ms(now, entry.created),
            idle_ms: span_ms(now, seen),
            expires_in_ms: span_ms(entry.deadline(key, config), now),
        }
    }
}

/// The answer of `flow show`: an array.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct FlowListView {
    /// The flows, sorted by protocol, addresses, ports and VLAN.
    pub flows: Vec<FlowView>,
}

/// The answer of `flow count`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FlowCountView {
    /// The gateway.
    pub name: String,
    /// How many live flows match.
    pub count: usize,
}

/// The answer of `flow delete` and `flow flush`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FlowsRemovedView {
    /// The gateway.
    pub name: String,
    /// How many live flows were deleted.
    pub deleted: usize,
}

#[cfg(test)]
mod tests {
    use gateway_common::{
        flow::{FlowHalf, mark},
        tuple::VlanPath,
    };
    use serde_json::{json, to_value};

    use super::*;

    const TICKS_PER_SEC: u32 = 250;

    #[test]
    fn the_json_is_the_contracts() {
        let (key, entry) = established_tcp();
        let view = FlowView::new(&key, &entry, Ticks(100_300), &Config::new(TICKS_PER_SEC));
        let expected = concat!(
            r#"{"proto":"tcp","family":"ipv6","local":"2a00:1::5","local_port":40000,"#,
            r#""remote":"2a00:2::1","remote_port":443,"vlan":null,"state":"established","#,
            r#""packets_out":3,"bytes_out":222,"packets_in":2,"bytes_in":150,"#,
            r#""age_ms":1200,"idle_ms":20,"expires_in_ms":7439980}"#
        );
        assert_eq!(serde_json::to_string(&view).expect("plain data"), expected);
        let list = FlowListView { flows: vec![view] };
        assert_eq!(serde_json::to_string(&list).expect("plain data"), format!("[{expected}]"));
    }

    #[test]
    fn vlans_are_numbers_and_the_inner_one_shows_only_when_present() {
        let json_of = |outer, inner| {
            let (key, entry) = established_tcp();
            let key = FlowKey { vlan: VlanPath { outer, inner }, ..key };
            to_value(FlowView::new(&key, &entry, Ticks(1), &Config::new(TICKS_PER_SEC)))
                .expect("plain data")
        };
        assert_eq!(json_of(100, 0)["vlan"], 100);
        assert_eq!(json_of(100, 0).get("vlan_inner"), None);
        assert_eq!(json_of(100, 7)["vlan_inner"], 7);
        assert_eq!(json_of(0, 0)["vlan"], json!(null));
    }

    #[test]
    fn queries_and_nameless_protocols_fit_the_same_shape() {
        let (key, _) = established_tcp();
        let address = |text: &str| text.parse::<IpAddr>().expect("valid address").into();
        let echo = FlowKey {
            inside: address("192.0.2.1"),
            outside: address("198.51.100.7"),
            inside_port: 77,
            outside_port: 0,
            protocol: 1,
            family: 4,
            ..key
        };
        let view = |key| FlowView::new(key, &FlowEntry::default(), Ticks(0), &Config::new(100));
        let json = to_value(view(&echo)).expect("plain data");
        assert_eq!(json["proto"], "icmp");
        assert_eq!((&json["local"], &json["local_port"]), (&json!("192.0.2.1"), &json!(77)));
        assert_eq!((&json["family"], &json["state"]), (&json!("ipv4"), &json!("unreplied")));
        assert_eq!(view(&FlowKey { protocol: 253, ..echo }).proto, "253");
    }

    /// The contract's example, as the kernel would hold it.
    fn established_tcp() -> (FlowKey, FlowEntry) {
        let address = |text: &str| text.parse::<IpAddr>().expect("valid address").into();
        let key = FlowKey {
            inside: address("2a00:1::5"),
            outside: address("2a00:2::1"),
            inside_port: 40_000,
            outside_port: 443,
            vlan: VlanPath::default(),
            protocol: 6,
            family: 6,
            zero: 0,
        };
        let outbound = FlowHalf {
            packets: 3,
            bytes: 222,
            seen: Ticks(100_295),
            marks: mark::OPENED | mark::CONFIRMED,
            ..FlowHalf::default()
        };
        let inbound = FlowHalf {
            packets: 2,
            bytes: 150,
            seen: Ticks(100_290),
            marks: mark::OPENED,
            ..FlowHalf::default()
        };
        let entry =
            FlowEntry { outbound, inbound, created: Ticks(100_000), ..FlowEntry::default() };
        (key, entry)
    }
}
