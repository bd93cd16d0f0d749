//! Tests of the properties of all published schemas, with hand-made schemas, schemas of real servers and
//! arbitrary JSON.

use std::{collections::HashSet, fs, path::Path, time::Instant};

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{
    PublishedSchema, SchemaFlavor, expansion, keyword::KeywordKind, keyword::keyword_kind,
    publish_input, publish_output,
};

/// Publishes arguments and checks the properties of all published schemas.
fn input(source: &Value) -> PublishedSchema {
    let published = publish_input(source, "b.t", SchemaFlavor::NATIVE);
    check(&published, true).unwrap_or_else(|broken| panic!("{broken}\nfrom {source}"));
    published
}

/// The same, with changes of form only.
fn plain_input(source: &Value) -> PublishedSchema {
    let published = publish_input(source, "b.t", SchemaFlavor::MCPO);
    check(&published, true).unwrap_or_else(|broken| panic!("{broken}\nfrom {source}"));
    published
}

/// The properties of published arguments.
fn properties(source: &Value) -> Value {
    input(source).schema["properties"].clone()
}

/// Returns the published form of a property, with these definitions.
fn property(schema: &Value, defs: &Value) -> Value {
    properties(&json!({"type": "object", "properties": {"p": schema}, "$defs": defs}))["p"].clone()
}

/// Returns the schema that accepts anything.
fn anything() -> Value {
    json!({"anyOf": super::types::anything()})
}

/// Returns the first problem of a published schema.
fn check(published: &PublishedSchema, is_input: bool) -> Result<(), String> {
    let schema = &published.schema;
    if is_input {
        if schema["type"] != "object" || !schema["properties"].is_object() {
            return Err(format!("the top is no object with properties: {schema}"));
        }
        for keyword in ["anyOf", "oneOf", "allOf", "not", "enum"] {
            if schema.get(keyword).is_some() {
                return Err(format!("`{keyword}` at the top: {schema}"));
            }
        }
    }
    let names: HashSet<String> = published
        .components
        .iter()
        .map(|(name, _)| format!("#/components/schemas/{name}"))
        .collect();
    if names.len() != published.components.len() {
        return Err("two components of one name".to_owned());
    }
    let bodies = published.components.iter().map(|(_, body)| body);
    for body in bodies.chain([schema]) {
        sound(body, &names, is_input, true).map_err(|broken| format!("{broken} in {body}"))?;
        if depth(body) > 110 {
            return Err(format!("{} levels of JSON", depth(body)));
        }
        if let Err(error) = jsonschema::meta::validate(body) {
            return Err(format!(
                "no JSON Schema 2020-12: {error} at {} in {body}",
                error.instance_path()
            ));
        }
    }
    if expansion::is_finite(schema, &published.components) {
        Ok(())
    } else {
        Err("a reader that follows references does not come to an end".to_owned())
    }
}

