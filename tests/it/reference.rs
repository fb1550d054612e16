//! Session files read by the TOON project's own tool, `@toon-format/cli`, where it is installed: in the folder
//! `target/toon` as `.ci/run` does it, or so that `npx` finds it.

use crate::parts::found;
use crate::place::Place;
use serde_json::{Map, Value, json};
use std::path::Path;
use std::process::{Command, Stdio};

/// What an agent reports: whatever could be taken for something else in a table.
const HARD: &str = r##"{
    "made": "a, \"b\": {c}",
    "comma": "a,b", "quote": "say \"hi\"", "colon": "10:30", "backslash": "C:\\new\\table", "newline": "a\nb\r\n\tc",
    "control": "\u0001\u007f\u2028", "empty": "", "space": " x ", "hash": "# no remark", "dash": "- x", "list": "[3]: 1,2,3",
    "header": "t[1]{a}:", "null_text": "null", "true_text": "true", "number_text": "145.50", "zeros": "007", "exponent_text": "1e5",
    "unicode": "é 漢字 \u202e\ud83d\ude80", "nothing": null, "yes": true, "no": false,
    "money": 145.50, "huge": 1e400, "tiny": 1e-400, "minus_zero": -0, "zero": 0.0, "long": 123456789012345678901234567890,
    "with space": 1, "with,comma": 2, "with:colon": 3, "with \"quote\"": 4, "é": 5, "": 6, "-": 7, "a.b": 8, "9": 9
}"##;

/// The tool as a command; none where it is not installed.
fn tool() -> Option<Command> {
    let own = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("toon").join("node_modules/.bin/toon");
    if own.is_file() {
        return Some(Command::new(own));
    }
    let npx = || {
        let mut npx = Command::new("npx");
        npx.args(["--no-install", "@toon-format/cli"]);
        npx
    };
    let found = npx().arg("--version").stdin(Stdio::null()).output().is_ok_and(|told| told.status.success());
    found.then(npx)
}

/// A file as the tool reads it; none where there is no tool.
fn decoded(path: &Path) -> Option<Value> {
    let mut tool = found("toon", "`npm install --prefix target/toon @toon-format/cli`", tool())?;
    let told = tool.arg("--decode").arg(path).output().unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    Some(serde_json::from_slice(&told.stdout).unwrap())
}

/// A value as a reader with floats keeps it; what no float holds stays text.
fn kept(value: &Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64().filter(|float| float.is_finite()) {
            Some(float) => json!(float + 0.0),
            None => json!(number.to_string()),
        },
        other => other.clone(),
    }
}

#[test]
fn the_reference_tool_reads_what_a_run_recorded() {
    let place = Place::new(
        "# T\n\n## Make It @maker\nname::String -> made::String\n```sh run\ncat hard.json\n```\n\n## Break It ?\nmade -> broken\n```sh run\necho 'no, \"never\": {x}' >&2; exit 65\n```\n",
    );
    place.write("hard.json", HARD);
    place.write(
        "items.jsonl",
        "{\"id\":\"null\",\"name\":\"a,b\"}\n{\"id\":\"x: \\\"y\\\"\",\"name\":\"\"}\n",
    );
    let told = place.run("--items items.jsonl --quiet");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    let Some(session) = decoded(&place.path("session.toon")) else { return };
    assert_eq!((&session["orderflow"], &session["complete"]), (&json!(1), &json!(true)));
    assert_eq!(session["summary"]["items_by_status"], json!({"succeeded": 2}));

    let rows = session["execution"].as_array().unwrap();
    let told: Vec<_> = rows.iter().map(|row| (&row["phase"], &row["item"], &row["status"])).collect();
    let (made, broke) = (json!("MakeIt"), json!("BreakIt"));
    let (one, other) = (json!("null"), json!("x: \"y\""));
    let (success, failed) = (json!("success"), json!("failed"));
    assert_eq!(
        told,
        [
            (&made, &one, &success),
            (&broke, &one, &failed),
            (&made, &other, &success),
            (&broke, &other, &failed)
        ]
    );
    assert!(rows[1]["error"].as_str().unwrap().contains("exited with 65"), "{}", rows[1]);
    let mut hard: Map<String, Value> = serde_json::from_str(HARD).unwrap();
    assert_eq!(rows[0]["output"], hard.remove("made").unwrap());
    for (name, value) in &hard {
        let read = rows[0].get(name).unwrap_or_else(|| panic!("no {name:?} in {}", rows[0]));
        assert_eq!(kept(read), kept(value), "{name}");
        assert_eq!(rows[1][name], Value::Null, "{name}");
    }
}

#[test]
fn the_reference_tool_reads_figures() {
    let place = Place::new("# T\n");
    let original = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/order-processing-original.md");
    let told = place.orderflow(&format!("stats --format toon {original}"));
    assert_eq!(told.exit, Some(0), "{}", told.err);
    place.write("figures.toon", &told.out);
    let Some(figures) = decoded(&place.path("figures.toon")) else { return };
    let json = place.orderflow(&format!("stats --format json {original}"));
    let json: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(figures["run"]["tokens_used"], json["run"]["tokens_used"], "{figures}");
}
