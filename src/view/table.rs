//! Tables for the terminal: columns under a header, no boxes.

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, Table, TableStyle, Width};
use std::ops::RangeInclusive;

const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Words up to the last of these lengths, in characters, are not broken: names and keys are read as wholes. In a
/// terminal that is too narrow for that, fewer are; but in none is a word broken that is shorter than the first.
const WORDS: RangeInclusive<usize> = 12..=24;

/// The table as lines, each with a newline. Columns without any content are left out; texts wrap between words
/// where `width`, in columns, is given and too narrow, figures never do.
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>, width: Option<usize>) -> String {
    let mut rows: Vec<Vec<String>> = rows.into_iter().collect();
    let full = |at: &usize| rows.iter().any(|row| row.get(*at).is_some_and(|cell| !cell.is_empty()));
    let kept: Vec<usize> = (0..header.len()).filter(full).collect();
    let header: Vec<&str> = kept.iter().filter_map(|at| header.get(*at).copied()).collect();
    for row in &mut rows {
        *row = kept.iter().map(|at| row.get_mut(*at).map(std::mem::take).unwrap_or_default()).collect();
    }
    let constraints = constraints(&header, &rows, width);
    let mut table = Table::new();
    table.load_style(STYLE).set_header(header).add_rows(rows);
    if let Some(width) = width.and_then(|width| u16::try_from(width).ok()) {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 1));
        if let Some(constraint) = constraints.get(column.index) {
            column.set_constraint(*constraint);
        }
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// How narrow each column may become in a terminal of this width.
fn constraints(header: &[&str], rows: &[Vec<String>], width: Option<usize>) -> Vec<ColumnConstraint> {
    let columns: Vec<Column> = (0..header.len()).map(|at| Column::new(at, header, rows)).collect();
    // With the space behind each column.
    let least = |word: usize| columns.iter().map(|column| column.least(word) + 1).sum::<usize>();
    let fits = |word: &usize| width.is_none_or(|width| least(*word) <= width);
    let word = WORDS.rev().find(fits).unwrap_or(*WORDS.start());
    let constraint = |column: &Column| match column.figures {
        true => ColumnConstraint::ContentWidth,
        false => ColumnConstraint::LowerBoundary(Width::Fixed(column.least(word) as u16)),
    };
    columns.iter().map(constraint).collect()
}

/// What decides on a column's width, in characters.
struct Column {
    /// Whether all cells are.
    figures: bool,
    longest_cell: usize,
    longest_word: usize,
}

impl Column {
    fn new(at: usize, header: &[&str], rows: &[Vec<String>]) -> Column {
        let cells: Vec<&str> = rows.iter().filter_map(|row| row.get(at)).map(String::as_str).collect();
        let figures = cells.iter().all(|cell| is_figure(cell));
        let all = || cells.iter().chain(header.get(at)).copied();
        let longest =
            |texts: &mut dyn Iterator<Item = &str>| texts.map(|text| text.chars().count()).max().unwrap_or(0);
        Column {
            figures,
            longest_cell: longest(&mut all()),
            longest_word: longest(&mut all().flat_map(str::split_whitespace)),
        }
    }

    /// The least width where words up to this length stay whole, with the padding.
    fn least(&self, word: usize) -> usize {
        1 + if self.figures { self.longest_cell } else { self.longest_word.min(word) }
    }
}

/// Whether a cell is a number, with or without a unit, or nothing: such cells are never broken.
fn is_figure(cell: &str) -> bool {
    let number = cell.trim_start_matches(['-', '$', '+']);
    number.is_empty() || number == "–" || number.starts_with(|c: char| c.is_ascii_digit())
}

/// A table whose first columns, as many as `labels`, are texts and whose others are figures that people
/// compare down a column. Texts wrap between words where `width`, in columns, is given and too narrow; figures
/// never do.
pub fn figures(
    header: &[&str],
    labels: usize,
    rows: impl IntoIterator<Item = Vec<String>>,
    width: Option<usize>,
) -> String {
    let rows: Vec<Vec<String>> = rows.into_iter().collect();
    let constraints = constraints(header, &rows, width);
    let mut table = Table::new();
    table.load_style(STYLE).set_header(header.to_vec()).add_rows(rows);
    if let Some(width) = width.and_then(|width| u16::try_from(width).ok()) {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 1));
        if let Some(constraint) = constraints.get(index) {
            column.set_constraint(*constraint);
        }
        if index >= labels {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_wrap_between_words_in_a_narrow_terminal() {
        let row = || vec!["order_001".to_owned(), "a long remark about it".to_owned(), "12 ms".to_owned()];
        let header = ["item", "remark", "time"];
        for narrow in [table(&header, [row()], Some(28)), figures(&header, 2, [row()], Some(28))] {
            assert!(narrow.lines().count() > 3 && narrow.lines().all(|line| line.chars().count() <= 28));
            for whole in ["order_001", "remark", "12 ms"] {
                assert!(narrow.contains(whole), "{whole} in\n{narrow}");
            }
        }
    }

    #[test]
    fn figures_and_names_never_break_and_nothing_wraps_without_a_width() {
        let row = || {
            vec!["fulfillment-service".to_owned(), "1,000".to_owned(), "1.01 s".to_owned(), "–".to_owned()]
        };
        let header = ["agent", "count", "mean", "tokens"];
        for narrow in [table(&header, [row()], Some(30)), figures(&header, 1, [row()], Some(30))] {
            for whole in ["count", "mean", "1,000", "1.01 s"] {
                assert!(narrow.contains(whole), "{whole} in\n{narrow}");
            }
        }
        for roomy in [table(&header, [row()], Some(48)), figures(&header, 1, [row()], Some(48))] {
            assert!(roomy.contains("fulfillment-service"), "{roomy}");
        }
        for wide in [table(&header, [row()], None), figures(&header, 1, [row()], None)] {
            assert_eq!(wide.lines().count(), 3, "{wide}");
        }
    }
}
