//! A server of NATS with JetStream, where it is installed, and a client of it. Knows nothing of what the tests send.

use crate::parts::found;
use async_nats::ConnectOptions;
use async_nats::jetstream::{self, Context, message::PublishMessage};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// The longest that a server is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server on a port of the loopback interface that stays the same; it ends with its standard input.
pub struct Nats {
    program: PathBuf,
    arguments: Vec<String>,
    folder: TempDir,
    child: Option<Child>,
    pub port: u16,
}

/// A message of a stream: its subject, its id, and its body.
pub type Stored = (String, Option<String>, String);

impl Nats {
    /// A server with these arguments; `None`, after a notice, if it is not installed.
    pub fn start(arguments: &[&str]) -> Option<Nats> {
        let own = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("nats").join("usr/sbin/nats-server");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut places = std::env::split_paths(&path).map(|folder| folder.join("nats-server"));
        let program = Some(own).filter(|own| own.is_file()).or_else(|| places.find(|place| place.is_file()));
        let program = found("nats", "`tests/it/support/nats.sh target/nats`", program)?;
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let mut nats = Nats { program, arguments, folder: TempDir::new().unwrap(), child: None, port: 0 };
        nats.up();
        Some(nats)
    }

    /// Starts it, again with what it has stored.
    pub fn up(&mut self) {
        let mut command = Command::new("sh");
        command.args(["-c", "\"$@\" & cat > /dev/null; kill -9 $!; wait", "sh"]).arg(&self.program);
        let port = if self.port == 0 { "-1".to_owned() } else { self.port.to_string() };
        command.args(["-a", "127.0.0.1", "-p", &port, "-js", "-sd"]).arg(self.folder.path().join("data"));
        command.arg("--ports_file_dir").arg(self.folder.path()).args(&self.arguments);
        self.child = Some(command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
        let begin = Instant::now();
        loop {
            if self.port == 0 {
                self.port = self.written().unwrap_or_default();
            } else if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return;
            }
            assert!(begin.elapsed() < PATIENCE, "nats-server does not start");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The port that it has chosen and written to a file.
    fn written(&self) -> Option<u16> {
        let files = std::fs::read_dir(self.folder.path()).unwrap();
        let mut paths = files.map(|file| file.unwrap().path());
        let ports = paths.find(|path| path.extension().is_some_and(|end| end == "ports"))?;
        let ports: serde_json::Value = serde_json::from_slice(&std::fs::read(ports).unwrap()).ok()?;
        ports["nats"][0].as_str()?.rsplit(':').next()?.parse().ok()
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.stdin.take());
            drop(child.wait());
        }
    }

    /// A channel `orders` with these types and further keys.
    pub fn channel(&self, types: &str, more: &str) -> String {
        let port = self.port;
        format!(
            "[channels.orders]\ntypes = [{types}]\nnats = \"nats://127.0.0.1:{port}\"\nstream = \"ORDERS\"\n{more}"
        )
    }

    pub fn client(&self, options: ConnectOptions) -> NatsClient {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let address = format!("nats://127.0.0.1:{}", self.port);
        let context = tokio.block_on(async { jetstream::new(options.connect(address).await.unwrap()) });
        NatsClient { context, tokio }
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.kill();
    }
}

pub struct NatsClient {
    tokio: Runtime,
    context: Context,
}

impl NatsClient {
    /// Publishes to the stream that has the subject, and waits for it.
    pub fn publish(&self, subject: &str, id: Option<&str>, body: &str) {
        let mut message = PublishMessage::build().payload(body.to_owned().into());
        if let Some(id) = id {
            message = message.message_id(id);
        }
        self.tokio.block_on(async {
            let sent = self.context.send_publish(subject.to_owned(), message).await.unwrap();
            sent.await.unwrap();
        });
    }

    /// All messages of the stream.
    pub fn stored(&self) -> Vec<Stored> {
        self.tokio.block_on(async {
            let Ok(mut stream) = self.context.get_stream("ORDERS").await else { return Vec::new() };
            let last = stream.info().await.unwrap().state.last_sequence;
            let mut all = Vec::new();
            for number in 1..=last {
                let message = stream.get_raw_message(number).await.unwrap();
                let id = message.headers.get("Nats-Msg-Id").map(|id| id.as_str().to_owned());
                let body = String::from_utf8(message.payload.to_vec()).unwrap();
                all.push((message.subject.to_string(), id, body));
            }
            all
        })
    }

    /// The messages that this consumer has to deliver, and those that were not acknowledged.
    pub fn left(&self, consumer: &str) -> Option<(u64, usize)> {
        self.tokio.block_on(async {
            let stream = self.context.get_stream("ORDERS").await.ok()?;
            let info = stream.consumer_info(consumer).await.ok()?;
            Some((info.num_pending, info.num_ack_pending))
        })
    }
}
