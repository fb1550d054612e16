//! Tables for the terminal: columns under a header, no boxes.

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, Table, TableStyle, Width};
use std::ops::RangeInclusive;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Words up to the first of these lengths, in columns, are never broken: names and keys are read as wholes. If a table
/// can be split instead, words up to the last are not.
const WORDS: RangeInclusive<usize> = 12..=24;

/// The longest cell, in characters. JSON output has longer texts in full.
const CELL: usize = 1000;

/// A cell of limited length: the middle of a longer one is left out.
fn short(cell: String) -> String {
    // A character takes at least a byte.
    if cell.len() <= CELL || cell.chars().count() <= CELL {
        return cell;
    }
    let head = cell.char_indices().nth(CELL / 2).map_or(cell.len(), |(at, _)| at);
    let tail = cell.char_indices().rev().nth(CELL / 2 - 2).map_or(0, |(at, _)| at);
    format!("{}…{}", &cell[..head], &cell[tail..])
}

fn all_short(rows: impl IntoIterator<Item = Vec<String>>) -> Vec<Vec<String>> {
    rows.into_iter().map(|row| row.into_iter().map(short).collect()).collect()
}

/// The table as lines, each with a newline. Empty columns are left out; texts wrap between words if `width`, in
/// columns, is given and too narrow, figures never do. If it is much too narrow for the columns, each row is a block
/// of lines.
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>, width: Option<usize>) -> String {
    let mut rows = all_short(rows);
    let full = |at: &usize| rows.iter().any(|row| row.get(*at).is_some_and(|cell| !cell.is_empty()));
    let kept: Vec<usize> = (0..header.len()).filter(full).collect();
    let header = chosen(&kept, header);
    for row in &mut rows {
        *row = kept.iter().map(|at| row.get_mut(*at).map(std::mem::take).unwrap_or_default()).collect();
    }
    let columns = columns(&header, &rows);
    let fits = width.is_none_or(|width| least(&columns, *WORDS.start()) <= width);
    if fits { drawn(&header, rows, header.len(), width) } else { blocks(&header, &rows, width) }
}

/// A table whose first columns, as many as `labels`, are texts and whose others are figures that people compare down a
/// column. Texts wrap between words if `width`, in columns, is given and too narrow; figures never do. Figures that do
/// not fit are put in further tables below, each with the labels again.
pub fn figures(
    header: &[&str],
    labels: usize,
    rows: impl IntoIterator<Item = Vec<String>>,
    width: Option<usize>,
) -> String {
    let rows = all_short(rows);
    let columns = columns(header, &rows);
    let Some(room) = width.filter(|width| least(&columns, *WORDS.start()) > *width) else {
        return drawn(header, rows, labels, width);
    };
    let (texts, numbers) = columns.split_at(labels.min(columns.len()));
    let widest = numbers.iter().map(|column| column.least(0) + 1).max().unwrap_or(0);
    let Some(word) = WORDS.rev().find(|word| least(texts, *word) + widest <= room) else {
        return blocks(header, &rows, width);
    };
    let mut parts: Vec<(usize, Vec<usize>)> = Vec::new();
    for (at, column) in numbers.iter().enumerate() {
        let needs = column.least(0) + 1;
        match parts.last_mut() {
            Some((used, part)) if *used + needs <= room => {
                *used += needs;
                part.push(labels + at);
            }
            _ => parts.push((least(texts, word) + needs, (0..labels).chain([labels + at]).collect())),
        }
    }
    let part = |(_, part): (usize, Vec<usize>)| {
        let rows = rows.iter().map(|row| chosen(&part, row)).collect();
        drawn(&chosen(&part, header), rows, labels, width)
    };
    parts.into_iter().map(part).collect::<Vec<_>>().join("\n")
}

/// Some of the cells, in this order.
fn chosen<T: Clone>(places: &[usize], cells: &[T]) -> Vec<T> {
    places.iter().filter_map(|at| cells.get(*at).cloned()).collect()
}

