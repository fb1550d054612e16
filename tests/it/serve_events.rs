//! The events of runs over HTTP: complete, in order, resumed, for many followers and for slow ones.

use crate::place::Place;
use crate::serving::Serving;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt};

/// Every item waits for the file `go`.
const WAITING: &str = "# Flow\n\n## Wait [effects:: none]\nname::String -> out::String\n\n```sh run\n\
                       until test -e go; do sleep 0.02; done\necho out\n```\n";

/// Without an agent, so that all is done at once by a stub.
const QUICK: &str = "# Flow\n\n## First @one [effects:: none]\nname::String -> a::String\n\n\
                     ## Second @two [effects:: none]\na -> b::String\n\n## Third @three [effects:: none]\nb -> c::String\n";

fn place(document: &str, items: usize) -> Place {
    let place = Place::new(document);
    place.write("orderflow.toml", "fences = true\n");
    let items: String = (0..items).map(|n| format!("{{\"id\": \"i{n}\", \"name\": \"n\"}}\n")).collect();
    place.write("items.jsonl", &items);
    place
}

fn request(server: &Serving, rest: &str, headers: &str) -> String {
    let Serving { address, token, .. } = server;
    format!(
        "GET /api/runs/last/events{rest} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n{headers}\r\n"
    )
}

/// A connection on which the events come.
fn follow(server: &Serving, rest: &str, headers: &str) -> BufReader<TcpStream> {
    let mut stream = server.connect();
    stream.write_all(request(server, rest, headers).as_bytes()).unwrap();
    BufReader::new(stream)
}

/// The number of an event, or what another message is about.
#[derive(Debug, PartialEq)]
enum Got {
    Event(u64),
    Active(bool),
}

/// Understands the lines of a stream; the first line of a message says what it is.
fn understood(line: &str) -> Option<Got> {
    let data = line.strip_prefix("data: ")?;
    let data: Value = serde_json::from_str(data).unwrap_or_else(|_| panic!("{line}"));
    match data["event"].as_u64() {
        Some(number) => Some(Got::Event(number)),
        None => Some(Got::Active(data["active"].as_bool().unwrap_or_else(|| panic!("{line}")))),
    }
}

/// The next message of a blocking connection.
fn next(stream: &mut BufReader<TcpStream>) -> Got {
    loop {
        let mut line = String::new();
        assert!(stream.read_line(&mut line).unwrap() > 0, "the stream has ended");
        if let Some(got) = understood(line.trim_end()) {
            return got;
        }
    }
}

/// All events so far.
fn events(server: &Serving, rest: &str) -> Vec<Value> {
    let answer = server.get(&format!("/api/runs/last/events?follow=false{rest}"));
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, Some("text/event-stream")),
        "{answer:?}"
    );
    let text = answer.text();
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let data = data.map(|data| serde_json::from_str::<Value>(data).unwrap());
    data.filter(|data| data["event"].is_u64()).collect()
}

#[test]
fn events_say_what_happened_without_values_and_resume() {
    let place = place(&QUICK.replace("a::String", "a::Secret"), 1);
    assert_eq!(place.run("--stub --items items.jsonl --quiet").exit, Some(0));
    let server = Serving::start(place.command("serve"));
    let all = events(&server, "");
    let numbers: Vec<u64> = all.iter().map(|event| event["event"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=all.len() as u64).collect::<Vec<_>>());
    let changes: Vec<&str> = all.iter().map(|event| event["change"].as_str().unwrap()).collect();
    let step = ["attempt.started", "attempt.finished", "step.ended"];
    let expected: Vec<&str> =
        ["item.admitted"].into_iter().chain(step).chain(step).chain(step).chain(["item.settled"]).collect();
    assert_eq!(
        changes.iter().filter(|change| expected.contains(change)).copied().collect::<Vec<_>>(),
        expected
    );
    let ended = all.iter().find(|event| event["change"] == "step.ended").unwrap();
    assert_eq!(
        (&ended["item"], &ended["step"], &ended["status"]),
        (&"i0".into(), &"First".into(), &"success".into())
    );
    // A follower that was cut off gets the rest, by the header or by the link.
    let last = all.len() as u64;
    let mut stream = follow(&server, "", "last-event-id: 3\r\n");
    for number in 4..=last {
        assert_eq!(next(&mut stream), Got::Event(number));
    }
    assert_eq!(next(&mut stream), Got::Active(false));
    assert_eq!(events(&server, "&after=4")[0]["event"], 5);
    for wrong in ["?after=x", "?follow=maybe", "?x=1"] {
        assert_eq!(server.get(&format!("/api/runs/last/events{wrong}")).status, 400, "{wrong}");
    }
    assert_eq!(server.ask("GET", "/api/runs/last/events", &[("last-event-id", "x")], "").status, 400);
    assert_eq!(server.get("/api/runs/none/events").status, 404);
}

