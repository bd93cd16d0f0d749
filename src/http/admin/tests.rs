//! The OpenAPI document of the admin API: it is valid, complete, and as written down.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;
use serde_json::Value;

use super::{
    api,
    calls::{CallItem, LIMIT, LIMIT_MAX},
    changes::ChangeItem,
    document::built,
    routes,
};
use crate::{
    audit,
    store::{CallRecord, ChangeRecord},
};

/// The JSON Schema of OpenAPI 3.1 documents (OpenAPI Initiative, 2022-10-07).
const OPENAPI: &str = include_str!("../../../tests/golden/openapi/3.1.json");
/// The members of a path that are operations.
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// The document as JSON.
fn document() -> Value {
    serde_json::to_value(built("")).unwrap()
}

/// The operations of the document: path, method, operation.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    let mut found = Vec::new();
    for (path, item) in paths {
        for (method, operation) in item.as_object().unwrap() {
            assert!(METHODS.contains(&method.as_str()), "{path} has {method}");
            found.push((path.as_str(), method.as_str(), operation));
        }
    }
    assert!(found.len() > 30, "found {} operations", found.len());
    found
}

/// The routes of the router: path and methods. axum does not list them, but prints them.
fn registered() -> BTreeMap<String, BTreeSet<String>> {
    let printed = format!("{:?}", routes());
    let (printed, _) = printed.split_once("fallback_router").unwrap();
    let (routers, node) = printed.split_once("node: Node").unwrap();
    let id = Regex::new(r"RouteId\((\d+)\)").unwrap();
    let allow = Regex::new(r#"allow_header: Bytes\(b"([A-Z,]+)"\)"#).unwrap();
    let mut methods = BTreeMap::new();
    let starts: Vec<_> = id.captures_iter(routers).collect();
    for (at, start) in starts.iter().enumerate() {
        let end = starts
            .get(at + 1)
            .map_or(routers.len(), |it| it.get(0).unwrap().start());
        let router = routers.get(start.get(0).unwrap().end()..end).unwrap();
        let allowed = &allow.captures(router).unwrap()[1];
        let allowed = allowed.split(',').filter(|method| *method != "HEAD");
        methods.insert(
            start[1].to_owned(),
            allowed.map(str::to_lowercase).collect(),
        );
    }
    let path = Regex::new(r#"RouteId\((\d+)\): "([^"]+)""#).unwrap();
    let paths = path.captures_iter(node);
    paths
        .map(|it| {
            (
                format!("/admin/api{}", &it[2]),
                methods.remove(&it[1]).unwrap(),
            )
        })
        .collect()
}

#[test]
fn every_route_is_described_and_no_other() {
    let document = document();
    let mut described: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, method, _) in operations(&document) {
        let methods = described.entry(path.to_owned()).or_default();
        methods.insert(method.to_owned());
    }
    assert_eq!(described, registered());
}

#[test]
fn a_route_without_description_is_found() {
    let plain = api().route("/new", axum::routing::get(async || "new"));
    assert!(!plain.get_openapi().paths.paths.contains_key("/new"));
    let router: axum::Router<_> = plain.into();
    assert!(format!("{router:?}").contains("\"/new\""));
}

#[test]
fn the_document_is_openapi_3_1() {
    let document = document();
    let schema = serde_json::from_str(OPENAPI).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let faults: Vec<_> = validator
        .iter_errors(&document)
        .map(|fault| format!("{}: {fault}", fault.instance_path()))
        .collect();
    assert!(faults.is_empty(), "{faults:#?}");
    // The validator does notice faults.
    let mut broken = document.clone();
    broken["paths"]["/admin/api/me"]["get"]["responses"]["200"]
        .as_object_mut()
        .unwrap()
        .remove("description");
    assert!(!validator.is_valid(&broken));

    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        let fault = jsonschema::meta::validate(schema).err();
        assert!(fault.is_none(), "{name}: {fault:?}");
    }
}

