//! `orderflow schema`: the forms of the settings and of the front matter, for editors and other tools.

use super::exit::Exit;
use super::help::with_exits;
use super::settings;
use super::terminal::Terminal;
use crate::lsp;
use crate::value::{Object, Value};
use serde_json::json;

/// Print the JSON Schema of the settings or the front matter
#[derive(clap::Args)]
#[command(after_help = with_exits("\
Examples:
  orderflow schema settings > orderflow.schema.json
  orderflow schema front-matter", &[]))]
pub struct Args {
    /// The form to print
    #[arg(value_enum)]
    form: Form,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Form {
    /// orderflow.toml
    Settings,
    /// The YAML at the top of a document
    FrontMatter,
}

pub fn run(args: Args, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let schema = match args.form {
        Form::Settings => settings::schema(),
        Form::FrontMatter => front_matter(),
    };
    terminal.data(&(serde_json::to_string_pretty(&schema)? + "\n"));
    terminal.finish()?;
    Ok(Exit::Ok)
}

/// The schema of the front matter, made from the keys that the reader knows. Keys of one's own begin with `x-`.
fn front_matter() -> Value {
    let property = |word: &lsp::Word| {
        let mut schema = of_key(word.name);
        if let Value::Object(schema) = &mut schema {
            schema.insert("description".to_owned(), word.does.into());
        }
        (word.name.to_owned(), schema)
    };
    let properties: Object = lsp::KEYS.iter().map(property).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Front matter of a workflow",
        "type": "object",
        "properties": properties,
        "patternProperties": {"^x-": true},
        "additionalProperties": false,
    })
}

fn of_key(key: &str) -> Value {
    // YAML reads a title such as 2026 as a number.
    let text = json!({"type": ["string", "number", "boolean"], "minLength": 1});
    let names = json!({"type": "array", "items": {"type": "string", "minLength": 1}});
    match key {
        "title" | "description" | "agent" | "items" | "key" => text,
        "inputs" => json!({"anyOf": [
            names,
            {"type": "object", "additionalProperties": {"type": ["string", "null"], "pattern": "^\\p{L}"}},
        ]}),
        "jobs" => json!({"type": "integer", "minimum": 1}),
        "tolerate" => json!({"anyOf": [
            {"type": "integer", "minimum": 0},
            {"type": "string", "pattern": "^[0-9.]+ *%?$"},
        ]}),
        "on-item-error" => json!({"enum": ["continue", "drain", "stop"]}),
        "deadline" => json!({"type": "string", "pattern": "^([0-9]+(ms|s|m|h|d))+$"}),
        "budget" | "run-budget" => json!({"type": "string", "pattern": "(\\$ *[0-9]|[0-9] *tokens)"}),
        "env" | "secrets" => {
            json!({"type": "array", "items": {"type": "string", "minLength": 1, "pattern": "^[^=]+$"}})
        }
        _ => json!(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::{Diagnostic, Source};
    use crate::spec;

    fn accepts(front: &str) -> bool {
        let value: Value = serde_saphyr::from_str(front).unwrap();
        jsonschema::validator_for(&front_matter()).unwrap().is_valid(&value)
    }

    fn reads(front: &str) -> bool {
        let source = Source::new("x.md", format!("---\n{front}\n---\n## A @a\nx → y\n"));
        !spec::parse(&source).1.iter().any(Diagnostic::is_error)
    }

    #[test]
    fn the_schema_and_the_reader_agree() {
        for front in [
            "title: Shop",
            "title: 2026",
            "inputs: [x]",
            "inputs: {x: String, y: 'T[]?', z:}",
            "jobs: 8",
            "tolerate: 3",
            "tolerate: 2%",
            "on-item-error: drain",
            "deadline: 10m",
            "budget: $0.50",
            "run-budget: 20000 tokens",
            "env: [A]",
            "secrets: [B]",
            "x-own: {a: 1}",
            "description: d",
            "agent: a",
            "items: x.jsonl",
            "key: k",
        ] {
            assert!(reads(front), "the reader refuses {front}");
            assert!(accepts(front), "the schema refuses {front}");
        }
        for front in [
            "titel: x",
            "title: [x]",
            "inputs: x",
            "inputs: {x: '1'}",
            "jobs: 0",
            "jobs: many",
            "tolerate: some",
            "on-item-error: ignore",
            "deadline: soon",
            "deadline: 10x",
            "budget: 5",
            "env: A",
            "env: [A=1]",
            "secrets: {a: 1}",
        ] {
            assert!(!reads(front), "the reader accepts {front}");
            assert!(!accepts(front), "the schema accepts {front}");
        }
    }
}
