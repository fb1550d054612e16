//! What the parser reads.

use orderflow::diag::Source;
use orderflow::spec::{self, Mark, Spec, phase};
use std::path::Path;

fn parse(name: &str) -> (Source, Spec, Vec<orderflow::diag::Diagnostic>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let source = Source::new(name, std::fs::read_to_string(path).unwrap());
    let (spec, problems) = spec::parse(&source);
    (source, spec, problems)
}

#[test]
fn the_original_order_workflow_is_read_as_written() {
    let (source, spec, problems) = parse("tests/fixtures/order-processing-original.md");
    assert_eq!(problems, []);
    assert_eq!(spec.title.unwrap().value, "E-Commerce Order Processing");
    assert_eq!(
        spec.sections.iter().map(|title| title.value.as_str()).collect::<Vec<_>>(),
        ["Workflow Summary"]
    );
    assert!(spec.groups.is_empty());
    let steps: Vec<_> = spec
        .steps
        .iter()
        .map(|step| {
            let agent = step.annotations.agent.as_ref().map(|agent| agent.value.as_str());
            let signature =
                step.signature.as_ref().map(|signature| source.slice(signature.span)).unwrap_or("");
            (
                phase(&step.title.value),
                agent,
                step.annotations.mark.as_ref().map(|mark| mark.value),
                signature,
            )
        })
        .collect();
    let expected = [
        ("ReceiveOrder", Some("order-api"), None, "order_request::JSON → validated_order::Order"),
        (
            "CheckInventory",
            Some("inventory-service"),
            None,
            "validated_order → inventory_check::InventoryResult",
        ),
        (
            "ProcessPayment",
            Some("payment-service"),
            Some(Mark::Critical),
            "validated_order → payment_result::PaymentReceipt",
        ),
        (
            "ReserveInventory",
            Some("inventory-service"),
            Some(Mark::Critical),
            "inventory_check, payment_result → reservation::Reservation",
        ),
        ("CreateShipment", Some("fulfillment-service"), None, "reservation → tracking_number::String"),
        (
            "NotifyCustomer",
            Some("notification-service"),
            None,
            "tracking_number, payment_result → notification_sent::Boolean",
        ),
        ("HandleFailedOrders", None, Some(Mark::Optional), "failed_orders → retry_scheduled::Boolean"),
    ];
    assert_eq!(steps, expected.map(|(phase, agent, mark, line)| (phase.to_owned(), agent, mark, line)));
    assert_eq!(spec.steps[0].prose, "API endpoint receives customer order.");
    let trace = source.slice(spec.steps[6].traces[0].content);
    assert!(trace.starts_with("execution[2]{") && trace.ends_with("390,1\n"));
}
