//! `orderflow doctor`: which agents of a document are there, and what is missing. It calls no step.

use crate::containers::Dock;
use crate::mcp::{packages, stock};
use crate::place::Place;
use crate::program::{Told, told};
use crate::services::Service;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;

/// A document with a step for each of these agents, which all take an Integer.
fn place(settings: &str) -> Place {
    let names = settings.lines().filter_map(|line| line.strip_prefix("[agents.")?.strip_suffix(']'));
    let steps = names.map(|name| format!("## Do {name} @{name}\na::Integer → {name}_done\n\n"));
    let place = Place::new(&format!("# T\n\n{}", steps.collect::<String>()));
    place.write("orderflow.toml", settings);
    place
}

/// The table without its head, its summary, and the exit code.
fn doctor(place: &Place) -> (String, Told) {
    let told = place.orderflow("doctor flow.md --timeout 20s");
    let table = told.out.split_once("─\n").map_or("", |(_, rows)| rows).to_owned();
    (table, told)
}

#[test]
fn programs_and_workers_are_there_or_it_shows_what_to_do() {
    let place = place(
        "[agents.cat]\ncommand = [\"cat\"]\n[agents.none]\ncommand = [\"./no-such\"]\n[agents.stays]\nworker = [\"sh\", \"-c\", \"read line && echo $line > called\"]\n\
         [agents.ends]\nworker = [\"sh\", \"-c\", \"echo no database >&2; exit 3\"]\n[agents.secret]\ncommand = [\"cat\"]\nsecrets = [\"NO_SUCH_KEY\"]\n",
    );
    let (table, told) = doctor(&place);
    let cat = std::env::split_paths(&crate::python::path())
        .map(|folder| folder.join("cat"))
        .find(|path| path.exists());
    let cat = cat.unwrap().display().to_string();
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["cat", "command", "yes", &cat]);
    assert_eq!(lines[1], ["none", "command", "no"]);
    assert_eq!(lines[2], ["stays", "worker", "yes", "stays"]);
    assert_eq!(lines[3], ["ends", "worker", "no"]);
    assert_eq!(lines[4], ["secret", "command", "no"]);
    let missing = "\nnone: the program `./no-such` was not found\n  help: looked for it in .; install it, or correct the command in orderflow.toml\n\n\
        ends: it exited with 3 instead of waiting for calls: no database\n  help: test it: orderflow agents --check -- and its command\n\n\
        secret: the secret NO_SUCH_KEY is not set in the environment\n  help: set it in the environment, or name its place in orderflow.toml\n";
    assert!(table.ends_with(missing), "{table}");
    assert_eq!((told.err.as_str(), told.exit), ("3 of 5 agents not there\n", Some(1)));
    assert!(!place.path("called").exists());
    assert!(!place.path(".orderflow").exists(), "nothing was run");
}

