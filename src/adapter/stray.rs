//! Finds an error in an answer that is not JSON as a whole: after a line of log, with a comma too many, in the
//! notation of another language. Knows nothing of the meaning of errors.

/// How much of an answer's end is searched for an error that is not written as JSON, in bytes.
const END: usize = 4 * 1024;

/// The place of an error in a text: `{"error":` begins a line, or the text begins or ends with an object that has a
/// member `error`, in any notation. `None` if that is null or false.
pub fn error_in(text: &str) -> Option<usize> {
    let begin = text.len() - text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}').len();
    let begins = text.as_bytes().get(begin) == Some(&b'{') && object(&text.as_bytes()[begin..]).error;
    if begins { Some(begin) } else { quoted(text.as_bytes()).or_else(|| ending(text.trim_end().as_bytes())) }
}

/// Where `{"error":` begins a line.
fn quoted(text: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'{', text).find(|at| {
        let inner = text[at + 1..].trim_ascii_start();
        begins_line(text, *at)
            && matches!(inner.first(), Some(b'"' | b'\''))
            && matches!(key(inner), Some((b"error", rest)) if is_error(rest))
    })
}

/// Whether only white space precedes it on its line.
fn begins_line(text: &[u8], at: usize) -> bool {
    let before = text[..at].iter().rev().find(|byte| !matches!(byte, b' ' | b'\t' | b'\r'));
    before.is_none_or(|byte| *byte == b'\n')
}

/// The place of an object with an error that ends the text, or was cut off by its end.
fn ending(text: &[u8]) -> Option<usize> {
    let from = text.len().saturating_sub(END);
    let last_line = memchr::memrchr(b'\n', text).map_or(0, |at| at + 1);
    let candidates = memchr::memchr_iter(b'{', &text[from..]).map(|at| from + at);
    candidates.filter(|at| *at >= last_line || begins_line(text, *at)).find(|at| {
        let LooseObject { error, end } = object(&text[*at..]);
        let rest = end.and_then(|end| text.get(at + end..)).unwrap_or_default();
        error && rest.iter().all(|byte| matches!(byte, b',' | b';' | b' '))
    })
}

/// The visible parts of an object in any notation.
struct LooseObject {
    error: bool,
    /// After its closing brace; `None` if it is not closed.
    end: Option<usize>,
}

/// Reads an object from its brace, as leniently as possible.
fn object(text: &[u8]) -> LooseObject {
    let (mut at, mut depth, mut error, mut wants_key) = (0, 0u32, false, false);
    while let Some(byte) = text.get(at) {
        match byte {
            b'{' | b'[' => {
                depth += 1;
                wants_key = depth == 1;
            }
            b'}' | b']' if depth == 1 => return LooseObject { error, end: Some(at + 1) },
            b'}' | b']' => depth -= 1,
            b',' => wants_key = depth == 1,
            b' ' | b'\t' | b'\r' | b'\n' => {}
            _ if wants_key => {
                wants_key = false;
                if let Some((name, rest)) = key(&text[at..]) {
                    error |= name == b"error" && is_error(rest);
                    at = text.len() - rest.len();
                    continue;
                }
                at += string(&text[at..]);
                continue;
            }
            _ => {
                at += string(&text[at..]);
                continue;
            }
        }
        at += 1;
    }
    LooseObject { error, end: None }
}

/// The length of a string in quotes, or of a single byte.
fn string(text: &[u8]) -> usize {
    let Some(quote @ (b'"' | b'\'')) = text.first() else { return 1 };
    let mut at = 1;
    while let Some(byte) = text.get(at) {
        match byte {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

/// A key, in quotes or bare, and the text after its colon.
fn key(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, rest) = match text.first()? {
        b'"' | b'\'' => {
            let length = string(text);
            (text.get(1..length - 1)?, text.get(length..)?)
        }
        _ => {
            let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
            text.split_at(text.iter().position(|byte| !is_word(byte)).unwrap_or(text.len()))
        }
    };
    Some((name, rest.trim_ascii_start().strip_prefix(b":")?))
}

/// Whether the value of `error` means that there is one.
fn is_error(value: &[u8]) -> bool {
    let value = value.trim_ascii_start();
    !["null", "false", "None", "False"].iter().any(|word| value.starts_with(word.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_found_in_any_notation() {
        for (text, at) in [
            ("done\n{\"error\": {\"message\": \"declined\"}}", Some(5)),
            ("done\n{\"error\": {\"message\": \"declined\"}}\nbye\n", Some(5)),
            ("{\"error\": {\"message\": \"declined\"},}", Some(0)),
            ("\u{feff}{\"error\": \"declined\"}", Some(3)),
            ("{\"fee\": 2, \"error\": \"declined\",}", Some(0)),
            ("{\"error\": \"a\", \"error\": \"b\"}", Some(0)),
            ("{\"error\": {\"message\": \"decl", Some(0)),
            ("{'error': {'message': \"don't\"}}", Some(0)),
            ("{ error: { message: 'declined', retryable: false } }", Some(0)),
            ("paying\n{\n  error: {\n    message: 'declined'\n  }\n}\n", Some(7)),
            ("12:00 ERROR {\"error\": \"declined\"}", Some(12)),
            ("12:00 {\"fee\": 2, \"error\": \"declined\"};", Some(6)),
            ("{\"a\": [1, {\"b\": \"}\"}], \"error\": 1", Some(0)),
            ("", None),
            ("all is well", None),
            ("{\"error\": null,}", None),
            ("{'error': None}", None),
            ("log\n{\"error\": false, \"a\": 1}", None),
            ("{\"errors\": 1,}", None),
            ("{\"a\": {\"error\": \"of another\"},}", None),
            ("{\"a\": \"error\",}", None),
            ("Print `{\"error\": 1}` where it fails.", None),
            ("{", None),
            ("{{{\"'", None),
        ] {
            assert_eq!(error_in(text), at, "{text}");
        }
    }

    #[test]
    fn a_long_text_is_read_in_a_moment() {
        for part in ["{", "{\n", "{\"a\":\n", "{'", "{\"a\":[{", "\n", "{error"] {
            assert_eq!(error_in(&part.repeat((4 << 20) / part.len())), None, "{part}");
        }
    }
}
