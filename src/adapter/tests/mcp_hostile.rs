//! Servers of MCP that do what the protocol does not provide for: requests that take memory, and versions of their own.

use super::super::mcp::Mcp;
use super::conformance::kinds::mcp::server;
use super::mcp::ended;
use std::path::Path;
use std::sync::Arc;

/// How a call ends whose server does this.
async fn works(work: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    ended(&Arc::new(server(folder.path(), work))).await
}

#[tokio::test]
async fn requests_of_a_server_do_not_fill_the_memory() {
    let (large, deaf, many) = tokio::join!(
        works("send(id='q', method='ping', params={'x': 'y' * (1 << 20)})"),
        works("while True: send(id='x' * 1000, method='ping')"),
        // Answers that fit into the pipe need not be read at once.
        works(
            "for n in range(500): send(id=n, method='ping')\nsend(**result(structuredContent={'a': {'id': 1}}))"
        ),
    );
    assert_eq!(large, "Protocol: the server asked for something with more than 1 MiB; Unknown, final");
    assert_eq!(deaf, "Protocol: the server does not read the answers to its requests; Unknown, final");
    assert_eq!(many, r#"a={"id":1}"#);
}

/// A server that says that it speaks this version.
fn speaking(folder: &Path, version: &str) -> Arc<Mcp> {
    let mcp = server(folder, "send(**result(structuredContent={'a': {'id': 1}}))");
    let file = folder.join("server.py");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("2025-11-25", version)).unwrap();
    Arc::new(mcp)
}

#[tokio::test]
async fn only_versions_that_are_known_are_spoken() {
    for (version, expected) in [
        ("2025-11-25", r#"a={"id":1}"#),
        ("2024-11-05", r#"a={"id":1}"#),
        (
            "1999-01-01",
            "BadOutput: the server's answer is not the result of a tool: it speaks the version `1999-01-01` of MCP, which is not known; NotExecuted, final",
        ),
        (
            "",
            "BadOutput: the server's answer is not the result of a tool: it speaks the version `` of MCP, which is not known; NotExecuted, final",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(ended(&speaking(folder.path(), version)).await, expected, "{version}");
    }
}
