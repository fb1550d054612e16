//! `> [!expect] p95 < 2s`: expectations in quotes below a heading.

use super::body::unmarked;
use super::expect::{Expectation, expectations};
use super::markdown::{Container, Holder, lines};
use super::model::Spanned;
use crate::diag::{Diagnostic, Span, catalogue as problem};
use crate::value::space::{self, is_space};

const MARK: &str = "[!expect]";

/// The expectations in the quotes below one heading.
#[derive(Debug, Default)]
pub(super) struct Callouts {
    pub expectations: Vec<Spanned<Expectation>>,
    /// The lines that begin them, read or not.
    pub places: Vec<Span>,
}

/// The rest of the line after the mark, if any.
fn after_mark(text: &str, line: Span) -> Option<Span> {
    let start = text.get(line.start..line.start + MARK.len())?;
    start.eq_ignore_ascii_case(MARK).then(|| Span::new(line.start + MARK.len(), line.end))
}

/// Whether a line begins with a misspelt mark.
fn almost(line: &str) -> bool {
    let name = line.strip_prefix("[!").and_then(|rest| rest.split(']').next()).unwrap_or_default();
    strsim::osa_distance(&name.to_ascii_lowercase(), "expect") <= 2
}

impl Callouts {
    /// Reads a quote; false if it has no expectations. The lines below the mark belong to it.
    pub fn read(
        &mut self,
        text: &str,
        written: &str,
        block: Span,
        container: &Container,
        doubts: &mut Vec<Diagnostic>,
    ) -> bool {
        let before = self.places.len();
        let mut open = false;
        for line in lines(text, block).filter(|line| !container.in_fence(*line)) {
            let line = unmarked(text, line);
            match after_mark(text, line) {
                Some(_) if container.holder != Holder::Quote => {
                    doubts.push(problem::expectation_inside(line, container.holder.name()));
                }
                Some(rest) => {
                    self.places.push(line);
                    open = true;
                    self.list(written, rest, doubts);
                }
                None if text[line.start..line.end].starts_with("[!") => {
                    open = false;
                    if almost(&text[line.start..line.end]) {
                        doubts.push(problem::almost_an_expectation(line));
                    }
                }
                None if open => self.list(written, line, doubts),
                None => {}
            }
        }
        self.places.len() > before
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
    after_mark(text, line).map(|_| problem::expectation_unquoted(line))
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
