//! A real Restate server, where it is installed, and workers of orderflow that are registered there. Knows nothing of what
//! the tests run.

use crate::parts::found;
use crate::place::Place;
use crate::python;
use rustix::process::{Pid, Signal};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The longest that a server is waited for.
const PATIENCE: Duration = Duration::from_secs(90);

/// The key by which the server signs its requests, for these tests only, and the public one.
const SIGNED_BY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIF8UEMi0wjM3upYbmncnRGQ1Zs5THRv9zE08A6+ixQcb
-----END PRIVATE KEY-----
";
pub const PUBLIC: &str = "publickeyv1_MU8Mw8XdvEtUpQ1XZmKuuZ364dYYLbL6FdtQwS1k9ro";

/// A server on ports that stay the same; it ends with its standard input.
pub struct Restate {
    program: PathBuf,
    folder: TempDir,
    child: Option<Child>,
    /// Those of the ingress, of the admin API, and between servers.
    ports: [u16; 3],
    workers: Vec<Child>,
    /// What workers find in their environment besides.
    pub environment: Vec<(String, String)>,
}

/// The program of the server; `None`, after a notice, if it is not installed.
pub fn program() -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("restate");
    let own = own.join("node_modules/@restatedev/restate-server-linux-x64/bin/restate-server");
    let needs = "`npm install --prefix target/restate @restatedev/restate-server-linux-x64`";
    found("restate", needs, Some(own).filter(|own| own.is_file()))
}

impl Restate {
    /// A server; `None`, after a notice, if it is not installed.
    pub fn start() -> Option<Restate> {
        let program = program()?;
        // Free when they are asked for; another program seldom takes one in between.
        let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let held = [free(), free(), free()];
        let ports = held.each_ref().map(|one| one.local_addr().unwrap().port());
        drop(held);
        let folder = TempDir::new().unwrap();
        let mut server =
            Restate { program, folder, child: None, ports, workers: Vec::new(), environment: Vec::new() };
        server.up();
        Some(server)
    }

    /// Starts it, again with what it has stored.
    pub fn up(&mut self) {
        let [ingress, admin, node] = self.ports;
        let key = self.folder.path().join("key.pem");
        std::fs::write(&key, SIGNED_BY).unwrap();
        let key = key.display();
        let settings = format!(
            "cluster-name = \"test\"\nnode-name = \"n1\"\nbind-address = \"127.0.0.1:{node}\"\n\
             advertised-address = \"http://127.0.0.1:{node}\"\ndefault-num-partitions = 1\nlisten-mode = \"tcp\"\n\
             [admin]\nbind-address = \"127.0.0.1:{admin}\"\n[ingress]\nbind-address = \"127.0.0.1:{ingress}\"\n\
             [worker.invoker]\nrequest-identity-private-key-pem-file = \"{key}\"\n"
        );
        let file = self.folder.path().join("restate.toml");
        std::fs::write(&file, settings).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "\"$@\" & cat > /dev/null; kill -9 $!; wait", "sh"]).arg(&self.program);
        command.arg("--config-file").arg(&file).arg("--base-dir").arg(self.folder.path().join("data"));
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        command.env("RESTATE_DISABLE_TELEMETRY", "true").stdin(Stdio::piped());
        self.child = Some(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
        let begin = Instant::now();
        while !["/restate/health"].iter().all(|path| self.ask(ingress, "GET", path, "").starts_with("200"))
            || !self.ask(admin, "GET", "/health", "").starts_with("200")
        {
            let log = || std::fs::read_to_string(self.folder.path().join("log")).unwrap();
            assert!(begin.elapsed() < PATIENCE, "restate-server does not start: {}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.stdin.take());
            drop(child.wait());
        }
    }

    /// The options of a command for this server.
    pub fn options(&self) -> String {
        format!("--engine restate --ingress http://127.0.0.1:{}", self.ports[0])
    }

    /// The address of its ingress.
    pub fn ingress(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[0])
    }

    /// Status and body of the answer to a request, or nothing.
    fn ask(&self, port: u16, method: &str, path: &str, body: &str) -> String {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return String::new() };
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\naccept: application/json\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        if stream.write_all(format!("{head}{body}").as_bytes()).is_err() {
            return String::new();
        }
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).split_once(' ').map(|(_, rest)| rest.to_owned()).unwrap_or_default()
    }

    /// Starts a worker with the settings of this place and registers it; returns its number and its port.
    pub fn worker(&mut self, place: &Place, folder: &str, args: &str) -> (usize, u16) {
        let (number, port) = self.unregistered(place, folder, args);
        let begin = Instant::now();
        loop {
            let answer = self.register(port);
            if answer.starts_with("201") || answer.starts_with("200") {
                return (number, port);
            }
            assert!(begin.elapsed() < PATIENCE, "the worker cannot be registered: {answer}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// What the server says to a worker at this port.
    pub fn register(&self, port: u16) -> String {
        let body = format!("{{\"uri\":\"http://127.0.0.1:{port}\",\"force\":true}}");
        self.ask(self.ports[1], "POST", "/deployments", &body)
    }

    /// What the server says to a query.
    pub fn query(&self, query: &str) -> String {
        self.ask(self.ports[1], "POST", "/query", query)
    }

    /// Kills the only run under way, as an operator of the server does.
    pub fn kill_run(&self) {
        let begin = Instant::now();
        loop {
            let found = self.query(
                "{\"query\": \"SELECT id FROM sys_invocation WHERE target_service_name = 'orderflow.run' \
                 AND target_handler_name = 'run' AND status <> 'completed'\"}",
            );
            let id = found.split('"').find(|word| word.starts_with("inv_"));
            let kill = |id| self.ask(self.ports[1], "PATCH", &format!("/invocations/{id}/kill"), "");
            // What a query finds may be older than what the server does.
            let killed = id.map(kill).unwrap_or_default();
            if killed.starts_with('2') {
                return;
            }
            assert!(begin.elapsed() < PATIENCE, "{found}\n{killed}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Starts a worker that no server knows yet.
    pub fn unregistered(&mut self, place: &Place, folder: &str, args: &str) -> (usize, u16) {
        let mut command = place.command(&format!("worker --engine restate {args}"));
        if !args.contains("--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        command.env("PATH", python::path()).envs(self.environment.clone());
        command.current_dir(place.path(folder)).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        let port = line.trim().rsplit(':').next().and_then(|port| port.parse().ok());
        let port = port.unwrap_or_else(|| panic!("the worker does not start: {line}"));
        // It must not block on what it says later.
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        self.workers.push(child);
        (self.workers.len() - 1, port)
    }

    /// Ends a worker with SIGTERM, and so what it has started.
    pub fn end_worker(&mut self, number: usize) {
        let child = &mut self.workers[number];
        rustix::process::kill_process(Pid::from_child(child), Signal::TERM).unwrap();
        child.wait().unwrap();
    }

    /// Kills a worker with SIGKILL.
    pub fn kill_worker(&mut self, number: usize) {
        let child = &mut self.workers[number];
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Drop for Restate {
    fn drop(&mut self) {
        for child in &mut self.workers {
            let _ = child.kill();
            let _ = child.wait();
        }
        self.kill();
    }
}
