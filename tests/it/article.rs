//! The example of an article: a writer and a reviewer in turns, and an editor who decides.

use crate::place::Place;
use crate::program::{Told, told};
use crate::python::path;
use crate::workflows::workflows;
use serde_json::Value;

fn orderflow(place: &Place, args: &str) -> Told {
    told(place.command(args).env("PATH", path()).output().unwrap())
}

fn write(place: &Place) -> Told {
    let notes = "--input topic=Bees --input notes=@workflows/articles/bees.json";
    orderflow(place, &format!("run workflows/article.md --quiet {notes}"))
}

/// The folder of the only run.
fn run(place: &Place) -> String {
    let runs = std::fs::read_dir(place.path("workflows/.orderflow/runs")).unwrap();
    let runs: Vec<_> = runs.map(|run| run.unwrap().path().display().to_string()).collect();
    let [run] = &runs[..] else { panic!("{runs:?}") };
    run.clone()
}

/// What `show` knows about the item.
fn shown(place: &Place) -> Value {
    let shown = orderflow(place, &format!("show {} --item 1 --format json", run(place)));
    serde_json::from_str(&shown.out).unwrap_or_else(|_| panic!("{}", shown.err))
}

/// The attempts at a step, by its place in the document.
fn attempts(place: &Place, step: usize) -> Vec<Value> {
    shown(place)["steps"][step]["attempts"].as_array().unwrap().clone()
}

#[test]
fn an_article_is_written_until_it_is_approved_and_published_by_its_editor() {
    let place = workflows();
    let waits = write(&place);
    assert_eq!(waits.exit, Some(5), "{}", waits.err);
    let remarks: Vec<Value> =
        attempts(&place, 1).iter().map(|review| review["outputs"]["review"]["remark"].clone()).collect();
    assert_eq!(remarks, ["the lead is missing".into(), "the end is missing".into(), Value::Null]);
    let writes = attempts(&place, 0);
    assert_eq!(
        writes.iter().map(|write| write["round"].as_u64()).collect::<Vec<_>>(),
        [Some(1), Some(2), Some(3)]
    );
    assert!(writes.iter().all(|write| write["columns"]["written_by"] == "rules"), "{writes:?}");
    assert!(!place.path("workflows/.data/articles").exists(), "the editor has not decided");

    let wrong = orderflow(&place, &format!("approve {} Publish --as writer --resume", run(&place)));
    assert_ne!(wrong.exit, Some(0), "{}", wrong.out);
    let published = orderflow(&place, &format!("approve {} Publish --as editor --resume", run(&place)));
    assert_eq!(published.exit, Some(0), "{}", published.err);
    let article = place.read("workflows/.data/articles/bees.md");
    assert!(
        article.starts_with("# Bees\n\n**This article says what to know about bees, in short.**\n"),
        "{article}"
    );
    assert!(
        article.ends_with("That is what we know about bees today. Write to us if you know more.\n"),
        "{article}"
    );
}

#[test]
fn an_article_that_is_never_approved_is_not_published() {
    let place = workflows();
    place.write("workflows/articles/bees.json", r#"["A colony stores 30 kg of honey."]"#);
    let failed = write(&place);
    assert_eq!(failed.exit, Some(1), "{}", failed.err);
    let why = "Review failed: `review.approved` does not hold after 4 rounds";
    assert!(failed.err.contains(why), "{}", failed.err);
    let story = shown(&place);
    assert_eq!(story["error"]["code"], "not_reached", "{story}");
    assert_eq!(story["steps"][0]["attempts"].as_array().unwrap().len(), 4);
    assert!(!place.path("workflows/.data/articles").exists());
}

/// Its recorded rows fit it, and meet its expectations.
#[test]
fn the_recorded_rows_of_the_article_fit_it() {
    let place = workflows();
    let verified = orderflow(&place, "verify workflows/article.md");
    assert_eq!(verified.exit, Some(0), "{}{}", verified.out, verified.err);
    let judged = orderflow(&place, "stats workflows/article.md");
    assert_eq!(judged.exit, Some(0), "{}{}", judged.out, judged.err);
}

#[test]
fn an_article_that_its_editor_rejects_is_not_published() {
    let place = workflows();
    assert_eq!(write(&place).exit, Some(5));
    let rejected =
        orderflow(&place, &format!("reject {} Publish --as editor --note dull --resume", run(&place)));
    assert!(
        rejected.exit == Some(1) && rejected.err.contains("dull"),
        "{:?}: {}",
        rejected.exit,
        rejected.err
    );
    assert!(!place.path("workflows/.data/articles").exists());
}
