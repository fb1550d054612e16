//! Telemetry with a real collector: a run is one trace, from its caller to its agents, over kills and retries.

use crate::collector::{Collector, Got};
use crate::place::Place;
use crate::program::{Told, told};
use crate::services::Service;
use crate::serving::Serving;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::{Duration, Instant};

const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

const ORDERS: &str = "\
# Orders

## Weigh [retry:: 2 fixed 10ms]
order → grams::Integer

```sh run
echo \"$ORDERFLOW_ATTEMPT $TRACEPARENT\" >> seen.log
test \"$ORDERFLOW_ATTEMPT\" = 2 || exit 75
echo 5
```

## Label [document:: label.md]
grams → label
";

const LABEL: &str = "\
# Label

## Print
grams → label

```sh run
echo \"print $TRACEPARENT\" >> seen.log
if test -e wait; then touch waits; until test -e go; do sleep 0.02; done; fi
test ! -e bad || exit 1
echo \"$IN_GRAMS g\"
```
";

fn place() -> Place {
    let place = Place::new(ORDERS);
    place.write("label.md", LABEL);
    place
}

/// `orderflow` with these arguments, as part of a trace, with a collector at this address.
fn traced(place: &Place, url: &str, args: &str) -> Told {
    let mut command = place.command(args);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", url).env("TRACEPARENT", CALLER);
    told(command.output().unwrap())
}

/// The names from the outermost span to each span, sorted; what a span is below that did not come is `?`.
fn paths(spans: &[Got]) -> Vec<String> {
    let by_id: BTreeMap<&str, &Got> = spans.iter().map(|span| (span.id.as_str(), span)).collect();
    let path = |span: &Got| {
        let (mut names, mut at) = (vec![span.name.clone()], span);
        while !at.parent.is_empty() {
            match by_id.get(at.parent.as_str()) {
                Some(above) => at = above,
                None if at.parent == "b7ad6b7169203331" => return format!("caller > {}", join(names)),
                None => return format!("? > {}", join(names)),
            }
            names.push(at.name.clone());
        }
        join(names)
    };
    let mut all: Vec<String> = spans.iter().map(path).collect();
    all.sort();
    all
}

fn join(mut names: Vec<String>) -> String {
    names.reverse();
    names.join(" > ")
}

#[test]
fn a_run_is_one_trace_from_its_caller_to_the_agents_of_its_documents() {
    let Some(collector) = Collector::start() else { return };
    let place = place();
    let told = traced(&place, &collector.url, "run flow.md --trust --quiet --input order=1");
    assert_eq!((told.exit, told.err.as_str()), (Some(0), ""), "{}", told.out);
    let spans = collector.until(11);
    assert!(spans.iter().all(|span| span.trace == "0af7651916cd43dd8448eb211c80319c"), "{spans:#?}");
    let label = "caller > run Orders > item > Label > call Label";
    assert_eq!(
        paths(&spans),
        [
            "caller > run Orders".to_owned(),
            "caller > run Orders > item".to_owned(),
            "caller > run Orders > item > Label".to_owned(),
            label.to_owned(),
            format!("{label} > run Label"),
            format!("{label} > run Label > item"),
            format!("{label} > run Label > item > Print"),
            format!("{label} > run Label > item > Print > call Print"),
            "caller > run Orders > item > Weigh".to_owned(),
            "caller > run Orders > item > Weigh > call Weigh".to_owned(),
            "caller > run Orders > item > Weigh > call Weigh".to_owned(),
        ]
    );
    // What the programs were given is what was sent.
    let of = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();
    let weighs = of("call Weigh");
    let given = |span: &Got| format!("00-{}-{}-01", span.trace, span.id);
    assert_eq!(
        place.read("seen.log"),
        format!("1 {}\n2 {}\nprint {}\n", given(weighs[0]), given(weighs[1]), given(of("call Print")[0]))
    );
    assert_eq!(weighs[0].error.as_deref(), Some("exited with 75 (try again)"));
    assert_eq!(weighs[0].attributes["error.type"], "Str(exit_75)");
    assert_eq!(weighs[1].error, None);
    assert_eq!(
        (weighs[0].kind.as_str(), of("call Label")[0].kind.as_str()),
        ("SPAN_KIND_CLIENT", "SPAN_KIND_INTERNAL")
    );
    let weigh = of("Weigh")[0];
    assert_eq!(weigh.events, ["retry scheduled"]);
    assert_eq!(weigh.attributes["orderflow.step.attempts"], "Int(2)");
    assert!(weigh.began <= weighs[0].began && weighs[1].ended <= weigh.ended, "{spans:#?}");
    assert_eq!(of("run Orders")[0].attributes["orderflow.run.result"], "Str(succeeded)");
    assert_eq!(of("item")[0].attributes["orderflow.item.key"], "Str(1)");
}