#[test]
fn services_and_models_are_asked_without_effect() {
    let service = Service::new(|seen| {
        let models = json!({"data": [{"id": "small", "owned_by": "us"}, {"id": "smaller"}]});
        Some(match (seen.asked.as_str(), seen.token.as_str()) {
            ("HEAD /gone", _) => (503, Value::Null),
            ("HEAD /closed", _) => (401, Value::Null),
            ("HEAD /steps" | "HEAD /keyed", _) => (405, Value::Null),
            ("HEAD /python", _) => (501, Value::Null),
            ("GET /llama/models", _) => (200, json!({"data": [{"id": "x.gguf", "owned_by": "llamacpp"}]})),
            ("GET /v1/models", "Bearer good-key") => (200, models),
            ("GET /v1/models/alias", "Bearer good-key") => (200, json!({"id": "small"})),
            ("GET /v1/models", _) => (401, json!({"error": {"message": "invalid key"}})),
            // An empty request.
            ("POST /bare/chat/completions", _) => (400, Value::Null),
            _ => (404, Value::Null),
        })
    });
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let at = service.address;
    let place = place(&format!(
        "[providers.p]\nurl = \"http://{at}/v1\"\nkey = \"secret:P_KEY\"\n[providers.open]\nurl = \"http://{at}/v1\"\n\
         [providers.llama]\nurl = \"http://{at}/llama\"\n[providers.bare]\nurl = \"http://{at}/bare\"\n\
         [agents.up]\nhttp = \"http://{at}/steps\"\n[agents.down]\nhttp = \"http://{dead}/steps\"\n\
         [agents.ill]\nhttp = \"http://{at}/gone\"\n[agents.closed]\nhttp = \"http://{at}/closed\"\n\
         [agents.python]\nhttp = \"http://{at}/python\"\n[agents.keyed]\nhttp = \"http://{at}/keyed\"\nkey = \"secret:P_KEY\"\n\
         [agents.small]\nmodel = \"p/small\"\n[agents.alias]\nmodel = \"p/alias\"\n[agents.typo]\nmodel = \"p/smal\"\n\
         [agents.open]\nmodel = \"open/small\"\n[agents.llama]\nmodel = \"llama/any\"\n[agents.bare]\nmodel = \"bare/any\"\n\
         [providers.refused]\nurl = \"http://{at}/v1\"\nkey = \"secret:BAD_KEY\"\n[agents.refused]\nmodel = \"refused/small\"\n\
         [providers.lost]\nurl = \"http://{at}/v2\"\n[agents.lost]\nmodel = \"lost/any\"\n"
    ));
    let mut command = place.command("doctor flow.md --format json");
    let told = told(command.env("P_KEY", "good-key").env("BAD_KEY", "bad-key").output().unwrap());
    assert_eq!(told.exit, Some(1), "{}", told.err);
    let answers: Vec<Value> = serde_json::from_str(&told.out).unwrap();
    let line = |answer: &Value| {
        let missing: Vec<String> = answer["missing"]
            .as_array()
            .unwrap()
            .iter()
            .map(|missing| missing["what"].as_str().unwrap().to_owned())
            .collect();
        let has: Vec<&str> =
            answer["has"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        let line = format!(
            "{}: {} [{}] {}",
            answer["agent"].as_str().unwrap(),
            answer["answers"].as_str().unwrap(),
            has.join(", "),
            missing.join(", ")
        );
        line.replace(&dead.to_string(), "DEAD").replace(&at.to_string(), "HERE")
    };
    let lines: Vec<String> = answers.iter().map(line).collect();
    let expected = [
        "up: a service [] ",
        "down:  [] cannot connect to http://DEAD/steps: Connection refused (os error 111)",
        "ill: a service [] it answers 503 Service Unavailable",
        "closed: a service [] it refuses the key: 401",
        "python: a service [] ",
        "keyed: a service, key not checked [] ",
        "small: 127.0.0.1 [small] ",
        "alias: 127.0.0.1 [alias] ",
        "typo: 127.0.0.1 [] the provider has no model `smal`",
        "open: 127.0.0.1 [] it refuses the key: 401, invalid key",
        "llama: 127.0.0.1, under any name [x.gguf] ",
        "bare: 127.0.0.1, which does not list its models [] ",
        "refused: 127.0.0.1 [] it refuses the key: 401, invalid key",
        "lost:  [] it has nothing at http://HERE/v2/chat/completions",
    ];
    assert_eq!(lines, expected);
    assert_eq!(answers[8]["missing"][0]["help"], "did you mean `small`?");
    assert_eq!(
        answers[9]["missing"][0]["help"],
        "set `key` or `headers` in orderflow.toml to a key that is accepted"
    );
    assert_eq!(answers[12]["missing"][0]["help"], "correct the value of `BAD_KEY`");
    let has_effect = |seen: &crate::services::Seen| seen.asked.starts_with("POST ") && seen.body != json!({});
    assert!(!service.seen().iter().any(has_effect));
}

#[test]
fn real_servers_of_tools_are_greeted_and_their_arguments_checked() {
    let Some(packages) = packages() else { return };
    let document = "# T\n\n## Echo @every\nmessage::Integer → said::String\n\n## Reserve Article @stock\narticle::String, count?::Integer → left::Integer\n\n\
        ## Ask Size @stock\nsize::String → known::String\n\n## Pack @stock\nknown → packed::String\n";
    let place = stock(document, &packages);
    place.write(
        "orderflow.toml",
        "[agents.every]\nmcp = [\"node\", \"node_modules/.bin/mcp-server-everything\"]\ntool = \"echo\"\n[agents.stock]\nmcp = [\"node\", \"stock.mjs\"]\n",
    );
    let (table, told) = doctor(&place);
    assert_eq!(told.exit, Some(1), "{}", told.err);
    assert!(table.contains("stock  mcp   no     stock 2.1.0, MCP 2026-07-28"), "{table}");
    assert!(
        table.contains(
            "every  mcp   no     mcp-servers/everything 2.0.0, MCP 2025-11-25  echo, get-annotated-message, "
        ),
        "{table}"
    );
    let gaps: Vec<&str> =
        table.lines().filter(|line| line.starts_with("every: ") || line.starts_with("stock: ")).collect();
    let expected = [
        "every: the input `message` of Echo is Integer, and the tool `echo` takes string",
        "stock: the input `count` of ReserveArticle may be missing, and the tool `reserve_article` requires it",
        "stock: AskSize lacks the input `article`, which the tool `ask_size` requires",
        "stock: no tool of the server is named as the step Pack: name one, tool = \"…\"; it has `reserve_article`, `ask_size`",
    ];
    assert_eq!(gaps, expected);
}

/// A coding agent is greeted, and nothing more.
#[test]
fn a_coding_agent_says_its_name_and_version() {
    let place = place("[agents.coder]\nacp = [\"python3\", \"coder.py\"]\n");
    place.write(
        "coder.py",
        "import json, sys\n\
         for line in sys.stdin:\n    \
             call = json.loads(line)\n    \
             open('methods', 'a').write(call['method'] + '\\n')\n    \
             print(json.dumps({'jsonrpc': '2.0', 'id': call['id'], 'result': {'protocolVersion': 1, 'agentInfo': {'name': 'toy', 'version': '0.3'}}}), flush=True)\n",
    );
    let (table, told) = doctor(&place);
    assert_eq!(table.split_whitespace().collect::<Vec<_>>(), ["coder", "acp", "yes", "toy", "0.3"]);
    assert_eq!((told.err.as_str(), told.exit), ("1 agent there\n", Some(0)));
    assert_eq!(place.read("methods"), "initialize\n");
}

#[test]
fn a_headless_coding_agent_shows_its_version() {
    let place = place("[agents.coder]\npreset = \"claude\"\nmode = \"headless\"\n");
    place.write("bin/claude", "#!/bin/sh\necho \"$@\" >> calls\necho '2.1.0 (Claude Code)'\n");
    let own = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(place.path("bin/claude"), own).unwrap();
    let folders: Vec<_> = std::env::split_paths(&crate::python::path()).collect();
    let path = std::env::join_paths([vec![place.path("bin")], folders].concat()).unwrap();
    let told = told(place.command("doctor flow.md").env("PATH", path).output().unwrap());
    let (_, row) = told.out.split_once("─\n").unwrap();
    assert_eq!(
        row.split_whitespace().collect::<Vec<_>>(),
        ["coder", "headless", "yes", "2.1.0", "(Claude", "Code)"]
    );
    assert_eq!((told.exit, place.read("calls").as_str()), (Some(0), "--version\n"));
}

#[test]
fn a_container_is_there_with_its_image_by_the_stand_in_for_docker() {
    let document = "# T\n\n## Pay @shop\na::Integer → b\n";
    for (image, expected) in [
        ("x", "shop   container  yes    docker 27.5.1  x\n"),
        (
            "missing",
            "shop   container  no     docker 27.5.1\n\nshop: the image missing is not on this machine\n  help: docker pull missing\n",
        ),
    ] {
        let dock = Dock::new(document, &format!("container = {{ image = \"{image}\" }}"));
        let told = dock.orderflow("agents --probe flow.md");
        assert!(told.out.ends_with(expected), "{}", told.out);
        assert_eq!(told.exit, Some(if image == "x" { 0 } else { 1 }));
    }
}

#[test]
fn what_does_not_answer_ends_by_the_timeout_and_leaves_nothing() {
    let place = place(
        "[agents.mute]\nacp = [\"sh\", \"-c\", \"echo $$ > pid; exec sleep 1000\"]\n[agents.deaf]\nmcp = [\"sh\", \"-c\", \"exec sleep 1000\"]\n",
    );
    // On a busy machine it takes longer until the agent runs.
    for timeout in ["300ms", "3s", "30s"] {
        let told = place.orderflow(&format!("doctor flow.md --timeout {timeout}"));
        assert_eq!((told.err.as_str(), told.exit), ("2 of 2 agents not there\n", Some(1)));
        let late = format!("it did not answer within {timeout}\n");
        assert_eq!(told.out.matches(&late).count(), 2, "{}", told.out);
        if std::fs::read_to_string(place.path("pid")).is_ok_and(|pid| pid.ends_with('\n')) {
            break;
        }
    }
    let stat =
        std::fs::read_to_string(format!("/proc/{}/stat", place.read("pid").trim())).unwrap_or_default();
    assert!(stat.is_empty() || stat.contains(") Z "), "{stat}");
}

/// What a run refuses before it starts is reported.
#[test]
fn what_a_run_refuses_is_missing() {
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let place = place(&format!(
        "[agents.writer]\nmodel = \"ollama/x\"\ninstructions = \"none.md\"\n[agents.coder]\nacp = [\"cat\"]\nfolder = \"worktree\"\n\
         [agents.tools]\nmcp = \"http://{dead}/mcp\"\n[agents.codex]\npreset = \"codex\"\n"
    ));
    let (table, told) = doctor(&place);
    assert_eq!(told.exit, Some(1), "{}", told.err);
    let (_, missing) = table.split_once("\n\n").unwrap();
    let missing: Vec<&str> = missing.lines().filter(|line| !line.is_empty()).collect();
    assert!(missing[0].starts_with("writer: its instructions cannot be read: none.md: "), "{table}");
    assert_eq!(missing[1], "  help: `instructions` in orderflow.toml is a path relative to that file");
    let outside =
        format!("coder: it works in a worktree, but {} is not in a git repository", place.folder().display());
    assert_eq!(missing[2], outside);
    assert_eq!(missing[5], "  help: start the server, or correct `mcp` in orderflow.toml");
    assert_eq!(missing[7], "  help: install it: npm install -g @agentclientprotocol/codex-acp");
}

/// A run refuses it, too, before it starts.
#[test]
fn a_worktree_needs_a_commit() {
    let place = place("[agents.coder]\nacp = [\"cat\"]\nfolder = \"worktree\"\n");
    crate::coding::git(place.folder(), "init -q");
    let why = format!("the repository of {} has no commit", place.folder().display());
    let (table, told) = doctor(&place);
    assert_eq!(told.exit, Some(1), "{}", told.err);
    assert!(table.contains(&format!("\ncoder: it works in a worktree, but {why}\n")), "{table}");
    let run = place.orderflow("run flow.md --input a=1");
    assert_eq!(run.exit, Some(3), "{}", run.err);
    assert!(
        run.err.contains(&format!("error[no-repository]: `coder` works in a worktree, but {why}\n")),
        "{}",
        run.err
    );
    assert!(!place.path(".orderflow").exists(), "nothing was run");
    crate::coding::commit_all(place.folder());
    let (table, _) = doctor(&place);
    assert!(!table.contains("worktree"), "{table}");
}

/// A program of another kind than its key says.
#[test]
fn programs_that_are_no_agents_are_described() {
    let place = place(
        "[agents.echoes]\nacp = [\"cat\"]\n[agents.tools]\nmcp = [\"cat\"]\n[agents.talks]\nworker = [\"sh\", \"-c\", \"echo ready; read line\"]\n\
         [agents.empty]\n",
    );
    let (table, told) = doctor(&place);
    assert_eq!(told.exit, Some(1), "{}", told.err);
    let (_, missing) = table.split_once("\n\n").unwrap();
    let expected = "\
echoes: it repeats what it is sent instead of answering: it does not speak the Agent Client Protocol
  help: start its command by hand, and read what it says

tools: the server repeats what it is sent instead of answering: it does not speak MCP
  help: start its command by hand, and read what it says

talks: worker wrote non-JSON on stdout: log to stderr (it wrote \"ready\\n\")
  help: let it print its log to standard error

empty: orderflow.toml does not say how it is called
  help: add command = […] or another key to it
";
    assert_eq!(missing, expected);
}
