//! The messages of a connection: headers with the length, then JSON. Reads no more than a message may have. The crate
//! `lsp-server` allocates whatever length a header has, and ends at the first text that is not JSON.

use serde_json::Value;
use std::io::{self, BufRead, Read, Write};

/// The longest message, in bytes: the largest document many times over.
const LARGEST: u64 = 64 * 1024 * 1024;

/// The longest headers of a message.
const HEADERS: u64 = 16 * 1024;

/// The bytes of the next message; `None` at the end of the input.
///
/// # Errors
/// The input cannot be read, or its next message cannot be found.
pub fn read(input: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let bad = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    let (mut length, mut limited, mut any) = (None, input.take(HEADERS), false);
    loop {
        let mut line = Vec::new();
        limited.read_until(b'\n', &mut line)?;
        if !line.ends_with(b"\n") {
            return match line.is_empty() && !any {
                true => Ok(None),
                false if limited.limit() == 0 => Err(bad("the headers of a message are too long".to_owned())),
                false => Err(bad("the input ends within the headers of a message".to_owned())),
            };
        }
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end_matches(['\n', '\r']);
        if line.is_empty() && any {
            break;
        }
        any = true;
        let Some((name, value)) = line.split_once(':') else {
            return Err(bad("a message begins with the header Content-Length".to_owned()));
        };
        if name.trim().eq_ignore_ascii_case("content-length") {
            let number = value.trim().parse::<u64>().ok().filter(|number| *number <= LARGEST);
            let why = || bad(format!("Content-Length is a number of at most {LARGEST}"));
            length = Some(number.ok_or_else(why)?);
        }
    }
    let Some(length) = length else { return Err(bad("a message has no Content-Length".to_owned())) };
    let mut message = Vec::new();
    input.take(length).read_to_end(&mut message)?;
    match message.len() as u64 == length {
        true => Ok(Some(message)),
        false => Err(bad("the input ends within a message".to_owned())),
    }
}

/// Writes one message.
///
/// # Errors
/// The output cannot be written.
pub fn write(output: &mut impl Write, message: &Value) -> io::Result<()> {
    let text = message.to_string();
    write!(output, "Content-Length: {}\r\n\r\n{text}", text.len())?;
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(input: &str) -> (Vec<String>, String) {
        let mut input = input.as_bytes();
        let mut messages = Vec::new();
        loop {
            match read(&mut input) {
                Ok(Some(message)) => messages.push(String::from_utf8(message).unwrap()),
                Ok(None) => return (messages, String::new()),
                Err(error) => return (messages, error.to_string()),
            }
        }
    }

    #[test]
    fn messages_are_found_by_their_headers() {
        let two = "content-length:2\r\nContent-Type: x\r\n\r\n{}Content-Length: 4\n\nnull";
        assert_eq!(all(two), (vec!["{}".to_owned(), "null".to_owned()], String::new()));
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        for (input, error) in [
            ("{}\r\n\r\n", "a message begins with the header Content-Length"),
            ("\r\n", "a message begins with the header Content-Length"),
            ("Content-Length: 2", "the input ends within the headers of a message"),
            ("Content-Length: 9\r\n\r\n{}", "the input ends within a message"),
            ("X: 2\r\n\r\n{}", "a message has no Content-Length"),
            ("Content-Length: -1\r\n\r\n{}", "Content-Length is a number of at most 67108864"),
            ("Content-Length: 99999999999\r\n\r\n{}", "Content-Length is a number of at most 67108864"),
        ] {
            assert_eq!(all(input), (Vec::new(), error.to_owned()), "{input}");
        }
        let long = format!("X: {}\r\n\r\n", "x".repeat(20_000));
        assert_eq!(all(&long).1, "the headers of a message are too long");
    }
}
