//! Results against those that mcpo gave, and what it got wrong.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// What we answer otherwise than mcpo 0.0.20, and why. The numbers are those of its bug list.
const FIXES: &[(&str, &str, u16, &str)] = &[];

#[derive(serde::Deserialize)]
struct Golden {
    status: u16,
    ctype: String,
    body: String,
}

/// Status and body for what a server answers: a `result` or an `error`.
fn answer(answer: &Value) -> (u16, String) {
    if let Some(error) = answer.get("error") {
        let mut detail = json!({ "message": error["message"] });
        if !error["data"].is_null() {
            detail["data"] = error["data"].clone();
        }
        let status = status_of(error["code"].as_i64().unwrap());
        return (status, json!({ "detail": detail }).to_string());
    }
    match Reply::from_result(answer["result"].clone(), false) {
        Ok(reply) => (200, String::from_utf8(reply.body.to_vec()).unwrap()),
        Err(error) => {
            let mut detail = json!({ "message": error.message });
            if let Some(data) = error.data {
                detail["data"] = data;
            }
            (500, json!({ "detail": detail }).to_string())
        }
    }
}

#[test]
fn every_result_is_what_mcpo_gave_or_a_fix() {
    let results: BTreeMap<String, Golden> =
        serde_json::from_str(include_str!("../../tests/golden/mcpo/results.json")).unwrap();
    let tools: Vec<Value> =
        serde_json::from_str(include_str!("../../tests/golden/mcpo/tools.json")).unwrap();
    let mut wrong = Vec::new();
    let mut compared = 0;
    for (name, golden) in &results {
        let tool = tools.iter().find(|tool| tool["name"] == name.as_str()).unwrap();
        let (status, body) = answer(&tool["_do"]);
        let same = status == golden.status && body == golden.body;
        let fix = FIXES.iter().find(|(fixed, ..)| fixed == name);
        compared += 1;
        match fix {
            None if same => assert_eq!(golden.ctype, ContentType::Json.as_str(), "{name}"),
            None => wrong.push(format!("{name}: {} {} -> {status} {body}", golden.status, golden.body)),
            Some(_) if same => wrong.push(format!("{name}: is listed, but no longer differs")),
            Some((_, _, fixed_status, fixed_body)) => {
                if (*fixed_status, *fixed_body) != (status, body.as_str()) {
                    wrong.push(format!("{name}: {status} {body} is not the fix {fixed_body}"));
                }
            }
        }
    }
    assert_eq!(compared, 89, "results.json has changed");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
