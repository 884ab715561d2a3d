//! Reads typed values out of a TOML table, remembers on which line each stands, and collects
//! every complaint instead of stopping at the first.

use std::{borrow::Cow, collections::BTreeSet, ops::RangeInclusive};

use clap::ValueEnum;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{problem::Problem, sizes::TableSize, suggest::did_you_mean};

/// A value and the line it stands on, counted from one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Located<T> {
    pub(super) line: usize,
    pub(super) value: T,
}

/// Where the lines of a text begin.
pub(super) struct Lines(Vec<usize>);

impl Lines {
    pub(super) fn of(text: &str) -> Self {
        let after_breaks = text.match_indices('\n').map(|(offset, _)| offset + 1);
        Self(std::iter::once(0).chain(after_breaks).collect())
    }

    /// The line of the byte at `offset`, counted from one.
    pub(super) fn line_at(&self, offset: usize) -> usize {
        self.0.partition_point(|&start| start <= offset)
    }

    fn line_of<T>(&self, spanned: &Spanned<T>) -> usize {
        self.line_at(spanned.span().start)
    }
}

/// One table while it is read. Every getter names a key that the table may have;
/// [`TableReader::finish`] complains about all others.
pub(super) struct TableReader<'a, 'p> {
    lines: &'a Lines,
    /// How people write the table's heading, such as `[gateway]`.
    heading: Cow<'static, str>,
    table: Option<&'a DeTable<'a>>,
    known: BTreeSet<&'static str>,
    problems: &'p mut Vec<Problem>,
}

impl<'a, 'p> TableReader<'a, 'p> {
    /// A reader of `table`; of an absent one every value is absent.
    pub(super) fn new(
        lines: &'a Lines,
        heading: impl Into<Cow<'static, str>>,
        table: Option<&'a DeTable<'a>>,
        problems: &'p mut Vec<Problem>,
    ) -> Self {
        Self { lines, heading: heading.into(), table, known: BTreeSet::new(), problems }
    }

    /// `true` or `false`.
    pub(super) fn boolean(&mut self, key: &'static str) -> Option<Located<bool>> {
        self.take(key, "true or false", DeValue::as_bool)
    }

    /// Any string.
    pub(super) fn string(&mut self, key: &'static str) -> Option<Located<String>> {
        self.take(key, "a string", |value| value.as_str().map(str::to_owned))
    }

    /// A whole number within `range` of `unit`.
    pub(super) fn number(
        &mut self,
        key: &'static str,
        range: &RangeInclusive<u32>,
        unit: &str,
    ) -> Option<Located<u32>> {
        let expected =
            format!("a whole number of {unit} from {} to {}", range.start(), range.end());
        self.take(key, &expected, |value| number_within(value, range))
    }

    /// A number within `range`, with or without a fraction.
    pub(super) fn decimal(
        &mut self,
        key: &'static str,
        range: &RangeInclusive<f64>,
    ) -> Option<Located<f64>> {
        let expected = format!("a number from {} to {}", range.start(), range.end());
        self.take(key, &expected, |value| {
            let number = match value {
                DeValue::Float(number) => number.as_str().parse().ok(),
                DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                    .ok()
                    .and_then(|number| i32::try_from(number).ok())
                    .map(f64::from),
                DeValue::String(_)
                | DeValue::Boolean(_)
                | DeValue::Datetime(_)
                | DeValue::Array(_)
                | DeValue::Table(_) => None,
            };
            number.filter(|number| range.contains(number))
        })
    }

    /// `"auto"` or a whole number of entries within `range`.
    pub(super) fn size(
        &mut self,
        key: &'static str,
        range: &RangeInclusive<u32>,
    ) -> Option<Located<TableSize>> {
        let expected =
            format!("\"auto\" or a whole number from {} to {}", range.start(), range.end());
        self.take(key, &expected, |value| match value.as_str() {
            Some("auto") => Some(TableSize::Auto),
            _ => number_within(value, range).map(TableSize::Entries),
        })
    }

