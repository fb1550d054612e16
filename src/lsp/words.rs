//! What the fields of steps and the keys of the front matter do, in a line each, for completion and hover.

/// A field or a key with what it does, and an example of its value; empty for a flag.
pub struct Word {
    pub name: &'static str,
    pub does: &'static str,
    pub example: &'static str,
}

const fn word(name: &'static str, example: &'static str, does: &'static str) -> Word {
    Word { name, does, example }
}

/// The fields of headings and of lines in steps.
pub const FIELDS: [Word; 17] = [
    word("retry", "3", "further attempts after a failure: `3`, `5 exponential 200ms..10s`, `3 fixed 2s`"),
    word("timeout", "30s", "the longest time of one attempt"),
    word("deadline", "5m", "the longest time of a step with its retries, or of a group"),
    word("budget", "$0.50", "what may be spent on an item: tokens or dollars"),
    word("after", "Step Title", "waits also for this step or group; `start` for none"),
    word("when", "total > 100", "runs only if the condition holds"),
    word("each", "line in lines", "runs once for each element of a list, in parallel"),
    word("per", "run", "runs once, after all items"),
    word("always", "", "runs also if the run failed or was stopped"),
    word("compensate", "Step Title", "the step that reverses this one if the item fails"),
    word("irreversible", "", "cannot be reversed: steps before it are not compensated any more"),
    word("effects", "none", "only reads or computes"),
    word("state", "pending → paid", "the states in which it starts, and the one that its success leads to"),
    word("emit", "order.created", "publishes an event when it succeeds"),
    word("await", "order.shipped within 7d", "waits for an event before it starts"),
    word("document", "other.md", "runs another document as the step"),
    word("repeat", "3 until approved", "runs again until the condition holds"),
];

/// The keys of the front matter.
pub const KEYS: [Word; 14] = [
    word("title", "Order Processing", "the name of the workflow"),
    word("description", "What happens to an order", "what the workflow does"),
    word("agent", "order-api", "the agent of steps that name none"),
    word("inputs", "{order: Order}", "the inputs of the workflow with their types"),
    word("items", "orders.jsonl", "the file of the items of a run"),
    word("key", "order_id", "the column that is the key of an item"),
    word("jobs", "8", "how many items are in flight at once"),
    word("tolerate", "2%", "how many items may fail: a count or a share"),
    word("on-item-error", "continue", "what a failed item means for the others: continue, drain or stop"),
    word("deadline", "10m", "the longest time of an item"),
    word("budget", "$0.50", "what an item may spend: tokens or dollars"),
    word("run-budget", "$20", "what the run may spend: tokens or dollars"),
    word("env", "[PAYMENT_URL]", "the environment variables that programs of the document get"),
    word("secrets", "[PAYMENT_KEY]", "the secrets that programs of the document get"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec;

    #[test]
    fn every_field_and_every_key_has_a_line() {
        let names = |words: &[Word]| words.iter().map(|word| word.name).collect::<Vec<_>>();
        assert_eq!(names(&FIELDS), spec::fields().collect::<Vec<_>>());
        assert_eq!(names(&KEYS), spec::keys().collect::<Vec<_>>());
    }
}
