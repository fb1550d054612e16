//! What the language has and this program does not do yet. All of it is told to the author from here, so
//! that nothing in a document is passed over in silence.

use super::markdown::{Block, Holder, Kind, lines};
use crate::diag::{Diagnostic, catalogue as problem};

/// Fields, and what each would do.
const FIELDS: [(&str, &str); 4] = [
    ("repeat", "repeating a step"),
    ("emit", "publishing an event"),
    ("await", "waiting for an event"),
    ("budget", "a limit on tokens or money"),
];

/// The names of the fields that are known and not read.
pub(super) fn fields() -> impl Iterator<Item = &'static str> {
    FIELDS.into_iter().map(|(key, _)| key)
}

/// What a field would do.
pub(super) fn field(key: &str) -> Option<&'static str> {
    FIELDS.into_iter().find(|(known, _)| *known == key).map(|(_, what)| what)
}

/// Whether a field may stand on a group.
pub(super) fn fits_group(key: &str) -> bool {
    key == "budget"
}

/// Quotes that mean something: gates.
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