/// Checks one schema and its subschemas. `converted` means that `Open WebUI`'s converter reaches it.
fn sound(
    schema: &Value,
    names: &HashSet<String>,
    is_input: bool,
    converted: bool,
) -> Result<(), String> {
    let Some(members) = schema.as_object() else {
        return Err(format!("a schema that is {schema}"));
    };
    if let Some(reference) = members.get("$ref") {
        let known = reference.as_str().is_some_and(|name| names.contains(name));
        return match (known, converted, members.len()) {
            (true, true, 1) => Ok(()),
            _ => Err(format!("reference {schema}, converted: {converted}")),
        };
    }
    let types = match members.get("type") {
        Some(Value::String(name)) => vec![name.as_str()],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if is_input && converted && types.contains(&"array") && !members.contains_key("items") {
        return Err(format!("an array without items: {schema}"));
    }
    if members.get("default") == Some(&Value::Null) && !types.is_empty() && !types.contains(&"null")
    {
        return Err(format!("a default of the wrong type: {schema}"));
    }
    for (keyword, value) in members {
        let inner = converted && super::keyword::is_converted(keyword);
        let schemas: Vec<&Value> = match (keyword_kind(keyword), value) {
            (KeywordKind::Noise | KeywordKind::Reference | KeywordKind::Dependencies, _) => {
                return Err(format!("`{keyword}` is left"));
            }
            (KeywordKind::Data, _) => continue,
            (KeywordKind::Schema, Value::Bool(_))
                if keyword.ends_with("Properties") || keyword == "unevaluatedItems" =>
            {
                continue;
            }
            (KeywordKind::List, Value::Array(schemas)) if !schemas.is_empty() => {
                schemas.iter().collect()
            }
            (KeywordKind::Names, Value::Object(schemas)) => schemas.values().collect(),
            (KeywordKind::Schema | KeywordKind::Items, Value::Object(_)) => vec![value],
            _ => return Err(format!("`{keyword}` is {value}")),
        };
        for schema in schemas {
            sound(schema, names, is_input, inner)?;
            let is_place = matches!(keyword.as_str(), "properties" | "items");
            let is_told = ["type", "anyOf", "properties", "$ref"]
                .iter()
                .any(|keyword| schema.get(keyword).is_some());
            let is_any_array = *value == json!({});
            if is_input && inner && is_place && !is_told && !is_any_array {
                return Err(format!("the converter takes {schema} for a string"));
            }
        }
    }
    Ok(())
}

/// Returns the number of JSON levels.
fn depth(value: &Value) -> usize {
    let inner = match value {
        Value::Array(entries) => entries.iter().map(depth).max(),
        Value::Object(members) => members.values().map(depth).max(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    };
    1 + inner.unwrap_or_default()
}

/// Whether `value` satisfies a published schema.
fn accepts(published: &PublishedSchema, value: &Value) -> bool {
    let mut root = published.schema.clone();
    let components: Map<String, Value> = published.components.iter().cloned().collect();
    root["components"] = json!({"schemas": components});
    jsonschema::validator_for(&root)
        .expect("published schemas compile")
        .is_valid(value)
}

#[test]
fn what_tells_nothing_is_an_object_without_properties() {
    let empty = json!({"type": "object", "properties": {}});
    for (source, free_form) in [
        (json!(null), false),
        (json!({"type": "object"}), false),
        (
            json!({"type": "object", "properties": null, "required": null}),
            false,
        ),
        (json!({"type": "object", "properties": []}), false),
        (json!("object"), false),
    ] {
        let published = input(&source);
        assert_eq!(published.schema, empty, "{source}");
        assert_eq!(published.free_form, free_form, "{source}");
    }
    let referred =
        json!({"$ref": "#/$defs/A", "$defs": {"A": {"properties": {"a": {"type": "string"}}}}});
    let named = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    assert_eq!(
        (input(&referred).schema, input(&referred).free_form),
        (named, false)
    );
    for source in [
        json!(true),
        json!({}),
        json!({"$schema": "http://json-schema.org/draft-07/schema#"}),
        json!({"type": "object", "additionalProperties": {"type": "string"}}),
        json!({"type": "object", "patternProperties": {"^x": true}}),
        json!({"type": "array", "items": {"type": "string"}}),
        json!({"type": "string"}),
        json!(false),
    ] {
        assert!(input(&source).free_form, "{source}");
    }
}

#[test]
fn constraints_are_kept_whole() {
    let source = json!({
        "type": "object",
        "description": "d",
        "properties": {
            "a": {"type": "string", "enum": ["x", ""], "default": "x", "title": "A"},
            "b": {"const": 3},
            "c": {"type": "string", "format": "date", "pattern": "^(?=x)", "minLength": 1,
                  "maxLength": 9, "examples": ["1"]},
            "d": {"type": "number", "minimum": 0.5, "exclusiveMaximum": 9, "multipleOf": 0.5},
            "e": {"type": "array", "items": {"type": "integer"}, "minItems": 1,
                  "uniqueItems": true, "contains": {"const": 1}},
            "f": {"type": "object", "additionalProperties": false, "propertyNames": {"pattern": "x"},
                  "patternProperties": {"^x": {"type": "string"}}, "minProperties": 1},
            "g": {"oneOf": [{"type": "string"}, {"type": "integer"}]},
            "h": {"type": ["string", "null"], "default": null},
            "i": {"not": {"enum": ["z"]}},
            "j": {"type": "object", "x-vendor": {"$ref": "kept"}, "additionalProperties": true}
        },
        "required": ["a"],
        "additionalProperties": false,
        "x-order": 1
    });
    let mut wanted = source.clone();
    wanted["properties"]["b"]["type"] = json!("integer");
    wanted["properties"]["g"]["type"] = json!(["string", "integer"]);
    wanted["properties"]["i"]["anyOf"] = anything()["anyOf"].clone();
    assert_eq!(input(&source).schema, wanted);
}

#[test]
fn references_are_copied_in() {
    let node =
        json!({"type": "object", "properties": {"n": {"type": "integer"}}, "description": "def"});
    let defs = json!({"A": node, "a/b": node, "a b": node, "B": {"$ref": "#/$defs/A"},
                      "an": {"$anchor": "here", "type": "integer"},
                      "id": {"$id": "https://x.test/id", "type": "object",
                             "properties": {"q": {"$ref": "#/$defs/in"}},
                             "$defs": {"in": {"type": "boolean"}}}});
    for reference in [
        "#/$defs/A",
        "#/$defs/B",
        "#/$defs/a~1b",
        "#/$defs/a%20b",
        "#/$defs/a b",
        "A",
        "#/components/schemas/A",
        "#/definitions/A",
    ] {
        assert_eq!(
            property(&json!({"$ref": reference}), &defs),
            node,
            "{reference}"
        );
    }
    assert_eq!(
        property(&json!({"$ref": "#here"}), &defs),
        json!({"type": "integer"})
    );
    assert_eq!(
        property(&json!({"$ref": "https://x.test/id"}), &defs),
        json!({"type": "object", "properties": {"q": {"type": "boolean"}}})
    );
    assert_eq!(
        property(
            &json!({"$ref": "#/$defs/A", "description": "mine", "default": {}}),
            &defs
        ),
        json!({"type": "object", "properties": {"n": {"type": "integer"}}, "description": "mine", "default": {}})
    );
    assert_eq!(
        property(&json!({"$ref": "#/$defs/A", "nullable": true}), &defs),
        json!({"anyOf": [node, {"type": "null"}]})
    );
}

#[test]
fn older_definitions_and_paths_into_properties_are_references_too() {
    let source = json!({
        "type": "object",
        "properties": {
            "a": {"type": "array", "items": [{"type": "string"}, {"type": "integer"}],
                  "additionalItems": false},
            "b": {"$ref": "#/properties/a/items/1"},
            "c": {"$ref": "#/definitions/C"}
        },
        "definitions": {"C": {"enum": ["x", "y"]}}
    });
    assert_eq!(
        properties(&source),
        json!({
            "a": {"type": "array", "maxItems": 2,
                  "prefixItems": [{"type": "string"}, {"type": "integer"}],
                  "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]}},
            "b": {"type": "integer"},
            "c": {"enum": ["x", "y"], "type": "string"}
        })
    );
}

#[test]
fn references_that_lead_nowhere_take_anything_and_are_told() {
    for reference in [
        "#/$defs/Gone",
        "https://example.com/x.json",
        "other.json#/a",
        "#/type",
        "#gone",
    ] {
        let source =
            json!({"type": "object", "properties": {"p": {"$ref": reference, "description": "d"}}});
        let published = input(&source);
        let p = &published.schema["properties"]["p"];
        assert_eq!(
            (&p["description"], &p["anyOf"]),
            (&json!("d"), &anything()["anyOf"]),
            "{reference}"
        );
        assert!(
            published.warnings[0].contains(reference),
            "{:?}",
            published.warnings
        );
    }
    for reference in [json!(null), json!(5), json!({})] {
        assert_eq!(
            property(&json!({"$ref": reference}), &json!({})),
            anything()
        );
    }
}

#[test]
fn recursion_becomes_a_component_that_keeps_its_type_when_cut() {
    let source = json!({
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/Node"}},
        "$defs": {"Node": {"type": "object", "properties": {
            "v": {"type": "string"},
            "children": {"type": "array", "items": {"$ref": "#/$defs/Node"}}
        }}}
    });
    let published = input(&source);
    let node = json!({"type": "object", "properties": {
        "v": {"type": "string"},
        "children": {"type": "array", "items": {
            "type": "object", "allOf": [{"$ref": "#/components/schemas/b.t.Node"}]
        }}
    }});
    assert_eq!(published.schema["properties"]["a"], node);
    assert_eq!(published.components, [("b.t.Node".to_owned(), node)]);
    let tree = |leaf: Value| json!({"a": {"children": [{"children": [{"children": [leaf]}]}]}});
    assert!(accepts(&published, &tree(json!({"v": "x"}))));
    assert!(!accepts(&published, &tree(json!({"v": 1}))));
}

#[test]
fn every_way_to_be_recursive_ends() {
    for source in [
        json!({"properties": {"a": {"$ref": "#"}}}),
        json!({"$ref": "#"}),
        json!({"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}, {"$ref": "#"}]}}}),
        json!({"properties": {"p": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}),
        json!({"properties": {"p": {"$ref": "#/properties/p"}}}),
        json!({"properties": {"p": {"$ref": "#/$defs/J"}}, "$defs": {"J": {"anyOf": [
            {"type": "string"}, {"type": "array", "items": {"$ref": "#/$defs/J"}},
            {"type": "object", "additionalProperties": {"$ref": "#/$defs/J"}}]}}}),
        json!({"properties": {"p": {"not": {"$ref": "#/properties/p"}}}}),
        json!({"properties": {"p": {"$dynamicRef": "#n"}}, "$defs": {"n": {"$dynamicAnchor": "n",
            "type": "object", "properties": {"c": {"$dynamicRef": "#n"}}}}}),
    ] {
        input(&source);
        let published = publish_output(&source, "b.t");
        check(&published, false).unwrap_or_else(|broken| panic!("{broken}\nfrom {source}"));
    }
}

#[test]
fn a_web_of_references_does_not_explode() {
    let mut bomb = Map::new();
    let mut web = Map::new();
    for n in 0..40 {
        let next = json!({"$ref": format!("#/$defs/n{}", n + 1)});
        bomb.insert(
            format!("n{n}"),
            json!({"type": "object", "properties": {"a": next, "b": next, "c": next}}),
        );
        let all: Map<String, Value> = (0..40)
            .map(|m| (format!("to{m}"), json!({"$ref": format!("#/$defs/n{m}")})))
            .collect();
        web.insert(
            format!("n{n}"),
            json!({"type": "object", "properties": all}),
        );
    }
    bomb.insert("n40".to_owned(), json!({"type": "string"}));
    for defs in [bomb, web] {
        let started = Instant::now();
        let source = json!({"type": "object", "$defs": defs,
            "properties": {"x": {"$ref": "#/$defs/n0"}, "y": {"$ref": "#/$defs/n1"}}});
        let published = input(&source);
        let size = published.schema.to_string().len()
            + published
                .components
                .iter()
                .map(|(_, body)| body.to_string().len())
                .sum::<usize>();
        assert!(published.schema["properties"]["y"].is_object());
        assert!(!published.components.is_empty());
        assert!(size < 200_000, "{size} bytes");
        assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
    }
}

#[test]
fn a_deep_schema_does_not_overflow_the_stack() {
    let mut value = json!({"type": "string"});
    let mut data = json!(1);
    for _ in 0..10_000 {
        value = json!({"type": "object", "properties": {"p": Value::Null}, "items": 1})
            .as_object_mut()
            .map(|members| {
                let mut members = std::mem::take(members);
                members.insert(
                    "properties".to_owned(),
                    Value::Object(Map::from_iter([("p".to_owned(), value.take())])),
                );
                Value::Object(members)
            })
            .unwrap_or_default();
        data = Value::Array(vec![data]);
    }
    let chain: Map<String, Value> = (0..10_000)
        .map(|n| {
            (
                format!("n{n}"),
                json!({"$ref": format!("#/$defs/n{}", n + 1)}),
            )
        })
        .collect();
    value["default"] = data;
    assert!(!input(&value).warnings.is_empty());
    input(&json!({"properties": {"p": {"$ref": "#/$defs/n0"}}, "$defs": chain}));
    // Dropping such deep nesting would overflow the stack of the test itself.
    std::mem::forget(value);
}

#[test]
fn a_schema_too_large_is_published_by_its_names() {
    let many: Map<String, Value> = (0..100_000)
        .map(|n| (format!("p{n}"), json!({"type": "string"})))
        .collect();
    let published = input(&json!({"type": "object", "properties": many, "required": ["p1"]}));
    assert!(
        published.warnings[0].contains("too large"),
        "{:?}",
        published.warnings
    );
    assert_eq!(published.schema["properties"]["p1"], anything());
}

#[test]
fn booleans_and_empty_schemas_say_what_they_take() {
    let defs = json!({});
    for (source, wanted) in [
        (json!(true), anything()),
        (json!({}), anything()),
        (
            json!({"description": "d"}),
            json!({"description": "d", "anyOf": anything()["anyOf"]}),
        ),
        (
            json!({"type": "array", "items": true}),
            json!({"type": "array", "items": anything()}),
        ),
        (
            json!({"type": "array"}),
            json!({"type": "array", "items": anything()}),
        ),
        (
            json!({"type": "array", "items": false}),
            json!({"type": "array", "maxItems": 0, "items": anything()}),
        ),
        (json!({"anyOf": [true, {"type": "null"}]}), anything()),
        (
            json!({"anyOf": [{"type": "string"}, false]}),
            json!({"type": "string"}),
        ),
        (json!({"anyOf": []}), anything()),
        (
            json!({"anyOf": [{"type": "null"}]}),
            json!({"type": "null"}),
        ),
        (
            json!({"anyOf": [{"anyOf": [{"type": "string"}, {"type": "null"}]}, {"type": "integer"}, {"type": "null"}]}),
            json!({"anyOf": [{"type": "string"}, {"type": "null"}, {"type": "integer"}]}),
        ),
        (
            json!({"type": "object", "additionalProperties": true, "unevaluatedProperties": false}),
            json!({"type": "object", "additionalProperties": true, "unevaluatedProperties": false}),
        ),
        (
            json!({"type": "object", "properties": {"no": false, "yes": true}, "required": ["no"]}),
            json!({"type": "object", "properties": {"yes": anything()}}),
        ),
        (
            json!({"enum": [1, "a", null]}),
            json!({"enum": [1, "a", null], "type": ["string", "integer", "null"]}),
        ),
    ] {
        assert_eq!(property(&source, &defs), wanted, "{source}");
    }
}

#[test]
fn what_has_the_wrong_type_goes() {
    let source = json!({
        "type": ["object", 5], "description": 7, "title": null, "required": ["a", 1, "a"],
        "properties": {
            "a": {"type": "any", "enum": [], "required": true, "minLength": "x", "maxLength": 3.0},
            "b": {"type": "str", "pattern": 1, "examples": "one", "oneOf": "x", "items": 5},
            "c": {"type": "int", "minimum": 3, "exclusiveMinimum": true, "maximum": 9, "exclusiveMaximum": false},
            "d": {"type": "weird", "nullable": "yes"},
            "e": {"type": "string", "nullable": true, "enum": ["x"]},
            "f": 5,
            "g": {"type": "object", "dependencies": {"x": ["y"], "z": {"required": ["x"]}}}
        }
    });
    let published = input(&source);
    assert_eq!(
        published.schema,
        json!({
            "type": "object",
            "properties": {
                "a": {"maxLength": 3, "type": "string"},
                "b": {"type": "string", "examples": ["one"]},
                "c": {"type": "integer", "maximum": 9, "exclusiveMinimum": 3},
                "d": anything(),
                "e": {"type": ["string", "null"], "enum": ["x", null]},
                "f": anything(),
                "g": {"type": "object", "dependentRequired": {"x": ["y"]},
                      "dependentSchemas": {"z": {"required": ["x"]}}}
            },
            "required": ["a"]
        })
    );
    assert!(
        published
            .warnings
            .iter()
            .any(|warning| warning.contains("weird"))
    );
}

#[test]
fn all_of_is_merged_where_nothing_is_lost() {
    let defs = json!({"A": {"type": "object", "properties": {"k": {"type": "string"}}, "required": ["k"]}});
    for (source, wanted) in [
        (
            json!({"allOf": [{"$ref": "#/$defs/A"}], "description": "d"}),
            json!({"description": "d", "type": "object", "properties": {"k": {"type": "string"}}, "required": ["k"]}),
        ),
        (
            json!({"allOf": [{"$ref": "#/$defs/A"}, {"properties": {"m": {"type": "integer"}}, "required": ["m"]}]}),
            json!({"type": "object", "properties": {"k": {"type": "string"}, "m": {"type": "integer"}}, "required": ["k", "m"]}),
        ),
        (
            json!({"type": "number", "minimum": 1, "allOf": [{"minimum": 3}, {"type": "integer"}]}),
            json!({"type": "integer", "minimum": 3}),
        ),
        (
            json!({"allOf": [{"type": "string", "pattern": "a"}, {"type": "string", "pattern": "b"}]}),
            json!({"type": "string", "pattern": "a", "allOf": [{"type": "string", "pattern": "b"}]}),
        ),
        (
            json!({"allOf": [{"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": false},
                          {"type": "object", "properties": {"b": {"type": "string"}}}]}),
            json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": false,
                "allOf": [{"type": "object", "properties": {"b": {"type": "string"}}}]}),
        ),
    ] {
        assert_eq!(property(&source, &defs), wanted, "{source}");
    }
}

#[test]
fn alternatives_at_the_top_become_one_set_of_properties() {
    let source = json!({
        "oneOf": [
            {"properties": {"kind": {"const": "a"}, "x": {"type": "string"}, "s": {"type": "string"}}, "required": ["kind", "x"]},
            {"properties": {"kind": {"const": "b"}, "y": {"type": "string"}, "s": {"type": "integer"}}, "required": ["kind", "y"]},
            {"type": "string"}
        ],
        "allOf": [{"properties": {"z": {"type": "boolean"}}, "required": ["z"]}]
    });
    assert_eq!(
        input(&source).schema,
        json!({
            "type": "object",
            "properties": {
                "z": {"type": "boolean"},
                "kind": {"type": "string", "enum": ["a", "b"]},
                "x": {"type": "string"},
                "s": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
                "y": {"type": "string"}
            },
            "required": ["z", "kind"]
        })
    );
    let source = json!({
        "type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
        "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
        "if": {"required": ["a"]}, "then": {"properties": {"c": {"type": "string"}}},
        "required": ["ghost"]
    });
    let schema = input(&source).schema;
    assert_eq!(schema["required"], json!(["ghost"]));
    let names: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["a", "b", "c", "ghost"]);
}

#[test]
fn names_are_only_names() {
    let source = json!({
        "type": "object",
        "properties": {
            "$ref": {"type": "string"}, "$defs": {"type": "string"}, "properties": {"type": "string"},
            "required": {"type": "string"}, "items": {"type": "string"}, "a/b~c": {"type": "string"},
            "model_config": {"type": "string"}, "StartTime<": {"type": "string"}, "": {"type": "string"}
        },
        "required": ["$ref"],
        "default": {"$ref": "#/nowhere"}
    });
    assert_eq!(plain_input(&source).schema, source);
}

#[test]
fn a_result_may_have_any_type() {
    for (source, wanted) in [
        (json!({"type": "string"}), json!({"type": "string"})),
        (json!(true), json!({})),
        (json!({}), json!({})),
        (
            json!({"type": "array", "items": {}}),
            json!({"type": "array", "items": {}}),
        ),
        (
            json!({"anyOf": [{"type": "string"}, {"type": "object"}]}),
            json!({"anyOf": [{"type": "string"}, {"type": "object"}]}),
        ),
    ] {
        let published = publish_output(&source, "b.t");
        assert_eq!(published.schema, wanted, "{source}");
        check(&published, false).unwrap();
    }
}

/// Returns the tools of real servers: file name, then tool.
fn corpus() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/tools");
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let mut tools = Vec::new();
    for path in paths {
        let file: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let list = file
            .get("tools")
            .unwrap_or(&file)
            .as_array()
            .unwrap()
            .clone();
        tools.extend(list.into_iter().map(|tool| (name.clone(), tool)));
    }
    assert!(tools.len() > 2000);
    tools
}

#[test]
fn the_schemas_of_real_servers_publish_whole() {
    let mut warned = Vec::new();
    let tools = corpus();
    let started = Instant::now();
    let all: Vec<_> = tools
        .iter()
        .map(|(_, tool)| {
            let output = tool
                .get("outputSchema")
                .map(|schema| publish_output(schema, "b.t"));
            (
                publish_input(&tool["inputSchema"], "b.t", SchemaFlavor::MCPO),
                output,
            )
        })
        .collect();
    eprintln!("published {} tools in {:?}", all.len(), started.elapsed());
    for ((file, tool), (published, output)) in tools.iter().zip(all) {
        let place = format!("{file} {}", tool["name"]);
        let source = &tool["inputSchema"];
        check(&published, true).unwrap_or_else(|broken| panic!("{place}: {broken}"));
        if let Some(output) = &output {
            check(output, false).unwrap_or_else(|broken| panic!("{place}: {broken}"));
            assert_eq!(output.warnings, [""; 0], "{place}");
        }
        let named = &published.schema["properties"];
        for (name, _) in source["properties"].as_object().into_iter().flatten() {
            assert!(named.get(name).is_some(), "{place} lost `{name}`");
        }
        let again = publish_input(&published.schema, "b.t", SchemaFlavor::MCPO);
        if published.components.is_empty() && !published.free_form {
            assert_eq!(
                again.schema, published.schema,
                "{place} changes when published twice"
            );
        }
        keeps(source, &published.schema, &place);
        warned.extend(
            published
                .warnings
                .iter()
                .map(|warning| format!("{place}: {warning}")),
        );
    }
    assert_eq!(warned, [""; 0]);
}

#[test]
fn few_schemas_of_real_servers_have_to_be_put_right() {
    let mut told = Vec::new();
    for (file, tool) in corpus() {
        let published = input(&tool["inputSchema"]);
        let place = format!("{file} {}", tool["name"].as_str().unwrap_or_default());
        told.extend(published.warnings.iter().map(|it| format!("{place}: {it}")));
    }
    insta::assert_snapshot!(told.join("\n"));
}

/// Checks that every constraint of a source without references is published at its position.
fn keeps(source: &Value, published: &Value, place: &str) {
    if source.to_string().contains("$ref")
        || ["allOf", "anyOf", "oneOf"]
            .iter()
            .any(|key| source.get(key).is_some())
    {
        return;
    }
    for (name, schema) in source["properties"].as_object().into_iter().flatten() {
        let ours = &published["properties"][name];
        for (keyword, value) in schema.as_object().into_iter().flatten() {
            let is_plain = matches!(
                keyword.as_str(),
                "type"
                    | "enum"
                    | "const"
                    | "format"
                    | "pattern"
                    | "minimum"
                    | "maximum"
                    | "minLength"
                    | "maxLength"
                    | "minItems"
                    | "maxItems"
                    | "description"
                    | "title"
                    | "examples"
                    | "exclusiveMinimum"
                    | "additionalProperties"
            ) || (keyword == "default" && !value.is_null());
            if is_plain && *value != json!([]) {
                assert_eq!(ours.get(keyword), Some(value), "{place} `{name}` {keyword}");
            }
        }
        keeps(schema, ours, place);
    }
}

/// Generates JSON that resembles a schema often enough to be processed.
fn schema_like() -> impl Strategy<Value = Value> {
    let texts = prop::sample::select(vec![
        "string",
        "object",
        "array",
        "null",
        "number",
        "any",
        "#",
        "#/$defs/a",
        "#/$defs/b",
        "#/properties/a",
        "#/properties/b/items",
        "#/definitions/a",
        "#a",
        "https://x.test/a",
        "a",
        "b",
        "",
        "#/allOf/0",
        "#/$defs/a/properties/b",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3_i64..9).prop_map(Value::from),
        Just(json!(1.5)),
        texts.prop_map(Value::from),
        Just(json!(["object", "null"])),
        Just(json!(["a", "b"])),
    ];
    leaf.prop_recursive(7, 96, 6, |inner| {
        let keys = prop::sample::select(vec![
            "type", "properties", "properties", "items", "items", "$ref", "$ref", "$defs",
            "$defs", "definitions", "allOf", "anyOf", "oneOf", "not", "if", "then", "else",
            "additionalProperties", "additionalItems", "prefixItems", "required", "enum",
            "const", "default", "nullable", "description", "title", "minimum",
            "exclusiveMinimum", "maxItems", "minLength", "patternProperties", "contains",
            "dependencies", "dependentSchemas", "propertyNames", "unevaluatedProperties",
            "$id", "$anchor", "$dynamicRef", "examples", "format", "discriminator", "a", "b",
            "a", "b", "x-y",
        ]);
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            4 => prop::collection::vec((keys, inner), 0..7).prop_map(|members| {
                Value::Object(members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
            }),
        ]
    })
}

/// Generates valid schemas that need no changes to be published.
fn proper_schema() -> impl Strategy<Value = Value> {
    let leaf = prop::sample::select(vec![
        json!({}),
        json!(true),
        json!({"type": "string", "minLength": 2}),
        json!({"type": "null"}),
        json!({"type": ["string", "null"]}),
        json!({"enum": ["aa", 1, null]}),
        json!({"const": 3}),
        json!({"type": "integer", "minimum": 1}),
        json!({"type": "number", "maximum": 2}),
        json!({"$ref": "#/$defs/a"}),
        json!({"$ref": "#/$defs/b", "description": "d"}),
        json!({"$ref": "#/$defs/b", "type": "object", "required": ["b"]}),
        json!({"type": "object", "required": ["a"]}),
        json!({"type": "array", "maxItems": 1}),
    ]);
    leaf.prop_recursive(4, 40, 3, |inner| {
        let some = || prop::collection::vec(inner.clone(), 1..4);
        prop_oneof![
            (inner.clone(), inner.clone(), any::<(bool, bool)>()).prop_map(|(a, b, (closed, required))| {
                let required = if required { json!(["a"]) } else { json!(["b"]) };
                let mut schema = json!({"type": "object", "properties": {"a": a, "b": b}, "required": required});
                if closed {
                    schema["additionalProperties"] = json!(false);
                }
                schema
            }),
            inner.clone().prop_map(|items| json!({"type": "array", "items": items})),
            inner.clone().prop_map(|rest| json!({"type": "object", "additionalProperties": rest})),
            (some(), inner.clone()).prop_map(|(first, rest)| json!({"type": "array", "prefixItems": first, "items": rest})),
            some().prop_map(|first| json!({"type": "array", "prefixItems": first, "items": false})),
            some().prop_map(|any| json!({"anyOf": any})),
            some().prop_map(|one| json!({"oneOf": one})),
            some().prop_map(|all| json!({"allOf": all, "description": "d"})),
            inner.clone().prop_map(|not| json!({"not": {"anyOf": [not]}})),
            (inner.clone(), inner.clone()).prop_map(|(when, then)| json!({"if": {"allOf": [when]}, "then": then})),
        ]
    })
}

/// Generates small values of every type.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop::sample::select(vec![
        json!(null),
        json!(true),
        json!(1),
        json!(3),
        json!(1.5),
        json!("a"),
        json!("aa"),
    ]);
    leaf.prop_recursive(3, 16, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            prop::collection::btree_map(prop::sample::select(vec!["a", "b", "c"]), inner, 0..3)
                .prop_map(|members| Value::Object(
                    members
                        .into_iter()
                        .map(|(name, value)| (name.to_owned(), value))
                        .collect()
                )),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_published_means_the_same(
        schema in proper_schema(),
        values in prop::collection::vec(value(), 12),
    ) {
        let source = json!({
            "type": "object", "properties": {"p": schema}, "required": ["p"],
            "$defs": {
                "a": {"type": "object", "properties": {"a": {"$ref": "#/$defs/b"}}},
                "b": {"anyOf": [{"type": "string"}, {"type": "object", "properties": {"b": true}}]}
            }
        });
        let theirs = jsonschema::validator_for(&source).expect("it is a schema");
        let published = plain_input(&source);
        for value in values {
            let value = json!({"p": value});
            prop_assert_eq!(
                accepts(&published, &value), theirs.is_valid(&value),
                "{} as {}", &value, &published.schema
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn any_json_publishes(source in schema_like()) {
        let published = publish_input(&source, "b.t", SchemaFlavor::NATIVE);
        if let Err(broken) = check(&published, true) {
            prop_assert!(false, "{}", broken);
        }
        prop_assert_eq!(&published, &publish_input(&source, "b.t", SchemaFlavor::NATIVE));
        let output = publish_output(&source, "b.t");
        if let Err(broken) = check(&output, false) {
            prop_assert!(false, "{}", broken);
        }
        let plain = publish_input(&source, "b.t", SchemaFlavor::MCPO);
        if plain.components.is_empty() {
            let again = publish_input(&plain.schema, "b.t", SchemaFlavor::MCPO);
            prop_assert_eq!(again.schema, plain.schema);
        }
    }
}

#[test]
fn names_that_providers_refuse_are_published_as_others() {
    let source = json!({
        "type": "object",
        "properties": {
            "StartTime<": {"type": "string", "description": "Before"},
            "uids[]": {"type": "array", "items": {"$ref": "#/$defs/uid"}},
            "$filter": {"type": "object", "properties": {"@x": {"type": "string"}}, "default": {"@x": "1"}},
            "projects.any": {"type": "string"}
        },
        "required": ["StartTime<", "uids[]"],
        "dependentRequired": {"$filter": ["StartTime<"]},
        "dependentSchemas": {"uids[]": {"required": ["$filter"]}},
        "propertyNames": {"pattern": "."},
        "anyOf": [{"required": ["$filter"]}, {"properties": {"$other": {"type": "integer"}}}],
        "$defs": {"uid": {"type": "object", "properties": {"$id$": {"type": "integer"}}, "required": ["$id$"]}}
    });
    let published = input(&source);
    let schema = &published.schema;
    let names: Vec<_> = schema["properties"].as_object().unwrap().keys().collect();
    assert_eq!(
        names,
        ["StartTime_lt", "uids", "filter", "projects.any", "other"]
    );
    assert_eq!(schema["required"], json!(["StartTime_lt", "uids"]));
    assert_eq!(
        schema["dependentRequired"],
        json!({"filter": ["StartTime_lt"]})
    );
    assert_eq!(
        schema["dependentSchemas"]["uids"]["required"],
        json!(["filter"])
    );
    assert_eq!(schema.get("propertyNames"), None);
    assert_eq!(schema["properties"]["filter"]["default"], json!({"x": "1"}));
    assert_eq!(
        schema["properties"]["uids"]["items"]["required"],
        json!(["id"])
    );
    assert_eq!(
        schema["properties"]["StartTime_lt"]["description"],
        "Before The server calls it `StartTime<`."
    );
    assert_eq!(published.warnings.len(), 1, "{:?}", published.warnings);
    assert!(published.warnings[0].contains("`$filter` as `filter`"));
    // In mcpo's style, and if all names are valid, nothing is renamed.
    let of_mcpo = publish_input(&source, "b.t", SchemaFlavor::MCPO);
    assert!(of_mcpo.schema["properties"].get("$filter").is_some() && of_mcpo.warnings.is_empty());
}

#[test]
fn names_are_published_as_others_in_components_too() {
    let source = json!({
        "type": "object",
        "properties": {"tree": {"$ref": "#/$defs/node"}},
        "$defs": {"node": {"type": "object", "properties": {"sub[]": {"type": "array", "items": {"$ref": "#/$defs/node"}}}}}
    });
    let published = input(&source);
    let text = json!([
        published.schema,
        published
            .components
            .iter()
            .map(|it| &it.1)
            .collect::<Vec<_>>()
    ])
    .to_string();
    assert!(
        !text.contains("\"sub[]\":") && text.contains("\"sub\":"),
        "{text}"
    );
}

#[test]
fn contradictions_are_published_loosened_and_told() {
    let source = json!({"type": "object", "properties": {
        "x": {"type": "array", "enum": ["A", "B"], "items": {"type": "string"}},
        "y": {"anyOf": [{"type": "string", "enum": ["A"]}, {"type": "null", "enum": ["A"]}]}
    }});
    let published = input(&source);
    assert_eq!(
        published.schema["properties"],
        json!({
            "x": {"type": "array", "items": {"type": "string", "enum": ["A", "B"]}},
            "y": {"anyOf": [{"type": "string", "enum": ["A"]}, {"type": "null"}]}
        })
    );
    assert_eq!(published.warnings.len(), 2, "{:?}", published.warnings);
}

/// Builds nested objects with this many levels.
fn nested(levels: usize) -> Value {
    (0..levels).fold(json!({"type": "string"}), |inner, level| {
        json!({"type": "object", "description": format!("level {level}"), "properties": {"p": inner}, "required": ["p"]})
    })
}

#[test]
fn what_nests_too_deeply_is_published_without_details() {
    let fine = nested(11);
    let published = input(&fine);
    assert_eq!(published.schema, fine);
    assert!(published.warnings.is_empty());
    let published = input(&nested(20));
    let deepest = published
        .schema
        .pointer(&"/properties/p".repeat(11))
        .unwrap();
    assert_eq!(
        *deepest,
        json!({"type": "object", "description": "level 8"})
    );
    assert_eq!(published.warnings.len(), 1, "{:?}", published.warnings);
    let lists = (0..20).fold(
        json!({"type": "string"}),
        |inner, _| json!({"type": "array", "items": inner}),
    );
    let published = input(&json!({"type": "object", "properties": {"p": lists}}));
    let deepest = published
        .schema
        .pointer(&format!("/properties/p{}", "/items".repeat(10)))
        .unwrap();
    assert_eq!(*deepest, json!({"type": "array", "items": {}}));
    let unions = (0..30).fold(
        json!({"type": "string"}),
        |inner, _| json!({"oneOf": [inner, {"type": "integer"}]}),
    );
    let published = input(&json!({"type": "object", "properties": {"p": unions}}));
    assert_eq!(published.warnings.len(), 1, "{:?}", published.warnings);
}

#[test]
fn what_is_too_large_is_published_with_fewer_levels() {
    let wide = |inner: &Value| -> Value {
        let properties: Map<_, _> = (0..20)
            .map(|it| (format!("property_{it}"), inner.clone()))
            .collect();
        json!({"type": "object", "properties": properties})
    };
    let leaf = json!({"type": "string", "description": "So it goes"});
    let source = wide(&wide(&wide(&leaf)));
    assert!(source.to_string().len() > 200_000);
    let published = input(&source);
    let size = published.schema.to_string().len();
    assert!(size < 128 << 10, "{size}");
    assert_eq!(
        published.schema["properties"].as_object().unwrap().len(),
        20
    );
    assert!(
        published
            .warnings
            .iter()
            .any(|it| it.contains("more than model providers accept")),
        "{:?}",
        published.warnings
    );
}
