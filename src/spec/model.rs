//! The document as written: steps, groups and their lines, each with its place in the source.

use super::expect::Expectation;
use crate::condition::Condition;
use crate::diag::Span;
use crate::value::budget::Budget;
use crate::value::{Type, Value};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Something read from the document, with the place it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spanned<T> {
    pub value: T,
    pub span: Span,
}

impl<T> Spanned<T> {
    pub fn new(value: T, span: impl Into<Span>) -> Self {
        Spanned { value, span: span.into() }
    }
}

/// A whole document.
#[derive(Clone, Debug, Default)]
pub struct Spec {
    pub front: Front,
    /// Whether other spellings are reported with a fix: the steps may mean something else then.
    pub unsettled: bool,
    /// Whether the document has a loop that cannot be read: its steps wait for one another without it.
    pub loops_unread: bool,
    /// The first level-1 heading.
    pub title: Option<Spanned<String>>,
    /// Prose below the title, up to the next heading.
    pub description: String,
    /// Headings with steps below them, in document order.
    pub groups: Vec<Group>,
    /// In document order.
    pub steps: Vec<Step>,
    /// Titles of headings that are plain prose, in document order.
    pub sections: Vec<Spanned<String>>,
    /// Named types, in document order.
    pub types: Vec<Definition>,
    /// Read only if a step names a state.
    pub diagram: Option<Diagram>,
    /// Flowcharts and tables that show the steps; they have no effect.
    pub drawings: Vec<Drawing>,
}

/// A flowchart or a table of steps.
#[derive(Clone, Debug)]
pub struct Drawing {
    /// Its first line.
    pub span: Span,
    /// Its kind, for messages.
    pub what: &'static str,
    /// The titles of two steps of which the second follows the first, and the line that shows it.
    pub edges: Vec<(String, String, Span)>,
    /// The title of a step, the condition that it should have, and the line.
    pub asks: Vec<(String, String, Span)>,
}

/// A sentence about the order of the steps, which has no effect.
#[derive(Clone, Debug)]
pub struct Claim {
    pub span: Span,
    pub says: Says,
    /// Whether the sentence makes no other statement.
    pub whole: bool,
}

/// The claim of a step's sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Says {
    /// The step comes after the one of this title.
    After(String),
    /// It comes before the step of this title.
    Before(String),
    /// Then the step of this title follows once more.
    Back(String),
    /// It continues until this step or value.
    Until(String),
    /// Whether it runs depends on this value, or on this condition where the sentence has no other words.
    When(String, Option<String>),
    /// It runs even though something has failed.
    Even,
    /// It runs when that step, or something, has failed.
    Fails(Option<String>),
}

/// A state diagram: the states of an item, and the transitions between them.
#[derive(Clone, Debug)]
pub struct Diagram {
    /// The line that opens its fence.
    pub span: Span,
    /// Each at its first mention.
    pub states: Vec<Spanned<String>>,
    /// Index into `states`: the initial state of every item.
    pub initial: Option<Spanned<usize>>,
    /// Pairs of states of which the second may follow the first.
    pub moves: Vec<(usize, usize)>,
    /// False if a part of it could not be read, which is reported.
    pub whole: bool,
}

/// A named type, as it is defined under `Types`.
#[derive(Clone, Debug)]
pub struct Definition {
    pub name: Spanned<String>,
    /// JSON Schema 2020-12. Other types are mentioned as `{"$ref": "#/$defs/Name"}`; it has no other references.
    pub schema: Value,
    /// The types that it mentions, at each place where it does.
    pub mentions: Vec<Spanned<String>>,
}

/// YAML front matter. Paths in it are relative to the document.
#[derive(Clone, Debug, Default)]
pub struct Front {
    pub title: Option<Spanned<String>>,
    pub description: Option<String>,
    pub agent: Option<Spanned<String>>,
    /// The workflow's inputs with their types, when the author lists them; a plain list has no types.
    pub inputs: Option<Vec<(Spanned<String>, Option<Type>)>>,
    pub items: Option<Spanned<String>>,
    pub key: Option<Spanned<String>>,
    pub jobs: Option<Spanned<usize>>,
    pub tolerate: Option<Spanned<Tolerance>>,
    pub on_item_error: Option<Spanned<OnItemError>>,
    pub deadline: Option<Spanned<Duration>>,
    /// What an item may spend, and what the run may.
    pub budget: Option<Spanned<Budget>>,
    pub run_budget: Option<Spanned<Budget>>,
    pub env: Vec<Spanned<String>>,
    /// The names of the secrets that it uses; the operator provides them.
    pub secrets: Vec<Spanned<String>>,
}

