//! Coding agents over the Agent Client Protocol: where they work, what is left of it, what a killed runner leaves. The
//! stand-in replays messages; the real opencode works with a mocked model.

use crate::coding::{commit_all, git, prompts, stand_in};
use crate::place::Place;
use serde_json::{Value, json};

const FIX: &str =
    "# Fix\n\n## Fix @coder\ntask::String → summary::String, diff::String\n\nFix this: {{ task }}.\n";

/// Edits a file where it works, then answers.
fn fixes() -> Value {
    let permission = json!({"sessionId": "s-1", "toolCall": {"toolCallId": "c", "kind": "edit", "title": "a.txt"},
        "options": [{"optionId": "once", "kind": "allow_once"}, {"optionId": "no", "kind": "reject_once"}]});
    let tool = |status: &str| {
        json!({"update": {"sessionUpdate": "tool_call_update", "toolCallId": "c", "kind": "edit",
        "title": "a.txt", "status": status, "rawInput": {"text": "fixed"}, "rawOutput": "written"}})
    };
    json!({"session/prompt": [[
        {"log": "reading a.txt"},
        {"say": "I will fix it. "},
        {"update": {"sessionUpdate": "tool_call", "toolCallId": "c", "kind": "edit", "title": "a.txt"}},
        {"ask": {"method": "session/request_permission", "params": permission}},
        {"run": "echo fixed > a.txt"},
        tool("completed"),
        {"say": "Fixed."},
        {"update": {"sessionUpdate": "usage_update", "cost": {"amount": 0.25, "currency": "USD"}}},
        {"result": {"stopReason": "end_turn", "usage": {"totalTokens": 120}}},
    ]]})
}

pub fn item(place: &Place) -> Value {
    serde_json::from_str(&place.orderflow("show last --item 1 --format json").out).unwrap()
}

#[test]
fn a_change_in_a_worktree_ends_on_a_branch() {
    let place = Place::new(FIX);
    place.write("a.txt", "broken\n");
    let agent = stand_in(&place, "coder", &fixes());
    place.write(
        "orderflow.toml",
        &format!("[agents.coder]\n{agent}folder = \"worktree\"\nallow = [\"edit\"]\n"),
    );
    commit_all(place.folder());
    // Of no effect on the diff.
    git(place.folder(), "config diff.noprefix true");
    place.write("a.txt", "being edited\n");
    let told = place.orderflow("run flow.md --quiet --input task=a.txt");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    let attempt = &item(&place)["steps"][0]["attempts"][0];
    assert_eq!(attempt["outputs"]["summary"], "Fixed.");
    let diff = "diff --git a/a.txt b/a.txt\nindex 76ddd49..08c3fa4 100644\n--- a/a.txt\n+++ b/a.txt\n@@ -1 +1 @@\n-broken\n+fixed\n";
    let plain =
        |text: &str| text.lines().filter(|line| !line.starts_with("index ")).collect::<Vec<_>>().join("\n");
    assert_eq!(plain(attempt["outputs"]["diff"].as_str().unwrap()), plain(diff));
    assert_eq!((&attempt["tokens_used"], &attempt["columns"]["cost_usd"]), (&json!(120), &json!(0.25)));
    assert_eq!(attempt["columns"]["session"], "s-1");
    // Its standard error and its messages come by different pipes.
    let log = place.orderflow("logs last").out;
    let mut lines: Vec<&str> = log.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["permission to edit a.txt: allowed", "reading a.txt"]);
    let branch = attempt["columns"]["branch"].as_str().unwrap();
    assert!(branch.starts_with("orderflow/") && branch.ends_with("/Fix/1"), "{branch}");
    assert_eq!(git(place.folder(), &format!("show {branch}:a.txt")), "fixed\n");
    assert_eq!(place.read("a.txt"), "being edited\n");
    assert_eq!(git(place.folder(), "worktree list").lines().count(), 1);
    let conversation = place.orderflow("show last --item 1 --conversation").out;
    let said: Vec<&str> = conversation.lines().skip_while(|line| !line.starts_with("  assistant")).collect();
    assert_eq!(
        said,
        [
            "  assistant: I will fix it. ",
            "  permission: permission to edit a.txt: allowed",
            "  tool (a.txt): {\"text\":\"fixed\"} completed: \"written\"",
            "  assistant: Fixed.",
            "  usage: 120 tokens, $0.25 so far",
        ],
        "{conversation}"
    );
}

