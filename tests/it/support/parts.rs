//! Parts of tests that may be missing, such as programs from registries. Knows nothing of the parts themselves.

/// What was found of a part; without it a notice says what the test needs.
///
/// # Panics
/// If it is missing though `ORDERFLOW_PARTS` names it: `.ci/run` names there what it has found.
pub fn found<T>(part: &str, needs: &str, found: Option<T>) -> Option<T> {
    if found.is_none() {
        let named = std::env::var("ORDERFLOW_PARTS").unwrap_or_default();
        assert!(!is_named(&named, part), "ORDERFLOW_PARTS names {part}, but it is not there: {needs}");
        eprintln!("skipped: this test needs {part}: {needs}");
    }
    found
}

fn is_named(parts: &str, part: &str) -> bool {
    parts.split_whitespace().any(|named| named == part)
}

#[test]
fn a_test_without_a_part_that_was_named_fails() {
    assert!(is_named("toon mcp  net", "mcp"));
    assert!(!is_named("toon mcps", "mcp"));
    assert!(!is_named("", "mcp"));
    let exe = std::env::current_exe().unwrap();
    let with = |parts: Option<&str>| {
        let mut test = std::process::Command::new(&exe);
        test.args(["--exact", "support::parts::a_part_that_is_nowhere", "--ignored", "--nocapture"]);
        match parts {
            Some(parts) => test.env("ORDERFLOW_PARTS", parts),
            None => test.env_remove("ORDERFLOW_PARTS"),
        };
        let output = test.output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (passes, said) = with(None);
    assert!(passes && said.contains("skipped: this test needs nowhere: a map"), "{said}");
    assert!(with(Some("mcp")).0);
    let (passes, said) = with(Some("mcp nowhere"));
    assert!(!passes && said.contains("ORDERFLOW_PARTS names nowhere, but it is not there: a map"), "{said}");
}

#[test]
#[ignore = "another test runs it"]
fn a_part_that_is_nowhere() {
    let _: Option<()> = found("nowhere", "a map", None);
}

/// Every part that tests name is one that `.ci/run` looks for.
#[test]
fn all_parts_are_looked_for() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it");
    let script = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/.ci/run")).unwrap();
    let mut named = std::collections::BTreeSet::new();
    for folder in [folder.to_owned(), format!("{folder}/support")] {
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            if path.ends_with("parts.rs") || path.extension().is_none_or(|kind| kind != "rs") {
                continue;
            }
            let text = std::fs::read_to_string(path).unwrap();
            let parts = text.split("found(").skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"'));
            named.extend(parts.map(|rest| rest.split('"').next().unwrap().to_owned()));
        }
    }
    assert!(named.len() >= 6, "{named:?}");
    for part in named {
        assert!(script.contains(&format!("\nlook {part} ")), ".ci/run does not look for {part}");
    }
}
