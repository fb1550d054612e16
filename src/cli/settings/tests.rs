//! What is read from the text of `orderflow.toml`, and every problem in it.

use super::*;
use crate::diag::Source;

#[test]
fn a_channel_has_one_way_of_events_and_types() {
    let text = "[channels.a]\ntypes = [\"order.*\", \"*\"]\npost = \"https://x.example/e\"\nkey = \"secret:K\"\n\
                [channels.b]\ntypes = [\"a.b\"]\nlisten = \"127.0.0.1:8791\"\n";
    let (settings, problems) = read(&Source::new("orderflow.toml", text));
    assert!(problems.is_empty(), "{problems:?}");
    let channel = &settings.channels["a"];
    assert!(
        channel.types[0].matches("order.paid") && !settings.brings("order.paid") && settings.brings("a.b")
    );
    let Some(super::EventRoute::Post { key: Some(key), .. }) = &channel.route else { panic!("{channel:?}") };
    assert_eq!((&*key.text, key.secret.as_deref()), ("Bearer ", Some("K")));
    let text = "[channels.a]\nappend = \"x\"\nkey = \"secret:K\"\n\
                [channels.b]\ntypes = [\"a b\", \"order*\"]\nappend = \"x\"\nfollow = \"y\"\n\
                [channels.c]\ntypes = [\"a\"]\nlisten = \"localhost\"\n";
    let (_, problems) = read(&Source::new("orderflow.toml", text));
    assert_eq!(problems.len(), 6, "{problems:?}");
}

#[test]
fn a_channel_of_nats_has_a_stream_and_needs_its_feature() {
    let begin = "[channels.a]\ntypes = [\"order.*\"]\nnats = \"nats://127.0.0.1:4222\"\n";
    let read = |text: &str, nats| super::read::read_as(&Source::new("orderflow.toml", text), nats);
    let whole =
        format!("{begin}stream = \"ORDERS\"\nprefix = \"shop.eu\"\nuser = \"u\"\nkey = \"secret:K\"\n");
    let (settings, problems) = read(&whole, true);
    assert_eq!(problems, []);
    assert!(settings.brings("order.paid"));
    let Some(super::EventRoute::Nats(route)) = &settings.channels["a"].route else { panic!("{settings:?}") };
    assert_eq!((&*route.server, &*route.stream), ("nats://127.0.0.1:4222", "ORDERS"));
    assert_eq!((route.prefix.as_deref(), route.user.as_deref()), (Some("shop.eu"), Some("u")));
    assert_eq!(route.key.as_ref().and_then(|key| key.secret.as_deref()), Some("K"));
    // A build without it says so at the key, and nothing else.
    let (_, problems) = read(&whole, false);
    let [problem] = &problems[..] else { panic!("{problems:?}") };
    assert_eq!(problem.message, "this orderflow was built without `nats`");
    assert_eq!(&whole[problem.span.start..problem.span.end], "nats");
    assert_eq!(problem.help.as_deref(), Some("install it with cargo install --path . --features nats"));
    let wrong = |text: &str| {
        let (_, problems) = read(text, true);
        problems.iter().map(|problem| problem.message.clone()).collect::<Vec<_>>()
    };
    assert_eq!(wrong(begin), ["`stream` is missing"]);
    for (text, message) in [
        (
            format!("{begin}stream = \"a.b\"\n"),
            "`stream` must be letters, digits, - and _, such as \"ORDERS\"",
        ),
        (
            format!("{begin}stream = \"A\"\nuser = \"u\"\n"),
            "`user` must be beside key, which is its password",
        ),
        (
            whole.replace("order.*", "*").replace("prefix = \"shop.eu\"\n", ""),
            "`types` must be narrower than \"*\" in a channel of NATS without a prefix",
        ),
        (
            whole.replace("nats://", "http://"),
            "`nats` must be an address such as \"nats://127.0.0.1:4222\" or \"tls://…\", without a user or a password",
        ),
        ("[channels.a]\nstream = \"A\"\n".to_owned(), "`stream` must be beside nats"),
    ] {
        assert_eq!(wrong(&text), [message], "{text}");
    }
}

