//! The configuration file as written: typed values with their lines, not yet judged.

use gateway_common::{policy::Route, timeouts::TimeoutClass};
use toml::de::{DeTable, DeValue};

use super::{
    FlowLogSettings,
    cost::{self, RawCost},
    flow_log,
    metrics::RawMetrics,
    policy::{PolicyTables, RawPolicy, routes},
    problem::Problem,
    profile::{Profile, TIMEOUT_GROUPS},
    reader::{Lines, Located, TableReader, number_within},
    sizes::{TABLE_ENTRIES_MAX, TABLE_ENTRIES_MIN, TableSize},
};
use crate::datapath::HookChoice;

/// The longest timeout, in seconds: a year.
pub(super) const TIMEOUT_SECS_MAX: u32 = 365 * 24 * 60 * 60;

/// What one key of `[timeouts]` sets.
#[derive(Debug)]
pub(super) struct RawTimeout {
    pub(super) key: &'static str,
    /// The classes under this key; none is under another key of the same file.
    pub(super) classes: Vec<TimeoutClass>,
    pub(super) secs: Located<u32>,
}

/// Every value that the file sets.
#[derive(Debug, Default)]
pub(super) struct RawSettings {
    pub(super) name: Option<Located<String>>,
    pub(super) uplinks: Option<Vec<Located<String>>>,
    pub(super) hook: Option<Located<HookChoice>>,
    pub(super) default_route: Option<Located<Route>>,
    pub(super) profile: Option<Located<Profile>>,
    pub(super) half_open_max: Option<Located<TableSize>>,
    pub(super) established_max: Option<Located<TableSize>>,
    pub(super) half_open_per_host: Option<Located<TableSize>>,
    pub(super) established_per_host: Option<Located<TableSize>>,
    pub(super) timeouts: Vec<RawTimeout>,
    pub(super) ping: Option<Located<bool>>,
    pub(super) dhcp_client: Option<Located<bool>>,
    pub(super) redirects: Option<Located<bool>>,
    pub(super) pass_ethertypes: Vec<Located<u16>>,
    pub(super) martians_enabled: Option<Located<bool>>,
    pub(super) martians_except: Vec<Located<String>>,
    pub(super) policy: RawPolicy,
    pub(super) metrics: RawMetrics,
    pub(super) flow_log: Option<FlowLogSettings>,
    pub(super) cost: RawCost,
}

/// Reads `text`; complaints about syntax, keys and types go to `problems`.
pub(super) fn read(text: &str, problems: &mut Vec<Problem>) -> RawSettings {
    let lines = Lines::of(text);
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut syntax: Vec<_> = errors
        .iter()
        .map(|error| {
            let line = lines.line_at(error.span().map_or(0, |span| span.start));
            Problem::new(line, format!("invalid TOML: {}", error.message()))
        })
        .collect();
    // One slip often makes the parser stumble several times; the first stumble tells most.
    syntax.dedup_by_key(|problem| problem.line);

    let mut complaints = Vec::new();
    let raw = read_document(document.get_ref(), &lines, &mut complaints);
    // What the parser made of a broken line says nothing about its meaning.
    complaints.retain(|complaint| syntax.iter().all(|error| error.line != complaint.line));
    problems.append(&mut syntax);
    problems.append(&mut complaints);
    raw
}

