//! What the author expects of a step, with what was found in this run and in those before it.

use super::data::PageData;
use super::figures::{bound, spark};
use super::glyphs::glyph;
use crate::diag::render::visible;
use crate::graph::Step;
use crate::stats::{FoundValue, Verdict, expectant};
use crate::view::stats::found;
use maud::{Markup, html};

/// The expectations of a step; `text` is what the document says.
pub fn of_step(data: &PageData, step: Option<usize>, text: &str) -> Markup {
    let step = step.and_then(|step| data.graph.steps.get(step));
    let name = step.map(|step| expectant(step).0);
    let own = data.verdicts.iter().enumerate();
    let own = own.filter(|(_, verdict)| name.is_some() && verdict.step.as_deref() == name);
    let own: Vec<_> = own.collect();
    html! {
        @if own.is_empty() {
            p.callout { span.tag { "expects" } " " code { (visible(text.trim_start_matches("[!expect]").trim())) } }
        }
        @for (at, verdict) in own {
            @let (icon, class, word) = match verdict.met {
                Some(true) => ("ok", "ok", "met"),
                Some(false) => ("bad", "bad", "not met"),
                None => ("none", "", "not judged: it did not run"),
            };
            p.callout { span.tag { "expects" } " " code { (visible(&verdict.expectation)) } " "
                span class=(class) { (glyph(icon)) " " (word) @if verdict.met.is_some() { ": " (found(verdict)) } }
                " " (past(data, step, at, verdict))
            }
        }
    }
}

/// What the last runs had, this one last, with the limit.
fn past(data: &PageData, step: Option<&Step>, at: usize, verdict: &Verdict) -> Markup {
    let earlier = data.past.iter().filter_map(|run| run.verdicts.get(at));
    let all: Vec<(&Verdict, f64)> =
        earlier.chain([verdict]).filter_map(|one| Some((one, number(one)?))).collect();
    let ([(first, _), .., (last, _)], Some(_)) = (&all[..], number(verdict)) else { return html! {} };
    let own = step.and_then(|step| step.expectations.iter().find(|one| one.text == verdict.expectation));
    let values: Vec<f64> = all.iter().map(|(_, value)| *value).collect();
    let label = format!("in {} runs, from {} to {}", values.len(), found(first), found(last));
    spark(&values, own.and_then(bound), verdict.met == Some(false), &label)
}

fn number(verdict: &Verdict) -> Option<f64> {
    match verdict.found.as_ref()? {
        FoundValue::Number(number) => number.as_f64(),
        FoundValue::Milliseconds(figure) | FoundValue::Share(figure) => Some(figure.0),
    }
}
