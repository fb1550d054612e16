//! What a run shows while it is active: at a terminal of 80 and of 140 columns, elsewhere, and as events for programs.

use crate::place::Place;
use crate::screen::Screen;
use serde_json::Value;

const DOCUMENT: &str = "\
---
items: items.jsonl
jobs: 3
tolerate: 100%
---

# Orders

## Pay
order::String → receipt::String

```sh run
case $IN_ORDER in
  bad) echo 'card declined' >&2; exit 65;;
esac
echo \"asking the bank for $IN_ORDER and for all that a line of eighty columns cannot show of it, however long\" >&2
touch \"waiting-$ORDERFLOW_ITEM\"
until test -e go; do sleep 0.02; done
echo paid
```
";

fn place() -> Place {
    let place = Place::new(DOCUMENT);
    let mut items = "{\"id\": \"a\", \"order\": \"one\"}\n{\"id\": \"b\", \"order\": \"two\"}\n".to_owned();
    for number in 1..=6 {
        items.push_str(&format!("{{\"id\": \"bad{number}\", \"order\": \"bad\"}}\n"));
    }
    place.write("items.jsonl", &items);
    place
}

#[test]
fn a_terminal_shows_all_items_what_runs_and_failures_above() {
    for columns in [80, 140] {
        let place = place();
        let mut screen = Screen::begin(&place, "run flow.md --trust", columns, 24);
        let shown = screen.until(|screen| {
            screen.contains("6 failed")
                && screen.contains("a: Pay: asking")
                && screen.contains("b: Pay: asking")
        });
        let lines: Vec<&str> = shown.lines().collect();
        let failed: Vec<_> = lines.iter().filter(|line| line.contains("Pay failed: ")).collect();
        assert_eq!(failed.len(), 3, "further ones of the same cause are counted: {shown}");
        let all = lines.iter().position(|line| line.starts_with("6/8 items · 6 failed · ")).expect(&shown);
        let end = if columns == 80 { "…" } else { "however long" };
        assert!(
            lines[all + 1].contains(" s  a: Pay: asking the bank for one and ")
                && lines[all + 1].ends_with(end),
            "{shown}"
        );
        assert!(lines[all + 2].contains(" s  b: Pay: ") && lines.len() == all + 3, "{shown}");
        assert!(!screen.wrapped, "{shown}");
        place.write("go", "");
        let (last, exit) = screen.end();
        assert_eq!(exit, Some(0), "{last}");
        assert!(!last.contains("items · ") && !last.contains("asking the bank"), "{last}");
    }
}

#[test]
fn elsewhere_every_failure_is_a_line() {
    let place = place();
    place.write("go", "");
    let run = place.run("");
    let failed = run
        .err
        .lines()
        .filter(|line| line.ends_with(": Pay failed: exited with 65 (bad input): card declined"));
    assert_eq!(failed.count(), 6, "{}", run.err);
    assert!(!run.err.contains('\u{1b}'), "{}", run.err);
}

#[test]
fn programs_get_an_event_a_line() {
    let place = place();
    place.write("go", "");
    let run = place.run("--log-format json");
    let events: Vec<Value> = run.err.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let names = |item: &str| -> Vec<&str> {
        events
            .iter()
            .filter(|event| event["item"] == item)
            .filter_map(|event| event["event"].as_str())
            .collect()
    };
    let of_an_item = ["item-began", "attempt-began", "attempt-ended", "step-ended", "item-ended"];
    assert_eq!((names("a"), names("bad3")), (of_an_item.to_vec(), of_an_item.to_vec()));
    let first = &events[0];
    assert_eq!(
        (&first["event"], &first["workflow"], &first["items"]),
        (&"run-began".into(), &"Orders".into(), &8.into())
    );
    let ended =
        events.iter().find(|event| event["item"] == "bad1" && event["event"] == "attempt-ended").unwrap();
    assert_eq!(ended["error"]["message"], "exited with 65 (bad input): card declined");
    assert_eq!((&ended["step"], &ended["attempt"]), (&"Pay".into(), &1.into()));
    let last = events.last().unwrap();
    assert_eq!(
        (&last["event"], &last["exit"], &last["counts"]["failed"]),
        (&"run-ended".into(), &0.into(), &6.into())
    );
    let refused = place.run("--log-format json --quiet");
    assert_eq!(refused.exit, Some(2));
}

/// What a run waits for is why it exits with 5, so it is shown in any case; events have it as objects.
#[test]
fn a_quiet_run_says_what_it_waits_for() {
    let gate = "# Pay\n\n## Pay\nn::Integer → m::Integer\n\n> [!gate by @ops] Pay {{ n }}?\n\n```sh run\necho 1\n```\n";
    let event = "# Close\n\n## Close [await:: order.closed]\nn::Integer, order_closed::JSON → o::Integer\n\n```sh run\necho 1\n```\n";
    for (document, first, command, end) in [
        (
            gate,
            "waiting at the gate of Pay (Pay 7?): 1",
            "  approve it with orderflow approve ",
            " Pay --item 1 --as ops --resume, or reject it with orderflow reject",
        ),
        (
            event,
            "waiting for order.closed before Close: 1",
            "  send it with orderflow signal ",
            " order.closed --item 1 --data JSON --resume",
        ),
    ] {
        let place = Place::new(document);
        let said = place.run("--input n=7 --quiet");
        assert_eq!(said.exit, Some(5), "{said:?}");
        let lines: Vec<&str> = said.err.lines().collect();
        assert!(lines.len() == 2 && lines[0] == first, "{said:?}");
        assert!(lines[1].starts_with(command) && lines[1].ends_with(end), "{said:?}");
        let said = place.run("--input n=7 --log-format json");
        assert_eq!(said.exit, Some(5), "{said:?}");
        for line in said.err.lines() {
            assert!(serde_json::from_str::<Value>(line).unwrap()["event"].is_string(), "{line}");
        }
    }
}