#[test]
fn a_run_that_was_killed_and_retried_continues_its_trace() {
    let Some(collector) = Collector::start() else { return };
    let place = place();
    place.write("wait", "");
    let mut command = place.command("run flow.md --trust --quiet --input order=1");
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url).env("TRACEPARENT", CALLER);
    let mut child = command.spawn().unwrap();
    place.await_file("waits");
    // What has ended is sent within a second.
    collector.until(3);
    kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    child.wait().unwrap();
    place.write("bad", "");
    place.write("go", "");
    // The trace is that of the run, not of whoever resumes it.
    let mut resume = place.command("resume last --quiet --trust");
    resume.env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url);
    assert_eq!(told(resume.output().unwrap()).exit, Some(1));
    let spans = collector.until(11);
    let label = "caller > run Orders > item > Label > call Label";
    let first = [
        "caller > run Orders".to_owned(),
        "caller > run Orders > item".to_owned(),
        "caller > run Orders > item > Label".to_owned(),
        label.to_owned(),
        format!("{label} > run Label"),
        format!("{label} > run Label > item"),
        format!("{label} > run Label > item > Print"),
        format!("{label} > run Label > item > Print > call Print"),
        "caller > run Orders > item > Weigh".to_owned(),
        "caller > run Orders > item > Weigh > call Weigh".to_owned(),
        "caller > run Orders > item > Weigh > call Weigh".to_owned(),
    ];
    assert_eq!(paths(&spans), first);
    let root = spans.iter().find(|span| span.name == "run Orders").unwrap();
    assert_eq!(root.error.as_deref(), Some("failed"));
    let print = spans.iter().find(|span| span.name == "call Print").unwrap();
    assert_eq!(print.attributes["orderflow.attempt.repeated"], "Bool(true)");
    let mut ids: Vec<&String> = spans.iter().map(|span| &span.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), spans.len(), "{spans:#?}");

    std::fs::remove_file(place.path("bad")).unwrap();
    let mut retry = place.command("retry last --quiet --trust");
    retry.env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url);
    assert_eq!(told(retry.output().unwrap()).exit, Some(0));
    let more = &collector.until(19)[11..];
    let label = "caller > retry Orders > item > Label > call Label";
    assert_eq!(
        paths(more),
        [
            "caller > retry Orders".to_owned(),
            "caller > retry Orders > item".to_owned(),
            "caller > retry Orders > item > Label".to_owned(),
            label.to_owned(),
            format!("{label} > retry Label"),
            format!("{label} > retry Label > item"),
            format!("{label} > retry Label > item > Print"),
            format!("{label} > retry Label > item > Print > call Print"),
        ]
    );
}

