//! Servers that send without end: a time limit, a question whether the agent is there, and Ctrl-C end in time.

use crate::place::Place;
use crate::program::told;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// What a server sends again and again; the second after its head.
const PARTS: [(&str, &str); 2] = [
    ("", "HTTP/1.1 100 Continue\r\n\r\n"),
    ("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n", ": \n\n"),
];

/// A server that ends with the test; it writes the file `asked` for its first request.
fn endless(place: &Place, (head, part): (&'static str, &'static str)) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, asked) = (listener.local_addr().unwrap(), place.path("asked"));
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let asked = asked.clone();
            // It ends when the connection does.
            std::thread::spawn(move || send(stream, head, part, &asked));
        }
    });
    address
}

fn send(mut stream: TcpStream, head: &str, part: &str, asked: &std::path::Path) -> std::io::Result<()> {
    if stream.read(&mut [0; 1 << 16])? == 0 {
        return Ok(());
    }
    std::fs::write(asked, "")?;
    stream.write_all(head.as_bytes())?;
    let parts = part.repeat((1 << 18) / part.len());
    loop {
        stream.write_all(parts.as_bytes())?;
    }
}

/// The settings of each kind of agent at the address of a server that sends this. A service that sends a body without
/// end is refused at once.
fn kinds(address: SocketAddr, (head, _): (&str, &str)) -> impl Iterator<Item = String> {
    let all = [
        format!("[agents.x]\nhttp = \"http://{address}/\"\n"),
        format!("[agents.x]\nmcp = \"http://{address}/\"\ntool = \"a\"\n"),
        format!("[providers.p]\nurl = \"http://{address}/v1\"\n\n[agents.x]\nmodel = \"p/small\"\n"),
    ];
    all.into_iter().skip(usize::from(!head.is_empty()))
}

#[test]
fn a_time_limit_and_a_probe_end_in_time() {
    for part in PARTS {
        let place = Place::new("# T\n\n## A @x [timeout:: 500ms]\n→ a::String\n");
        for settings in kinds(endless(&place, part), part) {
            place.write("orderflow.toml", &settings);
            let begin = Instant::now();
            let told = place.run("");
            assert_eq!(told.exit, Some(1), "{settings}{}", told.err);
            assert!(told.err.contains("A: timed out after 500ms"), "{settings}{}", told.err);
            let probed = place.orderflow("doctor flow.md --timeout 300ms");
            assert!(probed.exit != Some(70), "{}", probed.err);
            assert!(begin.elapsed() < Duration::from_secs(20), "{settings}: {:?}", begin.elapsed());
        }
    }
}

#[test]
fn ctrl_c_ends_a_run_in_time() {
    for part in PARTS {
        let place = Place::new("# T\n\n## A @x\n→ a::String\n");
        for settings in kinds(endless(&place, part), part) {
            let _ = std::fs::remove_file(place.path("asked"));
            place.write("orderflow.toml", &settings);
            let child = place.begin("");
            place.await_file("asked");
            let begin = Instant::now();
            kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
            let told = told(child.wait_with_output().unwrap());
            assert_eq!(told.exit, Some(143), "{settings}{}", told.err);
            assert!(begin.elapsed() < Duration::from_secs(10), "{settings}: {:?}", begin.elapsed());
        }
    }
}
