//! What the author expects of a step, with what was found.

use super::data::PageData;
use super::glyphs::glyph;
use crate::diag::render::visible;
use crate::stats::expectant;
use crate::view::stats::found;
use maud::{Markup, html};

/// The expectations of a step; `text` is what the document says.
pub fn of_step(data: &PageData, step: Option<usize>, text: &str) -> Markup {
    let step = step.and_then(|step| data.graph.steps.get(step));
    let name = step.map(|step| expectant(step).0);
    let own = data.verdicts.iter().filter(|verdict| name.is_some() && verdict.step.as_deref() == name);
    let own: Vec<_> = own.collect();
    html! {
        @if own.is_empty() {
            p.callout { span.tag { "expects" } " " code { (visible(text.trim_start_matches("[!expect]").trim())) } }
        }
        @for verdict in own {
            @let (icon, class, word) = match verdict.met {
                Some(true) => ("ok", "ok", "met"),
                Some(false) => ("bad", "bad", "not met"),
                None => ("none", "", "not judged: it did not run"),
            };
            p.callout { span.tag { "expects" } " " code { (visible(&verdict.expectation)) } " "
                span class=(class) { (glyph(icon)) " " (word) @if verdict.met.is_some() { ": " (found(verdict)) } }
            }
        }
    }
}
