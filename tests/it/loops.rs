//! Loops with real programs: rounds, feedback, kills in the midst of one, and what people see of them.

use crate::place::Place;
use rustix::process::{Pid, Signal, kill_process};
use snapbox::{assert_data_eq, str};

/// A writer and a reviewer who approves the third draft. Each effect leaves a line in `done`, in its order.
const ARTICLE: &str = r#"# Article

## Draft [repeat:: 4 until review.approved]

### Write [compensate:: Delete]
topic::String, review? → draft::String

```sh run
echo "write ${IN_REVIEW:-nothing}" >> done
n=$(grep -c write done)
echo "$IN_TOPIC $n"
```

### Review
draft → review::JSON

```sh run
n=${IN_DRAFT##* }
echo "review $n" >> done
test ! -e slow || { touch reviewing; sleep 30; }
echo "{\"approved\": $( [ $n -ge 3 ] && echo true || echo false ), \"note\": \"more than $n\"}"
```

## Publish
draft → url::String

```sh run
echo "publish $IN_DRAFT" >> done
test ! -e offline
echo "https://example.org/$IN_DRAFT"
```

## Compensations

### Delete
draft, topic → deleted::Boolean

```sh run
echo "delete $IN_DRAFT" >> done
echo true
```
"#;

fn article() -> Place {
    Place::new(ARTICLE)
}

/// A pause that would outlast a deadline is not begun.
#[test]
fn a_loop_fails_at_once_if_its_next_round_would_begin_after_a_deadline() {
    let step = "→ ok::Boolean\n\n```sh run\necho look >> done; echo false\n```\n";
    for (document, of) in [
        (format!("# H\n\n## Look [deadline:: 1h] [repeat:: 5 until ok every 2h]\n{step}"), "step"),
        (format!("# H\n\n## G [deadline:: 1h] [repeat:: 5 until ok every 2h]\n\n### Look\n{step}"), "group"),
    ] {
        let place = Place::new(&document);
        let told = place.run("--quiet");
        assert_eq!(told.exit, Some(1), "{}", told.err);
        let why = format!("`ok` does not hold, and the next round would begin after the {of}'s deadline");
        assert!(told.err.contains(&why), "{}", told.err);
        assert_eq!(place.read("done"), "look\n");
    }
}

