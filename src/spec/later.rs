//! Features of the language that this program does not support yet. All are reported from here, so that no part of a
//! document is silently ignored.

use super::markdown::{Block, Holder, Kind, lines};
use crate::diag::{Diagnostic, catalogue as problem};

/// Fields, and their purpose.
const FIELDS: [(&str, &str); 3] =
    [("repeat", "repeating a step"), ("emit", "publishing an event"), ("await", "waiting for an event")];

/// The names of the fields that are known but not supported.
pub(super) fn fields() -> impl Iterator<Item = &'static str> {
    FIELDS.into_iter().map(|(key, _)| key)
}

/// The purpose of a field.
pub(super) fn field(key: &str) -> Option<&'static str> {
    FIELDS.into_iter().find(|(known, _)| *known == key).map(|(_, what)| what)
}

/// Quotes with a meaning: gates.
pub(super) fn callouts(text: &str, block: &Block, problems: &mut Vec<Diagnostic>) {
    let Kind::Container(container) = &block.kind else { return };
    if container.holder != Holder::Quote {
        return;
    }
    for line in lines(text, block.span) {
        let bare = text[line.start..line.end].trim_start_matches(['>', ' ', '\t']);
        let begins =
            |word: &str| bare.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
        if begins("[!gate") {
            problems.push(problem::not_supported_yet(line, "a gate", "waiting for a person"));
        }
    }
}
