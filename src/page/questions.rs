//! What agents ask a person during their attempts: who asks, what, and a form for the answer.

use super::data::PageData;
use super::gates::moment;
use super::needs::encoded;
use crate::adapter::question::AskedValue;
use crate::diag::render::visible;
use crate::runtime::{OpenQuestion, clock};
use crate::value::Value;
use maud::{Markup, html};

/// The most questions that are shown.
const MOST: usize = 50;

/// The questions that wait; `served` with forms, else with the way to answer.
pub fn band(data: &PageData, served: bool) -> Markup {
    let more = data.questions.len().saturating_sub(MOST);
    html! {
        @for question in data.questions.iter().take(MOST) { (of_one(data, question, served)) }
        @if more > 0 { p.dim { "… and " (more) " more" } }
        @if !served && !data.questions.is_empty() {
            p.dim { "Answered where " code { "orderflow run" } " shows them, or on the page of " code { "orderflow serve" } "." }
        }
    }
}

fn of_one(data: &PageData, question: &OpenQuestion, served: bool) -> Markup {
    let step = data.graph.by_phase(&question.step).and_then(|id| data.steps.get(id.index()));
    let title = step.map_or_else(|| visible(&question.step), |step| step.title.clone());
    let item = visible(&question.item);
    let anchor = format!("gate={}&item={}", encoded(&question.id), encoded(&item));
    let (yes, no) = if question.values.is_empty() { ("Allow once", "Reject") } else { ("Answer", "Decline") };
    html! {
        article.need data-gate=(anchor) {
            p.ask {
                a href={ "#" (anchor) } { b { (title) } }
                @if !data.run.single { " " span.mono { (item) } }
                " " span.dim { @match &question.agent { Some(agent) => { "@" (visible(agent)) " asks" }, None => "asks" } }
                " " span.question { (visible(&question.text)) }
            }
            p.dim {
                "waits since " (moment(&clock(question.since))) ", while the step’s time passes"
                @if step.is_some() { " · " a href={ "#item=" (encoded(&item)) "&step=" (encoded(&question.step)) "&tab=log" } { "what it does" } }
            }
            @if served {
                form.act data-act="answer" data-question=(question.id) {
                    @if !question.values.is_empty() { div.asked { @for value in &question.values { (field(value)) } } }
                    label { "Note " input name="note" autocomplete="off" size="28"; } " "
                    button type="submit" name="approve" { (yes) } " "
                    button type="submit" name="reject" class="warn" formnovalidate { (no) }
                    span.said role="status" {}
                }
            } @else {
                @for value in &question.values { p { code { (visible(&value.line())) } } }
            }
        }
    }
}

/// A field for a value that is asked for. What is typed is read by the value's schema.
fn field(asked: &AskedValue) -> Markup {
    let name = format!("value:{}", asked.name);
    let default = asked.schema.get("default").map(word).unwrap_or_default();
    let choices = match asked.schema.get("type").and_then(Value::as_str) {
        Some("boolean") => {
            Some(vec![("true".to_owned(), "yes".to_owned()), ("false".to_owned(), "no".to_owned())])
        }
        Some("array") => None,
        _ => asked.options(),
    };
    html! {
        label {
            span { (visible(&asked.line())) }
            @match choices {
                Some(choices) => select name=(name) required[asked.required] {
                    option value="" selected[default.is_empty()] { "" }
                    @for (value, shown) in &choices { option value=(value) selected[*value == default] { (visible(shown)) } }
                },
                None => input name=(name) value=(visible(&default)) required[asked.required] autocomplete="off";
            }
        }
    }
}

fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().map(word).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}
