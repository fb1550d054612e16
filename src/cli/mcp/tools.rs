//! The tools with their arguments. The comments are what a client reads.

use super::super::guide;
use crate::value::{Object, Value};
use rmcp::handler::server::tool::schema_for_input;
use rmcp::model::{Tool, ToolAnnotations};
use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DocumentArguments {
    /// A markdown document, by its path relative to the folder of the server.
    pub document: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunArguments {
    /// A markdown document, by its path relative to the folder of the server.
    pub document: String,
    /// The items, each an object of inputs. Without it, those that the document names.
    #[serde(default)]
    pub items: Option<Vec<Object>>,
    /// Values of workflow inputs for every item, by name.
    #[serde(default)]
    pub inputs: Object,
    /// Run only the items with these keys.
    #[serde(default)]
    pub keys: Vec<String>,
    /// Make up the answers of agents instead of calling them, to see the order of steps.
    #[serde(default)]
    pub stub: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GuideArguments {
    /// A topic, for a page with examples. Without it, the whole language on one page.
    #[serde(default)]
    #[schemars(with = "Option<String>", extend("enum" = guide::topics()))]
    pub topic: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestArguments {
    /// A markdown document, by its path relative to the folder of the server. Its cases are beside it, in NAME.test.toml.
    pub document: String,
    /// Run only the cases with these names.
    #[serde(default)]
    pub cases: Vec<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ActArguments {
    /// The id of a run, the beginning of it, or `last`.
    pub run: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryArguments {
    /// The id of a run, the beginning of it, or `last`.
    pub run: String,
    /// The keys of failed items. Without it, all of them.
    #[serde(default)]
    pub items: Vec<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatusArguments {
    /// The id of a run, the beginning of it, or `last`. Without it, all runs are listed.
    #[serde(default)]
    pub run: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShowArguments {
    /// The id of a run, the beginning of it, or `last`.
    pub run: String,
    /// The key of an item: its inputs, outputs, attempts and errors.
    #[serde(default)]
    pub item: Option<String>,
    /// How many items to skip.
    #[serde(default)]
    pub offset: u32,
    /// The most items, at most 1000.
    #[serde(default = "items")]
    #[schemars(range(min = 1, max = 1000))]
    pub limit: u32,
}

fn items() -> u32 {
    100
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogsArguments {
    /// The id of a run, the beginning of it, or `last`.
    pub run: String,
    /// Only the logs of this step, by its title or its name in traces.
    #[serde(default)]
    pub step: Option<String>,
    /// Only the logs of the item with this key.
    #[serde(default)]
    pub item: Option<String>,
    /// Only the logs of the attempt with this number.
    #[serde(default)]
    pub attempt: Option<u32>,
    /// Only parts after this number, which is `next` of an earlier result.
    #[serde(default)]
    pub after: u32,
    /// The most parts, at most 1000.
    #[serde(default = "parts")]
    #[schemars(range(min = 1, max = 1000))]
    pub limit: u32,
}

fn parts() -> u32 {
    200
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DecideArguments {
    /// The id of a run, the beginning of it, or `last`.
    pub run: String,
    /// The title of the step or group behind the gate.
    pub step: String,
    /// The keys of the items. Without it, all items, now and later.
    #[serde(default)]
    pub items: Option<Vec<String>>,
    /// The name of who decides. Without it, the user of the server.
    #[serde(default)]
    pub by: Option<String>,
    /// A note to store with the decision.
    #[serde(default)]
    pub note: Option<String>,
    /// Continue the run if no process runs it.
    #[serde(default = "resumes")]
    pub resume: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignalArguments {
    /// The id of a run, the beginning of it, or `last`.
    pub run: String,
    /// The type of the event, as in `[await:: order.shipped]`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The subject of the event: the key of an item, or the value that the step names with `for`.
    pub item: String,
    /// The payload. Without it, an empty object.
    #[serde(default)]
    pub data: Option<Value>,
    /// The id of the event: a second event with the same id is ignored. Without it, a new one.
    #[serde(default)]
    pub id: Option<String>,
    /// Continue the run if no process runs it.
    #[serde(default = "resumes")]
    pub resume: bool,
}

fn resumes() -> bool {
    true
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatsArguments {
    /// Session files, or documents with recorded executions, by their paths relative to the folder of the server.
    #[schemars(length(min = 1))]
    pub sessions: Vec<String>,
    /// Group by these.
    #[serde(default)]
    pub by: Vec<StatsGrouping>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StatsGrouping {
    Step,
    Agent,
    Channel,
    Status,
}

impl StatsGrouping {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            StatsGrouping::Step => "step",
            StatsGrouping::Agent => "agent",
            StatsGrouping::Channel => "channel",
            StatsGrouping::Status => "status",
        }
    }
}

/// All tools.
pub fn all() -> Vec<Tool> {
    vec![
        reads::<GuideArguments>(
            "guide",
            "The workflow language on one page, or a page on a topic. Read it before you write a document.",
        ),
        reads::<DocumentArguments>(
            "validate",
            "Every problem of a workflow document, with its line, code, message and help.",
        ),
        reads::<DocumentArguments>(
            "plan",
            "What a run of a document would do: inputs, items, steps in stages, agents.",
        ),
        reads::<TestArguments>(
            "test",
            "Run the cases of a document, without agents: what each expected and got, and what they cover.",
        ),
        acts::<RunArguments>(
            "run",
            "Start a run of a document. Returns its id at once; ask status until its state is done, failed, unmet, \
             cancelled, paused or waiting. Programs run only with a grant, which only a person can give.",
        ),
        reads::<StatusArguments>(
            "status",
            "The state, counts and figures of a run, and the gates at which its items wait. Without a run, all runs.",
        ),
        reads::<ShowArguments>(
            "show",
            "A stored run with its items, or one item with its inputs, outputs, attempts and errors.",
        ),
        reads::<LogsArguments>("logs", "What the attempts of a run logged."),
        acts::<ActArguments>(
            "resume",
            "Continue a run that was interrupted. Completed steps do not run again.",
        ),
        acts::<RetryArguments>(
            "retry",
            "Retry the failed items of a run, from the steps that failed. It stays the same run.",
        ),
        acts::<ActArguments>("cancel", "Cancel a run, and compensate what it did."),
        acts::<DecideArguments>(
            "approve",
            "Approve items that wait at a gate. Gates are for people: ask yours before you approve.",
        ),
        acts::<DecideArguments>(
            "reject",
            "Reject items that wait at a gate. Gates are for people: ask yours before you reject.",
        ),
        acts::<SignalArguments>("signal", "Send an event to a run, for steps that wait for one."),
        reads::<StatsArguments>("stats", "Statistics of recorded runs: counts, success rates, percentiles."),
    ]
}

/// A tool that only reads.
fn reads<T: JsonSchema + 'static>(name: &'static str, about: &'static str) -> Tool {
    tool::<T>(name, about, ToolAnnotations::new().read_only(true).open_world(false))
}

/// A tool that starts or changes runs.
fn acts<T: JsonSchema + 'static>(name: &'static str, about: &'static str) -> Tool {
    tool::<T>(name, about, ToolAnnotations::new().read_only(false).destructive(true))
}

fn tool<T: JsonSchema + 'static>(name: &'static str, about: &'static str, kind: ToolAnnotations) -> Tool {
    Tool::new(name, about, schema_for_input::<T>().unwrap_or_default()).annotate(kind)
}
