//! Which steps a run is about: all of them, or those that `--only` and `--from` name.

use super::super::exit::{Exit, Stop};
use super::Args;
use crate::diag::nearest;
use crate::diag::render::visible;
use crate::graph::{Graph, Kind, Part, Step, StepId};
use crate::spec::title::key;
use std::collections::BTreeSet;

/// The part of the workflow that is to run.
///
/// # Errors
/// Stops where a step is named that cannot be run by itself.
pub fn choose(args: &Args, graph: Graph) -> anyhow::Result<Part> {
    if let Some(first) = &args.from {
        return Ok(Part::from(&graph, forward(&graph, "--from", first)?));
    }
    if args.only.is_empty() {
        return Ok(Part::whole(graph));
    }
    let kept = args.only.iter().map(|name| forward(&graph, "--only", name));
    Ok(Part::of(&graph, &kept.collect::<Result<BTreeSet<StepId>, Stop>>()?))
}

fn forward(graph: &Graph, flag: &str, name: &str) -> Result<StepId, Stop> {
    let refuse =
        |what: String| Stop::new(Exit::Invalid, format!("{flag} {}: {what}; nothing was run", visible(name)));
    let named = |id: &StepId| is_called(graph, graph.step(*id), name);
    let found: Vec<StepId> = graph.ids().filter(named).collect();
    match found.as_slice() {
        [only] if graph.step(*only).kind == Kind::Handler => {
            Err(refuse("a failure handler runs only for items that have failed".to_owned()))
        }
        [only] if graph.step(*only).kind == Kind::Compensation => {
            Err(refuse("it undoes another step and runs only for items that have failed".to_owned()))
        }
        [only] => Ok(*only),
        [] => {
            let titles = graph.steps.iter().map(|step| step.title.as_str());
            let help = match nearest(name, titles.clone()) {
                Some(near) => format!("did you mean \"{}\"?", visible(near)),
                None => format!("its steps: {}", visible(&titles.collect::<Vec<_>>().join(", "))),
            };
            Err(refuse("the workflow has no such step".to_owned()).help(help))
        }
        several => {
            let phases: Vec<String> = several.iter().map(|id| visible(&graph.step(*id).phase)).collect();
            Err(refuse("several steps are called so".to_owned())
                .help(format!("say which: {}", phases.join(", "))))
        }
    }
}

/// Whether a name means this step: its title, its phase, or its title behind that of its group.
pub fn is_called(graph: &Graph, step: &Step, name: &str) -> bool {
    let group = step.group.and_then(|group| graph.groups.get(group));
    let meant = key(name);
    key(&step.title) == meant
        || step.phase == meant
        || group.is_some_and(|group| key(&format!("{}/{}", group.title, step.title)) == meant)
}
