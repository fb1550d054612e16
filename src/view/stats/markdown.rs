//! Statistics as Markdown for a pull request: names from outside are code spans, so that none is a link, a mention or
//! markup.

use super::Report;
use super::facts;
use super::grid::{self, Grid};
use crate::diag::render::visible;

pub(super) fn page(report: &Report) -> String {
    let mut parts = Vec::new();
    parts.extend(table(grid::groups(report.stats)));
    parts.extend(table(grid::columns(report.stats)));
    parts.push(run(report));
    let baseline = code(report.baseline);
    match report.changes {
        None => {}
        Some([]) => parts.push(format!("No step has other figures than in {baseline}.\n")),
        Some(changes) => {
            parts.push(format!("Changes since {baseline}:\n"));
            parts.extend(table(grid::changes(changes)));
        }
    }
    parts.extend(table(grid::verdicts(report.expectations)));
    parts.join("\n")
}

fn run(report: &Report) -> String {
    let facts = facts::facts(report.stats, &code);
    let mut lines: Vec<String> =
        facts.into_iter().map(|(name, value)| format!("- {name}: {value}\n")).collect();
    if let Some(path) = facts::path(&report.stats.run, &code) {
        lines.push(format!("- critical path: {}\n", path.join(" → ")));
    }
    lines.concat()
}

/// `None` without rows.
fn table(grid: Grid) -> Option<String> {
    let Grid { header, names, texts, rows } = grid;
    if rows.is_empty() {
        return None;
    }
    let rule = (0..header.len()).map(|column| if column < texts { "---" } else { "---:" });
    let mut out = line(header.iter().map(|name| (*name).to_owned()));
    out.push_str(&line(rule.map(str::to_owned)));
    for row in rows {
        let cells = row.into_iter().enumerate();
        out.push_str(&line(cells.map(|(column, cell)| {
            let cell = if column < names { code(&cell) } else { cell };
            cell.replace('|', "\\|")
        })));
    }
    Some(out)
}

fn line(cells: impl Iterator<Item = String>) -> String {
    format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
}

/// A text as code, even with backticks in it.
pub fn code(text: &str) -> String {
    let text = visible(text).replace('\t', " ");
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let ticks = "`".repeat(longest + 1);
    let apart = text.is_empty() || text.starts_with(['`', ' ']) || text.ends_with(['`', ' ']);
    let space = if apart { " " } else { "" };
    format!("{ticks}{space}{text}{space}{ticks}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use pulldown_cmark::{Event, Options, Parser};

    #[test]
    fn names_are_code_and_nothing_else() {
        assert_eq!(code("@ops"), "`@ops`");
        assert_eq!(code("a`b``c"), "```a`b``c```");
        assert_eq!(code("`x"), "`` `x ``");
        assert_eq!(code("a\nb"), "`a\u{fffd}b`");
    }

    proptest! {
        #[test]
        fn a_cell_stays_in_its_cell(name in "[a-z@`|<>*_\\[\\]() #]{1,12}") {
            prop_assume!(name.trim() == name);
            let grid = Grid { header: vec!["step", "count"], names: 1, texts: 1, rows: vec![vec![name.clone(), "1".into()]] };
            let page = table(grid).unwrap();
            let events: Vec<Event> = Parser::new_ext(&page, Options::ENABLE_TABLES).collect();
            let codes: Vec<&str> = events.iter().filter_map(|event| match event {
                Event::Code(code) => Some(&**code),
                _ => None,
            }).collect();
            prop_assert_eq!(codes, vec![name.as_str()]);
        }
    }
}
