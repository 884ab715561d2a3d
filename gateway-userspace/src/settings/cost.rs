//! `[cost]`: what bytes that leave cost, by where they go.

use std::collections::HashMap;

use ipnet::IpNet;
use toml::de::{DeTable, DeValue};

use super::{
    policy::check_name,
    prefix,
    problem::Problem,
    reader::{Lines, Located, TableReader},
};

/// The most classes of destinations.
pub const COST_CLASSES_MAX: usize = 256;
/// The most prefixes of one class.
pub const COST_PREFIXES_MAX: usize = 4096;
/// The longest name of a currency, in letters.
const CURRENCY_LEN_MAX: usize = 16;
/// The highest price of a GB.
const PER_GB_MAX: f64 = 1_000_000.0;
/// The parts of a unit of money in which prices are kept.
const NANOS: f64 = 1e9;

/// The price of a GB, which is 10⁹ bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    /// Billionths of a unit of the currency.
    pub nanos_per_gb: u64,
}

/// What bytes that leave cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// The price wherever no class has its own.
    pub per_gb: Option<Price>,
    /// What prices are in, for people.
    pub currency: String,
    /// Classes of destinations, in the order of the file; no two have a name or a prefix in common.
    pub classes: Vec<CostClass>,
}

impl Cost {
    /// Whether anything has a price.
    #[must_use]
    pub fn is_priced(&self) -> bool {
        self.per_gb.is_some() || self.classes.iter().any(|class| class.per_gb.is_some())
    }
}

/// Destinations that are accounted for under one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CostClass {
    /// The name.
    pub name: String,
    /// The addresses. Of all classes' prefixes that hold an address the longest one counts.
    pub prefixes: Vec<IpNet>,
    /// The price, if it is not the usual one.
    pub per_gb: Option<Price>,
}

/// `[cost]` as written.
#[derive(Debug, Default)]
pub(super) struct RawCost {
    per_gb: Option<Located<f64>>,
    currency: Option<Located<String>>,
    classes: Vec<RawClass>,
}

/// A `[[cost.prefix]]`; what it has to have is missing only if that was complained about.
#[derive(Debug)]
struct RawClass {
    line: usize,
    name: Option<Located<String>>,
    prefixes: Vec<Located<String>>,
    per_gb: Option<Located<f64>>,
}

/// Reads the table; complaints go to `problems`.
pub(super) fn read<'a>(
    lines: &'a Lines,
    table: Option<&'a DeTable<'a>>,
    problems: &mut Vec<Problem>,
) -> RawCost {
    let mut table = TableReader::new(lines, "[cost]", table, problems);
    let per_gb = table.decimal("per_gb", &(0.0..=PER_GB_MAX));
    let currency = table.string("currency");
    let classes = table.tables("prefix", "[[cost.prefix]]");
    table.finish();
    let classes = classes.into_iter().map(|Located { line, value }| {
        let table = TableReader::new(lines, "[[cost.prefix]]", Some(value), problems);
        read_class(line, table)
    });
    RawCost { per_gb, currency, classes: classes.collect() }
}

fn read_class(line: usize, mut table: TableReader<'_, '_>) -> RawClass {
    let text = |value: &DeValue<'_>| value.as_str().map(str::to_owned);
    let name = table.string("name");
    let prefixes = table.one_or_more("prefixes", "a prefix like \"2001:db8::/32\"", text);
    let per_gb = table.decimal("per_gb", &(0.0..=PER_GB_MAX));
    table.require(line, "name");
    table.require(line, "prefixes");
    table.finish();
    RawClass { line, name, prefixes: prefixes.unwrap_or_default(), per_gb }
}

/// Judges `[cost]`.
pub(super) fn validate(raw: &RawCost, problems: &mut Vec<Problem>) -> Cost {
    let mut cost = Cost { per_gb: raw.per_gb.as_ref().map(price), ..Cost::default() };
    if let Some(Located { line, value }) = &raw.currency {
        if value.chars().count() > CURRENCY_LEN_MAX || value.chars().any(char::is_control) {
            let message = format!(
                "'currency' in [cost] must be at most {CURRENCY_LEN_MAX} printable letters"
            );
            problems.push(Problem::new(*line, message));
        }
        cost.currency.clone_from(value);
    }
    let mut names: HashMap<&str, usize> = HashMap::new();
    let mut taken: HashMap<IpNet, usize> = HashMap::new();
    for class in &raw.classes {
        let RawClass { line, name, prefixes, per_gb } = class;
        if let Some(Located { line, value }) = name {
            let complaint = check_name(value).err().or_else(|| {
                let before = names.insert(value, *line)?;
                Some(format!("'{value}' is used on line {before} already"))
            });
            let complaint = complaint.map(|why| format!("'name' in [[cost.prefix]]: {why}"));
            problems.extend(complaint.map(|why| Problem::new(*line, why)));
        }
        if prefixes.len() > COST_PREFIXES_MAX {
            let message = format!(
                "'prefixes' in [[cost.prefix]]: {} are too many; {COST_PREFIXES_MAX} are possible",
                prefixes.len()
            );
            problems.push(Problem::new(*line, message));
        }
        let name = name.as_ref().map(|name| name.value.clone()).unwrap_or_default();
        let prefixes = valid_prefixes(prefixes, &mut taken, problems);
        cost.classes.push(CostClass { name, prefixes, per_gb: per_gb.as_ref().map(price) });
    }
    if let Some(excess) = raw.classes.get(COST_CLASSES_MAX) {
        let message = format!("[[cost.prefix]]: there can be at most {COST_CLASSES_MAX}");
        problems.push(Problem::new(excess.line, message));
    }
    cost
}

