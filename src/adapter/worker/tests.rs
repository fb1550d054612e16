//! The framing under any bytes: it never panics, loses nothing and does not care how the stream is cut.

use super::lines::{Lines, TooLong};
use super::message::{self, Message, WorkerAnswer};
use crate::adapter::tests::{call, describe};
use proptest::prelude::*;

/// The lines of a stream that comes in these chunks, and what is left of it; or that one was too long.
fn cut<'a>(most: usize, chunks: impl Iterator<Item = &'a [u8]>) -> Result<Vec<Vec<u8>>, TooLong> {
    let (mut lines, mut seen) = (Lines::new(most), Vec::new());
    for chunk in chunks {
        lines.take(chunk, |line| {
            seen.push(line.to_vec());
            Ok::<(), TooLong>(())
        })?;
    }
    seen.push(lines.rest().to_vec());
    Ok(seen)
}

/// Bytes with many newlines among them.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![Just(b'\n'), any::<u8>(), Just(b'x')], 0..400)
}

/// Lines as workers write them.
const SPOKEN: [&str; 6] = [
    r#"{"jsonrpc":"2.0","id":1,"result":{"a":[1.50,"x",null]}}"#,
    r#"{"jsonrpc":"2.0","id":1,"result":"text"}"#,
    r#"{"jsonrpc":"2.0","id":2,"error":{"code":-32000,"message":"no","data":{"retryable":false}}}"#,
    r#"{"jsonrpc":"2.0","method":"step/log","params":{"id":1,"message":"so far"}}"#,
    r#"{"jsonrpc":"2.0","method":"step/progress","params":{"id":1,"done":2,"total":3}}"#,
    r#"{"jsonrpc":"2.0","method":"step/other"}"#,
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lines_are_the_same_however_the_stream_is_cut(stream in stream(), size in 1..50usize, most in 0..30usize) {
        let expected: Vec<Vec<u8>> = stream.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        let fits = expected.iter().all(|line| line.len() <= most);
        let whole = cut(most, std::iter::once(stream.as_slice()));
        prop_assert_eq!(&whole, &cut(most, stream.chunks(size)));
        prop_assert_eq!(whole, if fits { Ok(expected) } else { Err(TooLong) });
    }

    #[test]
    fn any_bytes_are_a_message_or_refused(line in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = message::read(&line);
    }

    #[test]
    fn changed_messages_are_messages_or_refused(
        which in 0..SPOKEN.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3u8), 1..6),
    ) {
        let mut line = SPOKEN[which].as_bytes().to_vec();
        for (at, byte, how) in changes {
            let at = at.index(line.len());
            match how {
                0 => line[at] = byte,
                1 => line.insert(at, byte),
                _ => drop(line.remove(at)),
            }
            if line.is_empty() {
                break;
            }
        }
        if let Err(why) = message::read(&line) {
            prop_assert!(why.starts_with("worker wrote "), "{why}");
            prop_assert!(why.len() < 2000, "{why}");
        }
    }
}

#[test]
fn what_workers_say_is_understood() {
    for line in SPOKEN {
        assert!(matches!(message::read(line.as_bytes()), Ok(Some(_))), "{line}");
    }
    assert_eq!(message::read(SPOKEN[5].as_bytes()), Ok(Some(Message::Other)));
    assert_eq!(message::read(b" \r"), Ok(None));
}

#[test]
fn depth_is_no_danger() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!("{}1{}", open.repeat(200_000), close.repeat(200_000));
        for member in ["result", "error", "params", "id", "other"] {
            let _ = message::read(format!(r#"{{"jsonrpc":"2.0","id":1,"{member}":{deep}}}"#).as_bytes());
        }
    }
}

#[test]
fn a_result_is_text_only_if_it_is_a_string() {
    let folder = std::path::Path::new("/nowhere");
    let judged = |outputs: &str, result: &str| {
        let call = call(folder, outputs, serde_json::json!({}));
        let answer = message::judge(&call, WorkerAnswer::Result(result.to_owned()));
        describe(&call.outputs, &answer)
    };
    let refused = |what: &str| {
        format!("BadOutput: output `r` is not of type String: expected String, found {what}; Unknown, final")
    };
    for (outputs, result, answer) in [
        ("r::String", r#""5""#, r#"r="5""#.to_owned()),
        ("r::String", "5", refused("a number")),
        ("r::String", "null", refused("null")),
        ("r::String", r#"{"x":1}"#, refused("an object")),
        ("r::String", r#"{"r":"x"}"#, r#"r="x""#.to_owned()),
        ("r?::String", "null", String::new()),
        ("r::String?", "null", "r=null".to_owned()),
        ("r", "null", "BadOutput: expected the output `r`; the answer is null; Unknown, final".to_owned()),
        ("r", "5", "r=5".to_owned()),
        ("r::Integer", "5", "r=5".to_owned()),
        ("", "null", String::new()),
    ] {
        assert_eq!(judged(outputs, result), answer, "{outputs} {result}");
    }
}
