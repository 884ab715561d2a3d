//! The requirements that the gateway is measured against, who keeps them, and what became of the
//! others.
//!
//! ```text
//! docs/requirements.toml ─► Requirements ─┐
//!                                         ├─► Report: each id's status, totals, contradictions
//! sources, rows ──────────► Citations ────┘
//! ```

pub mod citations;
pub mod report;
#[cfg(test)]
mod tests;

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// Which mode of operation a requirement applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Nothing is released without it.
    Must,
    /// On by default unless it is costly.
    Should,
    /// An option, or a matter of documentation.
    Extra,
}

impl Priority {
    /// The name, as it stands in the file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Must => "must",
            Self::Should => "should",
            Self::Extra => "extra",
        }
    }
}

/// The content of `docs/requirements.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirements {
    /// The documents and what they ask for.
    #[serde(rename = "source")]
    pub sources: Vec<Source>,
    /// What the design decides against.
    #[serde(default)]
    pub refused: Vec<Exception>,
    /// What is kept, but for a part that the design decides against.
    #[serde(default)]
    pub refused_in_part: Vec<Exception>,
    /// What waits for something that is not built yet.
    #[serde(default)]
    pub open: Vec<Exception>,
}

/// A document, or a few that belong together.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Which, and what it is about.
    pub title: String,
    /// Its requirements, in its order.
    pub requirements: Vec<Requirement>,
}

/// A line of the file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(from = "(String, Applies, Priority, String)")]
pub struct Requirement {
    /// Its id, by which code and tests cite it.
    pub id: String,
    /// What it applies to.
    pub applies: Applies,
    /// How much it matters.
    pub priority: Priority,
    /// What it is about.
    pub title: String,
}

impl From<(String, Applies, Priority, String)> for Requirement {
    fn from((id, applies, priority, title): (String, Applies, Priority, String)) -> Self {
        Self { id, applies, priority, title }
    }
}

impl Requirement {
    /// Whether the filter is measured by it at all.
    #[must_use]
    pub const fn is_for_filter(&self) -> bool {
        matches!(self.applies, Applies::Filter | Applies::FilterAndNat)
    }
}

/// Requirements that are not kept, or not wholly.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// Their ids.
    pub ids: Vec<String>,
    /// Why, in a sentence.
    pub reason: String,
}

impl Requirements {
    /// Reads the file.
    ///
    /// # Panics
    /// If it cannot be read or understood.
    #[must_use]
    pub fn load() -> Self {
        let path = workspace().join("docs/requirements.toml");
        toml::from_str(&read(&path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Every requirement, in the order of the file.
    pub fn all(&self) -> impl Iterator<Item = &Requirement> {
        self.sources.iter().flat_map(|source| &source.requirements)
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()))
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests lies in the workspace").into()
}
