//! Which tool of an MCP server does a step, and whether the step's inputs are its arguments. Knows nothing of calls.

use super::session::Tool;
use crate::value::words;

/// The most tools that a message names.
const NAMED: usize = 10;

/// The names of tools for a message, such as `echo`, `add` and 3 more.
pub fn names(tools: &[Tool]) -> String {
    if tools.is_empty() {
        return "no tools".to_owned();
    }
    let names = tools.iter().take(NAMED).map(|tool| words::code(&tool.name));
    words::first(names, NAMED, tools.len())
}

/// The tool whose name is the step's phase, in whatever spelling: `GetSum` is `get-sum`, `get_sum` or `getSum`.
///
/// # Errors
/// When none is, or several are.
pub fn of_step<'a>(phase: &str, tools: &'a [Tool]) -> Result<&'a str, String> {
    let same: Vec<&Tool> = tools.iter().filter(|tool| bare(&tool.name) == bare(phase)).collect();
    match same.as_slice() {
        [tool] => Ok(&tool.name),
        [] => Err(format!(
            "no tool of the server is named as the step {phase}: name one, tool = \"…\"; it has {}",
            names(tools)
        )),
        several => {
            let several = several.iter().map(|tool| words::code(&tool.name));
            Err(format!(
                "several tools are named as the step {phase}: name one, tool = \"…\"; {}",
                words::or(several)
            ))
        }
    }
}

fn bare(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_step_finds_the_tool_of_its_name_in_any_spelling() {
        let tools = |names: &[&str]| -> Vec<Tool> {
            names.iter().map(|name| Tool { name: (*name).to_owned(), input: json!({}) }).collect()
        };
        for (phase, has, found) in [
            ("GetSum", &["echo", "get-sum"][..], Ok("get-sum")),
            ("GetSum", &["getSum"], Ok("getSum")),
            (
                "GetSum",
                &["get_sum", "GET.SUM"],
                Err(
                    "several tools are named as the step GetSum: name one, tool = \"…\"; `get_sum` or `GET.SUM`",
                ),
            ),
            (
                "Sum",
                &["get-sum", "echo"],
                Err(
                    "no tool of the server is named as the step Sum: name one, tool = \"…\"; it has `get-sum`, `echo`",
                ),
            ),
            (
                "Sum",
                &[],
                Err(
                    "no tool of the server is named as the step Sum: name one, tool = \"…\"; it has no tools",
                ),
            ),
        ] {
            let tools = tools(has);
            assert_eq!(of_step(phase, &tools).map_err(|why| why.to_owned()), found.map_err(str::to_owned));
        }
    }
}
