//! `orderflow resume --explain`: what would run again, and why. Takes no lock, writes nothing, runs nothing.

use super::super::exit::{Exit, Stop};
use super::super::runs::find;
use super::super::settings::{self, Settings};
use super::super::terminal::Terminal;
use super::super::trust::{self, runs::Owner};
use super::Format;
use super::again::{Again, ended_text, place};
use crate::diag::render::{visible, visible_json};
use crate::engine::{Ahead, Effect, Out, Run};
use crate::event::{ItemError, ItemId, Millis, StepPath};
use crate::graph::{Step, StepId};
use crate::history::{History, Outline, State, is_cancelled};
use crate::journal::Lock;
use crate::runtime;
use crate::value::Value;
use crate::value::words;
use crate::view::table::table;
use crate::view::{count, execution, outcome};
use serde_json::json;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

/// An execution of an item in flight.
struct PendingExecution {
    item: Arc<str>,
    path: StepPath,
    ahead: Ahead,
    /// The idempotency key of an attempt that is repeated.
    key: Option<String>,
    /// Why its item fails.
    because: Option<ItemError>,
}

/// The pending work of a run.
struct Explained {
    history: History,
    executions: Vec<PendingExecution>,
    settings: Settings,
    cancelled: bool,
    /// The events that channels did not accept: the channel and the id.
    unpublished: Vec<(Arc<str>, String)>,
}

/// Shows what resuming a run would do.
///
/// # Errors
/// Stops if a runner holds the run's lock, or its journal or the settings cannot be read.
pub fn explain(home: &Path, how: &Again, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let name = visible(&find::called(home)?);
    if Lock::is_held(home)? {
        let message = format!("run {name} is active in another process");
        let help = format!("see its progress with orderflow show {name}");
        return Err(Stop::new(Exit::Locked, message).help(help).into());
    }
    let explained = Explained::of(home, terminal)?;
    let ended = explained.history.ending()?;
    let text = match how.format() {
        Format::Json => visible_json(&serde_json::to_string_pretty(&explained.json()?)?) + "\n",
        Format::Table | Format::Markdown | Format::Junit | Format::Github => match &ended {
            Some(_) => ended_text(&explained.history, &name)? + "\n",
            None => explained.text(&name, terminal.width())?,
        },
    };
    terminal.data(&text);
    terminal.finish()?;
    Ok(Exit::Ok)
}

impl Explained {
    fn of(home: &Path, terminal: &mut Terminal) -> anyhow::Result<Explained> {
        let history = History::open(home)?;
        let mut last = 0;
        let mut run = history.fold(|event, _| last = event.at)?;
        let cancelled = is_cancelled(home);
        run.restore_agents();
        if !cancelled {
            run.take_up(last, &mut Out::default());
        }
        let begun = if cancelled { to_compensate(&mut run, last) } else { HashMap::new() };
        let executions = run.ahead().map(|(id, item, path, ahead)| PendingExecution {
            item: item.clone(),
            path,
            ahead: begun.get(&(id, path)).map_or(ahead, |step| Ahead::Compensate(*step)),
            key: key(&run, &history, id, path, ahead),
            because: run.reason(id),
        });
        let executions = executions.collect();
        let unpublished =
            run.not_published().map(|(channel, id, _)| (channel.clone(), id.to_owned())).collect();
        // The folder stored in a foreign run is not used: settings are those of the current folder.
        if matches!(trust::runs::owner(home)?, Owner::Own(_)) {
            place(&history.options, home)?;
        }
        let settings = settings::load(&history.options.file, false, terminal)?;
        Ok(Explained { history, executions, settings, cancelled, unpublished })
    }

    fn those(&self, wanted: fn(Ahead) -> bool) -> impl Iterator<Item = &PendingExecution> {
        self.executions.iter().filter(move |one| wanted(one.ahead))
    }

    fn again(&self) -> impl Iterator<Item = &PendingExecution> {
        self.those(|ahead| matches!(ahead, Ahead::Again(_)))
    }

    fn next(&self) -> impl Iterator<Item = &PendingExecution> {
        self.those(|ahead| matches!(ahead, Ahead::Next(_)))
    }

    fn begin(&self) -> impl Iterator<Item = &PendingExecution> {
        self.those(|ahead| ahead == Ahead::Begin)
    }

    fn wait(&self) -> impl Iterator<Item = &PendingExecution> {
        self.those(|ahead| matches!(ahead, Ahead::Wait(_) | Ahead::WaitsInside(_)))
    }

    fn awaits(&self) -> impl Iterator<Item = &PendingExecution> {
        self.those(|ahead| matches!(ahead, Ahead::Await))
    }

    fn compensate(&self) -> impl Iterator<Item = (&PendingExecution, &Step)> {
        self.executions.iter().filter_map(|one| match one.ahead {
            Ahead::Compensate(step) => Some((one, self.history.graph.step(step))),
            Ahead::Again(_)
            | Ahead::Next(_)
            | Ahead::Begin
            | Ahead::Wait(_)
            | Ahead::Await
            | Ahead::WaitsInside(_) => None,
        })
    }

