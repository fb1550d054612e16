//! State diagrams in mermaid: the states, and the transitions between them. Knows nothing of steps, and ignores the
//! diagram's appearance.

use super::body::{Part, opening};
use super::markdown::{Fence, Kind, lines, place};
use super::model::{Diagram, Spanned};
use crate::diag::{Diagnostic, Span, catalogue as problem};
use std::collections::HashMap;

/// The point before the first state, and after the last one.
const EDGE: &str = "[*]";

/// Statements about the diagram's appearance.
const LOOKS: [&str; 10] =
    ["direction", "classDef", "class", "style", "click", "scale", "hide", "accTitle", "accDescr", "title"];

/// Reads the document's state diagram, the first if there are several.
pub(super) fn read(text: &str, parts: &[Part], problems: &mut Vec<Diagnostic>) -> Option<Diagram> {
    let blocks = parts.iter().flat_map(|part| &part.blocks);
    let fences = blocks.filter_map(|block| match &block.kind {
        Kind::Fence(fence) => Some(fence),
        _ => None,
    });
    let mut fences = fences.filter(|fence| is_diagram(text, fence));
    let first = fences.next()?;
    let at = opening(text, first);
    problems.extend(fences.map(|more| problem::second_diagram(opening(text, more), at)));
    let mut reader = Reader {
        text,
        diagram: Diagram { span: at, states: Vec::new(), initial: None, moves: Vec::new(), whole: true },
        known: HashMap::new(),
        problems,
        skipping: None,
    };
    let whole = lines(text, first.content).skip_while(|line| !begins(&text[line.start..line.end]));
    whole.skip(1).for_each(|line| reader.line(line));
    let mut diagram = reader.diagram;
    if diagram.initial.is_none() && diagram.whole {
        problems.push(problem::no_initial_state(at, diagram.states.first().map(|state| &*state.value)));
        diagram.whole = false;
    }
    Some(diagram)
}

/// Whether a fence holds a state diagram; front matter and comments may precede its first word.
fn is_diagram(text: &str, fence: &Fence) -> bool {
    let info = &text[fence.info.start..fence.info.end];
    let mut inside = lines(text, fence.content).map(|line| &text[line.start..line.end]);
    info.split_whitespace().next() == Some("mermaid") && {
        let mut front = false;
        let first = inside.find(|line| {
            front ^= *line == "---";
            !front && *line != "---" && !line.starts_with("%%")
        });
        first.is_some_and(begins)
    }
}

fn begins(line: &str) -> bool {
    matches!(line.split_whitespace().next(), Some("stateDiagram-v2" | "stateDiagram"))
}

struct Reader<'a, 'p> {
    text: &'a str,
    diagram: Diagram,
    /// The states by name.
    known: HashMap<String, usize>,
    problems: &'p mut Vec<Diagnostic>,
    /// The line that ends the ignored part.
    skipping: Option<&'static str>,
}

impl Reader<'_, '_> {
    fn line(&mut self, span: Span) {
        let line = &self.text[span.start..span.end];
        let first = line.split(|c: char| c.is_whitespace() || c == ':').next().unwrap_or_default();
        if line.starts_with("%%") {
            return;
        }
        if let Some(end) = self.skipping {
            self.skipping = Some(end).filter(|end| line != *end);
        } else if let Some((from, to)) = line.split_once("-->") {
            self.arrow(span, before_colon(from), before_colon(to));
        } else if line == "--" || line == "}" || line.ends_with('{') && first == "state" {
            self.refuse(span, "states within states cannot be checked");
        } else if first == "note" {
            self.skipping = (!line.contains(':')).then_some("end note");
        } else if LOOKS.contains(&first) {
            self.skipping = line.ends_with('{').then_some("}");
        } else if first == "state" && line.len() > first.len() {
            self.declared(span, line[first.len()..].trim());
        } else {
            self.state(span, before_colon(line));
        }
    }

    /// `"Paid in full" as paid`, or only a name.
    fn declared(&mut self, span: Span, rest: &str) {
        if rest.ends_with(">>") || rest.ends_with("]]") {
            return self.refuse(span, "forks, joins and choices cannot be checked");
        }
        let name = match rest.strip_prefix('"').and_then(|rest| rest.split_once('"')) {
            Some((_, named)) => named.trim().strip_prefix("as ").unwrap_or_default(),
            None => rest,
        };
        self.state(span, before_colon(name));
    }

    fn arrow(&mut self, span: Span, from: &str, to: &str) {
        if from == EDGE {
            let Some(state) = self.state(span, to) else { return };
            match &self.diagram.initial {
                Some(first) if first.value != state => {
                    self.problems.push(problem::second_initial_state(span, first.span));
                }
                _ => self.diagram.initial = Some(Spanned::new(state, span)),
            }
            return;
        }
        let Some(from) = self.state(span, from) else { return };
        if to != EDGE
            && let Some(to) = self.state(span, to)
        {
            self.diagram.moves.push((from, to));
        }
    }

    /// The state of that name, added if new; `None` for an invalid name.
    fn state(&mut self, line: Span, name: &str) -> Option<usize> {
        if !is_name(name) {
            self.refuse(line, "this is not a line of a state diagram");
            return None;
        }
        let next = self.diagram.states.len();
        let known = *self.known.entry(name.to_owned()).or_insert(next);
        if known == next {
            self.diagram.states.push(Spanned::new(name.to_owned(), place(self.text, name)));
        }
        Some(known)
    }

    fn refuse(&mut self, line: Span, why: &str) {
        self.problems.push(problem::bad_diagram(line, why));
        self.diagram.whole = false;
    }
}

/// The text before a label or a class.
fn before_colon(part: &str) -> &str {
    part.split(':').next().unwrap_or_default().trim()
}

/// Whether a state can have this name.
pub(super) fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_alphanumeric() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
}
