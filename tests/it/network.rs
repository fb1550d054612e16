//! Where orderflow itself connects: to the addresses in `orderflow.toml` and nowhere else. Each command runs in a network
//! namespace in which every address is this machine and every packet is seen.

use crate::parts::found;
use crate::place::Place;
use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Stdio};

/// Makes every address one of this machine. IPv6 may be switched off.
const NAMESPACE: &str = "ip link set lo up && ip route add local default dev lo && { ip -6 route add local default dev lo || :; } && \"$@\"";

/// A shell command in a namespace of its own.
fn isolated(command: &[&str]) -> Command {
    let mut isolated = Command::new("unshare");
    isolated.args(["-rn", "sh", "-c", NAMESPACE, "sh"]).args(command);
    isolated
}

/// What came of a command, and all that it sent.
struct Observed {
    exit: i64,
    err: String,
    seen: Vec<String>,
}

/// The environment of a user behind proxies.
const PROXIES: [(&str, &str); 7] = [
    ("http_proxy", "http://proxy.example:3128"),
    ("HTTP_PROXY", "http://proxy.example:3128"),
    ("https_proxy", "http://proxy.example:3128"),
    ("HTTPS_PROXY", "http://proxy.example:3128"),
    ("all_proxy", "socks5://10.9.8.7:1080"),
    ("ALL_PROXY", "socks5://10.9.8.7:1080"),
    ("no_proxy", ""),
];

/// Runs commands one after the other; `None`, after a notice, where no such namespace can be made.
fn observe(place: &Place, commands: &[Vec<&str>]) -> Option<Vec<Observed>> {
    let is_isolated = isolated(&["true"]).output().is_ok_and(|output| output.status.success());
    found("net", "`unshare -rn` and `ip`, and a kernel that allows them", is_isolated.then_some(()))?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/net.py");
    let mut command = isolated(&["python3", script]);
    command.current_dir(place.folder()).envs(PROXIES).env("XDG_STATE_HOME", place.path(".state"));
    command.env("SHOP_KEY", "a-key-of-the-shop").env("OPENAI_API_KEY", "a-key-of-a-model");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let lines: String = commands.iter().map(|command| format!("{}\n", json!(command))).collect();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let observed = |line: &str| {
        let report: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| report[name].as_str().unwrap().to_owned();
        let seen = report["seen"].as_array().unwrap().iter();
        Observed {
            exit: report["exit"].as_i64().unwrap(),
            err: text("err"),
            seen: seen.map(|sent| sent.as_str().unwrap().to_owned()).collect(),
        }
    };
    Some(String::from_utf8(output.stdout).unwrap().lines().map(observed).collect())
}

/// Agents by their names, their settings, and whether they answer. All listen at port 8080.
const AGENTS: [(&str, &str, bool); 16] = [
    ("plain", "http = \"http://127.0.0.1:8080/steps\"\nkey = \"secret:SHOP_KEY\"", true),
    ("named", "http = \"http://shop.example:8080/steps\"\nkey = \"secret:SHOP_KEY\"", true),
    ("alternative", "http = \"http://127.0.0.1:8080/alternative\"", true),
    ("moved", "http = \"http://127.0.0.1:8080/moved\"\nkey = \"secret:SHOP_KEY\"", false),
    ("port", "http = \"http://127.0.0.1:8080/port\"\nkey = \"secret:SHOP_KEY\"", false),
    ("found", "http = \"http://127.0.0.1:8080/found\"", false),
    ("other", "http = \"http://127.0.0.1:8080/other\"", false),
    ("accepted", "http = \"http://127.0.0.1:8080/accepted\"\nkey = \"secret:SHOP_KEY\"", false),
    ("proxy", "http = \"http://127.0.0.1:8080/proxy\"", false),
    ("chat", "model = \"chat/small\"", true),
    ("messages", "model = \"messages/small\"", true),
    ("responses", "model = \"openai/small\"", true),
    ("moved-chat", "model = \"moved-chat/small\"", false),
    ("moved-messages", "model = \"moved-messages/small\"", false),
    ("tool", "mcp = \"http://127.0.0.1:8080/steps\"\ntool = \"ask\"", false),
    ("moved-tool", "mcp = \"http://127.0.0.1:8080/moved\"\ntool = \"ask\"\nkey = \"secret:SHOP_KEY\"", false),
];

