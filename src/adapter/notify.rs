//! Runs the command that informs people who have to act. It is not an agent: nothing depends on its answer.

use super::Stop;
use super::program::{LINGER, Program, Started, Tail, ended, hear, last_word};
use std::time::Duration;
use tokio::io::AsyncWriteExt;

/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How much of the end of its output is read for a message.
const LOG: usize = 4 * 1024;

/// Runs it with the facts on standard input, and ends it with all its descendants.
///
/// # Errors
/// Why it failed, in one line.
pub async fn notify(program: &Program, run: &str, facts: String) -> Result<(), String> {
    let started = program.start(run, |_| {}).await;
    let Started { mut child, tree, .. } = started.map_err(|error| program.not_started(&error).message)?;
    let stdin = child.stdin.take();
    let feed = async move {
        if let Some(mut stdin) = stdin {
            // It need not read them.
            let _ = stdin.write_all(facts.as_bytes()).await;
        }
    };
    let mut log = Tail::new(LOG);
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let status = {
        let listen =
            async { tokio::join!(feed, hear(stdout, |_| {}), hear(stderr, |chunk| log.take(chunk))) };
        tokio::pin!(listen);
        let ends = async {
            let mut quiet = false;
            let status = loop {
                tokio::select! {
                    status = child.wait() => break status,
                    _ = &mut listen, if !quiet => quiet = true,
                }
            };
            if !quiet {
                // What it has started may hold the pipes open.
                let _ = tokio::time::timeout(LINGER, &mut listen).await;
            }
            status
        };
        tokio::time::timeout(PATIENCE, ends).await
    };
    let (_stopper, mut stop) = Stop::new();
    tree.end(Duration::from_secs(1), &mut stop).await;
    match status {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(status) => Err(format!("{}{}", ended(status).1, last_word(&log.text()))),
        Err(_) => Err(format!("took longer than {} s", PATIENCE.as_secs())),
    }
}
