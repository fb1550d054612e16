//! A collector of OpenTelemetry, where it is installed, that writes the spans which it gets as text. Knows nothing of
//! what the tests send.

use crate::parts::found;
use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The longest that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A collector on the loopback interface; it ends with its standard input.
pub struct Collector {
    child: Child,
    folder: TempDir,
    pub url: String,
}

/// A span as the collector got it.
#[derive(Clone, Debug, Default)]
pub struct Got {
    pub trace: String,
    pub parent: String,
    pub id: String,
    pub name: String,
    pub kind: String,
    /// The message of its status, for an error.
    pub error: Option<String>,
    /// In nanoseconds since 1970.
    pub began: u64,
    pub ended: u64,
    /// By name, as `Str(…)` or `Int(…)`.
    pub attributes: BTreeMap<String, String>,
    /// The names of its events.
    pub events: Vec<String>,
}

impl Collector {
    /// `None`, after a notice, if it is not installed.
    pub fn start() -> Option<Collector> {
        let own = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("rotel");
        let find = || -> Option<PathBuf> {
            let lib = std::fs::read_dir(own.join("lib")).ok()?.next()?.ok()?.path();
            Some(lib.join("site-packages/rotel/rotel-agent")).filter(|program| program.is_file())
        };
        let needs = "`python3 -m venv target/rotel && target/rotel/bin/pip install rotel`";
        let program = found("rotel", needs, find())?;
        let folder = TempDir::new().unwrap();
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (http, grpc) = (free().to_string(), free().to_string());
        let mut command = Command::new("sh");
        command.args(["-c", "\"$@\" & cat > /dev/null; kill -9 $!; wait", "sh"]).arg(&program);
        command.args(["start", "--exporter", "blackhole", "--debug-log", "traces"]);
        command.args(["--debug-log-verbosity", "detailed"]);
        command.args(["--otlp-http-endpoint", &http, "--otlp-grpc-endpoint", &grpc]);
        let out = std::fs::File::create(folder.path().join("spans")).unwrap();
        let child = command.stdin(Stdio::piped()).stdout(out).stderr(Stdio::null()).spawn().unwrap();
        let begin = Instant::now();
        while TcpStream::connect(&http).is_err() {
            assert!(begin.elapsed() < PATIENCE, "the collector does not start");
            std::thread::sleep(Duration::from_millis(5));
        }
        Some(Collector { child, folder, url: format!("http://{http}") })
    }

    /// The spans so far, in the order in which they came.
    pub fn spans(&self) -> Vec<Got> {
        let text = std::fs::read_to_string(self.folder.path().join("spans")).unwrap();
        text.split("\nSpan #").skip(1).map(read).collect()
    }

    /// The spans, once there are so many.
    pub fn until(&self, count: usize) -> Vec<Got> {
        let begin = Instant::now();
        loop {
            let spans = self.spans();
            // The last one may be incomplete.
            let whole = spans.last().is_some_and(|last| last.ended > 0 && !last.attributes.is_empty());
            if spans.len() >= count && whole {
                assert_eq!(spans.len(), count, "{spans:#?}");
                return spans;
            }
            assert!(begin.elapsed() < PATIENCE, "{} of {count} spans: {spans:#?}", spans.len());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}

fn read(text: &str) -> Got {
    let mut got = Got::default();
    let mut failed = false;
    let mut message = String::new();
    let mut events = false;
    for line in text.lines() {
        if let Some(pair) = line.trim_start().strip_prefix("-> ") {
            let (name, value) = pair.split_once(": ").unwrap_or((pair, ""));
            match (events, name) {
                (true, "Name") => got.events.push(value.to_owned()),
                (true, _) => {}
                (false, name) => drop(got.attributes.insert(name.to_owned(), value.to_owned())),
            }
            continue;
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.trim().to_owned();
        match name.trim() {
            "Trace ID" => got.trace = value,
            "Parent ID" => got.parent = value,
            "ID" => got.id = value,
            "Name" => got.name = value,
            "Kind" => got.kind = value,
            "Status code" => failed = value == "STATUS_CODE_ERROR",
            "Status message" => message = value,
            "Start time" => got.began = value.parse().unwrap_or(0),
            "End time" => got.ended = value.parse().unwrap_or(0),
            "Events" => events = true,
            _ => {}
        }
    }
    got.error = failed.then_some(message);
    got
}
