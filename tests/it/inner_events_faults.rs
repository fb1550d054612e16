//! Events inside documents while runners are killed, and for many items.

use crate::inner_events::{DONE, ORDERS, OUTER, log, place, signal};
use crate::place::Place;
use crate::program::told;
use serde_json::Value;
use std::time::Duration;

/// Whenever the run is killed, each step runs, each event is taken, and each is published, once.
#[test]
fn nothing_is_lost_or_done_twice_over_kills_at_any_moment() {
    let place = place();
    place.write("outer.md", OUTER);
    let flow = ORDERS.replace("review.md", "outer.md");
    place.write("flow.md", &flow.replace("[timeout:: 30s]", ""));
    let mut run = place.begin("--quiet --wait");
    place.until("the run has begun", || place.orderflow("show last").exit == Some(0));
    let (mut pause, mut ended) = (5, None);
    for round in 0..60 {
        std::thread::sleep(Duration::from_millis(pause));
        pause = (pause * 7 + 13) % 220;
        if let Some(status) = run.try_wait().unwrap() {
            ended = status.code();
            break;
        }
        run.kill().unwrap();
        run.wait().unwrap();
        // Senders send again what was not confirmed.
        for (item, n) in [("a", 1), ("b", 2)] {
            if round > 6 * n {
                let data = format!("{{\"ok\": true, \"n\": {n}}}");
                let (exit, said) = signal(&place, "order.checked", item, &data, &format!("--id only-{n}"));
                let over = said.contains("the run is over");
                assert!(exit == Some(0) || over, "{said}");
            }
        }
        let mut command = place.command("resume last --quiet --wait");
        run = command
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
    }
    if ended.is_none() {
        let last = told(run.wait_with_output().unwrap());
        assert!(last.exit == Some(0), "{}{}", last.out, last.err);
    }
    let lines = log(&place);
    // An attempt that was interrupted is repeated with its key: what it logs may be there twice, and not more kinds.
    let mut kinds = lines.clone();
    kinds.dedup();
    let mut all: Vec<&str> = DONE.to_vec();
    all.push("tell {\"approved\":true}");
    assert_eq!(kinds, all);
    for home in journals(&place) {
        let events = told(place.command("show last --format json").output().unwrap());
        assert_eq!(events.exit, Some(0), "{home}: {}", events.err);
    }
    let taken = place.orderflow("show last --item a").out;
    assert_eq!(taken.matches("order.checked for Check: only-1 at").count(), 1, "{taken}");
    let shown: Value = serde_json::from_str(&place.orderflow("show last --format json").out).unwrap();
    assert_eq!(shown["events"]["received"], 2, "{shown}");
    assert_eq!(shown["events"]["untaken"].as_array().unwrap().len(), 0, "{shown}");
    assert_eq!(shown["counts"]["succeeded"], 2, "{shown}");
}

/// The folders of runs.
fn journals(place: &Place) -> Vec<String> {
    let runs = std::fs::read_dir(place.path(".orderflow/runs")).unwrap();
    runs.map(|run| run.unwrap().path().display().to_string()).collect()
}

/// Many items wait inside at once; each gets its own event.
#[test]
fn many_items_wait_inside_at_once() {
    let place = place();
    let items: String = (0..120).map(|n| format!("{{\"id\": \"i{n}\", \"amount\": {n}}}\n")).collect();
    place.write("orders.jsonl", &items);
    place.write(
        "flow.md",
        "---\nitems: orders.jsonl\n---\n\n# Orders\n\n## Review [document:: review.md]\namount::Integer → approved::Boolean\n",
    );
    place.write(
        "review.md",
        "# Review\n\n## Check [await:: order.checked] [emit:: review.done]\namount::Integer, order_checked::JSON → approved::Boolean\n\n\
         ```sh run\necho \"$IN_AMOUNT $IN_ORDER_CHECKED\" >> work.log\necho true\n```\n",
    );
    place.write(
        "orderflow.toml",
        "fences = true\n\n[channels.checks]\ntypes = [\"order.checked\"]\nfollow = \"checks.jsonl\"\n",
    );
    let run = place.begin("--quiet");
    place.until("all wait", || {
        let shown = place.orderflow("show last --format json").out;
        serde_json::from_str::<Value>(&shown).is_ok_and(|shown| shown["counts"]["awaiting"] == 120)
    });
    let event = |n: u32| {
        format!(
            "{{\"specversion\":\"1.0\",\"id\":\"{n}\",\"source\":\"s\",\"type\":\"order.checked\",\"subject\":\"i{n}\",\
             \"data\":{n}}}\n"
        )
    };
    place.write("checks.jsonl", &(0..120).rev().map(event).collect::<String>());
    let ended = told(run.wait_with_output().unwrap());
    assert_eq!(ended.exit, Some(0), "{}{}", ended.out, ended.err);
    let mut lines = log(&place);
    lines.sort_by_key(|line| line.split(' ').next().unwrap().parse::<u32>().unwrap());
    assert_eq!(lines, (0..120).map(|n| format!("{n} {n}")).collect::<Vec<_>>());
}
