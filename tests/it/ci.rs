//! The files of `docs/ci.md`: against the schemas of the services, and as jobs whose commands run on the documents of the
//! page, each on a machine of its own. The action, the hooks and the image of the repository.

use crate::docs::fences;
use crate::parts::found;
use crate::place::Place;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const GITHUB: &str = ".github/workflows/workflows.yml";
const GITLAB: &str = ".gitlab-ci.yml";

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The files of the page, and the baseline that its command makes.
fn project() -> Place {
    let place = Place::new("");
    for fence in fences(&std::fs::read_to_string(root("docs/ci.md")).unwrap()) {
        if let Some(name) = fence.name {
            place.write(&name, &fence.content);
        }
    }
    let made = place.orderflow("run workflows/parcels.md --trust --quiet --session workflows/baseline.toon");
    assert_eq!(made.exit, Some(0), "{}", made.err);
    std::fs::remove_dir_all(place.path("workflows/.orderflow")).unwrap();
    std::fs::remove_dir_all(place.path(".state")).unwrap();
    place
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

/// Copies the files without empty folders and permissions, as artifacts and checkouts do.
fn transfer(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            transfer(&entry.path(), &to);
        } else {
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::write(to, std::fs::read(entry.path()).unwrap()).unwrap();
        }
    }
}

/// The machine of a job, with a checkout of the project.
fn machine(project: &Place) -> Place {
    let machine = Place::new("");
    transfer(project.folder(), machine.folder());
    machine
}

/// Runs a script as the service would, with these variables.
fn script(machine: &Place, shell: &[&str], script: &str, variables: &[(&str, &str)]) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_orderflow")).parent().unwrap().to_owned();
    let path = std::env::var_os("PATH").unwrap();
    let path = std::env::join_paths(std::iter::once(program).chain(std::env::split_paths(&path))).unwrap();
    let mut command = Command::new(shell[0]);
    command.args(&shell[1..]).arg(script).current_dir(machine.folder()).stdin(Stdio::null());
    command.env("PATH", path).env("XDG_STATE_HOME", machine.path(".state"));
    command.envs(variables.iter().copied()).output().unwrap()
}

/// A job of GitHub: its steps in order, with those that run always. `shelf` has the artifacts. What failed, if anything,
/// and all that was printed.
fn github_job(workflow: &Value, name: &str, machine: &Place, shelf: &Place) -> (Option<String>, String) {
    let (mut failed, mut printed) = (None, String::new());
    for step in workflow["jobs"][name]["steps"].as_array().unwrap() {
        if failed.is_some() && step["if"] != "always()" {
            continue;
        }
        let with = |key: &str| step["with"][key].as_str().unwrap_or_default();
        match step["uses"].as_str().map(|action| action.split('@').next().unwrap()) {
            Some("actions/checkout" | "OWNER/orderflow") => {}
            Some("actions/upload-artifact") => {
                for path in with("path").lines() {
                    assert!(
                        !path.starts_with('.') || step["with"]["include-hidden-files"] == true,
                        "{path} is hidden"
                    );
                    match machine.path(path) {
                        folder if folder.is_dir() => transfer(&folder, &shelf.path(with("name"))),
                        file => {
                            assert!(file.is_file() || failed.is_some(), "{path} was not made");
                        }
                    }
                }
            }
            Some("actions/download-artifact") => {
                transfer(&shelf.path(with("name")), &machine.path(with("path")))
            }
            Some(other) => panic!("an unknown action: {other}"),
            None => {
                let run = step["run"].as_str().unwrap();
                assert!(!run.contains("${{"), "texts of others would become commands: {run}");
                let summary = machine.path("summary");
                let known = |value: &Value| match value.as_str().unwrap() {
                    "${{ github.triggering_actor }}" => "ada".to_owned(),
                    other => {
                        assert!(!other.contains("${{"), "an unknown value: {other}");
                        other.to_owned()
                    }
                };
                let empty = Map::new();
                let of = |value: &Value| value.as_object().unwrap_or(&empty).clone();
                let given: Vec<(String, String)> = of(&workflow["env"])
                    .iter()
                    .chain(&of(&step["env"]))
                    .map(|(name, value)| (name.clone(), known(value)))
                    .collect();
                let mut variables: Vec<(&str, &str)> =
                    given.iter().map(|(name, value)| (&**name, &**value)).collect();
                variables.push(("GITHUB_STEP_SUMMARY", summary.to_str().unwrap()));
                variables.push(("GITHUB_SHA", "c0ffee"));
                let output = script(machine, &["bash", "-ec"], run, &variables);
                printed.push_str(&String::from_utf8_lossy(&output.stdout));
                printed.push_str(&String::from_utf8_lossy(&output.stderr));
                if !output.status.success() {
                    failed = Some(format!("exit {}: {run}", output.status.code().unwrap()));
                }
            }
        }
    }
    (failed, printed)
}

