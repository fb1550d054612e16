//! `orderflow validate --fix`: what it writes and shows, and that a fix solves its problem and changes nothing else.

use crate::program::{command, orderflow, orderflow_reading, told};
use orderflow::diag::{Diagnostic, Source, fix};
use orderflow::{graph, spec};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

const DOCUMENT: &str = "\
# Orders

## Take Payment @bank [retries:: 3 times] [timeout:: 30 sec]
order: JSON -> receipt: String

## Ship @warehouse [needs:: Take Payment] [if:: !express]
receipt, express::boolean → parcel::String

```session-toon
execution[1]{phase,agent,channel,input,output,duration_ms,status,tokens_used,if}:
 Ship,warehouse,null,[if:: !express],parcel,10,success,null,retries
```
";

const FIXED: &str = "\
# Orders

## Take Payment @bank [retry:: 3] [timeout:: 30s]
order::JSON -> receipt::String

## Ship @warehouse [after:: Take Payment] [when:: not express]
receipt, express::Boolean → parcel::String

```session-toon
execution[1]{phase,agent,channel,input,output,duration_ms,status,tokens_used,if}:
 Ship,warehouse,null,[if:: !express],parcel,10,success,null,retries
```
";

const PATCH: &str = "\
--- orders.md
+++ orders.md
@@ -1,10 +1,10 @@
 # Orders
 
-## Take Payment @bank [retries:: 3 times] [timeout:: 30 sec]
-order: JSON -> receipt: String
+## Take Payment @bank [retry:: 3] [timeout:: 30s]
+order::JSON -> receipt::String
 
