//! An item of a run as a case for `orderflow test`.

use super::super::exit::{Exit, Stop};
use super::super::runs::find;
use super::super::terminal::Terminal;
use super::item;
use crate::adapter::redact::Redactor;
use crate::cases::RecordedCase;
use crate::diag::render::visible;
use crate::history::History;
use crate::view::presentable;

/// Prints the case of an item; of the only one without a key.
///
/// # Errors
/// The item is unknown or has not ended, or the journal cannot be read.
pub fn print(history: &History, key: Option<&str>, terminal: &mut Terminal) -> anyhow::Result<()> {
    let key = match key {
        Some(key) => key.to_owned(),
        None => item::only(history)?,
    };
    let graph = &history.graph;
    let mut case = RecordedCase::new(graph, &key);
    history.replay(|event| {
        case.take(event);
        Ok(())
    })?;
    let Some(item) = case.item() else {
        let message = format!("the run has no item {}", visible(&key));
        return Err(Stop::new(Exit::Invalid, message).into());
    };
    if !case.is_settled() {
        let message = format!("the item {} has not ended", visible(&key));
        return Err(Stop::new(Exit::Invalid, message).help("make a case of it once it has").into());
    }
    let redactor = Redactor::default().of_values(graph.secrets());
    let name = format!("{key} of {}", find::short_name(history.home())?);
    let text = case.text(&name, &|id, value| {
        let mut shown = presentable(id, value, graph).into_owned();
        redactor.shown(item, &mut shown);
        shown
    });
    terminal.data(&text);
    Ok(())
}
