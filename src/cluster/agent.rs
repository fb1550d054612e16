//! The attempts of an agent, of programs in documents or of stubs, as a service of Restate. What it returns is the result: nothing else is journaled, so that an
//! attempt can be asked to stop while it runs.

use super::coordinator::{STOP, read, reason, write};
use super::wire::{About, Request, Response, Route};
use super::worker::Knowledge;
use bytes::Bytes;
use restate_sdk::discovery::ServiceName;
use restate_sdk::endpoint::{ContextInternal, Error};
use restate_sdk::prelude::*;
use restate_sdk::service::macro_support::{ServiceBoxFuture, service_definition};
use restate_sdk::service::{Discoverable, Service};
use std::sync::Arc;

/// The service of one agent, which makes attempts for the runs of a server.
pub struct Agent {
    /// The most attempts at once, over all runs and workers.
    pub concurrency: Option<usize>,
    pub route: Route,
    pub knowledge: Arc<Knowledge>,
}

#[restate_sdk::service(client_visibility = "pub(super)")]
impl Agent {
    /// Makes an attempt. If the server calls again while it runs, both calls get its one result.
    #[handler]
    async fn attempt(&self, ctx: Context<'_>, request: Bytes) -> Result<Bytes, HandlerError> {
        let request: Request = read(&request)?;
        let Some(mut under_way) = self.knowledge.attempt(self.route, request) else {
            return Ok(write(&Response::Unknown)?);
        };
        let stopped = ctx.signal::<Bytes>(STOP);
        tokio::pin!(stopped);
        let mut asked = false;
        loop {
            tokio::select! {
                biased;
                made = under_way.ended() => return Ok(write(&made)?),
                why = &mut stopped, if !asked => {
                    asked = true;
                    // A cancellation by the operator of the server comes as an error.
                    under_way.stop(why.map_or(crate::event::StopReason::Cancelled, |why| reason(&why)));
                }
            }
        }
    }

    /// The version of the worker, and the limit of the agent.
    #[handler]
    async fn version(&self, _ctx: Context<'_>) -> Result<Bytes, HandlerError> {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Ok(write(&About { version, concurrency: self.concurrency })?)
    }
}

/// The same under the name of its agent: the macro knows only one name for all.
struct Served(Arc<Agent>);

impl Service for Served {
    type Future = ServiceBoxFuture;

    fn handle(&self, ctx: ContextInternal) -> Self::Future {
        let agent = self.0.clone();
        Box::pin(async move {
            match ctx.handler_name() {
                "attempt" => {
                    let (request, metadata) = ctx.input::<Bytes>().await;
                    let made = agent.attempt((&ctx, metadata).into(), request).await;
                    ctx.handle_handler_result(made);
                }
                "version" => {
                    let ((), metadata) = ctx.input::<()>().await;
                    let version = agent.version((&ctx, metadata).into()).await;
                    ctx.handle_handler_result(version);
                }
                other => return Err(Error::unknown_handler(ctx.service_name(), other)),
            }
            ctx.end();
            Ok(())
        })
    }
}

impl Agent {
    /// The service of this name.
    ///
    /// # Errors
    /// Restate has no services of such a name.
    pub fn named(self, name: &str) -> anyhow::Result<ServiceDefinition> {
        let mut discovery = <Agent as Discoverable>::discover();
        let unfit = |_| anyhow::anyhow!("Restate takes no service of the name {name}");
        discovery.name = ServiceName::try_from(name.to_owned()).map_err(unfit)?;
        Ok(service_definition(Served(Arc::new(self)), discovery))
    }
}
