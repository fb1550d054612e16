//! What a run on Restate costs, beside the same run here: orders a second, and processor time an order of the server, the
//! worker and the command. `cargo bench --features restate --bench cluster [ORDERS]` measures; docs/cluster.md says what the
//! figures mean. All steps are stubbed, so that nothing but the engines is measured.

use anyhow::Context;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SEQUENCE: &str = "# Orders\n\n## Receive @shop\nname::String → received::String\n\n\
    ## Check Fraud @shop\nreceived → fraud::String\n\n## Check Stock @shop\nfraud → stock::String\n\n\
    ## Check Address @shop\nstock → address::String\n\n## Pay @shop\naddress → paid::String\n\n\
    ## Pack @shop\npaid → packed::String\n\n## Ship @shop\npacked → shipped::String\n";

const BRANCHES: &str = "# Orders\n\n## Receive @shop\nname::String → received::String\n\n\
    ## Checks (parallel) @shop\n\n### Check Fraud\nreceived → fraud::String\n\n### Check Stock\nreceived → stock::String\n\n\
    ### Check Address\nreceived → address::String\n\n## Pay @shop\nfraud, stock, address → paid::String\n\n\
    ## Pack @shop\npaid → packed::String\n\n## Ship @shop\npacked → shipped::String\n";

/// The longest that a server is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> anyhow::Result<()> {
    let orders = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(2_000_u32);
    let server = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("target/restate/node_modules/@restatedev/restate-server-linux-x64/bin/restate-server");
    if !server.is_file() {
        println!(
            "skipped: there is no Restate server: npm install --prefix target/restate @restatedev/restate-server-linux-x64"
        );
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    let mut items = String::new();
    for number in 0..orders {
        writeln!(items, "{{\"id\":\"order-{number}\",\"name\":\"Ada\"}}")?;
    }
    std::fs::write(path("items.jsonl"), items)?;
    std::fs::write(path("sequence.md"), SEQUENCE)?;
    std::fs::write(path("branches.md"), BRANCHES)?;
    let restate = Restate::start(&server, folder.path())?;
    println!("{orders} orders of seven stubbed steps, four partitions");
    println!(
        "| | orders/s | server ms/order | worker ms/order | command ms/order |\n|---|---:|---:|---:|---:|"
    );
    for (name, document) in [("in sequence", "sequence.md"), ("with branches", "branches.md")] {
        let away = ["--engine", "restate", "--ingress", &restate.ingress()].map(str::to_owned);
        for (engine, options) in [("here", &[][..]), ("on Restate", &away[..])] {
            let before = (restate.server.time()?, restate.worker.time()?, children()?);
            let begin = Instant::now();
            run(folder.path(), document, options)?;
            let wall = begin.elapsed().as_secs_f64();
            let each = |after: f64, before: f64| (after - before) * 1_000.0 / f64::from(orders);
            println!(
                "| {name}, {engine} | {:.0} | {:.2} | {:.2} | {:.2} |",
                f64::from(orders) / wall,
                each(restate.server.time()?, before.0),
                each(restate.worker.time()?, before.1),
                each(children()?, before.2),
            );
        }
    }
    Ok(())
}

fn run(folder: &Path, document: &str, options: &[String]) -> anyhow::Result<()> {
    let mut command = orderflow(folder);
    command.args(["run", document, "--items", "items.jsonl", "--stub", "--quiet", "--format", "json"]);
    let output = command.args(options).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{document}: {said}");
    Ok(())
}

fn orderflow(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orderflow"));
    command.current_dir(folder).env("XDG_STATE_HOME", folder.join(".state")).stdin(Stdio::null());
    command
}

/// A process that ends with this one.
struct Process(Child);

impl Process {
    /// Its processor time, in seconds.
    fn time(&self) -> anyhow::Result<f64> {
        ticks(&format!("/proc/{}/stat", self.0.id()), [11, 12])
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The processor time of the commands that have ended, in seconds.
fn children() -> anyhow::Result<f64> {
    ticks("/proc/self/stat", [13, 14])
}

/// The sum of two fields after the name, in seconds.
fn ticks(file: &str, fields: [usize; 2]) -> anyhow::Result<f64> {
    let text = std::fs::read_to_string(file)?;
    let (_, rest) = text.rsplit_once(") ").context("no process")?;
    let words: Vec<&str> = rest.split(' ').collect();
    let mut sum = 0;
    for field in fields {
        sum += words.get(field).context("no time")?.parse::<u32>()?;
    }
    // Linux has 100 ticks a second everywhere.
    Ok(f64::from(sum) / 100.0)
}

struct Restate {
    server: Process,
    worker: Process,
    /// Those of the ingress, of the admin API, and between servers.
    ports: [u16; 3],
}

impl Restate {
    fn start(program: &Path, folder: &Path) -> anyhow::Result<Restate> {
        let free = || TcpListener::bind(("127.0.0.1", 0));
        let held = [free()?, free()?, free()?];
        let mut ports = [0; 3];
        for (port, listener) in ports.iter_mut().zip(&held) {
            *port = listener.local_addr()?.port();
        }
        drop(held);
        let [ingress, admin, node] = ports;
        let settings = format!(
            "cluster-name = \"bench\"\nnode-name = \"n1\"\nbind-address = \"127.0.0.1:{node}\"\n\
             advertised-address = \"http://127.0.0.1:{node}\"\ndefault-num-partitions = 4\nlisten-mode = \"tcp\"\n\
             [admin]\nbind-address = \"127.0.0.1:{admin}\"\n[ingress]\nbind-address = \"127.0.0.1:{ingress}\"\n"
        );
        let file: PathBuf = folder.join("restate.toml");
        std::fs::write(&file, settings)?;
        let mut command = Command::new(program);
        command.arg("--config-file").arg(&file).arg("--base-dir").arg(folder.join("data"));
        command.env("RESTATE_DISABLE_TELEMETRY", "true").stdin(Stdio::null());
        let server = Process(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
        let mut command = orderflow(folder);
        command.args(["worker", "--engine", "restate", "--listen", "127.0.0.1:0"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let mut said = BufReader::new(child.stderr.take().context("no worker")?);
        let mut line = String::new();
        said.read_line(&mut line)?;
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        let restate = Restate { server, worker: Process(child), ports };
        let port = line.trim().rsplit(':').next().unwrap_or_default();
        let body = format!("{{\"uri\":\"http://127.0.0.1:{port}\"}}");
        let begin = Instant::now();
        while !restate.register(&body).starts_with("201") {
            anyhow::ensure!(begin.elapsed() < PATIENCE, "the worker cannot be registered: {line}");
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(restate)
    }

    fn ingress(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[0])
    }

    /// Status and body of the answer, or nothing.
    fn register(&self, body: &str) -> String {
        let ask = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(("127.0.0.1", self.ports[1]))?;
            stream.set_read_timeout(Some(Duration::from_secs(20)))?;
            let length = body.len();
            write!(
                stream,
                "POST /deployments HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
                 content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
            )?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer.split_once(' ').map(|(_, rest)| rest.to_owned()).unwrap_or_default())
        };
        ask().unwrap_or_default()
    }
}
