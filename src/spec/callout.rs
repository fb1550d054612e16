//! Quotes with a meaning below a heading: `> [!expect] p95 < 2s` and `> [!gate] …`.

use super::body::unmarked;
use super::expect::{Expectation, expectations};
use super::gate::{self, WrittenGate};
use super::markdown::{Container, Holder, lines};
use super::model::{Gate, Spanned};
use crate::diag::{Diagnostic, Span, catalogue as problem};
use crate::value::space::{self, is_space};

const MARK: &str = "[!expect]";

/// The expectations and gates in the quotes below one heading.
#[derive(Debug, Default)]
pub(super) struct Callouts {
    pub expectations: Vec<Spanned<Expectation>>,
    pub gates: Vec<WrittenGate>,
    /// The lines that begin expectations, read or not.
    pub places: Vec<Span>,
}

/// What the lines below a mark belong to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    Nothing,
    Expectations,
    Gate,
}

/// The rest of the line after the mark, if any.
fn after_mark(text: &str, line: Span) -> Option<Span> {
    let start = text.get(line.start..line.start + MARK.len())?;
    start.eq_ignore_ascii_case(MARK).then(|| Span::new(line.start + MARK.len(), line.end))
}

/// A line that is almost a gate's mark.
fn almost_gate(text: &str, line: Span) -> Option<Diagnostic> {
    let (mark, right) = gate::almost(text, line)?;
    let shown = right.as_deref().map_or("[!gate]", |right| right.find(']').map_or(right, |at| &right[..=at]));
    let problem = problem::almost_a_gate(line, shown);
    Some(right.into_iter().fold(problem, |problem, right| problem.maybe(mark, right)))
}

/// Whether a line begins with a misspelt mark.
fn almost(line: &str) -> bool {
    let name = line.strip_prefix("[!").and_then(|rest| rest.split(']').next()).unwrap_or_default();
    strsim::osa_distance(&name.to_ascii_lowercase(), "expect") <= 2
}

impl Callouts {
    /// Reads a quote; false if it has no meaning. The lines below a mark belong to it.
    pub fn read(
        &mut self,
        text: &str,
        written: &str,
        block: Span,
        container: &Container,
        doubts: &mut Vec<Diagnostic>,
    ) -> bool {
        let before = self.places.len() + self.gates.len();
        let mut open = Open::Nothing;
        let quoted = container.holder == Holder::Quote;
        for line in lines(text, block).filter(|line| !container.in_fence(*line)) {
            let line = unmarked(text, line);
            let said = &text[line.start..line.end];
            if let Some(gate) = WrittenGate::begin(text, line) {
                match quoted {
                    true => self.gates.push(gate),
                    false => doubts.push(problem::gate_unread(line, container.holder.name())),
                }
                open = if quoted { Open::Gate } else { Open::Nothing };
                continue;
            }
            match after_mark(text, line) {
                Some(_) if !quoted => {
                    doubts.push(problem::expectation_inside(line, container.holder.name()));
                }
                Some(rest) => {
                    self.places.push(line);
                    open = Open::Expectations;
                    self.list(written, rest, doubts);
                }
                None if quoted && !said.starts_with("[!") && gate::almost(text, line).is_some() => {
                    open = Open::Nothing;
                    doubts.extend(almost_gate(text, line));
                }
                None if said.starts_with("[!") => {
                    open = Open::Nothing;
                    let after = said.find(']').map_or("", |close| said[close + 1..].trim_start());
                    if let Some(doubt) = almost_gate(text, line) {
                        doubts.push(doubt);
                    } else if almost(said) {
                        doubts.push(problem::almost_an_expectation(line));
                    } else if quoted && gate::speaks(after) {
                        let mark = Span::new(line.start, line.end - after.len());
                        let right = "[!gate] ";
                        doubts.push(problem::almost_a_gate(line, right.trim_end()).maybe(mark, right));
                    }
                }
                None if open == Open::Expectations => self.list(written, line, doubts),
                None if open == Open::Gate => {
                    self.gates.last_mut().into_iter().for_each(|gate| gate.add(text, line));
                }
                None if quoted && gate::speaks(said) => {
                    let at = Span::new(line.start, line.start);
                    doubts.push(problem::almost_a_gate(line, "[!gate]").maybe(at, "[!gate] "));
                }
                // A task that asks for an approval.
                None if !quoted
                    && said.get(3..).is_some_and(|task| said.starts_with("[ ]") && gate::speaks(task)) =>
                {
                    doubts.push(problem::almost_a_gate(line, "[!gate]"));
                }
                None => {}
            }
        }
        self.places.len() + self.gates.len() > before
    }

    /// Those that belong to no step; a group can have a gate.
    pub fn stray(&self, group: bool) -> impl Iterator<Item = Diagnostic> {
        let expectations = self.places.iter().map(|place| problem::outside_of_steps(*place, "expectation"));
        let gates = self.gates.iter().filter(move |_| !group);
        expectations.chain(gates.map(|gate| problem::outside_of_steps(gate.line, "gate")))
    }

    /// The gate of a step or group.
    pub fn gate(&self, text: &str, written: &str, problems: &mut Vec<Diagnostic>) -> Option<Gate> {
        let (first, more) = self.gates.split_first()?;
        problems.extend(more.iter().map(|gate| problem::second_gate(gate.line, first.line)));
        Some(first.read(text, written, problems))
    }

    fn list(&mut self, text: &str, line: Span, doubts: &mut Vec<Diagnostic>) {
        let list = &text[line.start..line.end];
        let list = list.trim_end_matches(is_space).trim_end_matches(',');
        if space::trim(list).is_empty() {
            return;
        }
        let place = |span: std::ops::Range<usize>| Span::new(line.start + span.start, line.start + span.end);
        let (found, faults) = expectations(list);
        for (expectation, span) in found {
            match expectation.of_step() {
                Ok(()) => self.expectations.push(Spanned::new(expectation, place(span))),
                Err((what, help)) => doubts.push(problem::bad_expectation(place(span), what, help)),
            }
        }
        let faults = faults.into_iter();
        doubts.extend(
            faults.map(|fault| problem::bad_expectation(place(fault.span), &fault.what, &fault.help)),
        );
    }
}

/// A mark outside of a quote.
pub(super) fn unquoted(text: &str, line: Span) -> Option<Diagnostic> {
    let gate = || WrittenGate::begin(text, line).map(|_| problem::gate_unread(line, "paragraph"));
    after_mark(text, line).map(|_| problem::expectation_unquoted(line)).or_else(gate)
}

impl Expectation {
    /// Whether it is allowed in a step and about it.
    fn of_step(&self) -> Result<(), (&'static str, &'static str)> {
        if self.step.is_some() {
            return Err((
                "an expectation in a step is about that step",
                "leave the title out, or put it below the other step's heading",
            ));
        }
        if self.quantity == super::expect::Quantity::Saved {
            return Err((
                "`saved` is a figure of the whole run",
                "ask for it on the command line: --expect \"saved > 0\"",
            ));
        }
        Ok(())
    }
}