-## Ship @warehouse [needs:: Take Payment] [if:: !express]
-receipt, express::boolean → parcel::String
+## Ship @warehouse [after:: Take Payment] [when:: not express]
+receipt, express::Boolean → parcel::String
 
 ```session-toon
 execution[1]{phase,agent,channel,input,output,duration_ms,status,tokens_used,if}:
";

/// Runs `validate` beside the document.
fn validate(folder: &Path, args: &[&str]) -> crate::program::Told {
    told(command(folder).arg("validate").args(args).output().unwrap())
}

#[test]
fn safe_fixes_are_shown_and_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.md");
    fs::write(&path, DOCUMENT).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let link = folder.path().join("link.md");
    std::os::unix::fs::symlink("orders.md", &link).unwrap();
    let shown = validate(folder.path(), &["--diff", "orders.md"]);
    assert_eq!((shown.out.as_str(), shown.exit), (PATCH, Some(3)));
    assert_eq!(shown.err, "orders.md: 6 problems can be fixed\n");
    assert_eq!(fs::read_to_string(&path).unwrap(), DOCUMENT, "--diff writes nothing");
    let shown = validate(folder.path(), &["--fix", "orders.md"]);
    assert_eq!((shown.out.as_str(), shown.exit), (PATCH, Some(0)));
    assert_eq!(shown.err, "orders.md: 6 problems fixed\norders.md: 2 steps, no problems\n");
    assert_eq!(fs::read_to_string(&path).unwrap(), FIXED);
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640, "it stays as private as it was");
    fs::write(&path, DOCUMENT).unwrap();
    validate(folder.path(), &["--fix", "link.md"]);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink(), "a link stays");
    assert_eq!(fs::read_to_string(&path).unwrap(), FIXED);
    let before = fs::metadata(&path).unwrap().ino();
    let shown = validate(folder.path(), &["--fix", "orders.md"]);
    assert_eq!((shown.out.as_str(), shown.exit), ("", Some(0)));
    assert_eq!(fs::metadata(&path).unwrap().ino(), before, "what needs no fix is not written");
}

#[test]
fn standard_input_is_fixed_to_standard_output() {
    let shown = orderflow_reading(&["validate", "--fix", "-"], DOCUMENT);
    assert_eq!((shown.out.as_str(), shown.exit), (FIXED, Some(0)));
    let sound = orderflow_reading(&["validate", "--fix", "-"], FIXED);
    assert_eq!((sound.out.as_str(), sound.exit), (FIXED, Some(0)));
    let broken = orderflow_reading(&["validate", "--fix", "-"], "# T\n\n## A @a [if:: x] [foo:: 1]\nx → y\n");
    assert_eq!((broken.out.as_str(), broken.exit), ("# T\n\n## A @a [when:: x] [foo:: 1]\nx → y\n", Some(3)));
    assert!(broken.err.contains("unknown field `foo`"), "{}", broken.err);
    let taken = orderflow_reading(&["validate", "--fix", "--format", "json", "-"], DOCUMENT);
    assert_eq!((taken.out.as_str(), taken.exit), ("", Some(2)));
    assert_eq!(orderflow(&["validate", "--unsafe", "x.md"]).exit, Some(2), "--unsafe fixes nothing alone");
}

#[test]
fn likely_fixes_need_unsafe() {
    let document = "---\nmodel: large\n---\n# T\n\n## A @a\nx → y::String\n";
    let shown = orderflow_reading(&["validate", "--fix", "-"], document);
    assert_eq!((shown.out.as_str(), shown.exit), (document, Some(3)));
    assert!(shown.err.ends_with("1 problem can be fixed with --fix --unsafe, which shows the changes\n"));
    let shown = orderflow_reading(&["validate", "--fix", "--unsafe", "-"], document);
    assert_eq!((shown.out, shown.exit), (document.replace("model", "x-model"), Some(0)));
}

#[test]
fn a_file_that_cannot_be_written_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.md");
    fs::write(&path, DOCUMENT).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let root = fs::write(folder.path().join("probe"), "").is_ok();
    let shown = validate(folder.path(), &["--fix", "orders.md"]);
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    if !root {
        assert_eq!(shown.exit, Some(74), "{}", shown.err);
        assert_eq!(fs::read_to_string(&path).unwrap(), DOCUMENT);
    }
    assert_eq!(
        fs::read_dir(folder.path())
            .unwrap()
            .filter(|one| { one.as_ref().unwrap().file_name().to_str().unwrap().starts_with(".session") })
            .count(),
        0
    );
}

#[test]
fn editors_get_the_fixes() {
    let document = "# T\n\n## Ä @a [if:: ok]\nok → y::String\n";
    let shown = orderflow_reading(&["validate", "--format", "json", "-"], document);
    let problems: Value = serde_json::from_str(&shown.out).unwrap();
    let start = document.find("[if").unwrap();
    let expected = json!([{
        "safe": true,
        "replacements": [{"start": start, "end": start + 9, "text": "[when:: ok]"}],
    }]);
    assert_eq!(problems[0]["fixes"], expected);
    let shown = orderflow_reading(&["validate", "--format", "sarif", "-"], document);
    let log: Value = serde_json::from_str(&shown.out).unwrap();
    let expected = json!([{
        "description": {"text": "safe fix"},
        "artifactChanges": [{
            "artifactLocation": {"uri": "%3Cstdin%3E"},
            "replacements": [{
                "deletedRegion": {"startLine": 3, "startColumn": 9, "endLine": 3, "endColumn": 18},
                "insertedContent": {"text": "[when:: ok]"},
            }],
        }],
    }]);
    assert_eq!(log["runs"][0]["results"][0]["fixes"], expected);
}

/// A document with what is reported of it.
struct Read {
    source: Source,
    spec: spec::Spec,
    problems: Vec<Diagnostic>,
}

fn read(text: &str) -> Read {
    let source = Source::new("x.md", text);
    let (spec, mut problems) = spec::parse(&source);
    let (graph, more) = graph::build(&source, &spec);
    problems.extend(more);
    if let Some(graph) = graph.filter(|_| !problems.iter().any(Diagnostic::is_error)) {
        problems.extend(graph::lint(&spec, &graph, &|step| !step.pure));
    }
    problems.sort_by_key(|problem| (problem.span, problem.severity));
    Read { source, spec, problems }
}

/// What each step says, by its title and number, with the place of its text.
fn steps(read: &Read) -> BTreeMap<(String, usize), (String, std::ops::Range<usize>)> {
    let mut steps: BTreeMap<(String, usize), (String, std::ops::Range<usize>)> = BTreeMap::new();
    let spec = &read.spec;
    for step in &spec.steps {
        let said = &step.annotations;
        let ports =
            step.signature.iter().flat_map(|signature| signature.inputs.iter().chain(&signature.outputs));
        let ports: Vec<_> = ports
            .map(|port| (&port.name.value, port.optional, port.ty.as_ref().map(|ty| &ty.value)))
            .collect();
        let after: Vec<_> = said.after.iter().map(|after| &after.value).collect();
        let summary = format!(
            "{:?} {:?} {:?} {:?} {:?} {:?} {ports:?} {after:?} {} {}",
            said.agent.as_ref().map(|agent| &agent.value),
            said.channel.as_ref().map(|channel| &channel.value),
            said.mark.as_ref().map(|mark| mark.value),
            said.retry.as_ref().map(|retry| retry.value),
            said.timeout.as_ref().map(|timeout| timeout.value),
            said.compensate.as_ref().map(|by| &by.value),
            step.chains.len(),
            step.program.is_some(),
        );
        // Compensations that a document implies stand behind all others, with the places of their steps.
        let later =
            spec.steps.iter().map(|next| next.heading.start).filter(|next| *next > step.heading.start);
        let end = later.min().unwrap_or(read.source.text.len());
        let title = step.title.value.clone();
        let number = steps.keys().filter(|(other, _)| *other == title).count();
        steps.insert((title, number), (summary, step.heading.start..end));
    }
    steps
}

#[test]
fn a_fix_solves_its_problem_and_changes_no_other_step() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/diagnostics");
    let (mut tried, mut wrong) = (0, String::new());
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let text = text.split("<!-- expect\n").next().unwrap();
        let before = read(text);
        for problem in &before.problems {
            for one in &problem.fixes {
                tried += 1;
                let alone = Diagnostic { fixes: vec![one.clone()], ..problem.clone() };
                let Some(fixed) = fix::apply(text, &[alone], true, &[]) else {
                    wrong.push_str(&format!("{name}: {}: changes nothing\n", problem.message));
                    continue;
                };
                let after = read(&fixed.text);
                // Where the problem would be now.
                let earlier = one.replacements.iter().filter(|one| one.span.end <= problem.span.start);
                let (longer, shorter) = earlier.fold((0, 0), |(longer, shorter), one| {
                    (longer + one.text.len(), shorter + one.span.end - one.span.start)
                });
                let place = problem.span.start + longer - shorter;
                let same = |other: &Diagnostic| {
                    (other.code, &other.message, other.span.start) == (problem.code, &problem.message, place)
                };
                if after.problems.iter().any(same) {
                    wrong.push_str(&format!("{name}: {} stays:\n{}\n", problem.message, fixed.text));
                }
                let (old, new) = (steps(&before), steps(&after));
                for (title, (said, place)) in &old {
                    let touched = one
                        .replacements
                        .iter()
                        .any(|one| one.span.start <= place.end && place.start <= one.span.end);
                    if !touched && new.get(title).is_none_or(|(now, _)| now != said) {
                        wrong.push_str(&format!("{name}: {}: changes {title:?}\n", problem.message));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(tried > 40, "only {tried} fixes were tried");
}

#[test]
fn fixed_documents_have_nothing_to_fix() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/diagnostics");
    for entry in fs::read_dir(folder).unwrap() {
        let Ok(text) = fs::read_to_string(entry.unwrap().path()) else { continue };
        let mut text = text.split("<!-- expect\n").next().unwrap().to_owned();
        for likely in [false, true] {
            let mut rounds = 0;
            while let Some(fixed) = fix::apply(&text, &read(&text).problems, likely, &[]) {
                text = fixed.text;
                rounds += 1;
                assert!(rounds < 20, "there is always more to fix:\n{text}");
            }
        }
    }
}

/// The words of a text that are more than signs and joints.
fn names(text: &str) -> Vec<String> {
    const JOINTS: [&str; 24] = [
        "or", "and", "if", "when", "unless", "with", "until", "timeout", "for", "in", "by", "from", "times",
        "days", "max", "at", "most", "up", "to", "within", "where", "repeat", "wait", "pause",
    ];
    let words = text.split(|c: char| !c.is_alphanumeric() && !"._@".contains(c));
    let words = words.map(|word| word.trim_matches('.').trim_start_matches('@').to_owned());
    words.filter(|word| !word.is_empty() && !JOINTS.contains(&word.as_str())).collect()
}

/// Whatever is written for an event, a gate or a loop: what its fixes write is read as it is meant. No new problem comes,
/// and nothing of what was written is lost.
#[test]
fn fixes_of_events_gates_and_loops_keep_what_is_said() {
    let mut values: Vec<(&str, String)> = Vec::new();
    let all = |heads: &[&str], tails: &[&str]| -> Vec<String> {
        heads.iter().flat_map(|head| tails.iter().map(move |tail| format!("{head}{tail}"))).collect()
    };
    let types = ["order.paid", "order paid", "order/paid", "`order.paid`", "paid"];
    let joined = [
        "",
        " or order.lost",
        " and order.lost",
        ", order.lost",
        " order.lost",
        " if big",
        " when big",
        " unless big",
        " with big",
        ", within 3d",
        " within 3 days",
        " timeout 3d",
        " for 3d",
        " until 3d",
        " for x",
        " where big, within 1d",
        " in 3 days or more",
    ];
    for value in all(&types, &joined) {
        for field in ["emit", "await", "publish", "wait-for", "event", "wait", "on-event", "send", "after"] {
            values.push((field, value.clone()));
        }
    }
    let actors = ["", "by @ops", "by ops", "@ops", "ops", "by ops and qa", "from @ops", "by @ops, @qa"];
    let times = ["", " within 2d", " within 2 days", " 2d", ", 2d", " timeout 2d", " if big", " until soon"];
    for value in all(&actors, &times) {
        for field in ["gate", "approval", "> [!gate", "> [!approve", "> [!review", "> [gate", "> [!GATE:"] {
            values.push((field, value.clone()));
        }
    }
    let ends = [
        "3 until done",
        "3 times until done",
        "until done, max 3",
        "until done or 3 times",
        "3 until done is big",
    ];
    for value in all(&ends, &["", " every 5s", " every 5 seconds", " with 5s pause", ", wait 5s"]) {
        for field in ["repeat", "loop", "until", "retry", "every", "(repeat", "[repeat"] {
            values.push((field, value.clone()));
        }
    }
    let (mut fixed_ones, mut wrong) = (0, String::new());
    // Some of the many combinations.
    for (field, value) in values.iter().step_by(3) {
        let (head, body) = match field.strip_prefix("> ") {
            Some(mark) => (String::new(), format!("\n> {mark} {value}] May it go?\n")),
            None if field.starts_with(['(', '[']) => {
                (format!(" {field} {value}{}", if field.starts_with('(') { ')' } else { ']' }), String::new())
            }
            None => (format!(" [{field}:: {value}]"), String::new()),
        };
        let before = format!(
            "# T\n\n## Ask @a\nx::String → big::Boolean\n\n## Do It @b{head}\nbig, x → done::Boolean\n{body}"
        );
        let known: Vec<String> = read(&before).problems.into_iter().map(|one| one.message).collect();
        for likely in [false, true] {
            let mut text = before.clone();
            let mut rounds = 0;
            while let Some(fixed) = fix::apply(&text, &read(&text).problems, likely, &[]) {
                (text, rounds) = (fixed.text, rounds + 1);
                assert!(rounds < 10, "{text}");
            }
            if rounds == 0 {
                continue;
            }
            fixed_ones += 1;
            let line = |text: &str| text.lines().skip(5).collect::<Vec<_>>().join(" ");
            let (was, is) = (line(&before), line(&text));
            let new = read(&text).problems.into_iter().map(|one| one.message);
            let new: Vec<String> = new.filter(|message| !known.contains(message)).collect();
            let kept = names(&is);
            let lost: Vec<String> = names(value)
                .into_iter()
                .filter(|name| {
                    !kept.iter().any(|kept| {
                        kept == name || kept.split('.').any(|part| part == name) || same_time(name, kept)
                    })
                })
                .collect();
            if !new.is_empty() || !lost.is_empty() {
                wrong.push_str(&format!("{was}\n  becomes {is}\n  new: {new:?}, lost: {lost:?}\n"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(fixed_ones > 100, "only {fixed_ones} were fixed");
}

/// `3` of `3 days` is in `3d`, and `order/paid` in `order.paid`.
fn same_time(name: &str, kept: &str) -> bool {
    let number = |text: &str| text.trim_end_matches(|c: char| c.is_ascii_alphabetic()).to_owned();
    name == "seconds" || !number(name).is_empty() && number(name) == number(kept)
}
