//! Gateways, one paragraph each.

use super::stats::flow_tables;
use crate::{
    output::{
        table::{numbers, render, words},
        units::{duration, plural},
    },
    view::{
        AllowView, AttachmentView, GatewayView, HostView, LoadedPolicyView, PolicyView,
        PressureView, StatusElement, StatusView, UnconfirmedView, UplinkView,
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
        words("LINK"),
        words("HOOK"),
        words("INGRESS"),
        words("EGRESS"),
    ];
    let rows = uplinks.iter().map(|uplink| {
        [
            uplink.name.clone(),
            uplink.ifindex.to_string(),
            link(uplink).to_owned(),
            uplink.hook.unwrap_or("-").to_owned(),
            attachment(uplink.ingress.as_ref()),
            attachment(uplink.egress.as_ref()),
        ]
    });
    render(columns, rows)
}

fn link(uplink: &UplinkView) -> &'static str {
    match (uplink.present, uplink.up) {
        (false, _) => "gone",
        (true, false) => "down",
        (true, true) => "up",
    }
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
        "per host:   half-open {}, established {}\ntimeouts:   {}\nallowed in: {}\n\
         ethertypes: {}\nmartians:   {martians}\n",
        policy.half_open_per_host,
        policy.established_per_host,
        wrapped(&timeouts),
        or_nothing(&allowed(policy.allow)),
        or_nothing(&policy.pass_ethertypes),
    )
}

fn gateway(gateway: &GatewayView) -> String {
    let GatewayView { name, mode, abi_version, .. } = gateway;
    format!(
        "gateway {name}: {mode} (map layout {abi_version})\n{}\n{}\npolicy:     {}\nflows:      \
         {}\ndaemon:     {}\n{}{}",
        gateway.unconfirmed.map_or(String::new(), |it| unconfirmed(name, it)),
        uplinks(&gateway.uplinks),
        loaded(&gateway.loaded),
        flow_tables(gateway.flows),
        daemon(gateway.daemon),
        policy(&gateway.policy),
        gateway.pressure.iter().map(pressure).collect::<String>(),
    )
}

/// That the gateway waits to be confirmed, or waited in vain.
fn unconfirmed(name: &str, UnconfirmedView { left_ms, overdue }: UnconfirmedView) -> String {
    if overdue {
        return format!(
            "warning: nobody confirmed it in time, so everything passes\n  what to do: attach it \
             again, or remove what is left with 'eigw detach --name {name}'\n"
        );
    }
    format!(
        "warning: it is detached in {} unless somebody runs 'eigw confirm --name {name}'\n",
        duration(left_ms)
    )
}

/// Who removes flows whose time is over, in one line.
const fn daemon(is_there: bool) -> &'static str {
    if is_there {
        "runs"
    } else {
        "none; expired flows keep their places until 'eigw run' removes them"
    }
}

/// Which policy is in force, in one line.
fn loaded(policy: &LoadedPolicyView) -> String {
    let LoadedPolicyView { generation, rules, subnets, default_route, file, .. } = policy;
    let count = |of: u32, one, many| {
        format!("{of} {}", plural(usize::try_from(of).unwrap_or(usize::MAX), one, many))
    };
    let file = file.as_ref().map_or(String::new(), |file| format!(", from {}", file.display()));
    format!(
        "generation {generation}, {}, {}, default route {default_route}{file}",
        count(*rules, "rule", "rules"),
        count(*subnets, "subnet", "subnets"),
    )
}

/// A limit that flows met, as a paragraph.
fn pressure(pressure: &PressureView) -> String {
    let PressureView { event, count, meaning, remedy, hosts } = pressure;
    let times = plural(usize::try_from(*count).unwrap_or(usize::MAX), "time", "times");
    let shown: Vec<_> = hosts.iter().take(HOSTS_SHOWN).map(host).collect();
    let now = match hosts.len() {
        0 => String::new(),
        1..=HOSTS_SHOWN => format!("  now: {}\n", shown.join(", ")),
        all => format!("  now: {} and {} more\n", shown.join(", "), all - HOSTS_SHOWN),
    };
    format!("\nwarning: {event} {count} {times}: {meaning}\n  what to do: {remedy}\n{now}")
}

/// Hosts that are listed for people; JSON has all of them.
const HOSTS_SHOWN: usize = 8;

/// An inside host, such as `10.0.0.5 (vlan 100.7)`.
fn host(host: &HostView) -> String {
    let HostView { address, vlan, vlan_inner } = host;
    match (vlan, vlan_inner) {
        (None, None) => address.to_string(),
        (Some(outer), None) => format!("{address} (vlan {outer})"),
        (outer, Some(inner)) => format!("{address} (vlan {}.{inner})", outer.unwrap_or_default()),
    }
}