    /// One of the names of `T`.
    pub(super) fn choice<T: ValueEnum + Clone>(&mut self, key: &'static str) -> Option<Located<T>> {
        let named = |value: &T| value.to_possible_value().map(|name| name.get_name().to_owned());
        let choices: Vec<_> = T::value_variants()
            .iter()
            .filter_map(|value| Some((named(value)?, value.clone())))
            .collect();
        self.named(key, &choices)
    }

    /// One of `choices`, by its name.
    pub(super) fn named<T: Clone>(
        &mut self,
        key: &'static str,
        choices: &[(impl AsRef<str>, T)],
    ) -> Option<Located<T>> {
        let Located { line, value } = self.string(key)?;
        if let Some((_, choice)) = choices.iter().find(|(name, _)| name.as_ref() == value) {
            return Some(Located { line, value: choice.clone() });
        }
        let names: Vec<_> = choices.iter().map(|(name, _)| name.as_ref()).collect();
        let expected = names.join("\", \"");
        let hint = did_you_mean(&value, names);
        self.complain(
            line,
            format!(
                "'{key}' in {} must be one of \"{expected}\", not \"{value}\"{hint}",
                self.heading
            ),
        );
        None
    }

    /// An array whose elements `convert` accepts; `expected` describes one element.
    pub(super) fn array<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        convert: impl Fn(&DeValue<'_>) -> Option<T>,
    ) -> Option<Vec<Located<T>>> {
        let (line, value) = self.value(key)?;
        let Some(elements) = value.as_array() else {
            self.wrong(key, line, &format!("an array, each element {expected}"), value);
            return None;
        };
        Some(self.elements(key, expected, elements.iter(), convert))
    }

    /// One value that `convert` accepts, or an array of them with at least one; `expected`
    /// describes one.
    pub(super) fn one_or_more<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        convert: impl Fn(&DeValue<'_>) -> Option<T>,
    ) -> Option<Vec<Located<T>>> {
        let (line, value) = self.value(key)?;
        let Some(elements) = value.as_array() else {
            return self.take(key, expected, convert).map(|only| vec![only]);
        };
        if elements.is_empty() {
            let message = format!(
                "'{key}' in {} is empty, so that nothing would match; remove it to match \
                 everything",
                self.heading
            );
            self.complain(line, message);
        }
        Some(self.elements(key, expected, elements.iter(), convert))
    }

    fn elements<'e, T>(
        &mut self,
        key: &str,
        expected: &str,
        elements: impl Iterator<Item = &'e Spanned<DeValue<'e>>>,
        convert: impl Fn(&DeValue<'_>) -> Option<T>,
    ) -> Vec<Located<T>> {
        let mut converted = Vec::new();
        for element in elements {
            let line = self.lines.line_of(element);
            match convert(element.get_ref()) {
                Some(value) => converted.push(Located { line, value }),
                None => self.complain(
                    line,
                    format!(
                        "each element of '{key}' in {} must be {expected}, not {}",
                        self.heading,
                        describe(element.get_ref())
                    ),
                ),
            }
        }
        converted
    }

    /// A table below this one, with the heading that people write for it.
    pub(super) fn table(
        &mut self,
        key: &'static str,
        heading: &'static str,
    ) -> Option<&'a DeTable<'a>> {
        let (line, value) = self.value(key)?;
        let table = value.as_table();
        if table.is_none() {
            self.complain(
                line,
                format!(
                    "'{key}' must be a table with the heading {heading}, not {}",
                    describe(value)
                ),
            );
        }
        table
    }

    /// The line of a key, or the first one.
    pub(super) fn line(&self, key: &str) -> usize {
        let named = self.table.and_then(|table| table.get_key_value(key));
        named.map_or(1, |(name, _)| self.lines.line_of(name))
    }

