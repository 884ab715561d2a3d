//! Aligned columns without borders.

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, Width, presets};

/// Blanks between two columns.
const GAP: u16 = 2;

/// Rows that are laid out at once. The table library takes kilobytes for a row, which is too
/// much for a million flows.
const BLOCK_ROWS: usize = 1024;

/// A column: its heading and the side its values are aligned to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column(&'static str, CellAlignment);

/// A column of words.
pub(super) const fn words(heading: &'static str) -> Column {
    Column(heading, CellAlignment::Left)
}

/// A column of numbers.
pub(super) const fn numbers(heading: &'static str) -> Column {
    Column(heading, CellAlignment::Right)
}

/// The table with its header line. Its width depends on the content only, never on the
/// terminal, so that what a pipe gets is what a person sees.
pub(super) fn render<const N: usize>(
    columns: [Column; N],
    mut rows: impl Iterator<Item = [String; N]> + Clone,
) -> String {
    let widths = widths(&columns, rows.clone());
    let mut header = Some(columns.map(|Column(heading, _)| heading));
    let mut text = String::new();
    loop {
        let block: Vec<_> = rows.by_ref().take(BLOCK_ROWS).collect();
        if block.is_empty() && header.is_none() {
            return text;
        }
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        if let Some(header) = header.take() {
            table.set_header(header);
        }
        table.add_rows(block);
        for ((column, Column(_, alignment)), width) in
            table.column_iter_mut().zip(columns).zip(widths)
        {
            column
                .set_padding((0, GAP))
                .set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(width)))
                .set_cell_alignment(alignment);
        }
        text.push_str(&table.trim_fmt());
        text.push('\n');
    }
}

/// The widest content of each column, with its gap.
fn widths<const N: usize>(
    columns: &[Column; N],
    rows: impl Iterator<Item = [String; N]>,
) -> [u16; N] {
    let width = |text: &str| u16::try_from(text.chars().count()).unwrap_or(u16::MAX);
    let headings = columns.map(|Column(heading, _)| width(heading));
    rows.fold(headings, |mut widest, row| {
        for (widest, cell) in widest.iter_mut().zip(&row) {
            *widest = width(cell).max(*widest);
        }
        widest
    })
    .map(|width| width.saturating_add(GAP))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_end_without_blanks() {
        let rows = [["tcp", "7"], ["udplite", "12345"]].map(|row| row.map(str::to_owned));
        assert_eq!(
            render([words("PROTO"), numbers("PACKETS")], rows.into_iter()),
            "PROTO    PACKETS\ntcp            7\nudplite    12345\n"
        );
    }

    #[test]
    fn an_empty_table_is_its_header() {
        assert_eq!(render([words("A"), words("B")], std::iter::empty()), "A  B\n");
    }

    #[test]
    fn all_blocks_have_the_same_columns() {
        let rows = (0..3 * BLOCK_ROWS).map(|row| {
            // The widest cell of either column stands in another block than the other's.
            let word = if row == 0 { "long-word" } else { "w" };
            [word.to_owned(), row.to_string()]
        });
        let text = render([words("WORD"), numbers("N")], rows);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 1 + 3 * BLOCK_ROWS);
        assert_eq!(lines[..3], ["WORD          N", "long-word     0", "w             1"]);
        assert_eq!(lines[3 * BLOCK_ROWS], "w          3071");
    }
}
