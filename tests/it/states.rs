//! Items in the states that a document draws, from the command line: a step that comes in a wrong one, and how to see
//! where an item has got to.

use crate::place::Place;

const PARCEL: &str = "\
# Parcel

```mermaid
stateDiagram-v2
    [*] --> packed
    packed --> weighed
    weighed --> sent
    packed --> returned
    weighed --> returned
```

## Weigh ? [state:: packed → weighed]
parcel::String → grams::Integer

```sh run
[ \"$IN_PARCEL\" != feather ] || { echo '{\"error\": \"too light for this scale\"}'; exit; }
echo 250
```

## Send [state:: weighed → sent] [compensate:: Take Back]
parcel, grams? → sent::Boolean

```sh run
[ \"$IN_PARCEL\" != piano ] || { echo '{\"error\": {\"message\": \"too heavy\", \"outcome\": \"unknown\"}}'; exit; }
echo true
```

## Take Back [state:: weighed → returned]
parcel → back::Boolean

```sh run
echo true
```
";

fn shown(place: &Place, item: &str) -> String {
    place.orderflow(&format!("show last --item {item}")).out
}

#[test]
fn a_step_in_a_wrong_state_fails_and_the_state_is_shown() {
    let place = Place::new(PARCEL);
    place.write("parcels.jsonl", "\"vase\"\n\"feather\"\n\"piano\"\n");
    let validated = place.orderflow("validate flow.md");
    assert_eq!(validated.exit, Some(0), "{}", validated.out);
    let warnings = ["the step `Send` starts in `weighed`, but the item may be in `packed` then"];
    assert!(warnings.iter().all(|warning| validated.out.contains(warning)), "{}", validated.out);

    let told = place.orderflow("run flow.md --trust --items parcels.jsonl");
    assert_eq!(told.exit, Some(1), "{}", told.err);
    assert!(
        told.err.contains("2: Send failed: it starts in the state `weighed`, and the item is in `packed`"),
        "{}",
        told.err
    );
    for (item, state) in [("1", "sent"), ("2", "packed"), ("3", "returned")] {
        assert!(
            shown(&place, item).contains(&format!("\n  in the state {state}\n")),
            "{}",
            shown(&place, item)
        );
    }
    let told = place.orderflow("show last --item 3 --format json");
    let shown: serde_json::Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!((&shown["state"], &shown["lifecycle"]), (&"compensated".into(), &"returned".into()));
}

/// An item that was undone begins anew, and so does its state.
#[test]
fn a_retried_item_begins_in_the_state_that_its_steps_have_left() {
    let place = Place::new(&PARCEL.replace("!= piano ]", "!= piano ] || [ -e crane ]"));
    assert_eq!(place.orderflow("run flow.md --trust --input parcel=piano").exit, Some(1));
    place.write("crane", "");
    let told = place.orderflow("retry last --trust");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    assert!(shown(&place, "1").contains("\n  in the state sent\n"), "{}", shown(&place, "1"));
}

/// What came before the part is not known, and so it is taken to have gone well.
#[test]
fn a_single_step_starts_in_its_state() {
    let place = Place::new(PARCEL);
    let told = place.orderflow("run flow.md --trust --only Send --input parcel=vase --input grams=3");
    assert_eq!(told.exit, Some(0), "{}", told.err);
}
