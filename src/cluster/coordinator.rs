//! The coordinator of a run: a workflow of Restate, keyed by the run's name and generation, that drives the engine.

use super::limits::{Permit, RunPermits};
use super::turns::{Turn, Turns};
use super::wire::{self, Chunk, Input, Request, Response, Route, SentCall, Start};
use super::worker::Knowledge;
use crate::event::{Cause, Failure, Millis, Outcome, StopReason, UnixMillis};
use crate::graph::{Graph, StepId};
use crate::journal::Header;
use bytes::Bytes;
use restate_sdk::context::{RequestTarget, macro_support::SealedDurableFuture};
use restate_sdk::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// The most chunks of events in one answer, and the prefix of their names in the state.
const CHUNKS: u64 = 256;

/// The workflow of a run, in which its engine runs.
pub struct Runs {
    pub knowledge: Arc<Knowledge>,
}

/// An answer with more bytes than this has no further chunk.
const LARGEST: usize = 4 << 20;

/// What is set in the state when nothing more happens, and how many inputs were taken.
const END: &str = "end";
const HEARD: &str = "heard";

#[restate_sdk::workflow(name = "orderflow.run", client_visibility = "pub(super)")]
impl Runs {
    /// Drives a run until nothing more happens.
    #[handler]
    async fn run(&self, ctx: WorkflowContext<'_>, start: Bytes) -> Result<(), HandlerError> {
        let driven = self.driven(&ctx, &start).await;
        let why = driven.as_ref().err().map(ToString::to_string);
        ctx.set(END, write(&why)?);
        Ok(driven?)
    }

    /// The chunks from one on, each a JSON object, in one array; and whether nothing more follows them.
    #[handler]
    async fn events(&self, ctx: SharedWorkflowContext<'_>, from: Bytes) -> Result<Bytes, HandlerError> {
        let from: u64 = read(&from)?;
        let ended: Option<Bytes> = ctx.get(END).await?;
        let heard: Option<Bytes> = ctx.get(HEARD).await?;
        let (mut chunks, mut next, mut size) = (Vec::new(), from, 8);
        let (mut all, mut bytes) = (false, 0);
        // The state by names that do not live as long as the context.
        let state = ctx.signal::<()>(END).inner_context();
        while !all && bytes < LARGEST && next < from + CHUNKS {
            // Asked for together, since each answer takes a moment.
            let names: Vec<String> = (next..next + size).map(chunk_name).collect();
            let asked: Vec<_> = names.iter().map(|name| state.get::<Bytes>(name)).collect();
            for one in asked {
                match one.await? {
                    Some(_) if bytes >= LARGEST => {}
                    Some(chunk) if !all => {
                        bytes += chunk.len();
                        chunks.push(chunk);
                    }
                    _ => all = true,
                }
            }
            next = from + chunks.len() as u64;
            size = (size * 2).min(CHUNKS);
        }
        let mut text = Vec::from(&b"{\"chunks\":["[..]);
        for (number, chunk) in chunks.iter().enumerate() {
            if number > 0 {
                text.push(b',');
            }
            text.extend_from_slice(chunk);
        }
        text.extend_from_slice(b"],\"heard\":");
        text.extend_from_slice(heard.as_deref().unwrap_or(b"0"));
        if let Some(ended) = ended.filter(|_| all && bytes < LARGEST) {
            text.extend_from_slice(b",\"ended\":{\"why\":");
            text.extend_from_slice(&ended);
            text.extend_from_slice(b"}");
        }
        text.extend_from_slice(b"}");
        Ok(text.into())
    }
}

fn chunk_name(number: u64) -> String {
    format!("events-{number}")
}

impl Runs {
    async fn driven(&self, ctx: &WorkflowContext<'_>, start: &[u8]) -> Result<(), TerminalError> {
        let mut start: Start = read(start)?;
        let (routes, limits) = (std::mem::take(&mut start.routes), std::mem::take(&mut start.limits));
        let header = Arc::new(Header { items: serde_json::Value::Null, ..start.header.clone() });
        let (graph, options) =
            self.knowledge.graph(&header).map_err(|why| TerminalError::new(format!("{why:#}")))?;
        let turns = Turns::begin(graph, start, options.deadline);
        let turns = turns.map_err(|why| TerminalError::new(why.to_string()))?;
        drive(ctx, turns, header, (&routes, &limits)).await
    }
}

/// Reads what this program wrote.
pub fn read<T: for<'a> serde::Deserialize<'a>>(bytes: &[u8]) -> Result<T, TerminalError> {
    serde_json::from_slice(bytes)
        .map_err(|error| TerminalError::new(format!("this version cannot read the request: {error}")))
}

