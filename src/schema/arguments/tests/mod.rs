//! Tests of bodies against recorded results of mcpo, of real servers' schemas, and of absurd schemas.

use serde_json::{Value, json};

use super::{types::same, *};

mod field;
mod golden;
mod hostile;
mod native;
mod properties;

/// Compiles one schema without a budget.
fn compile_alone(schema: &Value) -> (ArgumentSchema, Vec<String>) {
    ArgumentSchema::compile(schema, &mut u64::MAX.clone(), SchemaFlavor::MCPO)
}

/// Accepts a body for a tool with some properties. Errors read `type loc`.
fn accept(schema: &Value, body: &str) -> Result<Value, Vec<String>> {
    let (schema, _) = compile_alone(schema);
    schema
        .accept(body.as_bytes(), CheckEffort::Full)
        .map(Value::Object)
        .map_err(|refusal| match refusal {
            ArgumentError::InvalidJson { said, .. } => vec![said],
            ArgumentError::TooCostly | ArgumentError::TooManyValues(_) => vec![refusal.to_string()],
            ArgumentError::Invalid { details, .. } => details
                .iter()
                .map(|detail| format!("{} {}", detail.kind, Value::from(detail.loc.clone())))
                .collect(),
        })
}

/// Settles one argument `a` of a schema; `None` if it is rejected.
fn argument(schema: &Value, value: &Value) -> Option<Value> {
    let schema = json!({"type": "object", "properties": {"a": schema}});
    let accepted = accept(&schema, &json!({ "a": value }).to_string()).ok()?;
    Some(accepted.get("a").cloned().unwrap_or(json!("absent")))
}

#[test]
fn values_are_converted_as_pydantic_does() {
    let (int, num, bool) = (
        json!({"type": "integer"}),
        json!({"type": "number"}),
        json!({"type": "boolean"}),
    );
    let list = json!({"type": "array", "items": {"type": "integer"}});
    let cases = [
        (&int, json!("+7"), Some(json!(7))),
        (&int, json!("-7"), Some(json!(-7))),
        (&int, json!("7.00"), Some(json!(7))),
        (&int, json!("7.5"), None),
        (&int, json!("1__0"), None),
        (&int, json!("_1"), None),
        (&int, json!(""), None),
        (&int, json!("1e3"), None),
        (&int, json!("0x10"), None),
        (&int, json!(-3.0), Some(json!(-3))),
        (
            &int,
            json!("18446744073709551615"),
            Some(json!(18_446_744_073_709_551_615_u64)),
        ),
        (&int, json!("18446744073709551616"), None),
        (&int, json!([1]), None),
        (&num, json!("1e3"), Some(json!(1000.0))),
        (&num, json!(" 1.5 "), Some(json!(1.5))),
        (&num, json!("nan"), None),
        (&num, json!("inf"), None),
        (&num, json!("1e400"), None),
        (&num, json!(2.0), Some(json!(2.0))),
        (&num, json!(false), Some(json!(0))),
        (&bool, json!("Yes"), Some(json!(true))),
        (&bool, json!("OFF"), Some(json!(false))),
        (&bool, json!(0.0), Some(json!(false))),
        (&bool, json!("maybe"), None),
        (&list, json!("[1, \"2\"]"), Some(json!([1, 2]))),
        (&list, json!("[1"), None),
        (&list, json!("1"), None),
        (&list, json!("[12345678901234567890123]"), None),
    ];
    for (schema, value, expected) in cases {
        assert_eq!(argument(schema, &value), expected, "{value} for {schema}");
    }
}

