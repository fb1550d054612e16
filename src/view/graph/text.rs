//! A graph drawn with lines, for the terminal. If too many lines would be side by side, the steps are listed by stage
//! instead.

use super::{doer, often, sign, signature};
use crate::diag::render::visible;
use crate::graph::{Graph, Step, StepId};
use crate::spec::Mark;
use crate::value::words;
use crate::view::decisions;
use crate::view::stages::{ordered, stages};
use anstyle::Style;
use renderdag::{Ancestor, GraphRowRenderer, Renderer};
use std::collections::BTreeSet;
use std::fmt::Write;

/// With more lines side by side than this, a drawing is unreadable.
const WIDEST: usize = 24;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// The drawing, with styles for a terminal; other outputs must strip them.
pub fn text(graph: &Graph) -> String {
    let stages = stages(graph);
    let mut out = format!("{BOLD}{}{BOLD:#}\n{}\n\n", visible(&graph.title), summary(graph, &stages));
    out += &if width(graph) <= WIDEST { drawing(graph) } else { listing(graph, &stages) };
    let (last, handlers): (Vec<StepId>, Vec<StepId>) = graph.handlers().partition(|id| graph.step(*id).once);
    let compensations = graph.compensations().map(|id| ("↶", id));
    let failed: Vec<(&str, StepId)> = compensations.chain(handlers.into_iter().map(|id| ("◇", id))).collect();
    let last: Vec<(&str, StepId)> = last.into_iter().map(|id| ("◇", id)).collect();
    for (when, steps) in [("once an item has failed", failed), ("after all items", last)] {
        if !steps.is_empty() {
            let _ = writeln!(out, "\n{when}\n");
        }
        for (glyph, id) in steps {
            let _ = writeln!(out, "{glyph}  {}", lines(graph, id).join("\n   "));
        }
    }
    out
}

/// `6 steps in 5 stages, 3 compensations and 1 failure handler, from order_request`.
fn summary(graph: &Graph, stages: &[Vec<StepId>]) -> String {
    let mut summary =
        format!("{} in {}", words::count(graph.order.len(), "step"), words::count(stages.len(), "stage"));
    let others =
        [("compensation", graph.compensations().count()), ("failure handler", graph.handlers().count())];
    let mut others = others.into_iter().filter(|(_, number)| *number > 0).peekable();
    while let Some((what, number)) = others.next() {
        let joint = if others.peek().is_some() { "," } else { " and" };
        summary += &format!("{joint} {}", words::count(number, what));
    }
    let names: Vec<_> = graph.inputs.iter().map(|value| visible(&graph.value(*value).name)).collect();
    if !names.is_empty() {
        summary += &format!(", from {}", names.join(", "));
    }
    summary
}

/// The most lines that are side by side.
fn width(graph: &Graph) -> usize {
    let mut open: BTreeSet<StepId> = BTreeSet::new();
    let followers = followers(graph);
    let widths = ordered(graph).into_iter().map(|id| {
        open.remove(&id);
        open.extend(&graph.step(id).dependents);
        open.extend(&followers[id.index()]);
        open.len()
    });
    widths.max().unwrap_or(0)
}

fn drawing(graph: &Graph) -> String {
    let mut renderer = GraphRowRenderer::new().output().with_min_row_height(2).build_box_drawing();
    let mut out = String::new();
    let followers = followers(graph);
    for id in ordered(graph) {
        let id = &id;
        let step = graph.step(*id);
        // Solid for data, dotted for an order only.
        let line = |next: &StepId| match data(graph, *id, *next) {
            true => Ancestor::Parent(*next),
            false => Ancestor::Ancestor(*next),
        };
        let glyph = match step.mark {
            None => "○",
            Some(Mark::Critical) => "●",
            Some(Mark::Optional) => "◌",
        };
        let later = followers[id.index()].iter().map(|next| Ancestor::Ancestor(*next));
        let next = step.dependents.iter().map(line).chain(later).collect();
        out += &renderer.next_row(*id, next, glyph.to_owned(), lines(graph, *id).join("\n"));
    }
    let lines: Vec<&str> = out.lines().map(str::trim_end).collect();
    lines.join("\n").trim_end().to_owned() + "\n"
}

/// By step, those that wait for it without needing it: behind the loop in which it is, or after all items.
fn followers(graph: &Graph) -> Vec<Vec<StepId>> {
    let mut followers = vec![Vec::new(); graph.steps.len()];
    for id in graph.ids() {
        graph.exits(id).into_iter().for_each(|exit| followers[exit.index()].push(id));
    }
    followers
}

/// Whether a value flows from one step to the other.
fn data(graph: &Graph, from: StepId, to: StepId) -> bool {
    let start = graph.edges.partition_point(|edge| (edge.to, edge.from) < (to, from));
    let between = graph.edges.iter().skip(start).take_while(|edge| (edge.to, edge.from) == (to, from));
    between.into_iter().any(|edge| edge.value.is_some())
}

fn listing(graph: &Graph, stages: &[Vec<StepId>]) -> String {
    let mut out = String::new();
    for (number, stage) in stages.iter().enumerate() {
        let parallel = if stage.len() > 1 { ", in parallel" } else { "" };
        let _ = writeln!(out, "stage {}{parallel}", number + 1);
        for id in stage {
            let _ = writeln!(out, "  {}", lines(graph, *id).join("\n    "));
        }
    }
    out
}

/// A step's name and doer, and below them its inputs and outputs.
fn lines(graph: &Graph, id: StepId) -> Vec<String> {
    let step = graph.step(id);
    let mark = step.mark.map(|mark| format!(" {}", sign(mark))).unwrap_or_default();
    let head = format!("{BOLD}{}{mark}{BOLD:#}  {}", visible(&step.title), doer(step));
    let flow = signature(graph, step);
    let often = often(graph, step);
    let flow = [Some(flow).filter(|flow| !flow.is_empty()), often].into_iter().flatten();
    let flow = flow.collect::<Vec<_>>().join(", ");
    let flow = (!flow.is_empty()).then(|| format!("{DIM}{flow}{DIM:#}"));
    let undone =
        step.compensate.map(|by| format!("{DIM}compensated by {}{DIM:#}", visible(&graph.step(by).title)));
    let head = std::iter::once(head.trim_end().to_owned());
    head.chain(flow).chain(decided(graph, step)).chain(undone).collect()
}

/// When a step runs, in which state, and its decisions.
fn decided(graph: &Graph, step: &Step) -> impl Iterator<Item = String> {
    let state = decisions::state(graph, step).map(|state| format!("state {state}"));
    let when = decisions::when(step).map(|when| format!("when {when}"));
    let arms = decisions::texts(graph, step).into_iter().flatten();
    let arms = arms.map(|arm| format!("{} → {}", arm.asks(), arm.target));
    let gates = decisions::gates(graph, step);
    let events = decisions::events(step);
    let when = when.into_iter().chain(decisions::repeats(graph, step));
    state
        .into_iter()
        .chain(when)
        .chain(gates)
        .chain(events)
        .chain(arms)
        .map(|line| format!("{DIM}{line}{DIM:#}"))
}
