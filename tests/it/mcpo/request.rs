//! What callers send: `observed_request.txt`, with `differences_request.json` for what we do
//! otherwise.

use reqwest::Method;
use serde_json::Value;

use super::{mcpo, probe_words, recorded, recorded_json, same, tools, unquoted};
use crate::harness::{Answer, Bridge};

/// The headers of the five raw bodies that are one and the same, in the order of the recording:
/// none, two that mcpo refuses, and two that it takes.
const CONTENT_TYPES: [&str; 5] = [
    "",
    "text/plain",
    "application/json; charset=utf-8",
    "application/vnd.api+json",
    "application/x-www-form-urlencoded",
];

/// One recorded call.
struct Call {
    tool: String,
    /// As the recording prints it.
    printed: String,
    body: Vec<u8>,
    content_type: &'static str,
    status: u16,
    answer: Value,
}

/// A bridge to all tools that were called.
async fn start() -> Bridge {
    let names: Vec<String> = tools()
        .iter()
        .map(|tool| tool["name"].as_str().unwrap().to_owned())
        .filter(|name| !name.starts_with("b_"))
        .collect();
    let mut words = vec!["--".to_owned()];
    words.extend(probe_words(&names.join(",")));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    mcpo(&words).ready().await
}

/// The recording, up to the section that is about routes.
fn calls() -> Vec<Call> {
    let text = recorded("observed_request.txt");
    let text = text.split("-- routes").next().unwrap();
    let mut is_raw = false;
    let mut types = CONTENT_TYPES.iter();
    let mut calls = Vec::new();
    for line in text.lines() {
        if let Some(section) = line.strip_prefix("-- ") {
            is_raw = section == "raw bodies";
            continue;
        }
        let (call, answer) = line.split_once(" -> ").unwrap();
        let (status, answer) = answer.split_once(' ').unwrap();
        let (tool, printed) = call.split_once('\'').unwrap();
        let printed = printed.trim_end().trim_end_matches('\'');
        let is_valid = printed == r#"{"a": "s", "b": 1, "c": 1, "d": true}"#;
        calls.push(Call {
            tool: tool.trim_end_matches('b').trim_end().to_owned(),
            printed: printed.to_owned(),
            body: unquoted(printed),
            content_type: if is_raw && is_valid {
                types.next().unwrap()
            } else {
                "application/json"
            },
            status: status.parse().unwrap(),
            answer: serde_json::from_str(answer.trim_start_matches("ARGS ")).unwrap(),
        });
    }
    assert_eq!((calls.len(), types.len()), (96, 0), "the recording changed");
    calls
}

/// The arguments that reached the server, or the detail of the refusal.
fn outcome(answer: &Answer) -> Value {
    let body = answer.json();
    let key = if answer.status == 200 {
        "arguments"
    } else {
        "detail"
    };
    body[key].clone()
}

#[tokio::test]
async fn every_call_ends_as_with_mcpo_or_differs_as_listed() {
    let bridge = start().await;
    let differences = recorded_json("differences_request.json");
    let differences = differences.as_array().unwrap();
    let mut used = vec![false; differences.len()];
    let client = crate::harness::client();
    let mut wrong = Vec::new();
    for call in calls() {
        let url = format!("{}/{}", bridge.base, call.tool);
        let mut request = client.post(url).body(call.body.clone());
        if !call.content_type.is_empty() {
            request = request.header("content-type", call.content_type);
        }
        let response = request.send().await.unwrap();
        let answer = Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: response.text().await.unwrap(),
        };
        let place = differences.iter().position(|it| {
            it["tool"] == call.tool && it["body"] == call.printed && it["theirs"] == call.status
        });
        let (status, expected) = match place {
            Some(place) => {
                used[place] = true;
                let it = &differences[place];
                let key = if it["ours"] == 200 {
                    "arguments"
                } else {
                    "detail"
                };
                (it["ours"].as_u64().unwrap(), it[key].clone())
            }
            None if call.status == 200 => (200, call.answer.clone()),
            None => (call.status.into(), call.answer["detail"].clone()),
        };
        if u64::from(answer.status) != status || !same(&outcome(&answer), &expected) {
            wrong.push(format!(
                "{} {} as `{}`: {} {}\n    is not {status} {expected}",
                call.tool, call.printed, call.content_type, answer.status, answer.text
            ));
        }
    }
    for (difference, used) in differences.iter().zip(used) {
        assert!(used, "was never called: {difference}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Routes that answer otherwise than recorded: request, our status, why.
const ROUTES: &[(&str, u16, &str)] = &[
    ("GET /", 200, "the list of servers"),
    ("GET /health", 200, "for probes"),
    ("GET /docs/", 200, "served at once instead of a redirect"),
    (
        "POST /s_prims/",
        422,
        "served at once: clients lose the body on a redirect",
    ),
    (
        "GET /docs/oauth2-redirect",
        404,
        "no document asks for OAuth in the browser",
    ),
    ("OPTIONS /s_prims", 200, "an empty answer instead of 405"),
];

#[tokio::test]
async fn every_route_answers_as_with_mcpo_or_differs_as_listed() {
    let bridge = start().await;
    let text = recorded("observed_request.txt");
    let lines = text.split("-- routes\n").nth(1).unwrap().lines();
    let lines: Vec<&str> = lines
        .take_while(|line| !line.starts_with("OPTIONS {"))
        .collect();
    assert_eq!(lines.len(), 16, "the recording changed");
    let mut wrong = Vec::new();
    for line in lines {
        let mut words = line.splitn(4, ' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let status: u16 = words.next().unwrap().parse().unwrap();
        let rest = words.next().unwrap_or_default();
        let answer = bridge
            .send(
                Method::from_bytes(method.as_bytes()).unwrap(),
                path,
                &[],
                "",
            )
            .await;
        let difference = ROUTES
            .iter()
            .find(|(request, ..)| *request == format!("{method} {path}"));
        let wanted = difference.map_or(status, |(_, status, _)| *status);
        if answer.status != wanted {
            wrong.push(format!(
                "{method} {path}: {} is not {wanted}",
                answer.status
            ));
        }
        if difference.is_some() {
            continue;
        }
        // Who else is allowed: `'allow': 'POST'`.
        let allow = rest.split("'allow': '").nth(1);
        let allow = allow.and_then(|rest| rest.split('\'').next()).unwrap_or("");
        assert_eq!(answer.header("allow"), allow.replace(", ", ","), "{line}");
        let kind = rest.split("'content-type': '").nth(1).unwrap();
        assert_eq!(
            Some(answer.header("content-type")),
            kind.split('\'').next(),
            "{line}"
        );
        if answer.status >= 400 {
            // Our sentence says more than `Not Found`.
            assert!(answer.json()["detail"].is_string());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
