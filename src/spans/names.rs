//! The names of attributes and moments, in one table. Those that begin with `gen_ai` and `error` are OpenTelemetry's
//! (semantic-conventions-genai 0.1.0, which is not stable yet); the others are our own.

pub const RUN: &str = "orderflow.run.id";
pub const WORKFLOW: &str = "orderflow.workflow";
pub const DOCUMENT: &str = "orderflow.document";
pub const RESULT: &str = "orderflow.run.result";
pub const ITEM: &str = "orderflow.item.key";
pub const STATE: &str = "orderflow.item.state";
pub const PHASE: &str = "orderflow.step.phase";
pub const ELEMENT: &str = "orderflow.step.element";
pub const STATUS: &str = "orderflow.step.status";
pub const ATTEMPTS: &str = "orderflow.step.attempts";
pub const ATTEMPT: &str = "orderflow.attempt.number";
pub const REPEATED: &str = "orderflow.attempt.repeated";
pub const OUTCOME: &str = "orderflow.attempt.outcome";
pub const AGENT: &str = "orderflow.agent";
pub const CHANNEL: &str = "orderflow.channel";
pub const TOKENS: &str = "orderflow.tokens_used";
pub const COST: &str = "orderflow.cost_usd";

pub const ERROR: &str = "error.type";

pub const OPERATION: &str = "gen_ai.operation.name";
pub const PROVIDER: &str = "gen_ai.provider.name";
pub const MODEL: &str = "gen_ai.request.model";
pub const ANSWERED: &str = "gen_ai.response.model";
pub const INPUT: &str = "gen_ai.usage.input_tokens";
pub const OUTPUT: &str = "gen_ai.usage.output_tokens";
pub const AGENT_NAME: &str = "gen_ai.agent.name";
pub const TOOL: &str = "gen_ai.tool.name";

pub const REASON: &str = "orderflow.reason";
pub const DUE: &str = "orderflow.due_ms";
pub const BY: &str = "orderflow.by";

pub const STOPPED: &str = "stopped";
pub const RESTARTED: &str = "repeated";
pub const WAITS: &str = "waits";
pub const CONTINUES: &str = "continues";
pub const RETRY: &str = "retry scheduled";
pub const GATE: &str = "gate reached";
pub const APPROVED: &str = "approved";
pub const REJECTED: &str = "rejected";
pub const EXPIRED: &str = "not approved in time";
pub const AWAITS: &str = "waits for an event";
pub const TAKEN: &str = "event taken";
pub const LATE: &str = "event not in time";
pub const ROUND: &str = "round began";
pub const COMPENSATES: &str = "compensation began";
pub const DEADLINE: &str = "deadline passed";
pub const REQUEUED: &str = "requeued";
