//! orderflow: a runner for workflows written as markdown documents.
//!
//! The rooms, in reading order. Data flows down this list and no room uses one below it:
//!
//! - [`value`]: types and values, and whether a value fits a type.
//! - [`toon`]: TOON text to values and back; tables as streams.
//! - [`diag`]: problems of a document: span, code, message, help; and their drawing.
//! - [`disk`]: opening files and folders, which may be hostile.
//! - [`condition`]: conditions: text to an expression, an expression and values to true or false.
//! - [`spec`]: markdown to a [`spec::Spec`]: the document as written. Never fails, records diagnostics.
//! - [`graph`]: a `Spec` to a [`graph::Graph`]: its meaning. Names resolved, acyclic, linted.
//! - [`event`]: what happened, in the past tense.
//! - [`spans`]: a run as spans of a distributed trace.
//! - [`engine`]: what happens next: pure state machines without clock, files or tasks.
//! - [`items`]: the items of a run, checked and streamed.
//! - [`adapter`]: runs a step by a program, a worker or a service.
//! - [`journal`]: the durable log of a run, and the lock that allows only one runner.
//! - [`runtime`]: the loop that drives the engine with real time and real processes.
//! - [`session`]: traces: rows, files, replay.
//! - [`cases`]: cases of a document, run on the engine without agents.
//! - [`stats`]: folds over rows.
//! - [`history`]: stored runs: their state, and their resumption.
//! - [`cluster`](https://docs.restate.dev): runs on Restate, with the feature `restate`.
//! - [`view`]: tables, progress, drawings.
//! - [`page`]: the page of a run.
//! - [`serve`]: runs over HTTP.
//! - [`lsp`]: answers to an editor.
//! - [`cli`]: arguments, settings, exit codes; the only room that prints.
//!
//! `docs/architecture.md` explains the boundaries.
//!
//! # As a library
//!
//! Runs a document with an own agent, whose process dies in the middle, resumes the run, and reads its statistics:
//!
//! ```
//! use orderflow::adapter::{Adapter, Call, Ending, Stop};
//! use orderflow::engine::{Limits, Policy};
//! use orderflow::event::Reply;
//! use orderflow::graph::Graph;
//! use orderflow::history::{History, LockedRun, New, People, Prepared, RunEnd, RunOptions, Runner, Tracing};
//! use orderflow::runtime::{Bindings, NewItem, RunsFolder, Workspace, new_run_id};
//! use orderflow::{diag::Source, graph, journal, session, spec, stats};
//! use std::sync::Arc;
//! use tokio::sync::{Notify, mpsc};
//!
//! const DOCUMENT: &str = "## Reserve\norder → reserved\n\n## Pay\nreserved → paid\n";
//!
//! /// Answers at once, or never for this step.
//! struct Agent(Option<&'static str>, Arc<Notify>);
//!
//! impl Adapter for Agent {
//!     fn call(&self, call: Call, _: Stop) -> Ending<'_> {
//!         Box::pin(async move {
//!             if self.0 == Some(&*call.context.step) {
//!                 self.1.notify_one();
//!                 std::future::pending::<()>().await;
//!             }
//!             let made = call.outputs.iter().map(|output| (output.id, Arc::new(call.context.item.to_string().into())));
//!             Ok(Reply { outputs: made.collect(), ..Reply::default() })
//!         })
//!     }
//! }
//!
//! fn prepared(graph: &Arc<Graph>, workspace: Workspace, agent: Agent) -> Prepared {
//!     let agent: Arc<dyn Adapter> = Arc::new(agent);
//!     Prepared {
//!         graph: graph.clone(),
//!         policy: Policy::of(graph, Limits::jobs(4)),
//!         bindings: Bindings::new(graph, vec![agent; graph.steps.len()]),
//!         workspace,
//!         deadline: None,
//!         owns_orphans: false,
//!         sinks: Vec::new(),
//!         tracing: Tracing::default(),
//!     }
//! }
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! let source = Source::new("orders.md", DOCUMENT);
//! let (spec, _) = spec::parse(&source);
//! let (graph, problems) = graph::build(&source, &spec);
//! assert!(problems.iter().all(|problem| !problem.is_error()));
//! let graph = Arc::new(graph.expect("a document without errors"));
//!
//! // A run whose process dies while it pays.
//! let folder = tempfile::tempdir()?;
//! let run = new_run_id();
//! let workspace = Workspace::create(&RunsFolder::In(folder.path().join("runs")), &run)?;
//! let home = workspace.root().to_owned();
//! let pays = Arc::new(Notify::new());
//! let new = New {
//!     run,
//!     started: "2026-11-29T10:00:00Z".into(),
//!     document: journal::DocumentText { path: "orders.md".into(), text: DOCUMENT.into() },
//!     options: RunOptions::default(),
//!     items: None,
//! };
//! let runner = Runner::begin(new, prepared(&graph, workspace, Agent(Some("Pay"), pays.clone())))?;
//! let order = NewItem { key: "o1".into(), inputs: vec![(graph.inputs[0], Arc::new("a book".into()))] };
//! let (_requests, heard) = mpsc::channel(1);
//! let mut orders = std::iter::once(Ok(order));
//! tokio::select! {
//!     _ = runner.drive(&mut orders, Vec::new(), heard, People::default()) => unreachable!(),
//!     () = pays.notified() => {}
//! }
//!
//! // Completed steps do not run again; running attempts are repeated with the same idempotency key.
//! let taken = LockedRun::take(&home)?;
//! let prepared = prepared(&graph, Workspace::open(&home)?, Agent(Some("Reserve"), pays));
//! let (runner, _) = Runner::resume(taken, prepared, &mut []).await?;
//! let (_requests, heard) = mpsc::channel(1);
//! let outcome = runner.drive(&mut std::iter::empty(), Vec::new(), heard, People::default()).await;
//! assert_eq!(outcome.ending(), Some(RunEnd::Ok));
//! drop(outcome);
//!
//! // Its statistics, from its journal.
//! let history = History::open(&home)?;
//! let mut entries = session::Entries::new(&history.graph);
//! let mut figures = stats::Live::new(&history.graph, vec![stats::Dimension::Phase]);
//! history.replay(|event| Ok(entries.take(event).iter().for_each(|entry| figures.take(entry))))?;
//! assert_eq!(figures.finish().run.rows, 2);
//! # anyhow::Ok(()) }).map_err(|error| format!("{error:#}"))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod adapter;
pub mod cases;
pub mod cli;
#[cfg(feature = "restate")]
pub mod cluster;
pub mod condition;
pub mod diag;
pub mod disk;
pub mod engine;
pub mod event;
pub mod graph;
pub mod history;
pub mod items;
pub mod journal;
pub mod lsp;
pub mod page;
pub mod runtime;
pub mod serve;
pub mod session;
pub mod spans;
pub mod spec;
pub mod stats;
pub mod toon;
pub mod value;
pub mod view;