/// The table with all columns side by side; those after the `labels` are aligned to the right. A word that does not
/// fit is shortened in its middle, never broken.
fn drawn(header: &[&str], mut rows: Vec<Vec<String>>, labels: usize, width: Option<usize>) -> String {
    let all = columns(header, &rows);
    let fits = |width: usize| (1..=width).rev().find(|word| least(&all, *word) <= width).unwrap_or(1);
    let word = width.map_or(usize::MAX, fits);
    for row in &mut rows {
        for (cell, _) in row.iter_mut().zip(&all).filter(|(_, column)| !column.figures) {
            *cell = with_words(cell, word);
        }
    }
    let constraints = constraints(&columns(header, &rows), word);
    let mut table = Table::new();
    table.load_style(STYLE).set_header(header.to_vec()).add_rows(rows);
    lines(table, width, |column| {
        if let Some(constraint) = constraints.get(column.index) {
            column.set_constraint(*constraint);
        }
        if column.index >= labels {
            column.set_cell_alignment(CellAlignment::Right);
        }
    })
}

/// Each row as a block of lines, a cell a line after its column's name.
fn blocks(header: &[&str], rows: &[Vec<String>], width: Option<usize>) -> String {
    let block = |row: &Vec<String>| {
        let cells = header.iter().zip(row).filter(|(_, cell)| !cell.is_empty());
        pairs(cells.map(|(name, cell)| (*name, cell.clone())), width)
    };
    rows.iter().map(block).collect::<Vec<_>>().join("\n")
}

