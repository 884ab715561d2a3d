//! Subnets, rules, lists and switches as written: typed values with their lines, not yet judged.

use std::ops::RangeInclusive;

use gateway_common::{
    policy::{Action, Route},
    tuple::Direction,
};
use toml::de::{DeTable, DeValue};

use super::super::{
    problem::Problem,
    reader::{Lines, Located, TableReader, number_within},
};
use crate::{protocol, settings::suggest::did_you_mean};

/// Every value of the policy that the file sets.
#[derive(Debug, Default)]
pub(in super::super) struct RawPolicy {
    pub(super) subnets: Vec<RawSubnet>,
    pub(super) rules: Vec<RawRule>,
    pub(super) lists: Vec<RawList>,
    pub(super) endpoint_independent_filtering: Option<Located<bool>>,
    pub(super) unsolicited_ipsec: Option<Located<bool>>,
    pub(super) delayed_reject: Option<Located<bool>>,
    pub(super) port_control: Option<Located<bool>>,
    pub(super) transparent: Option<Located<bool>>,
}

/// A `[[subnet]]`; what it has to have is missing only if that was complained about.
#[derive(Debug)]
pub(super) struct RawSubnet {
    pub(super) line: usize,
    pub(super) name: Option<Located<String>>,
    pub(super) prefix: Option<Located<String>>,
    pub(super) route: Route,
}

/// A `[[rule]]`; where it has no direction or no action, any stands for it and there was a
/// complaint.
#[derive(Debug)]
pub(super) struct RawRule {
    pub(super) line: usize,
    pub(super) name: Option<Located<String>>,
    pub(super) direction: Direction,
    pub(super) action: Action,
    /// What is no protocol is missing here.
    pub(super) protocols: Option<Located<Vec<u8>>>,
    pub(super) ports: Option<Vec<Located<RangeInclusive<u16>>>>,
    pub(super) icmp_types: Option<Vec<Located<RangeInclusive<u16>>>>,
    pub(super) from: Vec<Located<String>>,
    pub(super) to: Vec<Located<String>>,
    pub(super) log: bool,
    pub(super) shadow: bool,
}

/// A `[prefix_list.NAME]`.
#[derive(Debug)]
pub(super) struct RawList {
    pub(super) line: usize,
    pub(super) name: String,
    pub(super) prefixes: Option<Vec<Located<String>>>,
    pub(super) file: Option<Located<String>>,
}

