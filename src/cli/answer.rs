//! `orderflow answer`: shows what the agents of an active run ask, and answers. The answer goes to the runner of the run.

use super::approve::user;
use super::exit::{Exit, Stop};
use super::format::TextFormat;
use super::help::with_exits;
use super::run::word;
use super::runs::find;
use super::terminal::Terminal;
use super::trust;
use crate::diag::render::{visible, visible_json};
use crate::graph::Graph;
use crate::history::History;
use crate::runtime::{
    Answering, OpenQuestion, QuestionAnswer, answer_question, clock, open_questions, unix_millis,
};
use crate::value::{Object, Value};
use serde_json::json;
use std::path::Path;

/// Show or answer what agents ask during a run
#[derive(clap::Args)]
#[command(after_help = with_exits("\
Examples:
  orderflow answer last                                what its agents ask
  orderflow answer last --yes                          the only question: allow it, once
  orderflow answer last 'Fix' --item order_003 --no --note 'not on a Friday'
  orderflow answer last 'Ask Size' --yes --value size=large --as ops

An agent asks if its settings have ask = true, and its attempt waits for the answer. The first answer counts: a later \
one is refused. The name is a record, not a login.", &[Exit::Invalid, Exit::NotTrusted, Exit::Changed, Exit::Journal]))]
pub struct Args {
    /// last, the beginning of a run's name, or a run's folder
    run: String,
    /// The step whose agent asks [default: the only one that asks]
    step: Option<String>,
    /// The key of the item for which it asks
    #[arg(long, value_name = "KEY")]
    item: Option<String>,
    /// Allow it, once
    #[arg(long, conflicts_with = "no")]
    yes: bool,
    /// Reject it
    #[arg(long)]
    no: bool,
    /// A value that it asks for; repeatable
    #[arg(long, value_name = "NAME=VALUE", requires = "yes")]
    value: Vec<String>,
    /// The name to record [default: the name of the user]
    #[arg(long = "as", value_name = "NAME")]
    by: Option<String>,
    /// The note to record, such as a reason
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// How to show what is asked, or the answer
    #[arg(long, value_enum, default_value_t)]
    format: TextFormat,
}

pub fn run(args: Args, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let home = find::one_to_act_on(&args.run)?;
    trust::runs::refuse_foreign(&home)?;
    let name = find::called(&home)?;
    let history = History::open(&home)?;
    let asked = open_questions(&home).into_iter().filter(|question| args.is_about(question, &history.graph));
    let asked: Vec<OpenQuestion> = asked.collect();
    if !args.yes && !args.no {
        match args.format {
            TextFormat::Json => {
                let all: Value = asked.into_iter().map(question_json).collect();
                terminal.data(&(visible_json(&serde_json::to_string_pretty(&all)?) + "\n"));
            }
            TextFormat::Text if asked.is_empty() => terminal.talk("no agent of this run asks anything\n"),
            TextFormat::Text => {
                asked.iter().for_each(|one| terminal.data(&lines(one, &history.graph, &name)))
            }
        }
        terminal.finish()?;
        return Ok(Exit::Ok);
    }
    let question = match asked.as_slice() {
        [question] => question,
        [] => return Err(Stop::new(Exit::Invalid, "no agent of this run asks this").into()),
        [_, _, ..] => {
            asked.iter().for_each(|one| terminal.talk(&lines(one, &history.graph, &name)));
            let help = "name the step, and the item with --item KEY";
            return Err(Stop::new(Exit::Invalid, "several questions are open").help(help).into());
        }
    };
    let answer = Answer { agrees: args.yes, values: values(&args.value)?, by: args.by, note: args.note };
    let given = give(&home, &question.id, answer)?;
    match args.format {
        TextFormat::Json => terminal.data(&(visible_json(&given.to_string()) + "\n")),
        TextFormat::Text => {
            let how = if args.yes { "answered" } else { "rejected" };
            terminal.data(&format!("{how}: {}\n", visible(&question.text)));
        }
    }
    terminal.finish()?;
    Ok(Exit::Ok)
}