/// Without a change there is no branch, unless the step declares one.
#[test]
fn a_worktree_without_a_change_leaves_no_branch() {
    let says = json!({"session/prompt": [[{"say": "Nothing to do."}, {"end": "end_turn"}]]});
    for (outputs, branches) in [("summary::String", 1), ("summary::String, branch::String", 2)] {
        let place = Place::new(&format!("# T\n\n## Look @coder [after:: start]\n→ {outputs}\n\nLook.\n"));
        place.write(
            "orderflow.toml",
            &format!("[agents.coder]\n{}folder = \"worktree\"\n", stand_in(&place, "coder", &says)),
        );
        commit_all(place.folder());
        let told = place.orderflow("run flow.md --quiet");
        assert_eq!(told.exit, Some(0), "{}", told.err);
        assert_eq!(git(place.folder(), "branch --list").lines().count(), branches, "{outputs}");
        assert_eq!(git(place.folder(), "worktree list").lines().count(), 1);
        assert_eq!(item(&place)["steps"][0]["attempts"][0]["columns"].get("branch"), None);
    }
}

/// What a killed runner leaves is ended, and its worktree is replaced by that of the same attempt.
#[test]
fn a_killed_run_resumes_with_the_same_key_in_a_new_worktree() {
    let place = Place::new(FIX);
    let folder = place.folder().display().to_string();
    let run = format!(
        "echo $ORDERFLOW_KEY >> {folder}/keys; test ! -e half; echo half > half; \
         if test ! -e {folder}/ready; then setsid sleep 1000 & echo $! > {folder}/pid; touch {folder}/ready; wait; fi"
    );
    let script = json!({"session/prompt": [[{"run": run}, {"say": "Done."}, {"end": "end_turn"}]]});
    place.write(
        "orderflow.toml",
        &format!("[agents.coder]\n{}folder = \"worktree\"\n", stand_in(&place, "coder", &script)),
    );
    commit_all(place.folder());
    let mut child = place.begin("--input task=it");
    place.await_file("ready");
    child.kill().unwrap();
    child.wait().unwrap();
    let told = place.orderflow("resume last");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    let pid = place.read("pid");
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    assert!(stat.is_empty() || stat.contains(") Z "), "{stat}");
    let keys = place.read("keys");
    let keys: Vec<&str> = keys.lines().collect();
    assert_eq!((keys.len(), keys[0] == keys[1], keys[0].is_empty()), (2, true, false));
    let [first, second] = prompts(&place, "coder").try_into().unwrap();
    assert!(!first.contains("earlier attempt"), "{first}");
    assert!(second.contains("An earlier attempt") && second.contains(keys[0]), "{second}");
    assert_eq!(git(place.folder(), "worktree list").lines().count(), 1);
    assert_eq!(git(place.folder(), "branch --list").lines().count(), 2);
}

/// The work of a failed attempt is on its branch, until another attempt replaces it.
#[test]
fn a_failed_attempt_leaves_its_work_on_the_branch() {
    let place = Place::new(&FIX.replace("@coder", "@coder [retry:: 2 fixed 1ms]"));
    let folder = place.folder().display();
    let run = format!(
        "echo $ORDERFLOW_ATTEMPT > attempt; test -e {folder}/once || {{ touch {folder}/once; kill -9 $PPID; }}"
    );
    let script = json!({"session/prompt": [[{"run": run}, {"end": "refusal"}]]});
    place.write(
        "orderflow.toml",
        &format!("[agents.coder]\n{}folder = \"worktree\"\n", stand_in(&place, "coder", &script)),
    );
    commit_all(place.folder());
    let told = place.orderflow("run flow.md --quiet --input task=it");
    assert_eq!(told.exit, Some(1), "{}", told.err);
    let attempts = &item(&place)["steps"][0]["attempts"];
    let errors: Vec<&str> =
        [0, 1].iter().map(|at| attempts[at]["error"]["message"].as_str().unwrap()).collect();
    assert_eq!(errors, ["the agent ended by signal 9 before it answered", "the agent refused to continue"]);
    let branch = attempts[1]["columns"]["branch"].as_str().unwrap();
    assert_eq!(attempts[0]["columns"]["branch"], branch);
    assert_eq!(git(place.folder(), &format!("show {branch}:attempt")), "2\n");
}

