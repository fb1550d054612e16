//! Which name was most likely meant.

/// Names longer than this, in bytes, are not compared: it would take long, and a suggestion would not help.
const COMPARED: usize = 100;

/// The nearest of `known` to what was written, when it is near enough to be meant.
pub fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if written.len() > COMPARED {
        return None;
    }
    let written = written.to_lowercase();
    let near = |name: &str| strsim::jaro_winkler(&written, &name.to_lowercase());
    known
        .into_iter()
        .filter(|name| name.len() <= COMPARED)
        .map(|name| (near(name), name))
        .filter(|(score, _)| *score >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// What other languages call the built-in types.
pub const LIKE_BUILT_IN: [(&str, &str); 19] = [
    ("str", "String"),
    ("bool", "Boolean"),
    ("int", "Integer"),
    ("int32", "Integer"),
    ("int64", "Integer"),
    ("i32", "Integer"),
    ("i64", "Integer"),
    ("long", "Integer"),
    ("num", "Number"),
    ("float", "Number"),
    ("double", "Number"),
    ("f64", "Number"),
    ("string", "String"),
    ("secret", "Secret"),
    ("boolean", "Boolean"),
    ("integer", "Integer"),
    ("number", "Number"),
    ("json", "JSON"),
    ("file", "File"),
];
