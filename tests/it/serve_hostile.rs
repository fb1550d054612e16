//! Attacks on `orderflow serve`: without the token, by other pages, by paths, and with requests that have no end.

use crate::place::Place;
use crate::serving::{Answer, Serving};
use serde_json::json;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

const FLOW: &str = "# Flow\n\n## Make [effects:: none]\nname::String -> file::File\n\n```sh run\n\
                    echo made > \"$ORDERFLOW_DIR/a b.txt\"\necho 'a b.txt'\n```\n";

fn place() -> Place {
    let place = Place::new(FLOW);
    place.write("orderflow.toml", "fences = true\n");
    place
}

/// A server with one run that is done; its id.
fn served() -> (Place, Serving, String) {
    let place = place();
    let done = place.orderflow("run flow.md --input name=x --quiet");
    assert_eq!(done.exit, Some(0), "{}", done.err);
    let server = Serving::start(place.command("serve"));
    let run = server.json("/api/runs")[0]["run"].as_str().unwrap().to_owned();
    (place, server, run)
}

/// All addresses, with their methods.
fn addresses(run: &str) -> Vec<(&'static str, String)> {
    let of = |rest: &str| format!("/api/runs/{run}{rest}");
    let get =
        ["", "/items", "/items/1", "/gates", "/events?follow=false", "/files", "/files/1/Make.1/a%20b.txt"];
    let post = ["/approve", "/reject", "/signal", "/cancel", "/retry", "/resume"];
    let mut all = vec![
        ("GET", "/".to_owned()),
        ("GET", format!("/runs/{run}")),
        ("GET", format!("/runs/{run}/report.html")),
        ("GET", "/metrics".to_owned()),
        ("GET", "/api/openapi.json".to_owned()),
        ("GET", "/api/runs".to_owned()),
        ("POST", "/api/runs".to_owned()),
    ];
    all.extend(get.map(|rest| ("GET", of(rest))));
    all.extend(post.map(|rest| ("POST", of(rest))));
    all.extend([("GET", "/nowhere".to_owned()), ("DELETE", of("")), ("OPTIONS", "/api/runs".to_owned())]);
    all
}

fn error(answer: &Answer) -> (u16, String) {
    (answer.status, answer.json()["error"].as_str().unwrap().to_owned())
}

#[test]
fn nothing_is_answered_without_the_token() {
    let (_place, server, run) = served();
    let needs = (401, "this server needs its token: Authorization: Bearer TOKEN".to_owned());
    for (method, path) in addresses(&run) {
        let answer = server.ask_without_token(method, &path, &[], "");
        assert_eq!(error(&answer), needs, "{method} {path}");
        assert_eq!(answer.header("www-authenticate"), Some("bearer"));
        let wrong = server.ask_without_token(method, &path, &[("authorization", "Bearer 0")], "");
        assert_eq!(error(&wrong), (401, "the token is wrong".to_owned()), "{method} {path}");
    }
}

#[test]
fn other_pages_and_other_names_reach_nothing() {
    let (_place, server, run) = served();
    let cookie = format!("orderflow-{}={}", server.address.port(), server.token);
    for (method, path) in addresses(&run) {
        // DNS rebinding: the name of a page leads to this address.
        let rebound = server.ask(method, &path, &[("host", "evil.example.org")], "");
        assert_eq!(
            error(&rebound),
            (421, "this server does not have this name".to_owned()),
            "{method} {path}"
        );
        let headers = [("cookie", cookie.as_str()), ("origin", "https://evil.example.org")];
        let crossing = server.ask_without_token(method, &path, &headers, "");
        assert_eq!(
            error(&crossing),
            (403, "requests of other pages are refused".to_owned()),
            "{method} {path}"
        );
        if method != "GET" {
            let form = server.ask_without_token(method, &path, &[("cookie", cookie.as_str())], "");
            assert_eq!(
                error(&form),
                (403, "the request has a cookie and no origin".to_owned()),
                "{method} {path}"
            );
        }
    }
    // The form of another page cannot send JSON.
    let origin = format!("http://{}", server.address);
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
        let headers = [("cookie", cookie.as_str()), ("origin", origin.as_str()), ("content-type", kind)];
        let form = server.ask_without_token("POST", "/api/runs", &headers, "{\"document\": \"flow.md\"}");
        assert_eq!(error(&form), (400, "the Content-Type is not application/json".to_owned()), "{kind}");
    }
    assert_eq!(server.json("/api/runs").as_array().unwrap().len(), 1);
}

