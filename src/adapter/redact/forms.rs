//! The forms in which a secret may stand in a text: as it is, as in JSON, each line of a long one.

use super::{SHORTEST, TELLING};

/// All forms that are long enough, each once.
pub fn of(secret: &str) -> Vec<String> {
    let mut forms = written(secret);
    // A key of many lines is logged line by line. Its first and last line are no secret.
    let lines =
        secret.lines().map(str::trim).filter(|line| line.len() >= TELLING && !line.starts_with("-----"));
    if secret.trim_end().contains('\n') {
        forms.extend(lines.flat_map(written));
    }
    forms.retain(|form| form.len() >= SHORTEST);
    forms.sort();
    forms.dedup();
    forms
}

/// As it is, and escaped as JSON's writers and our own messages do.
fn written(text: &str) -> Vec<String> {
    let json = serde_json::Value::from(text).to_string();
    let json = inner(&json);
    let slashes = json.replace('/', "\\/");
    let debug = format!("{text:?}");
    vec![text.to_owned(), ascii(json), ascii(&slashes), json.to_owned(), slashes, inner(&debug).to_owned()]
}

/// Without the quotes around it.
fn inner(quoted: &str) -> &str {
    quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(quoted)
}

/// JSON with everything beyond ASCII escaped, as Python and PHP write it.
fn ascii(json: &str) -> String {
    let mut out = String::new();
    for c in json.chars() {
        match c.is_ascii() {
            true => out.push(c),
            false => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out += &format!("\\u{unit:04x}")),
        }
    }
    out
}