/// Writes what this program reads.
pub fn write(value: &impl serde::Serialize) -> Result<Bytes, TerminalError> {
    serde_json::to_vec(value)
        .map(Bytes::from)
        .map_err(|error| TerminalError::new(format!("cannot write JSON: {error}")))
}

/// What is stored for those who follow the run. The run itself does not depend on it, so that the events of a moment share an
/// entry.
struct Followers<'a, 'ctx> {
    ctx: &'a WorkflowContext<'ctx>,
    chunk: Chunk,
    /// The number of the next chunk.
    number: u64,
    /// When the last one was stored, in the run's own time.
    at: Option<Millis>,
    /// How many inputs were taken, if that is not stored.
    heard: Option<u64>,
}

/// How long events wait for others, in milliseconds.
const TOGETHER: Millis = 50;

impl Followers<'_, '_> {
    /// When the chunk is to be stored; `None` if it is empty.
    fn due(&self) -> Option<Millis> {
        let at = self.at.map_or(0, |at| at.saturating_add(TOGETHER));
        (!self.chunk.events.is_empty()).then_some(at)
    }

    fn is_due(&self, now: Millis) -> bool {
        self.heard.is_some() || !self.chunk.messages.is_empty() || self.due().is_some_and(|due| due <= now)
    }

    /// Stores the chunk, then how many inputs were taken: all that came of them is there by then.
    fn store(&mut self, now: Millis) -> Result<(), TerminalError> {
        if !self.chunk.events.is_empty() {
            self.ctx.set(&chunk_name(self.number), write(&std::mem::take(&mut self.chunk))?);
            self.number += 1;
            self.at = Some(now);
        }
        if let Some(heard) = self.heard.take() {
            self.ctx.set(HEARD, write(&heard)?);
        }
        Ok(())
    }
}

/// What the coordinator waits for.
enum Awaited {
    Attempt(usize),
    Permit(usize),
    Timer(usize),
    Input,
}