/// Names, each with a text that wraps between words if `width`, in columns, is given and too narrow.
pub fn pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>, width: Option<usize>) -> String {
    let pairs: Vec<(&str, String)> = pairs.into_iter().collect();
    let names = pairs.iter().map(|(name, _)| name.width()).max().unwrap_or(0);
    // A space after each column, and one between them.
    let room = width.map_or(usize::MAX, |width| width.saturating_sub(names + 3).max(1));
    let mut table = Table::new();
    table.load_style(STYLE);
    table.add_rows(pairs.into_iter().map(|(name, text)| [name.to_owned(), with_words(&short(text), room)]));
    lines(table, width, |column| {
        if column.index == 0 {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    })
}

fn lines(mut table: Table, width: Option<usize>, set: impl Fn(&mut comfy_table::Column)) -> String {
    if let Some(width) = width.and_then(|width| u16::try_from(width).ok()) {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 1));
        set(column);
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

fn columns(header: &[&str], rows: &[Vec<String>]) -> Vec<ColumnWidths> {
    (0..header.len()).map(|at| ColumnWidths::new(at, header, rows)).collect()
}

/// The least width of columns in which words up to this length are not broken, with the space after each.
fn least(columns: &[ColumnWidths], word: usize) -> usize {
    columns.iter().map(|column| column.least(word) + 1).sum()
}

/// How narrow each column may become without breaking words up to this length.
fn constraints(columns: &[ColumnWidths], word: usize) -> Vec<ColumnConstraint> {
    let constraint = |column: &ColumnWidths| match column.figures {
        true => ColumnConstraint::ContentWidth,
        false => ColumnConstraint::LowerBoundary(Width::Fixed(column.least(word) as u16)),
    };
    columns.iter().map(constraint).collect()
}

/// The text with all words that are wider than `most` shortened in their middle.
fn with_words(text: &str, most: usize) -> String {
    text.split_inclusive(char::is_whitespace).map(|word| shortened(word, most)).collect()
}

/// A word shortened to this many columns, and the white space after it.
fn shortened(word: &str, most: usize) -> String {
    let bare = word.trim_end();
    if bare.width() <= most {
        return word.to_owned();
    }
    let taken = |characters: &mut dyn Iterator<Item = char>, room: usize| -> Vec<char> {
        let mut left = room;
        let fits = |c: &char| {
            let width = c.width().unwrap_or(0);
            let fits = width <= left;
            left = left.saturating_sub(width);
            fits
        };
        characters.take_while(fits).collect()
    };
    let room = most.saturating_sub(1);
    let head = taken(&mut bare.chars(), room.div_ceil(2));
    let tail = taken(&mut bare.chars().rev(), room / 2);
    let tail = tail.into_iter().rev();
    head.into_iter().chain(['…']).chain(tail).chain(word[bare.len()..].chars()).collect()
}

/// The properties that determine a column's width, in columns of the terminal.
struct ColumnWidths {
    /// Whether all cells are figures.
    figures: bool,
    longest_cell: usize,
    longest_word: usize,
}

impl ColumnWidths {
    fn new(at: usize, header: &[&str], rows: &[Vec<String>]) -> ColumnWidths {
        let cells: Vec<&str> = rows.iter().filter_map(|row| row.get(at)).map(String::as_str).collect();
        let figures = cells.iter().all(|cell| is_figure(cell));
        let all = || cells.iter().chain(header.get(at)).copied();
        let longest =
            |texts: &mut dyn Iterator<Item = &str>| texts.map(UnicodeWidthStr::width).max().unwrap_or(0);
        ColumnWidths {
            figures,
            longest_cell: longest(&mut all()),
            longest_word: longest(&mut all().flat_map(str::split_whitespace)),
        }
    }

    /// The least width without breaking words up to this length, with the padding.
    fn least(&self, word: usize) -> usize {
        1 + if self.figures { self.longest_cell } else { self.longest_word.min(word) }
    }
}

/// Whether a cell is a number, with or without a unit, or empty: such cells are never broken.
fn is_figure(cell: &str) -> bool {
    let number = cell.trim_start_matches(['-', '$', '+']);
    number.is_empty() || number == "–" || number.starts_with(|c: char| c.is_ascii_digit())
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
    fn long_cells_are_shortened_in_their_middle() {
        let cell = format!("{}é{}", "a".repeat(700_000), "z".repeat(300_000));
        let short = |width: Option<usize>| match width {
            None => format!("{}…{}", "a".repeat(500), "z".repeat(499)),
            Some(most) => format!("{}…{}", "a".repeat(most / 2), "z".repeat((most - 1) / 2)),
        };
        for (width, room) in [(None, [None; 3]), (Some(80), [74, 74, 73].map(Some))] {
            let row = || vec!["1".to_owned(), cell.clone()];
            let all = [
                table(&["at", "text"], [row()], width),
                figures(&["at", "text"], 2, [row()], width),
                pairs([("text", cell.clone())], width),
            ];
            for (drawn, room) in all.into_iter().zip(room) {
                let cells: String =
                    drawn.split(|c: char| !"az…".contains(c)).filter(|part| part.len() > 4).collect();
                assert_eq!(cells, short(room), "{width:?}");
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
    #[test]
    fn figures_without_a_place_stand_in_further_tables_with_their_labels() {
        let row = |name: &str| {
            [name, "1,000", "100 %", "1.01 s"].into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        let header = ["step", "count", "success", "mean"];
        let narrow = figures(&header, 1, [row("ReserveInventory"), row("Pay")], Some(36));
        let expected = "\
step              count  success
─────────────────────────────────
ReserveInventory  1,000    100 %
Pay               1,000    100 %

step                mean
─────────────────────────
ReserveInventory  1.01 s
Pay               1.01 s
";
        assert_eq!(narrow, expected);
    }

    #[test]
    fn a_word_without_a_place_is_shortened_in_its_middle() {
        let row = vec![
            "заказ-1".to_owned(),
            "/home/somebody/projects/shop/workflows/.orderflow/runs/0194a/items".to_owned(),
            "印刷印刷印刷印刷印刷印刷印刷印刷印刷印刷印刷印刷 is late".to_owned(),
        ];
        let expected = "\
item     folder                             remark
────────────────────────────────────────────────────────────────────────────────
заказ-1  /home/somebody/p…runs/0194a/items  印刷印刷印刷印刷…印刷印刷印刷印刷
                                            is late
";
        assert_eq!(table(&["item", "folder", "remark"], [row], Some(80)), expected);
    }

    #[test]
    fn rows_that_fit_in_no_table_are_blocks() {
        let row = |at: &str| {
            vec![
                format!("order_{at}"),
                String::new(),
                "2026-11-20 22:07:16".to_owned(),
                "it has failed again".to_owned(),
            ]
        };
        let header = ["item", "label", "started", "remark"];
        let narrow = table(&header, [row("1"), row("2")], Some(29));
        let expected = "\
item     order_1
started  2026-11-20 22:07:16
remark   it has failed again

item     order_2
started  2026-11-20 22:07:16
remark   it has failed again
";
        assert_eq!(narrow, expected);
        assert_eq!(figures(&header, 4, [row("1"), row("2")], Some(29)), expected);
    }
}
