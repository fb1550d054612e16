//! Coding agents: the stand-in `coder.py`, and the real opencode, where it is installed.

use crate::aimock::Aimock;
use crate::parts::found;
use crate::place::Place;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

const CODER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/coder.py");

/// The table of an agent that is the stand-in and does what a script says, without its header.
pub fn stand_in(place: &Place, name: &str, script: &Value) -> String {
    place.write(&format!("{name}.json"), &script.to_string());
    format!(
        "acp = [\"python3\", \"-S\", \"{CODER}\", \"{}\"]\n",
        place.path(&format!("{name}.json")).display()
    )
}

/// The prompts that the stand-in of this name was sent.
pub fn prompts(place: &Place, name: &str) -> Vec<String> {
    let seen = place.read(&format!("{name}.json.seen"));
    let messages = seen.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let prompts = messages.filter(|message| message["method"] == "session/prompt");
    prompts.map(|message| message["params"]["prompt"][0]["text"].as_str().unwrap().to_owned()).collect()
}

/// Makes a folder a repository whose only commit has all its files.
pub fn commit_all(folder: &Path) {
    std::fs::write(folder.join(".gitignore"), ".state\n.orderflow\n*.seen\n").unwrap();
    for words in ["init -q -b main", "add -A", "-c user.name=a -c user.email=a@b.example commit -q -m first"]
    {
        git(folder, words);
    }
}

/// What git prints in a folder.
pub fn git(folder: &Path, words: &str) -> String {
    let output = Command::new("git").args(words.split(' ')).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "git {words}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// opencode with a home of its own, whose model is one of a mock.
pub struct Opencode {
    program: PathBuf,
    home: tempfile::TempDir,
    _mock: Aimock,
}

impl Opencode {
    /// `None`, after a notice, if it or the mock is not installed.
    pub fn start(fixtures: &Value) -> Option<Opencode> {
        let program =
            Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("acp").join("node_modules/.bin/opencode");
        let needs = "`npm install --prefix target/acp opencode-ai@1.18.33`";
        let program = found("acp", needs, program.is_file().then_some(program))?;
        let home = tempfile::tempdir().unwrap();
        let mock = Aimock::start(home.path(), fixtures)?;
        let model = json!({"name": "small", "cost": {"input": 1, "output": 2}, "limit": {"context": 100_000, "output": 4000}});
        let options = json!({"baseURL": format!("http://{}/v1", mock.address), "apiKey": "none"});
        let provider =
            json!({"npm": "@ai-sdk/openai-compatible", "options": options, "models": {"small": model}});
        let config = json!({
            "autoupdate": false, "share": "disabled", "model": "mock/small", "small_model": "mock/small",
            "permission": {"edit": "ask", "bash": "ask"}, "provider": {"mock": provider},
        });
        let folder = home.path().join(".config/opencode");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("opencode.json"), config.to_string()).unwrap();
        Some(Opencode { program, home, _mock: mock })
    }

    /// The table of an agent, without its header.
    pub fn table(&self) -> String {
        self.table_with("")
    }

    /// The same with data of its own, under this name: several that start at once find shared data locked.
    pub fn table_apart(&self, name: &str) -> String {
        self.table_with(&format!("XDG_DATA_HOME={}/{name} ", self.home.path().display()))
    }

    fn table_with(&self, variables: &str) -> String {
        let off = "OPENCODE_DISABLE_AUTOUPDATE=1 OPENCODE_DISABLE_MODELS_FETCH=1 OPENCODE_DISABLE_LSP_DOWNLOAD=1 \
                   OPENCODE_DISABLE_DEFAULT_PLUGINS=1";
        let home = self.home.path().display();
        let words = format!("exec env HOME={home} {variables}{off} {} acp", self.program.display());
        format!("acp = [\"sh\", \"-c\", \"{words}\"]\n")
    }
}
