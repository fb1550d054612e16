//! In which states an item can be when a step begins.

use super::{problems, told};
use crate::diag::Severity;

const DIAGRAM: &str = "
```mermaid
stateDiagram-v2
    [*] --> a
    a --> b
    a --> c
    b --> c
    b --> d
    c --> d
    a --> x
    b --> x
    c --> x
```
";

/// The states that are told to be wrong, by what the problems say.
fn of(steps: &str) -> Vec<String> {
    told(&format!("# Test\n{DIAGRAM}\n{steps}"))
}

#[test]
fn steps_in_a_row_pass_through_the_states() {
    assert_eq!(
        of("## One @x [state:: a -> b]\n\n## Two @x [state:: b -> c]\n\n## Three @x [state:: c]\n"),
        [""; 0]
    );
    assert_eq!(
        of("## One @x [state:: a -> b]\n\n## Two @x [state:: a -> c]\n"),
        ["wrong-state: the step `Two` starts in `a`, and the item is never in that state then"]
    );
}

#[test]
fn one_of_two_branches_is_taken() {
    let branches = "## Choose @x\norder -> large::Boolean\n\nIf large -> One\nOtherwise -> Two\n\n\
                    ## One @x [state:: a -> b]\n\n## Two @x [state:: a -> c]\n\n";
    let last = "## Three @x [after:: One] [after:: Two] [state:: ";
    assert_eq!(of(&format!("{branches}{last}b, c -> d]\n")), [""; 0]);
    assert_eq!(
        of(&format!("{branches}{last}b -> d]\n")),
        ["doubtful-state: the step `Three` starts in `b`, but the item may be in `c` then"]
    );
    // Without `Otherwise` neither may be taken.
    let open = branches.replace("Otherwise -> Two", "If not large -> Two");
    assert_eq!(
        of(&format!("{open}{last}b, c -> d]\n")),
        ["doubtful-state: the step `Three` starts in `b` or `c`, but the item may be in `a` then"]
    );
}

#[test]
fn a_condition_and_its_contrary_are_one_decision() {
    let two = "## Choose @x\norder -> large::Boolean\n\n## One @x [when:: large] [state:: a -> b]\n\n\
               ## Two @x [when:: not large] [state:: a -> c]\n\n\
               ## Three @x [after:: One] [after:: Two] [state:: b, c -> d]\n";
    assert_eq!(of(two), [""; 0]);
    let again = "## Choose @x\norder -> large::Boolean\n\n## One @x [when:: large] [state:: a -> b]\n\n\
                 ## Two @x [when:: large] [after:: One] [state:: b -> c]\n";
    assert_eq!(of(again), [""; 0]);
}

#[test]
fn of_two_conditions_that_exclude_each_other_neither_may_hold() {
    let two = |one: &str, two: &str| {
        of(&format!(
            "## Choose @x\norder -> kind::String\n\n## One @x [when:: {one}] [state:: a -> b]\n\n\
             ## Two @x [when:: {two}] [state:: a -> c]\n\n\
             ## Three @x [after:: One] [after:: Two] [state:: b, c -> d]\n"
        ))
    };
    let doubtful = ["doubtful-state: the step `Three` starts in `b` or `c`, but the item may be in `a` then"];
    assert_eq!(two("kind == \"p\"", "kind == \"q\""), doubtful);
    assert_eq!(two("kind == \"p\"", "kind != \"p\""), [""; 0]);
    assert_eq!(two("kind in [\"p\", \"q\"]", "not (kind == \"p\" or kind == \"q\")"), [""; 0]);
}

#[test]
fn what_needs_a_value_runs_only_behind_its_maker() {
    let optional = "## One @x ? [state:: a -> b]\norder -> paid\n\n";
    assert_eq!(of(&format!("{optional}## Two @x [state:: b -> c]\npaid -> sent\n")), [""; 0]);
    assert_eq!(
        of(&format!("{optional}## Two @x [state:: b -> c]\npaid? -> sent\n")),
        ["doubtful-state: the step `Two` starts in `b`, but the item may be in `a` then"]
    );
}

#[test]
fn an_end_leaves_the_state_as_it_is() {
    let end = "## One @x [state:: a -> b]\norder -> done::Boolean\n\nIf done -> end\n\n## Two @x [state:: b -> c]\n";
    assert_eq!(of(end), [""; 0]);
}

#[test]
fn two_that_no_order_keeps_apart_race() {
    let two = |one: &str, two: &str| {
        of(&format!("## One @x [state:: {one}]\n\n## Two @x [after:: start] [state:: {two}]\n"))
    };
    let race = ["state-race: `Two` and `One` may change the item's state in any order"];
    assert_eq!(two("a -> b", "a -> c"), race);
    assert_eq!(two("a", "a -> b"), race);
    let looks = "## One @x [state:: a]\n\n## Two @x [after:: start] [state:: a]\n";
    assert_eq!(of(looks), [""; 0]);
}

