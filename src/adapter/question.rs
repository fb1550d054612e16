//! Questions that an agent asks a person during an attempt: for a permission, or for values. Who is asked, and how, is not
//! known here.

use super::conversation::Conversation;
use super::redact::ItemRedactor;
use crate::event::Role;
use crate::value::{Object, Value};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

/// The longest question, in characters.
const LONGEST: usize = 2000;

/// The most values that a question asks for.
const MOST_VALUES: usize = 100;

/// Where an attempt asks a person. Without one, every question stays unanswered.
#[derive(Clone, Debug, Default)]
pub struct Questions(Option<Asker>);

#[derive(Clone, Debug)]
struct Asker {
    to: UnboundedSender<Question>,
    item: Arc<str>,
    step: Arc<str>,
    agent: Option<Arc<str>>,
    redactor: ItemRedactor,
    talk: Conversation,
    may_be_stored: bool,
}

/// A question, without secrets. If `reply` is dropped, it stays unanswered; if it is closed, the answer is not needed any
/// more.
#[derive(Debug)]
pub struct Question {
    /// The key of the item.
    pub item: Arc<str>,
    /// The step's phase.
    pub step: Arc<str>,
    pub agent: Option<Arc<str>>,
    pub text: String,
    /// The values that it asks for; none if it is answered by yes or no.
    pub values: Vec<AskedValue>,
    /// Its step makes no secret, which the text could already have.
    pub may_be_stored: bool,
    pub reply: oneshot::Sender<PersonReply>,
}

/// A value that a question asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AskedValue {
    pub name: String,
    /// Its JSON Schema.
    pub schema: Value,
    pub required: bool,
}

/// The answer of a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PersonReply {
    pub agrees: bool,
    /// The name of the person.
    pub by: String,
    pub note: Option<String>,
    /// The values, by name.
    pub values: Object,
}

impl Questions {
    /// Questions about a step of an item, to be sent there; `may_be_stored` if the step makes no secret.
    pub fn new(
        to: UnboundedSender<Question>,
        (item, step, agent): (Arc<str>, Arc<str>, Option<Arc<str>>),
        (redactor, talk): (ItemRedactor, Conversation),
        may_be_stored: bool,
    ) -> Self {
        Questions(Some(Asker { to, item, step, agent, redactor, talk, may_be_stored }))
    }

    /// Records in the conversation of the attempt how a question was answered.
    pub fn record(&self, how: &str) {
        if let Some(asker) = &self.0 {
            asker.talk.say(Role::Permission, None, how);
        }
    }

    /// Whether a person can be asked.
    pub fn is_open(&self) -> bool {
        self.0.as_ref().is_some_and(|asker| !asker.to.is_closed())
    }

    /// Where questions are sent, for the steps of a run within this one.
    pub fn sender(&self) -> Option<UnboundedSender<Question>> {
        self.0.as_ref().map(|asker| asker.to.clone())
    }

    /// Asks. The receiver fails if the person does not answer.
    pub fn ask(&self, text: &str, mut values: Vec<AskedValue>) -> oneshot::Receiver<PersonReply> {
        let (reply, answer) = oneshot::channel();
        // A dropped sender leaves the question unanswered.
        let Some(asker) = self.0.as_ref().filter(|_| values.len() <= MOST_VALUES) else { return answer };
        let mut text: String = text.chars().take(LONGEST).collect();
        asker.redactor.text(&mut text);
        values.iter_mut().for_each(|asked| asker.redactor.value(&mut asked.schema));
        let Asker { to, item, step, agent, may_be_stored, .. } = asker.clone();
        // Without a receiver the question has no answer.
        let _ = to.send(Question { item, step, agent, text, values, may_be_stored, reply });
        answer
    }
}

impl PersonReply {
    /// The words about who decided, such as ` by ana: not on a Friday`.
    pub fn said(&self) -> String {
        let note = self.note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
        format!(" by {}{note}", self.by)
    }
}

