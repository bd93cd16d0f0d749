//! Results against those that mcpo gave, and what it got wrong.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// B4.
const AUDIO: &str = "audio becomes a data URI like images";
/// B4.
const LINKS: &str = "a link to a resource is its URI";
/// B3.
const RESOURCES: &str = "an embedded resource is its text, or a data URI";
/// B5.
const STRUCTURED: &str = "without content `structuredContent` is the answer";
/// B5.
const OUTPUT_SCHEMA: &str = "`outputSchema` neither strips nor fills in nor refuses";
/// B6.
const ERRORS: &str = "`detail.message` is what the tool says, all of its texts";
/// The NaN fix: no number of JSON, so the text stays text.
const NOT_FINITE: &str = "text with a number that JSON does not have stays text";
/// mcpo answers 500.
const SURROGATES: &str = "text with half a character stays text";
/// One unknown block must not cost the answer.
const UNKNOWN_CONTENT: &str = "content of an unknown type is kept as it is";

/// What we answer otherwise than mcpo 0.0.20: tool, why, status, body. The numbers above are those
/// of its bug list.
const FIXES: &[(&str, &str, u16, &str)] = &[
    ("o_default", OUTPUT_SCHEMA, 200, r#"{"a":1}"#),
    ("o_error", ERRORS, 500, r#"{"detail":{"message":"bad"}}"#),
    ("o_invalid_structured", OUTPUT_SCHEMA, 200, r#"{"a":"no"}"#),
    (
        "o_nested_list",
        OUTPUT_SCHEMA,
        200,
        r#"{"items":[{"id":1,"x":null,"extra":true}]}"#,
    ),
    ("r_audio", AUDIO, 200, r#""data:audio/wav;base64,aGk=""#),
    (
        "r_embedded_blob",
        RESOURCES,
        200,
        r#""data:application/octet-stream;base64,aGk=""#,
    ),
    ("r_embedded_text", RESOURCES, 200, r#""hello""#),
    ("r_iserror", ERRORS, 500, r#"{"detail":{"message":"boom"}}"#),
    (
        "r_iserror_empty",
        ERRORS,
        500,
        r#"{"detail":{"message":"Unknown tool execution error"}}"#,
    ),
    (
        "r_iserror_image",
        ERRORS,
        500,
        r#"{"detail":{"message":"Unknown tool execution error"}}"#,
    ),
    (
        "r_iserror_json",
        ERRORS,
        500,
        r#"{"detail":{"message":"{\"code\":7}"}}"#,
    ),
    (
        "r_iserror_multi",
        ERRORS,
        500,
        r#"{"detail":{"message":"one\ntwo"}}"#,
    ),
    (
        "r_iserror_quote",
        ERRORS,
        500,
        r#"{"detail":{"message":"it's \"bad\"\nline2 é"}}"#,
    ),
    ("r_json_exp", NOT_FINITE, 200, r#""1e400""#),
    ("r_json_nan", NOT_FINITE, 200, r#""NaN""#),
    ("r_json_nan_in", NOT_FINITE, 200, r#""{\"v\": NaN}""#),
    ("r_json_surrogate", SURROGATES, 200, r#""\"\\ud800\"""#),
    ("r_link", LINKS, 200, r#""file:///x.txt""#),
    ("r_no_content_key", STRUCTURED, 200, r#"{"a":1}"#),
    ("r_structured_only", STRUCTURED, 200, r#"{"a":1}"#),
    (
        "r_text_audio",
        AUDIO,
        200,
        r#"["t","data:audio/wav;base64,aGk="]"#,
    ),
    ("r_text_embedded", RESOURCES, 200, r#"["t","hello"]"#),
    (
        "r_unknown_content",
        UNKNOWN_CONTENT,
        200,
        r#"{"type":"video","data":"x"}"#,
    ),
    ("ra_audio", AUDIO, 200, r#""data:audio/wav;base64,aGk=""#),
    ("ra_embedded_text", RESOURCES, 200, r#""hello""#),
    (
        "ra_iserror_empty",
        ERRORS,
        500,
        r#"{"detail":{"message":"Unknown tool execution error"}}"#,
    ),
    (
        "ra_iserror_image",
        ERRORS,
        500,
        r#"{"detail":{"message":"Unknown tool execution error"}}"#,
    ),
    (
        "ra_iserror_multi",
        ERRORS,
        500,
        r#"{"detail":{"message":"one\ntwo"}}"#,
    ),
    ("ra_json_exp", NOT_FINITE, 200, r#""1e400""#),
    ("ra_json_nan_in", NOT_FINITE, 200, r#""{\"v\": NaN}""#),
    ("ra_json_surrogate", SURROGATES, 200, r#""\"\\ud800\"""#),
    ("ra_no_content_key", STRUCTURED, 200, r#"{"a":1}"#),
    (
        "ra_text_audio",
        AUDIO,
        200,
        r#"["t","data:audio/wav;base64,aGk="]"#,
    ),
    (
        "ra_unknown_content",
        UNKNOWN_CONTENT,
        200,
        r#"{"type":"video","data":"x"}"#,
    ),
];

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
        let tool = tools
            .iter()
            .find(|tool| tool["name"] == name.as_str())
            .unwrap();
        let (status, body) = answer(&tool["_do"]);
        let same = status == golden.status && body == golden.body;
        let fix = FIXES.iter().find(|(fixed, ..)| fixed == name);
        compared += 1;
        match fix {
            None if same => assert_eq!(golden.ctype, ContentType::Json.as_str(), "{name}"),
            None => wrong.push(format!(
                "{name}: {} {} -> {status} {body}",
                golden.status, golden.body
            )),
            Some(_) if same => wrong.push(format!("{name}: is listed, but no longer differs")),
            Some((_, _, fixed_status, fixed_body)) => {
                if (*fixed_status, *fixed_body) != (status, body.as_str()) {
                    wrong.push(format!(
                        "{name}: {status} {body} is not the fix {fixed_body}"
                    ));
                }
            }
        }
    }
    assert_eq!(compared, 89, "results.json has changed");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The body of a result, as text.
fn body(result: Value, embed_html: bool) -> String {
    let reply = Reply::from_result(result, embed_html).unwrap();
    String::from_utf8(reply.body.to_vec()).unwrap()
}

#[test]
fn strange_results_lose_nothing() {
    let cases = [
        (json!({}), "[]"),
        (json!({"_meta": {"k": 1}}), "[]"),
        (json!(null), "null"),
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
        let reply = Reply::from_result(page(resource.clone()), true).unwrap();
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
            "the tool answers with a background task, which cannot be followed over HTTP",
            Some(json!({"taskId": "t"})),
        ),
        (
            json!({"resultType": "task", "taskId": "t"}),
            "the tool answers with a background task, which cannot be followed over HTTP",
            None,
        ),
    ];
    for (result, message, data) in cases {
        let error = Reply::from_result(result.clone(), false).unwrap_err();
        assert_eq!(
            (error.message.as_str(), error.data),
            (message, data),
            "{result}"
        );
    }
}

/// Any JSON, with the words of results in it.
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
            if let Ok(reply) = Reply::from_result(result, false) {
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
