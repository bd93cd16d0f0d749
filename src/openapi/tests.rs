//! Tests of documents: recorded ones of mcpo, and native ones.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::{Value, json};

use super::{
    DocumentFlavor, DocumentMetadata, Operation, OperationIdOwners, RenderedDocument,
    available_tools, for_bridge, mcpo_ids, merged,
};
use crate::{
    name::{BridgeName, ToolName},
    tool::Tool,
};

/// Reads a file of the test data.
fn data(path: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(path);
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// A tool with a schema.
fn tool(name: &str, schema: impl Into<Value>) -> Tool {
    let schema: Value = schema.into();
    Tool::from_wire(json!({"name": name, "inputSchema": schema})).unwrap()
}

/// A bridge's name.
fn bridge(name: &str) -> BridgeName {
    BridgeName::mcpo(name).unwrap()
}

/// The body of a document.
fn json(document: &RenderedDocument) -> Value {
    serde_json::from_slice(&document.body).unwrap()
}

/// One bridge's document in mcpo's style.
fn mcpo_document(frame: &DocumentMetadata<'_>, name: &str, tools: &[Tool]) -> RenderedDocument {
    let name = bridge(name);
    let operations: Vec<Operation> = tools
        .iter()
        .map(|tool| Operation::new(&name, tool, DocumentFlavor::Mcpo))
        .collect();
    let ids = mcpo_ids(&name, tools.iter().map(|tool| &tool.name));
    let ids = ids.iter().map(String::as_str);
    for_bridge(frame, DocumentFlavor::Mcpo, operations.iter().zip(ids))
}

/// The merged document of `(bridge, tool)` pairs.
fn merged_document(frame: &DocumentMetadata<'_>, tools: &[(BridgeName, Tool)]) -> RenderedDocument {
    let operations: Vec<Operation> = tools
        .iter()
        .map(|(bridge, tool)| Operation::new(bridge, tool, DocumentFlavor::Native))
        .collect();
    let ids = native_ids(tools.iter().map(|(bridge, tool)| (bridge, &tool.name)));
    merged(frame, operations.iter().zip(ids.iter().map(String::as_str)))
}

/// The native ids of `(bridge, tool)` pairs.
fn ids(pairs: &[(&str, &str)]) -> Vec<String> {
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(name, tool_name)| (bridge(name), tool(tool_name, json!(null)).name))
        .collect();
    native_ids(pairs.iter().map(|(bridge, tool)| (bridge, tool)))
}

/// Returns the native ids of tools in the given order, bridge by bridge, as the catalogue requests them.
fn native_ids<'a>(tools: impl IntoIterator<Item = (&'a BridgeName, &'a ToolName)>) -> Vec<String> {
    let tools: Vec<_> = tools.into_iter().collect();
    let owners = OperationIdOwners::new(tools.iter().map(|(bridge, _)| *bridge));
    let mut named = vec![String::new(); tools.len()];
    let bridges: BTreeSet<_> = tools.iter().map(|(bridge, _)| *bridge).collect();
    for bridge in bridges {
        let own = |at: &usize| tools[*at].0 == bridge;
        let places: Vec<usize> = (0..tools.len()).filter(own).collect();
        let ids = owners.ids(bridge, places.iter().map(|at| tools[*at].1));
        for (at, id) in places.into_iter().zip(ids) {
            assert_eq!(
                owners.owner(&id).map(|(owner, _)| owner),
                Some(bridge),
                "{id}"
            );
            named[at] = id;
        }
    }
    named
}

#[test]
fn every_tool_that_mcpo_serves_is_served_alike_and_more_precisely() {
    let tools: Vec<Value> = data("golden/mcpo/tools.json").as_array().unwrap().clone();
    let golden = data("golden/mcpo/schema.json");
    let mut served = 0;
    let mut failed = 0;
    for (name, theirs) in golden.as_object().unwrap() {
        let source = tools.iter().find(|tool| tool["name"] == **name).unwrap();
        let tool = Tool::from_wire(source.clone()).unwrap();
        let theirs = &theirs["openapi"];
        let url = theirs["servers"][0]["url"].as_str().unwrap();
        let frame = DocumentMetadata {
            title: "probe-server",
            version: "9.9.9",
            description: "probe-server MCP Server",
            server: Some(url),
            ..DocumentMetadata::default()
        };
        let ours = json(&mcpo_document(&frame, url.trim_start_matches('/'), &[tool]));
        for member in ["openapi", "info", "servers"] {
            assert_eq!(ours[member], theirs[member], "{name}");
        }
        let paths = ours["paths"].as_object().unwrap();
        assert_eq!(paths.len(), 1, "{name} is not served");
        let Some((path, theirs_path)) = theirs["paths"].as_object().unwrap().iter().next() else {
            failed += 1;
            continue;
        };
        served += 1;
        let (ours_op, theirs_op) = (&paths[path]["post"], &theirs_path["post"]);
        compare_operations(name, &ours, ours_op, theirs, theirs_op);
        assert_eq!(
            keys(&ours)
                .into_iter()
                .filter(|key| *key != "components")
                .collect::<Vec<_>>(),
            keys(theirs)
                .into_iter()
                .filter(|key| *key != "components")
                .collect::<Vec<_>>(),
            "{name}"
        );
    }
    assert_eq!((served, failed), (42, 6), "the recording changed");
}

