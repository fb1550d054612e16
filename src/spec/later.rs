//! Features of the language that this program does not support yet. All are reported from here, so that no part of a
//! document is silently ignored.

/// Fields, and their purpose.
const FIELDS: [(&str, &str); 1] = [("repeat", "repeating a step")];

/// The names of the fields that are known but not supported.
pub(super) fn fields() -> impl Iterator<Item = &'static str> {
    FIELDS.into_iter().map(|(key, _)| key)
}

/// The purpose of a field.
pub(super) fn field(key: &str) -> Option<&'static str> {
    FIELDS.into_iter().find(|(known, _)| *known == key).map(|(_, what)| what)
}
