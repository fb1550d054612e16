//! Streams in parts of every size: events of the standard, and the answers of all three interfaces.

use super::events::{Event, Events};
use super::protocol::Turn;
use super::stream::Gathered;
use super::{Protocol, garbled};
use crate::adapter::LiveWords;
use crate::adapter::tests::model::{ALL, says};
use crate::adapter::tests::stream::{events, text};
use proptest::prelude::{Strategy, any, prop, prop_assert_eq, proptest};
use serde_json::{Value, json};

/// The events of these parts.
fn heard<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<Event> {
    let mut events = Events::default();
    parts.into_iter().flat_map(|part| events.push(part).unwrap()).collect()
}

/// What a stream in these parts comes to, or the message of its failure.
fn turn<'a>(protocol: Protocol, parts: impl IntoIterator<Item = &'a [u8]>) -> Result<Turn, String> {
    let mut events = Events::default();
    let mut gathered = Gathered::new(protocol, LiveWords::default());
    let mut read = |part: &[u8]| {
        for event in events.push(part)? {
            if let Some(received) = gathered.take(&event)? {
                return Ok(Some(received));
            }
        }
        Ok(None)
    };
    let received = parts.into_iter().find_map(|part| read(part).transpose());
    let received = received.unwrap_or_else(|| gathered.end());
    let received = received.and_then(|received| {
        assert_eq!((received.status, received.retry_after), (200, None));
        protocol.turn(&received.body).map_err(garbled)
    });
    received.map_err(|failure| failure.message)
}

#[test]
fn events_are_those_of_the_standard_wherever_the_bytes_are_split() {
    let cases: [(&str, &[(&str, &str)]); 12] = [
        ("data: a\n\n", &[("", "a")]),
        ("data:a\r\n\r\ndata:  b\r\rdata: c\n\n", &[("", "a"), ("", " b"), ("", "c")]),
        ("\u{feff}data: a\n\n", &[("", "a")]),
        ("data: a\ndata: b\ndata:\n\n", &[("", "a\nb\n")]),
        (": ping\n\nevent: x\ndata: {\"ü\": \"世界\"}\n\n", &[("x", "{\"ü\": \"世界\"}")]),
        ("event: none\n\ndata: a\n\n", &[("", "a")]),
        ("event: x\nevent: y\ndata: a\n\n", &[("y", "a")]),
        ("id: 7\nretry: soon\nerror: x\nunknown\ndata: a\n\n", &[("", "a")]),
        ("data\n\n", &[("", "")]),
        ("data: a\n\ndata: without an end\n", &[("", "a")]),
        ("data: a: b\n\n\n\n", &[("", "a: b")]),
        ("", &[]),
    ];
    for (text, expected) in cases {
        let expected: Vec<Event> = expected
            .iter()
            .map(|(name, data)| Event { name: (*name).to_owned(), data: (*data).to_owned() })
            .collect();
        let bytes = text.as_bytes();
        for at in 0..=bytes.len() {
            let (one, other) = bytes.split_at(at);
            assert_eq!(heard([one, other]), expected, "{text:?} at {at}");
        }
        assert_eq!(heard(bytes.chunks(1)), expected, "{text:?}");
    }
}

#[test]
fn an_event_that_is_not_utf_8_is_a_failure() {
    let failure = Events::default().push(b"data: \xff\n\n").unwrap_err();
    assert_eq!(failure.message, "the provider's answer is not UTF-8");
}

