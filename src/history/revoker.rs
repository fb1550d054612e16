//! The compensation of a step that ran a document: the compensations of the document, for each run of it.

use super::child_end::{ChildEnd, KeptRun, broken, figures, refused};
use super::children::ChildDocument;
use super::earlier::run_id;
use super::taken::{LockedRun, request_cancel};
use super::within::Within;
use crate::adapter::{Adapter, Call, Context, Ending, InnerGates, Stop, contract};
use crate::disk::Folder;
use crate::engine::RetryRequest;
use crate::event::{Cause, Failure, ItemId, Outcome, Reply};
use crate::journal::{self, Unreadable};
use crate::runtime::{self, Border, NestedRun, Requests, Workspace};
use crate::value::budget::Spent;
use std::path::Path;
use std::sync::Arc;

/// Compensates a step that ran a document: by the compensations of the document, for each run of it.
pub struct ChildRevoker {
    pub document: Arc<ChildDocument>,
    /// The phase of the step.
    pub phase: String,
}

impl Adapter for ChildRevoker {
    fn call(&self, call: Call, stop: Stop) -> Ending<'_> {
        Box::pin(async move {
            let mut spent = Spent::default();
            let mut last = None;
            let runs = runtime::nested_runs(&call.home, &call.place.0, &self.phase).into_iter();
            // What was done last is compensated first.
            for run in runs.rev().filter(|run| run.element == call.context.element) {
                let NestedRun { element, attempt, home: root } = run;
                let attempt = runtime::attempt_name(&self.phase, element, attempt);
                let key = call.context.forward_key.as_deref().unwrap_or_default();
                let id = run_id(key, &attempt);
                let (document, pauses) = (self.document.clone(), stop.clone());
                let (context, events) = (call.context.clone(), call.events.clone());
                let run = move |requests| async move {
                    let around = (requests, Border::within(events, None, InnerGates::default()));
                    revoked(&document, &id, &root, &context, around).await
                };
                let ended = match runtime::nested(stop.clone(), None, run).await {
                    Ok(Some(ended)) => ended,
                    Ok(None) => {
                        return Err(broken("the run of the document broke; this is a bug of orderflow"));
                    }
                    Err(error) => {
                        let message = format!("cannot start a thread: {error}");
                        return Err(contract::failure(Cause::Start, message, Outcome::NotExecuted, true));
                    }
                };
                match ended {
                    ChildEnd::Other => {}
                    ChildEnd::Ended(ended) => {
                        spent.add(ended.spent);
                        if ended.remains() && last.is_none() {
                            last = Some(ended.failure(false));
                        }
                    }
                    other => return other.answer(&pauses),
                }
            }
            let (tokens_used, columns) = figures(spent);
            match last {
                // Its compensations were retried as its document says, so they are not retried once more here.
                Some(failure) => {
                    Err(Box::new(Failure { tokens_used, columns, retryable: false, ..*failure }))
                }
                None => Ok(Reply { tokens_used, columns, ..Reply::default() }),
            }
        })
    }
}

/// Compensates all that the run of a document with this id has done, or continues to.
async fn revoked(
    document: &ChildDocument,
    id: &str,
    root: &Path,
    context: &Context,
    around: (Requests, Border),
) -> ChildEnd {
    match revoking(document, id, root, context, around).await {
        Ok(end) => end,
        Err(error) => {
            let message = format!("cannot compensate {}: {error:#}", document.text.path);
            // A journal that is damaged stays so. Anything else may be there later, and each attempt continues the run.
            let lasts = matches!(
                error.downcast_ref::<Unreadable>(),
                Some(Unreadable::Damaged { .. } | Unreadable::Version { .. })
            );
            let failure = contract::failure(Cause::Start, message, Outcome::Unknown, !lasts);
            ChildEnd::Refused(failure)
        }
    }
}

async fn revoking(
    document: &ChildDocument,
    id: &str,
    root: &Path,
    context: &Context,
    (requests, border): (Requests, Border),
) -> anyhow::Result<ChildEnd> {
    // A link is refused, as when the run began.
    let (above, name) = Folder::above(root)?;
    above.folder(&name)?;
    if !journal::is_there(root) || journal::read(root)?.0.run != id {
        return Ok(ChildEnd::Other);
    }
    let mut taken = LockedRun::take(root)?;
    if taken.history.header().document.text != document.text.text {
        let why = "this run of it began with another text";
        return Ok(refused(format!("cannot compensate {}: {why}", document.text.path)));
    }
    let outline = taken.history.outline()?;
    let counts = outline.counts(taken.history.basis());
    let before = taken.history.spent()?;
    if counts.succeeded > 0 {
        taken.revoke = Some(ItemId(0));
    } else if counts.compensation_failed > 0 {
        taken.retry = vec![RetryRequest::of(ItemId(0))];
    } else if !outline.is_over(taken.history.basis()) {
        request_cancel(root)?;
    }
    let workspace = Workspace::open(root)?.with_key(document.inbox_key.clone());
    let prepared = document.prepared(document.graph.clone(), workspace, context);
    let (graph, root, outermost) = (document.graph.clone(), root.to_owned(), context.outermost.clone());
    let kept = KeptRun { journaled: true, revoked: true };
    let within = Within { document, graph, root, call: None, outermost, border, kept };
    Ok(match within.continued(taken, prepared, None, requests).await? {
        // What it spent before is part of the row of the step.
        ChildEnd::Ended(mut ended) => {
            ended.spent = ended.spent.less(&before);
            ChildEnd::Ended(ended)
        }
        other => other,
    })
}
