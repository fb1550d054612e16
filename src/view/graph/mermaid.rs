//! A graph as a mermaid flowchart, as GitHub renders it. Parallel steps are side by side.

use super::{doer, often, sign};
use crate::diag::render::visible;
use crate::graph::{GateOf, Graph, Kind, Repeat, StepId, Target, ValueId};
use crate::spec::Mark;
use crate::view::decisions;
use std::fmt::Write;

const CLASSES: [&str; 4] = [
    "input fill:none,stroke-dasharray:2 2",
    "critical stroke-width:3px",
    "optional stroke-dasharray:6 4",
    "handler stroke-dasharray:6 4,stroke-width:2px",
];

/// Only if there are compensations.
const COMPENSATION: &str = "compensation stroke-dasharray:2 2,stroke-width:2px";

/// The flowchart, without a fence around it. Rectangles are steps, with double sides for critical ones and rounded for
/// optional ones; hexagons are failure handlers, trapezoids compensations; dotted lines are orders without data;
/// rounded ends are where a decision ends the item or fails the step.
pub fn mermaid(graph: &Graph) -> String {
    let mut out = "flowchart TD\n".to_owned();
    for value in outside(graph) {
        let _ = writeln!(out, "    v{}[/\"{}\"/]:::input", value.0, label(&graph.value(value).name));
    }
    nodes(graph, &mut out);
    for id in graph.ids().filter(|id| graph.is_used(*id)) {
        lines_into(graph, id, &mut out);
    }
    graph.repeats.iter().for_each(|repeat| line_back(graph, repeat, &mut out));
    let undoing = graph.compensations().next().map(|_| COMPENSATION);
    for class in CLASSES.into_iter().chain(undoing) {
        let _ = writeln!(out, "    classDef {class}");
    }
    out
}

/// The values that no step makes, handlers' failures among them, in order of mention.
fn outside(graph: &Graph) -> Vec<ValueId> {
    let taken = graph.steps.iter().flat_map(|step| &step.inputs).filter(|input| input.makers.is_empty());
    let mut values: Vec<ValueId> =
        taken.map(|input| input.value).chain(graph.inputs.iter().copied()).collect();
    values.sort_unstable();
    values.dedup();
    values
}

/// All steps, each group a subgraph around its own.
fn nodes(graph: &Graph, out: &mut String) {
    let mut open: Vec<usize> = Vec::new();
    for id in graph.ids().filter(|id| graph.is_used(*id)) {
        let mut path: Vec<usize> =
            std::iter::successors(graph.step(id).group, |group| graph.groups[*group].parent).collect();
        path.reverse();
        let common = open.iter().zip(&path).take_while(|(open, group)| open == group).count();
        close(&mut open, common, out);
        for group in path.into_iter().skip(common) {
            let indent = "    ".repeat(open.len() + 1);
            let gate = decisions::gate_of(graph, GateOf::Group(group));
            let gate = gate.map(|gate| format!("<br/>{}", label(&gate))).unwrap_or_default();
            let title = label(&graph.groups[group].title);
            let _ = writeln!(out, "{indent}subgraph g{group}[\"{title}{gate}\"]");
            open.push(group);
        }
        let indent = "    ".repeat(open.len() + 1);
        let _ = writeln!(out, "{indent}{}", node(graph, id));
    }
    close(&mut open, 0, out);
}

fn close(open: &mut Vec<usize>, left: usize, out: &mut String) {
    while open.len() > left {
        open.pop();
        let _ = writeln!(out, "{}end", "    ".repeat(open.len() + 1));
    }
}

fn node(graph: &Graph, id: StepId) -> String {
    let step = graph.step(id);
    let mark = step.mark.map(|mark| format!(" {}", sign(mark))).unwrap_or_default();
    let doer = doer(step);
    let doer = if doer.is_empty() { doer } else { format!("<br/>{}", label(&doer)) };
    let state = decisions::state(graph, step).map(|state| format!("state {state}"));
    let when = decisions::when(step).map(|when| format!("when {when}"));
    let gate = decisions::gate_of(graph, GateOf::Step(id));
    let more =
        often(graph, step).into_iter().chain(state).chain(when).chain(gate).chain(decisions::events(step));
    let more: String = more.map(|more| format!("<br/>{}", label(&more))).collect();
    let text = format!("{}{doer}{more}", label(&format!("{}{mark}", step.title)));
    let (left, right, class) = match (step.kind, step.mark) {
        (Kind::Handler, _) => ("{{", "}}", ":::handler"),
        (Kind::Compensation, _) => ("[\\", "/]", ":::compensation"),
        (Kind::Forward, None) => ("[", "]", ""),
        (Kind::Forward, Some(Mark::Critical)) => ("[[", "]]", ":::critical"),
        (Kind::Forward, Some(Mark::Optional)) => ("(", ")", ":::optional"),
    };
    format!("s{}{left}\"{text}\"{right}{class}", id.0)
}

