//! The page around the document: its head, what needs people, failures, and the data for the script.

use super::compare;
use super::data::PageData;
use super::document::{Section, sections};
use super::figures;
use super::glyphs::{glyph, shapes};
use super::margin::{Margins, statuses};
use super::needs;
use crate::graph::StepId;
use crate::history::State;
use crate::value::words;
use crate::view::{self, count, milliseconds, outcome};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

pub const STYLE: &str = include_str!("page.css");
/// One function, of which each file has a part.
const SCRIPT: &str = concat!(
    include_str!("script/base.js"),
    include_str!("script/items.js"),
    include_str!("script/drawer.js"),
    include_str!("script/timeline.js"),
    include_str!("script/rail.js"),
    include_str!("script/live.js"),
    include_str!("script/keys.js"),
);

/// How a page is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageMode {
    /// A file: it shows commands, and makes no requests.
    File,
    /// Served: it has buttons, and makes requests to this address, such as `/api/runs/01a2`.
    Served { api: String },
}

/// The content security policy of a page: only its own script and style, and requests only where it is served.
pub fn policy(mode: &PageMode) -> String {
    let connect = match mode {
        PageMode::File => "'none'",
        PageMode::Served { .. } => "'self'",
    };
    policy_of(SCRIPT, connect)
}

/// That of a page with this script.
pub fn policy_of(script: &str, connect: &str) -> String {
    let hash = |text: &str| BASE64_STANDARD.encode(Sha256::digest(text.as_bytes()));
    format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; img-src data:; connect-src {connect}; \
         base-uri 'none'; form-action 'none'",
        hash(script),
        hash(STYLE)
    )
}

/// The data of the page as JSON that may be inside a script element.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn json(data: &PageData) -> serde_json::Result<String> {
    // No text can end the element, or begin a comment.
    Ok(serde_json::to_string(data)?.replace('<', "\\u003c"))
}

/// The page as HTML.
///
/// # Errors
/// When its data cannot be written as JSON.
pub fn render(data: &PageData, mode: &PageMode) -> anyhow::Result<String> {
    let api = match mode {
        PageMode::File => None,
        PageMode::Served { api } => Some(api.as_str()),
    };
    let waiting = data.gates.iter().filter(|gate| gate.state == "waiting").count();
    let waiting = waiting + data.awaits.len() + data.questions.len();
    let (icon, word) = verdict(data);
    let waits = if waiting > 0 { format!("({waiting}) ") } else { String::new() };
    let title = format!("{waits}{word}: {} · {}", data.run.workflow, data.run.name);
    let page = html! {
        (DOCTYPE)
        html lang="en" data-serve=[api] {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy(mode));
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (title) }
                link rel="icon" href=(favicon(icon, waiting > 0));
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#_doc" { "Skip to the document" }
                (shapes())
                (header(data, icon, word, api))
                main id="_main" {
                    (needs::band(data, api.is_some()))
                    (needs::failures(data, api.is_some()))
                    section.running id="_running" aria-labelledby="_running-title" hidden {}
                    noscript { p.note { "Items, timeline and details of single steps need JavaScript; " code { "orderflow show " (data.run.name) } " has them as text." } }
                    @for cut in &data.cut { p.note { (cut) } }
                    section.strip id="_strip" aria-label="Items" hidden {}
                    (document(data))
                    (graph(data))
                    section.view id="_timeline" aria-labelledby="_timeline-title" hidden {}
                    section.view id="_figures" aria-labelledby="_figures-title" { (figures::table(data)) }
                    section.view id="_compare" aria-label="Compare" { (compare::view(data, api.is_some())) }
                }
                aside id="_drawer" aria-label="Details" hidden {}
                footer id="_time" hidden {}
                div.live id="_live" role="status" {}
                script type="application/json" id="_data" data-statuses=(statuses().join(" ")) { (PreEscaped(json(data)?)) }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    Ok(page.into_string())
}

/// The sign and the word of the run's state.
fn verdict(data: &PageData) -> (&'static str, &'static str) {
    let counts = &data.run.counts;
    let failed = counts.failed + counts.compensated + counts.compensation_failed;
    match data.run.status {
        State::Running => ("run", "running"),
        State::Paused => ("stop", "paused"),
        State::Waiting => ("wait", "waiting"),
        State::Done if failed > 0 => ("ok", "done with failures"),
        State::Done => ("ok", "done"),
        State::Unmet => ("bad", "expectations not met"),
        State::Failed => ("bad", "failed"),
        State::Cancelled => ("stop", "cancelled"),
    }
}

