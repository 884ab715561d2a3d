//! Gateways and their uplinks.

use std::path::PathBuf;

use serde::Serialize;

use super::{EventsView, FlowTablesView, PolicyView, PressureView};

/// The answer of `status`: an array, also for one gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct StatusView {
    /// The gateways, sorted by name.
    pub gateways: Vec<StatusElement>,
}

/// One element of the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum StatusElement {
    /// A gateway that this version understands.
    Readable(Box<GatewayView>),
    /// Another version's, or a damaged one.
    Unreadable(UnreadableView),
}

/// A gateway that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnreadableView {
    /// Its name.
    pub name: String,
    /// Why it cannot be read, and what to do.
    pub error: String,
}

/// One gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GatewayView {
    /// Its name.
    pub name: String,
    /// `armed`, `standby` (everything passes, also when nobody confirmed it in time) or `unknown` (no
    /// valid configuration: everything is dropped).
    pub mode: &'static str,
    /// The time left to confirm it; `null` when it stays in any case.
    pub unconfirmed: Option<UnconfirmedView>,
    /// The layout of its maps.
    pub abi_version: u32,
    /// Whether a daemon looks after it: removes flows whose time is over, and takes their records.
    pub daemon: bool,
    /// The interfaces it protects.
    pub uplinks: Vec<UplinkView>,
    /// How full the flow tables are.
    pub flows: FlowTablesView,
    /// What happened to flows, as in `stats show`.
    pub events: EventsView,
    /// The limits that flows met; empty when all is well.
    pub pressure: Vec<PressureView>,
    /// The policy in force.
    #[serde(rename = "policy")]
    pub loaded: LoadedPolicyView,
    /// What else the packet path is told.
    #[serde(flatten)]
    pub policy: PolicyView,
}

/// A gateway that waits to be confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct UnconfirmedView {
    /// How long there still is time, in milliseconds.
    pub left_ms: u64,
    /// Whether the time has run out, so that everything passes.
    pub overdue: bool,
}

/// Which policy is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LoadedPolicyView {
    /// Its generation, which grows with every reload.
    pub generation: u32,
    /// How many rules it has.
    pub rules: u32,
    /// How many subnets it has.
    pub subnets: u32,
    /// The route of addresses that no subnet covers.
    pub default_route: &'static str,
    /// The file it came from; `null` when the gateway was attached without one.
    pub file: Option<PathBuf>,
    /// When it was read, in seconds since 1970; `null` when that is not known.
    pub loaded_unix_secs: Option<u64>,
}

/// An interface that a gateway protects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UplinkView {
    /// Its name; once it is gone, the last one that is known.
    pub name: String,
    /// Its index.
    pub ifindex: u32,
    /// Whether it still exists.
    pub present: bool,
    /// Whether it is administratively up.
    pub up: bool,
    /// The ingress hook: `xdp`, `xdp-generic` or `tc`; `null` when none is attached any more.
    pub hook: Option<&'static str>,
    /// The program that judges what comes in; `null` when it is no longer attached.
    pub ingress: Option<AttachmentView>,
    /// The program that judges what goes out; `null` when it is no longer attached.
    pub egress: Option<AttachmentView>,
}

/// A program on a hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AttachmentView {
    /// The kernel's identifier of the program.
    pub program_id: u32,
    /// How it is attached: `xdp`, `tcx` or `clsact`.
    pub attachment: &'static str,
}

#[cfg(test)]
mod tests {
    use gateway_common::{config::Config, counter::FlowEvent};

    use super::*;

    #[test]
    fn the_json_is_an_array_of_gateways() {
        let uplink = UplinkView {
            name: "eth0".to_owned(),
            ifindex: 2,
            present: true,
            up: true,
            hook: Some("tc"),
            ingress: Some(AttachmentView { program_id: 17, attachment: "tcx" }),
            egress: None,
        };
        let flows = FlowTablesView {
            half_open: 1,
            established: 2,
            half_open_max: 1_024,
            established_max: 4_096,
            half_open_expired: 0,
            established_expired: 0,
        };
        let pressure = PressureView::new(FlowEvent::EstablishedFull, 3, &[]).expect("trouble");
        let pressure_json = serde_json::to_string(&pressure).expect("plain data");
        let policy = PolicyView::from(&Config::new(250));
        let gateway = GatewayView {
            name: "wan".to_owned(),
            mode: "armed",
            unconfirmed: Some(UnconfirmedView { left_ms: 4_000, overdue: false }),
            abi_version: 2,
            daemon: true,
            uplinks: vec![uplink],
            flows,
            events: EventsView(vec![(FlowEvent::EstablishedFull, 3)]),
            pressure: vec![pressure],
            loaded: LoadedPolicyView {
                generation: 3,
                rules: 1,
                subnets: 0,
                default_route: "egress-only",
                file: None,
                loaded_unix_secs: None,
            },
            policy: policy.clone(),
        };
        let unreadable = UnreadableView { name: "x".to_owned(), error: "damaged".to_owned() };
        let view = StatusView {
            gateways: vec![
                StatusElement::Readable(Box::new(gateway)),
                StatusElement::Unreadable(unreadable),
            ],
        };
        let policy_json = serde_json::to_string(&policy).expect("plain data");
        let expected = [
            r#"[{"name":"wan","mode":"armed","#,
            r#""unconfirmed":{"left_ms":4000,"overdue":false},"abi_version":2,"daemon":true,"uplinks":[{"name":"eth0","#,
            r#""ifindex":2,"present":true,"up":true,"hook":"tc","#,
            r#""ingress":{"program_id":17,"attachment":"tcx"},"egress":null}],"#,
            r#""flows":{"half_open":1,"established":2,"half_open_max":1024,"#,
            r#""established_max":4096,"half_open_expired":0,"established_expired":0},"#,
            r#""events":{"established_full":3},"pressure":["#,
            &pressure_json,
            r#"],"policy":{"generation":3,"rules":1,"subnets":0,"default_route":"egress-only","#,
            r#""file":null,"loaded_unix_secs":null},"#,
            policy_json.trim_start_matches('{'),
            r#",{"name":"x","error":"damaged"}]"#,
        ];
        assert_eq!(serde_json::to_string(&view).expect("plain data"), expected.concat());
    }
}
