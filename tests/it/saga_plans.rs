//! Compensations in documents: what is reported about them, drawn and planned.

use crate::place::Place;

const ORDERS: &str = "\
# Orders

## Charge Card @payments
order::JSON -> receipt::Receipt

[compensate:: Refund Card]

## Reserve Stock @stock
order -> reservation::Reservation

## Print Label @printer [irreversible]
reservation -> label::String

## Ship @carrier !
receipt, label -> parcel::Parcel

## Refund Card @payments
receipt, order -> refund::Refund
";

/// What only looks and computes needs no compensation, and what nothing can follow neither.
#[test]
fn a_step_needs_a_compensation_for_its_effects_only() {
    let place = Place::new(ORDERS);
    let told = place.orderflow("validate flow.md --format json");
    let problems: Vec<serde_json::Value> = serde_json::from_str(&told.out).unwrap();
    let codes: Vec<_> = problems.iter().map(|problem| (&problem["code"], &problem["line"])).collect();
    assert_eq!(codes, [(&"uncompensated-step".into(), &8.into())]);
    assert_eq!(told.exit, Some(0));
    assert_eq!(place.orderflow("validate --strict flow.md").exit, Some(3));

    place.write("orderflow.toml", "[agents.stock]\ncommand = [\"true\"]\neffects = false\n");
    let told = place.orderflow("validate --strict flow.md");
    assert_eq!((told.exit, told.err.as_str()), (Some(0), "flow.md: 5 steps, no problems\n"), "{}", told.out);

    // Of one step of an agent; what is said of a step that is not there means nothing for the others.
    let says = |effects: &str| {
        let agent = format!("[agents.stock]\ncommand = [\"true\"]\neffects = {effects}\n");
        place.write("orderflow.toml", &agent);
        place.orderflow("validate --strict flow.md")
    };
    assert_eq!(says("{ ReserveStock = false }").exit, Some(0));
    assert_eq!(says("{ CountStock = false }").exit, Some(3));
    let told = says("[\"ReserveStock\"]");
    assert!(told.out.contains("true, false, or a table such as { CheckStock = false }"), "{}", told.out);
    assert!(says("{ ReserveStock = 0 }").out.contains("`ReserveStock` must be true or false"));

    place.write("orderflow.toml", "[agents.stock]\neffect = false\n");
    let told = place.orderflow("validate flow.md");
    assert!(told.exit == Some(3) && told.out.contains("unknown key `effect`"), "{told:?}");
}

/// Only one of two branches is ever taken: the end of one is not followed by the other.
#[test]
fn the_other_branch_follows_no_step() {
    let place = Place::new(
        "# Orders\n\n## Charge @pay\norder -> receipt::JSON, fine::Boolean\n\n[compensate:: Refund]\n\n\
         If fine → Ship\nOtherwise → Tell\n\n## Ship @carrier\nreceipt -> parcel::JSON\n\n\
         ## Tell @post\nreceipt -> letter::JSON\n\n## Refund @pay\nreceipt -> refund::JSON\n",
    );
    let told = place.orderflow("validate --strict flow.md");
    assert_eq!((told.exit, told.out.as_str()), (Some(0), ""));
}

#[test]
fn a_compensation_is_drawn_and_planned_apart_and_has_no_edges() {
    let place = Place::new(ORDERS);
    let graph: serde_json::Value =
        serde_json::from_str(&place.orderflow("graph flow.md --format json").out).unwrap();
    let kinds: Vec<_> = graph["steps"].as_array().unwrap().iter().map(|step| &step["kind"]).collect();
    assert_eq!(kinds, ["forward", "forward", "forward", "forward", "compensation"]);
    let refund = serde_json::Value::from("RefundCard");
    let edges = graph["edges"].as_array().unwrap();
    assert!(edges.len() == 4 && edges.iter().all(|edge| edge["to"] != refund && edge["from"] != refund));

    let text = place.orderflow("graph flow.md").out;
    assert!(text.contains("4 steps in 4 stages and 1 compensation, from order"), "{text}");
    assert!(text.contains("compensated by Refund Card"), "{text}");
    assert!(text.contains("once an item has failed\n\n↶  Refund Card"), "{text}");
    let mermaid = place.orderflow("graph flow.md --format mermaid").out;
    assert!(mermaid.contains("s0 -. compensated by .-> s4"), "{mermaid}");
    let plan = place.orderflow("plan flow.md").out;
    assert!(plan.contains("failed  Refund Card"), "{plan}");
}

#[test]
fn a_compensation_alone_is_not_run() {
    let place = Place::new(ORDERS);
    let only = place.orderflow("run flow.md --stub --only RefundCard --input order={}");
    assert!(
        only.exit == Some(3) && only.err.contains("a compensation runs only for items that have failed"),
        "{}",
        only.err
    );
}