#[test]
fn unions_take_a_value_as_it_is_before_they_convert_it() {
    let cases = [
        (
            json!({"anyOf": [{"type": "integer"}, {"type": "string"}]}),
            json!("5"),
            Some(json!("5")),
        ),
        (
            json!({"anyOf": [{"type": "integer"}, {"type": "null"}]}),
            json!("5"),
            Some(json!(5)),
        ),
        (
            json!({"anyOf": [{"type": "integer"}, {"type": "null"}]}),
            json!(5.0),
            Some(json!(5)),
        ),
        (
            json!({"anyOf": [{"type": "integer"}, {"type": "null"}]}),
            json!(null),
            Some(json!(null)),
        ),
        (
            json!({"anyOf": [{"enum": ["x"], "type": "string"}, {"type": "integer"}]}),
            json!("5"),
            Some(json!(5)),
        ),
        (
            json!({"anyOf": [{"type": "integer", "minimum": 10}, {"type": "boolean"}]}),
            json!("1"),
            Some(json!(true)),
        ),
        (
            json!({"oneOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "integer"}]}),
            json!(["1"]),
            Some(json!([1])),
        ),
        (
            json!({"type": ["integer", "string"]}),
            json!("5"),
            Some(json!("5")),
        ),
        (
            json!({"type": ["array", "null"], "items": {"type": "number"}}),
            json!("[\"1.5\"]"),
            Some(json!([1.5])),
        ),
        (json!({"enum": [1, 2]}), json!("2"), Some(json!(2))),
        (json!({"enum": [1, 2]}), json!("3"), None),
        (json!({"const": true}), json!("yes"), Some(json!(true))),
        (
            json!({"type": "string"}),
            json!(null),
            Some(json!("absent")),
        ),
        (
            json!({"type": "integer", "enum": [1], "default": 1}),
            json!(null),
            Some(json!(1)),
        ),
        (json!(false), json!(null), Some(json!("absent"))),
        (json!(true), json!("5"), Some(json!("5"))),
        (
            json!({"allOf": [{"type": "integer"}, {"minimum": 3}]}),
            json!("3"),
            Some(json!(3)),
        ),
        (
            json!({"allOf": [{"type": "integer"}, {"minimum": 3}]}),
            json!("2"),
            None,
        ),
    ];
    for (schema, value, expected) in cases {
        assert_eq!(argument(&schema, &value), expected, "{value} for {schema}");
    }
}

#[test]
fn objects_find_their_branch() {
    let tagged = json!({"anyOf": [
        {"type": "object", "properties": {"kind": {"const": "a"}, "n": {"type": "integer", "default": 1}}, "required": ["kind"]},
        {"type": "object", "properties": {"kind": {"const": "b"}, "n": {"type": "integer", "default": 2}}, "required": ["kind"]},
    ]});
    assert_eq!(
        argument(&tagged, &json!({"kind": "b"})),
        Some(json!({"kind": "b", "n": 2}))
    );
    assert_eq!(
        argument(&tagged, &json!({"kind": "b", "n": "5"})),
        Some(json!({"kind": "b", "n": 5}))
    );
    assert_eq!(
        argument(&tagged, &json!("{\"kind\":\"a\"}")),
        Some(json!({"kind": "a", "n": 1}))
    );
    assert_eq!(argument(&tagged, &json!({"kind": "c"})), None);
    // The unchanged value fits the second branch; the first one would have to convert it.
    let digits = json!({"anyOf": [{"type": "integer"}, {"type": "string", "pattern": "^[0-9]+$"}]});
    assert_eq!(argument(&digits, &json!("5")), Some(json!("5")));
    let flags = json!({"anyOf": [
        {"type": "object", "properties": {"n": {"type": "integer"}}},
        {"type": "object", "properties": {"n": {"type": "string"}}},
    ]});
    assert_eq!(
        argument(&flags, &json!({"n": "5"})),
        Some(json!({"n": "5"}))
    );
}

#[test]
fn references_are_followed_in_every_form() {
    let schema = json!({
        "type": "object",
        "properties": {
            "node": {"$ref": "#/$defs/Node"},
            "old": {"$ref": "#/definitions/a%20b~1c"},
            "same": {"$ref": "#/properties/old"},
            "pair": {"type": "array", "items": [{"type": "integer"}, {"type": "boolean"}], "additionalItems": {"type": "number"}},
            "loop": {"$ref": "#/properties/loop"},
            "gone": {"$ref": "#/$defs/Gone"},
            "far": {"$ref": "https://example.com/schema.json"}
        },
        "$defs": {"Node": {"type": "object", "properties": {
            "v": {"type": "integer", "default": 0}, "next": {"$ref": "#/$defs/Node"},
            "either": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "integer"}]}
        }}},
        "definitions": {"a b/c": {"type": "boolean"}}
    });
    let body = r#"{"node": {"next": {"v": "3", "next": {}}, "either": {"v": "1"}}, "old": "no", "same": 1,
        "pair": ["1", "true", "2.5"], "gone": "1", "far": "1", "loop": 1}"#;
    for draft in [
        None,
        Some("http://json-schema.org/draft-07/schema#"),
        Some("https://example.com/unknown"),
    ] {
        let mut schema = schema.clone();
        if let Some(draft) = draft {
            schema["$schema"] = json!(draft);
        }
        let expected = json!({
            "node": {"next": {"v": 3, "next": {"v": 0}}, "v": 0, "either": {"v": 1}},
            "old": false, "same": true, "pair": [1, true, 2.5], "gone": "1", "far": "1", "loop": 1
        });
        assert_eq!(accept(&schema, body), Ok(expected), "{draft:?}");
        let (_, warnings) = compile_alone(&schema);
        assert_eq!(
            warnings,
            [
                "the reference `#/$defs/Gone` has no target and is ignored",
                "the reference `https://example.com/schema.json` has no target and is ignored",
            ]
        );
    }
}

