//! The file that results are written to.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};

use crate::plot::Plot;

/// The section that is replaced, in a file that is not new.
const HEADING: &str = "## Measured\n";

/// A file, opened before anything is measured: minutes of measuring must not end at a file that
/// cannot be written. What it holds stays until there is something to put in its place.
pub(crate) struct Document {
    path: PathBuf,
    file: File,
    text: String,
}

impl Document {
    /// Opens a new file, or one with a section for results.
    ///
    /// # Errors
    /// If it cannot be written, or has no such section.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .with_context(|| format!("opening {}", path.display()))?;
        let mut text = String::new();
        file.read_to_string(&mut text).with_context(|| format!("reading {}", path.display()))?;
        ensure!(
            text.is_empty() || section(&text).is_some(),
            "{} has no section \"{}\" to replace; name a new file",
            path.display(),
            HEADING.trim_end()
        );
        Ok(Self { path: path.to_owned(), file, text })
    }

    /// Writes the results, and their pictures beside them.
    ///
    /// # Errors
    /// If that fails.
    pub(crate) fn write(mut self, results: &str, plots: &[&Plot]) -> Result<()> {
        let text = replaced(&self.text, results);
        self.file
            .set_len(0)
            .and_then(|()| self.file.rewind())
            .and_then(|()| self.file.write_all(text.as_bytes()))
            .with_context(|| format!("writing {}", self.path.display()))?;
        println!("\nwritten to {}", self.path.display());
        for plot in plots {
            let path = self.path.with_file_name(plot.file);
            fs::write(&path, plot.svg()).with_context(|| format!("writing {}", path.display()))?;
            println!("written to {}", path.display());
        }
        Ok(())
    }
}

/// What stands before the section for results, and what behind it.
fn section(text: &str) -> Option<(&str, &str)> {
    let is_start = |at: usize| at == 0 || text.as_bytes()[at - 1] == b'\n';
    let (at, _) = text.match_indices(HEADING).find(|(at, _)| is_start(*at))?;
    let section = &text[at + HEADING.len()..];
    let behind = section.find("\n## ").map_or("", |at| &section[at + 1..]);
    Some((&text[..at], behind))
}

/// `text` with other results.
fn replaced(text: &str, results: &str) -> String {
    let (before, behind) = section(text).unwrap_or(("# Benchmark\n\n", ""));
    let gap = if behind.is_empty() { "" } else { "\n" };
    format!("{before}{HEADING}\n{results}{gap}{behind}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_section_changes() {
        let text =
            "# Speed\n\nNot ## Measured\n\n## Measured\n\nold\n\n### Old\n\n## Next\n\nend\n";
        let new = "# Speed\n\nNot ## Measured\n\n## Measured\n\nnew\n\n## Next\n\nend\n";
        assert_eq!(replaced(text, "new\n"), new);
        assert_eq!(replaced("a\n\n## Measured\n\nold\n", "new\n"), "a\n\n## Measured\n\nnew\n");
    }

    #[test]
    fn a_new_file_has_a_title() {
        assert_eq!(replaced("", "new\n"), "# Benchmark\n\n## Measured\n\nnew\n");
        assert!(section("something else\n").is_none());
    }
}
