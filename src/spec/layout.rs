//! The layout of a document: white space, arrows, fields and tables as `orderflow fmt` writes them. A change that would
//! give the document another meaning is left out, so that the parser decides what is layout.

use super::markdown::{self, Block, Container, Holder, Kind};
use super::{Spec, fields, front, parse};
use crate::diag::fix::{Replacement, replaced};
use crate::diag::{Source, Span};
use crate::value::space;
use regex::Regex;
use std::sync::LazyLock;
use unicode_width::UnicodeWidthStr;

/// The most times that a document is read to find the changes that have a meaning.
const READINGS: usize = 100;

/// The most rounds: a change can make room for another one.
const ROUNDS: usize = 4;

/// A document in its usual layout, with the same meaning, the same problems and the same recorded rows.
pub fn laid_out(source: &Source) -> String {
    let mut text = source.text.clone();
    for _ in 0..ROUNDS {
        let next = once(&Source::new(source.name.clone(), text.clone()));
        if next == text {
            break;
        }
        text = next;
    }
    text
}

fn once(source: &Source) -> String {
    if source.text.len() > super::LARGEST {
        return source.text.clone();
    }
    let (spec, problems) = parse(source);
    let before = meaning(source, &spec, &problems);
    let changes = changes(source, &spec);
    let mut readings = READINGS;
    let kept = harmless(source, &before, Vec::new(), &changes, &mut readings);
    replaced(&source.text, kept.iter()).unwrap_or_else(|| source.text.clone())
}

/// Those of the changes that, with those kept so far, change no meaning.
fn harmless(
    source: &Source,
    before: &[String],
    kept: Vec<Replacement>,
    changes: &[Replacement],
    readings: &mut usize,
) -> Vec<Replacement> {
    if changes.is_empty() || *readings == 0 {
        return kept;
    }
    *readings -= 1;
    let all: Vec<Replacement> = kept.iter().chain(changes).cloned().collect();
    let changed = replaced(&source.text, all.iter()).map(|text| Source::new(source.name.clone(), text));
    let same = changed.is_some_and(|changed| {
        let (spec, problems) = parse(&changed);
        meaning(&changed, &spec, &problems) == before
    });
    if same {
        return all;
    }
    if changes.len() == 1 {
        return kept;
    }
    let (first, second) = changes.split_at(changes.len() / 2);
    let kept = harmless(source, before, kept, first, readings);
    harmless(source, before, kept, second, readings)
}

/// Everything that the parser finds, without the places: the text of recorded rows, the problems, and the document.
fn meaning(source: &Source, spec: &Spec, problems: &[crate::diag::Diagnostic]) -> Vec<String> {
    static PLACES: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"Span \{ start: \d+, end: \d+ \}|annotated: \d+|end: \d+").ok());
    let rows = spec.steps.iter().flat_map(|step| &step.traces);
    let rows = rows.map(|trace| source.text[trace.content.start..trace.content.end].to_owned());
    let problems = problems.iter().map(|problem| format!("{}: {}", problem.code, problem.message));
    let all = format!("{spec:?}");
    let all = match &*PLACES {
        Some(places) => places.replace_all(&all, "").into_owned(),
        None => all,
    };
    rows.chain(problems).chain([all]).collect()
}

/// The changes to the usual layout, in the order of their places.
fn changes(source: &Source, spec: &Spec) -> Vec<Replacement> {
    let text = source.text.as_str();
    let (_, start) = front::read(text, &mut Vec::new());
    let plain = space::plain(text);
    let blocks = markdown::blocks(&plain, start);
    let mut changes = Changes { text, all: Vec::new() };
    let mut before = start;
    for (index, block) in blocks.iter().enumerate() {
        let is_heading = matches!(block.kind, Kind::Heading(_) | Kind::Setext(_));
        changes.gap(before, block.span.start, index == 0, is_heading);
        changes.block(block);
        before = block.span.end.max(before);
    }
    if text[before..].chars().all(char::is_whitespace) && before > 0 {
        changes.put(Span::new(before, text.len()), "\n".to_owned());
    }
    let arrows = spec.steps.iter().flat_map(|step| {
        let signature = step.signature.iter().map(|signature| signature.span);
        signature.chain(step.chains.iter().flatten().map(|arm| arm.span))
    });
    let arrows: Vec<Span> =
        arrows.chain(spec.groups.iter().filter_map(|group| Some(group.signature.as_ref()?.span))).collect();
    for span in arrows {
        for (at, _) in text[span.start..span.end].match_indices("->") {
            changes.put(Span::new(span.start + at, span.start + at + 2), "→".to_owned());
        }
    }
    let mut all = changes.all;
    all.sort_by_key(|change| change.span);
    // A line that one rule has changed as a whole is left to it.
    let mut end = 0;
    all.retain(|change| {
        let free = change.span.start >= end;
        end = if free { change.span.end.max(change.span.start) } else { end };
        free
    });
    all
}

