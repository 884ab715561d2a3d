//! What a reload did, or would do.

use super::{actions::notes, flow};
use crate::{
    output::{
        table::{numbers, render, words},
        units::{duration, endpoint, plural},
    },
    view::{EndingFlowView, PolicySizeView, ReloadPreviewView, ReloadView, RuleRefView},
};

pub(super) fn reload(view: &ReloadView) -> String {
    let ReloadView { name, file, generation, size, build_ms, swap_ms, flows_ended, .. } = view;
    let ended = match flows_ended {
        0 => "no live flow ends".to_owned(),
        count => format!(
            "{count} live {} with the next packet",
            plural(*count, "flow ends", "flows end")
        ),
    };
    format!(
        "reloaded gateway {name} from {}\n\npolicy:     generation {generation}, {}\n\
         time:       {} to build, {} to swap\nflows:      {ended}\n{}",
        file.display(),
        sizes(size),
        duration(*build_ms),
        duration(*swap_ms),
        notes(&view.notes),
    )
}

pub(super) fn preview(view: &ReloadPreviewView) -> String {
    let ReloadPreviewView { name, file, size, flows, .. } = view;
    let head = format!(
        "nothing was changed; {} would give gateway {name} {}\n",
        file.display(),
        sizes(size)
    );
    let ending = match flows.len() {
        0 => "no live flow would end\n".to_owned(),
        count => {
            let flows = plural(count, "flow", "flows");
            format!("{count} live {flows} would end with the next packet\n\n{}", table(&view.flows))
        }
    };
    head + &ending + &notes(&view.notes)
}

fn sizes(size: &PolicySizeView) -> String {
    let PolicySizeView { rules, subnets, prefixes } = *size;
    let count = |of, one, many| format!("{of} {}", plural(of, one, many));
    format!(
        "{}, {}, {}",
        count(rules, "rule", "rules"),
        count(subnets, "subnet", "subnets"),
        count(prefixes, "prefix", "prefixes")
    )
}

fn table(flows: &[EndingFlowView]) -> String {
    let columns = [
        words("PROTO"),
        words("LOCAL"),
        words("REMOTE"),
        words("VLAN"),
        words("STATE"),
        numbers("AGE"),
        numbers("IDLE"),
        words("REASON"),
        words("RULE"),
    ];
    let rows = flows.iter().map(|EndingFlowView { flow, reason, rule }| {
        [
            flow.proto.clone(),
            endpoint(flow.local, flow.local_port),
            endpoint(flow.remote, flow.remote_port),
            flow::vlan(flow),
            flow.state.to_owned(),
            duration(flow.age_ms),
            duration(flow.idle_ms),
            (*reason).to_owned(),
            rule.as_ref().map_or_else(|| "-".to_owned(), reference),
        ]
    });
    render(columns, rows)
}

/// A rule by its number, with its name if it has one.
fn reference(rule: &RuleRefView) -> String {
    match &rule.name {
        Some(name) => format!("{} {name}", rule.number),
        None => rule.number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{output::plain::flow::tests::tcp, view::FlowView};

    const SIZE: PolicySizeView = PolicySizeView { rules: 2, subnets: 1, prefixes: 7 };

    #[test]
    fn a_reload_tells_what_is_in_force_now() {
        let view = ReloadView {
            name: "wan".to_owned(),
            file: "/etc/eigw/wan.toml".into(),
            generation: 5,
            size: SIZE,
            build_ms: 12,
            swap_ms: 34,
            flows_ended: 1,
            notes: vec!["the file is old".to_owned()],
        };
        let expected = "\
reloaded gateway wan from /etc/eigw/wan.toml

policy:     generation 5, 2 rules, 1 subnet, 7 prefixes
time:       12ms to build, 34ms to swap
flows:      1 live flow ends with the next packet
note: the file is old
";
        assert_eq!(reload(&view), expected);
        let quiet = reload(&ReloadView { flows_ended: 0, ..view });
        assert!(quiet.contains("no live flow ends\n"), "{quiet}");
    }

    #[test]
    fn a_preview_lists_what_would_end_and_why() {
        let flow = FlowView {
            family: "ipv4",
            local: "192.0.2.1".parse().expect("address"),
            remote: "198.51.100.7".parse().expect("address"),
            remote_port: 25,
            ..tcp()
        };
        let rule = RuleRefView { number: 2, name: Some("no-mail".to_owned()) };
        let by_rule = EndingFlowView { flow, reason: "rule-denied", rule: Some(rule) };
        let by_route = EndingFlowView { reason: "route-blocked", rule: None, ..by_rule.clone() };
        let view = ReloadPreviewView {
            name: "wan".to_owned(),
            file: "/etc/eigw/wan.toml".into(),
            size: SIZE,
            flows: vec![by_rule, by_route],
            notes: Vec::new(),
        };
        let expected = "\
nothing was changed; /etc/eigw/wan.toml would give gateway wan 2 rules, 1 subnet, 7 prefixes
2 live flows would end with the next packet

PROTO  LOCAL            REMOTE           VLAN  STATE         AGE  IDLE  REASON         RULE
tcp    192.0.2.1:40000  198.51.100.7:25  -     established  1.2s  20ms  rule-denied    2 no-mail
tcp    192.0.2.1:40000  198.51.100.7:25  -     established  1.2s  20ms  route-blocked  -
";
        assert_eq!(preview(&view), expected);
        let nothing = preview(&ReloadPreviewView { flows: Vec::new(), ..view });
        assert!(nothing.ends_with("7 prefixes\nno live flow would end\n"), "{nothing}");
    }
}