#[test]
fn an_item_may_fail_at_any_moment_until_it_is_done() {
    let saga = |undo: &str| {
        of(&format!(
            "## One @x [compensate:: Undo] [state:: a -> b]\norder -> one\n\n## Two @x [state:: b -> c]\none -> two\n\n\
             ## Undo @x [state:: {undo} -> x]\none -> undone\n"
        ))
    };
    // Of a step that may have had its effect, nobody knows whether it succeeded: the item is still in `a`.
    assert_eq!(saga("a, b"), [""; 0]);
    assert_eq!(
        saga("b"),
        ["doubtful-state: the compensation `Undo` starts in `b`, but the item may be in `a` then"]
    );
    assert_eq!(
        saga("c"),
        ["wrong-state: the compensation `Undo` starts in `c`, and the item is never in that state then"]
    );
}

#[test]
fn compensations_follow_each_other_in_reverse() {
    let saga = "## One @x [compensate:: Undo One] [state:: a -> b]\norder -> one\n\n\
                ## Two @x [compensate:: Undo Two] [state:: b]\none -> two\n\n\
                ## Undo One @x [state:: a, b, c -> x]\none -> undone\n\n\
                ## Undo Two @x [state:: b -> c]\ntwo -> undone-too\n\n\
                ## Tell @x [state:: a, x]\nfailed_orders -> told\n";
    assert_eq!(of(saga), [""; 0]);
}

#[test]
fn nothing_before_an_irreversible_step_is_undone() {
    let saga = |field: &str| {
        of(&format!(
            "## One @x [compensate:: Undo] [state:: a -> b]\norder -> one\n\n## Two @x {field} [state:: b -> c]\none -> two\n\n\
             ## Three @x\ntwo -> three\n\n## Undo @x [state:: a, b -> x]\none -> undone\n"
        ))
    };
    assert_eq!(saga("[irreversible]"), [""; 0]);
    // Of one that cannot be undone and may be done, nobody knows either: then nothing before it is undone.
    let told = "## One @x [compensate:: Undo] [state:: a -> b]\norder -> one\n\n## Two @x [irreversible]\none -> two\n\n\
                ## Undo @x [state:: a, b -> x]\none -> undone\n\n## Tell @x [state:: a, x]\nfailed_orders -> told\n";
    assert_eq!(
        of(told),
        ["doubtful-state: the failure handler `Tell` starts in `a` or `x`, but the item may be in `b` then"]
    );
    assert_eq!(
        saga(""),
        ["doubtful-state: the compensation `Undo` starts in `a` or `b`, but the item may be in `c` then"]
    );
}

#[test]
fn an_item_does_not_fail_with_an_optional_step_unless_its_time_is_over() {
    let steps = "## One @x [state:: a -> b]\norder -> one\n\n## Two @x ?\none -> two\n\n\
                 ## Tell @x [state:: a]\nfailed_orders -> told\n";
    assert_eq!(of(steps), [""; 0]);
    let hasty = told(&format!("---\ndeadline: 5m\n---\n# Test\n{DIAGRAM}\n{steps}"));
    assert_eq!(
        hasty,
        ["doubtful-state: the failure handler `Tell` starts in `a`, but the item may be in `b` then"]
    );
}

#[test]
fn more_ways_than_can_be_followed_are_told() {
    let many: String =
        (0..12).map(|n| format!("## Step {n} @x ? [after:: start]\norder -> v{n}\n\n")).collect();
    let takes: Vec<String> = (0..12).map(|n| format!("v{n}?")).collect();
    let last = format!("## Last @x [state:: a]\n{} -> last\n", takes.join(", "));
    let (graph, problems) = problems(&format!("# Test\n{DIAGRAM}\n{many}{last}"));
    let [problem] = problems.as_slice() else { panic!("{problems:?}") };
    assert_eq!((problem.code, problem.severity), ("too-many-ways", Severity::Warning));
    assert!(graph.is_some());
}

/// As many steps as a document can have, one behind the other or side by side.
#[test]
fn states_of_large_documents_are_checked_in_time() {
    for order in ["", "[after:: start]"] {
        let step = |n: usize| format!("## Step {n} @x {order} [state:: a, b] [compensate:: Undo]\n\n");
        let many: String = (0..8000).map(step).collect();
        let last = "## Undo @x [state:: a -> x]\n";
        let told = of(&format!("{many}## Last @x [state:: a -> b]\n\n{last}"));
        assert!(told.iter().any(|told| told.starts_with("too-many-ways")), "{told:?}");
    }
    let ends = |n: usize| format!("## Step {n} @x [after:: start] [irreversible] [state:: a]\n\n");
    let many: String = (0..8000).map(ends).collect();
    assert_eq!(of(&many), [""; 0]);
    let races = |n: usize| format!("## Step {n} @x [after:: start] [state:: a -> b]\n\n");
    let many: String = (0..3000).map(races).collect();
    assert_eq!(of(&many).len(), 2999);
}
