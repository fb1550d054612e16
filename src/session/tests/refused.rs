//! What is no trace, or a damaged one: refused or reported, with its place.

use super::*;

fn codes(text: &str) -> Vec<(u64, usize, &'static str)> {
    let shown = read(text).1.problems.shown;
    shown
        .into_iter()
        .map(|problem| (problem.line, problem.diagnostic.span.start, problem.diagnostic.code))
        .collect()
}

#[test]
fn a_session_that_was_cut_anywhere_is_refused() {
    let (graph, rows) = document(ORIGINAL);
    let text = record(&graph, &replay(&graph, &rows).unwrap(), &Object::new());
    assert_eq!(codes(&text), []);
    // The final newline and nothing else may be missing.
    for cut in (1..text.len() - 1).filter(|cut| text.is_char_boundary(*cut)) {
        assert_ne!(codes(&text[..cut]), [], "cut at {cut}: {}", &text[..cut]);
    }
    let at = text.find("145.50").unwrap();
    assert!(codes(&text[..at + 2]).iter().any(|(_, _, code)| *code == "session-incomplete"));
}

#[test]
fn a_run_that_was_stopped_says_so_in_a_whole_file() {
    let (graph, rows) = document(ORIGINAL);
    let text = record(&graph, &replay(&graph, &rows).unwrap(), &Object::new());
    let stopped = text.replace("complete: true", "complete: false");
    let (read_back, session) = read(&stopped);
    assert!(session.problems.is_empty(), "{:?}", session.problems);
    assert_eq!((read_back.len(), session.head.map(|head| head.complete)), (23, Some(false)));
    for cut in stopped.len() - 12..stopped.len() - 1 {
        assert_ne!(codes(&stopped[..cut]), [], "{}", &stopped[..cut]);
    }
}

#[test]
fn an_edge_that_comes_too_late_is_an_error() {
    let head = "orderflow: 1\nphases[2]{name}:\n  A\n  B\n";
    let text = format!("{head}execution[1]{{phase,status}}:\n  A,success\n");
    assert_eq!(codes(&(text + "edges[1]{from,to}:\n  A,B\ncomplete: true\n")), [(8, 0, "session-layout")]);
}

#[test]
fn a_phase_that_the_file_does_not_know_is_told_once() {
    let rows = "  B,success\n".repeat(500) + "  C,success\n";
    let text = format!(
        "orderflow: 1\nphases[1]{{name}}:\n  A\nedges: []\nexecution[501]{{phase,status}}:\n{rows}complete: true\n"
    );
    assert_eq!(codes(&text), [(6, 2, "unknown-phase"), (506, 2, "unknown-phase")]);
}

#[test]
fn bad_values_are_all_reported_with_their_place() {
    let text = "execution[5]{phase,status,duration_ms,tokens_used,attempt}:\n  A,sucess,1,2,1\n  A,failed,-1,2.5,0\n  null,success,\"1\",-2,1\n  A,success,1e13,null,x\n  A,success,0.5,null,null\n";
    assert_eq!(
        codes(text),
        [
            (2, 4, "unknown-status"),
            (3, 11, "trace-value"),
            (3, 14, "trace-value"),
            (3, 18, "trace-value"),
            (4, 2, "trace-value"),
            (4, 15, "trace-value"),
            (4, 19, "trace-value"),
            (5, 12, "trace-value"),
            (5, 22, "trace-value"),
        ]
    );
    let suggestion = read(text).1.problems.shown[0].diagnostic.help.clone();
    assert_eq!(suggestion.as_deref(), Some("did you mean `success`?"));
}

#[test]
fn other_files_are_read_and_what_is_no_trace_is_refused() {
    assert_eq!(codes("[1]{status,phase}:\n  success,A\n"), []);
    assert_eq!(codes("steps[1|]{phase|status}:\n    A|success\nother[1]{a}:\n    1\n"), []);
    assert_eq!(codes("a: 1\n"), [(1, 0, "trace-empty")]);
    assert_eq!(codes(""), [(1, 0, "trace-empty")]);
    assert_eq!(codes("execution[1]{phase}:\n  A\n"), [(1, 0, "trace-column")]);
    assert_eq!(codes("execution: 5\n"), [(1, 0, "trace-table")]);
    assert_eq!(codes("orderflow: 2\nexecution: []\ncomplete: true\n"), [(1, 0, "session-version")]);
    assert_eq!(
        codes(
            "orderflow: 1\nphases[1]{name}:\n  A\nedges[1]{from,to}:\n  A,A\nexecution[1]{phase,status}:\n  B,success\ncomplete: true\n"
        ),
        [(5, 0, "session-layout"), (7, 2, "unknown-phase")]
    );
}

#[test]
fn problems_in_fences_have_their_place_in_the_document() {
    let text = ORIGINAL.replace(
        "CheckInventory,inventory-service,warehouse,order_002",
        "ChekInventory,inventory-service,warehouse,order_002",
    );
    let text = text.replace(
        "execution[3]{phase,agent,channel,input,output,duration_ms,status,tokens_used,amount_usd}",
        "execution[4]{phase,agent,channel,input,output,duration_ms,status,tokens_used,amount_usd}",
    );
    let source = Source::new("x.md", text.as_str());
    let (spec, _) = spec::parse(&source);
    let (graph, _) = graph::build(&source, &spec);
    let found = check(&source, &spec, graph.as_ref());
    let shown: Vec<_> = found
        .iter()
        .map(|problem| {
            let place = source.position(problem.span.start);
            (place.line, place.column, problem.code, source.slice(problem.span))
        })
        .collect();
    assert_eq!(shown, [(27, 2, "unknown-phase", "ChekInventory"), (41, 11, "trace-count", "4")]);
    assert_eq!(found[0].help.as_deref(), Some("did you mean `CheckInventory`?"));
}
