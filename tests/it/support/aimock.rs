//! A mock of model providers: npm `@copilotkit/aimock`, where it is installed. It speaks Chat, Messages and Responses,
//! and makes the faults that its fixtures name. Knows nothing of what the tests ask it.

use crate::parts::found;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A server on a free port of the loopback interface; it ends with its standard input.
pub struct Aimock {
    child: Child,
    /// Host and port.
    pub address: String,
}

impl Aimock {
    /// A server with these fixtures, written to a file in the folder; `None`, after a notice, if it is not installed.
    pub fn start(folder: &Path, fixtures: &Value) -> Option<Aimock> {
        let program =
            Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("aimock").join("node_modules/.bin/llmock");
        let needs = "`npm install --prefix target/aimock @copilotkit/aimock@1.43.0`";
        let program = found("aimock", needs, program.is_file().then_some(program))?;
        let path = folder.join("fixtures.json");
        std::fs::write(&path, fixtures.to_string()).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "\"$@\" & cat > /dev/null; kill $!", "sh"]).arg(program);
        command.args(["--port", "0", "--validate-on-load", "--fixtures"]).arg(path);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = log
            .find_map(|line| Some(line.unwrap().split_once("listening on http://")?.1.to_owned()))
            .expect("the mock does not listen");
        // A full pipe would stop it.
        std::thread::spawn(move || log.for_each(drop));
        Some(Aimock { child, address })
    }

    /// The bodies of all requests for this model, in order.
    pub fn asked(&self, model: &str) -> Vec<Value> {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        // HTTP 1.0 ends the body with the connection.
        stream.write_all(b"GET /__aimock/journal HTTP/1.0\r\n\r\n").unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        let (_, body) = response.split_once("\r\n\r\n").unwrap();
        let entries: Vec<Value> = serde_json::from_str(body).unwrap();
        let bodies = entries.into_iter().map(|mut entry| entry["body"].take());
        bodies.filter(|body| body["model"] == model).collect()
    }
}

impl Drop for Aimock {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}
