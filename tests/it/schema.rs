//! `orderflow schema`: the files in `docs/` are what it prints, and the settings of the repository have that form.

use crate::docs::fences;
use crate::program::orderflow;
use serde_json::Value;
use std::path::Path;

const FORMS: [(&str, &str); 2] =
    [("settings", "docs/orderflow.schema.json"), ("front-matter", "docs/front-matter.schema.json")];

#[test]
fn schema_files_are_what_the_command_prints() {
    for (form, file) in FORMS {
        let printed = orderflow(&["schema", form]);
        assert_eq!((printed.exit, printed.err.as_str()), (Some(0), ""));
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &printed.out).unwrap();
        }
        let stored = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(stored == printed.out, "{file} is not what is printed: UPDATE=1 writes it\n{}", printed.out);
    }
}

/// All settings and front matter of `docs/`, the README and `workflows/`.
#[test]
fn schema_files_accept_the_examples() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let [settings, front] = FORMS.map(|(form, _)| {
        let schema: Value = serde_json::from_str(&orderflow(&["schema", form]).out).unwrap();
        jsonschema::validator_for(&schema).unwrap()
    });
    let (mut files, mut fronts) = (0, 0);
    let mut look = |name: &str, text: &str, is_toml: bool| {
        if is_toml {
            let table: toml::Table = text.parse().unwrap_or_else(|error| panic!("{name}: {error}"));
            let value = serde_json::to_value(table).unwrap();
            let wrong: Vec<String> = settings.iter_errors(&value).map(|error| error.to_string()).collect();
            assert!(wrong.is_empty(), "{name}: {wrong:?}\n{text}");
            files += 1;
        } else if let Some((yaml, _)) = text.strip_prefix("---\n").and_then(|rest| rest.split_once("\n---\n"))
        {
            let value: Value = serde_saphyr::from_str(yaml).unwrap_or_else(|error| panic!("{name}: {error}"));
            let wrong: Vec<String> = front.iter_errors(&value).map(|error| error.to_string()).collect();
            assert!(wrong.is_empty(), "{name}: {wrong:?}\n{yaml}");
            fronts += 1;
        }
    };
    for folder in ["docs", "workflows", "."] {
        for file in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = file.unwrap().path();
            let name = path.display().to_string();
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            match path.extension().and_then(|end| end.to_str()) {
                Some("toml") if path.ends_with("orderflow.toml") => look(&name, &text, true),
                Some("md") if folder == "workflows" => look(&name, &text, false),
                Some("md") => {
                    for fence in fences(&text) {
                        let is_settings =
                            fence.name.as_deref().is_some_and(|name| name.ends_with("orderflow.toml"));
                        if is_settings || fence.language == "markdown" {
                            look(&name, &fence.content, is_settings);
                        }
                    }
                }
                _ => {}
            }
        }
    }
    assert!(files > 5 && fronts > 8, "{files} files, {fronts} front matters");
}
