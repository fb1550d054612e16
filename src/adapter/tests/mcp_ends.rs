//! The ends of an MCP server's process: calls that were in flight, and those that were never sent.

use super::mcp::scene;
use serde_json::json;

/// An end without an answer is not repeated here; the next call starts the server again.
#[tokio::test]
async fn a_server_that_ends_is_started_again_for_the_next_call() {
    let scene = scene(
        "if call['arguments']['ends']:\n    print('out of paper', file=sys.stderr)\n    sys.exit(3)\nsend(**result(structuredContent={'a': 1}))",
    );
    let ended =
        "Exit(3): the server exited with 3 while this call was in flight: out of paper; Unknown, again";
    assert_eq!(scene.ask("a::JSON", json!({"ends": true})).told().await, ended);
    assert_eq!(scene.ask("a::JSON", json!({"ends": false})).told().await, "a=1");
    assert_eq!(scene.ask("a::JSON", json!({"ends": true})).told().await, ended);
    assert_eq!(scene.lines("starts").len(), 2);
    assert_eq!(scene.lines("calls").len(), 3);
    scene.close().await;
}

/// A call is not lost with a process that cannot have read it; one that may have read a part of it is not repeated.
#[tokio::test]
async fn a_call_that_was_never_sent_is_sent_to_the_next_process() {
    let lost = "Exit(3): the server exited with 3 while this call was in flight; Unknown, again";
    for (before, after, expected, calls) in [
        ("os.close(0)", "os._exit(3)", "a=1", 1),
        ("os.close(0)", "time.sleep(1000)", "a=1", 1),
        ("pass", "os.read(0, 100); os._exit(3)", lost, 0),
    ] {
        let scene = scene("send(**result(structuredContent={'a': 1}))");
        let path = scene.folder.path().join("server.py");
        let source = std::fs::read_to_string(&path).unwrap();
        let list = "    elif method == 'tools/list':\n";
        let first = "        if len(open('starts').readlines()) == 1:";
        let source = source.replace(list, &format!("{list}{first} {before}\n"));
        let next = "    elif method == 'tools/call':\n";
        let source = source.replace(next, &format!("{first} {after}\n{next}"));
        std::fs::write(path, source).unwrap();
        let told = scene.ask("a::JSON", json!({"text": "x".repeat(1 << 20)})).told().await;
        assert_eq!(told, expected, "{before}; {after}");
        assert_eq!(scene.lines("calls").len(), calls, "{before}; {after}");
        scene.close().await;
    }
}
