//! The results of a run of one item at its end, and the conversation of the only item.

use crate::place::{Place, says};
use crate::program::told;
use crate::services::Service;
use serde_json::{Value, json};
use std::time::Duration;

const LETTERS: &str = "# Letters

## Write
name::String, pin::Secret → letter::String, draft::String

```sh run
printf '{\"letter\":\"Dear %s,\\\\n\\\\npin %s\\\\n\",\"draft\":\"d\"}' \"$IN_NAME\" \"$IN_PIN\"
```

## Split
draft → words::String[], sizes::Json

```sh run
echo '{\"words\": [\"a\", \"b\"], \"sizes\": {\"all\": [1, 2]}}'
```

## Count [each:: word in words]
word::String → count::Integer

```sh run
test \"$IN_WORD\" != b || sleep 0.3
echo 1
```
";

/// The results at the end of standard output.
fn results(out: &str) -> &str {
    out.split_once("\nresults; ").map_or("", |(_, results)| results)
}

#[test]
fn the_results_of_one_item_are_shown_as_text_without_secrets() {
    let place = Place::new(LETTERS);
    let run = place.run("--input name=Ada --input pin=4711-0815");
    assert_eq!(run.exit, Some(0), "{}", run.err);
    let shown = results(&run.out);
    let (command, values) = shown.split_once('\n').unwrap();
    let expected =
        "  letter:\n    Dear Ada,\n\n    pin [secret:pin]\n  sizes: {\"all\":[1,2]}\n  count: [1,1]\n";
    assert_eq!(values, expected);
    let args = command.strip_prefix("all inputs and outputs: orderflow ").unwrap();
    let item = place.orderflow(args);
    assert!(item.out.starts_with("1: succeeded\n"), "{}", item.out);

    // Quiet is the result and errors; JSON and a trace on standard output are for programs.
    let quiet = place.run("--input name=Ada --input pin=none --quiet");
    assert!(results(&quiet.out).ends_with("  count: [1,1]\n"), "{}", quiet.out);
    let json = place.run("--input name=Ada --input pin=none --format json");
    serde_json::from_str::<Value>(&json.out).unwrap();
    let fleeting = place.run("--input name=Ada --input pin=none --no-journal");
    assert!(fleeting.out.contains("\nresults\n  letter:\n"), "{}", fleeting.out);
}

#[test]
fn a_resumed_run_shows_the_results_of_all_its_sessions() {
    let place = Place::new(
        "# T\n\n## A\na::String → b::String, c::String\n\n```sh run\necho '{\"b\": \"first\", \"c\": \"x\"}'\n```\n\n\
         ## D\nc → d::String\n\n```sh run\ntest -e there || exit 65\necho second\n```\n",
    );
    let failed = place.run("--input a=1");
    assert_eq!((failed.exit, results(&failed.out)), (Some(1), ""));
    place.write("there", "");
    let retried = place.orderflow("retry last");
    assert_eq!(retried.exit, Some(0), "{}", retried.err);
    assert!(results(&retried.out).ends_with(" --item 1\n  b: first\n  d: second\n"), "{}", retried.out);
}

#[test]
fn several_items_show_no_results() {
    let place = Place::new("# T\n\n## A\na::String → b::String\n\n```sh run\necho x\n```\n");
    place.write("items.jsonl", "{\"id\":\"1\",\"a\":\"1\"}\n{\"id\":\"2\",\"a\":\"2\"}\n");
    let run = place.run("--items items.jsonl");
    assert_eq!((run.exit, results(&run.out)), (Some(0), ""));
    let several = place.orderflow("show last --conversation");
    let help = "error: the run has 2 items; --conversation shows those of one item\n  help: name it, such as --item 1\n";
    says(&several, 2, "", help);
}

#[test]
fn the_conversation_of_a_failed_attempt_says_how_it_ended() {
    let service = Service::new(|seen| {
        Some(match seen.body["messages"][0]["content"].as_str().is_some_and(|text| text.contains("Ada")) {
            true => (400, json!({"error": {"message": "the model hunter22-key is not here"}})),
            false => (200, Value::Null),
        })
    });
    let place = Place::new("# T\n\n## Write @writer\nname::String → letter::String\n\nThank {{ name }}.\n");
    let settings = format!(
        "[agents.writer]\nmodel = \"local/small\"\n[providers.local]\nurl = \"http://{}/v1\"\nkey = \"secret:KEY\"\n",
        service.address
    );
    place.write("orderflow.toml", &settings);
    let mut run = place.command("run flow.md --input name=Ada");
    let run = told(run.env("KEY", "hunter22-key").output().unwrap());
    assert_eq!(run.exit, Some(1), "{}", run.err);
    let shown = place.orderflow("show last --conversation");
    let end = "  notice: failed: the model's provider answered 400 Bad Request: the model [secret:KEY] is not here (400)\n";
    assert!(shown.out.starts_with("Write, attempt 1\n  user:\n"), "{}", shown.out);
    assert!(shown.out.ends_with(end), "{}", shown.out);
    let lines = place.orderflow("show last --conversation --format json");
    let last: Value = serde_json::from_str(lines.out.lines().last().unwrap()).unwrap();
    assert_eq!(last["role"], "notice");
    assert!(last["text"].as_str().unwrap().starts_with("failed: the model's provider"), "{last}");
    assert!(last["at_ms"].is_u64());
}

/// Attempts before the last have no row of their own, and the waits between them took time, too.
#[test]
fn the_wall_time_of_a_run_includes_earlier_attempts() {
    let place = Place::new(
        "# T\n\n## A [retry:: 2 fixed 400ms]\na::String → b::String\n\n```sh run\ntest \"$ORDERFLOW_ATTEMPT\" = 3 || exit 75\necho x\n```\n",
    );
    let begun = std::time::Instant::now();
    let run = place.run("--input a=1 --format json");
    let most = begun.elapsed();
    assert_eq!(run.exit, Some(0), "{}", run.err);
    let figures: Value = serde_json::from_str(&run.out).unwrap();
    let stats: Value =
        serde_json::from_str(&place.orderflow("stats session.toon --format json").out).unwrap();
    let shown: Value = serde_json::from_str(&place.orderflow("show last --format json").out).unwrap();
    for wall in [&figures["run"]["wall_ms"], &stats["run"]["wall_ms"], &shown["figures"]["run"]["wall_ms"]] {
        let wall = Duration::from_secs_f64(wall.as_f64().unwrap() / 1000.0);
        assert!(wall >= Duration::from_millis(800) && wall <= most, "{wall:?} of {most:?}");
    }
}
