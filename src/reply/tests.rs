//! Tests of results against recorded answers of mcpo, and of what mcpo got wrong.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// An intended difference from mcpo 0.0.20.
#[derive(serde::Deserialize)]
struct Fix {
    tool: String,
    status: u16,
    body: String,
}

#[derive(serde::Deserialize)]
struct Golden {
    status: u16,
    ctype: String,
    body: String,
}

/// Returns the status and body for a server's answer: a `result` or an `error`.
fn answer(answer: &Value) -> (u16, String) {
    if let Some(error) = answer.get("error") {
        let mut detail = json!({ "message": error["message"] });
        if !error["data"].is_null() {
            detail["data"] = error["data"].clone();
        }
        let status = status_of(error["code"].as_i64().unwrap());
        return (status, json!({ "detail": detail }).to_string());
    }
    match ToolReply::from_result(answer["result"].clone(), false) {
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
    let listed: Vec<Fix> = serde_json::from_str(include_str!(
        "../../tests/golden/mcpo/differences_results.json"
    ))
    .unwrap();
    let mut wrong = Vec::new();
    let mut compared = 0;
    for (name, golden) in &results {
        let tool = tools
            .iter()
            .find(|tool| tool["name"] == name.as_str())
            .unwrap();
        let (status, body) = answer(&tool["_do"]);
        let same = status == golden.status && body == golden.body;
        let fix = listed.iter().find(|fix| fix.tool == *name);
        compared += 1;
        match fix {
            None if same => assert_eq!(golden.ctype, ContentType::Json.as_str(), "{name}"),
            None => wrong.push(format!(
                "{name}: {} {} -> {status} {body}",
                golden.status, golden.body
            )),
            Some(_) if same => wrong.push(format!("{name}: is listed, but no longer differs")),
            Some(fix) => {
                if (fix.status, &fix.body) != (status, &body) {
                    let fixed = &fix.body;
                    wrong.push(format!("{name}: {status} {body} is not the fix {fixed}"));
                }
            }
        }
    }
    assert_eq!(compared, 89, "results.json has changed");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The body of a result, as text.
fn body(result: Value, embed_html: bool) -> String {
    let reply = ToolReply::from_result(result, embed_html).unwrap();
    String::from_utf8(reply.body.to_vec()).unwrap()
}

#[test]
fn strange_results_lose_nothing() {
    let cases = [
        (json!({}), "[]"),
        (json!({"_meta": {"k": 1}}), "[]"),
        (json!(null), "[]"),
        (json!("text"), r#""text""#),
        (json!({"content": null, "structuredContent": null}), "[]"),
        (json!({"content": "42"}), "42"),
        (
            json!({"content": {"type": "text", "text": "one"}}),
            r#""one""#,
        ),
        (json!({"content": [{"text": "untyped"}]}), r#""untyped""#),
        (
            json!({"content": [{"type": "text", "text": null}]}),
            r#"{"type":"text","text":null}"#,
        ),
        (
            json!({"content": [{"type": "text", "text": {"a": 1}}]}),
            r#"{"a":1}"#,
        ),
        (
            json!({"content": [{"type": "text"}, {"type": "text", "text": "b"}]}),
            r#"[{"type":"text"},"b"]"#,
        ),
        (json!({"content": [1, "x", null]}), r#"[1,"x",null]"#),
        (
            json!({"content": [{"type": "image", "data": "aGk="}]}),
            r#""data:image/png;base64,aGk=""#,
        ),
        (
            json!({"content": [{"type": "image", "data": "data:image/gif;base64,aGk="}]}),
            r#""data:image/gif;base64,aGk=""#,
        ),
        (
            json!({"content": [{"type": "image", "url": "u"}]}),
            r#"{"type":"image","url":"u"}"#,
        ),
        (
            json!({"content": [{"type": "resource", "resource": {"uri": "a:b"}}]}),
            r#"{"type":"resource","resource":{"uri":"a:b"}}"#,
        ),
        (
            json!({"content": [{"type": "resource", "resource": {"uri": "a:b", "text": "{\"a\": 1}"}}]}),
            r#""{\"a\": 1}""#,
        ),
        (json!({"toolResult": [1]}), "[1]"),
        (
            json!({"messages": [], "isError": false}),
            r#"{"messages":[]}"#,
        ),
        (json!({"content": [], "isError": "yes"}), "[]"),
        (
            json!({"resultType": "complete", "content": [{"type": "text", "text": "ok"}]}),
            r#""ok""#,
        ),
        (
            json!({"content": [{"type": "text", "text": "[18446744073709551616, 1.50]"}]}),
            "[18446744073709551616,1.5]",
        ),
    ];
    for (result, expected) in cases {
        assert_eq!(body(result.clone(), true), expected, "{result}");
    }
}

#[test]
fn pages_are_shown_only_where_the_bridge_says_so() {
    let page = |resource: Value| json!({"content": [{"type": "text", "text": "see"}, {"type": "resource", "resource": resource}]});
    let cases = [
        (
            json!({"uri": "ui://a", "mimeType": "text/html", "text": "<p>"}),
            true,
        ),
        (
            json!({"uri": "ui://a", "mimeType": "text/html;profile=mcp-app", "text": "<p>"}),
            true,
        ),
        (
            json!({"uri": "file:///a", "mimeType": "Text/HTML ; charset=utf-8", "text": "<p>"}),
            true,
        ),
        (json!({"uri": "ui://a", "text": "<p>"}), true),
        (
            json!({"uri": "ui://a", "mimeType": "text/html", "blob": "PHA+"}),
            true,
        ),
        (
            json!({"uri": "ui://a", "mimeType": "text/uri-list", "text": "<p>"}),
            false,
        ),
        (
            json!({"uri": "file:///a", "mimeType": "text/plain", "text": "<p>"}),
            false,
        ),
    ];
    for (resource, is_page) in cases {
        let reply = ToolReply::from_result(page(resource.clone()), true).unwrap();
        let html = (ContentType::Html, &b"<p>"[..]);
        let json = (ContentType::Json, &br#"["see","<p>"]"#[..]);
        let expected = if is_page { html } else { json };
        assert_eq!(
            (reply.content_type, &reply.body[..]),
            expected,
            "{resource}"
        );
        assert_eq!(body(page(resource), false), r#"["see","<p>"]"#);
    }
}

#[test]
fn failures_say_what_the_tool_said() {
    let cases = [
        (
            json!({"isError": true, "content": [{"type": "text", "text": "no"}], "structuredContent": {"code": 7}}),
            "no",
            Some(json!({"code": 7})),
        ),
        (
            json!({"isError": true, "structuredContent": {"code": 7}}),
            r#"{"code":7}"#,
            None,
        ),
        (
            json!({"isError": "true", "content": "plain"}),
            "plain",
            None,
        ),
        (
            json!({"isError": true, "content": [{"type": "resource", "resource": {"text": "why"}}]}),
            "why",
            None,
        ),
        (
            json!({"isError": true, "content": 5}),
            "Unknown tool execution error",
            None,
        ),
        (
            json!({"resultType": "input_required", "inputRequests": {"a": {"method": "elicitation/create"}}}),
            "the tool asks the user for more input, which cannot be given over HTTP; call it again with everything it needs in the arguments",
            Some(json!({"a": {"method": "elicitation/create"}})),
        ),
        (
            json!({"task": {"taskId": "t"}}),
            "the tool started a background task, which cannot be followed over HTTP",
            Some(json!({"taskId": "t"})),
        ),
        (
            json!({"resultType": "task", "taskId": "t"}),
            "the tool started a background task, which cannot be followed over HTTP",
            None,
        ),
    ];
    for (result, message, data) in cases {
        let error = ToolReply::from_result(result.clone(), false).unwrap_err();
        assert_eq!(
            (error.message.as_str(), error.data),
            (message, data),
            "{result}"
        );
    }
}

/// Generates any JSON, including the keys of results.
pub fn any_json() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "type",
        "text",
        "image",
        "audio",
        "resource",
        "resource_link",
        "content",
        "data",
        "mimeType",
        "structuredContent",
        "isError",
        "uri",
        "blob",
        "resultType",
        "task",
        "{\"a\":1,\"a\":2}",
        "[1",
        "NaN",
        "12345678901234567890123",
        "1e400",
        "text/html",
        "ui://x",
        "",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, move |inner| {
        let key = prop_oneof![word.clone().prop_map(str::to_owned), ".{0,3}"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_result_gives_json(result in any_json(), content in any_json()) {
        for result in [result, json!({ "content": content }), json!({ "content": [content] })] {
            if let Ok(reply) = ToolReply::from_result(result, false) {
                prop_assert_eq!(reply.content_type, ContentType::Json);
                prop_assert!(serde_json::from_slice::<Value>(&reply.body).is_ok());
            }
        }
    }

    #[test]
    fn compact_json_means_the_same(value in any_json()) {
        let text = serde_json::to_string_pretty(&value).unwrap();
        let reply = body(json!({ "content": [{ "type": "text", "text": text }] }), false);
        prop_assert_eq!(reply, value.to_string());
    }
}
