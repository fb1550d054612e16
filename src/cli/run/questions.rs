//! The questions of agents, asked at the terminal: for a permission, or for values.

use super::super::approve::user;
use super::super::terminal::Terminal;
use super::people::{Reply, forget_input, line};
use crate::adapter::question::{AskedValue, PersonReply, Question};
use crate::diag::render::visible;
use crate::value::{Object, Value};

/// Whether more can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    Open,
    Ended,
}

/// Asks one question, and sends the answer.
pub fn ask(question: Question, terminal: &mut Terminal) -> Input {
    let Question { item, step, agent, text, values, reply, .. } = question;
    let who = agent.map_or_else(|| "the agent".to_owned(), |agent| format!("@{}", visible(&agent)));
    forget_input();
    terminal.talk(&format!("\n{}: {who} of {} asks\n  {}\n", visible(&item), visible(&step), visible(&text)));
    let prompt = match values.is_empty() {
        true => "allow it? [y]es, once, [n]o; a note may follow: ",
        false => "answer it? [y]es, [n]o; a note may follow: ",
    };
    let (agrees, note) = loop {
        match line(prompt, terminal).as_deref().map(Reply::read) {
            None => return Input::Ended,
            Some(Some(Reply::Yes(note))) => break (true, note),
            Some(Some(Reply::No(note))) => break (false, note),
            Some(_) => {}
        }
    };
    let given = if agrees { ask_for(&values, terminal) } else { Some(Object::new()) };
    let Some(values) = given else { return Input::Ended };
    if reply.send(PersonReply { agrees, by: user(), note, values }).is_err() {
        terminal.talk("it was answered elsewhere, or the step has ended; the answer changes nothing\n");
    }
    Input::Open
}

/// Asks for each value until it fits; `None` if the input has ended.
fn ask_for(values: &[AskedValue], terminal: &mut Terminal) -> Option<Object> {
    let mut given = Object::new();
    for asked in values {
        let value: Option<Value> = loop {
            let typed = line(&format!("  {}: ", visible(&asked.line())), terminal)?;
            match asked.read(&typed) {
                Ok(value) => break value,
                Err(why) => terminal.talk(&format!("  {}\n", visible(&why))),
            }
        };
        given.extend(value.map(|value| (asked.name.clone(), value)));
    }
    Some(given)
}
