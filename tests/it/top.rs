//! `orderflow top` at a real terminal: what it shows, its keys, and that the terminal is restored.

use crate::place::Place;
use crate::screen::Screen;

const DOCUMENT: &str = "\
---
items: items.jsonl
tolerate: 100%
---
# Releases

## Build
version::String → package::String

```sh run
if [ \"$IN_VERSION\" = broken ]; then echo 'no compiler' >&2; exit 65; fi
echo \"package $IN_VERSION\"
```

## Deploy

> [!gate] Needs sign-off

package → url::String

```sh run
echo deployed
```
";

/// A run of which an item waits and one has failed.
fn place() -> Place {
    let place = Place::new(DOCUMENT);
    place.write(
        "items.jsonl",
        "{\"id\": \"a\", \"version\": \"7\"}\n{\"id\": \"b\", \"version\": \"broken\"}\n",
    );
    assert_eq!(place.run("--quiet").exit, Some(5));
    place
}

#[test]
fn it_shows_what_waits_and_what_failed_at_80_and_140_columns() {
    let place = place();
    for (columns, rows) in [(80, 24), (140, 40)] {
        let mut screen = Screen::begin(&place, "top", columns, rows);
        let shown = screen.until(|screen| screen.contains("q quit"));
        assert!(shown.starts_with("1 runs, 0 running, 1 waiting, 0 failed\n"), "{shown}");
        assert!(shown.contains("\n> ") && shown.contains("Releases"), "{shown}");
        assert!(shown.contains("waits at the gate of Deploy (Needs sign-off)"), "{shown}");
        assert!(shown.contains("\n  b: Build: exited with 65 (bad input): no compiler\n"), "{shown}");
        assert!(!screen.wrapped, "{shown}");
        screen.type_in("q");
        let (last, exit) = screen.end();
        assert_eq!((last.as_str(), exit), ("", Some(0)), "the screen before is there again");
    }
}

#[test]
fn a_key_approves_what_waits_once_the_person_agrees() {
    let place = place();
    let mut screen = Screen::begin(&place, "top", 80, 24);
    screen.until(|screen| screen.contains("waits at the gate of Deploy"));
    screen.type_in("a");
    screen.until(|screen| screen.contains("Approve Deploy of ") && screen.contains(" for a? [y]es"));
    screen.type_in("n");
    screen.until(|screen| screen.contains("q quit"));
    screen.type_in("a");
    screen.until(|screen| screen.contains("[y]es"));
    screen.type_in("y");
    screen.until(|screen| screen.contains("approved Deploy for a\n") && screen.contains("press Enter"));
    screen.type_in("\n");
    screen.until(|screen| screen.contains("q quit"));
    screen.type_in("q");
    assert_eq!(screen.end().1, Some(0));
    assert_eq!(place.orderflow("resume last --trust --quiet").exit, Some(0));
    assert!(place.orderflow("show last --item a").out.contains("gate of Deploy: approved by "));
}

/// Two gates, one of them for somebody and inside a document. An item that comes later is not decided.
#[test]
fn a_decision_is_about_the_gate_and_the_items_that_the_question_names() {
    let place = Place::new(
        "---\nitems: items.jsonl\n---\n# Ship\n\n## Deploy\n\n> [!gate]\n\nn::Integer → url::String\n\n```sh run\necho deployed\n```\n\n\
         ## Review [document:: review.md] [after:: start]\nn → ok::Boolean\n",
    );
    place.write(
        "review.md",
        "# Review\n\n## Check\nn::Integer → ok::Boolean\n\n> [!gate by @qa] Is {{ n }} good?\n\n```sh run\necho true\n```\n",
    );
    let items =
        |last: u32| (1..=last).map(|n| format!("{{\"id\": \"i{n}\", \"n\": {n}}}\n")).collect::<String>();
    place.write("items.jsonl", &items(5));
    assert_eq!(place.run("--quiet").exit, Some(5));
    let mut screen = Screen::begin(&place, "top", 140, 40);
    screen.until(|screen| screen.contains("waits at the gate of Review/Check"));
    screen.type_in("a");
    let every = "for i1, i2, i3 and 2 more? [y]es, [a] the next gate, any other key: no";
    screen.until(|screen| screen.contains("Approve Deploy of ") && screen.contains(every));
    screen.type_in("a");
    screen.until(|screen| {
        screen.contains("Approve Review/Check of ") && screen.contains(&format!(" as qa {every}"))
    });
    screen.type_in("y");
    screen.until(|screen| screen.contains("approved Review/Check") && screen.contains("press Enter"));
    screen.type_in("\n");
    screen.until(|screen| screen.contains("q quit"));
    screen.type_in("x");
    screen.until(|screen| screen.contains("Reject Deploy of "));
    screen.type_in("n");
    screen.until(|screen| screen.contains("q quit"));
    screen.type_in("q");
    assert_eq!(screen.end().1, Some(0));
    let resumed = place.orderflow("resume last --trust");
    assert_eq!(resumed.exit, Some(5), "{resumed:?}");
    assert!(resumed.err.contains("waiting at the gate of Deploy: i1, i2, i3, i4, i5"), "{resumed:?}");
    assert!(!resumed.err.contains("Review/Check"), "{resumed:?}");
}

#[test]
fn the_terminal_is_restored_after_sigterm() {
    let place = place();
    place.write("begin", &format!("echo $$ > pid; exec {} top", env!("CARGO_BIN_EXE_orderflow")));
    let mut screen = Screen::begin_program(&place, "sh begin", 80, 24);
    screen.until(|screen| screen.contains("q quit"));
    let pid = place.read("pid");
    assert!(std::process::Command::new("kill").arg(pid.trim()).status().unwrap().success());
    assert_eq!(screen.end(), (String::new(), Some(143)));
}

#[test]
fn without_a_terminal_it_prints_the_table_once() {
    let place = place();
    let top = place.orderflow("top");
    assert_eq!((top.exit, top.err.as_str()), (Some(0), ""));
    assert!(
        top.out.starts_with("run") && top.out.contains("Releases") && top.out.contains("waiting"),
        "{}",
        top.out
    );
    let empty = Place::new("# A\n");
    let top = empty.orderflow("top");
    assert_eq!((top.exit, top.out.as_str(), top.err.as_str()), (Some(0), "", "no runs are stored here\n"));
}
