//! The requirements that the gateway is measured against, and who cites them.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::rows;

/// Which mode of operation a requirement applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Applies {
    /// The egress-only filter.
    #[serde(rename = "F")]
    Filter,
    /// The filter and NAT44 alike.
    #[serde(rename = "FN")]
    FilterAndNat,
    /// NAT44 only.
    #[serde(rename = "N")]
    Nat,
    /// Not to this design.
    #[serde(rename = "n.a.")]
    Never,
}

/// How much a requirement matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Nothing is released without it.
    Must,
    /// On by default unless it is costly.
    Should,
    /// An option, or a matter of documentation.
    Extra,
}

/// A line of `docs/requirements.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// Its id, by which tests cite it.
    pub id: String,
    /// What it applies to.
    pub applies: Applies,
    /// How much it matters.
    pub priority: Priority,
    /// What it is about.
    pub title: String,
}

impl Requirement {
    /// Whether a release of the filter is measured by it.
    #[must_use]
    pub fn is_due(&self) -> bool {
        matches!(self.applies, Applies::Filter | Applies::FilterAndNat)
            && matches!(self.priority, Priority::Must | Priority::Should)
    }
}

/// The requirements, in the order of the file.
///
/// # Panics
/// If the file cannot be read or understood.
#[must_use]
pub fn load() -> Vec<Requirement> {
    let path = workspace().join("docs/requirements.toml");
    let text = read(&path);
    let groups: toml::Table =
        toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    // The table is sorted by name; the file's order is that of its lines.
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(name, _)| text.find(&format!("\n{name} =")));
    let lines = groups.into_iter().flat_map(|(name, lines)| {
        lines
            .try_into::<Vec<(String, Applies, Priority, String)>>()
            .unwrap_or_else(|error| panic!("{}: {name}: {error}", path.display()))
    });
    lines
        .map(|(id, applies, priority, title)| Requirement { id, applies, priority, title })
        .collect()
}

/// The ids that rows cite.
#[must_use]
pub fn cited_by_rows() -> BTreeSet<String> {
    rows::all().iter().flat_map(|row| row.ids).map(ToString::to_string).collect()
}

/// The ids that comments of tests cite: of the end-to-end tests and of the units of the packet
/// logic. Comments elsewhere explain what the code does; they prove nothing.
///
/// # Panics
/// If a file cannot be read.
#[must_use]
pub fn cited_in_comments() -> BTreeSet<String> {
    let known: BTreeSet<String> = load().into_iter().map(|requirement| requirement.id).collect();
    let mut cited = BTreeSet::new();
    for directory in ["tests/tests", "gateway-common/src"] {
        for file in rust_files(&workspace().join(directory)) {
            let text = read(&file);
            let comments = text.lines().filter(|line| line.trim_start().starts_with("//"));
            cited.extend(
                comments.flat_map(words).filter(|word| known.contains(*word)).map(Into::into),
            );
        }
    }
    cited
}

/// What could be ids in a line.
fn words(line: &str) -> impl Iterator<Item = &str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-./…".contains(c);
    line.split(move |c| !is_part(c)).map(|word| word.trim_end_matches('.'))
}

fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory)
        .unwrap_or_else(|error| panic!("list {}: {error}", directory.display()));
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.expect("a directory can be read to its end").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()))
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests lies in the workspace").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_the_file_is_whole() {
        let requirements = load();
        let ids: BTreeSet<_> = requirements.iter().map(|requirement| &requirement.id).collect();
        assert_eq!(ids.len(), requirements.len());
        let packets = (1..=153).map(|number| format!("E{number}"));
        let missing: Vec<_> = packets.filter(|id| !ids.contains(id)).collect();
        assert_eq!(missing, Vec::<String>::new());
    }

    #[test]
    fn rows_cite_known_requirements_only() {
        let ids: BTreeSet<_> = load().into_iter().map(|requirement| requirement.id).collect();
        let unknown: Vec<_> = cited_by_rows().difference(&ids).cloned().collect();
        assert_eq!(unknown, Vec::<String>::new());
    }

    #[test]
    fn ids_are_found_between_words() {
        let found: Vec<_> = words("/// RFC6092-REC-10, E94; RFC5382-REQ-2/2a.").collect();
        for id in ["RFC6092-REC-10", "E94", "RFC5382-REQ-2/2a"] {
            assert!(found.contains(&id), "{id} in {found:?}");
        }
    }
}
