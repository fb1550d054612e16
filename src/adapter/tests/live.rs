//! What agents are just saying, as their adapters report it.

use super::super::{Adapter, Call, LiveWords, Spoken, Stop};
use super::acp::{attempt, chunk, coder};
use super::model::{ALL, at, says};
use super::stream::{events, streaming, text};
use super::{PATIENCE, call, mcp};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

/// An attempt whose words are collected.
fn watched(folder: &Path) -> (Call, LiveWords) {
    let live = LiveWords::new(Arc::default());
    (Call { live: live.clone(), ..call(folder, "a::String", json!({})) }, live)
}

#[tokio::test]
async fn the_text_of_a_model_of_each_interface() {
    for protocol in ALL {
        // Those of an earlier turn are over.
        let (address, _) = streaming(vec![text(protocol, &events(protocol, &says(protocol, "Dear Ada")))]);
        let folder = tempfile::tempdir().unwrap();
        let (call, live) = watched(folder.path());
        live.add("before");
        let (_stopper, stop) = Stop::new();
        let model = at(address, protocol);
        let answer = tokio::time::timeout(PATIENCE, model.call(call, stop)).await;
        assert!(answer.expect("an end").is_ok());
        assert_eq!(live.spoken(), Spoken { text: "Dear Ada".into(), is_open: true }, "{protocol:?}");
    }
}

#[tokio::test]
async fn the_messages_and_tools_of_a_coding_agent() {
    let tool = |kind: &str, title: Value| {
        let update = json!({"sessionUpdate": kind, "toolCallId": "c", "kind": "read", "title": title});
        json!({"update": update})
    };
    let thought = json!({"update": {"sessionUpdate": "agent_thought_chunk", "content": {"type": "text", "text": "hm"}}});
    let said =
        [chunk(Some("m1"), "I will look."), chunk(Some("m2"), "Dear "), chunk(Some("m2"), "Ada"), thought];
    let reads = [
        chunk(None, "I will look."),
        tool("tool_call", "Read a.md".into()),
        tool("tool_call_update", Value::Null),
    ];
    let wrote = [
        tool("tool_call", "Read a.md".into()),
        chunk(None, "Dear"),
        chunk(None, " Ada"),
        json!({"raw": b"log\n"}),
    ];
    let cases: [(&[Value], &str); 3] = [(&said, "Dear Ada"), (&reads, "Read a.md"), (&wrote, "Dear Ada")];
    for (turn, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        let turn: Vec<Value> = turn.iter().cloned().chain([json!({"end": "end_turn"})]).collect();
        let (call, live) = watched(folder.path());
        let _ = attempt(&coder(folder.path(), &json!({"session/prompt": [turn]})), call).await;
        assert_eq!(live.spoken().text, expected);
    }
}

#[tokio::test]
async fn the_progress_of_an_mcp_tool() {
    let work = "token = call['_meta']['progressToken']\n\
        def progress(**more): send(method='notifications/progress', params={'progressToken': token, **more})\n\
        progress(progress=1, total=4)\n\
        if call['arguments'] == {}: progress(progress=2, message='halfway')\n\
        send(**text('done'))";
    let scene = mcp::scene(work);
    for (inputs, expected) in [(json!({}), "halfway"), (json!({"counts": true}), "1 of 4")] {
        let live = LiveWords::new(Arc::default());
        let call = Call { live: live.clone(), ..call(scene.folder.path(), "a::String", inputs) };
        assert_eq!(mcp::asked(&scene.mcp, call).told().await, "a=\"done\"");
        assert_eq!(live.spoken().text, expected);
    }
    scene.close().await;
}