/// The run of an agent in a worktree that runs a command and then answers, and its only attempt.
fn worked(document: &str, run: &str) -> (Place, Value) {
    let place = Place::new(document);
    let script = json!({"session/prompt": [[{"run": run}, {"say": "Done."}, {"result": {"stopReason": "end_turn", "usage": {"totalTokens": 7}}}]]});
    place.write(
        "orderflow.toml",
        &format!("[agents.coder]\n{}folder = \"worktree\"\n", stand_in(&place, "coder", &script)),
    );
    commit_all(place.folder());
    place.orderflow("run flow.md --quiet --input task=it");
    let attempt = item(&place)["steps"][0]["attempts"][0].clone();
    (place, attempt)
}

/// A diff can be too large for an output; without that output there is none.
#[test]
fn a_diff_is_made_only_for_its_output() {
    let many = "head -c 15000000 /dev/urandom > many";
    let (place, attempt) = worked(&FIX.replace(", diff::String", ""), many);
    assert_eq!(attempt["outputs"]["summary"], "Done.", "{attempt}");
    let branch = attempt["columns"]["branch"].as_str().unwrap();
    assert_eq!(git(place.folder(), &format!("cat-file -s {branch}:many")), "15000000\n");
    let (place, attempt) = worked(FIX, many);
    assert_eq!(
        attempt["error"]["message"], "output `diff`: git diff-tree wrote more than 16 MiB",
        "{attempt}"
    );
    assert_eq!(attempt["tokens_used"], 7);
    let branch = attempt["columns"]["branch"].as_str().unwrap();
    assert_eq!(git(place.folder(), &format!("cat-file -s {branch}:many")), "15000000\n");
    assert_eq!(git(place.folder(), "worktree list").lines().count(), 1);
    let (_place, attempt) = worked(FIX, "printf 'a\\000b' > bytes");
    let diff = attempt["outputs"]["diff"].as_str().unwrap();
    assert!(diff.contains("GIT binary patch"), "{diff}");
}

/// The file `.git` of a worktree is the agent's to write, so it may name a repository whose settings run programs.
#[test]
fn a_worktree_belongs_to_its_repository_whatever_the_agent_makes_of_it() {
    let run = "git init -q other; git -C other config filter.x.clean 'touch ran; cat'; mv other/.git evil; rmdir other; \
               echo 'gitdir: evil' > .git; echo '* filter=x' > .gitattributes; echo new > new.txt; git add -A; test -e ran; rm ran";
    let (place, attempt) = worked(&FIX.replace(", diff::String", ""), run);
    assert_eq!(attempt["outputs"]["summary"], "Done.", "{attempt}");
    let branch = attempt["columns"]["branch"].as_str().unwrap();
    let stored = git(place.folder(), &format!("ls-tree --name-only {branch}"));
    assert!(stored.contains("new.txt\n") && !stored.contains("ran\n"), "{stored}");
    assert_eq!(git(place.folder(), "worktree list").lines().count(), 1);
}

/// A link in its place must not lead git to another repository, which may be that of the user.
#[test]
fn a_worktree_that_was_replaced_is_left_alone() {
    let run = "there=$(git rev-parse --git-common-dir); echo wip > \"$there/../wip.txt\"; \
               here=$PWD; cd /; rm -r \"$here\"; ln -s \"$there/..\" \"$here\"";
    let (place, attempt) = worked(&FIX.replace(", diff::String", ""), run);
    let why = "cannot store the agent's changes: the agent has replaced the folder that it worked in";
    assert_eq!(attempt["error"]["message"], why, "{attempt}");
    assert_eq!(git(place.folder(), "log --format=%s --all"), "first\n");
    assert!(git(place.folder(), "status --short").contains("?? wip.txt\n"));
}

