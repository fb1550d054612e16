//! An attempt of a coding agent without a protocol: a process for the prompt, and another one for the correction. Does
//! not know what the output of each program means.

use super::super::LogStream;
use super::super::process::{Ended, ProgramAgent};
use super::super::program::{Program, aside};
use super::super::variables::Variables;
use super::super::workfolder::Place;
use super::cli::{Cli, Printed, is_id};
use super::session::End;
use super::turn::Spent;
use super::{CodingAgent, Progress, answer, columns, correction, failure};
use crate::adapter::{Call, Declared, Stop, contract, prompt};
use crate::event::{Answer, Cause, Outcome, Reply, Role};
use std::path::PathBuf;
use tokio::process::Command;

/// A file that is removed when this is dropped.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Asks, and once more if the answer does not fit.
pub(super) async fn converse(
    agent: &CodingAgent,
    cli: Cli,
    call: &Call,
    asked: &[Declared],
    place: &Place,
    stop: Stop,
) -> Answer {
    let form = prompt::form(asked);
    let schema = form.as_ref().filter(|form| cli.takes(form));
    let file = Temporary(call.scratch.join(format!("{}.schema.json", call.attempt_id)));
    if let Some(schema) = schema {
        aside(|| std::fs::write(&file.0, schema.to_string())).map_err(|error| {
            let message = format!("cannot prepare the attempt: {error}");
            contract::failure(Cause::Start, message, Outcome::NotExecuted, true)
        })?;
    }
    let whole = prompt::for_coder(call, asked, form.as_ref(), agent.instructions.as_deref());
    let mut text = whole.clone();
    let (mut spent, mut session, mut denied, mut corrected) = (Spent::default(), None, Vec::new(), false);
    let mut progress = Progress::Asked;
    loop {
        let schema = schema.map(|schema| (schema, file.0.as_path()));
        let left = call.context.budget.map(|budget| spent.left(budget));
        let dollars = left.and_then(|left| left.dollars);
        let mut command = agent.program.command.clone();
        command.extend(cli.arguments(schema, &agent.allow, session.as_deref(), dollars));
        let program = Program { command, folder: place.folder.clone(), env: agent.program.env.clone() };
        let variables = Variables::of_context(call).all;
        let prepare = |command: &mut Command| {
            command.envs(variables).envs(cli.variables(&agent.allow));
        };
        let started = program.start(&call.context.outermost, prepare).await;
        let started = started.map_err(|error| {
            let mut failure = program.not_started(&error);
            if corrected {
                // The first one has worked.
                failure.outcome = Outcome::Unknown;
                (failure.tokens_used, failure.columns) = (spent.tokens, columns(&spent, session.clone()));
            }
            failure
        })?;
        call.spawns.tell(started.process.as_ref(), false);
        call.conversation.say(Role::User, None, &text);
        let process = ProgramAgent { program, grace: agent.grace, contained: None };
        let ended = process.attend(started, text, (&call.log, true), stop.clone()).await;
        let Ended { status, stopped, answer: out, log, is_logged: _ } = ended;
        let log = log.text();
        let printed = contract::text(out.bytes).map(|out| {
            let code = status.as_ref().ok().and_then(std::process::ExitStatus::code);
            cli.read(&out, &log, code).ok_or_else(|| call.log.take(LogStream::Stdout, out.as_bytes())).ok()
        });
        let said = match printed {
            Err(misfit) => Err(End::Unfit(misfit)),
            Ok(None) => Err(if stopped { End::Stopped } else { End::Lost }),
            Ok(Some(printed)) => {
                let Printed { answer, spent: more, session: id, denied: tools, worked } = printed;
                if worked {
                    progress = Progress::Working;
                }
                let usage = spent.more(more);
                tools.into_iter().for_each(|tool| {
                    if !denied.contains(&tool) {
                        denied.push(tool);
                    }
                });
                session = id.filter(|id| is_id(id)).or(session);
                if let Ok(text) = &answer {
                    call.conversation.say(Role::Assistant, None, text);
                }
                call.conversation.say(Role::Usage, spent.model.as_deref(), &usage);
                let exited = status.as_ref().is_ok_and(std::process::ExitStatus::success);
                match answer {
                    // An answer counts even if it was asked to stop.
                    Ok(text) if exited => Ok(text),
                    _ if stopped => Err(End::Stopped),
                    Ok(_) => Err(End::Lost),
                    Err(end) => Err(end),
                }
            }
        };
        // It does not always say which tools it has used.
        let end = match said.map(|said| answer(asked, form.is_some(), &said, Progress::Working)) {
            Ok(Ok(reply)) => {
                let columns = columns(&spent, session);
                return Ok(Reply { tokens_used: spent.tokens, columns, ..reply });
            }
            Ok(Err(misfit)) if corrected => End::Unfit(misfit),
            Ok(Err(misfit)) => {
                let left = call.context.budget.map(|budget| spent.left(budget));
                match correction(misfit, left, &stop) {
                    Ok(correction) => {
                        (corrected, progress) = (true, Progress::Working);
                        text = match session.is_some() && cli.continues() {
                            true => correction,
                            false => format!("{whole}\n\nThis was asked before. {correction}"),
                        };
                        continue;
                    }
                    Err(end) => end,
                }
            }
            Err(end) => end,
        };
        let mut failure = failure(end, progress, status, &log, &denied);
        (failure.tokens_used, failure.columns) = (spent.tokens, columns(&spent, session));
        failure.log = log;
        return Err(failure);
    }
}