const PROVIDERS: &str = "[providers.chat]\nurl = \"http://127.0.0.1:8080/v1\"\nkey = \"secret:SHOP_KEY\"\n\
    [providers.messages]\nurl = \"http://127.0.0.1:8080/v1\"\nprotocol = \"messages\"\n\
    [providers.openai]\nurl = \"http://127.0.0.1:8080/v1\"\n\
    [providers.moved-chat]\nurl = \"http://127.0.0.1:8080/moved\"\nkey = \"secret:SHOP_KEY\"\n\
    [providers.moved-messages]\nurl = \"http://127.0.0.1:8080/moved\"\nprotocol = \"messages\"\n";

/// A document with a step for each agent; the input is an address, too.
fn place() -> Place {
    let step = |(name, ..): &(&str, &str, bool)| {
        format!("\n## Ask {name} @{name} ?\naddress::String → {}_said::String\n", name.replace('-', "_"))
    };
    let place = Place::new(&format!("# Net\n{}", AGENTS.iter().map(step).collect::<String>()));
    let agent = |(name, settings, _): &(&str, &str, bool)| format!("[agents.{name}]\n{settings}\n");
    place.write("orderflow.toml", &(AGENTS.iter().map(agent).collect::<String>() + PROVIDERS));
    place.write("items.jsonl", "{\"id\": \"1\", \"address\": \"http://elsewhere.example:8080/steps\"}\n");
    place
}

const ORDERFLOW: &str = env!("CARGO_BIN_EXE_orderflow");

/// Proxies, redirects, other places of an answer and addresses among the inputs lead nowhere.
#[test]
fn a_run_connects_only_to_the_addresses_in_the_settings() {
    let place = place();
    let leak = "import urllib.request; urllib.request.urlopen('http://elsewhere.example:8080/steps')";
    let control = vec!["python3", "-c", leak];
    let run = vec![ORDERFLOW, "run", "flow.md", "--items", "items.jsonl", "--quiet"];
    let Some(observed) = observe(&place, &[control, run]) else { return };
    let [control, run] = &observed[..] else { panic!("not two reports") };
    // A program that does heed the proxies is seen.
    assert!(control.seen.contains(&"name proxy.example".to_owned()), "{:?}", control.seen);
    assert!(control.seen.contains(&"tcp 198.51.100.7:3128".to_owned()), "{:?}", control.seen);
    assert_eq!(run.exit, 0, "{}", run.err);
    let expected = ["name shop.example", "tcp 127.0.0.1:8080", "tcp 198.51.100.7:8080"];
    assert_eq!(run.seen, expected, "{}", run.err);
    let mut rows = place.rows("session.toon");
    rows.sort();
    for (agent, _, answers) in AGENTS {
        let name = agent.replace('-', "");
        let phase = format!("Ask{}{}", name[..1].to_uppercase(), &name[1..]);
        let row = rows.iter().find(|row| row.starts_with(&format!("{phase} ")));
        let row = row.unwrap_or_else(|| panic!("no {phase} in {rows:?}"));
        assert_eq!(row.ends_with(" success"), answers, "{row}");
    }
}

/// What reads documents, settings and runs connects nowhere, whatever they name.
#[test]
fn commands_that_only_read_connect_nowhere() {
    let place = place();
    let commands = [
        "run flow.md --items items.jsonl --quiet",
        "validate flow.md",
        "plan flow.md",
        "graph flow.md",
        "graph --format mermaid flow.md",
        "agents flow.md",
        "show last",
        "show last --item 1",
        "runs",
        "stats session.toon",
        "show last --write",
        "verify flow.md",
        "resume last --explain",
        "--help",
    ];
    let commands: Vec<Vec<&str>> =
        commands.iter().map(|args| [ORDERFLOW].into_iter().chain(args.split(' ')).collect()).collect();
    let Some(observed) = observe(&place, &commands) else { return };
    assert_eq!(observed.len(), commands.len());
    assert!(!observed[0].seen.is_empty());
    for (command, observed) in commands.iter().zip(&observed).skip(1) {
        assert_eq!(observed.seen, Vec::<String>::new(), "{command:?}: {}", observed.err);
        assert_ne!(observed.exit, 2, "{command:?}: {}", observed.err);
    }
}
