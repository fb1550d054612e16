//! Tools of MCP servers as agents: real servers of both eras of the protocol over stdio and HTTP, and a killed runner.

use crate::parts::found;
use crate::place::Place;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The folder of the npm packages with servers, where they are installed.
pub fn packages() -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("mcp").join("node_modules");
    let there =
        own.join(".bin/mcp-server-everything").exists() && own.join("@modelcontextprotocol/server").exists();
    let node = Command::new("node").arg("--version").output().is_ok_and(|output| output.status.success());
    let needs = "`npm install --prefix target/mcp @modelcontextprotocol/server-everything@2026.8.31 @modelcontextprotocol/server@2.4`";
    found("mcp", needs, (there && node).then_some(own))
}

/// A folder with a document, from which node finds the packages, and a server of 2026.
pub fn stock(document: &str, packages: &Path) -> Place {
    let place = Place::new(document);
    std::os::unix::fs::symlink(packages, place.path("node_modules")).unwrap();
    place.write("stock.mjs", include_str!("../fixtures/mcp/stock.mjs"));
    place
}

/// A server over HTTP, which ends with the test.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

const STOCK: &str = "# Stock\n\n## Echo @every\nmessage::String → said::String\n\n\
    ## Get Sum @sums\na::Integer, b::Integer → sum::String\n\n\
    ## Reserve Article @stock\narticle::String, count::Integer → reservation::String\n\n\
    ## Ask Size @stock\narticle → size::String\n";

const INPUTS: &str = "--input message=hi --input a=2 --input b=3 --input article=hat --input count=4";

fn made(place: &Place) -> Vec<String> {
    let told = place.orderflow("show last --item 1");
    let made = told.out.lines().filter(|line| line.contains("makes ") || line.contains("reports "));
    made.map(|line| line.trim().to_owned()).collect()
}

const MADE: [&str; 5] = [
    "makes said: \"Echo: hi\"",
    "makes sum: \"The sum of 2 and 3 is 5.\"",
    "makes reservation: \"hat-4\"",
    "reports left: 96",
    "makes size: \"the answer was decline\"",
];

#[test]
fn real_servers_of_both_eras_do_steps_over_stdio() {
    let Some(packages) = packages() else { return };
    let place = stock(STOCK, &packages);
    let every = "mcp = [\"node\", \"node_modules/.bin/mcp-server-everything\"]";
    place.write(
        "orderflow.toml",
        &format!("[agents.every]\n{every}\ntool = \"echo\"\n[agents.sums]\n{every}\n[agents.stock]\nmcp = [\"node\", \"stock.mjs\"]\nenv = [\"STOCK_LOG\"]\n"),
    );
    let mut command = place.command(&format!("run flow.md --quiet {INPUTS}"));
    let told = crate::program::told(command.env("STOCK_LOG", place.path("calls")).output().unwrap());
    assert_eq!(told.exit, Some(0), "{}", told.err);
    assert_eq!(made(&place), MADE);
    let failed = place.run(&INPUTS.replace("count=4", "count=400"));
    assert_eq!(failed.exit, Some(1));
    assert!(failed.err.contains("1: Reserve Article failed: only 100 of hat are there\n"), "{}", failed.err);
    let key = place.read("calls");
    assert!(key.trim().len() > 20, "the idempotency key: {key}");
}

#[test]
fn real_servers_of_both_eras_do_steps_over_http() {
    let Some(packages) = packages() else { return };
    let place = stock(STOCK, &packages);
    let node = |args: &[&str]| {
        let mut node = Command::new("node");
        node.args(args).current_dir(place.folder()).stdout(Stdio::null()).stderr(Stdio::piped());
        node
    };
    let _stock = Served(node(&["stock.mjs", "port"]).stderr(Stdio::null()).spawn().unwrap());
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let every = ["node_modules/.bin/mcp-server-everything", "streamableHttp"];
    let mut every = Served(node(&every).env("PORT", port.to_string()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(every.0.stderr.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("listening"), "{line}");
    place.await_file("port");
    let stock = place.read("port");
    let bind = |key: &str| {
        place.write(
            "orderflow.toml",
            &format!(
                "[agents.every]\nmcp = \"http://127.0.0.1:{port}/mcp\"\ntool = \"echo\"\n[agents.sums]\nmcp = \"http://127.0.0.1:{port}/mcp\"\n\
                 [agents.stock]\nmcp = \"http://127.0.0.1:{stock}/mcp\"\n{key}\n"
            ),
        );
    };
    bind("key = \"secret:STOCK_KEY\"");
    let mut command = place.command(&format!("run flow.md --quiet {INPUTS}"));
    let told = crate::program::told(command.env("STOCK_KEY", "letmein").output().unwrap());
    assert_eq!(told.exit, Some(0), "{}", told.err);
    assert_eq!(made(&place), MADE);
    bind("");
    let refused = place.run(INPUTS);
    assert_eq!(refused.exit, Some(1));
    let message = "1: Reserve Article failed: the server answered 401 Unauthorized\n";
    assert!(refused.err.contains(message), "{}", refused.err);
}

/// The server of a killed runner is ended before the attempt is made again, with the same key.
#[test]
fn a_killed_runner_leaves_no_server_and_resumes_with_the_same_key() {
    let place = Place::new("# T\n\n## Pay @shop\na::Integer → paid::Integer\n");
    place.write("orderflow.toml", "[agents.shop]\nmcp = [\"python3\", \"server.py\"]\n");
    place.write(
        "server.py",
        "import json, os, sys, time\n\
         def send(**message): print(json.dumps({'jsonrpc': '2.0', **message}), flush=True)\n\
         for line in sys.stdin:\n    \
             message = json.loads(line)\n    \
             method, id = message['method'], message.get('id')\n    \
             if method == 'initialize': send(id=id, result={'protocolVersion': '2025-11-25', 'capabilities': {}, 'serverInfo': {'name': 's', 'version': '1'}})\n    \
             elif method == 'tools/list': send(id=id, result={'tools': [{'name': 'pay', 'inputSchema': {'type': 'object'}}]})\n    \
             elif method == 'tools/call':\n        \
                 open('keys', 'a').write(message['params']['_meta']['orderflow/idempotency_key'] + '\\n')\n        \
                 if not os.path.exists('pid'):\n            \
                     open('part', 'w').write(str(os.getpid()))\n            \
                     os.rename('part', 'pid')\n            \
                     time.sleep(1000)\n        \
                 send(id=id, result={'structuredContent': {'paid': 1}})\n    \
             elif id is not None: send(id=id, error={'code': -32601, 'message': 'no'})\n",
    );
    let mut child = place.begin("--input a=1");
    place.await_file("pid");
    child.kill().unwrap();
    child.wait().unwrap();
    let server = PathBuf::from(format!("/proc/{}/stat", place.read("pid")));
    assert!(server.exists(), "it was left");
    let told = place.orderflow("resume last");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    let stat = std::fs::read_to_string(server).unwrap_or_default();
    assert!(stat.is_empty() || stat.contains(") Z "), "{stat}");
    let keys = place.read("keys");
    let keys: Vec<&str> = keys.lines().collect();
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[0], keys[1]);
    assert_eq!(place.rows("session.toon"), ["Pay 1 #1 success"]);
}
