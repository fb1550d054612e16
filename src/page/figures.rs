//! The figures of a run as a table, with a plot of the times of each step and of its earlier runs.

use super::data::PageData;
use super::glyphs::glyph;
use super::margin::dollars;
use crate::diag::render::visible;
use crate::event::Status;
use crate::spec::{Bound, Expectation, Quantity};
use crate::stats::{Group, expectant};
use crate::view::stats::found;
use crate::view::{count, milliseconds, percent};
use maud::{Markup, html};

/// The bins of a histogram.
const BINS: usize = 28;

/// The table of all steps.
pub fn table(data: &PageData) -> Markup {
    let groups: Vec<&Group> = data.stats.groups.iter().filter(|group| !group.nested).collect();
    let tokens = groups.iter().any(|group| group.tokens_used.is_some_and(|tokens| tokens > 0));
    let costs: Vec<f64> = costs(data);
    let priced = costs.iter().any(|cost| *cost > 0.0);
    let expects = !data.verdicts.is_empty();
    html! {
        h2 id="_figures-title" { "Figures" }
        @if groups.is_empty() { p.dim { "No step has run." } }
        @else {
            div.wide tabindex="0" role="group" aria-label="Figures of each step" {
                table.figures {
                    thead {
                        tr {
                            th scope="col" { "step" }
                            @for name in ["count", "failed", "success", "p50", "p95", "max"] { th.n scope="col" { (name) } }
                            @if tokens { th.n scope="col" { "tokens" } }
                            @if priced { th.n scope="col" { "cost" } }
                            th scope="col" { "times" }
                            @if !data.past.is_empty() { th scope="col" { "p95 of the last runs" } }
                            @if expects { th scope="col" { "expected" } }
                        }
                    }
                    tbody {
                        @for group in &groups { (row(data, group, tokens, priced.then_some(&costs), expects)) }
                    }
                }
            }
            p.dim { "Times reach from 0 to the maximum; the black line is p50, the dashed one p95." }
            (path(data))
        }
    }
}

fn row(data: &PageData, group: &Group, tokens: bool, costs: Option<&Vec<f64>>, expects: bool) -> Markup {
    let phase = group.phase().map_or("", |phase| phase);
    let step = data.graph.steps.iter().position(|step| step.phase == *phase);
    let title =
        step.and_then(|step| data.steps.get(step)).map_or_else(|| visible(phase), |step| step.title.clone());
    let time =
        |time: Option<crate::stats::Figure>| time.map_or("–".to_owned(), |time| milliseconds(time.0));
    html! {
        tr {
            th scope="row" { @if let Some(step) = step { a href={ "#step=" (data.steps[step].phase) } { (title) } } @else { (title) } }
            td.n { (count(group.count)) }
            td.n.bad[group.failed() > 0] { (count(group.failed())) }
            td.n { (group.success_rate.map_or("–".to_owned(), |share| percent(share.0))) }
            td.n { (time(group.p50_ms)) }
            td.n { (time(group.p95_ms)) }
            td.n { (time(group.max_ms)) }
            @if tokens { td.n { (group.tokens_used.map_or("–".to_owned(), count)) } }
            @if let Some(costs) = costs { td.n { @match step.and_then(|step| costs.get(step)) { Some(cost) if *cost > 0.0 => (dollars(*cost)), _ => "–" } } }
            td { (histogram(data, step, group)) }
            @if !data.past.is_empty() { td { (past(data, step, phase, group)) } }
            @if expects { td { (expected(data, step)) } }
        }
    }
}

fn costs(data: &PageData) -> Vec<f64> {
    let mut costs = vec![0.0; data.steps.len()];
    for (at, dollars) in data.attempts.dollars.iter().enumerate() {
        if let Some(sum) = costs.get_mut(data.attempts.step[at] as usize) {
            *sum += dollars;
        }
    }
    costs
}

/// How the times of a step are spread, with its percentiles.
fn histogram(data: &PageData, step: Option<usize>, group: &Group) -> Markup {
    let Some(step) = step else { return html! {} };
    let ends = &data.ends;
    let own = (0..ends.item.len()).filter(|at| ends.step[*at] as usize == step && ends.took[*at] >= 0.0);
    let skipped = super::collect::code(Status::Skipped);
    let times: Vec<f64> = own.filter(|at| ends.status[*at] != skipped).map(|at| ends.took[at]).collect();
    let most = times.iter().copied().fold(0.0, f64::max);
    if times.len() < 2 || most <= 0.0 {
        return html! {};
    }
    let mut bins = [0u64; BINS];
    for time in &times {
        bins[((time / most * BINS as f64) as usize).min(BINS - 1)] += 1;
    }
    let highest = bins.iter().copied().max().unwrap_or(1).max(1) as f64;
    let at = |time: f64| format!("{:.1}", time / most * 140.0);
    html! {
        svg.plot viewBox="0 0 140 26" width="140" height="26" role="img" aria-label={ "from 0 to " (milliseconds(most)) } {
            @for (index, number) in bins.iter().enumerate() {
                @if *number > 0 {
                    @let high = (*number as f64 / highest * 22.0).max(1.5);
                    rect x=(index * 5) y=(format!("{:.1}", 24.0 - high)) width="4" height=(format!("{high:.1}")) class="f-plot" {}
                }
            }
            line x1="0" x2="140" y1="24.5" y2="24.5" class="base" {}
            @for (time, class) in [(group.p50_ms, "p50"), (group.p95_ms, "p95")] {
                @if let Some(time) = time { line x1=(at(time.0)) x2=(at(time.0)) y1="1" y2="24" class=(class) {} }
            }
        }
    }
}

