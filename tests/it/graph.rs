//! `orderflow graph`: the same graph drawn three ways.

use crate::program::{orderflow, orderflow_reading};
use snapbox::{assert_data_eq, str};

const ORIGINAL: &str = "tests/fixtures/order-processing-original.md";

#[test]
fn the_original_order_workflow_in_the_terminal() {
    let told = orderflow(&["graph", ORIGINAL]);
    assert_eq!((told.err.as_str(), told.exit), ("", Some(0)));
    assert_data_eq!(
        told.out,
        str![[r#"
E-Commerce Order Processing
6 steps in 5 stages and 1 failure handler, from order_request

○    Receive Order  @order-api #orders
├─╮  order_request → validated_order
○ │  Check Inventory  @inventory-service #warehouse
│ │  validated_order → inventory_check
│ ●  Process Payment !  @payment-service #payments
╭─┤  validated_order → payment_result
● │  Reserve Inventory !  @inventory-service #warehouse
│ │  inventory_check, payment_result → reservation
○ │  Create Shipment  @fulfillment-service #warehouse
├─╯  reservation → tracking_number
○  Notify Customer  @notification-service #communications
   tracking_number, payment_result → notification_sent

once an item has failed

◇  Handle Failed Orders ?  @order-api #orders
   failed_orders → retry_scheduled

"#]]
    );
}

#[test]
fn the_original_order_workflow_as_a_flowchart() {
    let told = orderflow(&["graph", "--format", "mermaid", ORIGINAL]);
    assert_eq!((told.err.as_str(), told.exit), ("", Some(0)));
    assert_data_eq!(
        told.out,
        str![[r#"
flowchart TD
    v0[/"order_request"/]:::input
    v7[/"failed_orders"/]:::input
    s0["Receive Order<br/>@order-api #orders"]
    s1["Check Inventory<br/>@inventory-service #warehouse"]
    s2[["Process Payment !<br/>@payment-service #payments"]]:::critical
    s3[["Reserve Inventory !<br/>@inventory-service #warehouse"]]:::critical
    s4["Create Shipment<br/>@fulfillment-service #warehouse"]
    s5["Notify Customer<br/>@notification-service #communications"]
    s6{{"Handle Failed Orders ?<br/>@order-api #orders"}}:::handler
    v0 --> s0
    s0 -->|"validated_order"| s1
    s0 -->|"validated_order"| s2
    s1 -->|"inventory_check"| s3
    s2 -->|"payment_result"| s3
    s3 -->|"reservation"| s4
    s2 -->|"payment_result"| s5
    s4 -->|"tracking_number"| s5
    v7 -.-> s6
    classDef input fill:none,stroke-dasharray:2 2
    classDef critical stroke-width:3px
    classDef optional stroke-dasharray:6 4
    classDef handler stroke-dasharray:6 4,stroke-width:2px

"#]]
    );
}

#[test]
fn the_original_order_workflow_for_scripts() {
    let told = orderflow(&["graph", "--format", "json", ORIGINAL]);
    assert_eq!((told.err.as_str(), told.exit), ("", Some(0)));
    let drawn: serde_json::Value = serde_json::from_str(&told.out).unwrap();
    let step = |at: usize| serde_json::to_string(&drawn["steps"][at]).unwrap();
    assert_eq!(drawn["steps"].as_array().unwrap().len(), 7);
    assert_data_eq!(
        step(3),
        str![[
            r#"{"title":"Reserve Inventory","phase":"ReserveInventory","kind":"forward","agent":"inventory-service","channel":"warehouse","mark":"!","line":49,"group":null,"each":null,"per":"item","state":null,"when":[],"decisions":[],"inputs":["inventory_check","payment_result"],"outputs":["reservation"]}"#
        ]]
    );
    assert_data_eq!(
        step(6),
        str![[
            r#"{"title":"Handle Failed Orders","phase":"HandleFailedOrders","kind":"handler","agent":"order-api","channel":"orders","mark":"?","line":90,"group":null,"each":null,"per":"item","state":null,"when":[],"decisions":[],"inputs":["failed_orders"],"outputs":["retry_scheduled"]}"#
        ]]
    );
    let edges: Vec<String> = drawn["edges"].as_array().unwrap().iter().map(|edge| edge.to_string()).collect();
    assert_data_eq!(
        edges.join("\n"),
        str![[r#"
{"from":"ReceiveOrder","to":"CheckInventory","value":"validated_order"}
{"from":"ReceiveOrder","to":"ProcessPayment","value":"validated_order"}
{"from":"CheckInventory","to":"ReserveInventory","value":"inventory_check"}
{"from":"ProcessPayment","to":"ReserveInventory","value":"payment_result"}
{"from":"ReserveInventory","to":"CreateShipment","value":"reservation"}
{"from":"ProcessPayment","to":"NotifyCustomer","value":"payment_result"}
{"from":"CreateShipment","to":"NotifyCustomer","value":"tracking_number"}
"#]]
    );
}

const GROUPS: &str = "\
# Publish

## Write \"it\" <down> @author
topic → text

## Reviews (parallel)

### Legal @lawyer ?
text → verdict?

### Look @designer

## Print @printer !
text, verdict? → book

## Handle Failed Topics @editor
failed_topics → retry::Boolean
";

#[test]
fn groups_orders_and_marks_are_seen() {
    assert_data_eq!(
        orderflow_reading(&["graph", "-"], GROUPS).out,
        str![[r#"
Publish
4 steps in 3 stages and 1 failure handler, from topic

○      Write "it" <down>  @author
├─┬─╮  topic → text
│ ╷ │
◌ ╷ │  Legal ?  @lawyer
├───╯  text → verdict?
│ ╷
│ ○  Look  @designer
│
●  Print !  @printer
   text, verdict? → book

once an item has failed

◇  Handle Failed Topics  @editor
   failed_topics → retry

"#]]
    );
    assert_data_eq!(
        orderflow_reading(&["graph", "--format", "mermaid", "-"], GROUPS).out,
        str![[r#"
flowchart TD
    v0[/"topic"/]:::input
    v4[/"failed_topics"/]:::input
    s0["Write #34;it#34; #60;down#62;<br/>@author"]
    subgraph g0["Reviews"]
        s1("Legal ?<br/>@lawyer"):::optional
        s2["Look<br/>@designer"]
    end
    s3[["Print !<br/>@printer"]]:::critical
    s4{{"Handle Failed Topics<br/>@editor"}}:::handler
    v0 --> s0
    s0 -->|"text"| s1
    s0 -.-> s2
    s0 -->|"text"| s3
    s1 -->|"verdict"| s3
    v4 -.-> s4
    classDef input fill:none,stroke-dasharray:2 2
    classDef critical stroke-width:3px
    classDef optional stroke-dasharray:6 4
    classDef handler stroke-dasharray:6 4,stroke-width:2px

"#]]
    );
}

#[test]
fn what_has_too_many_lines_is_listed_by_stage() {
    let mut text = "# Wide\n\n## Start @a\n\n## Wide (parallel)\n\n".to_owned();
    for number in 1..=30 {
        text.push_str(&format!("### Part {number}x @b\n\n"));
    }
    let out = orderflow_reading(&["graph", "-"], &text).out;
    let start: Vec<&str> = out.lines().take(9).collect();
    assert_data_eq!(
        start.join("\n"),
        str![[r#"
Wide
31 steps in 2 stages

stage 1
  Start  @a
stage 2, in parallel
  Part 1x  @b
  Part 2x  @b
  Part 3x  @b
"#]]
    );
    assert_eq!(out.lines().count(), 3 + 2 + 1 + 30);
}

#[test]
fn a_document_with_an_error_is_not_drawn() {
    let told = orderflow_reading(&["graph", "-"], "## A @a\na → a\n");
    assert_eq!((told.out.as_str(), told.exit), ("", Some(3)));
    assert_data_eq!(
        told.err,
        str![[r#"
error[cycle]: this step waits for itself: A → A
 --> <stdin>:2:1
  |
2 | a → a
  | ^ `A` takes `a` from `A`
  |
  = help: give what it makes another name than what it takes

<stdin>: 1 error
error: <stdin> is not valid; nothing was run

"#]]
    );
}

#[test]
fn nothing_of_a_document_steers_the_terminal() {
    let text = "# \u{1b}[31mRed\u{202e}\n\n## A\u{7} Step @a\nx → y\n";
    for format in ["text", "mermaid", "json"] {
        let out = orderflow_reading(&["graph", "--format", format, "-"], text).out;
        assert!(!out.is_empty() && !out.contains(['\u{1b}', '\u{7}']), "{out:?}");
        assert!(format == "json" || !out.contains('\u{202e}'), "{out:?}");
    }
}

/// Decisions of each kind, a condition, and states.
pub const DECISIONS: &str = "\
# Orders

```mermaid
stateDiagram-v2
    [*] --> pending
    pending --> paid
```

## Check Stock @warehouse
order::JSON → stock::JSON

If stock.left >= 1 → Take Payment
If stock.gone → end
Otherwise → fail \"out of stock\"

## Take Payment @bank [state:: pending → paid]
order → outcome::String

If outcome == \"slow\", skip to Tell Customer

## Add Gift @warehouse ? [when:: order.total > 100]
outcome → gift::String

## Tell Customer @mailer [state:: paid]
outcome → told::Boolean
";

#[test]
fn decisions_lead_somewhere_and_steps_stand_in_states() {
    assert_data_eq!(
        orderflow_reading(&["graph", "-"], DECISIONS).out,
        str![[r#"
Orders
4 steps in 3 stages, from order

○  Check Stock  @warehouse
╷  order → stock
╷  If stock.left >= 1 → Take Payment
╷  If stock.gone → end
╷  Otherwise → fail "out of stock"
○    Take Payment  @bank
├─╮  order → outcome
│ │  state pending → paid
│ │  If outcome == "slow" → skip to Tell Customer
◌ │  Add Gift ?  @warehouse
  │  outcome → gift
  │  when order.total > 100
  ○  Tell Customer  @mailer
     outcome → told
     state paid

"#]]
    );
    assert_data_eq!(
        orderflow_reading(&["graph", "--format", "mermaid", "-"], DECISIONS).out,
        str![[r#"
flowchart TD
    v0[/"order"/]:::input
    s0["Check Stock<br/>@warehouse"]
    s1["Take Payment<br/>@bank<br/>state pending → paid"]
    s2("Add Gift ?<br/>@warehouse<br/>when order.total #62; 100"):::optional
    s3["Tell Customer<br/>@mailer<br/>state paid"]
    v0 --> s0
    s0 -.->|"If stock.gone"| e0_1(["end"])
    s0 -.->|"Otherwise"| e0_2(["fail #34;out of stock#34;"])
    v0 --> s1
    s0 -.->|"If stock.left #62;#61; 1"| s1
    s1 -->|"outcome"| s2
    s1 -->|"outcome<br/>If outcome #61;#61; #34;slow#34;, skip"| s3
    classDef input fill:none,stroke-dasharray:2 2
    classDef critical stroke-width:3px
    classDef optional stroke-dasharray:6 4
    classDef handler stroke-dasharray:6 4,stroke-width:2px

"#]]
    );
    let told = orderflow_reading(&["graph", "--format", "json", "-"], DECISIONS);
    let drawn: serde_json::Value = serde_json::from_str(&told.out).unwrap();
    let of = |key: &str| {
        drawn["steps"].as_array().unwrap().iter().map(|step| format!("{}\n", step[key])).collect::<String>()
    };
    assert_data_eq!(
        of("decisions"),
        str![[r#"
[[{"if":"stock.left >= 1","then":"step","to":"TakePayment","reason":null},{"if":"stock.gone","then":"end","to":null,"reason":null},{"if":null,"then":"fail","to":null,"reason":"out of stock"}]]
[[{"if":"outcome == /"slow/"","then":"skip","to":"TellCustomer","reason":null}]]
[]
[]

"#]]
    );
    assert_data_eq!(
        of("when"),
        str![[r#"
[]
[]
["order.total > 100"]
[]

"#]]
    );
}