impl AskedValue {
    /// What is asked for, such as `size: the size in GB, one of 1, 2 (optional)`.
    pub fn line(&self) -> String {
        let text = |name: &str| self.schema.get(name).and_then(Value::as_str);
        let mut about: Vec<String> =
            text("description").or_else(|| text("title")).map(str::to_owned).into_iter().collect();
        about.extend(self.choices());
        if let Some(default) = self.schema.get("default") {
            about.push(format!("otherwise {}", word(default)));
        }
        let about = if about.is_empty() { String::new() } else { format!(": {}", about.join(", ")) };
        let optional = if self.required { "" } else { " (optional)" };
        format!("{}{about}{optional}", self.name)
    }

    /// The values to choose from, such as `one of a, b`; `None` for any.
    fn choices(&self) -> Option<String> {
        let words = if self.is_list() { "some, separated by commas, of" } else { "one of" };
        let choice = |(value, title): (String, String)| match value == title {
            true => value,
            false => format!("{value} ({title})"),
        };
        Some(format!("{words} {}", self.options()?.into_iter().map(choice).collect::<Vec<_>>().join(", ")))
    }

    fn is_list(&self) -> bool {
        self.schema.get("items").is_some()
    }

    /// The values to choose from, each with what people read; `None` for any. Of a list, those of its elements.
    pub fn options(&self) -> Option<Vec<(String, String)>> {
        let of = self.schema.get("items").unwrap_or(&self.schema);
        let options = ["enum", "oneOf", "anyOf"].into_iter().find_map(|name| of.get(name)?.as_array())?;
        let option = |option: &Value| {
            let value = word(option.get("const").unwrap_or(option));
            let title = option.get("title").and_then(Value::as_str).filter(|_| option.get("const").is_some());
            (value.clone(), title.map_or(value, str::to_owned))
        };
        Some(options.iter().map(option).collect())
    }

    /// Reads what a person has typed; `None` for nothing.
    ///
    /// # Errors
    /// Why it is not such a value.
    pub fn read(&self, typed: &str) -> Result<Option<Value>, String> {
        let typed = typed.trim();
        if typed.is_empty() {
            return match self.schema.get("default") {
                Some(default) => Ok(Some(default.clone())),
                None if self.required => Err("it is required".to_owned()),
                None => Ok(None),
            };
        }
        let value = match self.schema.get("type").and_then(Value::as_str) {
            Some("boolean") => match typed.to_lowercase().as_str() {
                "y" | "yes" | "true" => Value::Bool(true),
                "n" | "no" | "false" => Value::Bool(false),
                _ => return Err("write yes or no".to_owned()),
            },
            Some("number" | "integer") => {
                serde_json::from_str(typed).map_err(|_| "write a number".to_owned())?
            }
            Some("array") => typed.split(',').map(|part| Value::from(part.trim())).collect(),
            _ => Value::from(typed),
        };
        self.check(&value)?;
        Ok(Some(value))
    }

    fn check(&self, value: &Value) -> Result<(), String> {
        // A server's schema may be none.
        let options = jsonschema::options().should_validate_formats(true);
        let validator = options.build(&self.schema).map_err(|error| error.to_string())?;
        validator.validate(value).map_err(|error| error.to_string())
    }
}

