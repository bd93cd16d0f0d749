//! Tests of contradictions that are loosened, and of satisfiable schemas that stay.

use serde_json::{Value, json};

use super::loosen;

/// Returns the loosened schema and the notes.
fn loosened(schema: &Value) -> (Value, Vec<String>) {
    let mut schema = schema.clone();
    let mut notes = Vec::new();
    loosen(&mut schema, &mut notes);
    (schema, notes)
}

#[expect(clippy::too_many_lines, reason = "a table")]
#[test]
fn what_nothing_could_satisfy_is_loosened_and_told() {
    let cases = [
        // Values of a type that differs from the schema's own.
        (
            json!({"type": "array", "enum": ["A", "B"], "items": {"type": "string"}}),
            json!({"type": "array", "items": {"type": "string", "enum": ["A", "B"]}}),
        ),
        (
            json!({"type": "array", "const": "A"}),
            json!({"type": "array", "items": {"enum": ["A"]}}),
        ),
        (
            json!({"type": ["array", "null"], "enum": ["A", null], "items": true}),
            json!({"type": ["array", "null"], "items": {"enum": ["A"]}}),
        ),
        (
            json!({"type": "array", "enum": ["A"], "items": {"type": "integer"}}),
            json!({"type": "array", "items": {"type": "integer"}}),
        ),
        (
            json!({"type": "array", "enum": ["A"], "items": {"$ref": "#/$defs/x"}}),
            json!({"type": "array", "items": {"$ref": "#/$defs/x"}}),
        ),
        (
            json!({"type": "null", "enum": ["A"]}),
            json!({"type": "null"}),
        ),
        (
            json!({"type": "object", "const": 1}),
            json!({"type": "object"}),
        ),
        (
            json!({"type": "integer", "enum": ["1", 2]}),
            json!({"type": "integer", "enum": [2]}),
        ),
        (
            json!({"type": "integer", "enum": ["1", "2"]}),
            json!({"type": "integer"}),
        ),
        (
            json!({"type": "boolean", "enum": []}),
            json!({"type": "boolean"}),
        ),
        (json!({"enum": ["a"], "const": "b"}), json!({"enum": ["a"]})),
        // Bounds.
        (json!({"minimum": 5, "maximum": 1}), json!({})),
        (
            json!({"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 1}),
            json!({"type": "integer"}),
        ),
        (
            json!({"minimum": 1, "exclusiveMinimum": true, "maximum": 1}),
            json!({}),
        ),
        (
            json!({"minimum": 1, "maximum": 2, "multipleOf": 5}),
            json!({"minimum": 1, "maximum": 2}),
        ),
        (
            json!({"type": "string", "minLength": 3, "maxLength": 2}),
            json!({"type": "string"}),
        ),
        (
            json!({"type": "array", "minItems": 3, "maxItems": 2}),
            json!({"type": "array"}),
        ),
        (json!({"minProperties": 3, "maxProperties": 2}), json!({})),
        (
            json!({"type": "string", "enum": ["a"], "minLength": 2}),
            json!({"type": "string", "enum": ["a"]}),
        ),
        (
            json!({"prefixItems": [{}, {}], "items": false, "minItems": 3}),
            json!({"prefixItems": [{}, {}], "items": false}),
        ),
        // Properties.
        (
            json!({"properties": {"a": {}}, "required": ["a", "b"], "additionalProperties": false}),
            json!({"properties": {"a": {}}, "required": ["a"], "additionalProperties": false}),
        ),
        (
            json!({"properties": {"a": false}, "required": ["a"]}),
            json!({"properties": {"a": false}, "required": []}),
        ),
        (
            json!({"properties": {"a": {}}, "dependentRequired": {"a": ["b"]}, "additionalProperties": false}),
            json!({"properties": {"a": {}}, "dependentRequired": {"a": []}, "additionalProperties": false}),
        ),
        (
            json!({"properties": {"a": {}}, "minProperties": 2, "unevaluatedProperties": false}),
            json!({"properties": {"a": {}}, "unevaluatedProperties": false}),
        ),
        (
            json!({"required": ["a", "b"], "maxProperties": 1}),
            json!({"required": ["a", "b"]}),
        ),
        // Defaults.
        (
            json!({"enum": ["a"], "default": "b"}),
            json!({"enum": ["a"]}),
        ),
        (
            json!({"type": "integer", "default": "5"}),
            json!({"type": "integer"}),
        ),
        (
            json!({"type": "integer", "minimum": 5, "default": 1}),
            json!({"type": "integer", "minimum": 5}),
        ),
        // Alternatives.
        (
            json!({"properties": {"p": {"type": "string", "anyOf": [{"type": "integer"}, {"type": "null"}]}}}),
            json!({"properties": {"p": {"anyOf": [{"type": "integer"}, {"type": "null"}]}}}),
        ),
        (
            json!({"type": "object", "anyOf": [{"type": "string"}]}),
            json!({"type": "object"}),
        ),
        (
            json!({"oneOf": [{"type": "string", "format": "uri"}, {"type": "string", "title": "b"}]}),
            json!({"anyOf": [{"type": "string", "format": "uri"}, {"type": "string", "title": "b"}]}),
        ),
    ];
    for (schema, expected) in cases {
        let (changed, notes) = loosened(&schema);
        assert_eq!(changed, expected, "{schema}");
        assert_eq!(notes.len(), 1, "{schema}: {notes:?}");
        let (again, notes) = loosened(&changed);
        assert_eq!((again, notes), (changed, Vec::new()), "{schema}");
    }
}

#[test]
fn what_can_be_satisfied_stays_as_it_is() {
    let cases = [
        json!({"type": ["string", "null"], "enum": ["a", null]}),
        json!({"type": "string", "nullable": true, "enum": ["a", null]}),
        json!({"type": "array", "enum": [["a"], ["b"]], "items": {"type": "string"}}),
        json!({"type": ["array", "string"], "enum": ["a"]}),
        json!({"type": "integer", "enum": [1.0]}),
        json!({"type": "whatever", "enum": ["a"]}),
        json!({"type": [], "enum": ["a"]}),
        json!({"minimum": 1, "maximum": 1}),
        json!({"minimum": 0.5, "maximum": 0.6}),
        json!({"minimum": 0, "maximum": 0.3, "multipleOf": 0.1}),
        json!({"minimum": "5", "maximum": 1}),
        json!({"required": ["b"], "properties": {"a": {}}}),
        json!({"required": ["b"], "patternProperties": {"^b": {}}, "additionalProperties": false}),
        json!({"allOf": [{"properties": {"b": {}}}], "required": ["b"], "unevaluatedProperties": false}),
        json!({"type": "string", "default": null}),
        json!({"oneOf": [{"type": "string"}, {"type": "integer"}]}),
        json!({"type": "object", "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}),
        // Values, not schemas.
        json!({"default": {"minimum": 5, "maximum": 1}, "examples": [{"enum": []}]}),
    ];
    for schema in cases {
        let (changed, notes) = loosened(&schema);
        assert_eq!(changed, schema);
        assert!(notes.is_empty(), "{schema}: {notes:?}");
    }
}

#[test]
fn every_place_is_found_and_some_are_told() {
    let bad = json!({"type": "null", "enum": ["A"]});
    let good = json!({"type": "null"});
    let holding = |it: &Value| {
        json!({
            "properties": {"a": {"items": it}, "b": {"anyOf": [{"type": "string"}, it]}},
            "additionalProperties": it, "not": it, "$defs": {"c": it}, "definitions": {"d": it},
            "prefixItems": [it], "dependencies": {"e": it, "f": ["g"]}, "then": it
        })
    };
    let (changed, notes) = loosened(&holding(&bad));
    assert_eq!(changed, holding(&good));
    assert_eq!(notes.len(), 9);
    assert!(
        notes[0].starts_with("`a.items`: `enum` has no value"),
        "{}",
        notes[0]
    );
    let many: serde_json::Map<_, _> = (0..30).map(|it| (format!("p{it}"), bad.clone())).collect();
    let (_, notes) = loosened(&json!({ "properties": many }));
    assert_eq!(notes.len(), 11);
    assert!(notes[10].contains("20 more places"), "{}", notes[10]);
}
