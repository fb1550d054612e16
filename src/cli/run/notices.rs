//! The command that informs people of what waits for them.

use super::super::settings::Settings;
use super::super::terminal::Terminal;
use super::bind::environment;
use super::people::Desk;
use crate::adapter::ShownGate;
use crate::adapter::notify::notify;
use crate::adapter::program::Program;
use crate::adapter::question::Question;
use crate::diag::render::visible;
use crate::runtime::{clock, unix_millis};
use anyhow::Context;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{JoinHandle, JoinSet};

/// How many notifications are sent at once, and how long a run that is over waits for the rest.
const AT_ONCE: usize = 4;
const REST: Duration = Duration::from_secs(60);

/// The command of `[notify]`, in a clean environment.
///
/// # Errors
/// The current folder cannot be read.
pub fn notifier(settings: &Settings) -> anyhow::Result<Option<Program>> {
    let Some(notify) = &settings.notify else { return Ok(None) };
    let folder = std::path::absolute(&settings.folder).context("cannot read the current folder")?;
    Ok(Some(Program { command: notify.command.clone(), folder, env: environment(&notify.env) }))
}

/// The work of informing and asking, until the run is over.
pub struct Attendance {
    pub informing: Option<JoinHandle<u64>>,
}

/// What an agent asks, as people see it.
pub fn asked(question: &Question) -> ShownGate {
    ShownGate {
        title: question.step.to_string(),
        item: Some(question.item.to_string()),
        key: question.item.clone(),
        question: question.text.clone(),
        by: None,
        since: unix_millis(),
        until: None,
        inputs: Vec::new(),
        agent: Some(question.agent.as_deref().unwrap_or_default().to_owned()),
    }
}

impl Desk {
    /// The facts of `[notify]`, one object.
    pub fn facts(&self, gate: &ShownGate) -> String {
        let inputs = gate.inputs.iter().map(|(name, value)| (name.clone(), (**value).clone()));
        let verb = if gate.agent.is_some() { "answer" } else { "approve" };
        let mut approve = vec!["orderflow", verb, &self.name];
        approve.extend([gate.title.as_str(), "--item", &*gate.key]);
        approve.extend(gate.agent.iter().map(|_| "--yes"));
        approve.extend(gate.by.as_deref().into_iter().flat_map(|by| ["--as", by]));
        json!({
            "run": self.run,
            "folder": self.home.display().to_string(),
            "workflow": self.graph.title,
            "document": self.document,
            "item": &*gate.key,
            "step": gate.title,
            "question": gate.question,
            "by": gate.by,
            "agent": gate.agent,
            "since": clock(gate.since),
            "until": gate.until.map(clock),
            "inputs": inputs.collect::<crate::value::Object>(),
            "approve": approve,
        })
        .to_string()
    }
}

/// Runs the command for each that waits; returns how many it failed for.
pub async fn tell_all(desk: Arc<Desk>, mut tells: UnboundedReceiver<ShownGate>) -> u64 {
    let (mut tasks, mut failed) = (JoinSet::new(), 0);
    let mut over = false;
    loop {
        tokio::select! {
            ask = tells.recv(), if !over && tasks.len() < AT_ONCE => match ask {
                None => over = true,
                Some(ask) => {
                    let desk = desk.clone();
                    tasks.spawn(async move {
                        let Some(program) = &desk.notify else { return Ok(()) };
                        notify(program, &desk.run, desk.facts(&ask)).await
                    });
                }
            },
            Some(done) = tasks.join_next(), if !tasks.is_empty() => {
                if let Ok(Err(why)) = done {
                    failed += 1;
                    if failed == 1 {
                        let text = format!("warning: the command of [notify] failed: {}\n", visible(&why));
                        match &desk.display {
                            Some(display) => display.say(&text),
                            None => Terminal::new().talk(&text),
                        }
                    }
                }
            }
            else => return failed,
        }
    }
}

impl Attendance {
    /// Waits until all notifications were sent, for a while; the sender of those that wait is gone by then.
    pub async fn close(self, terminal: &mut Terminal) {
        let Some(informing) = self.informing else { return };
        match tokio::time::timeout(REST, informing).await {
            Ok(Ok(failed @ 2..)) => {
                terminal.talk(&format!("warning: the command of [notify] failed {failed} times\n"));
            }
            Ok(_) => {}
            Err(_) => terminal.talk("warning: not all notifications were sent\n"),
        }
    }
}