struct Changes<'a> {
    text: &'a str,
    all: Vec<Replacement>,
}

impl Changes<'_> {
    fn put(&mut self, span: Span, text: String) {
        if self.text[span.start..span.end].replace("\r\n", "\n") != text {
            self.all.push(Replacement { span, text });
        }
    }

    /// The white space before a block: one empty line, also where there were several, and always above a heading.
    fn gap(&mut self, from: usize, to: usize, first: bool, heading: bool) {
        let Some(gap) = self.text.get(from..to).filter(|gap| gap.chars().all(char::is_whitespace)) else {
            return;
        };
        let Some(line) = gap.rfind('\n') else { return };
        let (breaks, indent) = (gap.matches('\n').count(), &gap[line + 1..]);
        let breaks = match (first, heading) {
            (true, _) => breaks.min(2),
            (false, true) => 2,
            (false, false) => breaks.min(2),
        };
        self.put(Span::new(from, to - indent.len()), "\n".repeat(breaks));
    }

    fn block(&mut self, block: &Block) {
        let Span { start, end } = block.span;
        match &block.kind {
            Kind::Heading(level) => self.heading(block.span, usize::from(*level)),
            Kind::Paragraph => self.lines(start, end),
            Kind::Container(Container { holder: Holder::Table, .. }) => self.table(block.span),
            Kind::Container(_)
            | Kind::Setext(_)
            | Kind::Fence(_)
            | Kind::Html
            | Kind::Indented
            | Kind::Rule => {}
        }
    }

    fn heading(&mut self, span: Span, level: usize) {
        let line = &self.text[span.start..span.end];
        let Some(title) = line.trim_start().get(level..) else { return };
        let title = title.trim();
        // Code keeps its spaces.
        if !line.starts_with('#') || title.is_empty() || title.contains('`') {
            return;
        }
        let words: Vec<&str> = title.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
        self.put(span, format!("{} {}", "#".repeat(level), spaced(&words.join(" "))));
    }

    /// The lines of a paragraph: fields, and single spaces at the end.
    fn lines(&mut self, start: usize, end: usize) {
        let mut at = start;
        for line in self.text[start..end].split_inclusive('\n') {
            let bare = line.trim_end_matches(['\n', '\r']);
            let kept = bare.trim_end_matches([' ', '\t']);
            // Two spaces at the end break the line.
            let breaks = bare.ends_with("  ") && bare.len() < line.len();
            let fields = kept.trim_start().starts_with('[') && kept.ends_with(']') && !kept.contains('`');
            let text = if fields { spaced(kept) } else { kept.to_owned() };
            if !breaks {
                self.put(Span::new(at, at + bare.len()), text);
            }
            at += line.len();
        }
    }

    /// Columns of equal width, if every row begins with a bar.
    fn table(&mut self, span: Span) {
        let start = self.text[..span.start].rfind('\n').map_or(0, |at| at + 1);
        let lines: Vec<&str> = self.text[start..span.end].lines().collect();
        if self.text[start..span.start].chars().any(|c| c != ' ') {
            return;
        }
        let Some(rows) = lines.iter().map(|line| cells(line)).collect::<Option<Vec<_>>>() else { return };
        let Some(columns) = rows.first().map(Vec::len).filter(|_| rows.len() > 1) else { return };
        if rows.iter().any(|row| row.len() != columns) {
            return;
        }
        let width = |column: usize| {
            let cells = rows.iter().enumerate().filter(|(row, _)| *row != 1);
            cells.map(|(_, row)| row[column].width()).max().unwrap_or(0).max(3)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut aligned = Vec::with_capacity(rows.len());
        for (index, row) in rows.iter().enumerate() {
            let cell = |(cell, width): (&&str, &usize)| {
                let right = cell.ends_with(':');
                match index == 1 {
                    true => {
                        let begin = if cell.starts_with(':') { ":" } else { "-" };
                        let end = if right { ":" } else { "-" };
                        format!(" {begin}{}{end} ", "-".repeat(width - 2))
                    }
                    false => format!(" {cell}{} ", " ".repeat(width - cell.width())),
                }
            };
            let cells: Vec<String> = row.iter().zip(&widths).map(cell).collect();
            aligned.push(format!("|{}|", cells.join("|")));
        }
        self.put(Span::new(start, span.end), aligned.join("\n"));
    }
}

