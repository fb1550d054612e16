//! The HTTP client that all services, models and servers of a run share, on threads of its own. Does not know what is
//! asked.
//!
//! hyper reads for as long as a server sends, and does not limit everything: neither informational responses nor the
//! digits of a chunk's size. On the threads of the run, such a server would hold up timers and signals. reqwest lets
//! nothing come between hyper and the connection, so hyper has its own threads, and the run only waits for them.

use anyhow::Context as _;
use reqwest::redirect::{Attempt, Policy};
use reqwest::{IntoUrl, Method, RequestBuilder, Response, Url};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Handle, Runtime};

/// The longest time to connect.
const CONNECT: Duration = Duration::from_secs(10);

/// The most redirects to another address of the same service.
pub const HOPS: usize = 5;

/// The threads that read and write connections: while one is held up, the others still have one.
const THREADS: usize = 2;

/// The most threads that look up names of hosts.
const LOOKUPS: usize = 16;

/// A client and its connections. It uses no proxy from the environment, and follows redirects only within a service.
#[derive(Clone)]
pub struct Client {
    inner: reqwest::Client,
    threads: Arc<Threads>,
}

struct Threads {
    /// `None` once they are to end.
    runtime: Option<Runtime>,
    handle: Handle,
}

impl Client {
    /// # Errors
    /// When the system's certificates cannot be read, or no thread can be started.
    pub fn new() -> anyhow::Result<Self> {
        // Fails if it is already installed, which is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let inner = reqwest::Client::builder()
            .no_proxy()
            .redirect(Policy::custom(follow))
            .connect_timeout(CONNECT)
            .user_agent(concat!("orderflow/", env!("CARGO_PKG_VERSION")))
            .build();
        let inner = inner.context("cannot set up HTTP")?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .max_blocking_threads(LOOKUPS)
            .thread_name("http")
            .enable_all()
            .build()
            .context("cannot start the threads of HTTP")?;
        let handle = runtime.handle().clone();
        Ok(Client { inner, threads: Arc::new(Threads { runtime: Some(runtime), handle }) })
    }

    pub fn get(&self, url: impl IntoUrl) -> RequestBuilder {
        self.inner.get(url)
    }

    pub fn post(&self, url: impl IntoUrl) -> RequestBuilder {
        self.inner.post(url)
    }

    pub fn request(&self, method: Method, url: impl IntoUrl) -> RequestBuilder {
        self.inner.request(method, url)
    }

    /// Sends a request that was made here.
    ///
    /// # Errors
    /// The response does not come.
    pub async fn send(&self, request: RequestBuilder) -> reqwest::Result<Response> {
        self.within(request.send()).await
    }

    /// Lets everything that a future starts run on the threads of this client.
    pub async fn within<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        std::future::poll_fn(|context| {
            let _inside = self.threads.handle.enter();
            future.as_mut().poll(context)
        })
        .await
    }

    /// The client for a future that runs [within](Self::within) these threads.
    pub fn inner(&self) -> reqwest::Client {
        self.inner.clone()
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // It may be in a task, which must not wait.
            runtime.shutdown_background();
        }
    }
}

/// Follows redirects to another address of the same service, for statuses that preserve the request.
fn follow(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let own = attempt.previous().last().is_some_and(|from| same_service(from, attempt.url()));
    match attempt.status().as_u16() {
        307 | 308 if own && attempt.previous().len() <= HOPS => attempt.follow(),
        _ => attempt.stop(),
    }
}

pub fn same_service(one: &Url, other: &Url) -> bool {
    one.origin() == other.origin()
}
