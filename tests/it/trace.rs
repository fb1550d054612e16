//! A run and what is told of it afterwards: replay repeats the same rows, statistics of the file are those of
//! the run, and the trace shows that every step waited for what it needs.

use crate::place::Place;
use crate::program::{Told, orderflow};
use std::collections::BTreeMap;

/// The lines of all execution tables, sorted; cells as they stand.
fn executions(text: &str, cells: usize) -> Vec<String> {
    let mut rows = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if line.starts_with("execution[") {
            inside = true;
        } else if !line.starts_with(' ') {
            inside = false;
        } else if inside {
            rows.push(line.trim().splitn(cells + 1, ',').take(cells).collect::<Vec<_>>().join(","));
        }
    }
    rows.sort();
    rows
}

#[test]
fn the_record_of_the_original_is_re_enacted_row_by_row() {
    let document = "tests/fixtures/order-processing-original.md";
    let folder = tempfile::tempdir().unwrap();
    let session = folder.path().join("again.toon");
    let session = session.to_str().unwrap();
    let told = orderflow(&["run", document, "--replay", "--session", session]);
    assert_eq!(told.exit, Some(0), "{}", told.err);
    let recorded = executions(&std::fs::read_to_string(document).unwrap(), 8);
    let again = executions(&std::fs::read_to_string(session).unwrap(), 8);
    assert_eq!(recorded.len(), 23);
    assert_eq!(again, recorded);
}

#[test]
fn a_session_in_a_wrong_place_is_told_where_it_belongs() {
    let place = Place::new("# T\n## A @x\na -> b\n");
    let rows: String = ["A", "B", "C", "B"].map(|phase| format!("  {phase},success\n")).concat();
    place.write("s.toon", &format!("t[4]{{phase,status}}:\n{rows}"));
    for args in ["run --replay s.toon flow.md", "run flow.md --replay s.toon"] {
        let told = place.orderflow(args);
        assert_eq!(told.exit, Some(2));
        assert!(
            told.err.contains("tip: to re-enact a session file, write --replay=s.toon\n"),
            "{}",
            told.err
        );
    }
    let told = place.orderflow("run --replay flow.md --session");
    assert!(told.exit == Some(2) && !told.err.contains("tip:"), "{}", told.err);
    let told = place.orderflow("run --replay s.toon");
    let expected = "\
error: s.toon is a session file, not a document; nothing was replayed
  help: name both: orderflow run --replay=s.toon workflow.md
";
    assert_eq!((told.exit, told.err.as_str()), (Some(2), expected));
    let told = place.orderflow("run --replay=s.toon flow.md");
    let expected = "\
error: the record has phases that no step has: B, C
  help: replay it with the document that it was recorded from
";
    assert_eq!((told.exit, told.err.as_str()), (Some(3), expected));
}

/// Steps that need each other at random. Each leaves a mark of the item and fails where a mark of
/// what it needs is missing; some fail now and then.
fn random_document(seed: u64) -> String {
    let roll = |salt: u64, below: u64| mix(seed * 1000 + salt) % below;
    let mut document = "# T\n".to_owned();
    for step in 0..6 {
        let needs: Vec<u64> = (0..step).filter(|other| roll(10 * step + other, 3) == 0).collect();
        let mark = ["", " ?", " !"][roll(100 + step, 3) as usize];
        let retry = ["", " [retry:: 2 fixed 1ms]"][roll(200 + step, 2) as usize];
        let after = if needs.is_empty() { " [after:: start]" } else { "" };
        let names: Vec<String> = needs.iter().map(|need| format!("v{need}")).collect();
        let inputs = if names.is_empty() { "order".to_owned() } else { names.join(", ") };
        let check: String = needs
            .iter()
            .map(|need| format!("test -e \"marks/$ORDERFLOW_RUN-$ORDERFLOW_ITEM-s{need}\" || exit 9\n"))
            .collect();
        let luck = roll(300 + step, 7);
        document.push_str(&format!(
            "## S{step} @a{}{mark}{retry}{after}\n{inputs} -> v{step}\n```sh run\n{check}\
             case $(($(printf %s \"$ORDERFLOW_ITEM\" | cksum | cut -d ' ' -f 1) / {step}7 * ORDERFLOW_ATTEMPT % 7)) in {luck}) exit 75;; esac\n\
             mkdir -p marks; : > \"marks/$ORDERFLOW_RUN-$ORDERFLOW_ITEM-s{step}\"\necho '{{\"v{step}\": {step}, \"fee\": 1.{step}0, \"of_'$ORDERFLOW_ITEM'\": 1, \"tokens_used\": 3}}'\n```\n",
            step % 2
        ));
    }
    document
}

/// Figures as values: the order of an object's names says nothing.
fn json(told: &Told) -> serde_json::Value {
    serde_json::from_str(&told.out).unwrap()
}

fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9).wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Removes what only a run that has just ended knows.
fn own(figures: &mut serde_json::Value) {
    for name in ["failed", "unavailable", "spent", "budget"] {
        figures.as_object_mut().unwrap().remove(name);
    }
}

#[test]
fn random_runs_keep_their_order_and_are_told_alike_afterwards() {
    let mut statuses = BTreeMap::new();
    for seed in 0..6 {
        let document = random_document(seed);
        let place = Place::new(&document);
        place.write("items.jsonl", "{\"id\":\"a\"}\n{\"id\":\"b\"}\n{\"id\":\"c\"}\n");
        let told = place.run("--items items.jsonl --format json --tolerate 100%");
        assert_eq!(told.exit, Some(0), "seed {seed}: {}\n{document}", told.err);
        let session = place.read("session.toon");
        assert!(
            !session.contains("exited with 9"),
            "seed {seed}: a step ran before what it needs\n{document}"
        );

        let stats = place.orderflow("stats session.toon --format json");
        // Only a run names itself, its failed items and what its agents did beside the figures.
        let mut figures = json(&told);
        own(&mut figures);
        figures["run"].as_object_mut().unwrap().remove("id");
        assert_eq!(json(&stats), figures, "seed {seed}: the file has what the run showed");

        let replay = place.orderflow("run flow.md --replay=session.toon --session again.toon --format json");
        assert_eq!(replay.exit, Some(0), "seed {seed}: {}", replay.err);
        assert_eq!(executions(&place.read("again.toon"), 99), executions(&session, 99), "seed {seed}");
        // What was left out has no row, so that a replay cannot know of it.
        let mut known = figures;
        known["run"].as_object_mut().unwrap().remove("left_out");
        let mut replayed = json(&replay);
        own(&mut replayed);
        replayed["run"].as_object_mut().unwrap().remove("id");
        assert_eq!(replayed, known, "seed {seed}: the replay tells what the run told");
        for row in place.rows("session.toon") {
            *statuses.entry(row.split(' ').nth(3).unwrap().to_owned()).or_insert(0) += 1;
        }
    }
    assert!(statuses["success"] > 20 && statuses["failed"] > 3, "the runs are worth comparing: {statuses:?}");
}
