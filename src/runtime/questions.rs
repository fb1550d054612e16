//! The open questions of agents, as files in the folder of the run: other processes show them, and answer with further
//! files. They live as long as the attempts that ask; who answered is in the conversation.

use super::{Inbox, new_run_id, unix_millis};
use crate::adapter::question::{AskedValue, PersonReply, Question, given};
use crate::disk::{Folder, Kind};
use crate::event::UnixMillis;
use crate::journal::Lock;
use crate::value::Object;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// The folder in a run's folder.
const FOLDER: &str = "questions";

/// How the names of both kinds of files end: `ID.question`, and for an answer `ID.NAME-SIGNATURE.json`, which is signed as
/// the requests of an inbox are.
const QUESTION: &str = ".question";
const ANSWER: &str = ".json";

/// The largest file in bytes, and the most that are looked at.
const LARGEST: usize = 4 << 20;
const MOST: usize = 10_000;

/// How often the runner looks for answers, how long somebody who answers waits for it, and how often to look.
const EVERY: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);

/// A question that waits for a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenQuestion {
    /// Its name, which is that of its file.
    #[serde(skip)]
    pub id: String,
    /// The key of the item.
    pub item: String,
    /// The step's phase.
    pub step: String,
    pub agent: Option<String>,
    pub text: String,
    /// The values that it asks for; none if it is answered by yes or no.
    pub values: Vec<AskedValue>,
    pub since: UnixMillis,
}

/// An answer of a person.
#[derive(Clone, Debug, PartialEq)]
pub struct QuestionAnswer {
    pub agrees: bool,
    pub by: String,
    pub note: Option<String>,
    /// By name; texts are read by the schema of their value.
    pub values: Object,
}

/// What became of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answering {
    /// The agent has it.
    Taken,
    /// The run has no such question: it was answered, its attempt has ended, or it was never asked.
    Gone,
    /// Why the values do not fit.
    Unfit(String),
    /// The runner does not look for answers.
    NotTaken,
}

/// The questions of the run in the folder `home`, the oldest first; none if no process runs it.
pub fn open_questions(home: &Path) -> Vec<OpenQuestion> {
    if !Lock::is_held(home).unwrap_or(false) {
        return Vec::new();
    }
    let Ok(folder) = folder(home) else { return Vec::new() };
    let ids = names(&folder, QUESTION);
    ids.into_iter().filter_map(|id| read(&folder, id)).collect()
}

/// Answers a question of the run with this inbox, by whose key the answer is signed, and waits until its runner has taken
/// it.
///
/// # Errors
/// The answer cannot be written.
pub fn answer_question(inbox: &Inbox, id: &str, answer: &QuestionAnswer) -> io::Result<Answering> {
    let home = inbox.home();
    let Some(question) = open_questions(home).into_iter().find(|question| question.id == id) else {
        return Ok(Answering::Gone);
    };
    let values = match answer.agrees {
        true => given(&question.values, answer.values.clone()),
        false => Ok(Object::new()),
    };
    let values = match values {
        Ok(values) => values,
        Err(why) => return Ok(Answering::Unfit(why)),
    };
    let QuestionAnswer { agrees, by, note, .. } = answer.clone();
    let reply = PersonReply { agrees, by, note, values };
    let (folder, text) = (folder(home)?, serde_json::to_string(&reply)?);
    let name = format!("{id}.{}", new_run_id());
    let name = inbox.sign(&Folder::open(home)?, &name, text.as_bytes())?;
    folder.replace(&name, text.as_bytes())?;
    let asked = format!("{id}{QUESTION}");
    let until = Instant::now() + PATIENCE;
    while folder.has_file(&asked) && Instant::now() < until && Lock::is_held(home).unwrap_or(false) {
        std::thread::sleep(PAUSE);
    }
    // The runner removes the answer that it takes, and only then the question.
    Ok(match (folder.remove(&name)?, folder.has_file(&asked)) {
        (false, _) => Answering::Taken,
        (true, true) if Lock::is_held(home).unwrap_or(false) => Answering::NotTaken,
        (true, _) => Answering::Gone,
    })
}

fn folder(home: &Path) -> io::Result<Folder> {
    Folder::open(home).and_then(|home| home.folder(FOLDER))
}

/// The beginnings of the names that end so, in the order of time.
fn names(folder: &Folder, end: &str) -> Vec<String> {
    let entries = folder.entries_up_to(MOST).unwrap_or_default().into_iter();
    let files = entries.filter(|(_, kind)| *kind == Kind::File);
    let names = files.filter_map(|(name, _)| Some(name.into_string().ok()?.strip_suffix(end)?.to_owned()));
    let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
    names.sort_unstable();
    names
}

