//! Services that orderflow starts: real programs that listen on the loopback interface.

use super::super::http::{Client, Service};
use super::super::launch::Launch;
use super::super::program::Program;
use super::super::{Adapter, Stop, Urgency};
use super::{PATIENCE, call, describe};
use serde_json::json;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{TcpListener, TcpStream};
use std::path::Path;

/// Answers every POST with its path and the process, and ends when the path is `/end`.
const SERVICE: &str = r#"
import json, os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Service(BaseHTTPRequestHandler):
    def do_POST(self):
        print("asked for", self.path, flush=True)
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/end":
            os._exit(7)
        body = json.dumps({"a": {"path": self.path}, "pid": os.getpid(), "port": int(os.environ["PORT"]), "key": os.environ.get("KEY"),
                           "messages": [{"to": "db", "text": "COMMIT"}, {"to": "db", "from": "db", "text": "x"}, 7]}).encode()
        self.send_response(500 if self.path == "/bad" else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass

HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Service).serve_forever()
"#;

fn python(source: &str, folder: &Path) -> Program {
    Program {
        command: ["python3", "-S", "-c", source].map(str::to_owned).to_vec(),
        folder: folder.to_owned(),
        env: vec![
            ("PATH".to_owned(), std::env::var_os("PATH").unwrap()),
            ("KEY".to_owned(), OsString::from("k-1")),
        ],
    }
}

fn service(source: &str, address: &str, folder: &Path) -> Service {
    let url = address.parse().unwrap();
    let launch = Launch::new(python(source, folder), &url).unwrap();
    let urls = ["/bad", "/end", "/orders"].map(|path| (path.to_owned(), url.join(path).unwrap()));
    Service::new(Client::new().unwrap(), url, Vec::new()).with_urls(BTreeMap::from(urls)).started_by(launch)
}

/// Calls the step whose name is this path.
async fn ask(service: &Service, step: &str, folder: &Path) -> (String, Option<(u64, u16)>) {
    let mut call = call(folder, "a::JSON", json!({}));
    call.context.step = step.into();
    let outputs = call.outputs.clone();
    let (_stopper, stop) = Stop::new();
    let answer =
        tokio::time::timeout(PATIENCE, service.call(call, stop)).await.expect("no end of the attempt");
    let column = |name: &str| {
        let (_, value) = answer.as_ref().ok()?.columns.iter().find(|(known, _)| **known == *name)?;
        value.as_u64()
    };
    let place = column("pid").zip(column("port").and_then(|port| u16::try_from(port).ok()));
    let relayed: Vec<String> = match &answer {
        Ok(reply) => {
            reply.relayed.iter().map(|one| format!("{} {}: {}", one.role, one.party, one.text)).collect()
        }
        Err(failure) => vec![failure.log.clone()],
    };
    let said = describe(&outputs, &answer);
    let said = said.split("; pid").next().unwrap_or_default();
    (format!("{said} {relayed:?}"), place)
}

async fn close(service: &Service) {
    let (stopper, stop) = Stop::new();
    stopper.ask(Urgency::Terminate);
    service.close(stop).await;
}

#[tokio::test]
async fn a_service_is_started_once_started_again_after_its_end_and_ends_with_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let service = service(SERVICE, "http://127.0.0.1:0/steps", folder.path());
    let (said, first) = ask(&service, "Other", folder.path()).await;
    assert_eq!(said, r#"a={"path":"/steps"} ["sent to db: COMMIT"]"#);
    let (said, second) = ask(&service, "/orders", folder.path()).await;
    assert_eq!(said, r#"a={"path":"/orders"} ["sent to db: COMMIT"]"#);
    assert_eq!(first, second);
    let (said, _) = ask(&service, "/bad", folder.path()).await;
    assert!(said.contains("the service answered 500") && said.contains("asked for /bad"), "{said}");
    let (said, _) = ask(&service, "/end", folder.path()).await;
    let end = "connection closed before message completed; the service exited with 7: asked for /end; Unknown, again";
    assert!(said.contains(end) && said.contains(r#"["asked for /end\n"]"#), "{said}");
    let (_, third) = ask(&service, "/orders", folder.path()).await;
    let (pid, port) = third.unwrap();
    assert_ne!(first.unwrap().0, pid);
    close(&service).await;
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[tokio::test]
async fn a_service_that_does_not_listen_is_a_failure_before_the_call() {
    let folder = tempfile::tempdir().unwrap();
    let ends = service("import sys; sys.exit('no database')", "http://127.0.0.1:0/", folder.path());
    let (said, _) = ask(&ends, "Other", folder.path()).await;
    assert_eq!(
        said,
        "Start: the service exited with 1: no database; NotExecuted, again [\"no database\\n\"]"
    );
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", taken.local_addr().unwrap());
    let (said, _) = ask(&service(SERVICE, &address, folder.path()), "Other", folder.path()).await;
    assert!(said.contains("something else may listen there; NotExecuted, again"), "{said}");
}

#[tokio::test]
async fn a_call_that_is_stopped_while_the_service_starts_was_never_made() {
    let folder = tempfile::tempdir().unwrap();
    let service = service("import time; time.sleep(600)", "http://127.0.0.1:0/", folder.path());
    let call = call(folder.path(), "a::JSON", json!({}));
    let outputs = call.outputs.clone();
    let (stopper, stop) = Stop::new();
    let asked = service.call(call, stop);
    stopper.ask(Urgency::Terminate);
    let answer = tokio::time::timeout(PATIENCE, asked).await.expect("no end of the attempt");
    assert_eq!(
        describe(&outputs, &answer),
        "Stopped: stopped before the service was started; NotExecuted, again"
    );
    close(&service).await;
}

#[test]
fn only_addresses_of_this_machine_are_started() {
    let launch = |url: &str| Launch::new(python("", Path::new("/")), &url.parse().unwrap()).is_some();
    for url in ["http://127.0.0.1:0/", "http://localhost:80/x", "http://[::1]:9/", "http://127.9.9.9/"] {
        assert!(launch(url), "{url}");
    }
    for url in ["http://10.0.0.1:80/", "https://example.com/", "http://0.0.0.0:80/", "http://[::]:1/"] {
        assert!(!launch(url), "{url}");
    }
}

/// Both would listen at the same port: the second one must not take the first one's for its own.
#[tokio::test]
async fn the_service_of_another_run_is_not_taken_for_the_own_one() {
    let folder = tempfile::tempdir().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", free.local_addr().unwrap());
    drop(free);
    let (one, other) = (service(SERVICE, &address, folder.path()), service(SERVICE, &address, folder.path()));
    let (one, other) =
        tokio::join!(ask(&one, "/orders", folder.path()), ask(&other, "/orders", folder.path()));
    let answered = [&one, &other].into_iter().filter(|(_, place)| place.is_some()).count();
    assert_eq!(answered, 1, "{one:?} {other:?}");
    let (failed, _) = if one.1.is_some() { other } else { one };
    assert!(failed.contains("Address already in use"), "{failed}");
}
