//! `orderflow fmt`: the usual layout, which never changes what a document means.

use crate::place::Place;
use crate::program::{orderflow, told};
use orderflow::diag::Source;
use orderflow::{graph, spec};
use std::path::{Path, PathBuf};

/// All markdown below a folder of the repository.
fn documents(folder: &str) -> Vec<PathBuf> {
    let (mut found, mut open) = (Vec::new(), vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)]);
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => open.push(path),
                false if path.extension().is_some_and(|end| end == "md") => found.push(path),
                false => {}
            }
        }
    }
    found.sort();
    found
}

/// The problems with their messages, the meaning of each step, and the recorded rows.
fn meaning(text: &str) -> Vec<String> {
    let source = Source::new("flow.md", text);
    let (read, mut problems) = spec::parse(&source);
    let (graph, further) = graph::build(&source, &read);
    problems.extend(further);
    let problems = problems.into_iter().map(|problem| format!("{} {}", problem.code, problem.message));
    let steps = graph.iter().flat_map(|graph| graph.ids().map(|id| graph.meaning(id)));
    let rows = read.steps.iter().flat_map(|step| &step.traces);
    let rows = rows.map(|rows| text[rows.content.start..rows.content.end].to_owned());
    problems.chain(steps).chain(rows).collect()
}

#[test]
fn no_document_gets_another_meaning_and_a_second_time_changes_nothing() {
    let mut changed = 0;
    let all = ["workflows", "docs", "tests/diagnostics"].map(documents).concat();
    assert!(all.len() > 100, "{}", all.len());
    for path in all {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let once = spec::laid_out(&Source::new("flow.md", text.as_str()));
        assert_eq!(meaning(&once), meaning(&text), "{}", path.display());
        assert_eq!(spec::laid_out(&Source::new("flow.md", once.as_str())), once, "{}", path.display());
        changed += usize::from(once != text);
    }
    assert!(changed > 10, "{changed}");
}

/// Documents as they are half written: cut anywhere, or with parts of others in them.
#[test]
fn documents_in_pieces_keep_their_meaning() {
    let texts: Vec<String> =
        documents("workflows").iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let mut seed = 11u64;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    for _ in 0..60 {
        let mut lines: Vec<&str> = Vec::new();
        for _ in 0..3 {
            let all: Vec<&str> = texts[random(texts.len())].lines().collect();
            let from = random(all.len());
            lines.extend(&all[from..(from + random(60)).min(all.len())]);
        }
        let spaced =
            lines.join(["\n", "\n\n\n", " \n", "\r\n"][random(4)]).replace("→", ["→", "->"][random(2)]);
        let once = spec::laid_out(&Source::new("flow.md", spaced.as_str()));
        assert_eq!(meaning(&once), meaning(&spaced), "{spaced:?}");
        assert_eq!(spec::laid_out(&Source::new("flow.md", once.as_str())), once, "{spaced:?}");
    }
}

#[test]
fn it_checks_shows_and_writes() {
    let place = Place::new("# Orders\n\n\n\n## Weigh   @scale\norder -> grams\n");
    let neat = "# Orders\n\n## Weigh @scale\norder → grams\n";
    place.write("neat.md", neat);
    let checked = place.orderflow("fmt --check flow.md neat.md");
    assert_eq!(
        (checked.exit, checked.err.as_str()),
        (Some(1), "flow.md: another layout\n  help: orderflow fmt writes them in the usual layout\n")
    );
    let shown = place.orderflow("fmt --diff flow.md neat.md");
    assert_eq!(shown.exit, Some(0), "{}", shown.err);
    assert!(
        shown.out.contains("-## Weigh   @scale\n") && shown.out.contains("+order → grams\n"),
        "{}",
        shown.out
    );
    assert!(!shown.out.contains("neat.md"), "{}", shown.out);
    assert_ne!(place.read("flow.md"), neat);
    let written = place.orderflow("fmt flow.md neat.md");
    assert_eq!((written.exit, written.err.as_str()), (Some(0), "1 document written in the usual layout\n"));
    assert_eq!(place.read("flow.md"), neat);
    let again = place.orderflow("fmt flow.md neat.md");
    assert_eq!((again.exit, again.err.as_str()), (Some(0), ""));
    assert_eq!(place.orderflow("fmt --check flow.md neat.md").exit, Some(0));

    // From standard input to standard output.
    let mut child = place.command("fmt -");
    child.stdin(std::fs::File::open(place.path("neat.md")).unwrap());
    let passed = told(child.output().unwrap());
    assert_eq!((passed.exit, passed.out.as_str(), passed.err.as_str()), (Some(0), neat, ""));

    // What cannot be read stays, and the others are written.
    std::fs::write(place.path("broken.md"), b"# A \xff\n\n\n\n## B\n").unwrap();
    place.write("flow.md", "# Orders\n\n\n\n## Weigh @scale\norder → grams\n");
    let failed = place.orderflow("fmt broken.md missing.md flow.md");
    assert_eq!(failed.exit, Some(74), "{}", failed.err);
    assert!(failed.err.contains("broken.md: invalid UTF-8 at byte 4"), "{}", failed.err);
    assert_eq!(std::fs::read(place.path("broken.md")).unwrap(), b"# A \xff\n\n\n\n## B\n");
    assert_eq!(place.read("flow.md"), neat);
}

#[test]
fn the_workflows_of_the_repository_have_the_usual_layout() {
    let all = documents("workflows");
    let mut args = vec!["fmt", "--check"];
    args.extend(all.iter().map(|path| path.to_str().unwrap()));
    let checked = orderflow(&args);
    assert_eq!((checked.exit, checked.err.as_str()), (Some(0), ""));
}