/// The 95th percentiles of the last runs, this one last, with the limit that the document sets.
fn past(data: &PageData, step: Option<usize>, phase: &str, group: &Group) -> Markup {
    let mut times: Vec<f64> = data.past.iter().filter_map(|run| run.p95.get(phase).copied()).collect();
    times.extend(group.p95_ms.map(|time| time.0));
    if times.len() < 2 {
        return html! {};
    }
    let limit = step.and_then(|step| limit(data, step));
    let now = times.last().copied().unwrap_or_default();
    let label =
        format!("p95 of {} runs, from {} to {}", times.len(), milliseconds(times[0]), milliseconds(now));
    spark(&times, limit, limit.is_some_and(|limit| now > limit), &label)
}

/// A line of the values of several runs, this one last, with the limit that the document sets; `bad` if this one is
/// beyond it. Nothing for less than two.
pub fn spark(values: &[f64], limit: Option<f64>, bad: bool, label: &str) -> Markup {
    let [.., now] = values else { return html! {} };
    if values.len() < 2 {
        return html! {};
    }
    let most = values.iter().copied().chain(limit).fold(f64::MIN_POSITIVE, f64::max);
    let point = |index: usize, value: f64| {
        let x = 3.0 + index as f64 / (values.len() - 1) as f64 * 114.0;
        (x, 23.0 - value.max(0.0) / most * 20.0)
    };
    let points: Vec<String> = values
        .iter()
        .enumerate()
        .map(|(index, value)| {
            let (x, y) = point(index, *value);
            format!("{x:.1},{y:.1}")
        })
        .collect();
    let (x, y) = point(values.len() - 1, *now);
    html! {
        svg.plot viewBox="0 0 120 26" width="120" height="26" role="img" aria-label=(label) {
            @if let Some(limit) = limit {
                @let y = format!("{:.1}", 23.0 - limit.max(0.0) / most * 20.0);
                line x1="0" x2="120" y1=(y) y2=(y) class="limit" {}
            }
            polyline points=(points.join(" ")) class="spark" {}
            circle cx=(format!("{x:.1}")) cy=(format!("{y:.1}")) r="3" class=(if bad { "f-bad" } else { "f-run" }) {}
        }
    }
}

/// The limit of the 95th percentile that the document sets, in milliseconds.
fn limit(data: &PageData, step: usize) -> Option<f64> {
    let expectations = &data.graph.steps.get(step)?.expectations;
    let own = expectations.iter().find(|one| one.quantity == Quantity::P95)?;
    match &own.bound {
        Bound::Milliseconds(_) => bound(own),
        Bound::Number(_) | Bound::Percent(_) => None,
    }
}

/// The number that an expectation names, in the unit of what is found: milliseconds, a share from 0 to 1, or as it is.
pub fn bound(expectation: &Expectation) -> Option<f64> {
    let number: f64 = expectation.bound.number().to_string().parse().ok()?;
    Some(if matches!(expectation.bound, Bound::Percent(_)) { number / 100.0 } else { number })
}

fn expected(data: &PageData, step: Option<usize>) -> Markup {
    let name = step.and_then(|step| data.graph.steps.get(step)).map(|step| expectant(step).0);
    html! {
        @for verdict in data.verdicts.iter().filter(|verdict| name.is_some() && verdict.step.as_deref() == name) {
            @let (icon, class) = match verdict.met { Some(true) => ("ok", "ok"), Some(false) => ("bad", "bad"), None => ("none", "dim") };
            p class=(class) { (glyph(icon)) " " code { (visible(&verdict.expectation)) } @if verdict.met.is_some() { " " (found(verdict)) } @else { " not judged" } }
        }
    }
}

/// The steps that the time of an item depends on.
fn path(data: &PageData) -> Markup {
    let run = &data.stats.run;
    let mut facts = Vec::new();
    if let Some(path) = &run.critical_path {
        facts.push((
            "critical path",
            path.iter().take(40).map(|phase| visible(phase)).collect::<Vec<_>>().join(" → "),
        ));
    }
    if let Some(slowest) = &run.slowest_step {
        facts.push((
            "slowest step",
            format!("{}, {} on average", visible(&slowest.phase), milliseconds(slowest.mean_ms.0)),
        ));
    }
    if let Some(mean) = run.mean_item_ms {
        facts.push(("an item", format!("{} on average", milliseconds(mean.0))));
    }
    if let (Some(work), Some(wall)) = (run.sequential_ms, run.wall_ms) {
        facts.push(("work", format!("{} in {} of wall time", milliseconds(work.0), milliseconds(wall.0))));
    }
    html! { dl.facts { @for (name, fact) in facts { dt { (name) } dd { (fact) } } } }
}