    /// Items that are still to be admitted; `None` if unknown, or if no more are admitted.
    fn to_admit(&self, outline: &Outline) -> Option<u64> {
        let basis = self.history.basis();
        let over = self.cancelled || outline.is_over(basis);
        if over { Some(0) } else { outline.counts(basis).not_started }
    }

    /// `{run, state, cancelled, again: […], next: […], wait: […], await: […], begin: […], compensate: […], publish: […], not_admitted}`.
    fn json(&self) -> anyhow::Result<Value> {
        let graph = &self.history.graph;
        let outline = self.history.outline()?;
        let pending = |one: &PendingExecution| {
            let step = graph.step(one.path.step);
            let mut object = json!({
                "item": &*one.item,
                "step": step.title,
                "phase": step.phase,
                "element": one.path.element,
            });
            if let Ahead::Again(attempt) | Ahead::Next(attempt) | Ahead::WaitsInside(attempt) = one.ahead {
                object["attempt"] = attempt.into();
            }
            if let Some(key) = &one.key {
                let (effects, idempotent) = self.about(step);
                object["key"] = key.as_str().into();
                object["agent"] = step.agent.as_deref().into();
                object["effects"] = effects.into();
                object["idempotent"] = idempotent.into();
            }
            object
        };
        let compensation = |(one, step): (&PendingExecution, &Step)| {
            let mut object = pending(one);
            object["compensates"] = step.title.as_str().into();
            object["because"] = one
                .because
                .as_ref()
                .map(|why| {
                    json!({
                        "step": why.step.map(|step| &graph.step(step).title),
                        "message": why.message,
                    })
                })
                .into();
            object
        };
        Ok(json!({
            "run": self.history.header().run,
            "state": outline.state(self.history.basis(), false),
            "cancelled": self.cancelled,
            "again": self.again().map(pending).collect::<Vec<_>>(),
            "next": self.next().map(pending).collect::<Vec<_>>(),
            "wait": self.wait().map(pending).collect::<Vec<_>>(),
            "await": self.awaits().map(pending).collect::<Vec<_>>(),
            "begin": self.begin().map(pending).collect::<Vec<_>>(),
            "compensate": self.compensate().map(compensation).collect::<Vec<_>>(),
            "publish": self
                .unpublished
                .iter()
                .map(|(channel, id)| json!({ "channel": &**channel, "id": id }))
                .collect::<Vec<_>>(),
            "not_admitted": self.to_admit(outline),
        }))
    }

    fn text(&self, name: &str, width: Option<usize>) -> anyhow::Result<String> {
        let (outline, basis) = (self.history.outline()?, self.history.basis());
        let counts = outcome(&outline.counts(basis));
        let mut out = format!("{}, the run {name}: {counts}\n", visible(&self.history.graph.title));
        if self.cancelled {
            out.push_str("it was cancelled: what has not ended would be cancelled, and the trace written\n");
        } else if !matches!(outline.state(basis, false), State::Paused | State::Waiting) {
            out.push_str(match self.unpublished.is_empty() {
                true => "nothing would run, only the trace would be written\n",
                false => "no step would run\n",
            });
            self.publish(&mut out, width);
            return Ok(out);
        }
        self.sections(&mut out, width);
        self.publish(&mut out, width);
        if let Some(left) = self.to_admit(outline).filter(|left| *left > 0) {
            let (items, are) = (words::by_count(left, "item", "items"), words::by_count(left, "is", "are"));
            let name = self.history.header().items.get("name").and_then(Value::as_str);
            let from = name.map(|name| format!(" of {}", visible(name))).unwrap_or_default();
            out.push_str(&format!("\n{} {items}{from} {are} not admitted yet\n", count(left)));
        }
        Ok(out)
    }

    /// The events that would be published again.
    fn publish(&self, out: &mut String, width: Option<usize>) {
        let rows = self.unpublished.iter().map(|(channel, id)| vec![visible(channel), visible(id)]);
        section(
            out,
            "published again: the channel did not accept it",
            &["channel", "event"],
            rows.collect(),
            width,
        );
    }

