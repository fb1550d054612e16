//! Runs that an editor starts: `orderflow run` as a command of its own, with the same grants, which continues when the editor
//! ends.

use super::super::exit::Exit;
use crate::diag::render::visible;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::Sender;
use std::thread;

/// The most characters of messages that an editor shows in its log.
const LONGEST: usize = 64 * 1024;

/// The end of a run that was started.
pub struct EndedRun {
    pub document: PathBuf,
    pub ok: bool,
    /// A line or a few for people.
    pub message: String,
    /// All that the command wrote.
    pub log: String,
}

/// Starts a run of a document; its end is sent later.
///
/// # Errors
/// Why it cannot be started.
pub fn start<T: From<EndedRun> + Send + 'static>(
    document: &Path,
    stub: bool,
    ended: Sender<T>,
) -> Result<(), String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let folder = document.parent().unwrap_or(Path::new("/"));
    let mut command = Command::new(program);
    command.arg("run").args(stub.then_some("--stub")).arg("--").arg(document).current_dir(folder);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let child = command.spawn().map_err(|error| error.to_string())?;
    let document = document.to_owned();
    thread::spawn(move || {
        let (code, out, err) = match child.wait_with_output() {
            Ok(output) => (output.status.code(), output.stdout, output.stderr),
            Err(error) => (None, Vec::new(), error.to_string().into_bytes()),
        };
        let [out, err] = [out, err].map(|bytes| lines(&String::from_utf8_lossy(&bytes)));
        let exit = Exit::ALL.into_iter().find(|exit| code == Some(i32::from(exit.code())));
        let meaning = exit.map_or("it ended without an exit code", Exit::meaning);
        // The first error with its help.
        let problem = err.lines().skip_while(|line| !line.starts_with("error")).take(2);
        let problem = problem.collect::<Vec<_>>().join("\n");
        let name = document.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut message = format!("{}: {meaning}", visible(&name));
        if !problem.is_empty() {
            message.push_str(&format!("\n{problem}"));
        }
        let log = format!("{out}{err}");
        let _ = ended.send(T::from(EndedRun { document, ok: exit == Some(Exit::Ok), message, log }));
    });
    Ok(())
}

/// The lines of a text, without what moves a cursor, up to a limit.
fn lines(text: &str) -> String {
    let shown = text.lines().map(|line| visible(line) + "\n");
    shown.collect::<String>().chars().take(LONGEST).collect()
}
