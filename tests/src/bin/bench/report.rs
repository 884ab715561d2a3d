//! Results as people read them: on a terminal and in a document.

use comfy_table::{CellAlignment, ContentArrangement, TableStyle, presets};

use crate::plot::Picture;

/// One table of results.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// The heading.
    pub(crate) title: &'static str,
    /// How the figures came about and what they mean, a paragraph each.
    pub(crate) notes: Vec<String>,
    /// The columns' headings; those of numbers are aligned to the right.
    pub(crate) columns: Vec<Column>,
    /// As many cells in each as there are columns.
    pub(crate) rows: Vec<Vec<String>>,
    /// The same in pictures, for documents.
    pub(crate) pictures: Vec<Picture>,
}

/// A column's heading.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Column {
    /// Above words.
    Words(&'static str),
    /// Above numbers.
    Numbers(&'static str),
}

impl Table {
    /// For a terminal.
    pub(crate) fn plain(&self) -> String {
        let rule = "=".repeat(self.title.chars().count());
        format!("{}\n{rule}\n\n{}\n\n{}", self.title, self.notes(), self.grid(presets::NOTHING))
    }

    /// A section of a document.
    pub(crate) fn markdown(&self) -> String {
        let mut pictures = String::new();
        for picture in &self.pictures {
            pictures.push_str(&picture.markdown());
            pictures.push_str("\n\n");
        }
        format!(
            "## {}\n\n{}\n\n{}{}\n",
            self.title,
            self.notes(),
            pictures,
            self.grid(presets::ASCII_MARKDOWN)
        )
    }

    fn notes(&self) -> String {
        self.notes.join("\n\n")
    }

    /// The grid's width depends on its content only, never on the terminal.
    fn grid(&self, style: TableStyle) -> String {
        let bare = style == presets::NOTHING;
        let mut grid = comfy_table::Table::new();
        grid.load_style(style)
            .set_content_arrangement(ContentArrangement::Disabled)
            .set_header(self.columns.iter().map(|column| column.heading()))
            .add_rows(&self.rows);
        for (column, kind) in grid.column_iter_mut().zip(&self.columns) {
            column.set_cell_alignment(match kind {
                Column::Words(_) => CellAlignment::Left,
                Column::Numbers(_) => CellAlignment::Right,
            });
            if bare {
                column.set_padding((0, 2));
            }
        }
        grid.trim_fmt()
    }
}

impl Column {
    const fn heading(self) -> &'static str {
        match self {
            Self::Words(heading) | Self::Numbers(heading) => heading,
        }
    }
}

/// A whole number as people write it.
pub(crate) fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    let sign = if value <= -0.5 { "-" } else { "" };
    format!("{sign}{}", groups.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        Table {
            title: "Prices",
            notes: vec!["In the shop.".into(), "Today.".into()],
            columns: vec![Column::Words("fruit"), Column::Numbers("price")],
            rows: vec![vec!["apple".into(), "7".into()], vec!["fig".into(), "12.50".into()]],
            pictures: Vec::new(),
        }
    }

    #[test]
    fn plain_columns_are_aligned() {
        let expected = "Prices\n======\n\nIn the shop.\n\nToday.\n\n\
                        fruit  price\napple      7\nfig    12.50";
        assert_eq!(table().plain(), expected);
    }

    #[test]
    fn whole_numbers_are_written_in_groups() {
        let all = [0.0, -0.4, 999.6, 12_345.0, -1_000.0].map(thousands);
        assert_eq!(all, ["0", "0", "1,000", "12,345", "-1,000"]);
    }

    #[test]
    fn markdown_is_a_section_with_a_table() {
        let expected = "## Prices\n\nIn the shop.\n\nToday.\n\n\
                        | fruit | price |\n|-------|-------|\n\
                        | apple |     7 |\n| fig   | 12.50 |\n";
        assert_eq!(table().markdown(), expected);
    }
}