/// Two keys never share a branch, also where one looks like the name that was made of the other.
#[test]
fn each_item_has_a_branch_of_its_own() {
    let place = Place::new(
        "---\nitems: items.jsonl\nkey: id\n---\n\n# T\n\n## Fix @coder\ntask::String → summary::String\n\nFix.\n",
    );
    let hash = &blake3::hash(b"a b").to_hex()[..16];
    let keys =
        ["a b".to_owned(), format!("a_b-{}", &hash[..8]), format!("a_b-{hash}"), format!("a_b-h{hash}")];
    let items = keys.iter().map(|id| json!({"id": id, "task": "x"}).to_string());
    place.write("items.jsonl", &items.collect::<Vec<_>>().join("\n"));
    let script = json!({"session/prompt": [[{"run": "pwd > where"}, {"say": "Done."}, {"end": "end_turn"}]]});
    place.write(
        "orderflow.toml",
        &format!("[agents.coder]\n{}folder = \"worktree\"\n", stand_in(&place, "coder", &script)),
    );
    commit_all(place.folder());
    let told = place.orderflow("run flow.md --quiet");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    assert_eq!(git(place.folder(), "branch --list orderflow/*").lines().count(), keys.len());
}

/// What a killed agent leaves in the way does not hide its work; what cannot be stored is said.
#[test]
fn the_work_of_a_failed_attempt_is_stored_or_missed() {
    let (place, attempt) =
        worked(FIX, "echo half > half; touch $(git rev-parse --git-dir)/index.lock; kill -9 $PPID");
    assert_eq!(attempt["error"]["message"], "the agent ended by signal 9 before it answered", "{attempt}");
    let branch = attempt["columns"]["branch"].as_str().unwrap();
    assert_eq!(git(place.folder(), &format!("show {branch}:half")), "half\n");
    let (_place, attempt) = worked(FIX, "rm -r \"$PWD\"; kill -9 $PPID");
    assert_eq!(
        attempt["error"]["message"],
        "the agent ended by signal 9 before it answered; its changes could not be stored: the agent has replaced the folder that it worked in"
    );
}

/// A worktree is made within the time of the attempt.
#[test]
fn a_folder_that_is_not_made_in_time_ends_the_attempt() {
    let place = Place::new(&FIX.replace("@coder", "@coder [timeout:: 3s]"));
    let real = std::env::var("PATH").unwrap();
    let program = "#!/bin/sh\ncase \"$*\" in *'worktree add'*) sleep 300 & echo $! > PID; wait;; esac\nPATH=REAL exec git \"$@\"\n";
    let pid = place.path("pid").display().to_string();
    place.write("bin/git", &program.replace("PID", &pid).replace("REAL", &real));
    std::process::Command::new("chmod").arg("+x").arg(place.path("bin/git")).status().unwrap();
    place.write(
        "orderflow.toml",
        &format!("[agents.coder]\n{}folder = \"worktree\"\n", stand_in(&place, "coder", &fixes())),
    );
    commit_all(place.folder());
    let mut command = place.command("run flow.md --quiet --input task=it");
    let path = format!("{}:{real}", place.path("bin").display());
    let told = crate::program::told(command.env("PATH", path).output().unwrap());
    assert_eq!(told.exit, Some(1), "{}", told.err);
    let attempt = &item(&place)["steps"][0]["attempts"][0];
    assert_eq!(attempt["error"]["outcome"], "not_executed", "{attempt}");
    let pid = place.read("pid");
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    assert!(stat.is_empty() || stat.contains(") Z "), "{stat}");
}

/// A copy has neither the runs, which grow while it is made, nor repositories in the folder.
#[test]
fn a_copy_leaves_out_runs_and_repositories() {
    let place = Place::new("# T\n\n## List @coder\n→ files::String\n\nList.\n");
    let script = json!({"session/prompt": [[{"run": "LC_ALL=C; echo $(find . -path ./.state -prune -o -type f -print | sort) > ../list"}, {"file": "../list"}, {"end": "end_turn"}]]});
    place.write(
        "orderflow.toml",
        &format!("[agents.coder]\n{}folder = \"copy\"\n", stand_in(&place, "coder", &script)),
    );
    place.write("sub/.git/config", "");
    place.write("sub/.orderflow/old", "");
    place.write("sub/a.txt", "a\n");
    let told = place.orderflow("run flow.md --quiet --state sub/store");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    let shown = place.orderflow("show last --item 1 --format json --state sub/store").out;
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(
        shown["steps"][0]["attempts"][0]["outputs"]["files"],
        "./coder.json ./flow.md ./orderflow.toml ./sub/a.txt",
        "{shown}"
    );
}

