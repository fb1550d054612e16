//! What the parser reads, a line a step: its heading's parts, its signature, its settings.

use orderflow::diag::Source;
use orderflow::spec::{self, After, Annotations, Mark, Piece, Port, Signature, Spec};
use snapbox::{assert_data_eq, str};
use std::fmt::Write;
use std::path::Path;

const ORIGINAL: &str = "tests/fixtures/order-processing-original.md";

/// Everything that was read, for comparison, with the codes of what was wrong.
fn read(text: &str) -> String {
    let source = Source::new("x.md", text);
    let (spec, problems) = spec::parse(&source);
    let mut told = String::new();
    if let Some(title) = &spec.title {
        writeln!(told, "= {} '{}'", title.value, spec.description.replace('\n', "|")).unwrap();
    }
    for (index, group) in spec.groups.iter().enumerate() {
        let parallel = if group.parallel { " (parallel)" } else { "" };
        let within = group.parent.map(|parent| format!(" in {}", spec.groups[parent].title.value));
        let said = said(&group.annotations) + &signature(group.signature.as_ref());
        writeln!(told, "group {index} {}{parallel}{}{said}", group.title.value, within.unwrap_or_default())
            .unwrap();
    }
    for step in &spec.steps {
        steps(&mut told, &source, &spec, step);
    }
    for section in &spec.sections {
        writeln!(told, "section {}", section.value).unwrap();
    }
    for problem in &problems {
        writeln!(told, "{} line {}", problem.code, source.position(problem.span.start).line).unwrap();
    }
    told
}

fn steps(told: &mut String, source: &Source, spec: &Spec, step: &spec::Step) {
    let group = step.group.map(|group| format!(" in {}", spec.groups[group].title.value)).unwrap_or_default();
    write!(told, "{}{group}", step.title.value).unwrap();
    told.push_str(&said(&step.annotations));
    told.push_str(&signature(step.signature.as_ref()));
    if let Some(program) = &step.program {
        write!(told, " {} '{}'", program.language.value, program.source.replace('\n', "|")).unwrap();
    }
    for arm in step.chains.iter().flatten() {
        let condition =
            arm.condition.as_ref().map_or("otherwise".into(), |said| format!("if '{}'", said.value.text));
        write!(told, " {condition} {:?}", arm.target.value).unwrap();
    }
    for trace in &step.traces {
        write!(told, " trace of {} lines", source.slice(trace.content).lines().count()).unwrap();
    }
    let said: String = step
        .instructions
        .pieces
        .iter()
        .map(|piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Value(value) => format!("{{{{{}}}}}", value.value.text),
        })
        .collect();
    if !said.is_empty() {
        write!(told, " '{}'", said.replace('\n', "|")).unwrap();
    }
    told.push('\n');
}

fn said(annotations: &Annotations) -> String {
    let mut said = String::new();
    let Annotations { agent, channel, mark, retry, timeout, deadline, after, .. } = annotations;
    let Annotations { each, once, when, compensate, irreversible, .. } = annotations;
    for (sign, name) in [("@", agent), ("#", channel)] {
        said.extend(name.iter().flat_map(|name| [" ", sign, &name.value]));
    }
    said.extend(mark.iter().map(|mark| match mark.value {
        Mark::Critical => " !",
        Mark::Optional => " ?",
    }));
    said.extend(
        retry.iter().map(|retry| format!(" retry {} {:?}", retry.value.retries, retry.value.backoff)),
    );
    said.extend(timeout.iter().map(|time| format!(" timeout {:?}", time.value)));
    said.extend(deadline.iter().map(|time| format!(" deadline {:?}", time.value)));
    said.extend(after.iter().map(|after| match &after.value {
        After::Start => " after start".to_owned(),
        After::Step(title) => format!(" after '{title}'"),
    }));
    said.extend(
        each.iter().map(|each| format!(" each {} in {}", each.value.element.value, each.value.list.value)),
    );
    said.extend(once.iter().map(|_| " per run"));
    said.extend(when.iter().map(|when| format!(" when '{}'", when.value.text)));
    said.extend(compensate.iter().map(|by| format!(" undone by '{}'", by.value)));
    said.extend(irreversible.iter().map(|_| " irreversible"));
    said
}