#[test]
fn all_answers_forbid_a_browser_everything() {
    let (_place, server, run) = served();
    for (method, path) in addresses(&run) {
        let answer = server.ask(method, &path, &[], "");
        let header = |name: &str| answer.header(name).unwrap_or_default().to_owned();
        assert_eq!(header("x-content-type-options"), "nosniff", "{method} {path}");
        assert_eq!(header("referrer-policy"), "no-referrer", "{method} {path}");
        assert_eq!(header("cache-control"), "no-store", "{method} {path}");
        assert!(header("content-security-policy").contains("default-src 'none'"), "{method} {path}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
        let is_page = path == "/" || path.starts_with("/runs/");
        if is_page {
            assert!(header("content-security-policy").contains("frame-ancestors 'none'"), "{path}");
            assert_eq!(header("content-type"), "text/html; charset=utf-8", "{path}");
        } else if !path.contains("/files/") && !path.contains("/events") && path != "/metrics" {
            assert_eq!(header("content-type"), "application/json", "{method} {path}: {answer:?}");
        }
    }
}

#[test]
fn paths_lead_to_runs_and_to_their_files_only() {
    let (place, server, run) = served();
    place.write("elsewhere/journal.db", "x");
    for said in
        ["..", ".", "%2e%2e", "%2e", "..%2f..", "elsewhere", "%2fetc", "flow.md", "a%00b", "%ff", "-", "%20"]
    {
        for path in [format!("/api/runs/{said}"), format!("/api/runs/{said}/events"), format!("/runs/{said}")]
        {
            let answer = server.get(&path);
            assert!(matches!(answer.status, 400 | 404), "{path}: {answer:?}");
        }
    }
    let file = server.json(&format!("/api/runs/{run}/files"))[0]["path"].as_str().unwrap().to_owned();
    let made = server.get(&format!("/api/runs/{run}/files/{}", file.replace(' ', "%20")));
    assert_eq!((made.status, made.text().as_str()), (200, "made\n"));
    for path in [
        "../journal.db",
        "..%2fjournal.db",
        "../../../../flow.md",
        "%2e%2e/%2e%2e/%2e%2e/%2e%2e/flow.md",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "journal.db",
        "lock",
        "1/../1/Make.1/a%20b.txt",
        "1//Make.1/a%20b.txt",
        "1/Make.1/",
        "1/Make.1/a%20b.txt%00",
        "%ff",
    ] {
        let answer = server.get(&format!("/api/runs/{run}/files/{path}"));
        assert!(matches!(answer.status, 400 | 404), "{path}: {answer:?}");
    }
    // A file that was exchanged for a link is not followed.
    let stored = place.path(".orderflow/runs").join(&run).join("items").join(&file);
    std::fs::remove_file(&stored).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", &stored).unwrap();
    let answer = server.get(&format!("/api/runs/{run}/files/{}", file.replace(' ', "%20")));
    assert_eq!(answer.status, 404, "{answer:?}");
}

#[test]
fn requests_without_end_are_cut_off() {
    let (_place, server, _) = served();
    let long = "x".repeat(200_000);
    let many: Vec<(String, String)> = (0..200).map(|n| (format!("x-{n}"), "1".to_owned())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(server.ask("GET", "/api/runs", &many, "").status, 431);
    assert!(matches!(server.ask("GET", "/api/runs", &[("x", &long)], "").status, 431 | 0));
    assert!(matches!(server.get(&format!("/{long}")).status, 414 | 431 | 0));
    let json = [("content-type", "application/json")];
    let large = format!("{{\"document\": \"{}\"}}", "x".repeat(17 << 20));
    let answer = server.ask("POST", "/api/runs", &json, &large);
    assert!(matches!(answer.status, 413 | 0), "{answer:?}");
    let answer = server.ask("POST", "/api/runs/last/retry", &json, &format!("{{\"items\": [\"{long}\"]}}"));
    assert!(matches!(answer.status, 413 | 0), "{answer:?}");
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    let answer = server.ask("POST", "/api/runs/last/retry", &json, &deep);
    assert_eq!(answer.status, 400, "{answer:?}");
    for query in ["limit=0", "limit=100000", "offset=-1", "limit=x", "x=1"] {
        assert_eq!(server.get(&format!("/api/runs/last/items?{query}")).status, 400, "{query}");
    }
    for request in ["GARBAGE\r\n\r\n", "GET /api/runs HTTP/1.1\r\nhost\r\n\r\n", "\0\0\0\0\r\n\r\n"] {
        assert!(matches!(server.send(request.as_bytes()).status, 400 | 0), "{request:?}");
    }
    assert_eq!(server.json("/api/runs").as_array().unwrap().len(), 1);
}

#[test]
fn clients_that_send_slowly_or_nothing_lose_their_connection() {
    let (_place, server, _) = served();
    let begin = Instant::now();
    let mut idle: Vec<_> = (0..50).map(|_| server.connect()).collect();
    let mut slow = server.connect();
    slow.write_all(b"GET /api/runs HTTP/1.1\r\n").unwrap();
    // A header each second would keep it for ever, were the time not that of all headers.
    let mut count = 0;
    let gone = loop {
        slow.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let written = slow.write_all(format!("x-{count}: 1\r\n").as_bytes());
        count += 1;
        let read = slow.read(&mut [0; 1024]);
        match (written, read) {
            (Ok(()), Err(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            _ => break begin.elapsed(),
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "it still listens");
    };
    assert!(gone > Duration::from_secs(5), "{gone:?}");
    for stream in &mut idle {
        let read = stream.read(&mut [0; 1024]);
        assert!(read.is_ok(), "{read:?}");
    }
    // Others are answered meanwhile and afterwards.
    assert_eq!(server.json("/api/runs")[0]["state"], json!("done"));
}

#[test]
fn no_answer_has_a_secret() {
    let place = Place::new(
        "# Login\n\n## Get Token [effects:: none]\nname::String -> token::Secret\n\n```sh run\necho tok-s3c$(echo ret)\n```\n\n\
         ## Use [effects:: none]\ntoken -> done::String\n\n```sh run\necho \"refused $IN_TOKEN\" >&2\nexit 1\n```\n",
    );
    place.write("orderflow.toml", "fences = true\n");
    assert_eq!(place.orderflow("run flow.md --input name=x --quiet").exit, Some(1));
    let server = Serving::start(place.command("serve"));
    for path in [
        "/",
        "/metrics",
        "/runs/last",
        "/api/runs",
        "/api/runs/last",
        "/api/runs/last/items",
        "/api/runs/last/items/1",
        "/api/runs/last/files",
        "/api/runs/last/events?follow=false",
    ] {
        let answer = server.get(path);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        assert!(!answer.text().contains("s3cret"), "{path}: {}", answer.text());
    }
}