impl Args {
    fn is_about(&self, question: &OpenQuestion, graph: &Graph) -> bool {
        let title = graph.by_phase(&question.step).map(|id| &graph.step(id).title);
        let step = |step: &String| *step == question.step || Some(step) == title;
        self.step.as_ref().is_none_or(step) && self.item.as_ref().is_none_or(|item| *item == question.item)
    }
}

fn values(said: &[String]) -> anyhow::Result<Object> {
    let value = |text: &String| match text.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), Value::from(value))),
        None => Err(Stop::new(Exit::Usage, format!("`{}` is not NAME=VALUE", visible(text))).into()),
    };
    said.iter().map(value).collect()
}

/// A question with the command that answers it.
fn lines(question: &OpenQuestion, graph: &Graph, run: &str) -> String {
    let title = graph.by_phase(&question.step).map_or(&question.step, |id| &graph.step(id).title);
    let who = question.agent.as_ref().map_or_else(|| "the agent".to_owned(), |agent| format!("@{agent}"));
    let (item, text) = (visible(&question.item), visible(&question.text));
    let mut lines = format!("{item}: {} of {} asks: {text}\n", visible(&who), visible(title));
    for value in &question.values {
        lines.push_str(&format!("    {}\n", visible(&value.line())));
    }
    let values = question.values.iter().filter(|value| value.required);
    let values: String = values.map(|value| format!(" --value {}=…", visible(&value.name))).collect();
    lines + &format!("  answer it with {} --yes{values}, or reject it with --no\n", command(question, run))
}

/// The command that shows a question, without the answer.
pub fn command(question: &OpenQuestion, run: &str) -> String {
    format!("orderflow answer {run} {} --item {}", word(&question.step), word(&question.item))
}

/// An answer as people give it.
pub struct Answer {
    pub agrees: bool,
    pub values: Object,
    pub by: Option<String>,
    pub note: Option<String>,
}

/// Gives an answer to a question of the run in the folder `home`, and waits until its runner has taken it:
/// `{run, question, agrees, by, note, at}`.
///
/// # Errors
/// The question was answered before or is gone, or the values do not fit.
pub fn give(home: &Path, question: &str, answer: Answer) -> anyhow::Result<Value> {
    let Answer { agrees, values, by, note } = answer;
    let by = name_of(by)?;
    let at = clock(unix_millis());
    let reply = QuestionAnswer { agrees, by: by.clone(), note: note.clone(), values };
    let refused = |exit, message: String| Err(Stop::new(exit, message).into());
    match answer_question(&trust::inbox(home), question, &reply)? {
        Answering::Taken => Ok(json!({
            "run": find::name(home), "question": question, "agrees": agrees, "by": by, "note": note, "at": at,
        })),
        Answering::Gone => {
            let message =
                "the question was answered before, or its attempt has ended; the answer changes nothing";
            refused(Exit::Changed, message.to_owned())
        }
        Answering::Unfit(why) => refused(Exit::Invalid, why),
        Answering::NotTaken => {
            let message = "the run has not taken the answer within 10 s, so it was withdrawn";
            refused(Exit::Changed, message.to_owned())
        }
    }
}

/// Who answers.
///
/// # Errors
/// The name is empty.
pub fn name_of(by: Option<String>) -> anyhow::Result<String> {
    let by = by.unwrap_or_else(user).trim().trim_start_matches('@').to_owned();
    match by.is_empty() {
        true => Err(Stop::new(Exit::Invalid, "the name is empty").into()),
        false => Ok(by),
    }
}

/// `{id, item, step, agent, question, values: [{name, schema, required}], since}`.
pub fn question_json(one: OpenQuestion) -> Value {
    let values = one.values.iter().map(
        |asked| json!({ "name": visible(&asked.name), "schema": asked.schema, "required": asked.required }),
    );
    json!({
        "id": one.id,
        "item": visible(&one.item),
        "step": visible(&one.step),
        "agent": one.agent.as_deref().map(visible),
        "question": visible(&one.text),
        "values": values.collect::<Vec<_>>(),
        "since": clock(one.since),
    })
}