#[test]
fn a_model_has_the_names_that_others_use() {
    let Some(collector) = Collector::start() else { return };
    let provider = Service::new(|_| {
        let choice = json!({"message": {"content": "Dear Ada"}, "finish_reason": "stop"});
        let usage = json!({"prompt_tokens": 30, "completion_tokens": 4});
        Some((200, json!({"model": "small-1", "choices": [choice], "usage": usage})))
    });
    let place =
        Place::new("# Letters\n\n## Write @writer\nname::String → letter::String\n\nWrite to {{ name }}.\n");
    place.write(
        "orderflow.toml",
        &format!(
            "[providers.local]\nurl = \"http://{}/v1\"\nprice = {{ input = 1, output = 2 }}\n\
             [agents.writer]\nmodel = \"local/small\"\n",
            provider.address
        ),
    );
    let told = traced(&place, &collector.url, "run flow.md --quiet --input name=Ada");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    let spans = collector.until(4);
    let call = spans.iter().find(|span| span.kind == "SPAN_KIND_CLIENT").unwrap();
    assert_eq!(call.name, "chat small");
    let of = |name: &str| call.attributes.get(name).map(String::as_str);
    assert_eq!(of("gen_ai.operation.name"), Some("Str(chat)"));
    assert_eq!(of("gen_ai.provider.name"), Some("Str(local)"));
    assert_eq!(of("gen_ai.request.model"), Some("Str(small)"));
    assert_eq!(of("gen_ai.response.model"), Some("Str(small-1)"));
    assert_eq!(of("gen_ai.usage.input_tokens"), Some("Int(30)"));
    assert_eq!(of("gen_ai.usage.output_tokens"), Some("Int(4)"));
    assert_eq!(of("gen_ai.agent.name"), Some("Str(writer)"));
    assert_eq!(of("orderflow.tokens_used"), Some("Int(34)"));
    // Neither prompts nor values are sent.
    let all = format!("{spans:?}");
    assert!(!all.contains("Ada"), "{all}");
}

#[test]
fn a_run_that_a_server_starts_belongs_to_the_trace_of_the_request() {
    let Some(collector) = Collector::start() else { return };
    let place = place();
    place.write("orderflow.toml", "fences = true\n");
    let mut command = place.command("serve");
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url);
    let server = Serving::start(command);
    let body = json!({"document": "flow.md", "inputs": {"order": 1}}).to_string();
    let asked = server.ask(
        "POST",
        "/api/runs",
        &[("traceparent", CALLER), ("content-type", "application/json")],
        &body,
    );
    assert_eq!(asked.status, 201, "{asked:?}");
    let spans = collector.until(11);
    assert!(paths(&spans).iter().all(|path| path.starts_with("caller > run Orders")), "{spans:#?}");
}

#[test]
fn no_collector_and_a_silent_one_stop_no_run() {
    let place = place();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nowhere = format!("http://{free}");
    let lost = traced(&place, &nowhere, "run flow.md --trust --input order=1");
    assert_eq!(lost.exit, Some(0), "{}", lost.err);
    assert!(lost.err.contains("warning: 11 spans were not sent: "), "{}", lost.err);
    let quiet = traced(&place, &nowhere, "run flow.md --trust --quiet --input order=1");
    assert_eq!((quiet.exit, quiet.err.as_str()), (Some(0), ""));
    let wrong = traced(&place, "no address", "run flow.md --trust --input order=1");
    assert_eq!(wrong.exit, Some(0), "{}", wrong.err);
    assert!(wrong.err.contains("warning: no spans are sent: "), "{}", wrong.err);
    for (name, value) in [
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_TRACES_EXPORTER", "none"),
        // The caller's trace is not stored.
        ("TRACEPARENT", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"),
    ] {
        let mut command = place.command("run flow.md --trust --input order=1");
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &nowhere).env("TRACEPARENT", CALLER).env(name, value);
        let told = told(command.output().unwrap());
        assert_eq!(told.exit, Some(0), "{name}: {}", told.err);
        assert!(!told.err.contains("spans"), "{name}: {}", told.err);
    }

    // Takes connections, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let begin = Instant::now();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let waited = traced(&place, &url, "run flow.md --trust --input order=1");
    assert_eq!(waited.exit, Some(0), "{}", waited.err);
    assert!(
        waited.err.contains("the last spans were not sent: the collector does not answer"),
        "{}",
        waited.err
    );
    assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
}
