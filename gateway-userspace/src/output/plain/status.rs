//! Gateways, one paragraph each.

use super::stats::flow_tables;
use crate::{
    output::{
        table::{numbers, render, words},
        units::duration,
    },
    view::{
        AllowView, AttachmentView, GatewayView, PolicyView, StatusElement, StatusView, UplinkView,
    },
};

pub(super) fn status(view: &StatusView) -> String {
    if view.gateways.is_empty() {
        return "no gateway is attached\n".to_owned();
    }
    let gateways: Vec<_> = view.gateways.iter().map(element).collect();
    gateways.join("\n")
}

fn element(element: &StatusElement) -> String {
    match element {
        StatusElement::Readable(view) => gateway(view),
        StatusElement::Unreadable(view) => {
            format!("gateway {}: unreadable: {}\n", view.name, view.error)
        }
    }
}

fn uplinks(uplinks: &[UplinkView]) -> String {
    let columns = [
        words("UPLINK"),
        numbers("IFINDEX"),
        words("PRESENT"),
        words("HOOK"),
        words("INGRESS"),
        words("EGRESS"),
    ];
    let rows = uplinks.iter().map(|uplink| {
        [
            uplink.name.clone(),
            uplink.ifindex.to_string(),
            yes_or_no(uplink.present),
            uplink.hook.unwrap_or("-").to_owned(),
            attachment(uplink.ingress.as_ref()),
            attachment(uplink.egress.as_ref()),
        ]
    });
    render(columns, rows)
}

/// The policy as lines of `name: value`.
pub(super) fn policy(policy: &PolicyView) -> String {
    let timeouts: Vec<_> = policy
        .timeouts_secs
        .0
        .iter()
        .map(|(name, secs)| format!("{name} {}", duration(secs.saturating_mul(1_000))))
        .collect();
    let except: Vec<_> = policy.martians.except.iter().map(ToString::to_string).collect();
    let martians = match (policy.martians.enabled, except.as_slice()) {
        (false, _) => "not refused".to_owned(),
        (true, []) => "refused".to_owned(),
        (true, prefixes) => format!("refused except {}", prefixes.join(", ")),
    };
    format!(
        "timeouts:   {}\nallowed in: {}\nethertypes: {}\nmartians:   {martians}\n",
        timeouts.join(", "),
        or_nothing(&allowed(policy.allow)),
        or_nothing(&policy.pass_ethertypes),
    )
}

fn gateway(gateway: &GatewayView) -> String {
    let GatewayView { name, mode, abi_version, .. } = gateway;
    format!(
        "gateway {name}: {mode} (map layout {abi_version})\n\n{}\nflows:      {}\n{}",
        uplinks(&gateway.uplinks),
        flow_tables(gateway.flows),
        policy(&gateway.policy),
    )
}

fn allowed(allow: AllowView) -> Vec<String> {
    [("ping", allow.ping), ("dhcp_client", allow.dhcp_client), ("redirects", allow.redirects)]
        .into_iter()
        .filter(|(_, allowed)| *allowed)
        .map(|(name, _)| name.to_owned())
        .collect()
}

fn or_nothing(values: &[String]) -> String {
    if values.is_empty() { "none".to_owned() } else { values.join(", ") }
}

fn attachment(attachment: Option<&AttachmentView>) -> String {
    attachment.map_or_else(
        || "missing".to_owned(),
        |attachment| format!("{} #{}", attachment.attachment, attachment.program_id),
    )
}

fn yes_or_no(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        settings::Settings,
        view::{FlowTablesView, UnreadableView},
    };

    #[test]
    fn no_gateway_is_said_in_words() {
        assert_eq!(status(&StatusView { gateways: Vec::new() }), "no gateway is attached\n");
    }

    #[test]
    fn every_gateway_is_a_paragraph() {
        let unreadable = UnreadableView { name: "old".to_owned(), error: "too old".to_owned() };
        let view = StatusView {
            gateways: vec![
                StatusElement::Unreadable(unreadable),
                StatusElement::Readable(Box::new(wan())),
            ],
        };
        let expected = "\
gateway old: unreadable: too old

gateway wan: armed (map layout 1)

UPLINK  IFINDEX  PRESENT  HOOK  INGRESS  EGRESS
eth0          2  yes      xdp   xdp #17  tcx #18
eth1         11  no       -     missing  missing

flows:      half-open 1 of 1024, established 2 of 4096
timeouts:   tcp_half_open 4m0s, tcp_established 2h4m, tcp_closing 4m0s, tcp_time_wait 2m0s, \
udp_unreplied 2m0s, udp 5m0s, udp_dns 30s, icmp 1m0s, sctp_half_open 4m0s, \
sctp_established 2h4m, other 5m0s
allowed in: ping, dhcp_client
ethertypes: 0x88b5, 0x88b6
martians:   refused except 10.0.0.0/8, fc00::/7
";
        assert_eq!(status(&view), expected);
    }

    fn wan() -> GatewayView {
        let text = "allow.ping = true\nlink.pass_ethertypes = [0x88b5, 0x88b6]\n\
                    martians.except = ['10.0.0.0/8']";
        let (settings, _) = Settings::parse(text).expect("valid file");
        let attached = |attachment, program_id| Some(AttachmentView { program_id, attachment });
        let eth0 = UplinkView {
            name: "eth0".to_owned(),
            ifindex: 2,
            present: true,
            hook: Some("xdp"),
            ingress: attached("xdp", 17),
            egress: attached("tcx", 18),
        };
        let eth1 = UplinkView {
            name: "eth1".to_owned(),
            ifindex: 11,
            present: false,
            hook: None,
            ingress: None,
            egress: None,
        };
        GatewayView {
            name: "wan".to_owned(),
            mode: "armed",
            abi_version: 1,
            uplinks: vec![eth0, eth1],
            flows: FlowTablesView {
                half_open: 1,
                established: 2,
                half_open_max: 1_024,
                established_max: 4_096,
            },
            policy: PolicyView::from(&settings.to_config(250, true)),
        }
    }
}
