//! The description of the HTTP interface, against which a tool tries it, and the figures for Prometheus.

use crate::parts::found;
use crate::place::Place;
use crate::serving::Serving;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

const FLOW: &str = "# Flow\n\n## Pay [effects:: none]\nname::String -> paid::File\n\n```sh run\n\
                    test $IN_NAME != bad || exit 65\necho x > \"$ORDERFLOW_DIR/a.txt\"\necho a.txt\n```\n\n\
                    ## Ask [await:: order.paid] [effects:: none]\n> [!gate] Go?\n\npaid, order_paid::JSON -> asked::String\n\n```sh run\necho x\n```\n";

fn place() -> Place {
    let place = Place::new(FLOW);
    place.write("orderflow.toml", "fences = true\n");
    place.write("items.jsonl", "{\"id\": \"a\", \"name\": \"x\"}\n{\"id\": \"b\", \"name\": \"bad\"}\n");
    assert_eq!(place.run("--items items.jsonl --quiet").exit, Some(5));
    place
}

/// The addresses in the source of the routes are those of the description, with their methods.
#[test]
fn every_address_is_described() {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/serve/routes.rs");
    let source = std::fs::read_to_string(source).unwrap();
    let mut routes = BTreeSet::new();
    for line in source.lines().filter_map(|line| line.trim().strip_prefix(".route(\"")) {
        let (path, methods) = line.split_once("\", ").unwrap();
        for method in ["get", "post"] {
            if methods.contains(&format!("{method}(")) {
                routes.insert(format!("{method} {}", path.replace("{*", "{")));
            }
        }
    }
    assert!(
        ["/", "/runs/{run}", "/runs/{run}/report.html"]
            .iter()
            .all(|page| routes.remove(&format!("get {page}"))),
        "the pages: {routes:?}"
    );
    let place = place();
    let described = Serving::start(place.command("serve")).json("/api/openapi.json");
    let paths = described["paths"].as_object().unwrap().iter();
    let described: BTreeSet<String> = paths
        .flat_map(|(path, all)| all.as_object().unwrap().keys().map(move |method| format!("{method} {path}")))
        .collect();
    assert_eq!(routes, described);
}

/// Schemathesis makes requests from the description, right ones and wrong ones, and checks the answers against it.
#[test]
fn the_answers_are_those_of_the_description() {
    let tool = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("schemathesis").join("bin/schemathesis");
    let needs = "`python3 -m venv target/schemathesis && target/schemathesis/bin/pip install schemathesis`";
    let Some(tool) = found("schemathesis", needs, Some(tool).filter(|tool| tool.is_file())) else { return };
    let place = place();
    let server = Serving::start(place.command("serve"));
    let mut command = Command::new(tool);
    command.arg("run").arg(format!("http://{}/api/openapi.json", server.address));
    command.arg("--header").arg(format!("Authorization: Bearer {}", server.token));
    // What a document or a run does not allow is not in the description, and events have no end.
    command.args(["--exclude-checks", "positive_data_acceptance", "--exclude-path-regex", "events$"]);
    command.args([
        "--phases",
        "examples,coverage,fuzzing",
        "--max-examples",
        "8",
        "--seed",
        "1",
        "--no-color",
    ]);
    command.args(["--request-timeout", "60", "--workers", "1"]).current_dir(place.folder());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("Tested: 19"), "{said}");
}

#[test]
fn prometheus_gets_the_figures_of_all_runs() {
    let place = place();
    let server = Serving::start(place.command("serve"));
    let answer = server.get("/metrics");
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = answer.text();
    for line in [
        "# TYPE orderflow_runs gauge",
        "orderflow_runs{workflow=\"Flow\",state=\"waiting\"} 1",
        "orderflow_runs{workflow=\"Flow\",state=\"done\"} 0",
        "orderflow_items{workflow=\"Flow\",state=\"failed\"} 1",
        "orderflow_items{workflow=\"Flow\",state=\"waiting\"} 1",
        "orderflow_items{workflow=\"Flow\",state=\"in_flight\"} 0",
        "orderflow_tokens{workflow=\"Flow\"} 0",
        "orderflow_executions{workflow=\"Flow\",step=\"Pay\",status=\"success\"} 1",
        "orderflow_executions{workflow=\"Flow\",step=\"Pay\",status=\"failed\"} 1",
        "# TYPE orderflow_step_duration_seconds histogram",
        "orderflow_step_duration_seconds_bucket{workflow=\"Flow\",step=\"Pay\",le=\"+Inf\"} 2",
        "orderflow_step_duration_seconds_count{workflow=\"Flow\",step=\"Pay\"} 2",
    ] {
        assert!(text.lines().any(|one| one == line), "{line}\n{text}");
    }
    // The second answer is from what is known, and another run is added to it.
    assert_eq!(server.get("/metrics").text(), text);
    place.write("flow.md", &FLOW.replace("# Flow", "# \"Other\" Flow"));
    assert_eq!(place.run("--items items.jsonl --quiet").exit, Some(5));
    let text = server.get("/metrics").text();
    assert!(text.contains("orderflow_runs{workflow=\"Flow\",state=\"waiting\"} 1\n"), "{text}");
    assert!(text.contains("orderflow_runs{workflow=\"\\\"Other\\\" Flow\",state=\"waiting\"} 1\n"), "{text}");
}
