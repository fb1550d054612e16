//! Whether a folder has what a worktree is made of: a git repository with a commit. Asked before anything starts.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

/// Whether a worktree of the commit that is checked out in this folder can be made; git gets these variables.
///
/// # Errors
/// What is missing, as the rest of a sentence.
pub fn has_commit(folder: &Path, env: Vec<(String, OsString)>) -> Result<(), String> {
    let git = Command::new("git")
        .args(["rev-parse", "--verify", "--quiet", "HEAD^{commit}"])
        .current_dir(folder)
        .env_clear()
        .envs(env)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .output();
    let shown = folder.display();
    match git {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            match said.lines().next().map(|line| line.trim_start_matches("fatal: ")) {
                Some(line) if line.starts_with("not a git repository") => {
                    Err(format!("{shown} is not in a git repository"))
                }
                Some(line) => Err(format!("git cannot read the repository of {shown}: {line}")),
                None => Err(format!("the repository of {shown} has no commit")),
            }
        }
        Err(error) => Err(format!("git cannot be started: {error}")),
    }
}
