//! Which tool of an MCP server does a step, and whether the step's inputs are its arguments. Knows nothing of calls.

use super::session::Tool;
use crate::value::{Type, Value, nearest, words};

/// The inputs of a step: by name, with the type if it has one, and whether it may be missing.
#[derive(Clone, Debug)]
pub struct StepInputs {
    pub phase: String,
    pub inputs: Vec<(String, Option<Type>, bool)>,
}

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

/// The message for a name that no tool has.
pub fn missing(name: &str, tools: &[Tool]) -> String {
    let near = nearest(name, tools.iter().map(|tool| &*tool.name));
    let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    format!("the server has no tool `{name}`; it has {}{near}", names(tools))
}

/// Why the inputs of a step are not the arguments of a tool, by its JSON Schema: arguments that are missing or unknown,
/// and types that differ. What the schema does not say is not checked.
pub fn gaps(step: &StepInputs, tool: &Tool) -> Vec<String> {
    let StepInputs { phase, inputs } = step;
    let name = &tool.name;
    let mut gaps = Vec::new();
    let required = tool.input.get("required").and_then(Value::as_array);
    for argument in required.into_iter().flatten().filter_map(Value::as_str) {
        match inputs.iter().find(|(input, ..)| input == argument) {
            None => {
                gaps.push(format!("{phase} lacks the input `{argument}`, which the tool `{name}` requires"))
            }
            Some((_, _, true)) => gaps.push(format!(
                "the input `{argument}` of {phase} may be missing, and the tool `{name}` requires it"
            )),
            Some(_) => {}
        }
    }
    let properties = tool.input.get("properties").and_then(Value::as_object);
    let closed = tool.input.get("additionalProperties") == Some(&Value::Bool(false));
    for (input, ty, _) in inputs {
        match (properties.and_then(|properties| properties.get(input)), ty) {
            (None, _) if closed => {
                gaps.push(format!("the tool `{name}` has no argument `{input}`, which {phase} passes"))
            }
            (Some(schema), Some(ty)) => {
                let takes = types(schema);
                let gives = given(ty);
                let fits = |gives: &&str| {
                    takes.is_empty()
                        || takes.contains(gives)
                        || (*gives == "integer" && takes.contains(&"number"))
                };
                if !gives.iter().all(fits) {
                    gaps.push(format!(
                        "the input `{input}` of {phase} is {ty}, and the tool `{name}` takes {}",
                        words::or(takes)
                    ));
                }
            }
            _ => {}
        }
    }
    gaps
}

/// The types that a schema allows; empty if it does not say.
fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// The type in a JSON Schema of the values of a type, besides null; empty if they may have any.
fn given(ty: &Type) -> Vec<&'static str> {
    match ty {
        Type::String | Type::Secret | Type::File => vec!["string"],
        Type::Boolean => vec!["boolean"],
        Type::Integer => vec!["integer"],
        Type::Number => vec!["number"],
        Type::List(_) => vec!["array"],
        Type::Nullable(inner) => given(inner),
        Type::Json | Type::Named(_) | Type::Defined(_) => Vec::new(),
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
    fn inputs_are_checked_against_the_arguments_of_a_tool() {
        let tool = Tool {
            name: "add".into(),
            input: json!({
                "properties": {"a": {"type": "number"}, "b": {"type": ["string", "null"]}, "c": {"type": "array"}, "d": {}},
                "required": ["a", "b"], "additionalProperties": false
            }),
        };
        let gaps_of = |signature: &str| {
            let input = |text: &str| {
                let (name, ty) = text.split_once("::").unwrap_or((text, ""));
                (name.trim_end_matches('?').to_owned(), Type::parse(ty), name.ends_with('?'))
            };
            let inputs = signature.split(", ").map(input).collect();
            gaps(&StepInputs { phase: "Sum".into(), inputs }, &tool).join("\n")
        };
        for (signature, expected) in [
            ("a::Integer, b::String?", ""),
            ("a::Number, b, c::String[], d::Boolean", ""),
            ("a::Order, b::JSON", ""),
            ("b::String", "Sum lacks the input `a`, which the tool `add` requires"),
            ("a?::Number, b::String", "the input `a` of Sum may be missing, and the tool `add` requires it"),
            ("a::String, b::String", "the input `a` of Sum is String, and the tool `add` takes number"),
            (
                "a::Number, b::Integer",
                "the input `b` of Sum is Integer, and the tool `add` takes string or null",
            ),
            (
                "a::Number, b::String, c::String",
                "the input `c` of Sum is String, and the tool `add` takes array",
            ),
            ("a::Number, b::String, e::String", "the tool `add` has no argument `e`, which Sum passes"),
        ] {
            assert_eq!(gaps_of(signature), expected, "{signature}");
        }
    }

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