fn signature(signature: Option<&Signature>) -> String {
    let Some(signature) = signature else { return String::new() };
    let port = |port: &Port| {
        let optional = if port.optional { "?" } else { "" };
        let ty = port.ty.as_ref().map(|ty| format!("::{}", ty.value)).unwrap_or_default();
        format!("{}{optional}{ty}", port.name.value)
    };
    let ports = |ports: &[Port]| ports.iter().map(port).collect::<Vec<_>>().join(", ");
    let over = signature.hands_to.as_ref().map(|to| format!(" to '{}'", to.value)).unwrap_or_default();
    format!(" ({} -> {}{over})", ports(&signature.inputs), ports(&signature.outputs))
}

#[test]
fn the_original_order_workflow_is_read_as_written() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(ORIGINAL);
    let text = std::fs::read_to_string(path).unwrap();
    assert_data_eq!(
        read(&text),
        str![[r#"
= E-Commerce Order Processing 'This workflow handles customer orders from validation through fulfillment, with parallel processing for inventory and payment.'
Receive Order @order-api #orders (order_request::JSON -> validated_order::Order) trace of 6 lines 'API endpoint receives customer order.'
Check Inventory @inventory-service #warehouse (validated_order -> inventory_check::InventoryResult) trace of 5 lines 'Verifies all items are in stock.'
Process Payment @payment-service #payments ! (validated_order -> payment_result::PaymentReceipt) trace of 4 lines 'Critical: Charges customer's payment method.||This step runs in parallel with inventory check for faster processing.'
Reserve Inventory @inventory-service #warehouse ! (inventory_check, payment_result -> reservation::Reservation) trace of 4 lines 'Critical: Reserves items for order.||Only proceeds if both inventory check and payment succeeded.'
Create Shipment @fulfillment-service #warehouse (reservation -> tracking_number::String) trace of 4 lines 'Generates shipping label and notifies carrier.'
Notify Customer @notification-service #communications (tracking_number, payment_result -> notification_sent::Boolean) trace of 4 lines 'Sends order confirmation and tracking info to customer.'
Handle Failed Orders ? (failed_orders -> retry_scheduled::Boolean) trace of 3 lines 'Optional: Processes orders that failed inventory or payment.||This step only runs if there were failures in previous phases.'
section Workflow Summary

"#]]
    );
    // The same document from another system, with a mark in front.
    assert_eq!(read(&format!("\u{feff}{}", text.replace('\n', "\r\n"))), read(&text));
}

#[test]
fn headings_are_steps_by_evidence() {
    assert_data_eq!(
        read(
            "\
## By Agent @shop
## By Channel #orders
## By Field [retry:: 2]
## By Output -> receipt::Receipt
## By Line Of Fields
[timeout:: 5s] [after:: By Agent]
## By Type
order -> stock::Stock
## By Program
```sh run
true
```
## By Trace
```session-toon
execution[1]{phase,status}:
 ByTrace,success
```
## Ready ?
## Pending → Paid
## Fix A & B?
## Fix #42
## Prose
[owner:: Alice]
```sh
not run
```
```session-toon
execution[1]{phase,status}:
 ByAgent,success
```
# Second Name
"
        ),
        str![[r#"
= Second Name ''
By Agent @shop trace of 2 lines
By Channel #orders
By Field retry 2 Exponential { first: 1s, most: 30s }
By Output ( -> receipt::Receipt)
By Line Of Fields timeout 5s after 'By Agent'
By Type (order -> stock::Stock)
By Program sh 'true|'
By Trace trace of 2 lines
section Ready ?
section Pending → Paid
section Fix A & B?
section Fix #42
section Prose

"#]]
    );
}

#[test]
fn untyped_signatures_that_share_names_make_steps() {
    assert_data_eq!(
        read(
            "\
## One
order → stock
## Other
stock → receipt
## Shares With A Step
parcel → letter
## Step @shop → parcel
## Shares With Nobody
water → wine
## Hands Over
question → Last One
## Last One
answer → Step
"
        ),
        str![[r#"
One (order -> stock)
Other (stock -> receipt)
Shares With A Step (parcel -> letter)
Step @shop ( -> parcel)
Hands Over ( -> question to 'Last One')
Last One ( -> answer to 'Step')
section Shares With Nobody
signature-alone line 9

"#]]
    );
}

#[test]
fn signatures_in_all_their_forms() {
    assert_data_eq!(
        read(
            "\
## Chain @a
a → b -> c::T, d
## Maybe @a
`a`?, b?::T[] → c::T?
## Quoted @a
`docs/plan.md -> x-1, y_2`
## None Before @a
→ out
## Glued @a
a->b->c
## Takes @a
Takes product_spec → creates:
- schema::SQL
- `notes` - some words
- other?: words

Takes nothing more.
## Hand Over @a
a, b → Chain
"
        ),
        str![[r#"
Chain @a (a -> b, c::T, d)
Maybe @a (a?, b?::T[] -> c::T?)
Quoted @a (docs/plan.md -> x-1, y_2)
None Before @a ( -> out)
Glued @a (a -> b, c)
Takes @a (product_spec -> schema::SQL, notes, other?) 'Takes nothing more.'
Hand Over @a ( -> a, b to 'Chain')

"#]]
    );
}

#[test]
fn groups_hold_steps_at_any_depth() {
    assert_data_eq!(
        read(
            "\
# Publish @work
Text about it.

More text.
## 1. Phase 1: Write @author #desk ! [retry:: 1]
in -> out
### 1.1. Draft
topic → text::Text
#### Notes
Nothing.
### Read
#### Aloud @reader
text → sound::File
## Reviews (parallel) [deadline:: 1h]
### Legal ?
text → legal::Verdict
## Appendix
# Second Part
## Print @press
"
        ),
        str![[r#"
= Publish 'Text about it.||More text.'
group 0 Phase 1: Write @author #desk ! retry 1 Exponential { first: 1s, most: 30s } (in -> out)
group 1 Read in Phase 1: Write
group 2 Reviews (parallel) deadline 3600s
group 3 Second Part
Draft in Phase 1: Write (topic -> text::Text)
Aloud in Read @reader (text -> sound::File)
Legal in Reviews ? (text -> legal::Verdict)
Print in Second Part @press
section Notes
section Appendix
title-annotated line 1

"#]]
    );
}

#[test]
fn settings_of_a_step() {
    assert_data_eq!(
        read(
            "\
## Pay @bank [retry:: 5 exponential 200ms..30s] [timeout:: 30s] [deadline:: 10m] !
First we ask.

[after:: start]
[after:: Phase 1/Check Stock]

   ```python run
   print('é')
     indented
   ```

Then we pay:
- once
- and never again

| card |
|------|
| visa |

> At night.

```sh
only an example
```
"
        ),
        str![[r#"
Pay @bank ! retry 5 Exponential { first: 200ms, most: 30s } timeout 30s deadline 600s after start after 'Phase 1/Check Stock' python 'print('é')|  indented|' 'First we ask.||Then we pay:||- once|- and never again||| card |||------||| visa |||At night.'

"#]]
    );
}

#[test]
fn front_matter_is_read_and_moves_no_place() {
    let text = "---\ntitle: \"Orders: all\"\nagent: shop\ninputs:\n  order: Order\n  codes: String[]\nitems: orders.jsonl\nkey: 007\njobs: 4\ntolerate: 2.5%\non-item-error: drain\ndeadline: 2h\nenv: [HOME, SHOP_DB]\nx-team: {a: [1, 2]}\ndescription: >\n  Long\n  text\n---\n## Pay @bank\n";
    let source = Source::new("x.md", text);
    let (spec, problems) = spec::parse(&source);
    assert_eq!(problems, []);
    let front = spec.front;
    let place = |span| source.slice(span);
    assert_eq!(
        front.title.map(|title| (title.value, place(title.span))),
        Some(("Orders: all".into(), "\"Orders: all\""))
    );
    assert_eq!(front.key.map(|key| (key.value, place(key.span))), Some(("007".into(), "007")));
    assert_eq!(front.jobs.map(|jobs| jobs.value), Some(4));
    assert_eq!(front.tolerate.map(|tolerate| tolerate.value), Some(spec::Tolerance::Percent(2.5)));
    assert_eq!(front.on_item_error.map(|on| on.value), Some(spec::OnItemError::Drain));
    assert_eq!(front.deadline.map(|deadline| deadline.value.as_secs()), Some(7200));
    assert_eq!(front.description.as_deref(), Some("Long text"));
    let env: Vec<_> = front.env.iter().map(|name| name.value.as_str()).collect();
    assert_eq!(env, ["HOME", "SHOP_DB"]);
    let inputs = front.inputs.unwrap();
    let inputs: Vec<_> =
        inputs.iter().map(|(name, ty)| format!("{} {}", name.value, ty.as_ref().unwrap())).collect();
    assert_eq!(inputs, ["order Order", "codes String[]"]);
    assert_eq!(place(spec.steps[0].heading), "## Pay @bank");
}

#[test]
fn a_rule_at_the_top_is_no_front_matter() {
    assert_eq!(read("---\n\n## Pay @bank\n\n---\n"), "Pay @bank\n");
    assert_eq!(read("---\n## Pay @bank\n"), "Pay @bank\n");
    assert_eq!(read("---\n---\n## Pay @bank\n"), "Pay @bank\n");
}
