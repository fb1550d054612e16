//! What needs people, on top of the page: gates and awaited events, and failures by cause.

use super::data::{PageAwait, PageCause, PageData, PageText};
use super::gates;
use super::glyphs::glyph;
use super::questions;
use crate::value::words;
use crate::view::count;
use maud::{Markup, html};

/// The most awaited events that are shown at once.
const AWAITS: usize = 20;

/// The gates and the events that items wait for; `served` with buttons instead of commands.
pub fn band(data: &PageData, served: bool) -> Markup {
    let gates = gates::waiting(data);
    let waiting = gates.iter().map(Vec::len).sum();
    let asked = data.questions.len();
    if gates.is_empty() && data.awaits.is_empty() && data.unpublished.is_empty() && asked == 0 {
        return html! {};
    }
    html! {
        section.needs id="_needs" aria-labelledby="_needs-title" {
            @if asked > 0 {
                h2 id="_needs-title" { (glyph("person")) " " (asks(asked)) }
            }
            (questions::band(data, served))
            @if !gates.is_empty() {
                h2 id=[(asked == 0).then_some("_needs-title")] { (glyph("person")) " " (waits(waiting)) }
            }
            @for items in &gates { (gates::of_gate(data, items, served)) }
            @if !data.awaits.is_empty() {
                h2 id=[(gates.is_empty() && asked == 0).then_some("_needs-title")] { (glyph("wait")) " " (awaits(data.awaits.len())) }
            }
            @for one in data.awaits.iter().take(AWAITS) { (of_await(data, one)) }
            @if !data.unpublished.is_empty() {
                h2 id=[(gates.is_empty() && data.awaits.is_empty() && asked == 0).then_some("_needs-title")] {
                    (glyph("bad")) " " (unpublished(data.unpublished.len()))
                }
                @for (channel, why) in data.unpublished.iter().take(AWAITS) { p { "to " code { (channel) } ": " (why) } }
                @if !served {
                    p.cmd { span.dim { "to publish again: " } code { "orderflow resume " (data.run.name) } }
                } @else if !data.run.live {
                    form.act data-act="resume" { button type="submit" { "Publish again" } span.said role="status" {} }
                }
            }
        }
    }
}

fn waits(number: usize) -> String {
    if number == 1 {
        "1 item waits for a person".to_owned()
    } else {
        format!("{number} items wait for a person")
    }
}

fn asks(number: usize) -> String {
    if number == 1 {
        "An agent asks a person".to_owned()
    } else {
        format!("Agents ask a person {number} questions")
    }
}

fn awaits(number: usize) -> String {
    if number == 1 {
        "1 item waits for an event".to_owned()
    } else {
        format!("{number} items wait for an event")
    }
}

fn unpublished(number: usize) -> String {
    if number == 1 {
        "1 event was not published".to_owned()
    } else {
        format!("{number} events were not published")
    }
}

fn of_await(data: &PageData, one: &PageAwait) -> Markup {
    let step = data.steps.get(one.step).map_or("", |step| &step.title);
    let step = one.title.as_deref().unwrap_or(step);
    html! {
        article.need {
            p.ask {
                b { (step) } @if !data.run.single { " " span.mono { (one.key) } }
                " waits for " code { (one.event) } " about " code { (one.subject) }
            }
            p.dim { "since " (gates::moment(&one.since)) }
            p.cmd { code { "orderflow signal " (data.run.name) " " (word(&one.event)) " --item " (word(&one.subject)) " --data JSON" } }
        }
    }
}

/// Failed items by cause, each with its innermost error.
pub fn failures(data: &PageData, served: bool) -> Markup {
    if data.causes.is_empty() {
        return html! {};
    }
    let failed: u64 = data.causes.iter().map(|cause| cause.count).sum();
    let many = match data.causes.len() {
        1 => format!("{} failed", words::count(failed, "item")),
        causes => format!("{} failed, {causes} causes", words::count(failed, "item")),
    };
    html! {
        section.fails id="_fails" aria-labelledby="_fails-title" {
            h2 id="_fails-title" { (glyph("bad")) " " (many) }
            @if let Some(changed) = &data.changed { p.dim { (changed) } }
            @if let Some(compared) = data.compared.as_ref().filter(|compared| compared.broken() > 0) {
                p { a href="#view=compare" { (count(compared.broken())) " of them succeeded in " (compared.name) } }
            }
            @for (index, cause) in data.causes.iter().enumerate() { (of_cause(data, cause, index)) }
            @if served {
                @if data.run.live {
                    p.dim { "Failed items can be retried once no process runs the run." }
                } @else {
                    form.act data-act="retry" { button type="submit" { "Retry failed items" } span.said role="status" {} }
                }
            } @else {
                p.cmd { span.dim { "once the cause is fixed: " } code { "orderflow retry " (data.run.name) } }
            }
        }
    }
}

fn of_cause(data: &PageData, cause: &PageCause, index: usize) -> Markup {
    let step = cause.step.and_then(|step| data.steps.get(step));
    let phase = step.map_or("", |step| &step.phase);
    let link = |key: &str| {
        html! { a.mono href={ "#item=" (encoded(key)) "&step=" (encoded(phase)) "&tab=log" } { (key) } }
    };
    let more = cause.count.saturating_sub(cause.keys.len() as u64);
    let more = if more > 0 { format!(" and {} more", count(more)) } else { String::new() };
    let message = if cause.message.is_empty() { "failed" } else { &cause.message };
    html! {
        details.cause open[index == 0] {
            summary {
                @if !data.run.single { span.times { (count(cause.count)) " ×" } " " }
                b { (step.map_or("The item's deadline", |step| &step.title)) } " "
                @if let Some(code) = &cause.code { code { (code) } " " }
                span.message { (message) }
                @if !cause.messages.is_empty() { span.dim { ", and similar" } }
            }
            div.inside {
                div {
                    @for (key, message) in cause.keys.iter().zip(&cause.messages) { p { (link(key)) " " (message) } }
                    @if cause.messages.is_empty() { p { @for (at, key) in cause.keys.iter().enumerate() { @if at > 0 { ", " } (link(key)) } (more) } }
                    @else if cause.count > cause.keys.len() as u64 { p { (more) } }
                    @if !cause.log.is_empty() { pre.log tabindex="0" { (cause.log.join("\n")) } }
                    @if !cause.compensated.is_empty() { p { (glyph("comp")) " compensated: " (cause.compensated.join(", ")) } }
                    @if !cause.uncompensated.is_empty() { p.bad { (glyph("bad")) " effects remain: " (cause.uncompensated.join("; ")) } }
                    @if cause.compensated.is_empty() && cause.uncompensated.is_empty() { p.dim { "nothing was compensated" } }
                }
                @if !cause.given.is_empty() {
                    div {
                        p.dim { (cause.keys.first().map_or("", String::as_str)) " was given" }
                        (given(&cause.given))
                    }
                }
            }
        }
    }
}

pub fn given(values: &[PageText]) -> Markup {
    html! {
        @if !values.is_empty() {
            dl.values {
                @for value in values {
                    dt { (value.name) }
                    dd {
                        pre tabindex="0" { (value.text) @if value.cut.is_some() { "…" } }
                        @for file in &value.files { @if let Some(text) = &file.text { pre.log tabindex="0" { (text) } } }
                    }
                }
            }
        }
    }
}

/// A word of a command line.
pub fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// A text as a part of an address.
pub fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
