//! Drawings of a graph: for the terminal, for mermaid, for scripts.

mod json;
mod mermaid;
mod sequence;
mod svg;
mod text;

pub use json::json;
pub use mermaid::mermaid;
pub use sequence::SequenceDiagram;
pub use svg::{drawing, svg};
pub use text::text;

use crate::diag::render::visible;
use crate::graph::{Graph, Step};
use crate::spec::Mark;

/// A mark as documents write it.
pub(super) fn sign(mark: Mark) -> &'static str {
    match mark {
        Mark::Critical => "!",
        Mark::Optional => "?",
    }
}

/// `@agent #channel`, as far as present.
fn doer(step: &Step) -> String {
    let agent = step.agent.iter().map(|agent| format!("@{}", visible(agent)));
    let channel = step.channel.iter().map(|channel| format!("#{}", visible(channel)));
    let document = step.document.iter().map(|path| visible(path));
    agent.chain(document).chain(channel).collect::<Vec<_>>().join(" ")
}

/// How often a step runs, if not once an item, and that it has no effects.
pub(super) fn often(graph: &Graph, step: &Step) -> Option<String> {
    let each = step.each.map(|each| {
        let element = visible(&graph.value(each.element).name);
        format!("for each {element} in {}", visible(graph.list(step, each)))
    });
    let once = step.once.then(|| match step.always {
        true => "once, after all items, always".to_owned(),
        false => "once, after all items".to_owned(),
    });
    let pure = step.pure.then(|| "no effects".to_owned());
    let often: Vec<String> = once.into_iter().chain(each).chain(pure).collect();
    (!often.is_empty()).then(|| often.join(", "))
}

/// `a, b? → c`: the inputs and outputs of a step; empty for a step without either.
fn signature(graph: &Graph, step: &Step) -> String {
    let name = |value, optional| {
        let name = visible(&graph.value(value).name);
        if optional { format!("{name}?") } else { name }
    };
    let inputs = step.inputs.iter().map(|input| name(input.value, input.optional));
    let outputs = step.outputs.iter().map(|output| name(output.value, output.optional));
    let (inputs, outputs) = (inputs.collect::<Vec<_>>().join(", "), outputs.collect::<Vec<_>>().join(", "));
    match (inputs.is_empty(), outputs.is_empty()) {
        (true, true) => String::new(),
        (true, false) => format!("→ {outputs}"),
        (false, true) => format!("{inputs} →"),
        (false, false) => format!("{inputs} → {outputs}"),
    }
}