/// Events before and after a change of the document are those of the document that the run followed then.
#[test]
fn events_of_a_run_with_a_changed_document_are_followed() {
    let asks = "# Flow\n\n## First [effects:: none]\nname::String -> a::String\n\n```sh run\necho a\n```\n\n\
                ## Last [effects:: none]\n> [!gate] Go?\n\na -> z::String\n\n```sh run\necho z\n```\n";
    let place = place(asks, 1);
    assert_eq!(place.run("--items items.jsonl --quiet").exit, Some(5));
    let server = Serving::start(place.command("serve"));
    let mut stream = follow(&server, "", "");
    let mut count = 0;
    while let Got::Event(number) = next(&mut stream) {
        count = number;
    }
    let later = "\n## Later [effects:: none]\nz -> b::String\n\n```sh run\necho b\n```\n";
    place.write("flow.md", &(asks.to_owned() + later));
    let resumed = place.orderflow("resume last --use-current --trust --quiet");
    assert_eq!(resumed.exit, Some(5), "{}", resumed.err);
    assert_eq!(place.orderflow("approve last Last").exit, Some(0));
    assert_eq!(place.orderflow("resume last --quiet").exit, Some(0));
    let all = events(&server, "");
    let ended: Vec<&str> = all
        .iter()
        .filter(|event| event["change"] == "step.ended")
        .map(|event| event["step"].as_str().unwrap())
        .collect();
    assert_eq!(ended, ["First", "Last", "Later"]);
    let last = all.last().unwrap()["event"].as_u64().unwrap();
    while count < last {
        if let Got::Event(number) = next(&mut stream) {
            assert_eq!(number, count + 1);
            count = number;
        }
    }
}

/// It reads nothing until all has happened: its events are no longer in the server's memory.
#[test]
fn a_slow_follower_gets_every_event() {
    let place = place(QUICK, 2000);
    let mut run = place.command("run flow.md --stub --items items.jsonl --quiet --wait").spawn().unwrap();
    place.until("the run begins", || place.orderflow("runs --format json").out.contains("\"run\""));
    let server = Serving::start(place.command("serve"));
    let mut slow = follow(&server, "", "");
    assert_eq!(next(&mut slow), Got::Event(1));
    assert!(run.wait().unwrap().success());
    let last = events(&server, "").len() as u64;
    assert!(last > 20_000, "{last}");
    let mut expected = 2;
    loop {
        match next(&mut slow) {
            Got::Event(number) => {
                assert_eq!(number, expected);
                expected += 1;
            }
            Got::Active(false) => break,
            Got::Active(true) => {}
        }
    }
    assert_eq!(expected, last + 1);
}

/// How long a run takes from the moment in which its items may go on; `beside` is called before that.
fn measured(place: &Place, beside: impl FnOnce()) -> Duration {
    let mut run = place.command("run flow.md --trust --items items.jsonl --quiet --jobs 8").spawn().unwrap();
    place.until("all begin", || {
        place.orderflow("runs --status running --format json").out.contains("\"in_flight\": 8")
    });
    beside();
    let begin = Instant::now();
    place.write("go", "");
    assert!(run.wait().unwrap().success());
    begin.elapsed()
}

#[test]
fn a_thousand_followers_do_not_hold_up_a_run() {
    const FOLLOWERS: usize = 1000;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum.or(limit.current), ..limit };
    // A server has four files for three connections.
    let _ = rustix::process::setrlimit(rustix::process::Resource::Nofile, raised);
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(1 << 20);
    let followers = FOLLOWERS.min(files as usize / 2);
    let alone = measured(&place(WAITING, 200), || {});
    let place = place(WAITING, 200);
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    let mut server = None;
    let begun = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let beside = measured(&place, || {
        let serving = Serving::start(place.command("serve"));
        let (address, request) = (serving.address, request(&serving, "", ""));
        for _ in 0..followers {
            let (request, begun) = (request.clone(), begun.clone());
            let client = async move {
                let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
                stream.write_all(request.as_bytes()).await.unwrap();
                let mut lines = tokio::io::BufReader::new(stream).lines();
                let mut count = 0;
                while let Some(line) = lines.next_line().await.unwrap() {
                    match understood(&line) {
                        Some(Got::Event(number)) => {
                            count += 1;
                            assert_eq!(number, count);
                            if count == 1 {
                                begun.add_permits(1);
                            }
                        }
                        Some(Got::Active(false)) => return count,
                        Some(Got::Active(true)) | None => {}
                    }
                }
                panic!("the stream has ended");
            };
            tasks.spawn_on(client, tokio.handle());
        }
        let all = begun.acquire_many(u32::try_from(followers).unwrap());
        drop(tokio.block_on(all).unwrap());
        server = Some(serving);
    });
    let counts = tokio.block_on(tasks.join_all());
    let server = server.unwrap();
    let last = events(&server, "").len() as u64;
    assert_eq!(counts, vec![last; followers]);
    let spent = spent(server.child.id());
    println!(
        "{last} events, alone {alone:?}, with {followers} followers {beside:?}, the server {spent:?} of CPU"
    );
    assert!(beside < alone * 5 + Duration::from_secs(5), "{beside:?} with followers, {alone:?} alone");
    // Those that are gone have left nothing.
    place.until("the connections are closed", || {
        std::fs::read_dir(format!("/proc/{}/fd", server.child.id())).map_or(true, |all| all.count() < 100)
    });
}

/// The time of the processors that a process has used.
fn spent(process: u32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let rest = text.rsplit(") ").next().unwrap_or_default();
    let ticks: u64 = rest.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}