fn read(folder: &Folder, id: String) -> Option<OpenQuestion> {
    let text = folder.read(format!("{id}{QUESTION}"), LARGEST).ok().flatten()?;
    let question = serde_json::from_slice::<OpenQuestion>(&text).ok()?;
    Some(OpenQuestion { id, ..question })
}

/// Where the questions of a run are asked.
#[derive(Clone)]
pub struct QuestionDesk {
    inbox: Inbox,
    here: Option<Here>,
    away: bool,
}

/// Asks the person at the terminal.
type Here = Arc<dyn Fn(Question) + Send + Sync>;

impl QuestionDesk {
    /// Those of the run with this inbox: at the terminal by `here`, and by other processes; with `away` a question
    /// waits for these also if the person at the terminal has left, or without one.
    pub fn new(inbox: Inbox, here: Option<Here>, away: bool) -> QuestionDesk {
        // What a killed runner has left is not asked any more.
        if let Ok(folder) = folder(inbox.home()) {
            for (name, _) in folder.entries_up_to(MOST).unwrap_or_default() {
                let _ = folder.remove(name);
            }
        }
        QuestionDesk { inbox, here, away }
    }

    /// Asks until the question is answered, or its attempt has ended.
    pub async fn ask(self, question: Question) {
        let Question { item, step, agent, text, values, may_be_stored, mut reply } = question;
        let shown = OpenQuestion {
            id: new_run_id(),
            item: item.to_string(),
            step: step.to_string(),
            agent: agent.as_ref().map(ToString::to_string),
            text: text.clone(),
            values: values.clone(),
            since: unix_millis(),
        };
        let posted = if may_be_stored { Posted::post(&self.inbox, shown).ok() } else { None };
        let (sender, mut heard) = oneshot::channel();
        let mut here = self.here.is_some();
        if let Some(ask) = &self.here {
            ask(Question { item, step, agent, text, values, may_be_stored, reply: sender });
        }
        let away = self.away && posted.is_some();
        let mut look = tokio::time::interval(EVERY);
        loop {
            tokio::select! {
                () = reply.closed() => break,
                said = &mut heard, if here => match said {
                    Ok(said) => {
                        // Fails only if its attempt has just ended.
                        let _ = reply.send(said);
                        break;
                    }
                    Err(_) => here = false,
                },
                _ = look.tick() => {
                    if let Some((posted, name, said)) = posted.as_ref().and_then(|posted| posted.answer()) {
                        if reply.send(said).is_err() {
                            // It came too late, and who has answered sees that it was not taken.
                            let _ = posted.folder.replace(&name, b"");
                        }
                        break;
                    }
                }
            }
            if !here && !away {
                break;
            }
        }
        // The question at the terminal is closed with `heard`, and the file is removed with `posted`.
    }
}

/// A question that other processes see until this is dropped.
struct Posted {
    home: Folder,
    folder: Folder,
    id: String,
    inbox: Inbox,
}

impl Posted {
    fn post(inbox: &Inbox, question: OpenQuestion) -> io::Result<Posted> {
        let home = Folder::open(inbox.home())?;
        let folder = home.make(FOLDER)?;
        let text = serde_json::to_string(&question)?;
        if text.len() > LARGEST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        folder.replace(format!("{}{QUESTION}", question.id), text.as_bytes())?;
        Ok(Posted { home, folder, id: question.id, inbox: inbox.clone() })
    }

    /// Takes the first answer, with its name.
    fn answer(&self) -> Option<(&Posted, String, PersonReply)> {
        let own = format!("{}.", self.id);
        let names = names(&self.folder, ANSWER).into_iter().filter(|name| name.starts_with(&own));
        names.into_iter().find_map(|name| {
            let name = name + ANSWER;
            let text = self.folder.read(&name, LARGEST).ok().flatten()?;
            if !self.inbox.has_signed(&self.home, &name, &text) {
                return None;
            }
            let reply = serde_json::from_slice(&text).ok()?;
            // Who has answered waits for a limited time, and then withdraws the answer.
            self.folder.remove(&name).ok().filter(|there| *there).map(|_| (self, name, reply))
        })
    }
}

