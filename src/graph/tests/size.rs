//! Large documents take time in proportion to their size.

use super::{graph, problems, told};
use std::fmt::Write;

const STEPS: usize = 5_000;

#[test]
fn a_long_chain_of_misspelt_and_unknown_names() {
    let mut text = String::new();
    for step in 0..STEPS {
        let _ = writeln!(
            text,
            "## Step {step}a @a [after:: Stepp {step}]\nin_value_{step}a → valeu_in_{step}b\n"
        );
    }
    assert_eq!(problems(&text).1.iter().filter(|problem| problem.code == "unknown-step").count(), STEPS);
}

#[test]
fn a_value_with_thousands_of_makers_and_users() {
    let mut text = String::new();
    for step in 0..STEPS {
        let _ = writeln!(text, "## Step {step}a @a\nx → y, x\n");
    }
    let found = problems(&text).1;
    assert_eq!(found.iter().filter(|problem| problem.code == "several-makers").count(), STEPS);
    assert!(found.iter().all(|problem| problem.related.len() < 10));
}

#[test]
fn one_signature_with_many_names() {
    let names: Vec<String> = (0..50_000).map(|name| format!("v{name}x")).collect();
    let text = format!("## All @a\n→ {}\n\n## Use @a\n{} → done\n", names.join(", "), names.join(", "));
    assert_eq!(graph(&text).edges.len(), names.len());
}

#[test]
fn large_parallel_groups_in_a_row_are_refused() {
    let mut text = String::new();
    for group in ["One", "Two"] {
        let _ = writeln!(text, "## {group} (parallel)\n");
        for step in 0..1_100 {
            let _ = writeln!(text, "### {group} {step}a @a\n");
        }
    }
    assert_eq!(told(&text), ["too-many-orders: the steps up to `Two 909a` have more than 1000000 orders"]);
}