    /// The executions by the kind of their pending work.
    fn sections(&self, out: &mut String, width: Option<usize>) {
        let graph = &self.history.graph;
        let title = |one: &PendingExecution| execution(one.path, graph);
        let attempt = |one: &PendingExecution| match one.ahead {
            Ahead::Again(attempt) | Ahead::Next(attempt) | Ahead::WaitsInside(attempt) => attempt.to_string(),
            Ahead::Begin | Ahead::Wait(_) | Ahead::Await | Ahead::Compensate(_) => String::new(),
        };
        let again = self.again().map(|one| {
            let step = graph.step(one.path.step);
            let agent = step.agent.as_deref().map(visible).unwrap_or_default();
            let key = one.key.clone().unwrap_or_default();
            vec![visible(&one.item), title(one), attempt(one), agent, self.risk(step).to_owned(), key]
        });
        let header = ["item", "step", "attempt", "agent", "twice", "key"];
        let why = "retried with the same idempotency key: the runner exited before a result was recorded";
        section(out, why, &header, again.collect(), width);
        let next = self.next().map(|one| vec![visible(&one.item), title(one), attempt(one)]);
        let why = "next attempt: the one before failed";
        section(out, why, &["item", "step", "attempt"], next.collect(), width);
        let wait = self.wait().map(|one| {
            let gate = if let Ahead::Wait(gate) = one.ahead { graph.gate(gate) } else { None };
            let document = graph.step(one.path.step).document.as_ref();
            let document = document.map(|path| format!("in {}", visible(path))).unwrap_or_default();
            let gate = gate.map_or(document, |gate| visible(&graph.gated(gate)));
            vec![visible(&one.item), title(one), gate]
        });
        let why = "waits for a person: orderflow approve or orderflow reject";
        section(out, why, &["item", "step", "gate of"], wait.collect(), width);
        let awaits = self.awaits().map(|one| {
            let awaits = graph.step(one.path.step).awaits.as_ref();
            let event = awaits.map(|awaits| visible(&awaits.event)).unwrap_or_default();
            vec![visible(&one.item), title(one), event]
        });
        let why = "waits for an event: orderflow signal sends one";
        section(out, why, &["item", "step", "event"], awaits.collect(), width);
        section(
            out,
            "not started; runs unless a condition excludes it",
            &["item", "steps"],
            self.rest(),
            width,
        );
        let compensate = self
            .compensate()
            .map(|(one, step)| vec![visible(&one.item), title(one), visible(&step.title), self.because(one)]);
        let why = "compensated when nothing else of the item runs, in this order, if the step was done";
        section(out, why, &["item", "step", "compensates", "because"], compensate.collect(), width);
    }

    /// Why an item fails, in words.
    fn because(&self, one: &PendingExecution) -> String {
        let Some(why) = &one.because else { return String::new() };
        let step = why.step.map(|step| format!("{}: ", visible(&self.history.graph.step(step).title)));
        step.unwrap_or_default() + &visible(&why.message)
    }

    /// The steps that have not begun, a row an item.
    fn rest(&self) -> Vec<Vec<String>> {
        let mut rows: Vec<(&Arc<str>, Vec<String>)> = Vec::new();
        for one in self.begin() {
            let title = execution(one.path, &self.history.graph);
            match rows.last_mut() {
                Some((item, titles)) if **item == one.item => titles.push(title),
                _ => rows.push((&one.item, vec![title])),
            }
        }
        rows.into_iter().map(|(item, titles)| vec![visible(item), titles.join(", ")]).collect()
    }

    /// Whether who does the step has effects, and has them once for a key.
    fn about(&self, step: &Step) -> (bool, bool) {
        let agent = step.agent.as_ref().and_then(|agent| self.settings.agents.get(agent));
        let effects = !step.pure && agent.is_none_or(|agent| agent.effects.of(&step.phase));
        (effects, agent.and_then(|agent| agent.idempotent).unwrap_or(false))
    }

    /// The risk of a second attempt at an effect.
    fn risk(&self, step: &Step) -> &'static str {
        match self.about(step) {
            (false, _) => "has no effects",
            (true, true) => "has its effect once",
            (true, false) => "may have its effect twice",
        }
    }
}

/// Cancels a folded run, which starts nothing by itself. Returns the compensations that it would begin, with the
/// compensated step.
fn to_compensate(run: &mut Run, now: Millis) -> HashMap<(ItemId, StepPath), StepId> {
    let mut out = Out::default();
    let under_way = |(id, _, path, ahead)| matches!(ahead, Ahead::Again(_)).then_some((id, path));
    let before: HashSet<(ItemId, StepPath)> = run.ahead().filter_map(under_way).collect();
    run.cancel(now, &mut out);
    let begun = out.effects.into_iter().filter_map(|effect| match effect {
        Effect::Call(call) => Some(((call.item, call.step), call.compensates?.step)),
        Effect::Stop { .. }
        | Effect::Timer { .. }
        | Effect::Ask(_)
        | Effect::Publish { .. }
        | Effect::Deliver(_) => None,
    });
    begun.filter(|(execution, _)| !before.contains(execution)).collect()
}

fn section(out: &mut String, what: &str, header: &[&str], rows: Vec<Vec<String>>, width: Option<usize>) {
    if !rows.is_empty() {
        out.push_str(&format!("\n{what}:\n{}", table(header, rows, width)));
    }
}

fn key(run: &Run, history: &History, item: ItemId, path: StepPath, ahead: Ahead) -> Option<String> {
    let Ahead::Again(_) = ahead else { return None };
    Some(runtime::keys_of(&history.header().run, &history.graph, &run.call(item, path)?).0)
}