/// How many failed items a run may have and still succeed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Tolerance {
    /// Judged at the end: `2%` is 2.0.
    Percent(f64),
    /// More than this many failures also admit no further item, where it is above 0.
    Count(u64),
}

impl Default for Tolerance {
    fn default() -> Self {
        Tolerance::Percent(0.0)
    }
}

/// The effect of a failed item on the other items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnItemError {
    /// Admit no more and cancel those in flight.
    Stop,
    /// Admit no more; those in flight finish.
    Drain,
    #[default]
    Continue,
}

/// Index into [`Spec::groups`].
pub type GroupId = usize;

/// The title of a group whose steps never run forward.
pub const COMPENSATIONS: &str = "Compensations";

/// A heading with steps below it. `graph` passes its annotations down to its steps.
#[derive(Clone, Debug)]
pub struct Group {
    /// Without ordinal, annotations and `(parallel)`.
    pub title: Spanned<String>,
    pub level: u8,
    /// Where a further annotation of its heading goes.
    pub annotated: usize,
    pub parent: Option<GroupId>,
    /// `(parallel)`: its children are free of each other.
    pub parallel: bool,
    pub annotations: Annotations,
    /// The group's interface, checked only.
    pub signature: Option<Signature>,
    pub gate: Option<Gate>,
}

/// A heading with evidence of being a step, and the text below it.
#[derive(Clone, Debug)]
pub struct Step {
    /// In front of the title, such as `2` or `2.1`; empty without one.
    pub number: String,
    /// Without ordinal and annotations.
    pub title: Spanned<String>,
    /// The whole heading line without its line ending.
    pub heading: Span,
    pub level: u8,
    pub group: Option<GroupId>,
    pub annotations: Annotations,
    pub signature: Option<Signature>,
    /// If / else-if / else chains, decided when the step has succeeded.
    pub chains: Vec<Vec<Arm>>,
    pub program: Option<Program>,
    /// Its own fences, and those of sections whose first row names it.
    pub traces: Vec<TraceFence>,
    /// What `> [!expect]` quotes claim of the step's figures.
    pub expectations: Vec<Spanned<Expectation>>,
    /// Where its body ends: after the last block below the heading that is not a rule.
    pub end: usize,
    /// Where another annotation of its heading is inserted.
    pub annotated: usize,
    /// Whether its heading has brackets that mean nothing; they are reported, and what they miss is not.
    pub unread: bool,
    /// Whether it runs a document that another spelling names; this is reported.
    pub document_unread: bool,
    /// Not written: it compensates a step that runs a document, by the document itself.
    pub implied: bool,
    /// What its prose says of other steps.
    pub claims: Vec<Claim>,
    pub instructions: Instructions,
    pub gate: Option<Gate>,
}

/// `> [!gate within 2d by @ops] Needs sign-off by ops`: an item waits for a person before the step, or the group.
#[derive(Clone, Debug)]
pub struct Gate {
    /// The line with its mark.
    pub span: Span,
    /// How long it may wait.
    pub within: Option<Spanned<Duration>>,
    /// Who may approve.
    pub by: Option<Spanned<String>>,
    /// The question, which may have values as instructions do.
    pub question: Instructions,
}

/// A step's own paragraphs, lists, quotes, tables and `prompt` fences, without its signature, fields, decisions and
/// expectations: the task of its agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Instructions {
    pub pieces: Vec<Piece>,
}

/// A part of the text of instructions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    Text(String),
    /// `{{ order.name }}`: filled in for each attempt.
    Value(Spanned<Condition>),
}

/// `!` and `?`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mark {
    Critical,
    Optional,
}

/// The annotations in a heading's tail and in the field lines below it, as written, without inherited ones.
#[derive(Clone, Debug, Default)]
pub struct Annotations {
    pub agent: Option<Spanned<String>>,
    pub channel: Option<Spanned<String>>,
    pub mark: Option<Spanned<Mark>>,
    pub retry: Option<Spanned<Retry>>,
    /// The timeout of one attempt.
    pub timeout: Option<Spanned<Duration>>,
    /// The deadline of the step with its retries.
    pub deadline: Option<Spanned<Duration>>,
    /// What the step, or the steps of the group together, may spend on an item.
    pub budget: Option<Spanned<Budget>>,
    pub after: Vec<Spanned<After>>,
    /// `[each:: …]`.
    pub each: Option<Spanned<Each>>,
    /// `[per:: run]`.
    pub once: Option<Spanned<()>>,
    /// `[always]`, at its place.
    pub always: Option<Spanned<()>>,
    /// `[repeat:: …]`.
    pub repeat: Option<Spanned<Repeat>>,
    /// `[when:: …]`.
    pub when: Option<Spanned<Condition>>,
    /// `[compensate:: …]`: the title of the step that compensates this one.
    pub compensate: Option<Spanned<String>>,
    /// `[irreversible]`, at its place.
    pub irreversible: Option<Spanned<()>>,
    /// `[effects:: none]`.
    pub pure: Option<Spanned<()>>,
    /// `[state:: …]`.
    pub state: Option<Spanned<Passage>>,
    /// The types of `[emit:: …]`, of all such fields.
    pub emits: Vec<Spanned<String>>,
    /// `[await:: …]`, at its place.
    pub awaits: Option<Spanned<Await>>,
    /// `[document:: …]`: the path of the document that is run as the step, as written.
    pub document: Option<Spanned<String>>,
}