#[test]
fn a_whole_file_is_read() {
    let text = "fences = true\n[agents.pay]\ncommand = [\"python3\", \"pay.py\"]\nconcurrency = 8\n\
                env = [\"DB\"]\nidempotent = true\nsecrets = [\"A\", \"A\"]\n\
                [agents.ship]\nworker = [\"ship\"]\nprocesses = 3\n\
                secrets = { B = \"file:keys/b\", C = \"env:D\" }\n\
                [channels.payments]\nconcurrency = 4\nrate = \"30/m\"\n";
    let (settings, problems) = read(&Source::new("orderflow.toml", text));
    assert_eq!(problems, []);
    assert!(settings.fences);
    let command = vec!["python3".to_owned(), "pay.py".to_owned()];
    assert_eq!(settings.agents["pay"].reach, Some(Reach::Command(command)));
    assert_eq!(settings.agents["pay"].concurrency, Some(8));
    let secret = |name: &str, from| Secret { name: name.into(), from };
    assert_eq!(settings.agents["pay"].secrets, [secret("A", Origin::Environment("A".into()))]);
    let secrets =
        vec![secret("B", Origin::File("keys/b".into())), secret("C", Origin::Environment("D".into()))];
    let reach = Some(Reach::Worker { command: vec!["ship".into()], processes: 3 });
    let ship = Agent { reach, secrets, ..Agent::default() };
    assert_eq!(settings.agents["ship"], ship);
    assert_eq!(
        settings.channels["payments"],
        Channel { concurrency: Some(4), rate: Some(0.5), ..Channel::default() }
    );
}

