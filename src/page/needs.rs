//! What needs people, on top of the page: gates and awaited events, and failures by cause.

use super::data::{PageAwait, PageCause, PageData, PageGate, PageText};
use super::glyphs::glyph;
use crate::value::words;
use crate::view::count;
use maud::{Markup, html};

/// The most gates that are shown at once.
const GATES: usize = 20;

/// The gates and the events that items wait for; `served` with buttons instead of commands.
pub fn band(data: &PageData, served: bool) -> Markup {
    let gates: Vec<&PageGate> = data.gates.iter().filter(|gate| gate.state == "waiting").collect();
    if gates.is_empty() && data.awaits.is_empty() {
        return html! {};
    }
    html! {
        section.needs id="_needs" aria-labelledby="_needs-title" {
            @if !gates.is_empty() {
                h2 id="_needs-title" { (glyph("person")) " " (waits(gates.len())) }
            }
            @for gate in gates.iter().take(GATES) { (of_gate(data, gate, served)) }
            @if gates.len() > GATES { p.dim { "… and " (count((gates.len() - GATES) as u64)) " more" } }
            @if !data.awaits.is_empty() {
                h2 id=[gates.is_empty().then_some("_needs-title")] { (glyph("wait")) " " (awaits(data.awaits.len())) }
            }
            @for one in data.awaits.iter().take(GATES) { (of_await(data, one)) }
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

fn awaits(number: usize) -> String {
    if number == 1 {
        "1 item waits for an event".to_owned()
    } else {
        format!("{number} items wait for an event")
    }
}

fn of_gate(data: &PageData, gate: &PageGate, served: bool) -> Markup {
    let item = if data.run.single { String::new() } else { format!(" --item {}", word(&gate.key)) };
    let by = gate.by.as_ref().map(|by| format!(" --as {}", word(by))).unwrap_or_default();
    let command = |what: &str| format!("orderflow {what} {} {}{item}{by}", data.run.name, word(&gate.title));
    let anchor = format!("gate={}&item={}", encoded(&gate.title), encoded(&gate.key));
    html! {
        article.need data-gate=(anchor) {
            p.ask {
                a href={ "#" (anchor) } { b { (gate.title) } }
                @if !data.run.single { " " span.mono { (gate.key) } }
                @if !gate.question.is_empty() { " " span.question { (gate.question) } }
            }
            p.dim {
                "waits since " time { (gate.since) }
                @if let Some(until) = &gate.until { ", until " time { (until) } }
                @if let Some(by) = &gate.by { ", for " (by) }
            }
            (given(&gate.given))
            dl.leads {
                dt { "Approve" } dd { (glyph("run")) " " (gate.title) " begins" }
                dt { "Reject" }
                dd {
                    (glyph("bad")) " " (gate.title) " does not run and the item fails"
                    @if !gate.compensated.is_empty() { "; then compensated: " (gate.compensated.join(", ")) }
                }
            }
            @if served {
                form.act data-act="gate" data-step=(gate.title) data-item=(gate.key) {
                    label { "Note " input name="note" autocomplete="off" size="28"; } " "
                    button type="submit" name="approve" { "Approve" } " "
                    button type="submit" name="reject" class="warn" { "Reject" }
                    span.said role="status" {}
                }
            } @else {
                p.cmd { code { (command("approve")) } }
                p.cmd { code { (command("reject")) } }
            }
        }
    }
}

fn of_await(data: &PageData, one: &PageAwait) -> Markup {
    let step = data.steps.get(one.step).map_or("", |step| &step.title);
    html! {
        article.need {
            p.ask {
                b { (step) } @if !data.run.single { " " span.mono { (one.key) } }
                " waits for " code { (one.event) } " about " code { (one.subject) }
            }
            p.dim { "since " time { (one.since) } }
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
            @for (index, cause) in data.causes.iter().enumerate() { (of_cause(data, cause, index)) }
            @if served {
                form.act data-act="retry" { button type="submit" { "Retry failed items" } span.said role="status" {} }
            } @else {
                p.cmd { span.dim { "once the cause is fixed: " } code { "orderflow retry " (data.run.name) } }
            }
        }
    }
}

fn of_cause(data: &PageData, cause: &PageCause, index: usize) -> Markup {
    let step = cause.step.and_then(|step| data.steps.get(step));
    let phase = step.map_or("", |step| &step.phase);
    let message = if cause.message.is_empty() { "failed" } else { &cause.message };
    html! {
        details.cause open[index == 0] {
            summary {
                @if !data.run.single { span.times { (count(cause.count)) " ×" } " " }
                b { (step.map_or("The item's deadline", |step| &step.title)) } " "
                @if let Some(code) = &cause.code { code { (code) } " " }
                span.message { (message) }
            }
            div.inside {
                div {
                    p {
                        @for (at, key) in cause.keys.iter().enumerate() {
                            @if at > 0 { ", " }
                            a.mono href={ "#item=" (encoded(key)) "&step=" (encoded(phase)) "&tab=log" } { (key) }
                        }
                        @if cause.count > cause.keys.len() as u64 { " and " (count(cause.count - cause.keys.len() as u64)) " more" }
                    }
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

fn given(values: &[PageText]) -> Markup {
    html! {
        @if !values.is_empty() {
            dl.values {
                @for value in values {
                    dt { (value.name) }
                    dd { pre tabindex="0" { (value.text) @if value.cut.is_some() { "…" } } }
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
fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