/// `[await:: order.status_updated for order.id where current_status == "SHIPPED" within 7d]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Await {
    /// The type of the events.
    pub event: Spanned<String>,
    /// The name of the payload as a value: `order_status_updated`.
    pub payload: String,
    /// What the event's subject is; the item's key if it is not given.
    pub subject: Option<Spanned<Condition>>,
    /// Reads members of the payload, and values of the item.
    pub condition: Option<Spanned<Condition>>,
    /// How long the item waits.
    pub within: Option<Spanned<Duration>>,
    /// The field's value.
    pub span: Span,
}

/// `[state:: a, b → c]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// The states in which the step may start; never empty.
    pub from: Vec<Spanned<String>>,
    /// The state that its success leads to; `None` leaves the state unchanged.
    pub to: Option<Spanned<String>>,
}

/// `[repeat:: 3 until review.approved every 5s]`: run it, then again while the condition is false.
#[derive(Clone, Debug)]
pub struct Repeat {
    /// The most rounds, with the first.
    pub most: u32,
    pub until: Spanned<Condition>,
    /// The pause between two rounds.
    pub every: Option<Duration>,
}

/// `[each:: target in targets]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Each {
    pub element: Spanned<String>,
    pub list: Spanned<String>,
    /// `order.lines`, if it is not the name of a value: an expression for the list.
    pub way: Option<Spanned<Condition>>,
}

/// One line of a chain.
#[derive(Clone, Debug)]
pub struct Arm {
    /// The whole line.
    pub span: Span,
    /// `None` for `Otherwise`.
    pub condition: Option<Spanned<Condition>>,
    pub target: Spanned<Target>,
}

/// The target of a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A step's title; the step runs only if a condition leads to it.
    Step(String),
    /// A step's title; the steps between are skipped.
    Skip(String),
    /// The item is done.
    End,
    /// The item fails, for this reason.
    Fail(String),
}

/// `[after:: …]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum After {
    /// `start`: not in the implicit order.
    Start,
    /// A step's title or `Group/Step`.
    Step(String),
}

/// Attempts after the first, and the pauses before them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Retry {
    pub retries: u32,
    pub backoff: Backoff,
}

/// The pause before a further attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Backoff {
    Fixed(Duration),
    /// Doubles from `first` up to `most`, jittered.
    Exponential {
        first: Duration,
        most: Duration,
    },
}

impl Default for Backoff {
    fn default() -> Self {
        Backoff::Exponential { first: Duration::from_secs(1), most: Duration::from_secs(30) }
    }
}

/// `a, b → c::Type`. A chain `a → b → c` has inputs `a`, outputs `b` (inner) and `c`.
#[derive(Clone, Debug)]
pub struct Signature {
    pub span: Span,
    pub inputs: Vec<Port>,
    /// All outputs of the step, in order; the inner links of a chain first.
    pub outputs: Vec<Port>,
    /// `a → Step Title`: the step makes `a` for the step of that title.
    pub hands_to: Option<Spanned<String>>,
}

/// One name in a signature.
#[derive(Clone, Debug)]
pub struct Port {
    pub name: Spanned<String>,
    /// `name?`: may be absent.
    pub optional: bool,
    pub ty: Option<Spanned<Type>>,
}

/// ```` ```sh run ````: the step's program, used if its agent has no adapter.
#[derive(Clone, Debug)]
pub struct Program {
    /// The first word of the info string, as written.
    pub language: Spanned<String>,
    /// The fence's content, whole.
    pub source: String,
    /// The content's place.
    pub span: Span,
}

/// A ```` ```session-toon ```` fence, read by `session`.
#[derive(Clone, Debug)]
pub struct TraceFence {
    /// The fence's content as a range of the document's bytes, from the line after the opening fence to the
    /// start of the closing one.
    pub content: Span,
}
