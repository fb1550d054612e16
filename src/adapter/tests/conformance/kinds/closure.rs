//! The function that stands in for an agent in the tests of other rooms: it follows the same contract.

use super::super::{Does, Kind, LOG, Refusal};
use crate::adapter::fake::fake;
use crate::adapter::{Adapter, Call, Stop, Urgency, contract};
use crate::event::{Answer, Cause, Outcome};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub struct Closure;

pub const CLOSURE: Closure = Closure;

impl Kind for Closure {
    fn name(&self) -> &'static str {
        "closure"
    }

    fn agent(&self, does: &Does, _: &Path) -> Arc<dyn Adapter> {
        let does = does.clone();
        fake(move |call, stop| {
            let does = does.clone();
            async move { in_process(&does, &call, stop).await }
        })
    }
}

async fn in_process(does: &Does, call: &Call, mut stop: Stop) -> Answer {
    let ready = || std::fs::write(call.dir.join("ready"), "").unwrap();
    let say = |bytes: &[u8]| contract::done(&call.outputs, &contract::text(bytes.to_vec())?);
    match does {
        Does::Says(bytes) | Does::Blurts(bytes) => say(bytes),
        Does::Dawdles(bytes) => {
            tokio::time::sleep(Duration::from_millis(300)).await;
            say(bytes)
        }
        Does::Fails(bytes) => {
            let text = contract::text(bytes.clone())?;
            let mut failure = contract::refused(&call.outputs, &text, true, Outcome::Failed).unwrap();
            failure.log = LOG.to_owned();
            Err(failure)
        }
        Does::Refuses(why) => say(json!({"error": refusal(*why)}).to_string().as_bytes()),
        Does::Returns => say(format!("{{\"a\":{}}}", contract::inputs(call)).as_bytes()),
        Does::Tells(name) => say(json!({"a": told(call, name)}).to_string().as_bytes()),
        Does::Babbles(_) | Does::Dies | Does::Breaks(_) => panic!("a function has no connection"),
        Does::Finishes(bytes) => {
            ready();
            stop.asked(Urgency::Terminate).await;
            say(bytes)
        }
        Does::Ignores => {
            ready();
            stop.asked(Urgency::Kill).await;
            let message = "ended by signal 9".to_owned();
            Err(contract::failure(Cause::Stopped, message, Outcome::Unknown, true))
        }
    }
}

fn refusal(refusal: Refusal) -> serde_json::Value {
    match refusal {
        Refusal::BadInput => json!({"message": "no such order", "retryable": false}),
        Refusal::Busy => json!("busy"),
        Refusal::Pause => json!({"message": "busy", "retry_after_ms": 2000}),
        Refusal::Unavailable => json!({"message": "no credit", "unavailable": true}),
        Refusal::Crash => json!({"message": "boom", "outcome": "unknown"}),
    }
}

fn told(call: &Call, name: &str) -> String {
    let context = &call.context;
    match name {
        "RUN" => context.run.to_string(),
        "STEP" => context.step.to_string(),
        "ITEM" => context.item.to_string(),
        "ATTEMPT" => context.attempt.to_string(),
        "ELEMENT" => context.element.map(|element| element.to_string()).unwrap_or_default(),
        "KEY" => context.idempotency_key.clone(),
        "FORWARD_KEY" => context.forward_key.clone().unwrap_or_default(),
        "AGENT" => context.agent.as_deref().unwrap_or_default().to_owned(),
        "CHANNEL" => context.channel.as_deref().unwrap_or_default().to_owned(),
        "DEADLINE" => context.deadline.clone().unwrap_or_default(),
        "INSTRUCTIONS" => call.instructions.clone(),
        other => panic!("nothing is told under {other}"),
    }
}