/// The names of an object's members, in order.
fn keys(value: &Value) -> Vec<&String> {
    value.as_object().unwrap().keys().collect()
}

/// Compares one operation of mcpo with ours.
fn compare_operations(name: &str, ours: &Value, our_op: &Value, theirs: &Value, their_op: &Value) {
    if their_op.get("requestBody").is_none() {
        // mcpo does not publish arguments that only alternatives define.
        if name == "s_root_anyof" {
            assert!(our_op.get("requestBody").is_some());
        } else {
            assert_eq!(our_op, their_op, "{name}");
            assert_eq!(ours.get("components"), theirs.get("components"), "{name}");
        }
        return;
    }
    assert_eq!(our_op, their_op, "{name}");
    assert_eq!(keys(our_op), keys(their_op), "{name}");
    let our_schemas = &ours["components"]["schemas"];
    let their_schemas = &theirs["components"]["schemas"];
    for shared in ["HTTPValidationError", "ValidationError"] {
        assert_eq!(our_schemas[shared], their_schemas[shared]);
    }
    let key = their_op["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        .as_str()
        .and_then(|reference| reference.strip_prefix("#/components/schemas/"))
        .unwrap();
    assert_eq!(
        our_schemas[key]["title"], their_schemas[key]["title"],
        "{name}"
    );
    compare_objects(name, &our_schemas[key], &their_schemas[key], their_schemas);
}

/// Checks that our object has the same names, required names and defaults as mcpo's.
fn compare_objects(place: &str, ours: &Value, theirs: &Value, their_schemas: &Value) {
    assert_eq!(ours["type"], "object", "{place}");
    assert_eq!(ours.get("required"), theirs.get("required"), "{place}");
    assert_eq!(
        keys(&ours["properties"]),
        keys(&theirs["properties"]),
        "{place}"
    );
    for (name, theirs) in theirs["properties"].as_object().unwrap() {
        let place = format!("{place}.{name}");
        let ours = &ours["properties"][name];
        if let Some(default) = theirs.get("default") {
            assert_eq!(ours.get("default"), Some(default), "{place}");
        }
        if theirs["description"] != "" {
            assert_eq!(ours["description"], theirs["description"], "{place}");
        }
        compare_types(&place, ours, theirs, their_schemas);
    }
}

/// Checks that our schema accepts nothing that mcpo's rejects.
fn compare_types(place: &str, ours: &Value, theirs: &Value, their_schemas: &Value) {
    if let Some(reference) = theirs.get("$ref").and_then(Value::as_str) {
        let body = &their_schemas[reference.trim_start_matches("#/components/schemas/")];
        return compare_objects(place, ours, body, their_schemas);
    }
    if let Some(alternatives) = theirs.get("anyOf").and_then(Value::as_array) {
        let theirs: Vec<&Value> = alternatives
            .iter()
            .map(|one| one.get("type").unwrap_or(&Value::Null))
            .collect();
        for kind in types(ours) {
            let is_named =
                theirs.contains(&&kind) || (kind == "object" && theirs.contains(&&Value::Null));
            assert!(is_named, "{place}: {kind} is not in {alternatives:?}");
        }
        return;
    }
    let Some(kind) = theirs.get("type") else {
        assert!(
            ours["type"].is_string() || ours["anyOf"].is_array(),
            "{place}: {ours}"
        );
        return;
    };
    assert_eq!(ours["type"], *kind, "{place}");
    if let Some(items) = theirs.get("items") {
        compare_types(&format!("{place}[]"), &ours["items"], items, their_schemas);
    }
}

/// The types that a schema names.
fn types(schema: &Value) -> Vec<Value> {
    match (&schema["type"], &schema["anyOf"]) {
        (Value::Array(kinds), _) => kinds.clone(),
        (_, Value::Array(alternatives)) => {
            alternatives.iter().map(|one| one["type"].clone()).collect()
        }
        (kind, _) => vec![kind.clone()],
    }
}

#[test]
fn what_mcpo_drops_is_kept() {
    let tools = data("golden/mcpo/tools.json");
    let source = tools
        .as_array()
        .unwrap()
        .iter()
        .find(|tool| tool["name"] == "s_enum")
        .unwrap();
    let tool = Tool::from_wire(source.clone()).unwrap();
    let ours = json(&mcpo_document(&DocumentMetadata::default(), "x", &[tool]));
    assert_eq!(
        ours["components"]["schemas"]["s_enum_form_model"],
        json!({
            "type": "object",
            "properties": {
                "a": {"type": "string", "enum": ["x", "y"], "description": "pick"},
                "b": {"type": "integer", "enum": [1, 2]},
                "c": {"const": "only", "type": "string"},
                "d": {"enum": ["p", "q"], "type": "string"}
            },
            "required": ["a"],
            "title": "s_enum_form_model"
        })
    );
}

#[test]
fn a_document_of_mcpo_is_written_in_its_order() {
    let query =
        json!({"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]});
    let mut time = tool("get-current.time", query.clone());
    time.output_schema = Some(json!({"type": "object", "properties": {"t": {"type": "string"}}}));
    let tools = [
        time,
        tool("a-b", json!({"type": "object"})),
        tool("a_b", query.clone()),
        tool("x.time", query),
    ];
    let frame = DocumentMetadata {
        title: "T",
        version: "1.0",
        description: "D",
        server: Some("/with space"),
        secured: true,
        ..DocumentMetadata::default()
    };
    let document = mcpo_document(&frame, "with space", &tools);
    insta::assert_snapshot!(String::from_utf8_lossy(&document.body));
    let empty = mcpo_document(
        &DocumentMetadata {
            secured: false,
            ..frame
        },
        "x",
        &[],
    );
    assert_eq!(
        String::from_utf8_lossy(&empty.body),
        r#"{"openapi":"3.1.0","info":{"title":"T","description":"D","version":"1.0"},"paths":{},"servers":[{"url":"/with space"}]}"#
    );
}

#[test]
fn the_root_of_mcpo_lists_its_bridges() {
    let description = "Automatically generated API from MCP Tool Schemas";
    assert_eq!(
        available_tools(description, "/pre/", ["ok", "a/b"]),
        "Automatically generated API from MCP Tool Schemas\n\n- **available tools**：\n    - [ok](/pre/ok/docs)\n    - [a/b](/pre/a/b/docs)"
    );
    assert_eq!(available_tools(description, "/", []), description);
}

#[test]
fn python_titles() {
    for (name, summary) in [
        ("getCurrentTime", "Getcurrenttime"),
        ("get-current.time", "Get-Current.Time"),
        ("UPPER_CASE", "Upper Case"),
        ("foo2bar", "Foo2Bar"),
        ("na\u{ef}ve \u{df}x", "Na\u{ef}ve Ssx"),
        ("it's_a", "It'S A"),
        ("获取_a", "获取 A"),
    ] {
        assert_eq!(super::mcpo::summary(name), summary);
    }
}

#[test]
fn our_documents_are_as_written() {
    let schema = json!({
        "type": "object",
        "properties": {"node": {"$ref": "#/$defs/Node"}, "limit": {"type": "integer", "default": 5}},
        "required": ["node"],
        "$defs": {"Node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}}
    });
    let walk = Tool::from_wire(json!({
        "name": "walk/{id} ü", "title": "Walk", "description": "Walks.", "inputSchema": schema,
        "outputSchema": {"type": "object", "properties": {"n": {"type": "integer"}}}
    }))
    .unwrap();
    let free = tool(
        "free",
        json!({"type": "object", "additionalProperties": {"type": "string"}}),
    );
    let none = tool("none", json!({"type": "object", "properties": {}}));
    let tools = [
        (bridge("git"), walk),
        (bridge("git"), free),
        (bridge("x.y"), none),
    ];
    let frame = DocumentMetadata {
        title: "mcp-bridge",
        version: "1",
        secured: true,
        ..DocumentMetadata::default()
    };
    let document = merged_document(&frame, &tools);
    insta::assert_json_snapshot!("merged", json(&document));
    assert_eq!(document, merged_document(&frame, &tools));
    assert_eq!(document.etag.len(), 34);
    let other = merged_document(
        &DocumentMetadata {
            version: "2",
            ..frame
        },
        &tools,
    );
    assert_ne!(document.etag, other.etag);

    let operation = Operation::new(&tools[0].0, &tools[0].1, DocumentFlavor::Native);
    let frame = DocumentMetadata {
        server: Some("/git"),
        ..frame
    };
    let one = json(&for_bridge(
        &frame,
        DocumentFlavor::Native,
        [(&operation, "git_walk")],
    ));
    assert_eq!(keys(&one["paths"]), ["/walk/%7Bid%7D%20%C3%BC"]);
    assert_eq!(one["servers"], json!([{"url": "/git"}]));
    let prefixed = DocumentMetadata {
        path_prefix: "/api",
        ..frame
    };
    let merged = json(&merged(&prefixed, [(&operation, "i")]));
    assert_eq!(keys(&merged["paths"]), ["/api/git/walk/%7Bid%7D%20%C3%BC"]);
}

#[test]
fn ids_are_names_that_models_can_call() {
    assert_eq!(
        ids(&[
            ("clickup", "clickup_create_task"),
            ("clickup", "create_task2"),
            ("clickup", "folder.create"),
            ("clickup", "clickup_"),
            ("my.server", "my.server_x"),
            ("a", "获取"),
        ]),
        [
            "clickup_create_task",
            "clickup_create_task2",
            "clickup_folder_create",
            "clickup_clickup_",
            "my_server_x",
            "a___",
        ]
    );
    let long = "x".repeat(63);
    let cut = ids(&[("twilio", &long), ("twilio", &format!("{long}y"))]);
    for id in &cut {
        assert_eq!(id.len(), 64);
        assert!(id.starts_with("twilio_xxx"), "{id}");
    }
    assert_ne!(cut[0], cut[1]);
    assert_eq!(
        ids(&[("twilio", &long)])[0],
        cut[0],
        "a hash does not depend on others"
    );
}

#[test]
fn ids_do_not_depend_on_the_order_and_hardly_on_other_bridges() {
    let pairs = [
        ("clickup", "x"),
        ("clickup", "clickup_x"),
        ("a", "b_c"),
        ("a_b", "c"),
        ("t", "p-q"),
        ("t", "p.q"),
        ("t", "p q"),
        ("t", "p_q"),
    ];
    let named = ids(&pairs);
    assert_eq!(named[1], "clickup_x");
    assert!(
        named[2].starts_with("a_") && named[2].ends_with("_b_c"),
        "{}",
        named[2]
    );
    assert_eq!(named[3], "a_b_c");
    assert_eq!((named[4].as_str(), named[7].as_str()), ("t_p-q", "t_p_q"));
    let mut unique = named.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), pairs.len());
    for id in &named {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        assert!(id.len() <= 64 && id.chars().all(is_plain), "{id}");
    }
    let mut turned = pairs;
    turned.reverse();
    let mut again = ids(&turned);
    again.reverse();
    assert_eq!(again, named);
    assert_eq!(ids(&pairs[4..]), named[4..], "other bridges changed a name");
    assert_eq!(ids(&[("a", "b"), ("a", "b")]).len(), 2);
}

#[test]
fn real_tools_make_one_valid_document() {
    let tools = corpus();
    let frame = DocumentMetadata {
        title: "all",
        version: "1",
        ..DocumentMetadata::default()
    };
    let document = json(&merged_document(&frame, &tools));
    let schemas = &document["components"]["schemas"];
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(paths.len(), tools.len());
    let mut ids: Vec<&str> = Vec::new();
    for (path, item) in paths {
        assert!(path.is_ascii() && !path.contains([' ', '{']), "{path}");
        ids.push(item["post"]["operationId"].as_str().unwrap());
    }
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count);
    assert!(ids.iter().all(|id| id.len() <= 64));
    let text = document.to_string();
    for piece in text.split("\"$ref\":\"#/components/").skip(1) {
        let pointer = piece.split('"').next().unwrap();
        let target = document.pointer(&format!("/components/{pointer}"));
        assert!(target.is_some(), "{pointer}");
    }
    assert!(schemas["Error"].is_object());
}

/// Returns the tools of real servers; each file is a bridge.
fn corpus() -> Vec<(BridgeName, Tool)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/tools");
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    let mut tools = Vec::new();
    for name in names {
        let file = data(&format!("corpus/tools/{name}"));
        let list = file
            .get("tools")
            .unwrap_or(&file)
            .as_array()
            .unwrap()
            .clone();
        let stem = bridge(name.trim_end_matches(".json"));
        tools.extend(
            list.into_iter()
                .map(|tool| (stem.clone(), Tool::from_wire(tool).unwrap())),
        );
    }
    tools
}
