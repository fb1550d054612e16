//! A run within an attempt of another run: on a thread of its own, because its observers stay on one thread. What the
//! attempt is asked to do, the run is asked to do.

use super::{Request, Requests};
use crate::adapter::{Stop, Urgency};
use std::future::Future;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

/// Runs `run` to its end. If the attempt is stopped, the run is cancelled, or paused if the outer run pauses. `None` if
/// it ends without a result, by a panic.
///
/// # Errors
/// The thread cannot be started.
pub async fn nested<T, F>(
    mut stop: Stop,
    run: impl FnOnce(Requests) -> F + Send + 'static,
) -> std::io::Result<Option<T>>
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    let (sender, requests) = mpsc::channel(4);
    let (done, mut result) = oneshot::channel();
    let handle = Handle::current();
    std::thread::Builder::new().name("nested run".to_owned()).spawn(move || {
        // The receiver is gone once the outer run is.
        let _ = done.send(handle.block_on(run(requests)));
    })?;
    let mut asked = None;
    loop {
        let request = match (stop.urgency(), stop.pauses()) {
            (Urgency::None, _) => None,
            (Urgency::Terminate, false) => Some(Request::Cancel),
            (Urgency::Terminate, true) => Some(Request::Stop),
            (Urgency::Kill, _) => Some(Request::Kill),
        };
        if let Some(request) = request.filter(|request| asked.as_ref() != Some(request)) {
            // A run that has ended hears nothing.
            let _ = sender.try_send(request.clone());
            asked = Some(request);
        }
        tokio::select! {
            ended = &mut result => return Ok(ended.ok()),
            () = stop.changed() => {}
        }
    }
}
