//! Flows as a table.

use crate::{
    output::{
        table::{numbers, render, words},
        units::{duration, endpoint, plural},
    },
    view::{FlowView, FlowsRemovedView},
};

pub(super) fn list<'v>(flows: impl Iterator<Item = &'v FlowView> + Clone) -> String {
    let columns = [
        words("PROTO"),
        words("LOCAL"),
        words("REMOTE"),
        words("VLAN"),
        words("STATE"),
        numbers("PACKETS-OUT"),
        numbers("BYTES-OUT"),
        numbers("PACKETS-IN"),
        numbers("BYTES-IN"),
        numbers("AGE"),
        numbers("IDLE"),
        numbers("EXPIRES-IN"),
    ];
    render(columns, flows.map(row))
}

pub(super) fn removed(view: &FlowsRemovedView) -> String {
    let flows = plural(view.deleted, "flow", "flows");
    format!("deleted {} {flows} of gateway {}\n", view.deleted, view.name)
}

fn row(flow: &FlowView) -> [String; 12] {
    [
        flow.proto.clone(),
        endpoint(flow.local, flow.local_port),
        endpoint(flow.remote, flow.remote_port),
        vlan(flow),
        flow.state.to_owned(),
        flow.packets_out.to_string(),
        flow.bytes_out.to_string(),
        flow.packets_in.to_string(),
        flow.bytes_in.to_string(),
        duration(flow.age_ms),
        duration(flow.idle_ms),
        duration(flow.expires_in_ms),
    ]
}

/// `100`, for two tags `100.7`, for none `-`.
pub(super) fn vlan(flow: &FlowView) -> String {
    match (flow.vlan, flow.vlan_inner) {
        (None, None) => "-".to_owned(),
        (Some(outer), None) => outer.to_string(),
        (outer, Some(inner)) => format!("{}.{inner}", outer.unwrap_or_default()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A TCP flow.
    pub(in super::super) fn tcp() -> FlowView {
        FlowView {
            proto: "tcp".to_owned(),
            family: "ipv6",
            local: "2a00:1::5".parse().expect("address"),
            local_port: 40_000,
            remote: "2a00:2::1".parse().expect("address"),
            remote_port: 443,
            vlan: None,
            vlan_inner: None,
            state: "established",
            packets_out: 3,
            bytes_out: 222,
            packets_in: 2,
            bytes_in: 150,
            age_ms: 1_200,
            idle_ms: 20,
            expires_in_ms: 7_439_980,
        }
    }

    #[test]
    fn flows_stand_in_aligned_columns() {
        let tcp = tcp();
        let ping = FlowView {
            proto: "icmp".to_owned(),
            family: "ipv4",
            local: "192.0.2.1".parse().expect("address"),
            local_port: 77,
            remote: "198.51.100.7".parse().expect("address"),
            remote_port: 0,
            vlan: Some(100),
            vlan_inner: Some(7),
            state: "unreplied",
            ..tcp.clone()
        };
        let text = list([&tcp, &ping].into_iter());
        let expected = "\
PROTO  LOCAL              REMOTE           VLAN   STATE        PACKETS-OUT  BYTES-OUT  PACKETS-IN  BYTES-IN   AGE  IDLE  EXPIRES-IN
tcp    [2a00:1::5]:40000  [2a00:2::1]:443  -      established            3        222           2       150  1.2s  20ms        2h3m
icmp   192.0.2.1:77       198.51.100.7     100.7  unreplied              3        222           2       150  1.2s  20ms        2h3m
";
        assert_eq!(text, expected);
    }

    #[test]
    fn deleting_says_how_many_of_what() {
        let text = |deleted| removed(&FlowsRemovedView { name: "wan".to_owned(), deleted });
        assert_eq!(text(1), "deleted 1 flow of gateway wan\n");
        assert_eq!(text(0), "deleted 0 flows of gateway wan\n");
    }
}