async fn drive<'a>(
    ctx: &WorkflowContext<'a>,
    mut turns: Turns,
    header: Arc<Header>,
    (routes, limits): (&[Route], &BTreeMap<String, usize>),
) -> Result<(), TerminalError> {
    let run: Arc<str> = header.run.as_str().into();
    let digest: Arc<str> = wire::digest(&header).into();
    let mut followers = Followers { ctx, chunk: Chunk::default(), number: 0, at: None, heard: None };
    let graph = turns.graph.clone();
    let limited = |step: StepId| {
        let is_agent = routes.get(step.index()).copied().unwrap_or_default() == Route::Agent;
        let agent = graph.step(step).agent.as_deref().filter(|_| is_agent)?;
        Some((agent, *limits.get(agent)?))
    };
    let mut permits = RunPermits { ctx, began: turns.began(), number: 0 };
    // Those that run, each with its permit, and those that wait for one.
    let mut attempts = Vec::new();
    let mut waiting = Vec::new();
    let mut sleeps: Vec<(Millis, _)> = Vec::new();
    let mut number = 0;
    // Signals by names that do not live as long as the context.
    let inner = ctx.signal::<()>(STOP).inner_context();
    let listen = |number| inner.signal::<Bytes>(&input_name(number));
    let mut input = listen(number);
    // Services whose workers know the document, as far as their answers say.
    let mut know: BTreeSet<String> = BTreeSet::new();
    loop {
        let Turn { events, calls, stops } = turns.turn(|call| limited(call.step.step).is_some());
        followers.chunk.events.extend(events);
        for call in calls {
            let service = service_of(&turns.graph, call.step.step, routes);
            let unknown = (!know.contains(&service)).then(|| header.clone());
            let limit = limited(call.step.step);
            let request = Request {
                run: run.clone(),
                digest: digest.clone(),
                header: unknown,
                call: SentCall::from(call),
                now: turns.now(),
            };
            if let Some((agent, most)) = limit {
                let permit = permits.ask(agent, most, turns.now())?;
                let granted = inner.signal::<Bytes>(&Permit::signal(permit.1));
                waiting.push((request, service, permit, granted));
                continue;
            }
            let future = attempt(ctx, &service, &request)?;
            attempts.push((request, service, None, future));
        }
        let mut never_began = false;
        for (stopped, why) in stops {
            if let Some(at) = waiting.iter().position(|(request, ..)| request.call.attempt() == stopped) {
                let (_, _, permit, _) = waiting.remove(at);
                permits.give_back(permit, turns.now())?;
                turns.ended(stopped, Err(not_begun()), 0 as UnixMillis);
                never_began = true;
            }
            let found = attempts.iter().find(|(request, ..)| request.call.attempt() == stopped);
            if let Some((.., future)) = found {
                // The id comes at once; the attempt still reports its end.
                let handle = future.invocation_handle().await?;
                handle.signal(STOP).resolve(write(&why)?);
            }
        }
        if never_began {
            continue;
        }
        let is_over = turns.is_over();
        if is_over || attempts.is_empty() && waiting.is_empty() || followers.is_due(turns.now()) {
            followers.store(turns.now())?;
        }
        if is_over {
            return Ok(());
        }
        if let Some(due) = turns.next_due().into_iter().chain(followers.due()).min()
            && sleeps.iter().all(|(other, _)| *other > due)
        {
            let wait = Duration::from_millis(due.saturating_sub(turns.now()));
            sleeps.push((due, ctx.sleep(wait)));
        }
        let mut handles = Vec::with_capacity(attempts.len() + waiting.len() + sleeps.len() + 1);
        let mut waits = Vec::with_capacity(handles.capacity());
        for (at, (.., future)) in attempts.iter().enumerate() {
            handles.push(future.handle());
            waits.push(Awaited::Attempt(at));
        }
        for (at, (.., granted)) in waiting.iter().enumerate() {
            handles.push(granted.handle());
            waits.push(Awaited::Permit(at));
        }
        for (at, (_, sleep)) in sleeps.iter().enumerate() {
            handles.push(sleep.handle());
            waits.push(Awaited::Timer(at));
        }
        handles.push(input.handle());
        waits.push(Awaited::Input);
        // A cancellation by the operator of the server ends the coordinator as it is.
        let place = match inner.select(handles).await {
            Ok(place) => place,
            Err(error) => {
                followers.store(turns.now())?;
                return Err(error);
            }
        };
        match waits.get(place) {
            Some(Awaited::Attempt(at)) => {
                let (mut request, service, permit, future) = attempts.remove(*at);
                let (result, at) = match future.await {
                    Ok(bytes) => match read::<Response>(&bytes)? {
                        Response::Unknown => {
                            request.header = Some(header.clone());
                            let future = attempt(ctx, &service, &request)?;
                            attempts.push((request, service, permit, future));
                            continue;
                        }
                        Response::Made { result, at, messages: mut said, log } => {
                            followers.chunk.messages.append(&mut said);
                            followers.chunk.logs.extend((!log.is_empty()).then_some(log));
                            know.insert(service);
                            (result, at)
                        }
                    },
                    Err(error) => (Err(refused(&service, &error)), 0 as UnixMillis),
                };
                turns.ended(request.call.attempt(), result, at);
                if let Some(permit) = permit {
                    permits.give_back(permit, turns.now())?;
                }
            }
            Some(Awaited::Permit(at)) => {
                let (mut request, service, permit, granted) = waiting.remove(*at);
                let at: UnixMillis = read(&granted.await?)?;
                turns.begins(&mut request.call, request.now, at);
                request.now = turns.now();
                let future = attempt(ctx, &service, &request)?;
                attempts.push((request, service, Some(permit), future));
            }
            Some(Awaited::Timer(at)) => {
                let (due, sleep) = sleeps.remove(*at);
                sleep.await?;
                turns.due(due);
            }
            Some(Awaited::Input) => {
                number += 1;
                let heard = std::mem::replace(&mut input, listen(number));
                turns.hear(read::<Input>(&heard.await?)?);
                followers.heard = Some(number);
            }
            None => {}
        }
    }
}

/// The signal by which an attempt is asked to stop.
pub const STOP: &str = "stop";

/// The signal with an input of a run.
pub fn input_name(number: u64) -> String {
    format!("input-{number}")
}

fn attempt<'a>(
    ctx: &WorkflowContext<'a>,
    service: &str,
    request: &Request,
) -> Result<impl CallFuture<Response = Bytes> + Send + use<'a>, TerminalError> {
    let target = RequestTarget::service(service, "attempt");
    Ok(ctx.request::<Bytes, Bytes>(target, write(request)?).call())
}

/// The service that makes the attempts of a step.
fn service_of(graph: &Graph, step: StepId, routes: &[Route]) -> String {
    let route = routes.get(step.index()).copied().unwrap_or_default();
    route.service(graph.step(step).agent.as_deref())
}

/// An attempt that the server ended: whether it had its effect is not known.
fn refused(service: &str, error: &TerminalError) -> Box<Failure> {
    let message = format!("Restate has ended the call of {service}: {error}");
    Box::new(Failure::new(Cause::Protocol, message, Outcome::Unknown, true))
}

/// An attempt that was stopped while it waited for a permit.
fn not_begun() -> Box<Failure> {
    let message = "stopped before it began".to_owned();
    Box::new(Failure::new(Cause::Stopped, message, Outcome::NotExecuted, true))
}

/// The reason in a signal to stop.
pub fn reason(bytes: &[u8]) -> StopReason {
    serde_json::from_slice(bytes).unwrap_or(StopReason::Cancelled)
}