#[test]
fn every_problem_is_found_at_once() {
    let text = "fence = true\n[agents.pay]\ncommand = []\nconcurency = 8\ndocument = \"x\"\nenv = [1]\n\
                [channels]\npayments = 3\n[channels.a]\nrate = \"fast\"\nconcurrency = 0\n\
                [agents.b]\nworker = [\"b\"]\ncommand = [\"b\"]\n[agents.c]\nprocesses = 2\n\
                [agents.d]\nsecrets = [\"A=B\"]\n[agents.e]\nsecrets = { F = \"/key\" }\n[agents.f]\nsecrets = 1\n";
    let source = Source::new("orderflow.toml", text);
    let (_, problems) = read(&source);
    let mut found: Vec<_> =
        problems.iter().map(|p| (source.position(p.span.start).line, p.code, p.message.as_str())).collect();
    found.sort_unstable();
    let expected = [
        (1, "settings-unknown-key", "unknown key `fence`"),
        (3, "settings-bad-value", "`command` must be a list that begins with a program"),
        (4, "settings-unknown-key", "unknown key `concurency`"),
        (5, "settings-not-supported", "`document` is not supported yet"),
        (6, "settings-bad-value", "`env` must be a list of strings"),
        (8, "settings-bad-value", "`payments` must be a table"),
        (
            10,
            "settings-bad-value",
            "`rate` must be a number of starts in a time, such as \"50/s\", \"10/m\" or \"100/h\"",
        ),
        (11, "settings-bad-value", "`concurrency` must be a whole number above 0"),
        (
            13,
            "settings-two-ways",
            "an agent is reached in one way: by `command`, `worker`, `container`, `http`, `mcp`, `model`, `acp` or `preset`",
        ),
        (16, "settings-idle-key", "`processes` needs `worker`"),
        (18, "settings-bad-value", "`secrets` must be the name of a variable, such as PAYMENT_KEY"),
        (20, "settings-bad-value", "`F` must be \"file:\" and a path, or \"env:\" and a variable's name"),
        (
            22,
            "settings-bad-value",
            "`secrets` must be a list of names, or a table such as { KEY = \"file:/run/secrets/key\" }",
        ),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_person_is_asked_only_by_agents_that_ask() {
    let text = "[agents.a]\npreset = \"claude\"\nask = true\n[agents.b]\nmcp = [\"b\"]\nask = true\n\
                [agents.c]\nacp = [\"c\"]\n[agents.d]\ncommand = [\"d\"]\nask = true\n\
                [agents.e]\npreset = \"claude\"\nmode = \"headless\"\nask = true\n[agents.f]\nacp = [\"f\"]\nask = 1\n";
    let source = Source::new("orderflow.toml", text);
    let (settings, problems) = read(&source);
    let asks: Vec<bool> = ["a", "b", "c"].iter().map(|name| settings.agents[*name].ask).collect();
    assert_eq!(asks, [true, true, false]);
    let found: Vec<_> =
        problems.iter().map(|p| (source.position(p.span.start).line, p.code, p.message.as_str())).collect();
    let expected = [
        (11, "settings-idle-key", "`ask` needs `acp`, `preset` or `mcp`"),
        (15, "settings-idle-key", "`ask` needs `mode = \"acp\"`"),
        (18, "settings-bad-value", "`ask` must be true or false"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn broken_toml_names_its_place() {
    let source = Source::new("orderflow.toml", "fences = \n[agents\n");
    let (_, problems) = read(&source);
    assert!(!problems.is_empty());
    assert!(problems.iter().all(|problem| problem.code == "settings-syntax"));
}

#[test]
fn a_server_of_tools_is_a_program_or_an_address() {
    let text = "[agents.a]\nmcp = [\"npx\", \"x\"]\ntool = \"echo\"\nenv = [\"HOME\"]\nsecrets = [\"KEY\"]\n\
                [agents.b]\nmcp = \"https://tools.internal/mcp\"\nkey = \"secret:B_KEY\"\nheaders = { Team = \"shop\" }\n";
    let (settings, problems) = read(&Source::new("orderflow.toml", text));
    assert_eq!(problems, []);
    let program = McpServer::Program(vec!["npx".into(), "x".into()]);
    assert_eq!(settings.agents["a"].reach, Some(Reach::Mcp { server: program, tool: Some("echo".into()) }));
    let Some(Reach::Mcp { server: McpServer::Http { url, headers }, tool: None }) =
        &settings.agents["b"].reach
    else {
        panic!("{:?}", settings.agents["b"].reach)
    };
    assert_eq!((url.as_str(), headers.len()), ("https://tools.internal/mcp", 2));
    assert_eq!(settings.agents["b"].secrets.len(), 1);
}

/// What was found, and why it does not do.
#[test]
fn a_wrong_value_is_shown_with_its_reason() {
    for (text, expected) in [
        ("http = \"localhost:80\"", "\"localhost:80\", whose scheme is \"localhost\""),
        ("http = \"pricing.internal/steps\"", "\"pricing.internal/steps\", without a scheme"),
        ("http = \"ftp://x/y\"", "\"ftp://x/y\", whose scheme is \"ftp\""),
        ("http = \"http://\"", "\"http://\": empty host"),
        ("http = \"http://x:99999\"", "\"http://x:99999\": invalid port number"),
        ("http = \"http://me:pw@x\"", "\"http://me:pw@x\", with a user or a password: use key or headers"),
        ("http = 5", "5"),
        ("mcp = \"echo\"", "\"echo\", without a scheme"),
        ("mcp = []", "an empty list"),
        ("mcp = true", "true"),
        ("command = []", "an empty list"),
        ("command = \"x\"", "\"x\""),
        ("concurrency = 0", "0"),
        ("concurrency = -1.5", "-1.5"),
        ("command = [\"x\"]\nidempotent = \"yes\"", "\"yes\""),
        ("env = { A = 1 }", "a value of the type table"),
        ("command = [\"x\"]\nenv = [\"A=B\"]", "\"A=B\""),
        ("command = [\"x\"]\nenv = [\"\"]", "\"\""),
        ("command = [\"x\"]\nenv = [\"?\"]", "\"?\""),
        ("command = [\"x\"]\nenv = [\"A??\"]", "\"A??\""),
        ("command = [\"x\\u0000\"]", "\"x\\0\""),
        ("worker = [\"x\"]\nprocesses = 1001", "1001"),
        ("model = \"openai/x\"\nmax-tokens = 4294967296", "4294967296"),
    ] {
        let (_, problems) = read(&Source::new("orderflow.toml", format!("[agents.a]\n{text}\n")));
        let found: Vec<&str> = problems.iter().map(|problem| problem.label.as_str()).collect();
        assert_eq!(found, [format!("found {expected}")], "{text}");
    }
}

#[test]
fn numbers_and_names_beyond_their_limits_are_shown_with_what_to_write() {
    for (text, message, help) in [
        ("worker = [\"x\"]\nprocesses = 1001", "`processes` must be a whole number of at most 1000", ""),
        (
            "model = \"openai/x\"\nmax-tokens = 4294967296",
            "`max-tokens` must be a whole number of at most 4294967295",
            "",
        ),
        (
            "command = [\"x\"]\nenv = [\"A=B\"]",
            "`env` must be a list of names of variables, such as [\"PAYMENT_URL\"]",
            "write \"A\": its value is that of orderflow's own environment",
        ),
        (
            "command = [\"x\"]\nenv = [\"\"]",
            "`env` must be a list of names of variables, such as [\"PAYMENT_URL\"]",
            "remove it",
        ),
    ] {
        let (_, problems) = read(&Source::new("orderflow.toml", format!("[agents.a]\n{text}\n")));
        let found: Vec<_> = problems
            .iter()
            .map(|problem| (&*problem.message, problem.help.as_deref().unwrap_or("")))
            .collect();
        assert_eq!(found, [(message, help)], "{text}");
    }
}

#[test]
fn a_key_without_the_one_that_it_needs_is_reported_with_it() {
    for (text, key, needs) in [
        ("command = [\"x\"]\ntool = \"echo\"", "tool", "mcp"),
        ("mcp = [\"x\"]\nkey = \"secret:K\"", "key", "http"),
        ("mcp = \"http://x\"\nenv = [\"A\"]", "env", "command"),
        ("command = [\"x\"]\nmax-tokens = 3", "max-tokens", "model"),
    ] {
        let (_, problems) = read(&Source::new("orderflow.toml", format!("[agents.a]\n{text}\n")));
        let found: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
        assert_eq!(found, [format!("`{key}` needs `{needs}`")]);
    }
}

#[test]
fn a_service_may_have_paths_and_a_program_that_starts_it() {
    let text = "[agents.sales]\nhttp = \"http://127.0.0.1:0/steps?team=1\"\npaths = { CreateOrder = \"/orders\" }\n\
                start = [\"python3\", \"sales.py\"]\nenv = [\"SALES_DB?\"]\nsecrets = [\"SALES_KEY\"]\n";
    let (settings, problems) = read(&Source::new("orderflow.toml", text));
    assert_eq!(problems, []);
    let agent = &settings.agents["sales"];
    let Some(Reach::Http { urls, start, .. }) = &agent.reach else { panic!("{agent:?}") };
    assert_eq!(urls["CreateOrder"].as_str(), "http://127.0.0.1:0/orders");
    assert_eq!((start.join(" ").as_str(), agent.env.concat().as_str()), ("python3 sales.py", "SALES_DB"));

    for (text, shown) in [
        ("http = \"http://10.0.0.1:80/\"\nstart = [\"x\"]", "an address of this machine"),
        ("http = \"http://127.0.0.1:0/\"", "port 0 is for services that `start` starts"),
        ("http = \"http://x/\"\npaths = { A = \"orders\" }", "a path at the service that begins with `/`"),
        (
            "http = \"http://x/\"\npaths = { A = \"//y/orders\" }",
            "a path at the service that begins with `/`",
        ),
        ("http = \"http://x/\"\npaths = \"/orders\"", "a table of paths"),
        ("http = \"http://127.0.0.1:0/\"\nstart = \"python3 x.py\"", "start = [\"python3\", \"x.py\"]"),
        ("command = [\"x\"]\nstart = [\"y\"]", "`start` needs `http`"),
        ("model = \"local/x\"\npaths = { A = \"/\" }", "`paths` needs `http`"),
    ] {
        let found = seen(&format!("[agents.a]\n{text}\n"));
        assert!(found.contains(shown), "{text}: {found}");
    }
}

#[test]
fn a_container_is_an_image_with_a_command() {
    let text = "[agents.a]\ncontainer = { image = \"shop:1\" }\nenv = [\"A\"]\nsecrets = [\"KEY\"]\n\
                [agents.b]\ncontainer = { image = \"shop:2\", command = [\"pay\"], network = true, engine = \"podman\" }\n";
    let (settings, problems) = read(&Source::new("orderflow.toml", text));
    assert_eq!(problems, []);
    let container = |image: &str, command: &[&str], network, engine| {
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        Some(Reach::Container { image: image.into(), command, network, engine })
    };
    assert_eq!(settings.agents["a"].reach, container("shop:1", &[], false, None));
    assert_eq!(settings.agents["b"].reach, container("shop:2", &["pay"], true, Some(Engine::Podman)));
    for (text, expected) in [
        (
            "\"shop\"",
            "`container` must be a table such as { image = \"python:3.13\", command = [\"python3\", \"/pay.py\"] }",
        ),
        ("{ }", "`container` must be a table with an `image`, such as { image = \"python:3.13\" }"),
        ("{ image = \"--privileged\" }", "`image` must be the name of an image, such as \"python:3.13\""),
        ("{ image = \"x\", engine = \"runc\" }", "`engine` must be \"docker\" or \"podman\""),
        ("{ image = \"x\", command = [] }", "`command` must be a list that begins with a program"),
        ("{ image = \"x\", network = \"host\" }", "`network` must be true or false"),
        ("{ image = \"x\", volumes = [] }", "unknown key `volumes`"),
    ] {
        let (_, problems) = read(&Source::new("orderflow.toml", format!("[agents.a]\ncontainer = {text}\n")));
        let found: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
        assert_eq!(found, [expected]);
    }
}

/// What people see of a file, drawn and as JSON.
fn seen(text: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(FILE), text).unwrap();
    let (source, problems) = look(&folder.path().join("flow.md")).unwrap().wrong.unwrap();
    let json = render::json(&source, &problems);
    format!("{}{}", render::human(&source, &problems, false), serde_json::to_string(&json).unwrap())
}

#[test]
fn a_key_in_clear_text_is_never_shown() {
    for text in [
        "[agents.a]\nhttp = \"http://x\"\nkey = \"HUSH\"\n",
        "[agents.a]\nmcp = \"http://x\"\nkey = \"Bearer HUSH\"\n",
        "[agents.a]\nmcp = \"http://x\"\nkey = [\"HUSH\"]\n",
        "[agents.a]\nhttp = \"http://x\"\nheaders = { Authorization = \"Bearer HUSH\" }\n",
        "[agents.a]\nhttp = \"http://x\"\nheaders = { X-Api-Key = 'HUSH' }\n",
        "[agents.a]\nhttp = \"http://x\"\nheaders = { Team = \"HUSH\" }\n",
        "[agents.a]\nhttp = \"http://me:HUSH@x\"\n",
        "[agents.a]\nhttp = \"http://HUSH@x\"\n",
        "[agents.a]\ncommand = [\"x\"]\nsecrets = [\"HUSH\"]\n",
        "[agents.a]\ncommand = [\"x\"]\nsecrets = \"HUSH\"\n",
        "[agents.a]\ncommand = [\"x\"]\nsecrets = { KEY = \"HUSH\" }\n",
        "[agents.a]\ncommand = [\"x\"]\nsecrets = { HUSH = \"KEY\" }\n",
        "[agents.a]\ncommand = [\"x\"]\nsecrets = [\"A\", \"B=HUSH\"]\n",
        "[agents]\na = { http = \"x\", key = \"HUSH\" }\n",
        "[agents.a]\nhttp = \"x\" # HUSH\n",
        "[agents.a]\nmodel = \"p/m\"\napi_key = \"HUSH\"\n[providers.p]\nurl = \"http://x\"\n",
        "[providers.p]\nurl = \"http://x\"\nkey = \"HUSH\"\n",
        "[providers.p]\nurl = \"http://x\"\nheaders = { x-api-key = \"HUSH\" }\n",
        "[providers.p]\nurl = \"http://x\"\nkey = \"HUSH\n",
        "[providers]\np = { url = \"http://x\", key = \"HUSH\"\n",
    ] {
        for key in ["sk-abcdef123456", "sk_live_abcdef123456"] {
            let shown = seen(&text.replace("HUSH", key));
            assert!(!shown.contains("abcdef"), "{text}: {shown}");
        }
    }
    for text in ["key = \"hunter2+more\"", "headers = { Authorization = \"Basic hunter2+more\" }"] {
        let shown = seen(&format!("[agents.a]\nhttp = \"http://x\"\n{text}\n"));
        assert!(!shown.contains("hunter") && shown.contains("secret:NAME"), "{shown}");
    }
}

#[test]
fn a_key_in_clear_text_says_where_it_belongs() {
    let shown = seen("[agents.a]\nhttp = \"http://x\"\nkey = \"sk-abcdef123456\"\n");
    let (drawn, _) = shown.split_once("[{").unwrap();
    let (_, drawn) = drawn.split_once("3 | ").unwrap();
    assert!(drawn.starts_with("key = \"***************\"\n"), "{drawn}");
    assert!(drawn.contains("found \"***************\""), "{drawn}");
    assert!(drawn.contains("help: put a secret in the environment, and write secret:NAME\n"), "{drawn}");
    let text = "[agents.a]\nhttp = \"http://x\"\nheaders = { Authorization = \"Bearer sk-abcdef\", Team = \"shop\", X-Key = \"secret:K\" }\n";
    let (settings, problems) = read(&Source::new("orderflow.toml", text));
    let found: Vec<_> = problems.iter().map(|problem| (problem.code, problem.message.as_str())).collect();
    let expected = "the header `Authorization` contains a secret in clear text";
    assert_eq!(found, [("settings-clear-secret", expected)]);
    let Some(Reach::Http { headers, .. }) = &settings.agents["a"].reach else { panic!() };
    assert_eq!(headers[0].1.text, "Bearer sk-abcdef", "a warning changes nothing");
}

#[test]
fn near_misses_are_reported_once_with_what_to_write() {
    let agent = |text: &str| format!("[agents.a]\n{text}\n");
    for (text, expected) in [
        (
            "[agents.a]\nmodel = \"local/m\"\n[providers.local]\nurl = \"127.0.0.1:80\"\n".to_owned(),
            vec![None],
        ),
        (agent("mcp = \"npx -y tools\""), vec![Some("write mcp = [\"npx\", \"-y\", \"tools\"]")]),
        (agent("acp = \"opencode acp\""), vec![Some("write acp = [\"opencode\", \"acp\"]")]),
        (agent("command = \"python3 x.py\""), vec![Some("write command = [\"python3\", \"x.py\"]")]),
        (agent("model = \"openai/m\"\nkey = \"secret:K\""), vec![Some("write `key` in [providers.NAME]")]),
        (agent("modle = \"openai/m\""), vec![Some("did you mean `model`?")]),
        (agent("model = [\"openai/m\"]"), vec![Some("write model = \"openai/m\"")]),
        (agent("preset = [\"claude\"]"), vec![Some("write preset = \"claude\"")]),
        (agent("http = [\"http://a\"]"), vec![Some("write http = \"http://a\"")]),
        (
            agent("model = \"openai/m\"\ntemperature = 0.2"),
            vec![Some("of a model only `max-tokens` can be set; it has its provider's defaults otherwise")],
        ),
        (
            agent("model = \"openai/m\"\nsystem-prompt = \"Be brief.\""),
            vec![Some("the system prompt is a file: instructions = \"agent.md\"")],
        ),
        (agent("model = \"openai/m\"\nmax_tokens = 5"), vec![Some("did you mean `max-tokens`?")]),
        (agent("command = [\"a\"]\ntimeout = \"5s\""), vec![Some("write [timeout:: 30s] at the step")]),
        (agent("command = [\"a\"]\nretries = 2"), vec![Some("write [retry:: 3] at the step")]),
        (
            format!("[provider.local]\nurl = \"http://a\"\n{}", agent("model = \"local/x\"")),
            vec![Some("did you mean `providers`?")],
        ),
        (
            "[providers.local]\nurl = \"http://a\"\ntemperature = 1\n".to_owned(),
            vec![Some("a model and its max-tokens are set in [agents.NAME]")],
        ),
        (agent("cmd = [\"x\"]"), vec![Some("write command = [\"program\", \"argument\"]")]),
        (agent("image = \"x\""), vec![Some("write container = { image = \"…\" }")]),
        (
            agent("api_key = \"secret:K\""),
            vec![Some("the key of a model is `key` in [providers.NAME], that of a service is `key`")],
        ),
        ("[providers.ollama]\nbase_url = \"x\"\n".to_owned(), vec![Some("did you mean `url`?")]),
        ("[provider.local]\nurl = \"http://x\"\n".to_owned(), vec![Some("did you mean `providers`?")]),
        (
            agent("acp = [\"x\"]\nallow = [\"write\", \"bash\"]"),
            vec![Some("did you mean `edit`?"), Some("did you mean `execute`?")],
        ),
    ] {
        let (_, problems) = read(&Source::new("orderflow.toml", text.clone()));
        let found: Vec<_> = problems.iter().map(|problem| problem.help.as_deref()).collect();
        assert_eq!(found, expected, "{text}");
    }
}

/// Each wrong member of a price is named.
#[test]
fn the_members_of_a_price_are_checked_one_by_one() {
    let problems = |price: &str| -> Vec<String> {
        let text = format!("[providers.p]\nurl = \"http://a\"\nprice = {price}\n");
        let (_, problems) = read(&Source::new("orderflow.toml", &text));
        let shown = |problem: &crate::diag::Diagnostic| {
            let label = if problem.label.is_empty() {
                problem.help.as_deref().unwrap_or_default()
            } else {
                &problem.label
            };
            format!("{}: {label}", problem.message)
        };
        problems.iter().map(shown).collect()
    };
    let whole =
        "`price` must be dollars for a million tokens, such as { input = 3.00, output = 15.00 }: found";
    let member = "must be dollars for a million tokens, such as 3.00: found";
    for (price, expected) in [
        ("{ input = 0.15, output = 1 }", vec![]),
        ("{ input = 0.15 }", vec![format!("{whole} a value of the type table without `output`")]),
        (
            "{ input = \"0.15\", output = -1 }",
            vec![format!("`input` {member} \"0.15\""), format!("`output` {member} -1")],
        ),
        (
            "{ input = 1, output = 2, cached = 3 }",
            vec!["unknown key `cached`: known here: input, output".to_owned()],
        ),
        ("3", vec![format!("{whole} 3")]),
    ] {
        assert_eq!(problems(price), expected, "{price}");
    }
}