/// The lines into a step: values from outside, then one line from each step before it.
fn lines_into(graph: &Graph, id: StepId, out: &mut String) {
    let step = graph.step(id);
    let payload = step.awaits.as_ref().map(|awaits| awaits.payload);
    let outside = step.inputs.iter().filter(|input| input.makers.is_empty() && Some(input.value) != payload);
    for input in outside {
        let arrow = if step.kind == Kind::Forward { "-->" } else { "-.->" };
        let _ = writeln!(out, "    v{} {arrow} s{}", input.value.0, id.0);
    }
    if let Some(by) = step.compensate {
        let _ = writeln!(out, "    s{} -. compensated by .-> s{}", id.0, by.0);
    }
    for need in &step.needs {
        let flows = step.inputs.iter().filter(|input| input.makers.contains(&need.step));
        let names: Vec<String> = flows.map(|input| label(&graph.value(input.value).name)).collect();
        let line = if names.is_empty() { "-.->" } else { "-->" };
        let names = Some(names.join(", ")).filter(|names| !names.is_empty());
        let said: Vec<String> = names.into_iter().chain(chosen(graph, need.step, id)).collect();
        if said.is_empty() && decides_on_group_of(graph, need.step, id) {
            continue;
        }
        let said = if said.is_empty() { String::new() } else { format!("|\"{}\"|", said.join("<br/>")) };
        let _ = writeln!(out, "    s{} {line}{said} s{}", need.step.0, id.0);
    }
    for exit in graph.exits(id) {
        let _ = writeln!(out, "    s{} -.-> s{}", exit.0, id.0);
    }
    ends(graph, id, out);
}

/// The line from the step that ends a round to the first step of the next one, with the condition.
fn line_back(graph: &Graph, repeat: &Repeat, out: &mut String) {
    let last = graph.order.iter().rev().find(|step| repeat.deciders.contains(step));
    let first = graph.order.iter().find(|step| repeat.contains(**step));
    let Some((last, first)) = last.zip(first) else { return };
    let until = label(&format!("repeat {}", decisions::repeat_text(repeat)));
    let _ = writeln!(out, "    s{} -.->|\"{until}\"| s{}", last.0, first.0);
}

/// The decisions of one step that lead to another.
fn chosen(graph: &Graph, from: StepId, to: StepId) -> impl Iterator<Item = String> {
    let step = graph.step(from);
    let arm_texts = decisions::texts(graph, step).into_iter().flatten();
    let arms = step.chains.iter().flatten().zip(arm_texts);
    arms.filter_map(move |(arm, text)| match arm.target {
        Target::Step(target) if target == to => Some(label(&text.asks())),
        Target::Skip(target) if target == to => Some(label(&format!("{}, skip", text.asks()))),
        _ => None,
    })
}

/// Whether a decision leads to a group around a step: its line leads to the group then.
fn decides_on_group_of(graph: &Graph, decider: StepId, id: StepId) -> bool {
    let mut arms = graph.step(decider).chains.iter().flatten();
    arms.any(|arm| match arm.target {
        Target::Group(group) | Target::SkipToGroup(group) => graph.around(id).any(|around| around == group),
        _ => false,
    })
}

/// The decisions of a step that lead to no single step: to groups, or to an end.
fn ends(graph: &Graph, id: StepId, out: &mut String) {
    let step = graph.step(id);
    let arm_texts = decisions::texts(graph, step).into_iter().flatten();
    for (at, (arm, text)) in step.chains.iter().flatten().zip(arm_texts).enumerate() {
        let asks = label(&text.asks());
        let _ = match arm.target {
            Target::End | Target::Fail(_) => {
                let target = label(&text.target);
                writeln!(out, "    s{} -.->|\"{asks}\"| e{}_{at}([\"{target}\"])", id.0, id.0)
            }
            Target::Group(group) => writeln!(out, "    s{} -.->|\"{asks}\"| g{group}", id.0),
            Target::SkipToGroup(group) => writeln!(out, "    s{} -.->|\"{asks}, skip\"| g{group}", id.0),
            Target::Step(_) | Target::Skip(_) | Target::Elsewhere => Ok(()),
        };
    }
}

/// Text between quotes. Characters with a meaning in mermaid, markdown or HTML are written as numbers; `#` has a
/// meaning only with the semicolon of such a number.
fn label(text: &str) -> String {
    let text: Vec<char> = visible(text).chars().collect();
    let word = |at: Option<usize>| at.and_then(|at| text.get(at)).is_some_and(|c| c.is_alphanumeric());
    let mut label = String::with_capacity(text.len());
    for (at, c) in text.iter().enumerate() {
        let plain = c.is_alphanumeric() || !c.is_ascii() || " ,/@()!?'#".contains(*c);
        // Inside a word these are letters; at its edge they may start a list or emphasis.
        let inside = "_-.+".contains(*c) && word(at.checked_sub(1)) && word(Some(at + 1));
        if plain || inside {
            label.push(*c);
        } else {
            let _ = write!(label, "#{};", *c as u32);
        }
    }
    label
}

#[cfg(test)]
mod tests {
    use super::label;

    #[test]
    fn labels_cannot_leave_their_quotes() {
        assert_eq!(label("Prüfe \"A\" & <b>#1;`x`"), "Prüfe #34;A#34; #38; #60;b#62;#1#59;#96;x#96;");
        assert_eq!(label("1. a_b - _c"), "1#46; a_b #45; #95;c");
    }
}
