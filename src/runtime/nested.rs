//! A run within an attempt of another run: on a thread of its own, because its observers stay on one thread. What the
//! attempt is asked to do, the run is asked to do.

use super::{Inbox, Request, Requests};
use crate::adapter::{Hearing, Stop, Urgency};
use crate::event::StopReason;
use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

/// How often the inbox of a run is looked at: while it runs, and at the most and the least while it waits.
const EVERY: Duration = Duration::from_millis(200);
const SELDOM: Duration = Duration::from_secs(1);

/// Waits until a run that only people and events can move on is to continue: its inbox has a request, it hears an event,
/// its time has come, or the attempt is asked to end.
pub async fn woken(inbox: Option<&Inbox>, hearing: &Hearing, wakes: Option<Duration>, stop: &mut Stop) {
    let looks = async {
        let Some(inbox) = inbox else { return std::future::pending().await };
        let mut pause = EVERY / 4;
        while inbox.is_empty() {
            tokio::time::sleep(pause).await;
            pause = (pause + pause / 4).min(SELDOM);
        }
    };
    let time = async {
        match wakes {
            Some(wakes) => tokio::time::sleep(wakes).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = looks => {}
        () = hearing.news() => {}
        () = time => {}
        () = stop.asked(Urgency::Terminate) => {}
    }
}

/// Runs `run` to its end. It hears the requests in `inbox`. If the attempt is stopped, the run is cancelled, or paused if
/// the outer run pauses. `None` if it ends without a result, by a panic.
///
/// # Errors
/// The thread cannot be started.
pub async fn nested<T, F>(
    mut stop: Stop,
    inbox: Option<Inbox>,
    run: impl FnOnce(Requests) -> F + Send + 'static,
) -> std::io::Result<Option<T>>
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    let (sender, requests) = mpsc::channel(1024);
    let (done, mut result) = oneshot::channel();
    let handle = Handle::current();
    std::thread::Builder::new().name("nested run".to_owned()).spawn(move || {
        // The receiver is gone once the outer run is.
        let _ = done.send(handle.block_on(run(requests)));
    })?;
    let (mut asked, mut seen) = (None, BTreeSet::new());
    loop {
        let request = match (stop.urgency(), stop.pauses()) {
            (Urgency::None, _) => None,
            (Urgency::Terminate, false) => {
                Some(Request::Cancel(stop.why().map_or(StopReason::Cancelled, StopReason::within)))
            }
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
            () = tokio::time::sleep(EVERY), if inbox.is_some() => {
                for request in inbox.iter().flat_map(|inbox| inbox.take(&mut seen)) {
                    let _ = sender.try_send(request.into());
                }
            }
        }
    }
}