fn read_document<'a>(
    document: &'a DeTable<'a>,
    lines: &'a Lines,
    problems: &mut Vec<Problem>,
) -> RawSettings {
    let mut root = TableReader::new(lines, "the configuration", Some(document), problems);
    let gateway = root.table("gateway", "[gateway]");
    let flows = root.table("flows", "[flows]");
    let timeouts = root.table("timeouts", "[timeouts]");
    let allow = root.table("allow", "[allow]");
    let link = root.table("link", "[link]");
    let martians = root.table("martians", "[martians]");
    let policy = PolicyTables::of(&mut root);
    let metrics = root.table("metrics", "[metrics]");
    let flow_log = root.table("flow_log", "[flow_log]").map(|table| (root.line("flow_log"), table));
    let cost = root.table("cost", "[cost]");
    root.finish();

    let mut raw = RawSettings::default();
    raw.read_gateway(TableReader::new(lines, "[gateway]", gateway, problems));
    raw.read_flows(TableReader::new(lines, "[flows]", flows, problems));
    raw.read_timeouts(TableReader::new(lines, "[timeouts]", timeouts, problems));
    raw.read_allow(TableReader::new(lines, "[allow]", allow, problems));
    raw.read_link(TableReader::new(lines, "[link]", link, problems));
    raw.read_martians(TableReader::new(lines, "[martians]", martians, problems));
    raw.policy = policy.read(lines, problems);
    raw.metrics = RawMetrics::read(lines, metrics, problems);
    raw.flow_log = flow_log.map(|(line, table)| {
        flow_log::read(line, TableReader::new(lines, "[flow_log]", Some(table), problems))
    });
    raw.cost = cost::read(lines, cost, problems);
    raw
}

impl RawSettings {
    fn read_gateway(&mut self, mut table: TableReader<'_, '_>) {
        self.name = table.string("name");
        self.uplinks = table.array("uplinks", "the name of an interface", string);
        self.hook = table.choice("hook");
        self.default_route = table.named("default_route", &routes());
        self.profile = table.choice("profile");
        table.finish();
    }

    fn read_flows(&mut self, mut table: TableReader<'_, '_>) {
        let entries = TABLE_ENTRIES_MIN..=TABLE_ENTRIES_MAX;
        self.half_open_max = table.size("half_open_max", &entries);
        self.established_max = table.size("established_max", &entries);
        let flows = 1..=TABLE_ENTRIES_MAX;
        self.half_open_per_host = table.size("half_open_per_host", &flows);
        self.established_per_host = table.size("established_per_host", &flows);
        table.finish();
    }

    fn read_timeouts(&mut self, mut table: TableReader<'_, '_>) {
        let mut read = |key, classes: Vec<TimeoutClass>| {
            if let Some(secs) = table.number(key, &(1..=TIMEOUT_SECS_MAX), "seconds") {
                self.timeouts.push(RawTimeout { key, classes, secs });
            }
        };
        for class in TimeoutClass::ALL {
            read(class.name(), vec![class]);
        }
        for (key, classes) in TIMEOUT_GROUPS {
            read(key, classes.to_vec());
        }
        table.finish();
        self.ungroup_timeouts();
    }

    /// Takes those classes out of the groups that have keys of their own.
    fn ungroup_timeouts(&mut self) {
        let own: Vec<_> = self.timeouts.iter().map(|timeout| timeout.key).collect();
        for RawTimeout { key, classes, .. } in &mut self.timeouts {
            classes.retain(|class| class.name() == *key || !own.contains(&class.name()));
        }
    }

    fn read_allow(&mut self, mut table: TableReader<'_, '_>) {
        self.ping = table.boolean("ping");
        self.dhcp_client = table.boolean("dhcp_client");
        self.redirects = table.boolean("redirects");
        table.finish();
    }

    fn read_link(&mut self, mut table: TableReader<'_, '_>) {
        let expected =
            "an ethertype from 0x0600 to 0xffff, as a number or a string like \"0x88b5\"";
        self.pass_ethertypes =
            table.array("pass_ethertypes", expected, ethertype).unwrap_or_default();
        table.finish();
    }

    fn read_martians(&mut self, mut table: TableReader<'_, '_>) {
        self.martians_enabled = table.boolean("enabled");
        let expected = "a prefix like \"2001:db8::/32\"";
        self.martians_except = table.array("except", expected, string).unwrap_or_default();
        table.finish();
    }
}

fn string(value: &DeValue<'_>) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// An ethertype in any notation. Smaller values are no ethertypes but lengths of 802.3 frames.
fn ethertype(value: &DeValue<'_>) -> Option<u16> {
    const RANGE: std::ops::RangeInclusive<u32> = 0x0600..=0xffff;
    let number = match value.as_str() {
        Some(text) => {
            let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
            u32::from_str_radix(digits, 16).ok().filter(|number| RANGE.contains(number))
        }
        None => number_within(value, &RANGE),
    };
    number.and_then(|number| u16::try_from(number).ok())
}
