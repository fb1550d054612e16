//! Gates that ask a second time, and what their questions show.

use crate::approvals::{RELEASE, THREE, deployed, json};
use crate::place::{Place, says};

/// The lines of `show last` that begin with a word.
fn shown(place: &Place, word: &str) -> Vec<String> {
    let text = place.orderflow("show last").out;
    text.lines().filter(|line| line.starts_with(word)).map(str::to_owned).collect()
}

/// What was decided about all items counts once for an item: a step that was compensated is asked about again.
#[test]
fn a_retry_after_a_compensation_asks_again() {
    let place = Place::new(
        "# Release\n\n## Deploy [compensate:: Take Down]\nname::String → url::String\n\n> [!gate] Deploy {{ name }}?\n\n\
         ```sh run\necho \"$IN_NAME\" >> deployed.log\necho up\n```\n\n\
         ## Test\nurl → tested::String\n\n```sh run\ntest -e good || exit 65\necho yes\n```\n\n\
         ## Take Down\nurl → gone::String\n\n```sh run\necho gone\n```\n",
    );
    let ran = place.run("--input name=A");
    assert_eq!(ran.exit, Some(5), "{}", ran.err);
    assert!(
        ran.err
            .contains("waiting at the gate of Deploy (Deploy A?): 1\n  approve it with orderflow approve ")
    );
    assert!(
        ran.err.contains(" Deploy --item 1 --resume, or reject it with orderflow reject\n"),
        "{}",
        ran.err
    );
    // For all items, and later ones.
    let approved = place.orderflow("approve last --resume --quiet");
    assert_eq!(approved.exit, Some(1), "{}", approved.err);
    assert_eq!(deployed(&place), ["A"]);
    place.write("good", "");
    let retried = place.orderflow("retry last --quiet");
    assert_eq!((retried.exit, deployed(&place)), (Some(5), vec!["A".to_owned()]), "{}", retried.err);
    assert_eq!(shown(&place, "state"), ["state      waiting"]);
    // The same command once more is another decision.
    let approved = place.orderflow("approve last Deploy");
    says(
        &approved,
        0,
        "",
        "approved Deploy for all items; 1 waits now\n  1: Deploy A?\n  continue the run with orderflow resume [..]\n",
    );
    assert_eq!(shown(&place, "state"), ["state      paused"]);
    assert_eq!(shown(&place, "waits"), Vec::<String>::new());
    let stored = shown(&place, "stored");
    assert!(stored[0].starts_with("stored     the gate of Deploy is approved by "), "{stored:?}");
    assert!(stored[0].contains(", for 1 item: continue with orderflow resume "), "{stored:?}");
    assert_eq!(place.orderflow("resume last --quiet").exit, Some(0));
    assert_eq!(deployed(&place), ["A", "A"]);
    // The drawing of what happened has all of it.
    let drawn = place.orderflow("graph --format sequence --run last").out;
    let at = |text: &str| drawn.find(text).unwrap_or_else(|| panic!("{text}: {drawn}"));
    let story = [
        "Deploy waits for an approval: Deploy A?",
        ": approved Deploy\n",
        "Test failed: ",
        "    critical compensation\n",
        ": Take Down, which compensates Deploy\n",
        "the item failed and is compensated\n",
        "the item is retried\n",
    ];
    assert!(story.map(at).is_sorted(), "{drawn}");
    assert!(drawn.contains("    actor p"), "{drawn}");
    assert_eq!(drawn.matches("Deploy waits for an approval").count(), 2, "{drawn}");
}

#[test]
fn each_round_of_a_loop_asks_again() {
    let place = Place::new(
        "# Count\n\n## Rounds [repeat:: 3 until n >= 3]\n\n> [!gate] Go on?\n\n### Add\nn? → n::Integer\n\n\
         ```sh run\necho round >> deployed.log\necho $((${IN_N:-0} + 1))\n```\n",
    );
    assert_eq!(place.run("--quiet").exit, Some(5));
    for round in 1..=2 {
        let approved = place.orderflow("approve last --resume --quiet");
        assert_eq!((approved.exit, deployed(&place).len()), (Some(5), round), "{}", approved.err);
    }
    assert_eq!(place.orderflow("approve last Rounds --item 1 --resume --quiet").exit, Some(0));
    assert_eq!(deployed(&place).len(), 3);
}

/// A decision about one item that comes too late is none; what is shown before the run continues says so.
#[test]
fn a_gate_whose_time_has_passed_asks_again() {
    let place = Place::new(&RELEASE.replace("gate by @ops", "gate within 200ms"));
    assert_eq!(place.run("--input name=A --quiet").exit, Some(5));
    place.until("the time has passed", || {
        shown(&place, "waits").iter().any(|line| line.contains("has passed"))
    });
    assert_eq!(place.orderflow("approve last Deploy --item 1").exit, Some(1));
    assert_eq!(place.orderflow("resume last --quiet").exit, Some(1));
    assert_eq!(place.orderflow("retry last --quiet").exit, Some(5));
    assert_eq!(deployed(&place), Vec::<String>::new());
}

#[test]
fn questions_with_values_are_shown_with_their_commands() {
    let place =
        Place::new(&RELEASE.replace("by @ops] Needs sign-off by ops", "by @ops] Deploy {{ built }}?"));
    place.write("items.jsonl", THREE);
    let ran = place.run("--items items.jsonl");
    let name = json(&place.orderflow("runs --format json"))[0]["name"].as_str().unwrap().to_owned();
    let expected = format!(
        "waiting at the gate of Deploy: a, b, c\n  a: Deploy built A?\n    approve it with orderflow approve {name} Deploy --item a --as ops --resume, or reject it with orderflow reject\n"
    );
    assert!(ran.err.contains(&expected), "{}", ran.err);
    let line = format!(
        "waits      c at the gate of Deploy (Deploy built C?): orderflow approve {name} Deploy --item c --as ops"
    );
    assert_eq!(shown(&place, "waits")[2], line);
}