/// A tracked folder that was replaced by a link is not a part of the folder any more; what the link leads to stays.
#[test]
fn a_copy_follows_no_link() {
    let place = Place::new("# T\n\n## List @coder\n→ files::String\n\nList.\n");
    let script = json!({"session/prompt": [[{"run": "echo $(ls -d data/x.csv data other/y.csv) > list"}, {"file": "list"}, {"end": "end_turn"}]]});
    place.write(
        "orderflow.toml",
        &format!("[agents.coder]\n{}folder = \"copy\"\n", stand_in(&place, "coder", &script)),
    );
    for name in ["data/x.csv", "other/y.csv"] {
        place.write(name, "tracked\n");
    }
    commit_all(place.folder());
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::write(elsewhere.path().join("x.csv"), "precious\n").unwrap();
    std::fs::remove_dir_all(place.path("data")).unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), place.path("data")).unwrap();
    let told = place.orderflow("run flow.md --quiet");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    assert_eq!(std::fs::read_to_string(elsewhere.path().join("x.csv")).unwrap(), "precious\n");
    assert_eq!(item(&place)["steps"][0]["attempts"][0]["outputs"]["files"], "data data/x.csv other/y.csv");
}

/// A copy has what git knows and what is new, and nothing that it ignores.
#[test]
fn a_copy_is_thrown_away() {
    for (repository, expected) in [
        (true, ".gitignore a.txt coder.json flow.md list new.txt orderflow.toml"),
        (false, ".state a.txt coder.json flow.md list new.txt orderflow.toml"),
    ] {
        let place = Place::new("# T\n\n## List @coder\n→ files::String\n\nList.\n");
        place.write("a.txt", "a\n");
        let script = json!({"session/prompt": [[{"run": "LC_ALL=C ls -A > list; echo $(cat list) > list; echo changed > a.txt"}, {"file": "list"}, {"end": "end_turn"}]]});
        place.write(
            "orderflow.toml",
            &format!("[agents.coder]\n{}folder = \"copy\"\n", stand_in(&place, "coder", &script)),
        );
        if repository {
            commit_all(place.folder());
        }
        place.write("new.txt", "new\n");
        let told = place.orderflow("run flow.md --quiet");
        assert_eq!(told.exit, Some(0), "{}", told.err);
        assert_eq!(item(&place)["steps"][0]["attempts"][0]["outputs"]["files"], expected);
        assert_eq!(place.read("a.txt"), "a\n");
        assert!(!place.path("list").exists());
    }
}

#[test]
fn settings_of_coding_agents_are_checked() {
    let place = Place::new(FIX);
    place.write(
        "orderflow.toml",
        "[agents.coder]\npreset = \"cloude\"\n[agents.b]\nacp = []\nfolder = \"work\"\nallow = [\"edits\"]\n\
         [agents.c]\ncommand = [\"true\"]\nallow = [\"edit\"]\n[agents.d]\nacp = [\"a\"]\npreset = \"claude\"\n\
         [agents.e]\npreset = \"gemini\"\nmode = \"tui\"\n[agents.f]\nacp = [\"a\"]\nmode = \"headless\"\n",
    );
    let told = place.orderflow("run flow.md --input task=it");
    assert_eq!(told.exit, Some(3));
    let problems: Vec<&str> = told.err.lines().filter(|line| line.starts_with("error[")).collect();
    assert_eq!(
        problems,
        [
            "error[settings-bad-value]: `acp` must be a list that begins with a program",
            "error[settings-bad-value]: unknown kind of tools `edits`",
            "error[settings-bad-value]: `folder` must be \"shared\", \"copy\" or \"worktree\"",
            "error[settings-idle-key]: `allow` needs `acp` or `preset`",
            "error[settings-bad-value]: `preset` must be \"claude\", \"codex\", \"gemini\" or \"opencode\"",
            "error[settings-two-ways]: an agent is reached in one way: by `command`, `worker`, `container`, `http`, `mcp`, `model`, `acp` or `preset`",
            "error[settings-bad-value]: `mode` must be \"acp\" or \"headless\"",
            "error[settings-idle-key]: `mode` needs `preset`",
        ]
    );
}