    /// The tables of an array, with the heading that people write for each of them.
    pub(super) fn tables(
        &mut self,
        key: &'static str,
        heading: &str,
    ) -> Vec<Located<&'a DeTable<'a>>> {
        let Some((line, value)) = self.value(key) else { return Vec::new() };
        let elements = value.as_array().map(|elements| {
            elements
                .iter()
                .map(|element| Some((self.lines.line_of(element), element.get_ref().as_table()?)))
                .collect::<Option<Vec<_>>>()
        });
        if let Some(Some(tables)) = elements {
            return tables.into_iter().map(|(line, value)| Located { line, value }).collect();
        }
        self.complain(line, format!("'{key}' must be tables with the heading {heading} each"));
        Vec::new()
    }

    /// The tables below this one whose names the author chooses, with these.
    pub(super) fn named_tables(
        &mut self,
        key: &'static str,
        heading: &'static str,
    ) -> Vec<(&'a str, Located<&'a DeTable<'a>>)> {
        let Some(tables) = self.table(key, heading) else { return Vec::new() };
        let mut named = Vec::new();
        for (name, value) in tables {
            let (line, name) = (self.lines.line_of(name), name.get_ref().as_ref());
            match value.get_ref().as_table() {
                Some(table) => named.push((name, Located { line, value: table })),
                None => self.complain(
                    line,
                    format!(
                        "'{key}.{name}' must be a table with the heading [{key}.{name}], not {}",
                        describe(value.get_ref())
                    ),
                ),
            }
        }
        named.sort_by_key(|(_, table)| table.line);
        named
    }

    /// Complains if the table, which begins on `line`, lacks a key that it has to have.
    pub(super) fn require(&mut self, line: usize, key: &'static str) {
        if self.table.is_some_and(|table| !table.contains_key(key)) {
            self.complain(line, format!("'{key}' is missing in {}", self.heading));
        }
    }

    /// Adds a complaint about `line`.
    pub(super) fn complain(&mut self, line: usize, message: String) {
        self.problems.push(Problem { line, message });
    }

    /// Complains about every key that no getter asked for.
    pub(super) fn finish(self) {
        let unknown = self.table.into_iter().flatten();
        for (name, _) in unknown.filter(|(name, _)| !self.known.contains(name.get_ref().as_ref())) {
            let hint = did_you_mean(name.get_ref(), self.known.iter().copied());
            self.problems.push(Problem {
                line: self.lines.line_of(name),
                message: format!("unknown key '{}' in {}{hint}", name.get_ref(), self.heading),
            });
        }
    }

    /// The value of a key that `convert` accepts; `expected` describes it.
    pub(super) fn take<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        convert: impl FnOnce(&DeValue<'a>) -> Option<T>,
    ) -> Option<Located<T>> {
        let (line, value) = self.value(key)?;
        let converted = convert(value);
        if converted.is_none() {
            self.wrong(key, line, expected, value);
        }
        converted.map(|value| Located { line, value })
    }

    fn value(&mut self, key: &'static str) -> Option<(usize, &'a DeValue<'a>)> {
        self.known.insert(key);
        let value = self.table?.get(key)?;
        Some((self.lines.line_of(value), value.get_ref()))
    }

    fn wrong(&mut self, key: &str, line: usize, expected: &str, found: &DeValue<'_>) {
        let message =
            format!("'{key}' in {} must be {expected}, not {}", self.heading, describe(found));
        self.complain(line, message);
    }
}

/// A whole number within `range`, in any of TOML's notations.
pub(super) fn number_within(value: &DeValue<'_>, range: &RangeInclusive<u32>) -> Option<u32> {
    let integer = value.as_integer()?;
    let number = u32::from_str_radix(integer.as_str(), integer.radix()).ok()?;
    range.contains(&number).then_some(number)
}

/// A value as a complaint quotes it.
pub(super) fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the string \"{}\"", text.escape_debug()),
        DeValue::Integer(number) => format!("the number {number}"),
        DeValue::Float(number) => format!("the fraction {number}"),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(value) => format!("the date {value}"),
        DeValue::Array(_) => "an array".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}