/// The names of routes.
pub(in super::super) fn routes() -> [(&'static str, Route); 3] {
    Route::ALL.map(|route| (route.name(), route))
}

/// The tables of the policy, which `root` has.
pub(in super::super) struct PolicyTables<'a> {
    subnets: Vec<Located<&'a DeTable<'a>>>,
    rules: Vec<Located<&'a DeTable<'a>>>,
    lists: Vec<(&'a str, Located<&'a DeTable<'a>>)>,
    rfc6092: Option<&'a DeTable<'a>>,
}

impl<'a> PolicyTables<'a> {
    /// Finds the tables.
    pub(in super::super) fn of(root: &mut TableReader<'a, '_>) -> Self {
        Self {
            subnets: root.tables("subnet", "[[subnet]]"),
            rules: root.tables("rule", "[[rule]]"),
            lists: root.named_tables("prefix_list", "[prefix_list.NAME]"),
            rfc6092: root.table("rfc6092", "[rfc6092]"),
        }
    }

    /// Reads them; complaints go to `problems`.
    pub(in super::super) fn read(self, lines: &'a Lines, problems: &mut Vec<Problem>) -> RawPolicy {
        let mut raw = RawPolicy::default();
        for Located { line, value } in self.subnets {
            let table = TableReader::new(lines, "[[subnet]]", Some(value), problems);
            raw.subnets.push(read_subnet(line, table));
        }
        for Located { line, value } in self.rules {
            let table = TableReader::new(lines, "[[rule]]", Some(value), problems);
            raw.rules.push(read_rule(line, table));
        }
        for (name, Located { line, value }) in self.lists {
            let heading = format!("[prefix_list.{name}]");
            let table = TableReader::new(lines, heading, Some(value), problems);
            raw.lists.push(read_list(line, name, table));
        }
        raw.read_rfc6092(TableReader::new(lines, "[rfc6092]", self.rfc6092, problems));
        raw
    }
}

impl RawPolicy {
    fn read_rfc6092(&mut self, mut table: TableReader<'_, '_>) {
        self.endpoint_independent_filtering = table.boolean("endpoint_independent_filtering");
        self.unsolicited_ipsec = table.boolean("unsolicited_ipsec");
        self.delayed_reject = table.boolean("delayed_reject");
        self.port_control = table.boolean("port_control");
        self.transparent = table.boolean("transparent");
        table.finish();
    }
}

fn read_subnet(line: usize, mut table: TableReader<'_, '_>) -> RawSubnet {
    let name = table.string("name");
    let prefix = table.string("prefix");
    let route = table.named("route", &routes()).map(|route| route.value).unwrap_or_default();
    table.require(line, "name");
    table.require(line, "prefix");
    table.finish();
    RawSubnet { line, name, prefix, route }
}

fn read_rule(line: usize, mut table: TableReader<'_, '_>) -> RawRule {
    let directions = Direction::ALL.map(|direction| (direction.name(), direction));
    let actions = [Action::Allow, Action::Deny].map(|action| (action.name(), action));
    let raw = RawRule {
        line,
        name: table.string("name"),
        direction: table.named("direction", &directions).map_or(directions[0].1, |it| it.value),
        action: table.named("action", &actions).map_or(Action::Deny, |action| action.value),
        protocols: read_protocols(&mut table),
        ports: table.one_or_more(
            "ports",
            "a port from 0 to 65535 or a range like \"8000-8100\", lower end first",
            |value| range(value, u16::MAX),
        ),
        icmp_types: table.one_or_more(
            "icmp_types",
            "a type from 0 to 255 or a range like \"128-129\", lower end first",
            |value| range(value, u16::from(u8::MAX)),
        ),
        from: read_addresses(&mut table, "from"),
        to: read_addresses(&mut table, "to"),
        log: table.boolean("log").is_some_and(|log| log.value),
        shadow: table.boolean("shadow").is_some_and(|shadow| shadow.value),
    };
    table.require(line, "direction");
    table.require(line, "action");
    table.finish();
    raw
}

fn read_list(line: usize, name: &str, mut table: TableReader<'_, '_>) -> RawList {
    let prefixes = table.array("prefixes", "a prefix like \"2001:db8::/32\"", text);
    let file = table.string("file");
    table.finish();
    RawList { line, name: name.to_owned(), prefixes, file }
}

fn read_addresses(table: &mut TableReader<'_, '_>, key: &'static str) -> Vec<Located<String>> {
    let expected = "a prefix like \"2001:db8::/32\" or a list like \"@bogons\"";
    table.one_or_more(key, expected, text).unwrap_or_default()
}

/// The protocols of a rule; `None` for every one.
fn read_protocols(table: &mut TableReader<'_, '_>) -> Option<Located<Vec<u8>>> {
    let names = table.one_or_more("proto", "a protocol's name or number", |value| {
        let number =
            number_within(value, &(0..=u32::from(u8::MAX))).map(|number| number.to_string());
        number.or_else(|| value.as_str().map(str::to_owned))
    })?;
    let line = names.first()?.line;
    if names.len() == 1 && names[0].value == "any" {
        return None;
    }
    let mut protocols = Vec::new();
    for Located { line, value } in names {
        match protocol::parse(&value) {
            Ok(number) => protocols.push(number),
            Err(why) => {
                let hint = did_you_mean(&value, protocol::names());
                let message = if hint.is_empty() {
                    format!("'proto' in [[rule]]: '{value}' is {why}")
                } else {
                    format!("'proto' in [[rule]]: '{value}' is not a protocol{hint}")
                };
                table.complain(line, message);
            }
        }
    }
    protocols.sort_unstable();
    protocols.dedup();
    Some(Located { line, value: protocols })
}

fn text(value: &DeValue<'_>) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// A number up to `max`, or two with a hyphen between them.
fn range(value: &DeValue<'_>, max: u16) -> Option<RangeInclusive<u16>> {
    let Some(text) = value.as_str() else {
        let number = u16::try_from(number_within(value, &(0..=u32::from(max)))?).ok()?;
        return Some(number..=number);
    };
    let number = |text: &str| text.trim().parse().ok().filter(|number| *number <= max);
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range = number(first)?..=number(last)?;
    (!range.is_empty()).then_some(range)
}
