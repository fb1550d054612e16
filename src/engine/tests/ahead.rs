//! What a run is said to have ahead is all that it begins.

use super::*;

/// The steps that an item begins before it is put back or the run is stopped.
fn begun(rest: &[Event], of: ItemId) -> BTreeSet<StepId> {
    let ends = |event: &&Event| match &event.kind {
        EventKind::Item(item, ItemEvent::Requeued) => *item == of,
        EventKind::Run(RunEvent::Stopped(_)) => true,
        _ => false,
    };
    let started = rest.iter().take_while(|event| !ends(event)).filter_map(|event| match &event.kind {
        EventKind::Attempt(item, step, _, AttemptEvent::Started) if *item == of => Some(step.step),
        _ => None,
    });
    started.collect()
}

#[test]
fn nothing_begins_that_was_not_said_to_be_ahead() {
    let (mut failing, mut undone) = (0, 0);
    for seed in seeds(120) {
        let (graph, policy, _, events, _) = simulate(seed);
        for cut in 0..events.len() {
            let (seen, rest) = events.split_at(cut);
            let run = folded(seed, &graph, &policy, seen);
            let mut ahead: BTreeMap<ItemId, BTreeSet<StepId>> = BTreeMap::new();
            let mut to_undo = BTreeSet::new();
            for (item, _, path, what) in run.ahead() {
                ahead.entry(item).or_default().insert(path.step);
                to_undo.extend(matches!(what, Ahead::Compensate(_)).then_some((item, path.step)));
            }
            // What follows from an answer is decided before anything of it is durable.
            let answered = |event: &&Event| {
                matches!(
                    &event.kind,
                    EventKind::Attempt(_, _, _, AttemptEvent::Finished(_))
                        | EventKind::Step(_, StepEvent::BranchTaken { .. })
                )
            };
            if seen.last().as_ref().is_some_and(answered) {
                continue;
            }
            for (item, said) in ahead {
                let fails = run.reason(item).is_some();
                failing += usize::from(fails);
                for step in begun(rest, item) {
                    // Whether these run depends on failures that are still to come.
                    let later = graph.step(step).kind != Kind::Forward && !fails;
                    // And on what is made in further rounds, or on whether what cannot be compensated had an effect.
                    let open = said.iter().any(|id| graph.step(*id).irreversible);
                    let compensates = graph.step(step).kind == Kind::Compensation;
                    let later = later || !graph.repeats.is_empty() || open && compensates;
                    assert!(
                        later || said.contains(&step),
                        "seed {seed}, cut {cut}, {item:?}: {step:?} of {said:?}"
                    );
                    undone += usize::from(to_undo.contains(&(item, step)));
                }
            }
        }
    }
    assert!(failing > 100 && undone > 100, "{failing} failing, {undone} undone");
}
