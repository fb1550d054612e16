//! Runs on Restate: the same engine, inside Restate's handlers, with Restate's journal in place of ours.
//!
//! - [`Worker`]: what a worker serves: the coordinators of runs and the attempts of agents.
//! - [`Client`]: begins a run there, follows it, and passes requests on.
//!
//! One coordinator drives a run ([`turns`]): it holds the whole [`engine::Run`](crate::engine::Run), and each effect is a
//! durable future. Futures are taken in the order in which Restate has journaled them, and each brings its own time, so
//! a replay gives the same events.

mod agent;
mod client;
mod coordinator;
mod entrance;
mod limits;
mod served;
pub mod turns;
mod wire;
mod worker;

pub use client::{Client, Followed};
pub use served::Served;
pub use wire::{Item, Route, RunPolicy, SentRetry, Start};
pub use worker::{Bind, Bound, Worker};
