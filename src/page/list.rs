//! The page with all runs of a folder: those that need somebody first.

use super::gates::moment;
use super::glyphs::{glyph, shapes};
use super::html::{STYLE, policy_of};
use crate::diag::render::visible;
use crate::value::Value;
use crate::view::{count, milliseconds};
use maud::{DOCTYPE, PreEscaped, html};

const SCRIPT: &str = include_str!("script/list.js");

/// The page of the runs in the form of `orderflow runs --format json`, with its content security policy.
pub fn list(runs: &Value) -> (String, String) {
    let runs = runs.as_array().map(Vec::as_slice).unwrap_or_default();
    let waits: u64 = runs.iter().map(waiting).sum();
    let title = if waits > 0 { format!("({waits}) Runs") } else { "Runs".to_owned() };
    let policy = policy_of(SCRIPT, "'self'");
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (shapes())
                header.bar { div.title { h1 { "Runs" } } }
                main.view {
                    @if runs.is_empty() {
                        p { "No runs are stored here yet. Start one: " code { "orderflow run DOCUMENT.md" } }
                    } @else {
                        div.wide tabindex="0" role="group" aria-label="All runs" {
                            table.figures.runs {
                                thead { tr {
                                    th scope="col" { "State" } th scope="col" { "Workflow" } th scope="col" { "Items" }
                                    th scope="col" { "Started" } th.n scope="col" { "Time" } th scope="col" { "Run" }
                                } }
                                tbody { @for run in sorted(runs) { (line(run)) } }
                            }
                        }
                    }
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    (page.into_string(), policy)
}

/// Those that wait for somebody first, then those that are active, then the others, the latest first.
fn sorted(runs: &[Value]) -> Vec<&Value> {
    let mut all: Vec<&Value> = runs.iter().collect();
    all.sort_by_key(|run| match text(run, "state").as_str() {
        _ if waiting(run) > 0 => 0,
        "running" | "paused" | "waiting" => 1,
        _ => 2,
    });
    all
}

fn line(run: &Value) -> maud::Markup {
    let (state, name) = (text(run, "state"), text(run, "name"));
    let failed: u64 =
        ["failed", "compensated", "compensation_failed"].iter().map(|name| number(run, name)).sum();
    let sign = match state.as_str() {
        "running" => "run",
        "waiting" => "wait",
        "done" => "ok",
        "failed" | "unmet" => "bad",
        "paused" | "cancelled" => "stop",
        _ => "none",
    };
    let asked = run["questions"].as_u64().unwrap_or(0);
    let parts = [
        ("person", asked, if asked == 1 { "question" } else { "questions" }),
        ("person", waiting(run) - asked, "waiting"),
        ("bad", failed, "failed"),
        ("ok", number(run, "succeeded"), "succeeded"),
        ("run", number(run, "in_flight").saturating_sub(waiting(run) - asked), "in flight"),
        ("stop", number(run, "cancelled"), "cancelled"),
    ];
    html! {
        tr {
            td { span.verdict class={ "v-" (sign) } { (glyph(sign)) " " (state) } }
            th scope="row" {
                @if run["error"].is_string() { span.bad { (text(run, "error")) } }
                @else { a href={ "/runs/" (text(run, "run")) } { (text(run, "workflow")) } }
            }
            td { @for (sign, several, what) in parts { @if several > 0 { span.part { (glyph(sign)) " " (count(several)) " " (what) } " " } } }
            td { @if run["started"].is_string() { (moment(&whole_seconds(&text(run, "started")))) } }
            td.n { @if let Some(time) = run["wall_ms"].as_f64() { (milliseconds(time)) } }
            td.mono.dim { (name) }
        }
    }
}

/// RFC 3339 without fractions of a second.
pub fn whole_seconds(time: &str) -> String {
    time.split('.').next().map_or_else(String::new, |start| start.trim_end_matches('Z').to_owned() + "Z")
}

fn text(run: &Value, name: &str) -> String {
    run[name].as_str().map(visible).unwrap_or_default()
}

fn number(run: &Value, name: &str) -> u64 {
    run["counts"][name].as_u64().unwrap_or(0)
}

fn waiting(run: &Value) -> u64 {
    number(run, "waiting") + number(run, "awaiting") + run["questions"].as_u64().unwrap_or(0)
}
