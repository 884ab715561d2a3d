//! What is wrong with a configuration, and where.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

/// Something about a configuration file that its author should know.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Line of the file, counted from one.
    pub line: usize,
    /// What is wrong and what would be right, in one line of text.
    pub message: String,
}

impl Problem {
    /// A problem on `line`.
    #[must_use]
    pub fn new(line: usize, message: impl Into<String>) -> Self {
        Self { line, message: message.into() }
    }

    /// The problem as people expect it from a tool that reads files: `path:line: message`.
    #[must_use]
    pub fn at(&self, path: &Path) -> String {
        format!("{}:{}: {}", path.display(), self.line, self.message)
    }
}

/// Why a configuration cannot be used. The text has one line per problem or key.
#[derive(Debug)]
pub enum SettingsError {
    /// The file could not be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file was read and is wrong.
    Invalid {
        /// The file.
        path: PathBuf,
        /// Everything that is wrong with it, in the order of lines.
        problems: Vec<Problem>,
    },
}

impl fmt::Display for SettingsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, source } => {
                write!(formatter, "cannot read the configuration {}: {source}", path.display())
            }
            Self::Invalid { path, problems } => {
                let lines: Vec<_> = problems.iter().map(|problem| problem.at(path)).collect();
                formatter.write_str(&lines.join("\n"))
            }
        }
    }
}

impl std::error::Error for SettingsError {}
