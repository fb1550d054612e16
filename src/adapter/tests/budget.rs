//! What a model does with a budget: it asks for no more than is left, and not at all without a known price.

use super::super::model::{Model, Protocol};
use super::super::{Adapter, Call, Stop};
use super::model::{ALL, Provider, says};
use super::{PATIENCE, call, describe};
use crate::value::budget::Budget;
use crate::value::dollars::Dollars;
use serde_json::{Value, json};

async fn ended(model: &Model, outputs: &str, tokens: Option<u64>, dollars: Option<&str>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut call: Call = call(folder.path(), outputs, json!({}));
    let dollars = dollars.map(|text| Dollars::parse(text).unwrap());
    call.context.budget = Some(Budget { tokens, dollars });
    let declared = call.outputs.clone();
    let (_stopper, stop) = Stop::new();
    let answer = tokio::time::timeout(PATIENCE, model.call(call, stop)).await.expect("no end of the attempt");
    describe(&declared, &answer)
}

/// The limit of tokens in each request.
fn limits(seen: &[(String, Value)]) -> Vec<u64> {
    let names = ["max_tokens", "max_output_tokens"];
    let limit = |body: &Value| names.iter().find_map(|name| body[*name].as_u64()).unwrap();
    seen.iter().map(|(_, body)| limit(body)).collect()
}

/// An answer costs 30 tokens, which are 0.000009 dollars; a token out is 0.0000006.
#[tokio::test]
async fn an_answer_and_its_correction_are_capped_to_what_is_left() {
    for protocol in ALL {
        let wrong = || (200, says(protocol, "hm"));
        let asked = async |tokens, dollars| {
            let provider = Provider::new(vec![wrong(), (200, says(protocol, r#"{"a":true}"#))]);
            let ended = ended(&provider.model(protocol), "a::Boolean", tokens, dollars).await;
            (limits(&provider.seen()), ended.starts_with("a=true"))
        };
        assert_eq!(asked(Some(500), None).await, (vec![100, 100], true), "{protocol:?}");
        assert_eq!(asked(Some(80), None).await, (vec![80, 50], true), "{protocol:?}");
        assert_eq!(asked(None, Some("0.00003")).await, (vec![50, 35], true), "{protocol:?}");
        assert_eq!(asked(Some(40), Some("0.00003")).await, (vec![40, 10], true), "{protocol:?}");
    }
}

#[tokio::test]
async fn nothing_is_asked_for_which_nothing_is_left() {
    let misfit = "expected the output `a`; the answer is not JSON: expected a value (line 1, column 1)";
    let rest = "tokens 30; model=\"small\"; cost_usd=0.000009";
    for protocol in ALL {
        let provider = Provider::new(vec![(200, says(protocol, "hm"))]);
        let model = provider.model(protocol);
        for (tokens, dollars) in [(Some(0), None), (None, Some("0")), (None, Some("0.0000005"))] {
            let expected = "Refused(budget): the budget is spent; NotExecuted, final";
            assert_eq!(ended(&model, "a::Boolean", tokens, dollars).await, expected);
        }
        assert_eq!(provider.seen(), []);
        let expected =
            format!("Refused(budget): {misfit}; not corrected: the budget is spent; Failed, final; {rest}");
        assert_eq!(ended(&model, "a::Boolean", Some(30), None).await, expected);
        assert_eq!(limits(&provider.seen()), [30]);
    }
}

#[tokio::test]
async fn an_answer_that_the_budget_cut_off_names_the_budget() {
    let mut body = says(Protocol::Chat, "Dear");
    body["choices"][0]["finish_reason"] = "length".into();
    let provider = Provider::new(vec![(200, body)]);
    let expected = "Refused(budget): the answer was cut off: the budget allowed 10 tokens for it; \
        Failed, final; tokens 30; model=\"small\"; cost_usd=0.000009";
    assert_eq!(ended(&provider.model(Protocol::Chat), "a::String", Some(10), None).await, expected);
}

#[tokio::test]
async fn a_budget_that_cannot_be_enforced_lets_nothing_run() {
    let mut body = says(Protocol::Chat, "x");
    body.as_object_mut().unwrap().remove("usage");
    let provider = Provider::new(vec![(200, body)]);
    let mut model = provider.model(Protocol::Chat);
    let unknown = |what| {
        format!(
            "Refused(budget): the provider reported no {what}, so the budget cannot be enforced; Failed, final"
        )
    };
    assert_eq!(ended(&model, "a::String", Some(500), None).await, unknown("tokens"));
    assert_eq!(ended(&model, "a::String", None, Some("1")).await, unknown("cost"));
    let asked = provider.seen().len();
    model.price = None;
    let expected = "Refused(budget): the budget is in dollars, and the price of `small` is unknown: \
        set `price` of its provider in orderflow.toml; NotExecuted, final";
    assert_eq!(ended(&model, "a::String", None, Some("1")).await, expected);
    assert_eq!(provider.seen().len(), asked, "the model is not asked");
    model.reports_cost = true;
    assert_eq!(ended(&model, "a::String", None, Some("1")).await, unknown("cost"));
}

/// A provider that reports its costs needs no price.
#[tokio::test]
async fn a_reported_cost_counts() {
    let mut body = says(Protocol::Chat, "x");
    body["usage"]["cost"] = json!(0.25);
    let provider = Provider::new(vec![(200, body)]);
    let model = Model { price: None, reports_cost: true, ..provider.model(Protocol::Chat) };
    let expected = "a=\"x\"; tokens 30; model=\"small-2026\"; cost_usd=0.25";
    assert_eq!(ended(&model, "a::String", None, Some("1")).await, expected);
}
