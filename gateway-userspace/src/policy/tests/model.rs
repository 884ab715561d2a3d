//! A policy in the words of the documentation, judged by reading it from the top: slow, plain and
//! without anything of the compiler or of the classifier.

use std::fmt::Write as _;

use gateway_common::{
    policy::{Action, Query, Route, Ruling},
    tuple::{Address, Direction},
};
use ipnet::IpNet;

/// A policy as its author thinks of it.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) default_route: Route,
    pub(super) subnets: Vec<(IpNet, Route)>,
    pub(super) lists: Vec<Vec<IpNet>>,
    pub(super) rules: Vec<ModelRule>,
}

/// A rule as its author thinks of it; what is empty does not restrict.
#[derive(Clone, Debug)]
pub(super) struct ModelRule {
    pub(super) direction: Direction,
    pub(super) action: Action,
    pub(super) protocols: Vec<u8>,
    pub(super) ports: Vec<(u16, u16)>,
    pub(super) icmp_types: Vec<u8>,
    pub(super) from: Vec<Place>,
    pub(super) to: Vec<Place>,
    pub(super) log: bool,
    pub(super) shadow: bool,
}

/// A prefix, or a list by its number.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    Prefix(IpNet),
    List(usize),
}

/// What reading the policy from the top says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Judgement {
    pub(super) ruling: Ruling,
    pub(super) rule: Option<usize>,
    pub(super) shadow: Option<usize>,
    pub(super) subnet: Option<usize>,
    pub(super) log: bool,
}

impl Model {
    pub(super) fn judge(&self, query: &Query) -> Judgement {
        let without_rules = self.judge_addresses(query);
        if !matches!(without_rules.ruling, Ruling::RouteAllowed | Ruling::Unsolicited) {
            return without_rules;
        }
        let mut shadow = None;
        for (index, rule) in self.rules.iter().enumerate() {
            if !self.matches(rule, query) {
                continue;
            }
            if rule.shadow {
                shadow = shadow.or(Some(index));
                continue;
            }
            let ruling = match rule.action {
                Action::Allow => Ruling::RuleAllowed,
                Action::Deny => Ruling::RuleDenied,
            };
            let log = rule.log;
            return Judgement { ruling, rule: Some(index), shadow, log, ..without_rules };
        }
        Judgement { shadow, ..without_rules }
    }

    /// What the addresses and the routes say.
    pub(super) fn judge_addresses(&self, query: &Query) -> Judgement {
        let subnet = self.subnet_of(&query.inside);
        let route = subnet.map_or(self.default_route, |index| self.subnets[index].1);
        let has_subnets = self.subnets.iter().any(|(prefix, _)| same_family(prefix, &query.inside));
        let is_foreign = has_subnets && subnet.is_none() && self.default_route != Route::Internet;
        let is_outbound = query.direction == Direction::Outbound;
        let ruling = if query.is_forwarded && is_foreign {
            Ruling::EgressSpoof
        } else if self.subnet_of(&query.outside).is_some() {
            if is_outbound { Ruling::InsideDestination } else { Ruling::IngressSpoof }
        } else {
            match (query.direction, route) {
                (_, Route::Blocked) => Ruling::RouteBlocked,
                (Direction::Inbound, Route::EgressOnly) => Ruling::Unsolicited,
                _ => Ruling::RouteAllowed,
            }
        };
        Judgement { ruling, rule: None, shadow: None, subnet, log: false }
    }

    fn subnet_of(&self, address: &Address) -> Option<usize> {
        let covering = |index: &usize| self.subnets[*index].0.contains(&address.to_ip());
        let len = |index: &usize| self.subnets[*index].0.prefix_len();
        (0..self.subnets.len()).filter(covering).max_by_key(len)
    }

    fn matches(&self, rule: &ModelRule, query: &Query) -> bool {
        let (source, destination) = match query.direction {
            Direction::Inbound => (&query.outside, &query.inside),
            Direction::Outbound => (&query.inside, &query.outside),
        };
        let among = |places: &[Place], address: &Address| {
            places.is_empty() || places.iter().any(|place| self.holds(place, address))
        };
        let selector = query.selector;
        let ports = |(first, last): &(u16, u16)| (*first..=*last).contains(&selector);
        rule.direction == query.direction
            && (rule.protocols.is_empty() || rule.protocols.contains(&query.protocol))
            && (rule.ports.is_empty() || rule.ports.iter().any(ports))
            && (rule.icmp_types.is_empty()
                || rule.icmp_types.iter().any(|kind| u16::from(*kind) == selector))
            && among(&rule.from, source)
            && among(&rule.to, destination)
    }

    fn holds(&self, place: &Place, address: &Address) -> bool {
        match place {
            Place::Prefix(prefix) => prefix.contains(&address.to_ip()),
            Place::List(list) => {
                self.lists[*list].iter().any(|prefix| prefix.contains(&address.to_ip()))
            }
        }
    }

    /// The policy as a configuration file.
    pub(super) fn to_toml(&self) -> String {
        let mut text = format!("[gateway]\ndefault_route = '{}'\n", self.default_route.name());
        for (index, list) in self.lists.iter().enumerate() {
            let prefixes: Vec<_> = list.iter().map(|prefix| format!("'{prefix}'")).collect();
            let prefixes = prefixes.join(", ");
            writeln!(text, "[prefix_list.l{index}]\nprefixes = [{prefixes}]").expect("memory");
        }
        for (index, (prefix, route)) in self.subnets.iter().enumerate() {
            let route = route.name();
            writeln!(text, "[[subnet]]\nname = 's{index}'\nprefix = '{prefix}'\nroute = '{route}'")
                .expect("memory");
        }
        for rule in &self.rules {
            rule.write_toml(&mut text);
        }
        text
    }
}

impl ModelRule {
    fn write_toml(&self, text: &mut String) {
        let places = |places: &[Place]| {
            let text = |place: &Place| match place {
                Place::Prefix(prefix) => format!("'{prefix}'"),
                Place::List(list) => format!("'@l{list}'"),
            };
            places.iter().map(text).collect::<Vec<_>>()
        };
        let port = |&(first, last): &(u16, u16)| {
            if first == last { first.to_string() } else { format!("'{first}-{last}'") }
        };
        let numbers = |numbers: &[u8]| numbers.iter().map(u8::to_string).collect::<Vec<_>>();
        let (direction, action) = (self.direction.name(), self.action.name());
        let (log, shadow) = (self.log, self.shadow);
        writeln!(text, "[[rule]]\ndirection = '{direction}'\naction = '{action}'\nlog = {log}")
            .expect("memory");
        writeln!(text, "shadow = {shadow}").expect("memory");
        for (key, values) in [
            ("proto", numbers(&self.protocols)),
            ("ports", self.ports.iter().map(port).collect()),
            ("icmp_types", numbers(&self.icmp_types)),
            ("from", places(&self.from)),
            ("to", places(&self.to)),
        ] {
            if !values.is_empty() {
                writeln!(text, "{key} = [{}]", values.join(", ")).expect("memory");
            }
        }
    }
}

fn same_family(prefix: &IpNet, address: &Address) -> bool {
    matches!(prefix, IpNet::V4(_)) == address.is_ipv4_mapped()
}
