//! Cases on small documents: what agents, people and events do at which time.

use super::*;
use crate::diag::Source;
use crate::graph::{self, Graph};
use crate::spec;
use std::sync::Arc;

fn graph_of(document: &str) -> Arc<Graph> {
    let source = Source::new("x.md", document);
    let (spec, problems) = spec::parse(&source);
    let (graph, more) = graph::build(&source, &spec);
    let errors: Vec<_> = problems.iter().chain(&more).filter(|problem| problem.is_error()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    Arc::new(graph.unwrap())
}

/// How the only case of a text ends, its executions, and how long it takes.
fn live(document: &str, case: &str) -> (CaseEnd, Vec<String>, u64) {
    let graph = graph_of(document);
    let source = Source::new("x.test.toml", format!("[[case]]\nname = \"a\"\n{case}"));
    let (cases, problems) = read(&source, &graph);
    assert!(problems.is_empty(), "{problems:?}");
    let outcome = run(&graph, &cases[0]);
    assert!(!outcome.endless);
    let rows = outcome.executions.iter().map(|one| {
        let error = one.error.as_deref().map(|error| format!(": {error}")).unwrap_or_default();
        format!("{} {}{error}", graph.step(one.step).phase, one.status.name())
    });
    (outcome.end, rows.collect(), outcome.takes)
}

fn settled(state: crate::event::ItemState) -> CaseEnd {
    CaseEnd::Settled(state)
}

use crate::event::ItemState::{Compensated, Failed, Succeeded};

#[test]
fn backoff_and_timeouts_pass_in_the_time_of_the_case() {
    let document = "## A @a [retry:: 2 fixed 10m] [timeout:: 1h]\n-> b::Integer\n";
    let late = live(document, "answers.A.takes = \"2h\"");
    assert_eq!(
        late,
        (settled(Failed), vec!["A timeout: timed out after 1h".to_owned()], (3 * 60 + 20) * 60_000)
    );
    // An answer at the last moment counts.
    let (end, _, takes) = live(document, "answers.A.takes = \"1h\"");
    assert_eq!((end, takes), (settled(Succeeded), 3_600_000));
}

#[test]
fn parallel_steps_take_the_time_of_the_longest() {
    let document = "## A @a [after:: start]\n-> a::Integer\n\n## B @a [after:: start]\n-> b::Integer\n\n## C @a\na, b -> c::Integer\n";
    let takes = "answers.A.takes = \"2s\"\nanswers.B.takes = \"3s\"\nanswers.C.takes = \"1s\"";
    let rows = ["A success", "B success", "C success"].map(str::to_owned).to_vec();
    assert_eq!(live(document, takes), (settled(Succeeded), rows, 4000));
    // With one place they follow each other.
    assert_eq!(live(&format!("---\njobs: 1\n---\n{document}"), takes).2, 6000);
}

#[test]
fn gates_are_decided_each_time_they_are_reached_or_expire() {
    let document = "## A @a\n> [!gate within 2d by @ops] Go?\n\n-> a::Integer\n";
    assert_eq!(live(document, "gates.A = \"approve\"").1, ["A success"]);
    let rejected = live(document, "gates.A = { decision = \"reject\", note = \"no\", after = \"3h\" }");
    assert_eq!(rejected, (settled(Failed), vec!["A failed: rejected by ops: no".to_owned()], 3 * 3_600_000));
    // Another person does not decide.
    let other = live(document, "gates.A = { decision = \"approve\", by = \"eve\" }");
    assert_eq!(other.1, ["A failed: no approval within 2d"]);
    assert_eq!(other.2, 2 * 86_400_000);
    assert_eq!(live(document, "until = \"1d\"").0, CaseEnd::Waiting);
    let loops = "## Drafts [repeat:: 3 until ok]\n\n### Write @a\n-> draft::String\n\n### Check @a\n> [!gate] Go?\n\ndraft -> ok::Boolean\n";
    let again = "gates.Check = [\"approve\", \"reject\"]\nanswers.Check.outputs.ok = false";
    let rows = live(loops, again).1;
    assert_eq!(rows, ["Write success", "Check success", "Write success", "Check failed: rejected by test"]);
}

#[test]
fn events_come_at_their_times_and_only_once() {
    let document = "## A @a [await:: a.b where n > 1 within 1h]\n-> a::Integer\n";
    let event = |more: &str| format!("events = [{{ type = \"a.b\", {more} }}]");
    assert_eq!(live(document, &event("data = { n = 2 }, after = \"5m\"")).2, 300_000);
    let refused =
        ["data = { n = 1 }", "data = { n = 2 }, subject = \"2\"", "data = { n = 2 }, after = \"2h\""];
    for other in refused {
        assert_eq!(live(document, &event(other)).1, ["A failed: no event a.b within 1h"], "{other}");
    }
    let two = "## A @a [await:: a.b]\n-> a::Integer\n\n## B @a [await:: a.b] [after:: A]\n-> b::Integer\n";
    let twice = "events = [{ type = \"a.b\", id = \"x\" }, { type = \"a.b\", id = \"x\", after = \"1s\" }]";
    assert_eq!(live(two, twice).1, ["A success", "B success"]);
}

#[test]
fn answers_follow_each_other_over_attempts_and_elements() {
    let document = "## A @a [each:: n in list] [retry:: 1 fixed 1s]\nn::Integer -> got::Integer\n\n## B @a\ngot -> sum::Integer\n";
    let case = "inputs.list = [1, 2]\n[[case.answers.A]]\noutputs.got = 5\n[[case.answers.A]]\nerror = \"no\"\n[[case.answers.A]]\noutputs.got = 7\n";
    let (end, rows, takes) = live(document, case);
    assert_eq!((end, takes, rows.len()), (settled(Succeeded), live(document, case).2, 3));
    assert!(takes > 900 && rows.iter().all(|row| row.ends_with("success")), "{takes} {rows:?}");
}

/// What an agent that did not answer may have done is compensated; what it reports to have failed is not.
#[test]
fn compensations_follow_from_what_may_have_happened() {
    let document =
        "## A @a [compensate:: Z]\n-> a::Integer\n\n## Compensations\n\n### Z @a\na -> z::Integer\n";
    assert_eq!(live(document, "answers.A.error = \"no\"").0, settled(Failed));
    let unknown = "answers.A.error = { message = \"no\", outcome = \"unknown\" }";
    assert_eq!(live(document, unknown).0, settled(Compensated));
    let cancelled = live(document, "answers.A.takes = \"1h\"\ncancel = \"5m\"");
    assert_eq!(cancelled.0, settled(Compensated));
    assert_eq!((cancelled.1.len(), cancelled.2), (2, 300_000));
}

#[test]
fn an_answer_that_always_requeues_ends() {
    let document = "## A @a\no -> a::Integer\n\n## H @a\nfailed_os -> retry_later::Boolean\n";
    let case = "inputs.o = 1\nanswers.A.error = \"no\"\nanswers.H.outputs.retry_later = true";
    let (end, rows, _) = live(document, case);
    assert_eq!(end, settled(Failed));
    assert!(rows.len() < 10, "{rows:?}");
}