/// A list in lines that fit a terminal, below each other behind the name of a value.
fn wrapped(values: &[String]) -> String {
    const WIDTH: usize = 84;
    const INDENT: &str = "            ";
    let mut text = String::new();
    let mut column = 0;
    for value in values {
        if column + value.len() > WIDTH {
            text += ",\n";
            text += INDENT;
            column = 0;
        } else if column > 0 {
            text += ", ";
        }
        text += value;
        column += value.len() + 2;
    }
    text
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

#[cfg(test)]
mod tests {
    use gateway_common::{
        counter::FlowEvent,
        host::HostKey,
        tuple::{Address, VlanPath},
    };

    use super::*;
    use crate::{
        datapath::TableSizes,
        settings::Settings,
        view::{EventsView, FlowTablesView, UnreadableView},
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

gateway wan: armed (map layout 2)

UPLINK  IFINDEX  LINK  HOOK  INGRESS  EGRESS
eth0          2  up    xdp   xdp #17  tcx #18
eth1         11  gone  -     missing  missing

policy:     generation 3, 1 rule, 2 subnets, default route blocked, from /etc/eigw/wan.toml
flows:      half-open 1 of 1024, established 2 of 4096
daemon:     runs
per host:   half-open 128, established 3072
timeouts:   tcp_syn_sent 4m0s, tcp_syn_received 4m0s, tcp_established 2h4m, tcp_fin_wait 4m0s,
            tcp_close_wait 4m0s, tcp_last_ack 4m0s, tcp_time_wait 2m0s, tcp_closed 4m0s,
            udp_unreplied 2m0s, udp 5m0s, udp_dns 30s, icmp 1m0s, sctp_half_open 4m0s,
            sctp_established 2h4m, sctp_closing 4m0s, dccp_half_open 8m0s, dccp_established 2h4m,
            other 5m0s
allowed in: ping, dhcp_client
ethertypes: 0x88b5, 0x88b6
martians:   refused except 10.0.0.0/8, fc00::/7
";
        assert_eq!(status(&view), expected);
    }

    #[test]
    fn limits_that_were_met_follow_with_their_remedy() {
        let host = |last, outer| HostKey {
            address: Address::from_ipv4([10, 0, 0, last]),
            vlan: VlanPath { outer, inner: 0 },
        };
        let many: Vec<_> = (1..=11).map(|last| host(last, 0)).collect();
        let met = [
            PressureView::new(FlowEvent::EstablishedFull, 1, &[]),
            PressureView::new(FlowEvent::HostShareFull, 20, &[host(5, 0), host(6, 100)]),
            PressureView::new(FlowEvent::HostOverflow, 3, &many),
        ];
        let view = GatewayView { pressure: met.into_iter().flatten().collect(), ..wan() };
        let text = gateway(&view);
        let (_, warnings) = text.split_once("fc00::/7\n\n").expect("warnings come last");
        let lines: Vec<_> = warnings.lines().filter(|line| !line.is_empty()).collect();
        let beginnings = [
            "warning: established-full 1 time: the table of established flows was full ",
            "  what to do: raise 'established_max' in [flows], ",
            "warning: host-share-full 20 times: an inside host held its whole share ",
            "  what to do: if the host is meant to have so many flows, ",
            "  now: 10.0.0.5, 10.0.0.6 (vlan 100)",
            "warning: host-overflow 3 times: an inside host opened flows faster ",
            "  what to do: look for a scan with ",
            "  now: 10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4, 10.0.0.5, 10.0.0.6, 10.0.0.7, \
             10.0.0.8 and 3 more",
        ];
        assert_eq!(lines.len(), beginnings.len(), "{warnings}");
        for (line, beginning) in lines.iter().zip(beginnings) {
            assert!(line.starts_with(beginning), "{line}");
        }
    }

    #[test]
    fn a_gateway_on_trial_says_so_first() {
        let status = |unconfirmed| {
            let text = gateway(&GatewayView { unconfirmed: Some(unconfirmed), ..wan() });
            text.split_once("\n\nUPLINK").expect("uplinks follow").0.to_owned()
        };
        assert_eq!(
            status(UnconfirmedView { left_ms: 42_000, overdue: false }),
            "gateway wan: armed (map layout 2)\nwarning: it is detached in 42s unless somebody \
             runs 'eigw confirm --name wan'"
        );
        assert_eq!(
            status(UnconfirmedView { left_ms: 0, overdue: true }),
            "gateway wan: armed (map layout 2)\nwarning: nobody confirmed it in time, so \
             everything passes\n  what to do: attach it again, or remove what is left with 'eigw \
             detach --name wan'"
        );
    }

    fn wan() -> GatewayView {
        let text = "allow.ping = true\nlink.pass_ethertypes = [0x88b5, 0x88b6]\n\
                    martians.except = ['10.0.0.0/8']";
        let (settings, _) = Settings::parse(text, 1 << 30).expect("valid file");
        let tables = TableSizes { half_open_max: 1_024, established_max: 4_096 };
        let shares = settings.hosts.within(tables);
        let config = shares.apply(&settings.to_config(250, true), shares.half_open);
        let attached = |attachment, program_id| Some(AttachmentView { program_id, attachment });
        let eth0 = UplinkView {
            name: "eth0".to_owned(),
            ifindex: 2,
            present: true,
            up: true,
            hook: Some("xdp"),
            ingress: attached("xdp", 17),
            egress: attached("tcx", 18),
        };
        let eth1 = UplinkView {
            name: "eth1".to_owned(),
            ifindex: 11,
            present: false,
            up: false,
            hook: None,
            ingress: None,
            egress: None,
        };
        GatewayView {
            name: "wan".to_owned(),
            mode: "armed",
            unconfirmed: None,
            abi_version: 2,
            daemon: true,
            uplinks: vec![eth0, eth1],
            flows: FlowTablesView {
                half_open: 1,
                established: 2,
                half_open_max: 1_024,
                established_max: 4_096,
                ..FlowTablesView::default()
            },
            events: EventsView::default(),
            pressure: Vec::new(),
            loaded: LoadedPolicyView {
                generation: 3,
                rules: 1,
                subnets: 2,
                default_route: "blocked",
                file: Some("/etc/eigw/wan.toml".into()),
                loaded_unix_secs: Some(1_700_000_000),
            },
            policy: PolicyView::from(&config),
        }
    }
}
