//! Subnets, judged.

use gateway_common::limits::SUBNETS_MAX;
use ipnet::IpNet;

use super::{
    Subnet,
    lists::{check_name, matchable},
    raw::{RawPolicy, RawSubnet},
};
use crate::settings::{prefix, problem::Problem, reader::Located};

/// Judges the subnets; the valid ones remain.
pub(in super::super) fn subnets(raw: &RawPolicy, problems: &mut Vec<Problem>) -> Vec<Subnet> {
    let mut subnets: Vec<Subnet> = Vec::new();
    let mut names = Unique::default();
    let mut prefixes = Unique::default();
    for RawSubnet { line, name, prefix, route } in &raw.subnets {
        let name = name.as_ref().map(|Located { line, value }| {
            let checked = check_name(value)
                .and_then(|()| names.add(value.clone(), *line))
                .map_err(|why| Problem::new(*line, format!("'name' in [[subnet]]: {why}")));
            problems.extend(checked.err());
            value.clone()
        });
        let prefix = prefix.as_ref().and_then(|Located { line, value }| {
            subnet_prefix(value)
                .and_then(|prefix| prefixes.add(prefix, *line).map(|()| prefix))
                .map_err(|why| {
                    problems.push(Problem::new(*line, format!("'prefix' in [[subnet]]: {why}")));
                })
                .ok()
        });
        if let (Some(name), Some(prefix)) = (name, prefix) {
            subnets.push(Subnet { line: *line, name, prefix, route: *route });
        }
    }
    if let Some(excess) = subnets.get(SUBNETS_MAX) {
        let message = format!("[[subnet]]: a gateway has at most {SUBNETS_MAX} subnets");
        problems.push(Problem::new(excess.line, message));
    }
    subnets
}

/// Reads the prefix of a subnet.
fn subnet_prefix(text: &str) -> Result<IpNet, String> {
    let prefix = matchable(prefix::parse(text)?)?;
    if prefix.prefix_len() == 0 {
        return Err(format!(
            "{prefix} is every address, so that nothing would be outside; say what happens to \
             addresses of no subnet with 'default_route' in [gateway]"
        ));
    }
    Ok(prefix)
}

/// Values that must differ, with the lines on which they stand.
#[derive(Debug)]
pub(super) struct Unique<T>(std::collections::HashMap<T, usize>);

impl<T> Default for Unique<T> {
    fn default() -> Self {
        Self(std::collections::HashMap::new())
    }
}

impl<T: std::fmt::Display + Eq + std::hash::Hash> Unique<T> {
    /// Adds a value that stands on `line`, unless it was there before.
    pub(super) fn add(&mut self, value: T, line: usize) -> Result<(), String> {
        if let Some(before) = self.0.get(&value) {
            return Err(format!("{value} is used on line {before} already"));
        }
        self.0.insert(value, line);
        Ok(())
    }
}