#[test]
fn a_missing_program_or_repository_is_reported_before_anything_starts() {
    let place = Place::new(FIX);
    place.write(
        "orderflow.toml",
        "[agents.coder]\npreset = \"codex\"\nfolder = \"worktree\"\nallow = [\"read\", \"edit\"]\n",
    );
    let mut command = place.command("run flow.md --input task=it");
    let told = crate::program::told(command.env("PATH", "/nowhere").output().unwrap());
    assert_eq!(told.exit, Some(3));
    let folder = place.folder().display();
    let why = format!("`coder` works in a worktree, but {folder} is not in a git repository");
    assert!(told.err.contains(&format!("error[no-repository]: {why}")), "{}", told.err);
    commit_all(place.folder());
    let path = std::env::var_os("PATH").unwrap();
    let git = std::env::split_paths(&path).map(|folder| folder.join("git")).find(|git| git.exists()).unwrap();
    place.write("bin/keep", "");
    std::os::unix::fs::symlink(git, place.path("bin/git")).unwrap();
    let mut command = place.command("run flow.md --input task=it");
    let told = crate::program::told(command.env("PATH", place.path("bin")).output().unwrap());
    assert!(
        told.err.contains("error[missing-program]: the program `codex-acp` of `coder` was not found"),
        "{}",
        told.err
    );
    let plan = place.orderflow("plan flow.md").out;
    assert!(plan.contains("coding agent: codex-acp, in a worktree, may read, edit"), "{plan}");
    let agents: Value = serde_json::from_str(&place.orderflow("agents --format json flow.md").out).unwrap();
    assert_eq!(
        agents[0]["by"],
        json!({"kind": "acp", "command": ["codex-acp"], "folder": "worktree", "allow": ["read", "edit"]})
    );
}

/// The program of a preset without the protocol, found in PATH.
#[test]
fn a_headless_agent_works_in_a_worktree() {
    let place = Place::new(FIX);
    let result = json!({"type": "result", "subtype": "success", "is_error": false, "result": "Fixed.", "session_id": "s-1",
        "total_cost_usd": 0.25, "usage": {"input_tokens": 3, "output_tokens": 2}, "modelUsage": {"claude-5": {}}});
    place.write("bin/claude", &format!("#!/bin/sh\ncat > /dev/null\necho fixed > a.txt\necho '{result}'\n"));
    std::process::Command::new("chmod").arg("+x").arg(place.path("bin/claude")).status().unwrap();
    place.write(
        "orderflow.toml",
        "[agents.coder]\npreset = \"claude\"\nmode = \"headless\"\nfolder = \"worktree\"\n",
    );
    commit_all(place.folder());
    let path = format!("{}:{}", place.path("bin").display(), std::env::var("PATH").unwrap());
    let mut command = place.command("run flow.md --quiet --input task=it");
    let told = crate::program::told(command.env("PATH", path).output().unwrap());
    assert_eq!(told.exit, Some(0), "{}", told.err);
    let attempt = &item(&place)["steps"][0]["attempts"][0];
    assert_eq!(attempt["outputs"]["summary"], "Fixed.");
    assert!(attempt["outputs"]["diff"].as_str().unwrap().ends_with("+fixed\n"), "{attempt}");
    let columns = &attempt["columns"];
    assert_eq!(
        (&attempt["tokens_used"], &columns["cost_usd"], &columns["model"]),
        (&json!(5), &json!(0.25), &json!("claude-5"))
    );
    let plan = place.orderflow("plan flow.md").out;
    assert!(plan.contains("coding agent: claude, headless, in a worktree"), "{plan}");
}

/// Secrets are for this agent only, and in nothing that it says.
#[test]
fn secrets_of_a_coding_agent_are_shown_nowhere() {
    let place = Place::new(FIX);
    let script = json!({"session/prompt": [[{"run": "echo $CODER_KEY > key"}, {"file": "key"}, {"log": "see above"}, {"end": "end_turn"}]]});
    place.write(
        "orderflow.toml",
        &format!(
            "[agents.coder]\n{}folder = \"worktree\"\nsecrets = [\"CODER_KEY\"]\n",
            stand_in(&place, "coder", &script)
        ),
    );
    commit_all(place.folder());
    let mut command = place.command("run flow.md --quiet --input task=it");
    let told = crate::program::told(command.env("CODER_KEY", "sk-very-secret").output().unwrap());
    assert_eq!(told.exit, Some(0), "{}", told.err);
    let shown = place.orderflow("show last --item 1 --conversation").out
        + &item(&place).to_string()
        + &place.read("session.toon");
    assert!(shown.contains("[secret:CODER_KEY]") && !shown.contains("sk-very-secret"), "{shown}");
}
