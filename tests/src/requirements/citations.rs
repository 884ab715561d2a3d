//! Who cites which requirement: comments of the code, comments of tests, and table rows.

use std::{collections::BTreeMap, fs, path::Path};

use serde::Serialize;

use super::{read, workspace};
use crate::rows;

/// Where the gateway's own code is. Its unit tests are there too, in modules named `tests`.
const CODE: [&str; 3] = ["gateway-common/src", "gateway-ebpf/src", "gateway-userspace/src"];

/// Where nothing but tests is.
const TESTS: &str = "tests/tests";

/// Where the table rows are, a file for each theme.
const ROWS: &str = "tests/src/rows";

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// The file, relative to the workspace.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
}

/// A test function, or a file of tests whose own comment says what all of them show.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Test {
    /// The function's name, if it is one.
    pub function: Option<String>,
    /// Where the comment is.
    #[serde(flatten)]
    pub place: Place,
}

/// The rows of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RowGroup {
    /// Where the id first stands.
    #[serde(flatten)]
    pub place: Place,
    /// What the rows show, each in its own words.
    pub titles: Vec<String>,
}

/// Who cites one requirement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cited {
    /// Comments of the code.
    pub code: Vec<Place>,
    /// Table rows.
    pub rows: Vec<RowGroup>,
    /// Comments of tests.
    pub tests: Vec<Test>,
}

impl Cited {
    /// Whether any test shows that the requirement is kept.
    #[must_use]
    pub const fn is_tested(&self) -> bool {
        !self.rows.is_empty() || !self.tests.is_empty()
    }

    /// Every citing line; those of tests come first.
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        let rows = self.rows.iter().map(|group| &group.place);
        rows.chain(self.tests.iter().map(|test| &test.place)).chain(&self.code)
    }

    /// Every citing line of a test.
    pub fn test_places(&self) -> impl Iterator<Item = &Place> {
        self.places().take(self.rows.len() + self.tests.len())
    }
}

/// Every citation by the id that is cited, known or not.
#[derive(Clone, Debug, Default)]
pub struct Citations(BTreeMap<String, Cited>);

impl Citations {
    /// Looks through the workspace.
    ///
    /// # Panics
    /// If a file cannot be read.
    #[must_use]
    pub fn collect() -> Self {
        let mut citations = Self::default();
        for directory in CODE.into_iter().chain([TESTS]) {
            for file in rust_files(directory) {
                let text = read(&workspace().join(&file));
                citations.add_comments(&file, &text, directory == TESTS);
            }
        }
        for (theme, rows) in rows::THEMES {
            let file = format!("{ROWS}/{theme}.rs");
            let text = read(&workspace().join(&file));
            for row in rows() {
                for id in row.ids {
                    citations.add_row(&file, &text, id, &row.about);
                }
            }
        }
        citations
    }

    /// The ids that are cited at all.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Who cites `id`.
    #[must_use]
    pub fn of(&self, id: &str) -> Cited {
        self.0.get(id).cloned().unwrap_or_default()
    }

    /// Takes in what the comments of a file cite; `is_test` tells that it has nothing but tests.
    pub(super) fn add_comments(&mut self, file: &str, text: &str, is_test: bool) {
        let is_test = is_test || file.ends_with("/tests.rs") || file.contains("/tests/");
        let lines: Vec<&str> = text.lines().collect();
        let mut in_test_module = false;
        for (index, line) in lines.iter().enumerate() {
            let opens_module = line.starts_with("mod ") && line.ends_with('{');
            if opens_module && index > 0 && lines[index - 1] == "#[cfg(test)]" {
                in_test_module = true;
            } else if *line == "}" {
                in_test_module = false;
            }
            if !line.trim_start().starts_with("//") {
                continue;
            }
            for id in ids(line) {
                let place = Place { file: file.to_owned(), line: index + 1 };
                let cited = self.0.entry(id.to_owned()).or_default();
                if is_test || in_test_module {
                    let function = function_of(&lines, index);
                    cited.tests.push(Test { function, place });
                } else {
                    cited.code.push(place);
                }
            }
        }
    }

    /// Takes in that a row of `file` cites `id`.
    pub(super) fn add_row(&mut self, file: &str, text: &str, id: &str, title: &str) {
        let groups = &mut self.0.entry(id.to_owned()).or_default().rows;
        let index = groups.iter().position(|group| group.place.file == file);
        let index = index.unwrap_or_else(|| {
            let quoted = format!("\"{id}\"");
            let line = text.lines().position(|line| line.contains(&quoted));
            let line = line.unwrap_or_else(|| panic!("{file} does not contain {quoted}")) + 1;
            groups.push(RowGroup {
                place: Place { file: file.to_owned(), line },
                titles: Vec::new(),
            });
            groups.len() - 1
        });
        groups[index].titles.push(title.to_owned());
    }
}

/// What looks like a requirement's id in a line.
pub(super) fn ids(line: &str) -> impl Iterator<Item = &str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-./…".contains(c);
    line.split(move |c| !is_part(c)).map(|word| word.trim_end_matches('.')).filter(|id| is_id(id))
}

fn is_id(word: &str) -> bool {
    let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    if let Some((number, rest)) = word.strip_prefix("RFC").and_then(|rest| rest.split_once('-')) {
        return all_digits(number) && !rest.is_empty();
    }
    word.strip_prefix('E').is_some_and(all_digits)
}

/// The function that the comment in this line is about: the one below it, or the one it is in.
fn function_of(lines: &[&str], index: usize) -> Option<String> {
    let depth = |line: &str| line.len() - line.trim_start().len();
    let below = lines[index..].iter().find(|line| {
        let text = line.trim_start();
        !(text.starts_with("//") || text.starts_with('#'))
    });
    let around = lines[..index].iter().rev().filter(|line| depth(line) < depth(lines[index]));
    below.into_iter().chain(around).find_map(|line| function_name(line))
}

fn function_name(line: &str) -> Option<String> {
    let text = line.trim_start();
    let text = text.strip_prefix("pub ").unwrap_or(text);
    let name = text.strip_prefix("fn ")?.split(['(', '<']).next()?;
    Some(name.to_owned())
}

/// The Rust files below a directory of the workspace, sorted, relative to the workspace.
fn rust_files(directory: &str) -> Vec<String> {
    let mut files = Vec::new();
    let path = workspace().join(directory);
    let entries =
        fs::read_dir(&path).unwrap_or_else(|error| panic!("list {}: {error}", path.display()));
    for entry in entries {
        let name = entry.expect("a directory can be read to its end").file_name();
        let file = format!("{directory}/{}", name.to_str().expect("source files have plain names"));
        if path.join(&name).is_dir() {
            files.extend(rust_files(&file));
        } else if Path::new(&name).extension().is_some_and(|extension| extension == "rs") {
            files.push(file);
        }
    }
    files.sort();
    files
}