/// How a provider may end: the text, or why there is none, and the tokens.
#[test]
fn answers_are_the_same_wherever_the_bytes_are_split() {
    let early = "the stream of the provider's answer ended before the answer";
    let chat = |delta: Value, end: Value| json!({"choices": [{"delta": delta, "finish_reason": end}]});
    let usage = json!({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}});
    let start =
        json!({"type": "message_start", "message": {"usage": {"input_tokens": 3, "output_tokens": 1}}});
    let words =
        |text: &str| json!({"type": "content_block_delta", "delta": {"type": "text_delta", "text": text}});
    let thought =
        json!({"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": "hm"}});
    let end = |reason: &str, tokens: u32| json!({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": tokens}});
    let stop = json!({"type": "message_stop"});
    let delta = |text: &str| json!({"type": "response.output_text.delta", "delta": text});
    let last =
        |kind: &str, response: Value| json!({"type": format!("response.{kind}"), "response": response});
    let spent = json!({"input_tokens": 3, "output_tokens": 2});
    let filter = json!({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}});
    let done = json!("[DONE]");
    #[rustfmt::skip]
    let cases: Vec<(Protocol, Vec<Value>, &str)> = vec![
        (Protocol::Chat, vec![chat(json!({"content": "é"}), Value::Null), chat(json!({"content": "🦀"}), "stop".into()), usage.clone(), done.clone()], "é🦀, 5"),
        (Protocol::Chat, vec![chat(json!({"content": "a"}), "stop".into()), done.clone()], "a, none"),
        (Protocol::Chat, vec![chat(json!({"content": "a"}), "stop".into())], early),
        (Protocol::Chat, vec![chat(json!({"content": "a"}), Value::Null), done.clone()], early),
        (Protocol::Chat, vec![chat(json!({"content": "a"}), "error".into()), done.clone()], "the model failed to answer, none"),
        (Protocol::Chat, vec![chat(json!({"reasoning_content": "hm"}), "stop".into()), done.clone()], "the provider's answer has no text of the model in it, none"),
        (Protocol::Chat, vec![json!({"choices": [{"index": 1, "delta": {"content": "b"}}]}), chat(json!({"content": [{"type": "text", "text": "a"}]}), "stop".into()), done.clone()], "a, none"),
        (Protocol::Chat, vec![chat(json!({"refusal": "I will"}), Value::Null), chat(json!({"refusal": " not"}), "stop".into()), usage.clone(), done.clone()], "the model refused: I will not, 5"),
        (Protocol::Chat, vec![done], early),
        (Protocol::Messages, vec![start.clone(), thought, words("é"), words("🦀"), end("end_turn", 2), stop.clone()], "é🦀, 5"),
        (Protocol::Messages, vec![start.clone(), words("a"), end("end_turn", 2)], early),
        (Protocol::Messages, vec![start.clone(), words("a"), stop.clone()], early),
        (Protocol::Messages, vec![start.clone(), words("a"), json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}), stop.clone()], "a, none"),
        (Protocol::Messages, vec![start, end("refusal", 0), stop], "the model refused to answer, 3"),
        (Protocol::Responses, vec![delta("é"), delta("🦀"), last("completed", json!({"status": "completed", "output": [], "usage": spent}))], "é🦀, 5"),
        (Protocol::Responses, vec![delta("a")], early),
        (Protocol::Responses, vec![delta("a"), last("incomplete", filter)], "the model refused to answer, none"),
        (Protocol::Responses, vec![delta("a"), last("failed", json!({"status": "failed", "error": {"message": "lost"}}))], "the model failed to answer: lost, none"),
        (Protocol::Responses, vec![delta("a"), last("cancelled", json!({"status": "cancelled"}))], "the answer is incomplete, none"),
        (Protocol::Responses, vec![json!({"type": "response.completed"})], "the last event of the provider's answer has no response in it"),
        (Protocol::Responses, vec![json!([1])], early),
    ];
    for (protocol, events, expected) in cases {
        let line =
            |event: &Value| format!("data: {}\n\n", event.as_str().map_or(event.to_string(), str::to_owned));
        let stream: String = events.iter().map(line).collect();
        let described = |turn: Result<Turn, String>| match turn {
            Ok(turn) => {
                let tokens = turn.usage.tokens().map_or("none".to_owned(), |tokens| tokens.to_string());
                format!("{}, {tokens}", turn.text.unwrap_or_else(|why| why))
            }
            Err(message) => message,
        };
        let bytes = stream.as_bytes();
        for at in 0..=bytes.len() {
            let (one, other) = bytes.split_at(at);
            assert_eq!(described(turn(protocol, [one, other])), expected, "{stream} at {at}");
        }
        assert_eq!(described(turn(protocol, bytes.chunks(1))), expected, "{stream}");
    }
}

/// Whatever an event is called.
#[test]
fn events_of_another_form_are_no_answers() {
    let names = [
        "",
        "error",
        "message_start",
        "content_block_start",
        "content_block_delta",
        "message_delta",
        "response.output_text.delta",
        "response.completed",
        "response.failed",
    ];
    for protocol in ALL {
        for name in names {
            for data in [
                "[1]",
                "5",
                "null",
                "\"x\"",
                "{}",
                r#"{"choices":5}"#,
                r#"{"message":[],"delta":5,"usage":7}"#,
            ] {
                let mut gathered = Gathered::new(protocol, LiveWords::default());
                let event = Event { name: name.to_owned(), data: data.to_owned() };
                if let Ok(Some(received)) = gathered.take(&event) {
                    assert_eq!((name, received.status), ("error", 500), "{protocol:?} {data}");
                }
                assert!(gathered.end().is_err(), "{protocol:?} {name} {data}");
            }
        }
    }
}

proptest! {
    #[test]
    fn a_stream_in_any_parts_is_the_turn_of_the_whole_response(
        protocol in prop::sample::select(ALL.to_vec()),
        said in "\\PC{0,40}|[\r\n\"\\\\:]{0,9}",
        usage in any::<bool>(),
        sizes in prop::collection::vec(1usize..50, 1..20).prop_map(|sizes| sizes.into_iter().cycle()),
    ) {
        let mut whole = says(protocol, &said);
        if !usage {
            whole.as_object_mut().unwrap().remove("usage");
        }
        let stream = text(protocol, &events(protocol, &whole));
        let (mut rest, mut parts) = (stream.as_bytes(), Vec::new());
        for size in sizes {
            let (part, more) = rest.split_at(size.min(rest.len()));
            parts.push(part);
            rest = more;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(turn(protocol, parts), protocol.turn(&whole.to_string()));
    }
}
