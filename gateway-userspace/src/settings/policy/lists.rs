//! Named lists of prefixes, inline or from files.

use std::path::Path;

use ipnet::IpNet;

use super::{
    PrefixList,
    raw::{RawList, RawPolicy},
};
use crate::settings::{
    prefix::{self, MAPPED},
    problem::Problem,
    reader::Located,
};

/// Complaints about one file; a file of another kind would have one for each line.
const COMPLAINTS_MAX: usize = 10;

/// The longest name of a list, a subnet or a rule, in bytes.
const NAME_LEN_MAX: usize = 64;

/// Reads the lists; files stand in `directory` unless they are named by an absolute path. Every
/// list keeps its place, also one that is wrong, so that rules that name it find it.
pub(in super::super) fn lists(
    raw: &RawPolicy,
    directory: &Path,
    problems: &mut Vec<Problem>,
) -> Vec<PrefixList> {
    raw.lists.iter().map(|list| read(list, directory, problems)).collect()
}

fn read(raw: &RawList, directory: &Path, problems: &mut Vec<Problem>) -> PrefixList {
    let RawList { line, name, prefixes, file } = raw;
    if let Err(why) = check_name(name) {
        problems.push(Problem::new(*line, format!("the prefix list {why}")));
    }
    let mut list = PrefixList { line: *line, name: name.clone(), prefixes: Vec::new(), file: None };
    match (prefixes, file) {
        (Some(prefixes), None) => {
            for Located { line, value } in prefixes {
                match element(value) {
                    Ok(prefix) => list.prefixes.extend(prefix),
                    Err(why) => {
                        let message = format!("'prefixes' in [prefix_list.{name}]: {why}");
                        problems.push(Problem::new(*line, message));
                    }
                }
            }
        }
        (None, Some(Located { line, value })) => {
            let path = directory.join(value);
            match from_file(&path) {
                Ok(prefixes) => list.prefixes = prefixes,
                Err(complaints) => problems.extend(complaints.into_iter().map(|why| {
                    Problem::new(*line, format!("'file' in [prefix_list.{name}]: {why}"))
                })),
            }
            list.file = Some(path);
        }
        (None, None) => problems.push(Problem::new(
            *line,
            format!("[prefix_list.{name}] has neither 'prefixes' nor 'file'"),
        )),
        (Some(_), Some(Located { line, .. })) => problems.push(Problem::new(
            *line,
            format!("[prefix_list.{name}] has both 'prefixes' and 'file'; keep one of them"),
        )),
    }
    list
}

/// Reads a file with one prefix on a line; `#` begins a comment.
fn from_file(path: &Path) -> Result<Vec<IpNet>, Vec<String>> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| vec![format!("cannot read {}: {error}", path.display())])?;
    let mut prefixes = Vec::new();
    let mut complaints = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let content = line.split_once('#').map_or(line, |(content, _)| content).trim();
        if content.is_empty() {
            continue;
        }
        match element(content) {
            Ok(prefix) => prefixes.extend(prefix),
            Err(why) => complaints.push((index + 1, why)),
        }
    }
    if complaints.is_empty() {
        return Ok(prefixes);
    }
    let more = complaints.len().saturating_sub(COMPLAINTS_MAX);
    let mut texts: Vec<_> = complaints
        .into_iter()
        .take(COMPLAINTS_MAX)
        .map(|(line, why)| format!("{}:{line}: {why}", path.display()))
        .collect();
    if more > 0 {
        texts.push(format!("{}: {more} more lines are wrong", path.display()));
    }
    Err(texts)
}

/// Reads a prefix of a list. Lists of prefixes that must not be on the Internet name the mapped
/// addresses, which never get as far as the rules; they are left out.
fn element(text: &str) -> Result<Option<IpNet>, String> {
    match prefix::parse(text)? {
        IpNet::V6(MAPPED) => Ok(None),
        prefix @ (IpNet::V4(_) | IpNet::V6(_)) => matchable(prefix).map(Some),
    }
}

/// Refuses prefixes of IPv4-mapped addresses. A shorter IPv6 prefix means native IPv6 only.
pub(super) fn matchable(prefix: IpNet) -> Result<IpNet, String> {
    match prefix {
        IpNet::V6(v6) if MAPPED.contains(&v6) => Err(format!(
            "{prefix} covers IPv4-mapped addresses only, which never pass; write IPv4 prefixes as \
             such"
        )),
        IpNet::V4(_) | IpNet::V6(_) => Ok(prefix),
    }
}

/// Checks a name that people and monitoring will use.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    if name.is_empty() || name.len() > NAME_LEN_MAX || !name.chars().all(allowed) {
        return Err(format!(
            "'{name}' is not a valid name: use 1 to {NAME_LEN_MAX} ASCII letters, digits, '.', \
             '_' and '-'"
        ));
    }
    Ok(())
}