#[test]
fn broken_schemas_keep_what_makes_sense() {
    let any = ["null", "true", "false", "[]", r#"{"type":"string"}"#];
    for schema in any {
        let (schema, warnings) = compile_alone(&serde_json::from_str(schema).unwrap());
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert_eq!(
            schema.accept(br#"{"x":null}"#, CheckEffort::Full),
            Ok(Map::from_iter([("x".to_owned(), Value::Null)]))
        );
    }
    let cases = [
        (
            json!({"properties": {"a": {"type": "integer"}}, "required": null}),
            "/required",
        ),
        (json!({"type": "object", "properties": null}), "/properties"),
        (
            json!({"properties": {"a": {"type": "integer"}, "b": {"type": "string", "pattern": "(["}}}),
            "/properties/b/pattern",
        ),
        (
            json!({"properties": {"a": {"type": "integer"}, "b": {"type": "any"}}}),
            "/properties/b/type",
        ),
        (
            json!({"properties": {"a": {"type": "integer"}, "b": {"anyOf": []}}}),
            "/properties/b/anyOf",
        ),
        (
            json!({"properties": {"a": {"type": "integer", "minimum": "1"}}}),
            "/properties/a/minimum",
        ),
        (
            json!({"properties": {"a": {"type": "integer", "required": true}}}),
            "/properties/a/required",
        ),
        (
            json!({"properties": {"a": {"type": "integer"}, "b": {"items": {"enum": "x"}}}}),
            "/properties/b/items/enum",
        ),
        (
            json!({"properties": {"a": {"type": "integer"}}, "patternProperties": {"(": {}}}),
            "/patternProperties/(",
        ),
    ];
    for (schema, place) in cases {
        let (compiled, warnings) = compile_alone(&schema);
        assert!(
            warnings.len() == 1
                && warnings[0].starts_with(&format!("`{place}` of the input schema is ignored: ")),
            "{schema}: {warnings:?}"
        );
        if schema["properties"]["a"].is_object() {
            assert_eq!(
                compiled
                    .accept(br#"{"a":"1"}"#, CheckEffort::Full)
                    .map(Value::Object),
                Ok(json!({"a": 1})),
                "{schema}"
            );
        }
    }
}

#[test]
fn defaults_never_make_arguments_invalid() {
    let schema = json!({
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "integer", "default": 1}, "c": {"type": "string", "default": null}},
        "not": {"required": ["a", "b"]}
    });
    assert_eq!(accept(&schema, r#"{"a":"x"}"#), Ok(json!({"a": "x"})));
    assert_eq!(accept(&schema, "{}"), Ok(json!({"b": 1})));
    assert_eq!(
        accept(&schema, r#"{"a":"x","b":1}"#),
        Err(vec![r#"value_error ["body"]"#.to_owned()])
    );
}

#[test]
fn arguments_may_be_wrapped() {
    let plain = json!({"type": "object", "properties": {"n": {"type": "integer"}}});
    assert_eq!(
        accept(&plain, r#"{"arguments":{"n":"1"}}"#),
        Ok(json!({"n": 1}))
    );
    assert_eq!(
        accept(&plain, r#"{"arguments":{"n":1},"name":"x"}"#),
        Ok(json!({"n": 1}))
    );
    assert_eq!(
        accept(&plain, r#"{"arguments":[1]}"#),
        Ok(json!({"arguments": [1]}))
    );
    assert_eq!(
        accept(&plain, r#"{"arguments":{"n":"x"}}"#),
        Err(vec![r#"int_parsing ["body","n"]"#.to_owned()])
    );
    let own = json!({
        "type": "object",
        "properties": {"arguments": {"type": "object"}, "name": {"type": "string"}},
        "required": ["arguments", "name"]
    });
    let call = json!({"arguments": {"k": 1}, "name": "x"});
    assert_eq!(accept(&own, &call.to_string()), Ok(call.clone()));
    assert_eq!(
        accept(&own, &json!({ "arguments": call }).to_string()),
        Ok(call)
    );
    assert_eq!(
        accept(&own, r#"{"arguments":{}}"#),
        Err(vec![r#"missing ["body","name"]"#.to_owned()])
    );
    assert_eq!(accept(&plain, r#""{\"n\": 1}""#), Ok(json!({"n": 1})));
}

#[test]
fn bodies_without_json_say_where() {
    let schema = json!({"type": "object", "properties": {"n": {}, "s": {"type": "string"}}});
    let deep = format!("{{\"n\":{}{}}}", "[".repeat(500), "]".repeat(500));
    let cases = [
        (
            "{\"n\":}",
            Err("the body is not valid JSON: expected value at line 1 column 6"),
        ),
        (
            "{\"n\":1",
            Err("the body is not valid JSON: EOF while parsing an object at line 1 column 6"),
        ),
        (
            "{\"n\":1}x",
            Err("the body is not valid JSON: trailing characters at line 1 column 8"),
        ),
        (
            &deep,
            Err("the body is nested too deeply, at most 128 levels are read at line 1 column 132"),
        ),
        (
            "{\"n\":18446744073709551616}",
            Err(r#"int_parsing_size ["body","n"]"#),
        ),
        (
            "{\"n\":[-9223372036854775809]}",
            Err(r#"int_parsing_size ["body","n",0]"#),
        ),
        ("{\"n\":1000000000000000000000000}", Ok(json!({"n": 1e24}))),
        (
            "{\"s\":\"18446744073709551616\"}",
            Ok(json!({"s": "18446744073709551616"})),
        ),
        ("{\"n\":18446744073709551615}", Ok(json!({"n": u64::MAX}))),
        (" ", Ok(json!({}))),
        ("null", Ok(json!({}))),
    ];
    for (body, expected) in cases {
        let expected = expected.map_err(|message: &str| vec![message.to_owned()]);
        assert_eq!(accept(&schema, body), expected, "{body:.60}");
    }
}

#[test]
fn refusals_stay_readable() {
    let schema = json!({"type": "object", "properties": {
        "l": {"type": "array", "items": {"type": "integer"}},
        "s": {"type": "integer"},
        "o": {"type": "integer"}
    }});
    let (compiled, _) = compile_alone(&schema);
    let body =
        json!({"l": vec!["x"; 100], "s": "é".repeat(10_000), "o": {"k": "v".repeat(10_000)}});
    let refusal = compiled
        .accept(body.to_string().as_bytes(), CheckEffort::Full)
        .unwrap_err();
    let detail = refusal.detail();
    assert_eq!(
        (refusal.code().status(), refusal.code().as_str()),
        (422, "invalid_arguments")
    );
    assert_eq!(detail.as_array().unwrap().len(), 20);
    assert!(detail.to_string().len() < 6_000, "{detail}");
    assert_eq!(detail[0]["loc"], json!(["body", "s"]));
    assert!(detail[0]["input"].as_str().unwrap().ends_with("é…"));
    assert!(
        detail[1]["input"]
            .as_str()
            .unwrap()
            .starts_with("{\"k\":\"vv")
    );
}

#[test]
fn every_keyword_has_words() {
    let schema = json!({"type": "object", "additionalProperties": false, "properties": {
        "i": {"type": "integer", "exclusiveMinimum": 0, "multipleOf": 5},
        "n": {"type": "number", "minimum": 1, "exclusiveMaximum": 2},
        "s": {"type": "string", "minLength": 3, "pattern": "^a"},
        "l": {"type": "array", "maxItems": 1, "uniqueItems": true},
        "o": {"type": "object", "minProperties": 1, "propertyNames": {"maxLength": 1}},
        "b": {"type": "boolean"},
        "t": {"type": ["integer", "boolean", "null"]},
        "u": {"oneOf": [{"type": "integer"}, {"type": "number"}]},
        "c": {"type": "array", "contains": {"const": 1}},
        "m": {"type": "array", "items": {"$ref": "#/$defs/M"}}
    }, "$defs": {"M": {"anyOf": [{"type": "null"}, {"type": "object", "title": "Em", "required": ["k"]}, {"$ref": "#/$defs/N"}]},
        "N": {"type": "integer"}}});
    let body = json!({"i": -3, "n": 0.5, "s": "b", "l": [1, 1], "o": {}, "b": "perhaps", "t": "x", "u": 1,
        "c": [], "m": [{}], "z": 1});
    let (compiled, _) = compile_alone(&schema);
    let refusal = compiled
        .accept(body.to_string().as_bytes(), CheckEffort::Full)
        .unwrap_err();
    let lines: Vec<String> = refusal
        .detail()
        .as_array()
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}
