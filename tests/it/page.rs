//! The page of a run as one file: `orderflow report`. What is in it, and that nothing of a document or a value can leave
//! its place. `page_browser.rs` opens it in a real browser.

use crate::place::Place;
use crate::serving::Serving;
use serde_json::Value;

/// Two items that fail for the same reason, one for another, and what is compensated.
pub const DOCUMENT: &str = "\
---
items: items.jsonl
tolerate: 100%
---
# Parcels & <b>more</b>

<!-- a comment
of two lines -->

Takes parcels to their *carriers*. See [the list](https://example.com/list), [not this](javascript:alert(1)),
or <script>window.pwned = 1</script> ![a picture](https://example.com/p.png).

## Weigh [compensate:: Put Away] [effects:: none]
parcel::String → grams::Integer

[retry:: 1 fixed 1ms]

> [!expect] errors < 50%

```sh run
printf '%s' \"$IN_PARCEL\" | wc -c
```

## Ship
grams, parcel → label::String

```sh run
case \"$IN_PARCEL\" in
  heavy*) echo \"no carrier takes $IN_GRAMS grams\" >&2; exit 65;;
  lost*) echo 'it is lost' >&2; exit 69;;
esac
printf '# Label\\n\\n- **%s**, %s grams' \"$IN_PARCEL\" \"$IN_GRAMS\"
```

## Put Away
grams → away::Boolean

```sh run
echo true
```
";

const ITEMS: &str = "\
{\"id\": \"p1\", \"parcel\": \"vase\"}
{\"id\": \"p2\", \"parcel\": \"heavy stone\"}
{\"id\": \"p3\", \"parcel\": \"heavy rock\"}
{\"id\": \"p4\", \"parcel\": \"lost glove\"}
{\"id\": \"p5\", \"parcel\": \"book\"}
";

pub fn parcels() -> Place {
    let document = DOCUMENT.replace(" [effects:: none]", "");
    let place = Place::new(&document);
    place.write("items.jsonl", ITEMS);
    let said = place.run("--key id --quiet --jobs 1");
    assert_eq!(said.exit, Some(0), "{said:?}");
    place
}

/// The page of the last run, from standard output.
pub fn page(place: &Place) -> String {
    let said = place.orderflow("report last -o -");
    assert_eq!(said.exit, Some(0), "{said:?}");
    said.out
}

/// The data in a page.
pub fn data(page: &str) -> Value {
    let start = page.find("id=\"_data\"").unwrap();
    let from = start + page[start..].find('>').unwrap() + 1;
    let to = from + page[from..].find("</script>").unwrap();
    serde_json::from_str(&page[from..to]).unwrap()
}

/// The text of a page between two marks, without its elements.
pub fn text(page: &str, from: &str, to: &str) -> String {
    let start = page.find(from).unwrap_or_else(|| panic!("{from} is not there"));
    let part = &page[start..];
    let part = &part[..part.find(to).unwrap_or(part.len())];
    let mut out = String::new();
    let mut inside = false;
    for c in part.chars() {
        match c {
            '<' => inside = true,
            '>' => {
                inside = false;
                out.push(' ');
            }
            c if !inside => out.push(c),
            _ => {}
        }
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_page_has_the_document_its_margins_and_the_failures_by_cause() {
    let page = page(&parcels());
    let bar = text(&page, "<header", "</header>");
    assert!(bar.contains("done with failures Parcels &amp; more"), "{bar}");
    assert!(bar.contains("5 items: 2 succeeded, 3 compensated"), "{bar}");
    let fails = text(&page, "<section class=\"fails\"", "</section>");
    assert!(fails.contains("3 items failed, 2 causes"), "{fails}");
    assert!(
        fails.contains(
            "2 × Ship exited with 65 (bad input): no carrier takes 11 grams , and similar \
             p2 exited with 65 (bad input): no carrier takes 11 grams \
             p3 exited with 65 (bad input): no carrier takes 10 grams no carrier takes 11 grams compensated: Weigh by Put Away"
        ),
        "{fails}"
    );
    assert!(
        fails.contains("compensated: Weigh by Put Away p2 was given grams 11 parcel heavy stone"),
        "{fails}"
    );
    assert!(fails.contains("1 × Ship exited with 69: it is lost p4"), "{fails}");
    assert!(fails.contains("once the cause is fixed: orderflow retry"), "{fails}");
    let margin = |step: &str| text(&page, &format!("aria-label=\"{step}: what happened\""), "</div>");
    assert!(margin("Weigh").contains("5 succeeded"), "{}", margin("Weigh"));
    assert!(margin("Ship").contains("2 of 5 succeeded 3 failed"), "{}", margin("Ship"));
    assert!(margin("Put Away").contains("3 compensated"), "{}", margin("Put Away"));
    let weigh = text(&page, "id=\"weigh\"", "</section>");
    assert!(weigh.contains("parcel::String → grams::Integer [retry:: 1 fixed 1ms]"), "{weigh}");
    assert!(weigh.contains("expects errors &lt; 50% met: 0 %"), "{weigh}");
}

#[test]
fn the_data_has_every_moment_of_every_item() {
    let data = data(&page(&parcels()));
    assert_eq!(data["items"]["keys"], serde_json::json!(["p1", "p2", "p3", "p4", "p5"]));
    let states: Vec<u64> = (0..5)
        .map(|item| {
            let items = data["items"]["item"].as_array().unwrap();
            let last = items.iter().rposition(|other| *other == item).unwrap();
            data["items"]["state"][last].as_u64().unwrap()
        })
        .collect();
    assert_eq!(states, [1, 4, 4, 4, 1]);
    // Weigh and Ship of all, Put Away of three; those of Ship that failed are not retried.
    assert_eq!(data["attempts"]["item"].as_array().unwrap().len(), 5 + 5 + 3);
    assert_eq!(data["ends"]["item"].as_array().unwrap().len(), 5 + 5 + 3);
    assert_eq!(data["items"]["cause"], serde_json::json!([-1, 0, 0, 1, -1]));
    let ship = &data["details"]["1"]["attempts"][1];
    assert_eq!(ship["inputs"][0]["name"], "grams");
    assert_eq!(ship["error"]["message"], "exited with 65 (bad input): no carrier takes 11 grams");
    assert_eq!(ship["error"]["outcome"], "it had no effect");
    assert_eq!(ship["key"].as_str().unwrap().len(), 32);
    let label = &data["details"]["0"]["attempts"][1]["outputs"][0];
    assert!(label["html"].as_str().unwrap().contains("<strong>vase</strong>"), "{label}");
    let step = &data["steps"][1];
    assert_eq!(step["takes"][0]["from"], serde_json::json!([0]));
    assert_eq!(data["steps"][0]["compensation"], 2);
    assert_eq!(data["steps"][2]["compensates"], serde_json::json!([0]));
}

#[test]
fn one_file_says_what_it_may_do_and_makes_no_request() {
    let page = page(&parcels());
    assert!(page.starts_with("<!DOCTYPE html>"));
    let policy = "default-src 'none'; script-src 'sha256-";
    assert!(page.contains(&format!("http-equiv=\"Content-Security-Policy\" content=\"{policy}")));
    assert!(page.contains("connect-src 'none'; base-uri 'none'; form-action 'none'"));
    // Of the document, as text and as a link that a person may follow.
    assert_eq!(page.matches("<script").count(), 2);
    assert_eq!(page.matches("src=").count(), 0);
    assert_eq!(page.matches("style=").count(), 0);
    assert!(page.contains("<a href=\"https://example.com/list\""));
    assert!(!page.contains("javascript:"));
    assert!(!page.contains("of two lines"));
    assert!(page.contains("&lt;script&gt;window.pwned = 1&lt;/script&gt;"));
    assert!(page.contains("<span class=\"image\">image: a picture</span>"));
    // Without its data it is small.
    let bare = page.len() - serde_json::to_string(&data(&page)).unwrap().len();
    assert!(bare < 150_000, "{bare}");
}

/// Names, keys and values that would break out of where they are.
#[test]
fn hostile_names_and_values_stay_text() {
    let nasty = "</script><script>window.pwned=1</script><img src=x onerror=window.pwned=1>";
    let place = Place::new(
        "# Nasty <script>window.pwned=1</script>\n\n## Say \"<img src=x onerror=window.pwned=1>\" @a\nvalue::String → said::String\n\n\
         ```sh run\nprintf '%s' \"$IN_VALUE\"; echo \"$IN_VALUE\" | head -c 900 >&2; exit 65\n```\n",
    );
    let long = "x".repeat(1 << 20);
    let rows = [
        ("</script>", nasty),
        ("a\u{202e}b", "\u{202e}evil\u{2066}"),
        ("<!--", "<!--<script>"),
        ("long", &long),
    ];
    let rows: String = rows
        .iter()
        .map(|(key, value)| format!("{}\n", serde_json::json!({"id": key, "value": value})))
        .collect();
    place.write("rows.jsonl", &rows);
    let said = place.run("--items rows.jsonl --key id --quiet --tolerate 100%");
    assert_eq!(said.exit, Some(0), "{said:?}");
    let page = page(&place);
    assert!(page.len() < 200_000, "{}", page.len());
    assert_eq!(page.matches("<script").count(), 2);
    assert_eq!(page.matches("</script>").count(), 2);
    assert_eq!(page.matches("<img").count(), 0);
    assert!(!page.contains("<!--"));
    assert!(!page.contains(['\u{202e}', '\u{2066}']));
    let data = data(&page);
    assert_eq!(data["items"]["keys"][0], "</script>");
    assert_eq!(data["items"]["keys"][1], "a\u{fffd}b");
    assert_eq!(data["details"]["0"]["inputs"][0]["text"], nasty);
    let cut = &data["details"]["3"]["inputs"][0];
    assert_eq!((cut["text"].as_str().unwrap().len(), &cut["cut"]), (2000, &serde_json::json!(1 << 20)));
}

#[test]
fn a_gate_is_on_top_with_its_values_and_where_each_choice_leads() {
    let place = Place::new(
        "# Pay\n\n## Reserve [compensate:: Release]\nsum::Integer → held::Integer\n\n```sh run\necho $IN_SUM\n```\n\n\
         ## Refund\nheld → paid::Integer\n\n> [!gate within 2d by @ops] Refund {{ held }}?\n\n```sh run\necho 1\n```\n\n\
         ## Release\nheld → free::Boolean\n\n```sh run\necho true\n```\n",
    );
    assert_eq!(place.run("--input sum=534 --quiet").exit, Some(5));
    let page = page(&place);
    assert!(page.contains("<title>(1) waiting: Pay · "));
    let needs = text(&page, "<section class=\"needs\"", "</section>");
    assert!(needs.starts_with("1 item waits for a person Refund Refund 534? waits since 20"), "{needs}");
    assert!(needs.contains(", for ops held 534 Approve Refund begins Reject Refund does not run"), "{needs}");
    assert!(needs.contains("then compensated: Reserve by Release orderflow approve "), "{needs}");
    assert!(needs.contains(" Refund --as ops orderflow reject "), "{needs}");
    assert!(page.contains("href=\"#gate=Refund&amp;item=1\""));
    let said = place.orderflow("approve last Refund --as ops");
    assert_eq!(said.exit, Some(0), "{said:?}");
    let page = self::page(&place);
    assert!(!page.contains("class=\"needs\""));
    assert_eq!(data(&page)["gates"][0]["state"], "approved");
}

#[test]
fn secrets_are_not_in_the_page() {
    let place = Place::new(
        "# Log\n\n## In\nuser::String, password::Secret → token::Secret, note::String\n\n```sh run\n\
         printf '{\"token\": \"tok-%s\", \"note\": \"made tok-%s\"}' \"$IN_USER\" \"$IN_USER\"\n```\n\n\
         ## Use\ntoken, note → done::String\n\n```sh run\necho \"used $IN_TOKEN of $IN_NOTE\" >&2; exit 65\n```\n",
    );
    let said = place.run("--input user=ada-lovelace --input password=pass-of-ada --quiet");
    assert_eq!(said.exit, Some(1), "{said:?}");
    let page = page(&place);
    for secret in ["tok-ada-lovelace", "pass-of-ada"] {
        assert!(!page.contains(secret), "{secret}");
    }
    assert!(page.contains("[secret:token]"));
}

#[test]
fn a_report_replaces_no_file_unless_it_is_asked_to() {
    let place = parcels();
    let said = place.orderflow("report last");
    assert_eq!(said.exit, Some(0), "{said:?}");
    let name = place.files().into_iter().find(|name| name.starts_with("report-")).unwrap();
    assert!(said.err.starts_with(&format!("report written to {name} (")), "{said:?}");
    let again = place.orderflow("report last");
    assert_eq!(again.exit, Some(74), "{again:?}");
    assert!(again.err.contains(&format!("{name} exists already; nothing was written")), "{again:?}");
    assert_eq!(place.orderflow("report last --force").exit, Some(0));
    let own = place.orderflow("report last -o flow.md --force");
    assert!(own.err.contains("`--output` names the document"), "{own:?}");
    assert_eq!(place.read("flow.md"), DOCUMENT.replace(" [effects:: none]", ""));
}

#[test]
fn the_report_of_an_empty_run_and_of_steps_for_all_items() {
    let place = Place::new(
        "---\nitems: items.jsonl\n---\n# All\n\n## One\nn::Integer → m::Integer\n\n```sh run\necho $IN_N\n```\n\n\
         ## Sum [per:: run]\nm → total::Integer\n\n```sh run\necho 7\n```\n",
    );
    place.write("items.jsonl", "");
    assert_eq!(place.run("--quiet").exit, Some(0));
    let empty = page(&place);
    let bar = text(&empty, "<header", "</header>");
    assert!(bar.contains("no items"), "{bar}");
    place.write("items.jsonl", "{\"n\": 1}\n{\"n\": 2}\n");
    assert_eq!(place.run("--quiet").exit, Some(0));
    let data = data(&page(&place));
    let items: Vec<i64> = serde_json::from_value(data["attempts"]["item"].clone()).unwrap();
    assert_eq!(items.iter().filter(|item| **item == -1).count(), 1);
    assert_eq!(data["details"]["-1"]["attempts"][0]["outputs"][0]["text"], "7");
}

#[test]
fn the_figures_are_those_of_stats_and_of_earlier_runs() {
    let place = parcels();
    let first = page(&place);
    assert!(!first.contains("p95 of the last runs"));
    let figures = text(&first, "id=\"_figures\"", "</section>");
    assert!(figures.contains("Weigh 5 0 100 %"), "{figures}");
    assert!(figures.contains("Ship 5 3 40 %"), "{figures}");
    assert!(figures.contains("errors &lt; 50% 0 %"), "{figures}");
    place.write("items.jsonl", "{\"id\": \"p1\", \"parcel\": \"vase\"}\n");
    assert_eq!(place.run("--key id --quiet").exit, Some(0));
    let good = place.orderflow("runs --format json").out;
    let good: Value = serde_json::from_str(&good).unwrap();
    let good = good[0]["name"].as_str().unwrap().to_owned();
    place.write("items.jsonl", ITEMS);
    let changed = place.read("flow.md").replace("heavy*) echo", "heavy*) true; echo");
    place.write("flow.md", &changed);
    assert_eq!(place.run("--key id --quiet").exit, Some(0));
    let now = page(&place);
    assert!(now.contains("p95 of the last runs"));
    assert!(now.contains("p95 of 3 runs, from "), "{}", text(&now, "id=\"_figures\"", "</section>"));
    // Beside what the author expects.
    assert!(now.contains("aria-label=\"in 3 runs, from 0 % to 0 %\""));
    let fails = text(&now, "<section class=\"fails\"", "</section>");
    let said = format!("changed since {good}, the last run without a failure: Ship");
    assert!(fails.contains(&said), "{fails}");
}

/// Which items end otherwise than in the last run without a failure, or in one that is named.
#[test]
fn an_agent_that_was_set_otherwise_since_the_last_good_run_is_named() {
    let place =
        Place::new("# Review\n\n## Review @reviewer [effects:: none]\ntext::String → verdict::String\n");
    let settings = |model: &str, end: &str| {
        let program = format!("cat > /dev/null; {end}");
        format!(
            "[agents.reviewer]\ncommand = [\"sh\", \"-c\", \"{program}\", \"{model}\", \"--api-key\", \"hunter2\"]\n"
        )
    };
    place.write("orderflow.toml", &settings("v1.3", "echo fine"));
    assert_eq!(place.run("--input text=x --quiet").exit, Some(0));
    let good = place.orderflow("runs --format json");
    let good: Value = serde_json::from_str(&good.out).unwrap();
    let good = good[0]["name"].as_str().unwrap().to_owned();
    place.write("orderflow.toml", &settings("v1.4", "exit 65"));
    assert_eq!(place.run("--input text=x --quiet").exit, Some(1));
    let now = page(&place);
    let said = "agent reviewer: command sh -c cat > /dev/null; echo fine v1.3 --api-key ******** → \
                sh -c cat > /dev/null; exit 65 v1.4 --api-key ********";
    let fails = text(&now, "<section class=\"fails\"", "</section>").replace("&gt;", ">");
    assert!(
        fails.contains(&format!("changed since {good}, the last run without a failure: {said}")),
        "{fails}"
    );
    let shown = place.orderflow("show last --failed").err;
    assert_eq!(shown, format!("changed since {good}, the last run without a failure: {said}\n"));
    let view = text(&now, "id=\"_compare\"", "</section>").replace("&gt;", ">");
    assert!(
        view.contains(&format!("Steps and agents No step was changed. Changed since then: {said}")),
        "{view}"
    );
    let summary = place.orderflow(&format!("report last --format markdown --baseline {good}")).out;
    assert!(summary.contains(&format!("- no step was changed\n- `{said}`\n\n")), "{summary}");
}

#[test]
fn a_run_is_compared_with_an_earlier_one() {
    let place = parcels();
    let first = page(&place);
    assert!(!first.contains("data-view=\"compare\""));
    place.write(
        "items.jsonl",
        "{\"id\": \"p1\", \"parcel\": \"vase\"}\n{\"id\": \"p2\", \"parcel\": \"light\"}\n{\"id\": \"p0\", \"parcel\": \"box\"}\n",
    );
    assert_eq!(place.run("--key id --quiet").exit, Some(0));
    place.write("items.jsonl", &ITEMS.replace("lost glove", "glove"));
    let changed = place.read("flow.md").replace("heavy*) echo", "heavy*) true; echo");
    place.write("flow.md", &changed);
    assert_eq!(place.run("--key id --quiet").exit, Some(0));
    let runs: Value = serde_json::from_str(&place.orderflow("runs --format json").out).unwrap();
    let mut names: Vec<&str> =
        runs.as_array().unwrap().iter().map(|run| run["name"].as_str().unwrap()).collect();
    let started = |name: &&str| {
        runs.as_array().unwrap().iter().find(|run| run["name"] == *name).unwrap()["started"].to_string()
    };
    names.sort_by_key(started);
    let [worse, good, _] = names[..] else { panic!("{runs}") };
    let now = page(&place);
    let fails = text(&now, "<section class=\"fails\"", "</section>");
    assert!(fails.contains(&format!("1 of them succeeded in {good}")), "{fails}");
    let view = text(&now, "id=\"_compare\"", "</section>");
    assert!(view.contains(&format!("Compared with {good} It began at 20")), "{view}");
    assert!(view.contains(" and ended without a failure. Here is "), "{view}");
    assert!(
        view.contains("1 item failed here and succeeded there: p2 3 items only here: p3 , p4 , p5 1 item only there: p0 Steps and agents Changed since then: Ship step "),
        "{view}"
    );
    assert!(view.contains(" Ship 3 → 5 100 % → 60 % worse "), "{view}");
    assert!(view.contains(" Put Away only here – → 2 – "), "{view}");
    assert!(view.contains(&format!(" --baseline {worse}")), "{view}");
    // With another one, in the file, served, and in a summary.
    let said = place.orderflow(&format!("report last -o - --baseline {worse}"));
    let both = "1 item succeeded here and failed there: p4 2 items failed in both: p2 , p3";
    let view = text(&said.out, "id=\"_compare\"", "</section>");
    assert!(view.contains(both), "{view}");
    let server = Serving::start(place.command("serve"));
    let view =
        text(&server.get(&format!("/runs/last?baseline={worse}")).text(), "id=\"_compare\"", "</section>");
    assert!(
        view.contains(both)
            && view.contains(&format!("Compare with another run {good} 20"))
            && view.contains(" UTC , without a failure"),
        "{view}"
    );
    assert_eq!(server.get("/runs/last?baseline=zz").status, 404);
    let said = place.orderflow("report last --format markdown --baseline last");
    assert_eq!(
        (said.exit, said.err.lines().next()),
        (Some(2), Some("error: a run is not compared with itself"))
    );
    let said = place.orderflow(&format!("report last --format markdown --baseline {worse}")).out;
    let section = format!(
        "### Compared with `{worse}`\n\n- 1 item succeeded here and failed there: `p4`\n- 2 items failed in both: `p2` `p3`\n- changed since then: `Ship`\n\n<details>"
    );
    assert!(
        said.contains(&section) && said.contains(&format!("Changes since `{worse}`:\n\n| step |")),
        "{said}"
    );
}