/// What the specification requires beyond its schema.
#[test]
fn names_in_the_document_are_unique_and_defined() {
    let document = document();
    let mut ids = BTreeSet::new();
    let tags: BTreeSet<_> = document["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| &tag["name"])
        .map(Value::to_string)
        .collect();
    let mut used = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id), "{id} is used twice");
        for part in ["summary", "tags"] {
            assert!(!operation[part].is_null(), "{method} {path} has no {part}");
        }
        used.extend(
            operation["tags"]
                .as_array()
                .unwrap()
                .iter()
                .map(Value::to_string),
        );
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let named: BTreeSet<_> = parameters
            .clone()
            .filter(|it| it["in"] == "path")
            .map(|it| it["name"].as_str().unwrap())
            .collect();
        let placeholders: BTreeSet<_> = path.split(['{', '}']).skip(1).step_by(2).collect();
        assert_eq!(named, placeholders, "{method} {path}");
        for parameter in parameters {
            assert!(!parameter["description"].is_null(), "{path}: {parameter}");
            let schema = &parameter["schema"];
            if let Some(default) = schema.get("default") {
                assert!(jsonschema::is_valid(schema, default), "{path}: {schema}");
            }
        }
    }
    assert_eq!(used, tags);
    let text = document.to_string();
    let references = Regex::new(r##""\$ref":"#([^"]+)""##).unwrap();
    let mut count = 0;
    for reference in references.captures_iter(&text) {
        assert!(
            document.pointer(&reference[1]).is_some(),
            "{}",
            &reference[1]
        );
        count += 1;
    }
    assert!(count > 100, "found {count} references");
}

#[test]
fn every_operation_describes_its_errors() {
    let document = document();
    for (path, method, operation) in operations(&document) {
        let responses = operation["responses"].as_object().unwrap();
        let mut expected = vec!["200", "401", "403", "429", "500", "503"];
        if method != "get" {
            expected.push("415");
        }
        if !operation["requestBody"].is_null() {
            expected.extend(["400", "408", "413", "422"]);
        }
        for status in expected {
            assert!(responses.contains_key(status), "{method} {path}: {status}");
        }
        for (status, response) in responses {
            if status.as_str() >= "400" {
                let shared = response["$ref"].as_str();
                let shared = shared.and_then(|it| document.pointer(it.trim_start_matches('#')));
                let schema = &shared.unwrap_or(response)["content"]["application/json"]["schema"];
                assert_eq!(
                    schema["$ref"], "#/components/schemas/Error",
                    "{method} {path} {status}"
                );
            }
        }
    }
}

#[test]
fn every_property_and_schema_is_explained() {
    let document = document();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        assert!(!schema["description"].is_null(), "{name}");
        for (property, schema) in schema["properties"].as_object().into_iter().flatten() {
            // A nullable object is `oneOf` of null and the described object.
            let described = schema.get("oneOf").map_or(schema, |either| &either[0]);
            assert!(!described["description"].is_null(), "{name}.{property}");
        }
    }
}

#[test]
fn the_limits_in_the_document_are_those_of_the_code() {
    let document = document();
    for path in ["/admin/api/calls", "/admin/api/changes"] {
        let parameters = document["paths"][path]["get"]["parameters"].as_array();
        let mut parameters = parameters.unwrap().iter();
        let limit = parameters.find(|it| it["name"] == "limit").unwrap();
        let schema = &limit["schema"];
        let limits = [&schema["minimum"], &schema["default"], &schema["maximum"]];
        assert_eq!(limits, [1, LIMIT, LIMIT_MAX], "{path}: {limit}");
    }
}

#[test]
fn the_prefix_of_a_reverse_proxy_is_the_server() {
    let document = serde_json::to_value(built("/tools")).unwrap();
    assert_eq!(document["servers"][0]["url"], "/tools");
    assert!(self::document()["servers"].is_null());
}

#[test]
fn the_document_is_as_written_down() {
    let mut document = document();
    let version = document["info"]["version"].take();
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
    document["info"]["version"] = "VERSION".into();
    insta::assert_snapshot!(serde_json::to_string_pretty(&document).unwrap());
}

/// The list in JSON has the same fields as the exports.
#[test]
fn records_are_the_same_in_every_format() {
    let call = CallRecord {
        id: "a-1".to_owned(),
        instance: "a".to_owned(),
        time: 1_795_168_800_123_456,
        caller: Some("ann@example.org".to_owned()),
        groups: vec!["developers".to_owned()],
        status: 200,
        duration_us: 7,
        request_bytes: 8,
        response_bytes: 9,
        arguments: Some("{}".to_owned()),
        repeats: 2,
        ..CallRecord::default()
    };
    for record in [call, CallRecord::default()] {
        let exported = audit::object(&record).to_string();
        let listed = serde_json::to_string(&CallItem::from(record)).unwrap();
        assert_eq!(listed, exported);
    }
    let change = ChangeRecord {
        id: "1".to_owned(),
        actor: "ops".to_owned(),
        action: "grant".to_owned(),
        ..ChangeRecord::default()
    };
    let exported = audit::object(&change).to_string();
    let listed = serde_json::to_string(&ChangeItem::from(change)).unwrap();
    assert_eq!(listed, exported);
}