/// `[key:: value]` with one space, for the fields of the language.
fn spaced(line: &str) -> String {
    static FIELD: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"\[[ \t]*([a-z-]+)[ \t]*::[ \t]*([^\[\]]*?)[ \t]*\]").ok());
    let Some(field) = &*FIELD else { return line.to_owned() };
    let replaced = field.replace_all(line, |found: &regex::Captures<'_>| {
        match fields().any(|known| known == &found[1]) && !found[2].is_empty() {
            true => format!("[{}:: {}]", &found[1], &found[2]),
            false => found[0].to_owned(),
        }
    });
    replaced.into_owned()
}

/// The cells of a row of a table; `None` if it does not begin and end with a bar.
fn cells(line: &str) -> Option<Vec<&str>> {
    let line = line.trim();
    let cells = markdown::cells(line);
    // A last bar behind a backslash belongs to the last cell.
    let ends = line.len() > 1 && line.ends_with('|') && !cells.last()?.ends_with('|');
    (ends && line.starts_with('|')).then_some(cells)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn laid(text: &str) -> String {
        let once = laid_out(&Source::new("flow.md", text));
        assert_eq!(laid_out(&Source::new("flow.md", once.clone())), once, "not idempotent");
        once
    }

    #[test]
    fn a_document_gets_the_usual_layout() {
        let written = "# Orders  \n\n\n\nSome prose \nwith a break  \nhere.\n## 1.  Weigh   @scale [retry::3]  \norder -> grams::Integer\n[timeout::  30s ]\n\n\
            If grams > 5 -> Pack\nOtherwise -> end\n### Note\n| a|b |\n|-|:-:|\n| long word | é |\n## Pack @box\ngrams -> box\n\n```sh run\nx  ->  y   \n\n\n```\n\n\n";
        let expected = "# Orders\n\nSome prose\nwith a break  \nhere.\n\n## 1. Weigh @scale [retry:: 3]\norder → grams::Integer\n[timeout:: 30s]\n\n\
            If grams > 5 → Pack\nOtherwise → end\n\n### Note\n\n| a         | b   |\n| --------- | :-: |\n| long word | é   |\n\n## Pack @box\ngrams → box\n\n```sh run\nx  ->  y   \n\n\n```\n";
        assert_eq!(laid(written), expected.replace("### Note\n\n|", "### Note\n|"));
    }

    #[test]
    fn what_has_a_meaning_stays() {
        for same in [
            "# A\n\n## Ask @model\nx → y\n\nWrite  two   spaces -> and an arrow.\n",
            "# A\n\n    indented  ->  code   \n\n<pre>\n\n\n</pre>\n",
            "---\ntitle:   A\n---\n\n# A\n",
            "## Go\n\n```session-toon\nexecution[1]{phase,status}:\n  Go,success   \n```\n",
            "# A\n\n| a | `b \\| c` |\n| --- | --- |\n| x \\| y\n",
            "",
            "no heading",
        ] {
            let laid = laid(same);
            assert_eq!(laid.trim_end(), same.trim_end(), "{same:?}");
        }
    }

    #[test]
    fn line_ends_of_another_system_stay() {
        assert_eq!(laid("# A\r\n\r\n\r\n##  B @x\r\na -> b\r\n"), "# A\r\n\r\n## B @x\r\na → b\r\n");
    }
}
