//! The files that results are written to.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::{machine::Machine, report::Table};

/// A directory with a file for each benchmark, and its pictures beside it.
pub(crate) struct Documents {
    directory: PathBuf,
}

/// What one benchmark found.
pub(crate) struct Findings {
    /// The command's name, and the file's.
    pub(crate) command: &'static str,
    pub(crate) tables: Vec<Table>,
}

impl Documents {
    /// Makes the directory and sees that it can be written: minutes of measuring must not end at
    /// a file that cannot.
    ///
    /// # Errors
    /// If it cannot.
    pub(crate) fn open(directory: &Path) -> Result<Self> {
        let written = || format!("writing to {}", directory.display());
        fs::create_dir_all(directory).with_context(written)?;
        tempfile::tempfile_in(directory).with_context(written)?;
        Ok(Self { directory: directory.to_owned() })
    }

    /// Writes what a benchmark found, in place of what it found before.
    ///
    /// # Errors
    /// If that fails.
    pub(crate) fn write(&self, findings: &Findings, machine: &Machine) -> Result<()> {
        let name = format!("{}.md", findings.command);
        self.put(&name, &text(findings, machine))?;
        for picture in findings.tables.iter().flat_map(|table| &table.pictures) {
            self.put(picture.file, &picture.svg)?;
        }
        Ok(())
    }

    fn put(&self, name: &str, text: &str) -> Result<()> {
        let path = self.directory.join(name);
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        println!("written to {}", path.display());
        Ok(())
    }
}

fn text(findings: &Findings, machine: &Machine) -> String {
    let command = findings.command;
    let head = format!(
        "# Benchmark: {command}\n\nWritten by `cargo xtask bench {command}`; what it means stands \
         in [performance.md](../performance.md).\n"
    );
    let sections = findings.tables.iter().map(Table::markdown);
    let all: Vec<String> = [head, machine.markdown()].into_iter().chain(sections).collect();
    all.join("\n")
}
