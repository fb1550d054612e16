//! Every format is well-formed for any text.

use proptest::strategy::{Strategy, ValueTree};
use serde_json::Value;
use std::fs;

/// A text of any characters, those more often that some form cannot hold.
fn any_text() -> impl Strategy<Value = String> {
    let odd = "\u{0}\u{1}\u{8}\t\u{b}\u{c}\r\u{1b}\u{7f}\u{80}\u{85}\u{9f}\u{ad}\u{fdd0}\u{feff}\u{fffe}\u{ffff}\u{1fffe}\u{10ffff}\u{2028}\u{202e}]]><&\"'%:,\\";
    let odd: Vec<char> = odd.chars().collect();
    proptest::collection::vec(
        proptest::prop_oneof![3 => proptest::sample::select(odd), 1 => proptest::char::any()],
        1..12,
    )
    .prop_map(|chars| chars.into_iter().collect())
}

/// A form that nobody can parse is worse than none: all forms are parsed by others' parsers.
#[test]
fn every_form_is_well_formed_for_any_text() {
    const PARSE: &str = "\
import json, sys, xml.etree.ElementTree as tree
text = sys.stdin.buffer.read().decode('utf-8')
if sys.argv[1] == 'junit':
    root = tree.fromstring(text.encode('utf-8'))
    print(len(root.findall('testsuite')))
else:
    found = json.loads(text)
    json.dumps(found, ensure_ascii=False).encode('utf-8')
    print(len(found['runs'] if 'runs' in found else found))
";
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for number in 0..48 {
        let mut text = || any_text().new_tree(&mut runner).unwrap().current();
        let (title, agent, word, name) = (text(), text(), text(), text().replace(['/', '\0'], ""));
        let document = format!(
            "---\n{word}: {word}\n---\n# {title}\n\n## {title} @{agent} [timeout:: {word}]\n{word}::{word} -> {agent}\n\n> [!expect] {word} < 1\n\n\
             If {word} -> {title}\n\n```session-toon\nexecution[1]{{phase,status}}:\n {word},{agent}\n```\n\n## {title} [after:: {word}]\n"
        );
        let file = folder.path().join(format!("{number}{name}.md"));
        fs::write(&file, document).unwrap();
        files.push(file);
    }
    for form in ["json", "gitlab", "sarif", "junit", "github"] {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_orderflow"))
            .args(["validate", "--format", form])
            .args(&files)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(3), "{form}: {}", String::from_utf8_lossy(&output.stderr));
        let told = String::from_utf8(output.stdout).unwrap();
        if form == "github" {
            let sound = |line: &&str| {
                let places = ["::error file=", "::warning file=", "::notice file="];
                places.iter().any(|place| line.starts_with(place))
                    && !line.contains(|c: char| c.is_control() && c != '\t')
            };
            let wrong: Vec<&str> = told.split('\n').filter(|line| !line.is_empty() && !sound(line)).collect();
            assert!(wrong.is_empty() && told.lines().count() > files.len(), "{wrong:?}");
            continue;
        }
        let mut parser = std::process::Command::new("python3")
            .args(["-c", PARSE, form])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut parser.stdin.take().unwrap(), told.as_bytes()).unwrap();
        let parsed = parser.wait_with_output().unwrap();
        assert!(parsed.status.success(), "{form}: {}", String::from_utf8_lossy(&parsed.stderr));
        let count: usize = String::from_utf8(parsed.stdout).unwrap().trim().parse().unwrap();
        assert!(count >= if form == "sarif" { 1 } else { files.len() }, "{form}: {count}");
    }
}

/// Figures of sessions with any texts: as CSV all rows have the columns of the first, as JSON and TOON they say the same.
#[test]
fn figures_are_well_formed_for_any_text() {
    const PARSE: &str = "\
import csv, sys
rows = list(csv.reader(sys.stdin, strict=True))
print(len(rows), len({len(row) for row in rows}), any(cell[:1] in '=+-@' for row in rows[1:] for cell in row if cell))
";
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let place = crate::place::Place::new("");
    for _ in 0..24 {
        let mut text = || any_text().new_tree(&mut runner).unwrap().current();
        let columns = ["phase", "agent", "duration_ms", "status", "usd", &text()].map(str::to_owned);
        let mut session = String::new();
        orderflow::toon::write::header(&mut session, "execution", 2, ',', columns.iter().map(String::as_str));
        for usd in ["12345678901234567890.10", "0.20"] {
            let cells = [
                text().into(),
                text().into(),
                5.into(),
                Value::from("success"),
                usd.parse().unwrap(),
                1.into(),
            ];
            session.push_str("\n ");
            for (at, cell) in cells.iter().enumerate() {
                session.push_str(if at > 0 { "," } else { "" });
                orderflow::toon::write::cell(&mut session, cell, ',');
            }
        }
        place.write("s.toon", &(session.clone() + "\n"));
        let figures = |form: &str| {
            let told = place.orderflow(&format!("stats s.toon --by agent --format {form}"));
            assert_eq!(told.exit, Some(0), "{form}: {} {session}", told.err);
            told.out
        };
        let mut parser = std::process::Command::new("python3")
            .args(["-c", PARSE])
            .env("PYTHONUTF8", "1")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut parser.stdin.take().unwrap(), figures("csv").as_bytes()).unwrap();
        let parsed = String::from_utf8(parser.wait_with_output().unwrap().stdout).unwrap();
        assert!(parsed.starts_with(['2', '3']) && parsed.ends_with(" 1 False\n"), "{parsed} {session}");
        let json: Value = serde_json::from_str(&figures("json")).unwrap();
        let toon = figures("toon");
        let read: Value = toon_format::decode_default(&toon).unwrap();
        assert_eq!(read["groups"].as_array().map(Vec::len), json["groups"].as_array().map(Vec::len));
        assert!(toon.contains("12345678901234567890.1"), "{toon}");
    }
}
