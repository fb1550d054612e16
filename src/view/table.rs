//! Tables for the terminal: columns under a header, no boxes.

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};

const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// The table as lines, each with a newline. Columns without any content are left out; cells wrap where
/// `width`, in columns, is given and too narrow.
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>, width: Option<usize>) -> String {
    let mut rows: Vec<Vec<String>> = rows.into_iter().collect();
    let full = |at: &usize| rows.iter().any(|row| row.get(*at).is_some_and(|cell| !cell.is_empty()));
    let kept: Vec<usize> = (0..header.len()).filter(full).collect();
    let header: Vec<&str> = kept.iter().filter_map(|at| header.get(*at).copied()).collect();
    for row in &mut rows {
        *row = kept.iter().map(|at| row.get_mut(*at).map(std::mem::take).unwrap_or_default()).collect();
    }
    let mut table = Table::new();
    table.load_style(STYLE).set_header(header).add_rows(rows);
    if let Some(width) = width.and_then(|width| u16::try_from(width).ok()) {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 1));
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// A table whose first columns, as many as `labels`, are texts and whose others are figures that people
/// compare down a column. Cells wrap where `width`, in columns, is too narrow.
pub fn figures(
    header: &[&str],
    labels: usize,
    rows: impl IntoIterator<Item = Vec<String>>,
    width: usize,
) -> String {
    let mut table = Table::new();
    table.load_style(STYLE).set_header(header.to_vec()).add_rows(rows);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 1));
        if index >= labels {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}
