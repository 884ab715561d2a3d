//! Aligned columns without borders.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

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
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(columns.map(|Column(heading, _)| heading))
        .add_rows(rows);
    for (column, Column(_, alignment)) in table.column_iter_mut().zip(columns) {
        column.set_padding((0, 2)).set_cell_alignment(alignment);
    }
    let mut text = table.trim_fmt();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_end_without_blanks() {
        let rows = [["tcp", "7"], ["udplite", "12345"]].map(|row| row.map(str::to_owned));
        assert_eq!(
            render([words("PROTO"), numbers("PACKETS")], rows),
            "PROTO    PACKETS\ntcp            7\nudplite    12345\n"
        );
    }

    #[test]
    fn an_empty_table_is_its_header() {
        assert_eq!(render([words("A"), words("B")], []), "A  B\n");
    }
}
