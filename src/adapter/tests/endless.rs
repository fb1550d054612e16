//! Servers that send without end: timers run on, and a stop ends the call and its connection.

use super::super::http::{Client, Service};
use super::super::mcp::{Mcp, Server};
use super::super::model::Protocol;
use super::super::probe::Probe;
use super::super::{Adapter, Stop, Urgency};
use super::{PATIENCE, call, describe, model, until};
use serde_json::json;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The longest that a timer may be late.
const LATE: Duration = Duration::from_secs(1);

/// How much a server sends at once before it pauses between parts: enough to hold up a thread for seconds.
const FLOOD: usize = 16 << 20;

const JSON: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
const EVENTS: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n";

/// A server that answers each connection with `begin` and then `part`, again and again; and its open connections.
fn endless(begin: String, part: &'static str) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let open = Arc::new(AtomicUsize::new(0));
    let count = open.clone();
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let (begin, count) = (begin.clone(), count.clone());
            count.fetch_add(1, Ordering::SeqCst);
            std::thread::spawn(move || {
                // It ends when the connection does.
                let _ = send(stream, &begin, part);
                count.fetch_sub(1, Ordering::SeqCst);
            });
        }
    });
    (address, open)
}

fn send(mut stream: TcpStream, begin: &str, part: &str) -> std::io::Result<()> {
    let mut head = [0; 1 << 16];
    if stream.read(&mut head)? == 0 {
        return Ok(());
    }
    stream.write_all(begin.as_bytes())?;
    let parts = part.repeat((1 << 18) / part.len());
    for _ in 0..FLOOD / parts.len() {
        stream.write_all(parts.as_bytes())?;
    }
    loop {
        stream.write_all(part.as_bytes())?;
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits for a future, and says how late the latest timer was meanwhile.
async fn timed<T>(future: impl Future<Output = T>) -> (T, Duration) {
    let mut latest = Duration::ZERO;
    let ticks = async {
        loop {
            let began = Instant::now();
            tokio::time::sleep(Duration::from_millis(10)).await;
            latest = latest.max(began.elapsed());
        }
    };
    let ended = tokio::time::timeout(PATIENCE, future);
    let answer = tokio::select! {
        answer = ended => answer.expect("no end"),
        () = ticks => unreachable!(),
    };
    (answer, latest)
}

fn agents(address: SocketAddr) -> [(&'static str, Arc<dyn Adapter>); 3] {
    let url = || format!("http://{address}/").parse().unwrap();
    let client = Client::new().unwrap();
    let server = Server::Http { client: client.clone(), url: url(), headers: Vec::new() };
    [
        ("http", Arc::new(Service::new(client, url(), Vec::new()))),
        ("mcp", Arc::new(Mcp::new(server, Some("work".to_owned())))),
        ("model", Arc::new(model::at(address, Protocol::Chat))),
    ]
}

/// A call to every kind of agent at this server, stopped after a moment; each has ended as one of these texts says.
async fn stopped(begin: &str, part: &'static str, ends: &[&str]) {
    stopped_of(3, begin, part, ends).await;
}

/// The same for some of the kinds; if only for services, the connection is closed as well.
async fn stopped_of(kinds: usize, begin: &str, part: &'static str, ends: &[&str]) {
    let (address, open) = endless(begin.to_owned(), part);
    for (kind, agent) in agents(address).into_iter().take(kinds) {
        let shown = format!("{kind}: {begin:?} and {part:?}");
        let folder = tempfile::tempdir().unwrap();
        let call = call(folder.path(), "a::Order", json!({"order": 1}));
        let outputs = call.outputs.clone();
        let (stopper, stop) = Stop::new();
        let ask = async {
            // The other ends need no stop.
            if ends.contains(&STOPPED) {
                tokio::time::sleep(Duration::from_millis(300)).await;
                stopper.ask(Urgency::Terminate);
            }
        };
        let ended = async { tokio::join!(agent.call(call, stop), ask).0 };
        let (answer, late) = timed(ended).await;
        let end = describe(&outputs, &answer);
        assert!(ends.iter().any(|expected| end.contains(expected)), "{shown}: {end}");
        assert!(late < LATE, "{shown}: a timer was {late:?} late");
        agent.close(Stop::new().1).await;
        drop(agent);
        if kinds == 1 {
            until(&shown, || open.load(Ordering::SeqCst) == 0).await;
        }
    }
}

const STOPPED: &str = "Stopped: ";
const LARGE: &str = "is larger than 16 MiB";

#[tokio::test]
async fn heads_without_end() {
    stopped("", "HTTP/1.1 100 Continue\r\n\r\n", &[STOPPED]).await;
    stopped_of(1, "", "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n", &[STOPPED]).await;
    let large = "message head is too large";
    stopped("", "\r\n", &[large]).await;
    stopped("HTTP/1.1 200 ", "OK", &[large]).await;
    stopped(JSON, "x-a: b\r\n", &[large]).await;
    stopped(&format!("{JSON}x-a: "), "b", &[large]).await;
}

#[tokio::test]
async fn chunks_without_end() {
    let begin = format!("{JSON}transfer-encoding: chunked\r\n\r\n");
    stopped_of(1, &begin, "0", &[STOPPED]).await;
    stopped(&begin, "1\r\n \r\n", &[STOPPED, LARGE]).await;
    stopped(&begin, "1;abc\r\n \r\n", &["chunk extensions over limit"]).await;
    stopped(&format!("{begin}1;"), "a=b;", &["chunk extensions over limit"]).await;
    stopped(&format!("{begin}1\r\n{{\r\n0\r\n"), "a: b\r\n", &["chunk trailers"]).await;
}

#[tokio::test]
async fn bodies_without_end() {
    for part in [" ", "\n", "["] {
        stopped(&format!("{JSON}\r\n"), part, &[STOPPED, LARGE]).await;
    }
}

#[tokio::test]
async fn streams_of_events_without_end() {
    let closed = "the server closed the connection before an answer";
    let unfit = "not JSON";
    for part in
        ["\n", ": \n\n", "data:\n", "data:\n\n", "id: 1\n\n", "event: ping\ndata: {}\n\n", "retry: 1\n\n"]
    {
        stopped(&format!("{EVENTS}\r\n"), part, &[STOPPED, LARGE, closed, unfit]).await;
    }
}

/// A question whether an agent is there ends in time, on one thread too.
#[tokio::test]
async fn probes_end_in_time() {
    let (address, _) = endless(String::new(), "HTTP/1.1 100 Continue\r\n\r\n");
    let url = || format!("http://{address}/").parse().unwrap();
    let client = Client::new().unwrap();
    let server = Server::Http { client: client.clone(), url: url(), headers: Vec::new() };
    let (headers, protocol, name) = (Vec::new(), Protocol::Chat, "small".to_owned());
    let probes = [
        Probe::Service { client: client.clone(), url: url(), headers: headers.clone(), launch: None },
        Probe::Tools { mcp: Mcp::new(server, None), is_started: false, steps: Vec::new() },
        Probe::Model { client, protocol, url: url(), headers, name },
    ];
    for probe in probes {
        let (presence, late) = timed(probe.ask(Duration::from_millis(300), "")).await;
        assert_eq!(presence.missing[0].what, "it did not answer within 300ms");
        assert!(late < LATE, "a timer was {late:?} late");
    }
}
