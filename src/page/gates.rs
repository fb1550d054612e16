//! Items that wait for a person, by gate: what is asked, where each decision leads, and how to decide.

use super::data::{PageData, PageGate};
use super::glyphs::glyph;
use super::needs::{encoded, given, word};
use crate::value::words;
use maud::{Markup, html};

/// The most items of a gate that are shown at once; the others are folded.
const OPEN: usize = 3;

/// The gates at which items wait, each with its items.
pub fn waiting(data: &PageData) -> Vec<Vec<&PageGate>> {
    let mut gates: Vec<Vec<&PageGate>> = Vec::new();
    for gate in data.gates.iter().filter(|gate| gate.state == "waiting") {
        match gates.iter_mut().find(|all| all[0].title == gate.title) {
            Some(all) => all.push(gate),
            None => gates.push(vec![gate]),
        }
    }
    // In the order of the items, which is the same each time.
    gates.iter_mut().for_each(|items| items.sort_by_key(|gate| gate.item));
    gates
}

/// A gate with its items; `served` with buttons instead of commands.
pub fn of_gate(data: &PageData, items: &[&PageGate], served: bool) -> Markup {
    let [first, ..] = items else { return html! {} };
    let same = items.iter().all(|gate| gate.compensated == first.compensated);
    let (open, folded) = items.split_at(items.len().min(OPEN));
    html! {
        @if items.len() > 1 {
            div.together {
                p.ask { b { (first.title) } ": " (words::count(items.len() as u64, "item")) @if let Some(by) = &first.by { ", for " (by) } }
                @if same { (leads(first)) }
                @if served { (decide(first, items)) } @else { (commands(data, first, "")) }
            }
        }
        @for gate in open { (of_item(data, gate, served, items.len() == 1, items.len() > 1 && same)) }
        @if !folded.is_empty() {
            details.more {
                summary { (words::count(folded.len() as u64, "more item")) }
                @for gate in folded { (of_item(data, gate, served, false, same)) }
            }
        }
    }
}

/// One item at a gate; `alone` if no other waits there, `led` if it was shown where each decision leads.
fn of_item(data: &PageData, gate: &PageGate, served: bool, alone: bool, led: bool) -> Markup {
    let anchor = format!("gate={}&item={}", encoded(&gate.title), encoded(&gate.key));
    let item = if data.run.single { String::new() } else { format!(" --item {}", word(&gate.key)) };
    html! {
        article.need data-gate=(anchor) {
            p.ask {
                a href={ "#" (anchor) } { b { (if alone || data.run.single { &gate.title } else { &gate.key }) } }
                @if alone && !data.run.single { " " span.mono { (gate.key) } }
                @if !gate.question.is_empty() { " " span.question { (gate.question) } }
            }
            p.dim {
                "waits since " (moment(&gate.since))
                @if let Some(until) = &gate.until { ", until " (moment(until)) }
                @if let (true, Some(by)) = (alone, &gate.by) { ", for " (by) }
            }
            (given(&gate.given))
            @if !led { (leads(gate)) }
            @if served { (decide(gate, &[gate])) } @else { (commands(data, gate, &item)) }
        }
    }
}

/// A time as the server knows it; the script of the page adds how long ago it was.
pub fn moment(time: &str) -> Markup {
    html! { time datetime=(time) { (time.replacen('T', " ", 1).trim_end_matches('Z')) " UTC" } }
}

fn leads(gate: &PageGate) -> Markup {
    html! {
        dl.leads {
            dt { "Approve" } dd { (glyph("run")) " " (gate.title) " begins" }
            dt { "Reject" }
            dd {
                (glyph("bad")) " " (gate.title) " does not run and the item fails"
                @if !gate.compensated.is_empty() { "; then compensated: " (gate.compensated.join(", ")) }
            }
        }
    }
}

/// The buttons for these items of a gate.
fn decide(gate: &PageGate, items: &[&PageGate]) -> Markup {
    let keys: Vec<&str> = items.iter().map(|gate| &*gate.key).collect();
    let all = if keys.len() > 1 { format!(" all {}", keys.len()) } else { String::new() };
    let who = gate.by.as_ref().map(|by| format!(" as {by}")).unwrap_or_default();
    html! {
        form.act data-act="gate" data-step=(gate.title) data-by=[gate.by.as_ref()] data-items=(serde_json::Value::from(keys)) {
            label { "Note " input name="note" autocomplete="off" size="28"; } " "
            button type="submit" name="approve" { "Approve" (all) (who) } " "
            button type="submit" name="reject" class="warn" { "Reject" (all) (who) }
            span.said role="status" {}
        }
    }
}

fn commands(data: &PageData, gate: &PageGate, item: &str) -> Markup {
    let by = gate.by.as_ref().map(|by| format!(" --as {}", word(by))).unwrap_or_default();
    let command = |what: &str| format!("orderflow {what} {} {}{item}{by}", data.run.name, word(&gate.title));
    html! {
        p.cmd { code { (command("approve")) } }
        p.cmd { code { (command("reject")) } }
    }
}
