//! The compensation of a step that runs a document: of which runs, in which order and how often.

use crate::place::Place;
use std::fs;

/// A child whose one effect has a compensation. Each call leaves a line in `work.log`.
const SUB: &str = r#"# Sub

## One [compensate:: Back]
order::Integer → one::String

```sh run
echo "one $ORDERFLOW_IDEMPOTENCY_KEY" >> work.log
echo "made $(grep -c ^one work.log)"
```

## Back [retry:: 0]
one → back::String

```sh run
echo "back $IN_ONE" >> calls.log
test ! -e closed || exit 65
echo "back $IN_ONE" >> work.log
echo ok
```
"#;

/// Ends with a step that fails unless there is a van.
const FINAL: &str = "\n## Final\none → sent::String\n\n```sh run\ntest -e van || exit 65\necho sent\n```\n";

fn place(document: &str) -> Place {
    let place = Place::new(document);
    place.write("sub.md", SUB);
    place
}

/// The lines of a file without keys.
fn lines(place: &Place, file: &str) -> Vec<String> {
    let text = fs::read_to_string(place.path(file)).unwrap_or_default();
    let short = |line: &str| if line.starts_with("one ") { "one".to_owned() } else { line.to_owned() };
    text.lines().map(short).collect()
}

fn looped(guard: &str) -> String {
    format!(
        "# Loop\n\n## Loop [repeat:: 2 until score >= 2]\n\n### Sub [document:: sub.md]\norder::Integer → one::String\n\n\
         ### Judge [effects:: none]\none, score? → score::Integer\n\n{guard}\
         ```sh run\necho $(( ${{IN_SCORE:-0}} + 1 ))\n```\n{}{FINAL}",
        if guard.is_empty() {
            ""
        } else {
            "\n### Ship [irreversible]\none → shipped::String\n\n```sh run\necho \"ship $IN_ONE\" >> work.log\necho ok\n```\n"
        }
    )
}

/// Each round is compensated by itself, the last one first.
#[test]
fn a_round_compensates_its_own_run_only() {
    let place = place(&looped(""));
    let told = place.run("--input order=7 --quiet");
    assert_eq!(told.exit, Some(1), "{}{}", told.out, told.err);
    assert_eq!(lines(&place, "work.log"), ["one", "one", "back made 2", "back made 1"]);
}

/// What an irreversible step has made final stays, also the runs of documents before it.
#[test]
fn a_round_before_an_irreversible_step_stays() {
    let place = place(&looped("If score == 1 → Ship\n\n"));
    let told = place.run("--input order=7 --quiet");
    assert_eq!(told.exit, Some(1), "{}{}", told.out, told.err);
    assert_eq!(lines(&place, "work.log"), ["one", "ship made 1", "one", "back made 2"]);
}

/// However long the title of the step is.
#[test]
fn a_step_with_a_long_title_is_compensated() {
    for title in ["Subcontract ".repeat(20), "分包合同".repeat(20)] {
        let place = place(&format!(
            "# Long\n\n## {} [document:: sub.md]\norder::Integer → one::String\n{FINAL}",
            title.trim()
        ));
        let told = place.run("--input order=7 --quiet --session s.toon");
        assert_eq!(told.exit, Some(1), "{}{}", told.out, told.err);
        assert_eq!(lines(&place, "work.log"), ["one", "back made 1"]);
        assert!(place.rows("s.toon")[0].contains("/One 1 #1 success"), "{:?}", place.rows("s.toon"));
    }
}

/// What a person has compensated by hand is not compensated once more after a retry.
#[test]
fn what_was_resolved_by_hand_is_not_compensated_again() {
    let place =
        place(&format!("# Hand\n\n## Sub [document:: sub.md]\norder::Integer → one::String\n{FINAL}"));
    place.write("closed", "");
    assert_eq!(place.run("--input order=7 --quiet").exit, Some(5));
    // A failure that a retry does not help is final, also in the outer document.
    assert_eq!(lines(&place, "calls.log"), ["back made 1"]);
    let resolved = place.orderflow("resolve last --item 1 --note done");
    assert_eq!(resolved.exit, Some(0), "{}", resolved.err);
    fs::remove_file(place.path("closed")).unwrap();
    let told = place.orderflow("retry last --item 1 --quiet");
    assert_eq!(told.exit, Some(1), "{}{}", told.out, told.err);
    assert_eq!(lines(&place, "calls.log"), ["back made 1", "back made 2"]);
}

