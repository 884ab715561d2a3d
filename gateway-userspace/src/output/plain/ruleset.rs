//! Subnets, rules and lists as tables.

use crate::{
    output::table::{numbers, render, words},
    view::{RuleTextView, RuleView, RulesetTablesView, RulesetView},
};

/// What goes without rules, then a table for each kind of thing that there is.
pub(super) fn ruleset(view: &RulesetView) -> String {
    let RulesetTablesView { inside_prefixes, outside_prefixes, classes, words } = view.tables;
    let switches =
        if view.rfc6092.is_empty() { "none".to_owned() } else { view.rfc6092.join(", ") };
    format!(
        "route:      {} where no subnet says otherwise\nrfc6092:    {switches}\n\
         tables:     {inside_prefixes} inside and {outside_prefixes} outside prefixes, {classes} \
         classes of {words} words\n{}{}{}",
        view.default_route,
        subnets(view),
        rules(&view.rules),
        lists(view),
    )
}

fn subnets(view: &RulesetView) -> String {
    let columns = [words("SUBNET"), words("PREFIX"), words("ROUTE")];
    let rows = view
        .subnets
        .iter()
        .map(|subnet| [subnet.name.clone(), subnet.prefix.to_string(), subnet.route.to_owned()]);
    unless_empty(view.subnets.is_empty(), || render(columns, rows))
}

fn rules(rules: &[RuleView]) -> String {
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
    ];
    let rows = rules.iter().map(|rule| {
        let [name, direction, action, proto, ports, from, to, flags] = rule_cells(&rule.text);
        [rule.number.to_string(), name, direction, action, proto, ports, from, to, flags]
    });
    unless_empty(rules.is_empty(), || render(columns, rows))
}

/// What a rule says: name, direction, action, protocols, ports or types, sources, destinations and
/// flags.
pub(super) fn rule_cells(rule: &RuleTextView) -> [String; 8] {
    let flags = [("log", rule.log), ("shadow", rule.shadow)];
    let flags: Vec<_> = flags.iter().filter(|(_, on)| *on).map(|(flag, _)| *flag).collect();
    let types: Vec<_> = rule.icmp_types.iter().map(|kind| format!("type {kind}")).collect();
    [
        rule.name.clone().unwrap_or_else(|| "-".to_owned()),
        rule.direction.to_owned(),
        rule.action.to_owned(),
        any_or(&rule.proto),
        any_or(if types.is_empty() { &rule.ports } else { &types }),
        any_or(&rule.from),
        any_or(&rule.to),
        if flags.is_empty() { "-".to_owned() } else { flags.join(",") },
    ]
}

fn lists(view: &RulesetView) -> String {
    let columns = [words("LIST"), numbers("PREFIXES"), words("FILE")];
    let rows = view.prefix_lists.iter().map(|list| {
        let file = list.file.as_ref().map_or("-".to_owned(), |file| file.display().to_string());
        [list.name.clone(), list.prefixes.to_string(), file]
    });
    unless_empty(view.prefix_lists.is_empty(), || render(columns, rows))
}

/// A table with an empty line before it.
fn unless_empty(is_empty: bool, table: impl FnOnce() -> String) -> String {
    if is_empty { String::new() } else { format!("\n{}", table()) }
}

/// The values, of many the first few.
fn any_or(values: &[String]) -> String {
    const SHOWN: usize = 4;
    match values.len() {
        0 => "any".to_owned(),
        1..=SHOWN => values.join(","),
        all => format!("{} and {} more", values[..SHOWN].join(","), all - SHOWN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{policy::CompiledPolicy, settings::Settings};

    #[test]
    fn the_policy_fits_a_few_lines() {
        let text = "\
[prefix_list.office]
prefixes = ['192.0.2.0/24', '2a00:9::/48']
[[subnet]]
name = 'private-a'
prefix = '2a00:1:0:a::/64'
[[rule]]
name = 'web'
direction = 'in'
action = 'allow'
proto = 'tcp'
ports = [80, 443, '8000-8100', 8200, 8300, 8400]
from = '@office'
to = '2a00:1:0:a::10'
log = true
[[rule]]
direction = 'out'
action = 'deny'
proto = 'icmpv6'
icmp_types = [128]
shadow = true
[rfc6092]
unsolicited_ipsec = true
";
        let (settings, _) = Settings::parse(text, 1 << 30).expect("valid file");
        let Settings { policy, rfc6092, .. } = settings;
        let sizes = CompiledPolicy::new(&policy).sizes();
        let expected = "\
route:      egress-only where no subnet says otherwise
rfc6092:    unsolicited_ipsec
tables:     2 inside and 2 outside prefixes, 10 classes of 9 words

SUBNET     PREFIX           ROUTE
private-a  2a00:1:0:a::/64  egress-only

RULE  NAME           DIRECTION  ACTION  PROTO       PORTS                             FROM     TO                  FLAGS
   1  web            in         allow   tcp         80,443,8000-8100,8200 and 2 more  @office  2a00:1:0:a::10/128  log
   2  -              out        deny    icmpv6      type 128                          any      any                 shadow
   3  rfc6092.ipsec  in         allow   esp,ah,hip  any                               any      any                 -
   4  rfc6092.ike    in         allow   udp         500                               any      any                 -

LIST    PREFIXES  FILE
office         2  -
";
        let text = ruleset(&RulesetView::new(&policy, &rfc6092, sizes));
        assert_eq!(text, expected);
    }
}