fn favicon(icon: &str, waits: bool) -> String {
    let colour = match icon {
        "ok" => "2b7a4b",
        "bad" => "b3362a",
        "run" => "2458b3",
        "wait" => "8a5a00",
        _ => "6b665e",
    };
    let dot = if waits { "%3Ccircle cx='12' cy='4' r='4' fill='%23e08a00'/%3E" } else { "" };
    format!(
        "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E\
         %3Crect x='1' y='2' width='13' height='13' rx='4' fill='%23{colour}'/%3E{dot}%3C/svg%3E"
    )
}

fn header(data: &PageData, icon: &str, word: &str, api: Option<&str>) -> Markup {
    let (run, served) = (&data.run, api.is_some());
    let stats = &data.stats.run;
    let wall = stats.wall_ms.filter(|_| !run.live).map_or(run.now as f64, |wall| wall.0);
    let mut facts = Vec::new();
    if let Some(work) = stats.sequential_ms.filter(|_| wall > 0.0 && !run.single) {
        facts.push(format!("{:.1} at once", work.0 / wall));
    }
    if run.tokens > 0 {
        facts.push(words::tokens(run.tokens));
    }
    facts.extend(run.cost.clone());
    let total = run.counts.total.unwrap_or(data.items.keys.len() as u64);
    let items = match total {
        0 => String::new(),
        1 => "1 item: ".to_owned(),
        several => format!("{} items: ", count(several)),
    };
    html! {
        header.bar id="_bar" {
            @if served { p { a href="/" { "← Runs" } } }
            div.title { span class={ "verdict v-" (icon) } { (glyph(icon)) " " (word) } " " h1 title=(run.workflow) { (run.workflow) } " " span.mono.dim title=(run.id) { (run.name) } }
            p { (items) span id="_counts" { (outcome(&run.counts)) } }
            p.dim id="_facts" { span id="_wall" { (milliseconds(wall)) } @for fact in &facts { " · " (fact) } }
            @if let Some(api) = api { p { a href={ (api.trim_start_matches("/api")) "/report.html" } download={ "report-" (run.name) ".html" } { "Save as a file" } } }
            @if served && run.status == State::Paused { (act("resume", "Resume")) }
            @if served && matches!(run.status, State::Running | State::Paused | State::Waiting) { (act("cancel", "Cancel")) }
            nav aria-label="Views" {
                a href="#view=document" data-view="document" aria-current="page" { "Document" }
                a href="#view=graph" data-view="graph" { "Graph" }
                a href="#view=timeline" data-view="timeline" { "Timeline" }
                a href="#view=figures" data-view="figures" { "Figures" }
                @if data.compared.is_some() || !data.others.is_empty() { a href="#view=compare" data-view="compare" { "Compare" } }
            }
        }
    }
}

/// The steps as a drawing, each with its median time.
fn graph(data: &PageData) -> Markup {
    let note = |id: StepId| {
        let phase = &data.graph.step(id).phase;
        let mut groups = data.stats.groups.iter().filter(|group| !group.nested);
        let group = groups.find(|group| group.phase().is_some_and(|known| **known == **phase))?;
        group.p50_ms.map(|time| milliseconds(time.0))
    };
    html! {
        section.view id="_graph" aria-labelledby="_graph-title" {
            h2 id="_graph-title" { "Graph" }
            @match view::graph::drawing(&data.graph, false, note) {
                Some(drawing) => div.wide tabindex="0" role="group" aria-label="Graph of the steps" { (PreEscaped(drawing)) },
                None => p.dim { "The graph has too many steps for a drawing." },
            }
        }
    }
}

/// A button that asks the server for something.
fn act(what: &str, word: &str) -> Markup {
    html! { form.act data-act=(what) { button type="submit" { (word) } " " span.said role="status" {} } }
}

fn document(data: &PageData) -> Markup {
    let margins = Margins::of(data);
    let sections = sections(data);
    html! {
        div.doc id="_doc" tabindex="-1" {
            @for section in &sections { (part(section, &margins)) }
        }
    }
}

fn part(section: &Section, margins: &Margins<'_>) -> Markup {
    html! {
        @match section.step {
            Some(step) => {
                section.sec.step id=(section.id) data-step=(step) aria-label=(section.title) {
                    div.rail aria-hidden="true" {}
                    div.text { (PreEscaped(&section.html)) }
                    (margins.draw(step))
                }
            }
            None => {
                div.sec id=[Some(&section.id).filter(|id| !id.is_empty())] {
                    div.rail aria-hidden="true" {}
                    div.text { (PreEscaped(&section.html)) }
                }
            }
        }
    }
}