impl Drop for Posted {
    fn drop(&mut self) {
        // Without a process that runs the run, one that stays is not shown.
        let _ = self.folder.remove(format!("{}{QUESTION}", self.id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::question::Questions;
    use crate::adapter::redact::ItemRedactor;
    use crate::runtime::InboxKey;
    use crate::value::Value;
    use serde_json::json;
    use tokio::sync::mpsc::unbounded_channel;

    fn inbox(home: &Path) -> Inbox {
        Inbox::of(home, &InboxKey::in_folder(home.join("state")))
    }

    fn answer(agrees: bool, by: &str, values: Value) -> QuestionAnswer {
        let values = values.as_object().cloned().unwrap_or_default();
        QuestionAnswer { agrees, by: by.into(), note: Some("why not".into()), values }
    }

    async fn answered(home: &Path, id: &str, answer: QuestionAnswer) -> Answering {
        let (home, id) = (home.to_owned(), id.to_owned());
        tokio::task::spawn_blocking(move || answer_question(&inbox(&home), &id, &answer))
            .await
            .unwrap()
            .unwrap()
    }

    /// A question that a desk asks.
    fn asked(desk: &QuestionDesk, values: Vec<AskedValue>) -> oneshot::Receiver<PersonReply> {
        let (to, mut asks) = unbounded_channel();
        let about = ("a".into(), "Clean".into(), Some("coder".into()));
        let clean = (ItemRedactor::default(), Default::default());
        let reply = Questions::new(to, about, clean, true).ask("Delete it?", values);
        tokio::spawn(desk.clone().ask(asks.try_recv().unwrap()));
        reply
    }

    async fn first(home: &Path) -> OpenQuestion {
        loop {
            if let Some(first) = open_questions(home).into_iter().next() {
                return first;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    #[tokio::test]
    async fn the_first_answer_counts_and_every_later_one_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        let desk = QuestionDesk::new(inbox(home), None, true);
        let size = AskedValue { name: "size".into(), schema: json!({"type": "integer"}), required: true };
        let reply = asked(&desk, vec![size.clone()]);
        assert_eq!(open_questions(home), [], "no process runs it");
        let _lock = Lock::acquire(home).unwrap();
        let question = first(home).await;
        let id = question.id.as_str();
        assert_eq!(
            (&*question.item, &*question.step, question.agent.as_deref(), &*question.text, &question.values),
            ("a", "Clean", Some("coder"), "Delete it?", &vec![size])
        );
        // A file that no command of this user has written is no answer.
        let forged = serde_json::json!({"agrees": true, "by": "eve", "note": null, "values": {"size": 1}});
        folder(home).unwrap().replace(format!("{id}.0-0.json"), forged.to_string().as_bytes()).unwrap();
        let unfit = answered(home, id, answer(true, "ana", json!({"size": "big"}))).await;
        assert_eq!(unfit, Answering::Unfit("the value `size` does not fit: write a number".into()));
        assert_eq!(answered(home, "x", answer(true, "ana", json!({}))).await, Answering::Gone);
        let both = tokio::join!(
            answered(home, id, answer(true, "ana", json!({"size": "7"}))),
            answered(home, id, answer(true, "bo", json!({"size": 8})))
        );
        let reply = reply.await.unwrap();
        let expected = match both {
            (Answering::Taken, Answering::Gone) => ("ana", json!({"size": 7})),
            (Answering::Gone, Answering::Taken) => ("bo", json!({"size": 8})),
            other => panic!("{other:?}"),
        };
        assert_eq!((&*reply.by, Value::Object(reply.values.clone())), expected);
        assert_eq!((reply.agrees, reply.said()), (true, format!(" by {}: why not", expected.0)));
        assert_eq!(answered(home, id, answer(false, "cy", json!({}))).await, Answering::Gone);
        folder(home).unwrap().remove(format!("{id}.0-0.json")).unwrap();
        assert_eq!(folder(home).unwrap().entries().unwrap(), [], "nothing stays");
    }

    #[tokio::test]
    async fn a_question_is_gone_with_its_attempt_and_with_the_person_at_the_terminal() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        let _lock = Lock::acquire(home).unwrap();
        let (to, mut at_terminal) = unbounded_channel();
        let here: Here = Arc::new(move |question| drop(to.send(question)));
        let desk = QuestionDesk::new(inbox(home), Some(here), false);
        // Answered elsewhere: the terminal does not ask any more.
        let reply = asked(&desk, Vec::new());
        let shown = at_terminal.recv().await.unwrap();
        let question = first(home).await;
        assert_eq!(answered(home, &question.id, answer(false, "ana", json!({}))).await, Answering::Taken);
        assert!(!reply.await.unwrap().agrees);
        shown
            .reply
            .send(PersonReply { agrees: true, by: "bo".into(), note: None, values: Object::new() })
            .unwrap_err();
        // The person at the terminal has left.
        let reply = asked(&desk, Vec::new());
        drop(at_terminal.recv().await.unwrap());
        reply.await.unwrap_err();
        // Its attempt has ended.
        drop(asked(&desk, Vec::new()));
        let shown = at_terminal.recv().await.unwrap();
        while !shown.reply.is_closed() {
            tokio::time::sleep(PAUSE).await;
        }
        assert_eq!(open_questions(home), []);
        // What a killed runner has left is gone with the next one.
        folder(home).unwrap().replace("x.question", b"{}").unwrap();
        QuestionDesk::new(inbox(home), None, true);
        assert_eq!(folder(home).unwrap().entries().unwrap(), []);
    }
}
