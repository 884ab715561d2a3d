//! Rules and subnets with what they counted, as tables.

use super::ruleset::rule_cells;
use crate::{
    output::{
        table::{numbers, render, words},
        units::duration,
    },
    view::{RuleHitsView, SubnetHitsView},
};

pub(super) fn rules(rules: &[RuleHitsView]) -> String {
    let columns = [
        numbers("RULE"),
        words("NAME"),
        words("DIRECTION"),
        words("ACTION"),
        words("PROTO"),
        words("PORTS"),
        words("FROM"),
        words("TO"),
        words("FLAGS"),
        numbers("HITS"),
        numbers("BYTES"),
        numbers("LAST-HIT"),
    ];
    let rows = rules.iter().map(|rule| {
        let [name, direction, action, proto, ports, from, to, flags] = rule_cells(&rule.text);
        [
            rule.number.to_string(),
            name,
            direction,
            action,
            proto,
            ports,
            from,
            to,
            flags,
            rule.hits.to_string(),
            rule.bytes.to_string(),
            age(rule.last_hit_ms),
        ]
    });
    render(columns, rows)
}

pub(super) fn subnets(subnets: &[SubnetHitsView]) -> String {
    let columns = [
        words("SUBNET"),
        words("PREFIX"),
        words("ROUTE"),
        numbers("FLOWS"),
        numbers("PACKETS-OUT"),
        numbers("BYTES-OUT"),
        numbers("PACKETS-IN"),
        numbers("BYTES-IN"),
        numbers("DROPS"),
        numbers("DROPPED-BYTES"),
        numbers("LAST-DROP"),
    ];
    let rows = subnets.iter().map(|subnet| {
        [
            subnet.name.clone(),
            subnet.prefix.map_or("-".to_owned(), |prefix| prefix.to_string()),
            subnet.route.to_owned(),
            subnet.flows.flows.to_string(),
            subnet.flows.packets_out.to_string(),
            subnet.flows.bytes_out.to_string(),
            subnet.flows.packets_in.to_string(),
            subnet.flows.bytes_in.to_string(),
            subnet.dropped_packets.to_string(),
            subnet.dropped_bytes.to_string(),
            age(subnet.last_drop_ms),
        ]
    });
    render(columns, rows)
}

fn age(ms: Option<u64>) -> String {
    ms.map_or_else(|| "-".to_owned(), |ms| format!("{} ago", duration(ms)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::{FlowSumView, RuleTextView};

    #[test]
    fn rules_stand_in_the_order_asked_with_their_hits() {
        let ssh = RuleHitsView {
            number: 1,
            text: RuleTextView {
                name: Some("ssh".to_owned()),
                direction: "in",
                action: "allow",
                proto: vec!["tcp".to_owned()],
                ports: vec!["22".to_owned()],
                icmp_types: Vec::new(),
                from: vec!["@office".to_owned()],
                to: Vec::new(),
                log: true,
                shadow: true,
            },
            hits: 12,
            bytes: 1_234,
            last_hit_ms: Some(5_000),
        };
        let never = RuleHitsView { number: 2, hits: 0, bytes: 0, last_hit_ms: None, ..ssh.clone() };
        let expected = "\
RULE  NAME  DIRECTION  ACTION  PROTO  PORTS  FROM     TO   FLAGS       HITS  BYTES  LAST-HIT
   1  ssh   in         allow   tcp    22     @office  any  log,shadow    12   1234    5s ago
   2  ssh   in         allow   tcp    22     @office  any  log,shadow     0      0         -
";
        assert_eq!(rules(&[ssh, never]), expected);
    }

    #[test]
    fn subnets_end_with_what_none_covers() {
        let lan = SubnetHitsView {
            name: "lan".to_owned(),
            prefix: Some("10.0.0.0/8".parse().expect("prefix")),
            route: "internet",
            flows: FlowSumView {
                flows: 2,
                packets_out: 3,
                bytes_out: 4,
                packets_in: 5,
                bytes_in: 6,
            },
            dropped_packets: 7,
            dropped_bytes: 800,
            last_drop_ms: Some(90_000),
        };
        let other = SubnetHitsView {
            name: "(other)".to_owned(),
            prefix: None,
            route: "blocked",
            flows: FlowSumView::default(),
            dropped_packets: 0,
            dropped_bytes: 0,
            last_drop_ms: None,
        };
        let expected = "\
SUBNET   PREFIX      ROUTE     FLOWS  PACKETS-OUT  BYTES-OUT  PACKETS-IN  BYTES-IN  DROPS  DROPPED-BYTES  LAST-DROP
lan      10.0.0.0/8  internet      2            3          4           5         6      7            800  1m30s ago
(other)  -           blocked       0            0          0           0         0      0              0          -
";
        assert_eq!(subnets(&[lan, other]), expected);
    }
}