#[test]
fn a_group_is_repeated_with_feedback_until_its_condition_holds() {
    let place = article();
    let told = place.run("--input topic=Bees --quiet");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    assert_data_eq!(
        place.read("done"),
        str![[r#"
write nothing
review 1
write {"approved":false,"note":"more than 1"}
review 2
write {"approved":false,"note":"more than 2"}
review 3
publish Bees 3

"#]]
    );
    let session = place.read("session.toon");
    let rounds = session.lines().filter(|line| line.starts_with("  Write,") || line.starts_with("  Review,"));
    let rounds: Vec<&str> = rounds.filter_map(|line| line.split(',').nth(8)).collect();
    assert_eq!(rounds, ["1", "2", "3", "1", "2", "3"], "{session}");

    let shown = place.orderflow("show last --item 1").out;
    let attempts = shown.lines().filter_map(|line| line.split_once(" after ")).map(|(attempt, _)| attempt);
    let in_rounds = ["  round 1, attempt 1", "  round 2, attempt 2", "  round 3, attempt 3"];
    let expected: Vec<&str> = [&in_rounds[..], &in_rounds[..], &["  attempt 1"][..]].concat();
    assert_eq!(attempts.collect::<Vec<_>>(), expected, "{shown}");
    let json = place.orderflow("show last --item 1 --format json").out;
    let story: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(story["steps"][1]["attempts"][2]["round"], 3);
    assert_eq!(story["steps"][2]["attempts"][0].get("round"), None);
}

#[test]
fn rounds_that_do_not_suffice_fail_the_step_that_decides() {
    let place = article();
    place.write("flow.md", &place.read("flow.md").replace("-ge 3", "-ge 9"));
    let told = place.run("--input topic=Bees --quiet");
    assert_eq!(told.exit, Some(1), "{}", told.err);
    assert_data_eq!(
        place.rows("session.toon").join("\n"),
        str![[r#"
Write 1 #1 success
Write 1 #1 success
Write 1 #1 success
Write 1 #1 success
Review 1 #1 success
Review 1 #1 success
Review 1 #1 success
Review 1 #1 failed (`review.approved` does not hold after 4 rounds)
Delete 1 #1 compensated
Delete 1 #1 compensated
Delete 1 #1 compensated
Delete 1 #1 compensated
"#]]
    );
    let deleted: Vec<String> =
        place.read("done").lines().filter(|line| line.starts_with("delete")).map(str::to_owned).collect();
    assert_eq!(deleted, ["delete Bees 4", "delete Bees 3", "delete Bees 2", "delete Bees 1"]);
}

#[test]
fn the_effects_of_all_rounds_are_compensated_with_their_own_values() {
    let place = article();
    place.write("offline", "");
    let told = place.run("--input topic=Bees --quiet");
    assert_eq!(told.exit, Some(1), "{}", told.err);
    let deleted: Vec<String> =
        place.read("done").lines().filter(|line| line.starts_with("delete")).map(str::to_owned).collect();
    assert_eq!(deleted, ["delete Bees 3", "delete Bees 2", "delete Bees 1"]);
}

#[test]
fn a_run_that_was_killed_in_a_round_continues_in_it() {
    let place = article();
    let child = place.begin("--input topic=Bees");
    place.until("two drafts", || place.path("done").exists() && place.read("done").contains("review 1"));
    place.write("slow", "");
    place.await_file("reviewing");
    kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    drop(child.wait_with_output().unwrap());
    std::fs::remove_file(place.path("slow")).unwrap();
    let resumed = place.orderflow("resume last --quiet");
    assert_eq!(resumed.exit, Some(0), "{}", resumed.err);
    let done = place.read("done");
    let writes = done.lines().filter(|line| line.starts_with("write")).count();
    assert_eq!((writes, done.lines().filter(|line| line.starts_with("publish")).count()), (3, 1), "{done}");
}

#[test]
fn a_step_waits_between_its_rounds() {
    let place = Place::new(
        "# Health\n\n## Look [repeat:: 5 until ok every 200ms]\n→ ok::Boolean\n\n```sh run\n\
         date +%s%N >> times; [ $(wc -l < times) -ge 3 ] && echo true || echo false\n```\n",
    );
    let told = place.run("--quiet");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    let times: Vec<u64> = place.read("times").lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(times.len(), 3);
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 200_000_000), "{times:?}");
}

#[test]
fn plans_and_graphs_show_loops() {
    let place = article();
    let plan = place.orderflow("plan flow.md").out;
    let at = plan.find("repeats").unwrap();
    let table: Vec<&str> = plan[at..].lines().take(3).collect();
    assert_eq!(table[0].split_whitespace().collect::<Vec<_>>(), ["repeats", "until", "at", "most"]);
    assert!(table[2].starts_with("Draft    review.approved  4 rounds"), "{plan}");
    let drawn = place.orderflow("graph flow.md --format mermaid").out;
    assert!(drawn.contains("    s1 -.->|\"repeat 4 until review.approved\"| s0\n"), "{drawn}");
    let json = place.orderflow("graph flow.md --format json").out;
    let graph: serde_json::Value = serde_json::from_str(&json).unwrap();
    let repeat = serde_json::json!([
        {"most": 4, "until": "review.approved", "every_ms": null, "group": "Draft"}
    ]);
    assert_eq!(graph["steps"][0]["repeats"], repeat);
    assert_eq!(graph["steps"][2].get("repeats"), None);
}

/// The reason is shown at the attempt that decided, and a pause between rounds hides nothing.
#[test]
fn what_ends_a_loop_and_what_follows_a_pause_is_shown() {
    let place = Place::new(
        "# Poll\n\n## Look [repeat:: 2 until ok]\nn? → n::Integer, ok::Boolean\n\n\
         ```sh run\necho '{\"n\": 1, \"ok\": false}'\n```\n\n## Use\nn → used::Integer\n\n```sh run\necho 1\n```\n",
    );
    assert_eq!(place.run("--quiet").exit, Some(1));
    let shown = place.orderflow("show last --item 1").out;
    assert!(shown.trim_end().ends_with("    fails: `ok` does not hold after 2 rounds"), "{shown}");
    place.write("flow.md", &place.read("flow.md").replace("until ok]", "until ok every 1h]"));
    let mut child = place.begin("--quiet");
    place.until("the pause begins", || {
        let shown = place.orderflow("show last --item 1").out;
        shown.contains("makes ok: false") && !shown.contains("fails: ")
    });
    kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    child.wait().unwrap();
    let explained = place.orderflow("resume --explain last").out;
    assert!(explained.contains("Look, Use"), "{explained}");
}

/// A step below a loop waits for its last round, and every drawing shows that.
#[test]
fn a_step_behind_a_loop_comes_after_all_of_it() {
    let place = article();
    let plan = place.orderflow("plan flow.md").out;
    assert!(plan.lines().any(|line| line.split_whitespace().take(2).eq(["3", "Publish"])), "{plan}");
    let drawn = place.orderflow("graph flow.md").out;
    assert!(drawn.contains("3 steps in 3 stages"), "{drawn}");
    let drawn = place.orderflow("graph flow.md --format mermaid").out;
    assert!(drawn.contains("    s1 -.-> s2\n"), "{drawn}");
    let ran = place.run("--input topic=tea");
    assert_eq!(ran.exit, Some(0), "{}", ran.err);
    let stats = place.orderflow("stats session.toon").out;
    assert!(stats.contains("Write → Review → Publish"), "{stats}");
    let drawn = place.orderflow("graph --format sequence --run last").out;
    for round in 1..=3 {
        assert!(drawn.contains(&format!("    loop round {round}, until review.approved\n")), "{drawn}");
    }
    assert_eq!(drawn.lines().filter(|line| line.trim() == "end").count(), 3, "{drawn}");
    assert!(drawn.trim_end().lines().last().unwrap().contains("Publish (draft)"), "{drawn}");
}

/// A document with the rows of two rounds, of which the first did not end the loop.
fn recorded(rows: &[&str]) -> Place {
    let rows: String = rows.iter().map(|row| format!(" {row}\n")).collect();
    Place::new(&format!(
        "# Health\n\n## Look [repeat:: 2 until ok]\nsite::String → ok::Boolean\n\n```sh run\ntrue\n```\n\n\
         ```session-toon\nexecution[{}]{{phase,agent,channel,input,output,duration_ms,status,tokens_used,round,item}}:\n{rows}```\n",
        rows.lines().count()
    ))
}

#[test]
fn recorded_rounds_are_checked() {
    let sound = ["Look,null,null,a,false,5,success,null,1,1", "Look,null,null,a,true,5,success,null,2,1"];
    let told = recorded(&sound).orderflow("verify flow.md");
    assert_eq!(told.exit, Some(0), "{}{}", told.out, told.err);
    for (rows, why) in [
        (vec![sound[1]], "in round 2 for 1: the round before it has no row"),
        (
            vec![
                sound[1],
                "Look,null,null,a,false,5,success,null,1,1",
                "Look,null,null,a,true,5,success,null,3,1",
            ],
            "in round 3 for 1: the loop has at most 2 rounds",
        ),
        (
            vec!["Look,null,null,a,true,5,success,null,1,1", sound[1]],
            "in round 2 for 1: `ok` held after the round before",
        ),
        (
            vec!["Look,null,null,a,null,5,failed,null,1,1", sound[1]],
            "in round 2 for 1: `Look` failed in the round before",
        ),
    ] {
        let told = recorded(&rows).orderflow("verify flow.md");
        assert!(told.exit == Some(1) && told.out.contains(why), "{why}: {}{}", told.out, told.err);
    }
}

/// The pause before a round is shown, also after the runner has ended.
#[test]
fn an_item_in_a_pause_says_so() {
    let place = Place::new(
        "# Poll\n\n## Look [repeat:: 3 until score >= 3 every 1h]\nname, score? → score::Integer\n\n\
         ```sh run\necho 1\n```\n",
    );
    let mut run = place.begin("--input name=N");
    let mut shown = String::new();
    place.until("the pause", || {
        shown = place.orderflow("show last --item 1").out;
        shown.contains("\n  in the pause before a round of Look, which begins after ")
    });
    run.kill().unwrap();
    run.wait().unwrap();
    assert!(place.orderflow("show last --item 1").out.contains("\n  in the pause before"), "{shown}");
    let json: serde_json::Value =
        serde_json::from_str(&place.orderflow("show last --item 1 --format json").out).unwrap();
    assert_eq!(json["pause"]["repeat"], "Look");
    assert!(json["pause"]["due_ms"].as_u64().unwrap() >= 3_600_000);
}