/// The values that a question asks for, as a program or a form gives them: texts are read as if they were typed.
///
/// # Errors
/// Which of them does not fit, and why.
pub fn given(asked: &[AskedValue], mut values: Object) -> Result<Object, String> {
    let mut given = Object::new();
    for one in asked {
        let read = match values.remove(&one.name) {
            None | Some(Value::Null) => one.read(""),
            Some(Value::String(typed)) => one.read(&typed),
            Some(value) => one.check(&value).map(|()| Some(value)),
        };
        let value = read.map_err(|why| format!("the value `{}` does not fit: {why}", one.name))?;
        given.extend(value.map(|value| (one.name.clone(), value)));
    }
    match values.keys().next() {
        Some(unknown) => Err(format!("the question does not ask for a value `{unknown}`")),
        None => Ok(given),
    }
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_person_types_is_read_by_its_schema() {
        let value = |schema: Value, required| AskedValue { name: "size".into(), schema, required };
        let rows = [
            (json!({"type": "string"}), true, " two \n", Ok(Some(json!("two")))),
            (json!({"type": "string"}), true, "\n", Err("it is required")),
            (json!({"type": "string"}), false, "\n", Ok(None)),
            (json!({"type": "string", "default": "one"}), true, "\n", Ok(Some(json!("one")))),
            (
                json!({"type": "string", "maxLength": 2}),
                true,
                "two",
                Err("\"two\" is longer than 2 characters"),
            ),
            (json!({"type": "string", "format": "email"}), true, "two", Err("\"two\" is not a \"email\"")),
            (json!({"enum": ["a", "b"]}), true, "b", Ok(Some(json!("b")))),
            (json!({"type": "integer"}), true, "7", Ok(Some(json!(7)))),
            (json!({"type": "integer"}), true, "seven", Err("write a number")),
            (json!({"type": "number", "minimum": 1}), true, "0.5", Err("0.5 is less than the minimum of 1")),
            (json!({"type": "boolean"}), true, "Yes", Ok(Some(json!(true)))),
            (json!({"type": "boolean"}), true, "maybe", Err("write yes or no")),
            (
                json!({"type": "array", "items": {"enum": ["a", "b"]}}),
                true,
                "a, b",
                Ok(Some(json!(["a", "b"]))),
            ),
        ];
        for (schema, required, typed, expected) in rows {
            let read = value(schema.clone(), required).read(typed);
            assert_eq!(read, expected.map_err(str::to_owned), "{schema} {typed:?}");
        }
    }

    #[test]
    fn the_values_of_a_form_are_read_by_their_schemas() {
        let asked = |name: &str, schema, required| AskedValue { name: name.into(), schema, required };
        let form = [
            asked("size", json!({"type": "integer", "maximum": 9}), true),
            asked("gift", json!({"type": "boolean", "default": false}), false),
            asked("note", json!({"type": "string"}), false),
        ];
        for (values, expected) in [
            (json!({"size": "7", "note": ""}), Ok(json!({"size": 7, "gift": false}))),
            (
                json!({"size": 7, "gift": true, "note": "x"}),
                Ok(json!({"size": 7, "gift": true, "note": "x"})),
            ),
            (json!({"size": 10}), Err("the value `size` does not fit: 10 is greater than the maximum of 9")),
            (json!({"gift": "yes"}), Err("the value `size` does not fit: it is required")),
            (json!({"size": 1, "colour": 2}), Err("the question does not ask for a value `colour`")),
        ] {
            let read = given(&form, values.as_object().cloned().unwrap()).map(Value::Object);
            assert_eq!(read, expected.map_err(str::to_owned), "{values}");
        }
    }

    #[test]
    fn a_value_is_described_in_one_line() {
        let titled = json!([{"const": "a", "title": "Ada"}, {"const": "b", "title": "Bo"}]);
        for (schema, line) in [
            (
                json!({"description": "the size in GB", "enum": [1, 2], "default": 1}),
                "size: the size in GB, one of 1, 2, otherwise 1 (optional)",
            ),
            (json!({"title": "Who", "oneOf": titled}), "size: Who, one of a (Ada), b (Bo) (optional)"),
            (
                json!({"type": "array", "items": {"anyOf": titled}}),
                "size: some, separated by commas, of a (Ada), b (Bo) (optional)",
            ),
            (json!({"type": "string"}), "size (optional)"),
        ] {
            assert_eq!(AskedValue { name: "size".into(), schema, required: false }.line(), line);
        }
    }

    #[tokio::test]
    async fn without_a_person_there_is_no_answer() {
        let none = Questions::default();
        assert!(!none.is_open());
        assert!(none.ask("Delete it?", Vec::new()).await.is_err());
        let (to, mut asked) = tokio::sync::mpsc::unbounded_channel();
        let about = ("a".into(), "Clean".into(), None);
        let questions = Questions::new(to, about, (ItemRedactor::default(), Conversation::default()), true);
        let answer = questions.ask("Delete it?", Vec::new());
        let reply = PersonReply {
            agrees: false,
            by: "ana".into(),
            note: Some("not yet".into()),
            values: Object::new(),
        };
        let question = asked.recv().await.unwrap();
        assert_eq!((&*question.item, &*question.step, question.text.as_str()), ("a", "Clean", "Delete it?"));
        question.reply.send(reply.clone()).unwrap();
        assert_eq!(answer.await, Ok(reply.clone()));
        assert_eq!(reply.said(), " by ana: not yet");
        drop(asked);
        assert!(!questions.is_open());
        assert!(questions.ask("Delete it?", Vec::new()).await.is_err());
    }
}
