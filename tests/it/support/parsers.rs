//! Every parser as a function of bytes. Whatever the bytes are, it returns, soon and without a panic. The tests
//! feed these functions changed documents, and `fuzz/` feeds them what libFuzzer finds.

use orderflow::adapter::redact::{self, Redactor};
use orderflow::adapter::{Declared, contract, worker};
use orderflow::cases;
use orderflow::diag::{Diagnostic, Source, Span, render};
use orderflow::disk::Named;
use orderflow::event::{AttemptEvent, EventKind, ItemId, Outcome, Reply, StepId, ValueId};
use orderflow::graph::{self, Graph};
use orderflow::items::{self, Duplicates, Items, Shape};
use orderflow::journal;
use orderflow::session::Entries;
use orderflow::stats::{Dimension, Fold, Live};
use orderflow::toon::{Node, Reader};
use orderflow::value::{Type, Value, json};
use orderflow::{cli, condition, session, spec};
use std::fs;
use std::sync::Arc;

/// A parser's name and the parser.
pub type Parser = (&'static str, fn(&[u8]));

pub const PARSERS: [Parser; 19] = [
    ("document", |bytes| check(text(bytes))),
    ("front-matter", |bytes| check(format!("---\n{}\n---\n# T\n\n## A @a\n", text(bytes)))),
    ("heading", |bytes| {
        check(format!("# T\n\n## B\na -> b\n\n## {}\n", text(bytes).replace(['\r', '\n'], " ")))
    }),
    ("step", |bytes| check(format!("# T\n\n## A\na -> b\n\n## Step @a\n\n{}\n", text(bytes)))),
    ("condition", condition),
    ("ts", |bytes| use_types(&with_types("ts", &text(bytes)))),
    ("json-schema", |bytes| use_types(&with_types("json schema", &text(bytes)))),
    ("trace", |bytes| trace(&text(bytes))),
    ("session", session),
    ("settings", settings),
    ("items.jsonl", |bytes| items("items.jsonl", bytes)),
    ("items.json", |bytes| items("items.json", bytes)),
    ("items.csv", |bytes| items("items.csv", bytes)),
    ("items.toon", |bytes| items("items.toon", bytes)),
    ("words", words),
    ("answer", answer),
    ("cases", cases),
    ("journal", journal),
    ("redactor", redactor),
];

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Reads and draws a document and looks at every place that comes out of it.
pub fn check(text: String) {
    let source = Source::new("x.md", text);
    let (spec, mut problems) = spec::parse(&source);
    let points = |span: &Span| {
        span.start <= span.end
            && span.end <= source.text.len()
            && source.text.is_char_boundary(span.start)
            && source.text.is_char_boundary(span.end)
    };
    let mut spans: Vec<Span> = spec.sections.iter().map(|title| title.span).collect();
    for step in &spec.steps {
        spans.extend([step.title.span, step.heading]);
        spans.extend(step.traces.iter().map(|trace| trace.content));
        spans.extend(step.program.iter().map(|program| program.span));
        if let Some(signature) = &step.signature {
            spans.push(signature.span);
            let ports = signature.inputs.iter().chain(&signature.outputs);
            for port in ports {
                assert_eq!(source.slice(port.name.span), port.name.value);
            }
        }
    }
    let (graph, more) = graph::build(&source, &spec);
    problems.extend(more);
    problems.extend(session::check(&source, &spec, graph.as_ref()));
    for Diagnostic { span, related, .. } in &problems {
        spans.push(*span);
        spans.extend(related.iter().map(|related| related.span));
    }
    if let Some(wrong) = spans.iter().find(|span| !points(span)) {
        panic!("{wrong:?} points nowhere in\n{}", source.text);
    }
    let drawn = render::human(&source, &problems, false);
    assert!(!drawn.contains(['\u{202e}', '\u{7f}', '\u{1b}', '\r']), "{drawn:?}");
    render::json(&source, &problems);
}

/// A document with these types, and a step that takes and makes values of them.
pub fn with_types(info: &str, types: &str) -> String {
    format!(
        "# T\n\n## A @a\na::Order, b::Item?, c::State[] -> d::Order\n\n## Types\n\n```{info}\n{types}\n```\n"
    )
}

const VALUES: [&str; 6] = [
    "null",
    "5",
    r#"{"order_id":"a","total":1,"items":[{"sku":"x","kind":"box","other":[]}],"by_day":{}}"#,
    r#"{"total":0.15,"items":["a","b","a","B"],"state":"late","x-a":"today"}"#,
    r#"{"total":1e999999999,"items":[[[[]]]],"state":{"state":{"state":{}}},"within":{"within":{"within":5}}}"#,
    r#"[{"kind":"gold"},{"kind":"paid"}]"#,
];

/// Reads a document with types and holds values against them.
pub fn use_types(text: &str) {
    let source = Source::new("x.md", text);
    let (spec, problems) = spec::parse(&source);
    let (graph, _) = graph::build(&source, &spec);
    let Some(graph) = graph.filter(|_| !problems.iter().any(|problem| problem.is_error())) else { return };
    for ty in graph.values.iter().filter_map(|value| value.ty.as_ref()) {
        for value in VALUES {
            if let Err(misfits) = ty.fits(&json::parse(value).unwrap()) {
                assert!(misfits.of("a").contains("expected"));
            }
        }
        ty.schema();
        ty.sample();
    }
}

/// Reads a condition and asks it about values of all kinds.
fn condition(bytes: &[u8]) {
    let text = text(bytes);
    let points = |at: &std::ops::Range<usize>| assert!(text.get(at.clone()).is_some(), "{at:?} in {text:?}");
    match condition::parse(&text) {
        Err(fault) => points(&fault.at),
        Ok(condition) => {
            condition.names().iter().for_each(|(_, at)| points(at));
            condition.excludes(&condition);
            for value in VALUES {
                let value = json::parse(value).unwrap();
                if let Err(fault) = condition.holds(&|name| (name != "b").then_some(&value)) {
                    points(&fault.at);
                }
            }
        }
    }
}

/// Reads cases of a document, runs them and judges them.
fn cases(bytes: &[u8]) {
    const DOCUMENT: &str = "# T\n\n## A @a ! [compensate:: Z] [retry:: 2]\norder::Integer -> n::Integer, list::JSON[]\n\n\
        If n > 3 -> B\nOtherwise -> fail \"few\"\n\n## B @a [each:: one in list] [timeout:: 5s]\n> [!gate within 2d] Go?\n\none -> got::JSON\n\n\
        ## C @a [await:: a.b within 2d] [emit:: b.c]\ngot -> c::String\n\n## Compensations\n\n### Z @a\nn -> z::Boolean\n";
    let document = Source::new("x.md", DOCUMENT);
    let (spec, _) = spec::parse(&document);
    let graph = Arc::new(graph::build(&document, &spec).0.unwrap());
    let source = Source::new("x.test.toml", text(bytes));
    let (cases, problems) = cases::read(&source, &graph);
    let mut coverage = cases::Coverage::default();
    let unmet = cases.iter().flat_map(|case| {
        let outcome = cases::run(&graph, case);
        coverage.take(&graph, &outcome.events);
        cases::judge(&graph, case, &outcome)
    });
    let all: Vec<Diagnostic> = unmet.chain(problems).collect();
    for problem in &all {
        assert!(
            source.text.get(problem.span.start..problem.span.end).is_some(),
            "{problem:?} in {}",
            source.text
        );
    }
    let drawn = render::human(&source, &all, false);
    assert!(!drawn.contains(['\u{202e}', '\u{7f}', '\u{1b}', '\r']), "{drawn:?}");
}

/// A trace in a document, replayed, verified and counted.
fn trace(rows: &str) {
    let start = "# T\n\n## A @a #c !\nx -> y\n\n## B @b ?\ny -> z\n\n## C @c\nfailed_orders -> retry\n\n";
    let text = format!("{start}## D @d\nz -> w\n\n```session-toon\n{rows}\n```\n");
    check(text.clone());
    let source = Source::new("x.md", text);
    let (spec, _) = spec::parse(&source);
    let (Some(graph), _) = graph::build(&source, &spec) else { return };
    let recorded = session::recorded(&source, &spec);
    if session::check(&source, &spec, Some(&graph)).is_empty() {
        session::verify(&source, &spec, &graph);
        let mut live = Live::new(&graph, vec![Dimension::Phase]);
        let mut entries = Entries::new(&graph);
        let events = session::replay(&graph, &recorded.rows).unwrap();
        events.iter().filter_map(|event| entries.take(event)).for_each(|entry| live.take(&entry));
        assert_eq!(live.finish().run.rows, recorded.rows.len() as u64);
    }
}

/// A file of executions: read as TOON, then counted.
fn session(bytes: &[u8]) {
    let mut reader = Reader::new(bytes);
    while let Some(node) = reader.next().unwrap() {
        if let Ok(Node::Row(row)) = node {
            row.cells().for_each(|cell| drop((cell.text(), cell.scalar().value())));
        }
    }
    let mut fold = Fold::new(vec![Dimension::Agent, Dimension::Status]).judged();
    let session = fold.session(bytes).unwrap();
    let (stats, judged) = fold.finish_judged();
    assert_eq!(stats.run.rows, session.rows);
    assert_eq!(judged.steps.iter().map(|group| group.count).sum::<u64>(), session.rows);
}

fn settings(bytes: &[u8]) {
    let source = Source::new("orderflow.toml", text(bytes));
    let (_, problems) = cli::settings::read(&source);
    render::human(&source, &problems, false);
    render::json(&source, &problems);
}

/// Checks a file of items and, where all is well, streams them.
fn items(name: &str, bytes: &[u8]) {
    let source =
        Source::new("x.md", "# T\n\n## A @a\norder_id::Integer, total::Number?, tags::String[]? -> b\n");
    let (graph, _) = graph::build(&source, &spec::parse(&source).0);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    for (graph, duplicates) in [(graph.unwrap(), Duplicates::Skip), (Graph::default(), Duplicates::Error)] {
        let shape = Shape::new(&graph, Vec::new(), None);
        let source = items::Source::find(&Named::by_user(&path)).unwrap();
        let checked = Items { source, shape, duplicates, only: Vec::new() }.check().unwrap();
        if checked.problems.count == 0 {
            let items = checked.stream().unwrap().map(Result::unwrap).count();
            assert_eq!(items as u64, checked.total);
        }
    }
}

/// What is short: durations, tolerances, expectations, types, names.
fn words(bytes: &[u8]) {
    let text = text(bytes);
    spec::duration(&text);
    spec::tolerance(&text);
    spec::on_item_error(&text);
    spec::phase(&text);
    Type::parse(&text);
    let (found, faults) = spec::expectations(&text);
    let places = found.iter().map(|(_, at)| at).chain(faults.iter().map(|fault| &fault.span));
    places.for_each(|at| assert!(text.get(at.clone()).is_some(), "{at:?}"));
}

/// What an agent says: a line of a worker, or the answer of a program.
fn answer(bytes: &[u8]) {
    drop(worker::read(bytes));
    let output = |name: &str, ty: &str, optional| Declared {
        id: ValueId(0),
        name: name.into(),
        ty: Type::parse(ty),
        optional,
    };
    let Ok(text) = contract::text(bytes.to_vec()) else { return };
    for declared in [
        vec![],
        vec![output("a", "String", false)],
        vec![output("a", "Integer[]", true)],
        vec![output("a", "JSON", false), output("b", "Boolean", true)],
    ] {
        drop(contract::done(&declared, &text));
        drop(contract::refused(&declared, &text, true, Outcome::Unknown));
    }
    drop(json::parse(&text).map(|value: Value| value.to_string()));
}

/// A journal: its rows, and whole files, of which one in these bytes' place is not what was kept.
fn journal(bytes: &[u8]) {
    if let Ok(row) = std::str::from_utf8(bytes)
        && let Ok(records) = journal::records(row)
    {
        let again: String =
            records.iter().map(|record| serde_json::to_string(record).unwrap() + "\n").collect();
        assert_eq!(journal::records(&again).unwrap(), records, "{row}");
    }
    // What a killed runner leaves, with some bytes in another's place.
    let whole: [(&str, &[u8]); 2] = [
        ("journal.db", include_bytes!("../../fixtures/journal/1.1-killed/journal.db")),
        ("journal.db-wal", include_bytes!("../../fixtures/journal/1.1-killed/journal.db-wal")),
    ];
    let at = bytes.iter().take(4).fold(0, |at, byte| at << 8 | usize::from(*byte));
    for damaged in 0..whole.len() {
        let folder = tempfile::tempdir().unwrap();
        for (number, (name, content)) in whole.iter().enumerate() {
            let mut content = content.to_vec();
            if number == damaged {
                let from = at % content.len();
                let places = content[from..].iter_mut();
                places.zip(bytes.iter().skip(4)).for_each(|(place, byte)| *place = *byte);
            }
            fs::write(folder.path().join(name), content).unwrap();
        }
        let Ok((header, records)) = journal::read(folder.path()) else { continue };
        assert_eq!(header.run, "0199f0");
        drop(records.revisions());
        drop(records.each(|_| Ok::<_, journal::Unreadable>(())));
    }
}

/// Secrets and a text, parted by line ends: no secret is left in it, and what is kept by name comes back as it was.
fn redactor(bytes: &[u8]) {
    let text = text(bytes);
    let mut lines = text.splitn(3, '\n');
    let (one, two) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let told = lines.next().unwrap_or_default();
    let redactor = Redactor::new([("ONE", one), ("TWO", two)]);
    // A secret that is made of what names it can stand there by its name alone.
    let named = |secret: &str| secret.chars().any(|c| "[secret:ONETW]".contains(c));
    let hidden = |secret: &&str| secret.len() >= redact::SHORTEST && !named(secret);
    let mut shown = told.to_owned();
    redactor.text(&mut shown);
    let mut log = told.to_owned();
    redactor.log(&mut log);
    let outputs = vec![(ValueId(0), Arc::new(Value::from(told)))];
    let event = |outputs| {
        AttemptEvent::Finished(Ok(Reply { outputs, ..Reply::default() })).of(ItemId(0), StepId(0), 1, 0)
    };
    let mut kept = event(outputs.clone());
    redactor.conceal(&mut kept);
    let EventKind::Attempt(_, _, _, AttemptEvent::Finished(Ok(reply))) = &kept.kind else { unreachable!() };
    let concealed = reply.outputs[0].1.as_str().unwrap();
    for secret in [one, two].into_iter().filter(hidden) {
        for text in [&shown, &log, concealed] {
            assert!(!text.contains(secret), "{secret:?} stands in {text:?}");
        }
    }
    redactor.reveal(&mut kept);
    assert_eq!(kept, event(outputs), "{text:?}");
}
