//! Document by document: what depends on what, who does it, what it is called.

use super::{graph, needs, told};
use crate::graph::Kind;
use crate::spec::Mark;

#[test]
fn the_original_order_workflow() {
    let graph = graph(include_str!("../../../tests/fixtures/order-processing-original.md"));
    assert_eq!(
        needs(&graph),
        [
            "ReceiveOrder: ",
            "CheckInventory: ReceiveOrder validated_order",
            "ProcessPayment: ReceiveOrder validated_order",
            "ReserveInventory: CheckInventory inventory_check, ProcessPayment payment_result",
            "CreateShipment: ReserveInventory reservation",
            "NotifyCustomer: ProcessPayment payment_result, CreateShipment tracking_number",
            "HandleFailedOrders: ",
        ]
    );
    let inputs: Vec<_> = graph.inputs.iter().map(|value| graph.value(*value).name.as_str()).collect();
    assert_eq!(inputs, ["order_request"]);
    assert_eq!(graph.order.len(), 6);
    let handler = graph.by_phase("HandleFailedOrders").map(|id| graph.step(id)).unwrap();
    assert_eq!(handler.kind, Kind::Handler);
    assert_eq!((handler.agent.as_deref(), handler.channel.as_deref()), (Some("order-api"), Some("orders")));
    assert_eq!(handler.mark, Some(Mark::Optional));
    assert_eq!(handler.line, 90);
}

#[test]
fn a_step_without_made_inputs_follows_the_one_above() {
    let graph = graph(
        "## A @a\n\n## B @a\nx → y\n\n## C @a\n\n## D @a\ny → z\n\n## E @a [after:: start]\n\n## F @a [after:: A]\n",
    );
    assert_eq!(needs(&graph), ["A: ", "B: A -", "C: B -", "D: B y", "E: ", "F: A -"]);
    let order: Vec<_> = graph.order.iter().map(|id| graph.step(*id).phase.as_str()).collect();
    assert_eq!(order, ["A", "B", "C", "D", "E", "F"]);
}

#[test]
fn a_failure_handler_stands_in_nobodys_way() {
    let graph = graph("## A @a\n\n## Sweep Up @b\nfailed_orders → swept\n\n## C @a\n");
    assert_eq!(needs(&graph), ["A: ", "SweepUp: ", "C: A -"]);
}

#[test]
fn children_of_a_parallel_group_are_free_and_what_follows_waits_for_all() {
    let text = "\
## Start @a

## Reviews (parallel)

### Legal @a

### Tech

#### Read @a

#### Judge @a

### Money @a

## End @a
";
    assert_eq!(
        needs(&graph(text)),
        [
            "Start: ",
            "Legal: Start -",
            "Read: Start -",
            "Judge: Read -",
            "Money: Start -",
            "End: Legal -, Read -, Judge -, Money -",
        ]
    );
}

#[test]
fn a_group_that_comes_after_a_step_guards_all_its_steps() {
    let text = "\
## A @a
→ a

## B @a

## Late [after:: B]

### C @a
a → c

### D @a
c → d

### E @a

## F @a
";
    assert_eq!(needs(&graph(text)), ["A: ", "B: A -", "C: A a, B -", "D: C c", "E: D -", "F: E -"]);
}

#[test]
fn what_groups_say_is_passed_down_unless_a_step_says_otherwise() {
    let text = "\
---
agent: clerk
---
## Phase 2: Design @architect #drafts ! [retry:: 2]

### Sketch
product → sketch::Sketch

### Review @reviewer #talk ? [timeout:: 5s]

## Sweep Up
failed_orders → swept::Boolean
";
    let graph = graph(text);
    let said = |phase: &str| {
        let step = graph.step(graph.by_phase(phase).unwrap());
        (
            step.agent.as_deref().unwrap(),
            step.channel.as_deref(),
            step.mark,
            step.retry.map(|retry| retry.retries),
        )
    };
    assert_eq!(said("Sketch"), ("architect", Some("drafts"), Some(Mark::Critical), Some(2)));
    assert_eq!(said("Review"), ("reviewer", Some("talk"), Some(Mark::Optional), Some(2)));
    assert_eq!(said("SweepUp"), ("clerk", None, None, None));
}

#[test]
fn equal_titles_in_different_groups_are_told_apart() {
    let text = "\
## One

### Draft @a

### Check @a

## Two

### Draft @a [after:: One/Check]

## Draft @a
";
    assert_eq!(
        needs(&graph(text)),
        ["One/Draft: ", "Check: One/Draft -", "Two/Draft: Check -", "Draft: Two/Draft -"]
    );
    assert_eq!(
        told("## One\n\n### Draft @a\n\n## Two\n\n### Draft @a\n\n## Last @a [after:: Draft]\n"),
        ["ambiguous-step: `Draft` could be 2 steps"]
    );
}

#[test]
fn a_value_is_handed_to_a_step_by_its_title() {
    let graph = graph(
        "## Ask @a\nquestion → Give Answer\n\n## Other @a\n\n## Give Answer @a\n→ answer\n\n## Tell @a\nthanks → Refund\n\n## Refund @a\n",
    );
    assert_eq!(graph.steps[2].inputs.len(), 1);
    assert_eq!(needs(&graph)[2..], ["GiveAnswer: Ask question", "Tell: GiveAnswer -", "Refund: Tell thanks"]);
}

#[test]
fn a_chain_is_one_step_with_all_its_links_usable() {
    let graph = graph("## A @a\na → b → c\n\n## B @a\nb::Text → d\n");
    assert_eq!(needs(&graph), ["A: ", "B: A b"]);
    assert_eq!(graph.step(graph.order[0]).outputs.len(), 2);
    let b = graph.values.iter().find(|value| value.name == "b").unwrap();
    assert_eq!(b.ty.as_ref().unwrap().to_string(), "Text");
}

#[test]
fn optional_inputs_do_not_ask_for_success() {
    let graph = graph("## A @a ?\n→ a\n\n## B @a\na? → b\n\n## C @a\na → c\n");
    assert!(!graph.steps[1].needs[0].data);
    assert!(graph.steps[2].needs[0].data);
}

#[test]
fn inputs_that_look_like_slips_are_pointed_out() {
    assert_eq!(
        told("## A @a\nx → payment_result\n\n## B @a\npayment_reslt → y\n"),
        ["misspelt-input: no step makes `payment_reslt`, so it is an input of the workflow"]
    );
    for fine in ["payment_request", "payment_result_2", "result", "order"] {
        assert!(told(&format!("## A @a\nx → payment_result\n\n## B @a\n{fine} → y\n")).is_empty(), "{fine}");
    }
    assert!(told("## A @a\norders → order\n").is_empty(), "a step may make something called like its input");
}

#[test]
fn a_cycle_shows_its_path() {
    assert_eq!(
        told("## A @a\nc → a\n\n## B @a\na → b\n\n## C @a\nb → c\n\n## D @a\nd → d\n"),
        [
            "cycle: these steps wait for one another: A → B → C → A",
            "cycle: this step waits for itself: D → D",
        ]
    );
}

#[test]
fn a_failure_handler_with_a_program_of_its_own_does_without_the_first_steps_agent() {
    let program = "```sh run\necho false\n```\n";
    let document =
        |below: &str| format!("## A @first #line\no -> a\n\n## H\nfailed_orders::JSON -> retry\n\n{below}");
    let doer = |graph: crate::graph::Graph| (graph.steps[1].agent.clone(), graph.steps[1].channel.clone());
    assert_eq!(doer(graph(&document(""))), (Some("first".into()), Some("line".into())));
    assert_eq!(doer(graph(&document(program))), (None, None));
}
