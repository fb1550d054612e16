//! The code quality report of GitLab: a list of issues, each with a fingerprint that does not change when its line
//! moves.

use super::{Checked, message_of, path};
use crate::diag::Severity;
use serde::Serialize;
use std::collections::HashMap;

#[derive(Serialize)]
struct Issue<'a> {
    description: String,
    check_name: &'a str,
    fingerprint: String,
    severity: &'static str,
    location: Location<'a>,
}

#[derive(Serialize)]
struct Location<'a> {
    path: &'a str,
    lines: Lines,
}

#[derive(Serialize)]
struct Lines {
    begin: usize,
    end: usize,
}

/// All problems as one JSON list.
///
/// # Errors
/// Never in practice: texts and numbers have a JSON form.
pub fn gitlab(checked: &[Checked]) -> serde_json::Result<String> {
    // Equal problems of one file are numbered.
    let mut seen: HashMap<blake3::Hash, u64> = HashMap::new();
    let mut issues = Vec::new();
    for Checked { source, problems, .. } in checked {
        for problem in *problems {
            let mut hasher = blake3::Hasher::new();
            for part in [path(source), problem.code, &problem.message] {
                hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
            }
            let nth = seen.entry(hasher.finalize()).or_default();
            let fingerprint = hasher.update(&nth.to_le_bytes()).finalize().to_hex()[..32].to_owned();
            *nth += 1;
            issues.push(Issue {
                description: message_of(problem),
                check_name: problem.code,
                fingerprint,
                severity: match problem.severity {
                    Severity::Error => "major",
                    Severity::Warning => "minor",
                    Severity::Note => "info",
                },
                location: Location {
                    path: path(source),
                    lines: Lines {
                        begin: source.position(problem.span.start).line,
                        end: source.position(problem.span.end).line,
                    },
                },
            });
        }
    }
    Ok(serde_json::to_string_pretty(&issues)? + "\n")
}
