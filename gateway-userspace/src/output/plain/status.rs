//! Gateways, one paragraph each.

use super::stats::flow_tables;
use crate::{
    output::{
        table::{numbers, render, words},
        units::duration,
    },
    view::{AllowView, AttachmentView, GatewayView, PolicyView, StatusView, UplinkView},
};

pub(super) fn status(view: &StatusView) -> String {
    if view.gateways.is_empty() {
        return "no gateway is attached\n".to_owned();
    }
    let gateways: Vec<_> = view.gateways.iter().map(gateway).collect();
    gateways.join("\n")
}

pub(super) fn uplinks(uplinks: &[UplinkView]) -> String {
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
            uplink.hook.to_owned(),
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
