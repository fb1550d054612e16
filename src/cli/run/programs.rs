//! Where the programs of agents are on this machine, and how to install those that are known.

use super::super::settings::Engine;
use std::path::{Path, PathBuf};

/// The programs of coding agents, each with the package that it is installed from.
const PACKAGES: [(&str, &str); 4] = [
    ("claude-agent-acp", "@agentclientprotocol/claude-agent-acp"),
    ("codex-acp", "@agentclientprotocol/codex-acp"),
    ("gemini", "@google/gemini-cli"),
    ("opencode", "opencode-ai"),
];

/// How to install the program of a coding agent.
pub(super) fn installation(program: &str) -> Option<String> {
    let package = PACKAGES.iter().find(|(known, _)| *known == program);
    package.map(|(_, package)| format!("install it: npm install -g {package}"))
}

/// The path of the program that runs containers: that of this engine, or of the first that is there; else the names
/// that were searched, and where.
pub(super) fn engine_of(engine: Option<Engine>) -> Result<String, (Vec<&'static str>, String)> {
    let names: Vec<&str> =
        engine.map_or(Engine::ALL.to_vec(), |engine| vec![engine]).into_iter().map(Engine::name).collect();
    let mut searched = String::new();
    for name in &names {
        match located(&[(*name).to_owned()], Path::new(".")) {
            Ok(words) => return Ok(words.concat()),
            Err(places) => searched = places,
        }
    }
    Err((names, searched))
}

/// The command with its program as an absolute path; else where the program was searched. A name without a slash is
/// searched in PATH, as in a shell; a path is relative to `folder`.
pub(super) fn located(command: &[String], folder: &Path) -> Result<Vec<String>, String> {
    use std::os::unix::fs::PermissionsExt;
    let Some((program, arguments)) = command.split_first() else { return Err(String::new()) };
    let runs = |path: &PathBuf| {
        path.metadata().is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
    };
    let (candidates, searched): (Vec<PathBuf>, String) = if program.contains('/') {
        (vec![folder.join(program)], folder.display().to_string())
    } else {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&path).map(|folder| folder.join(program));
        (folders.collect(), format!("PATH ({})", path.display()))
    };
    let found = candidates.into_iter().filter(runs).find_map(|path| std::path::absolute(path).ok());
    let found = found.ok_or_else(|| searched.clone())?.into_os_string().into_string();
    // Commands are shown and stored as text.
    let found = found.map_err(|_| format!("{searched}, where its path is not UTF-8"))?;
    Ok(std::iter::once(found).chain(arguments.iter().cloned()).collect())
}
