//! The order workflow of `workflows/`: it is the original document, made runnable.

use orderflow::diag::Source;
use orderflow::graph::{self, Graph};
use orderflow::spec;
use std::path::Path;

/// A document of the repository that must be free of problems, with its meaning and its recorded tables.
fn read(name: &str) -> (Graph, Vec<String>) {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
    let source = Source::new(name, text);
    let (spec, mut problems) = spec::parse(&source);
    let (graph, more) = graph::build(&source, &spec);
    problems.extend(more);
    assert_eq!(problems, []);
    let fences = spec.steps.iter().flat_map(|step| &step.traces);
    (graph.unwrap(), fences.map(|fence| source.slice(fence.content).to_owned()).collect())
}

#[test]
fn it_has_the_steps_and_the_record_of_the_original() {
    let (original, recorded) = read("tests/fixtures/order-processing-original.md");
    let (ours, copied) = read("workflows/order-processing.md");
    assert_eq!(ours.title, original.title);
    assert_eq!(recorded.len(), 7);
    assert_eq!(copied, recorded);
    let steps = |graph: &Graph| -> Vec<String> {
        let name = |id: &graph::ValueId| format!("{:?}", graph.value(*id));
        let steps = graph.steps.iter().map(|step| {
            let takes: Vec<_> = step.inputs.iter().map(|input| name(&input.value)).collect();
            let makes: Vec<_> = step.outputs.iter().map(|output| name(&output.value)).collect();
            let needs: Vec<_> = step.needs.iter().map(|need| &graph.step(need.step).phase).collect();
            let (phase, kind, mark) = (&step.phase, step.kind, step.mark);
            let (agent, channel) = (&step.agent, &step.channel);
            format!("{phase} {kind:?} {mark:?} {agent:?} {channel:?} {takes:?} {makes:?} {needs:?}")
        });
        steps.collect()
    };
    assert_eq!(steps(&ours), steps(&original));
}
