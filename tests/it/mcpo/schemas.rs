//! What tools are described as: `schema.json`, one bridge a case as in the recording.

use serde_json::{Value, json};

use super::{probe, recorded_json, with_config};
use crate::harness::Bridge;

/// Tools that mcpo cannot serve: the whole server is down there. With arguments that fit.
const UNSERVED: &[(&str, &str)] = &[
    ("s_definitions", r#"{"a": {"n": "x"}}"#),
    (
        "s_ref_recursive_defs",
        r#"{"a": {"v": "x", "children": [{"v": "y"}]}}"#,
    ),
    ("s_items_true", r#"{"a": [1, "x", null]}"#),
    ("s_required_null", r#"{"a": "x"}"#),
    ("s_props_null", "{}"),
    ("s_anyof_empty", r#"{"a": "x"}"#),
];

/// mcpo does not see arguments that are named in alternatives of the root only.
const WITHOUT_ARGUMENTS_THERE: &str = "s_root_anyof";

/// What a caller may send for one argument.
fn values() -> Vec<Value> {
    vec![
        json!(null),
        json!(true),
        json!(1),
        json!(5),
        json!(-3),
        json!(1.5),
        json!(""),
        json!("x"),
        json!("p"),
        json!("only"),
        json!("2026-11-20T10:00:00Z"),
        json!([]),
        json!(["x"]),
        json!([1]),
        json!([["x"]]),
        json!([{"k": "v"}]),
        json!([null]),
        json!({}),
        json!({"k": "v"}),
        json!({"x": 1}),
        json!({"name": "n"}),
        json!({"name": "n", "inner": {"x": 1}}),
        json!({"v": "x", "children": []}),
        json!({"_k": "z"}),
        json!({"street": "s"}),
    ]
}

/// The key of the request's component, and a validator of the document's components.
fn request(document: &Value, operation: &Value) -> Option<(String, Value)> {
    let body = &operation["requestBody"]["content"]["application/json"]["schema"];
    let reference = body["$ref"].as_str()?;
    let key = reference.strip_prefix("#/components/schemas/")?;
    let mut schema = document["components"]["schemas"][key].clone();
    schema["components"] = document["components"].clone();
    Some((key.to_owned(), schema))
}

/// One property of a request, with the components it may refer to.
fn property(schema: &Value, name: &str) -> Value {
    let mut property = schema["properties"][name].clone();
    property["components"] = schema["components"].clone();
    property
}

/// Whatever our schema allows, mcpo's does; and ours allows something.
fn is_as_precise(place: &str, ours: &Value, theirs: &Value) {
    assert_eq!(ours.get("required"), theirs.get("required"), "{place}");
    assert_eq!(ours["title"], theirs["title"], "{place}");
    let keys = |schema: &Value| -> Vec<String> {
        schema["properties"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect()
    };
    assert_eq!(keys(ours), keys(theirs), "{place}");
    for name in keys(theirs) {
        let (our_one, their_one) = (property(ours, &name), property(theirs, &name));
        let default = their_one.get("default");
        assert!(
            default.is_none() || default == our_one.get("default"),
            "{place}.{name}"
        );
        let description = &their_one["description"];
        assert!(
            description == "" || description.is_null() || *description == our_one["description"],
            "{place}.{name}"
        );
        let our_one = jsonschema::validator_for(&our_one).unwrap();
        let their_one = jsonschema::validator_for(&their_one).unwrap();
        let mut allowed = 0;
        for value in values() {
            if our_one.is_valid(&value) {
                allowed += 1;
                assert!(their_one.is_valid(&value), "{place}.{name} allows {value}");
            }
        }
        assert!(allowed > 0, "{place}.{name} allows nothing");
    }
}

/// A bridge with one server a case, named as in the recording.
async fn start(golden: &Value) -> Bridge {
    let servers: Vec<(String, Value)> = golden
        .as_object()
        .unwrap()
        .iter()
        .map(|(case, theirs)| {
            let url = theirs["openapi"]["servers"][0]["url"].as_str().unwrap();
            (url.trim_start_matches('/').to_owned(), probe(case))
        })
        .collect();
    let servers: Vec<(&str, Value)> = servers
        .iter()
        .map(|(name, entry)| (name.as_str(), entry.clone()))
        .collect();
    with_config(&servers, &[]).ready().await
}

#[tokio::test]
async fn every_tool_that_mcpo_serves_is_described_alike_and_more_precisely() {
    let golden = recorded_json("schema.json");
    let bridge = start(&golden).await;
    let (mut served, mut unserved) = (0, 0);
    for (case, theirs) in golden.as_object().unwrap() {
        let theirs = &theirs["openapi"];
        let url = theirs["servers"][0]["url"].as_str().unwrap();
        let answer = bridge.get(&format!("{url}/openapi.json")).await;
        assert_eq!(answer.status, 200, "{case}");
        let ours = answer.json();
        assert_eq!(ours["openapi"], theirs["openapi"], "{case}");
        assert_eq!(ours["servers"], theirs["servers"], "{case}");
        let our_paths = ours["paths"].as_object().unwrap();
        assert_eq!(our_paths.len(), 1, "{case}");
        if theirs["paths"] == json!({}) {
            unserved += 1;
            let body = UNSERVED.iter().find(|(name, _)| name == case).unwrap().1;
            let answer = bridge.post(&format!("{url}/{case}"), body).await;
            assert_eq!(answer.status, 200, "{case}: {}", answer.text);
            let sent: Value = serde_json::from_str(body).unwrap();
            assert_eq!(answer.json()["arguments"], sent, "{case}");
            continue;
        }
        served += 1;
        assert_eq!(ours["info"], theirs["info"], "{case}");
        assert_eq!(
            our_paths.keys().collect::<Vec<_>>(),
            theirs["paths"]
                .as_object()
                .unwrap()
                .keys()
                .collect::<Vec<_>>()
        );
        let path = our_paths.keys().next().unwrap();
        let (our_op, their_op) = (&ours["paths"][path]["post"], &theirs["paths"][path]["post"]);
        if case == WITHOUT_ARGUMENTS_THERE {
            for member in ["operationId", "summary", "description"] {
                assert_eq!(our_op[member], their_op[member], "{case}");
            }
            continue;
        }
        // Path, id, summary, description, `required`, component keys, responses.
        assert_eq!(our_op.to_string(), their_op.to_string(), "{case}");
        for shared in ["HTTPValidationError", "ValidationError"] {
            let of = |document: &Value| document["components"]["schemas"].get(shared).cloned();
            assert_eq!(of(&ours), of(theirs), "{case}");
        }
        match (request(&ours, our_op), request(theirs, their_op)) {
            (Some((our_key, our_schema)), Some((their_key, their_schema))) => {
                assert_eq!(our_key, their_key, "{case}");
                is_as_precise(case, &our_schema, &their_schema);
            }
            (None, None) => assert_eq!(ours.get("components"), theirs.get("components")),
            (ours, theirs) => panic!("{case}: {ours:?}, there {theirs:?}"),
        }
        // And it is there: what it takes is told by `observed_request.txt`.
        let answer = bridge.post(&format!("{url}{path}"), "{}").await;
        let is_called = answer.status == 200 && answer.json()["name"] == **case;
        assert!(is_called || answer.status == 422, "{case}: {}", answer.text);
    }
    assert_eq!((served, unserved), (42, 6), "the recording changed");
}

#[tokio::test]
async fn the_root_document_lists_every_connected_server_and_all_tools() {
    let servers = [
        ("one", probe("r_text,s_prims_opt")),
        ("bad", json!({"command": "no-such-program-x"})),
        ("two words", probe("r_image")),
    ];
    let bridge = with_config(&servers, &[]).ready().await;
    let document = bridge.get("/openapi.json").await.json();
    assert_eq!(
        document["info"],
        json!({
            "title": "MCP OpenAPI Proxy",
            "description": "Automatically generated API from MCP Tool Schemas\n\n- **available tools**：\n    - [one](/one/docs)\n    - [two words](/two words/docs)",
            "version": "1.0"
        })
    );
    assert_eq!(document.get("servers"), None);
    let operations: Vec<(&str, &str)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(path, item)| (path.as_str(), item["post"]["operationId"].as_str().unwrap()))
        .collect();
    assert_eq!(
        operations,
        [
            ("/one/s_prims_opt", "one_s_prims_opt"),
            ("/one/r_text", "one_r_text"),
            ("/two%20words/r_image", "two_words_r_image"),
        ]
    );
    for (path, _) in operations {
        assert_eq!(bridge.post(path, "{}").await.status, 200, "{path}");
    }
}
