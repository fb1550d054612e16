//! Where everything from outside enters a run: a virtual object of Restate, keyed by the run's name, so that inputs are in
//! one order and each is taken once.

use super::coordinator::{input_name, read, write};
use super::wire::{self, RUNS};
use bytes::Bytes;
use restate_sdk::context::RequestTarget;
use restate_sdk::prelude::*;
use serde::{Deserialize, Serialize};

/// The virtual object through which inputs from outside get numbers.
pub struct Entrance;

/// The current generation of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Current {
    pub generation: u64,
    /// How many events came before it.
    pub before: u64,
    /// The invocation that drives it.
    invocation: String,
    /// The number of the next input.
    pub next: u64,
}

/// The part of [`Start`](super::Start) that is looked at here.
#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    past: Vec<serde::de::IgnoredAny>,
}

const CURRENT: &str = "current";

#[restate_sdk::object(name = "orderflow.entrance", client_visibility = "pub(super)")]
impl Entrance {
    /// Begins the run, or another generation of it.
    #[handler]
    async fn begin(&self, ctx: ObjectContext<'_>, start: Bytes) -> Result<Bytes, HandlerError> {
        let before: Option<Bytes> = ctx.get(CURRENT).await?;
        let before = before.map(|before| read::<Current>(&before)).transpose()?;
        let generation = before.map_or(1, |before| before.generation + 1);
        let Head { past } = read(&start)?;
        let target = RequestTarget::workflow(RUNS, wire::key(ctx.key(), generation), "run");
        let begun = ctx.request::<Bytes, ()>(target, start).send().await?;
        let invocation = begun.invocation_id().to_owned();
        let current = Current { generation, before: past.len() as u64, invocation, next: 0 };
        let text = write(&current)?;
        ctx.set(CURRENT, text.clone());
        Ok(text)
    }

    /// Passes an input on.
    #[handler]
    async fn put(&self, ctx: ObjectContext<'_>, input: Bytes) -> Result<Bytes, HandlerError> {
        let current: Option<Bytes> = ctx.get(CURRENT).await?;
        let current = current.ok_or_else(|| TerminalError::new_with_code(404, "no such run"))?;
        let mut current: Current = read(&current)?;
        let handle = ctx.invocation_handle(current.invocation.clone());
        handle.signal(input_name(current.next)).resolve(input);
        current.next += 1;
        let text = write(&current)?;
        ctx.set(CURRENT, text.clone());
        Ok(text)
    }

    /// The current generation; an empty answer for a run that has not begun.
    #[handler]
    async fn current(&self, ctx: SharedObjectContext<'_>) -> Result<Bytes, HandlerError> {
        Ok(ctx.get::<Bytes>(CURRENT).await?.unwrap_or_default())
    }
}
