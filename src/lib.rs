//! orderflow: a runner for workflows written as markdown documents.
//!
//! The rooms, in reading order. Data flows down this list and no room uses one below it:
//!
//! - [`value`]: types and values, and whether one fits the other.
//! - [`toon`]: TOON text to values and back; tables as streams.
//! - [`diag`]: what is wrong with a document: span, code, message, help; and how it is drawn.
//! - [`disk`]: opening files and folders, which may be hostile.
//! - [`condition`]: conditions: text to an expression, an expression and values to true or false.
//! - [`spec`]: markdown to a [`spec::Spec`]: what the author wrote. Never fails, records diagnostics.
//! - [`graph`]: a `Spec` to a [`graph::Graph`]: what it means. Names resolved, acyclic, linted.
//! - [`event`]: what happened, as one closed enum in the past tense.
//! - [`engine`]: what happens next: pure state machines without clock, files or tasks.
//! - [`items`]: where the items of a run come from, checked and streamed.
//! - [`adapter`]: how a step reaches whoever does it.
//! - [`journal`]: the durable log of a run, and the lock that keeps it to one runner.
//! - [`runtime`]: the loop that drives the engine with real time and real processes.
//! - [`session`]: traces: rows, files, replay.
//! - [`stats`]: folds over rows.
//! - [`view`]: tables, progress, drawings.
//! - [`cli`]: arguments, settings, exit codes; the only room that prints.
//!
//! `docs/architecture.md` says why the walls stand where they stand.

pub mod adapter;
pub mod cli;
pub mod condition;
pub mod diag;
pub mod disk;
pub mod engine;
pub mod event;
pub mod graph;
pub mod items;
pub mod journal;
pub mod runtime;
pub mod session;
pub mod spec;
pub mod stats;
pub mod toon;
pub mod value;
pub mod view;