/// Retries of compensations do not multiply with the levels of documents.
#[test]
fn a_final_failure_is_final_at_every_level() {
    let place = place(&format!("# Top\n\n## A [document:: a.md]\norder::Integer → one::String\n{FINAL}"));
    for (file, next) in [("a.md", "b.md"), ("b.md", "sub.md")] {
        let title = file.trim_end_matches(".md").to_uppercase();
        place.write(
            file,
            &format!("# {title}\n\n## Next [document:: {next}]\norder::Integer → one::String\n"),
        );
    }
    place.write("closed", "");
    let told = place.run("--input order=7 --quiet");
    assert_eq!(told.exit, Some(5), "{}{}", told.out, told.err);
    assert_eq!(lines(&place, "calls.log"), ["back made 1"]);
}

/// A runner that was killed before the journal of a document existed has done nothing in it.
#[test]
fn a_run_that_never_began_needs_no_compensation() {
    let place = place(&format!(
        "# Begin\n\n## Sub [document:: sub.md]\norder::Integer → one::String\n{}",
        FINAL.replace("test -e van", ": > waiting; sleep 60; test -e van")
    ));
    let mut run = place.begin("--input order=7");
    place.await_file("waiting");
    run.kill().unwrap();
    run.wait().unwrap();
    let runs = place.path(".orderflow/runs");
    let run = fs::read_dir(runs).unwrap().next().unwrap().unwrap().path();
    let child = run.join("children/000000-1/Sub.1");
    fs::rename(&child, place.path("away")).unwrap();
    // A link in its place is not followed, neither by the step nor by its compensation.
    std::os::unix::fs::symlink(place.path("away"), &child).unwrap();
    let told = place.orderflow("cancel last --quiet");
    assert_eq!(told.exit, Some(5), "{}{}", told.out, told.err);
    assert_eq!(lines(&place, "calls.log"), [""; 0]);
    fs::remove_file(&child).unwrap();
    fs::create_dir(&child).unwrap();
    let told = place.orderflow("retry last --quiet");
    assert!(told.err.is_empty() || !told.err.contains("no journal"), "{}{}", told.out, told.err);
    assert!(place.orderflow("show last --item 1").out.starts_with("1: compensated"), "{}", told.err);
}

/// Two outputs may be the same file.
#[test]
fn a_file_may_be_given_twice() {
    let place =
        Place::new("# Files\n\n## Sub [document:: sub.md]\norder::Integer → label::File, all::File[]\n");
    place.write(
        "sub.md",
        "# Sub\n\n## Write\norder::Integer → label::File, all::File[]\n\n```sh run\necho $IN_ORDER > \"$ORDERFLOW_DIR/l.txt\"\n\
         echo '{\"label\": \"l.txt\", \"all\": [\"l.txt\"]}'\n```\n",
    );
    let told = place.run("--input order=7 --quiet");
    assert_eq!(told.exit, Some(0), "{}{}", told.out, told.err);
}

/// The compensations of a document need its journal.
#[test]
fn without_a_journal_a_document_with_compensations_does_not_run() {
    let document = format!("# Light\n\n## Sub [document:: sub.md]\norder::Integer → one::String\n{FINAL}");
    let place = place(&document);
    let told = place.run("--input order=7 --quiet --no-journal");
    assert_eq!(told.exit, Some(2), "{}{}", told.out, told.err);
    assert!(told.err.contains("; nothing was run\n"), "{}", told.err);
    assert_eq!(lines(&place, "work.log"), [""; 0]);
    place.write("sub.md", &SUB.replace(" [compensate:: Back]", " [effects:: none]"));
    place.write("van", "");
    let told = place.run("--input order=7 --quiet --no-journal");
    assert_eq!(told.exit, Some(0), "{}{}", told.out, told.err);
}

/// What a document did not make is missing, and not an empty object.
#[test]
fn a_value_that_the_document_did_not_make_is_missing() {
    let skipped = "# Sub\n\n## Zero\norder::Integer → z::String\n\n```sh run\necho no\n```\n\n\
                   ## One [when:: z == \"yes\"]\nz → one::TYPE\n\n```sh run\necho one\n```\n";
    for (ty, output, exit) in
        [("String", "one::String", 1), ("JSON", "one::JSON", 1), ("String", "one?::String", 0)]
    {
        let place = Place::new(&format!(
            "# Orders\n\n## Sub [document:: sub.md]\norder::Integer → {output}\n\n\
             ## Pay [when:: one is defined]\none? → paid::String\n\n```sh run\necho \"paid $IN_ONE\" >> work.log\necho ok\n```\n"
        ));
        place.write("sub.md", &skipped.replace("TYPE", ty));
        let told = place.run("--input order=7 --quiet");
        assert_eq!(told.exit, Some(exit), "{output}: {}{}", told.out, told.err);
        let why = "Sub failed: output `one`: the document ended without it";
        assert_eq!(told.err.contains(why), exit == 1, "{output}: {}", told.err);
        assert_eq!(lines(&place, "work.log"), [""; 0]);
    }
}
