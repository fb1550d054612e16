//! SARIF 2.1.0, the exchange format of static analysis.

use super::{Checked, message_of, path};
use crate::diag::{self, Diagnostic, Severity, Source, Span};
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeSet;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Found<'a> {
    rule_id: &'a str,
    rule_index: usize,
    level: &'static str,
    message: Message,
    locations: Vec<Location>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    related_locations: Vec<Location>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fixes: Vec<Fix>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Fix {
    description: Message,
    artifact_changes: [Change; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Change {
    artifact_location: Artifact,
    replacements: Vec<Replacement>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Replacement {
    deleted_region: Region,
    inserted_content: Message,
}

#[derive(Serialize)]
struct Message {
    text: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    physical_location: Physical,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Message>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Physical {
    artifact_location: Artifact,
    region: Region,
}

#[derive(Serialize)]
struct Artifact {
    uri: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: usize,
    start_column: usize,
    end_line: usize,
    end_column: usize,
}

/// All problems as the log of one run.
///
/// # Errors
/// Never in practice: texts and numbers have a JSON form.
pub fn sarif(checked: &[Checked]) -> serde_json::Result<String> {
    let all = || checked.iter().flat_map(|checked| checked.problems);
    let mut rules: Vec<&str> = all().map(|problem| problem.code).collect();
    rules.sort_unstable();
    rules.dedup();
    let results: Vec<Found> = checked.iter().flat_map(|checked| results(checked, &rules)).collect();
    let rules: Vec<_> = rules.iter().map(|rule| json!({ "id": rule })).collect();
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {
                "driver": { "name": "orderflow", "version": env!("CARGO_PKG_VERSION"), "rules": rules }
            },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    Ok(serde_json::to_string_pretty(&log)? + "\n")
}

fn results<'a>(checked: &Checked<'a>, rules: &[&str]) -> Vec<Found<'a>> {
    let source = checked.source;
    let results = checked.problems.iter().map(|problem| Found {
        rule_id: problem.code,
        rule_index: rules.partition_point(|rule| *rule < problem.code),
        level: match problem.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        },
        message: Message { text: message_of(problem) },
        locations: vec![location(source, problem.span, None)],
        related_locations: related(source, problem),
        fixes: problem.fixes.iter().map(|fix| change(source, fix)).collect(),
    });
    results.collect()
}

/// The other places of a problem, each once.
fn related(source: &Source, problem: &Diagnostic) -> Vec<Location> {
    let mut places = BTreeSet::new();
    let related = problem.related.iter();
    let related = related.filter(|one| places.insert((one.span.start, one.span.end, &one.label)));
    related.map(|one| location(source, one.span, Some(one.label.clone()))).collect()
}

fn change(source: &Source, fix: &diag::Fix) -> Fix {
    let replacements = fix.replacements.iter().map(|one| Replacement {
        deleted_region: region(source, one.span),
        inserted_content: Message { text: one.text.clone() },
    });
    let description = if fix.safe { "safe fix" } else { "likely fix" };
    Fix {
        description: Message { text: description.to_owned() },
        artifact_changes: [Change {
            artifact_location: Artifact { uri: uri(path(source)) },
            replacements: replacements.collect(),
        }],
    }
}

fn region(source: &Source, span: Span) -> Region {
    let (start, end) = (source.position(span.start), source.position(span.end));
    Region { start_line: start.line, start_column: start.column, end_line: end.line, end_column: end.column }
}

fn location(source: &Source, span: Span, message: Option<String>) -> Location {
    Location {
        physical_location: Physical {
            artifact_location: Artifact { uri: uri(path(source)) },
            region: region(source, span),
        },
        message: message.map(|text| Message { text }),
    }
}

/// A path as a URI reference: special characters are escaped.
fn uri(path: &str) -> String {
    let mut uri = String::new();
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(char::from(byte));
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}
