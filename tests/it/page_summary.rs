//! The summary of a run for a pull request.

use crate::page::parcels;

#[test]
fn a_pull_request_gets_the_verdict_first_and_pings_no_one() {
    let place = parcels();
    let said = place.orderflow("report last --format markdown");
    assert_eq!((said.exit, said.err.as_str()), (Some(0), ""), "{said:?}");
    let lines: Vec<&str> = said.out.lines().collect();
    assert_eq!(lines[0], "## ✅ `Parcels & more`: done");
    assert!(lines[2].starts_with("5 items · 2 succeeded, 3 compensated · "), "{}", lines[2]);
    assert_eq!(
        &lines[4..10],
        [
            "### 3 items failed",
            "",
            "| items | step | cause | keys |",
            "| ---: | --- | --- | --- |",
            "| 2 | `Ship` | `exited with 65 (bad input): no carrier takes 11 grams` | `p2` `p3` |",
            "| 1 | `Ship` | `exited with 69: it is lost` | `p4` |",
        ]
    );
    assert!(said.out.contains("<details><summary>Figures</summary>\n\n| step | count |"), "{}", said.out);
    assert!(said.out.contains("```mermaid\nflowchart TD\n"));
    assert!(said.out.contains("    class s0 ok\n"), "{}", said.out);
    assert!(said.out.contains("    class s1 bad\n"));
    assert!(said.out.contains("    class s2 comp\n"));
    // Outside of code, there is neither a mention nor an element but those that fold.
    let events = pulldown_cmark::Parser::new_ext(&said.out, pulldown_cmark::Options::ENABLE_TABLES);
    for event in events {
        match event {
            pulldown_cmark::Event::Html(html) => {
                let known = [
                    "<details><summary>Figures</summary>\n",
                    "<details><summary>Steps</summary>\n",
                    "</details>\n",
                ];
                assert!(known.contains(&&*html), "{html}");
            }
            pulldown_cmark::Event::InlineHtml(html) => panic!("{html}"),
            _ => {}
        }
    }
    let github = place.orderflow("report last --format github").out;
    let line = 1 + place.read("flow.md").lines().position(|line| line == "## Ship").unwrap();
    let first = format!(
        "::error file=flow.md,line={line},title=Ship failed for 2 items::exited with 65 (bad input): no carrier takes 11 grams (p2, p3)"
    );
    assert_eq!(github.lines().next(), Some(&*first));
    assert_eq!(github.lines().count(), 2);
    let junit = place.orderflow("report last --format junit").out;
    assert!(
        junit.contains(
            "<testsuite name=\"Parcels &amp; more\" tests=\"6\" skipped=\"0\" errors=\"0\" failures=\"3\">"
        ),
        "{junit}"
    );
    assert!(
        junit.contains(
            "<failure message=\"Ship: exited with 69: it is lost\" type=\"failed\">it is lost</failure>"
        ),
        "{junit}"
    );
    assert!(junit.contains("<testcase name=\"Weigh: errors &lt; 50%\" classname=\"flow.md\"/>"), "{junit}");
}

#[test]
fn a_run_prints_the_same_summary_at_its_end() {
    let place = parcels();
    let document = place.read("flow.md");
    for format in ["markdown", "junit", "github"] {
        let said = place.run(&format!("--key id --quiet --format {format}"));
        assert_eq!(said.exit, Some(0), "{said:?}");
        assert_eq!(said.out, place.orderflow(&format!("report last --format {format}")).out);
    }
    let said = place.run("--key id --quiet --no-journal --format markdown");
    assert_eq!(said.exit, Some(2), "{said:?}");
    assert!(said.err.contains("is made from the journal of a run; nothing was run"), "{said:?}");
    let said = place.run("--key id --session - --format junit");
    assert!(said.err.contains("--session - and --format junit both write to standard output"), "{said:?}");
    assert_eq!(place.read("flow.md"), document);
}
