//! The account as people read it.

use std::fmt::{self, Write as _};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use tests::requirements::{
    citations::{Cited, Place},
    report::{Entry, Report, SourceReport, Status, Totals},
};

/// Every requirement by source, the totals, and what is wrong.
pub(crate) fn report(report: &Report) -> String {
    let mut text = String::new();
    write(&mut text, report).expect("writing to a string");
    text
}

fn write(text: &mut String, report: &Report) -> fmt::Result {
    for SourceReport { title, requirements, .. } in &report.sources {
        let rule = "=".repeat(title.chars().count());
        writeln!(text, "{title}\n{rule}\n")?;
        for entry in requirements {
            write_entry(text, entry)?;
        }
        writeln!(text)?;
    }
    writeln!(text, "{}", totals(report))?;
    if !report.problems.is_empty() {
        let count = report.problems.len();
        writeln!(text, "\nWrong in {count} places:\n  {}", report.problems.join("\n  "))?;
    }
    Ok(())
}

fn write_entry(text: &mut String, entry: &Entry) -> fmt::Result {
    let Entry { requirement, status, reason, cited } = entry;
    let priority = requirement.priority.name();
    writeln!(text, "{} ({priority}): {}", requirement.id, requirement.title)?;
    match reason {
        Some(reason) => writeln!(text, "    {}: {reason}", status.name())?,
        None => writeln!(text, "    {}", status.name())?,
    }
    write_cited(text, cited)
}

fn write_cited(text: &mut String, Cited { code, rows, tests }: &Cited) -> fmt::Result {
    let at = |Place { file, line }: &Place| format!("{file}:{line}");
    for place in code {
        writeln!(text, "    code  {}", at(place))?;
    }
    for group in rows {
        let count = group.titles.len();
        let plural = if count == 1 { "" } else { "s" };
        writeln!(text, "    rows  {} ({count} row{plural})", at(&group.place))?;
    }
    for test in tests {
        match &test.function {
            Some(name) => writeln!(text, "    test  {} ({name})", at(&test.place))?,
            None => writeln!(text, "    test  {}", at(&test.place))?,
        }
    }
    Ok(())
}

/// A line for each source and one for all of them. The width depends on the content only, never
/// on the terminal.
fn totals(report: &Report) -> String {
    let mut table = Table::new();
    let headings = Status::ALL.map(Status::name);
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header([&["source"], &headings[..], &["in all"]].concat());
    for source in &report.sources {
        table.add_row(line(&source.title, source.totals));
    }
    table.add_row(line("all", report.totals));
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if index > 0 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

fn line(title: &str, Totals(counts): Totals) -> Vec<String> {
    let sum = counts.iter().sum::<usize>();
    let counts = counts.iter().chain([&sum]).map(ToString::to_string);
    [title.to_owned()].into_iter().chain(counts).collect()
}