fn valid_prefixes(
    texts: &[Located<String>],
    taken: &mut HashMap<IpNet, usize>,
    problems: &mut Vec<Problem>,
) -> Vec<IpNet> {
    let mut prefixes = Vec::new();
    for Located { line, value } in texts {
        let checked = prefix::parse(value).and_then(|prefix| match taken.insert(prefix, *line) {
            Some(before) => Err(format!("{prefix} is used on line {before} already")),
            None => Ok(prefix),
        });
        match checked {
            Ok(prefix) => prefixes.push(prefix),
            Err(why) => {
                let message = format!("'prefixes' in [[cost.prefix]]: {why}");
                problems.push(Problem::new(*line, message));
            }
        }
    }
    prefixes
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "prices are neither negative nor beyond what a fraction holds exactly"
)]
fn price(per_gb: &Located<f64>) -> Price {
    Price { nanos_per_gb: (per_gb.value * NANOS).round() as u64 }
}

#[cfg(test)]
mod tests {
    use super::{super::Settings, *};

    #[test]
    fn prices_are_exact() {
        let cost = parse(
            "[cost]\nper_gb = 0.09\ncurrency = 'USD'\n[[cost.prefix]]\nname = 'peering'\n\
             prefixes = ['198.51.100.0/24', '2a00:9::/32']\nper_gb = 0\n[[cost.prefix]]\n\
             name = 'office'\nprefixes = '192.0.2.7'\n",
        )
        .expect("valid");
        assert_eq!(cost.per_gb, Some(Price { nanos_per_gb: 90_000_000 }));
        assert_eq!(cost.currency, "USD");
        let [peering, office] = cost.classes.as_slice() else { panic!("{cost:?}") };
        assert_eq!((peering.name.as_str(), peering.prefixes.len()), ("peering", 2));
        assert_eq!(peering.per_gb, Some(Price { nanos_per_gb: 0 }));
        assert_eq!(
            (office.per_gb, office.prefixes[0].to_string().as_str()),
            (None, "192.0.2.7/32")
        );
        assert!(cost.is_priced() && !Cost::default().is_priced());
        assert_eq!(parse("").expect("valid"), Cost::default());
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, line, complaint) in [
            ("[cost]\nper_gb = -1\n", 2, "'per_gb' in [cost] must be a number from 0 to 1000000"),
            ("[cost]\nper_gb = 'free'\n", 2, "not the string \"free\""),
            ("[cost]\nper_gb = nan\n", 2, "'per_gb' in [cost] must be a number"),
            ("[cost]\nprice = 1\n", 2, "unknown key 'price' in [cost]"),
            ("[cost]\ncurrency = 'a whole sentence of words'\n", 2, "at most 16 printable"),
            ("[[cost.prefix]]\nprefixes = ['192.0.2.0/24']\n", 1, "'name' is missing"),
            ("[[cost.prefix]]\nname = 'a'\n", 1, "'prefixes' is missing"),
            ("[[cost.prefix]]\nname = 'a b'\nprefixes = '192.0.2.1'\n", 2, "not a valid name"),
            ("[[cost.prefix]]\nname = 'a'\nprefixes = '192.0.2.1/24'\n", 3, "bits set behind"),
            (
                "[[cost.prefix]]\nname = 'a'\nprefixes = '192.0.2.1'\n[[cost.prefix]]\nname = \
                 'a'\nprefixes = '192.0.2.1/32'\n",
                5,
                "'a' is used on line 2 already",
            ),
        ] {
            let problems = parse(text).expect_err(text);
            let found = problems
                .iter()
                .any(|problem| problem.line == line && problem.message.contains(complaint));
            assert!(found, "{text}: {problems:?}");
        }
    }

    fn parse(text: &str) -> Result<Cost, Vec<Problem>> {
        Settings::parse(text, 1 << 30).map(|(settings, _)| settings.cost)
    }
}
