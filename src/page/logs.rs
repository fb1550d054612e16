//! What attempts logged, from the logs beside the journal: also of successful attempts and of those that run.

use super::details::KnownDetails;
use crate::history::History;
use crate::journal::logs::{LogFilter, LogReader, UnreadableLogs};
use std::collections::HashMap;

/// Adds the logs of a run to its attempts. Returns the number of the last part, and why they cannot be read.
pub fn add(history: &History, details: &mut KnownDetails) -> (i64, Option<String>) {
    let steps = history.graph.steps.iter().zip(0..);
    let steps: HashMap<&str, u32> = steps.map(|(step, number)| (step.phase.as_str(), number)).collect();
    let mut last = 0;
    let mut read = || -> Result<(), UnreadableLogs> {
        let Some(mut reader) = LogReader::open(history.home())? else { return Ok(()) };
        reader.each(&LogFilter::default(), 0, |part| {
            last = part.id;
            if let Some(step) = steps.get(part.phase.as_str()) {
                details.log(&part, *step);
            }
            Ok(())
        })
    };
    let failed = read().err().map(|error| error.to_string());
    (last, failed)
}