/// A job of GitLab: its script, in one shell. How it ended, and all that it printed.
fn gitlab_job(jobs: &Value, name: &str, machine: &Place) -> (Option<i32>, String) {
    let lines = jobs[name]["script"].as_array().unwrap().iter().map(|line| line.as_str().unwrap());
    let state = jobs["variables"]["ORDERFLOW_STATE"].as_str().unwrap();
    let variables = [("ORDERFLOW_STATE", state), ("CI_COMMIT_SHA", "c0ffee"), ("GITLAB_USER_LOGIN", "ada")];
    let output = script(machine, &["sh", "-ec"], &lines.collect::<Vec<_>>().join("\n"), &variables);
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn the_jobs_for_github_do_what_the_page_says() {
    let (project, shelf) = (project(), Place::new(""));
    let workflow = yaml(&project.read(GITHUB));
    assert_eq!(github_job(&workflow, "check", &machine(&project), &shelf).0, None);

    let parcels = machine(&project);
    let (failed, printed) = github_job(&workflow, "parcels", &parcels, &shelf);
    assert_eq!(failed, None, "{printed}");
    let summary = parcels.read("summary");
    assert!(summary.contains("## ✅ `Parcels`: done") && summary.contains("| `errors < 1%` |"), "{summary}");
    assert!(parcels.read("junit.xml").contains("<testcase name=\"b\" classname=\"workflows/parcels.md\""));

    let (failed, printed) = github_job(&workflow, "build", &machine(&project), &shelf);
    assert_eq!(failed, None, "{printed}");
    assert!(printed.contains("1 waiting for a person"), "{printed}");
    let deploy = machine(&project);
    let (failed, printed) = github_job(&workflow, "deploy", &deploy, &shelf);
    assert_eq!(failed, None, "{printed}");
    assert!(printed.contains("https://example.org/image-c0ffee"), "{printed}");
    let shown = deploy.orderflow("show last --item 1 --state .orderflow").out;
    assert!(shown.contains("gate of Deploy: approved by ada"), "{shown}");
}

#[test]
fn the_jobs_for_github_fail_when_something_is_wrong() {
    let (project, shelf) = (project(), Place::new(""));
    let workflow = yaml(&project.read(GITHUB));

    let check = machine(&project);
    check.write(
        "workflows/parcels.md",
        &check.read("workflows/parcels.md").replace("4,6,success", "4,6,skipped"),
    );
    let (failed, printed) = github_job(&workflow, "check", &check, &shelf);
    assert!(failed.is_some() && printed.contains("::error file=workflows/parcels.md,line="), "{printed}");

    // A failed item makes the job fail, and what always runs still reports it.
    let parcels = machine(&project);
    let broken = parcels.read("workflows/parcels.md").replace("echo \"label", "exit 65 # \"label");
    parcels.write("workflows/parcels.md", &broken);
    let (failed, printed) = github_job(&workflow, "parcels", &parcels, &shelf);
    assert_eq!(failed.as_deref(), Some("exit 1: orderflow run workflows/parcels.md --trust --format github"));
    assert!(printed.contains("::error"), "{printed}");
    assert!(parcels.read("summary").contains("## ❌ `Parcels`: failed"), "{}", parcels.read("summary"));
    assert!(parcels.read("junit.xml").contains("<failure"));

    // Only a wait is accepted before the gate.
    let build = machine(&project);
    build.write(
        "workflows/release.md",
        &build.read("workflows/release.md").replace("echo \"image", "exit 1 #"),
    );
    let (failed, _) = github_job(&workflow, "build", &build, &shelf);
    assert!(failed.is_some_and(|failed| failed.starts_with("exit 1: ")));
}

#[test]
fn the_jobs_for_gitlab_do_what_the_page_says() {
    let project = project();
    let jobs = yaml(&project.read(GITLAB));
    for (name, report) in [
        ("validate", "codequality.json"),
        ("test", "test.xml"),
        ("verify", "verify.xml"),
        ("parcels", "run.xml"),
    ] {
        let machine = machine(&project);
        let (exit, printed) = gitlab_job(&jobs, name, &machine);
        assert_eq!(exit, Some(0), "{name}: {printed}");
        let reports = jobs[name]["artifacts"]["reports"].as_object().unwrap();
        assert!(reports.values().any(|path| path == report) && machine.path(report).is_file(), "{name}");
    }
    let build = machine(&project);
    assert_eq!(gitlab_job(&jobs, "build", &build).0, Some(0));
    let deploy = machine(&project);
    transfer(&build.path(".orderflow"), &deploy.path(".orderflow"));
    let (exit, printed) = gitlab_job(&jobs, "deploy", &deploy);
    assert_eq!(exit, Some(0), "{printed}");
    let shown = deploy.orderflow("show last --item 1 --state .orderflow").out;
    assert!(shown.contains("gate of Deploy: approved by ada"), "{shown}");
}

#[test]
fn the_files_of_ci_have_the_forms_of_their_services() {
    let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("schemas").join("bin");
    let needs =
        "`python3 -m venv target/schemas && target/schemas/bin/pip install check-jsonschema pre-commit`";
    let Some(tools) = found("schemas", needs, tools.is_dir().then_some(tools)) else { return };
    let place = project();
    let check = |tool: &str, args: &[&str]| {
        let output = Command::new(tools.join(tool)).args(args).current_dir(place.folder()).output().unwrap();
        (output.status.success(), format!("{args:?}: {}", String::from_utf8_lossy(&output.stdout)))
    };
    let schema = |kind: &str, file: &str| {
        let kind = format!("vendor.{kind}");
        check("check-jsonschema", &["--builtin-schema", &kind, file])
    };
    let (action, hooks) = (root("action.yml"), root(".pre-commit-hooks.yaml"));
    for (kind, file) in
        [("github-workflows", GITHUB), ("gitlab-ci", GITLAB), ("github-actions", action.to_str().unwrap())]
    {
        let (fits, said) = schema(kind, file);
        assert!(fits, "{said}");
    }
    let (fits, said) = check("pre-commit", &["validate-manifest", hooks.to_str().unwrap()]);
    assert!(fits, "{said}");
    let (fits, said) = check("pre-commit", &["validate-config", ".pre-commit-config.yaml"]);
    assert!(fits, "{said}");
    // A wrong key is seen.
    place.write(GITHUB, &place.read(GITHUB).replace("runs-on:", "run-on:"));
    assert!(!schema("github-workflows", GITHUB).0);
}

/// The hook's command on a right document and on a wrong one, and the patterns of its files.
#[test]
fn the_hooks_check_documents() {
    let hooks = yaml(&std::fs::read_to_string(root(".pre-commit-hooks.yaml")).unwrap());
    let project = project();
    let configured = yaml(&project.read(".pre-commit-config.yaml"));
    for hook in configured["repos"][0]["hooks"].as_array().unwrap() {
        let offered = hooks.as_array().unwrap().iter().find(|offered| offered["id"] == hook["id"]).unwrap();
        for files in [&hook["files"], &offered["files"]] {
            let files = regex::Regex::new(files.as_str().unwrap()).unwrap();
            let kinds = ["workflows/parcels.md", "workflows/parcels.test.toml"];
            assert!(kinds.iter().any(|kind| files.is_match(kind)), "{files}");
            assert!(!files.is_match("docs/ci.md") && !files.is_match("src/a.test.toml"), "{files}");
        }
        let entry = offered["entry"].as_str().unwrap();
        let run = |document: &str| {
            script(&project, &["sh", "-ec"], &format!("{entry} {document}"), &[]).status.code()
        };
        assert_eq!(run("workflows/parcels.md"), Some(0));
        let wrong = "## Pay @shop [timeout:: 10x]\na -> b\n";
        project.write("workflows/wrong.md", wrong);
        match hook["id"] == "orderflow-fmt" {
            // A hook that writes a file has failed.
            true => assert_eq!(
                (run("workflows/wrong.md"), project.read("workflows/wrong.md") != wrong),
                (Some(0), true)
            ),
            false => assert_eq!(run("workflows/wrong.md"), Some(3)),
        }
    }
}

/// The action's commands, without the build: the key changes with the source, and the program's folder is on the path.
#[test]
fn the_action_caches_by_its_source() {
    let action = yaml(&std::fs::read_to_string(root("action.yml")).unwrap());
    let steps = action["runs"]["steps"].as_array().unwrap();
    let place = Place::new("");
    for (name, text) in [("Cargo.toml", "[package]"), ("Cargo.lock", "#"), ("src/main.rs", "fn main() {}")] {
        place.write(&format!("action/{name}"), text);
    }
    let run = |step: &Value| {
        let (action, output, path) = (place.path("action"), place.path("output"), place.path("path"));
        let variables = [
            ("GITHUB_ACTION_PATH", action.to_str().unwrap()),
            ("GITHUB_OUTPUT", output.to_str().unwrap()),
            ("GITHUB_PATH", path.to_str().unwrap()),
            ("RUNNER_TEMP", "/tmp/runner"),
            ("RUNNER_OS", "Linux"),
            ("RUNNER_ARCH", "X64"),
            ("FEATURES", ""),
        ];
        let done =
            script(&place, &["bash", "-eo", "pipefail", "-c"], step["run"].as_str().unwrap(), &variables);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    let key = || {
        std::fs::write(place.path("output"), "").unwrap();
        run(&steps[0]);
        place.read("output")
    };
    let first = key();
    assert!(first.starts_with("key=orderflow-Linux-X64--") && first == key(), "{first}");
    place.write("action/src/main.rs", "fn main() { }");
    assert_ne!(first, key());
    run(steps.last().unwrap());
    assert_eq!(place.read("path"), "/tmp/runner/orderflow/bin\n");
    let build =
        steps.iter().find_map(|step| step["run"].as_str().filter(|run| run.contains("cargo install")));
    assert!(build.unwrap().contains("--root \"$RUNNER_TEMP/orderflow\""));
}

/// The image without the build of the program: podman makes its last stage from an image that is here.
#[test]
fn the_image_runs_the_program_as_a_user_without_rights() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("podman");
    let podman = |args: &[&str]| {
        let mut command = Command::new("timeout");
        command.args(["120", "podman"]).args(args).stdin(Stdio::null());
        command.env("CONTAINERS_CONF", folder.join("containers.conf"));
        command.env("CONTAINERS_STORAGE_CONF", folder.join("storage.conf"));
        command.output().unwrap()
    };
    let here =
        || podman(&["run", "--rm", "--network=none", "localhost/orderflow-test", "true"]).status.success();
    let needs = "`tests/it/support/podman.sh target/podman`";
    if found("podman", needs, (folder.is_dir() && here()).then_some(())).is_none() {
        return;
    }
    // The program is a script: one that is linked to libraries does not run in the image of busybox.
    let place = Place::new("");
    place.write("Dockerfile", "FROM localhost/orderflow-test\nCOPY orderflow /out/bin/orderflow\n");
    place.write("orderflow", "#!/bin/sh\necho \"$(id -u) in $(pwd): $*\"; touch here\n");
    let mut mode = std::fs::metadata(place.path("orderflow")).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
    std::fs::set_permissions(place.path("orderflow"), mode).unwrap();
    let must = |args: &[&str]| {
        let done = podman(args);
        assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    };
    let context = place.folder().to_str().unwrap();
    must(&["build", "--pull=never", "--network=none", "-t", "orderflow-test-built", context]);
    must(&[
        "build",
        "--pull=never",
        "--network=none",
        "--build-context",
        "build=container-image://localhost/orderflow-test-built",
        "--build-arg",
        "BASE=localhost/orderflow-test",
        "-t",
        "orderflow-test-image",
        "-f",
        root("Dockerfile").to_str().unwrap(),
        context,
    ]);
    let said = must(&["run", "--rm", "--network=none", "orderflow-test-image", "validate", "a.md"]);
    assert_eq!(said, "10001 in /work: validate a.md\n");
    let said = must(&["run", "--rm", "--network=none", "orderflow-test-image"]);
    assert_eq!(said, "10001 in /work: --help\n");
    must(&["rmi", "orderflow-test-image", "orderflow-test-built"]);
}
