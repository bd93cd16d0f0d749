//! Tests of corrections under mcp-bridge's own conventions, and of what mcpo's conventions reject.

use serde_json::json;

use super::*;

/// Accepts a body under mcp-bridge's own conventions.
fn accept(schema: &Value, body: &str) -> Option<Value> {
    let compiled = ArgumentSchema::compile(schema, &mut u64::MAX.clone(), SchemaFlavor::NATIVE).0;
    let accepted = compiled.accept(body.as_bytes(), CheckEffort::Full);
    if let Ok(arguments) = &accepted {
        let again = serde_json::to_vec(arguments).unwrap();
        assert_eq!(
            compiled.accept(&again, CheckEffort::Full),
            accepted,
            "{body}"
        );
    }
    accepted.ok().map(Value::Object)
}

/// Returns the argument `a` after settling, for JSON text; `absent` if it is not sent.
fn argument(schema: &Value, text: &str) -> Option<Value> {
    let schema = json!({"type": "object", "properties": {"a": schema}});
    let accepted = accept(&schema, &format!("{{\"a\": {text}}}"))?;
    Some(accepted.get("a").cloned().unwrap_or(json!("absent")))
}

/// The same under mcpo's conventions.
fn argument_of_mcpo(schema: &Value, text: &str) -> Option<Value> {
    let schema = json!({"type": "object", "properties": {"a": schema}});
    let accepted = super::accept(&schema, &format!("{{\"a\": {text}}}")).ok()?;
    Some(accepted.get("a").cloned().unwrap_or(json!("absent")))
}

#[test]
fn a_number_for_a_text_is_written_with_its_digits() {
    let text = json!({"type": "string"});
    let optional = json!({"anyOf": [{"type": "string"}, {"type": "null"}]});
    let texts = json!({"type": "array", "items": {"type": "string"}});
    let cases = [
        (&text, "5643763743", Some(json!("5643763743"))),
        (&text, "-7", Some(json!("-7"))),
        (&text, "1.10", Some(json!("1.10"))),
        (&text, "1e3", Some(json!("1e3"))),
        (&text, "1.5", Some(json!("1.5"))),
        (
            &text,
            "12345678901234567890123",
            Some(json!("12345678901234567890123")),
        ),
        (&optional, "1.10", Some(json!("1.10"))),
        (
            &optional,
            "12345678901234567890123",
            Some(json!("12345678901234567890123")),
        ),
        (&texts, "[1, 2.50, \"x\"]", Some(json!(["1", "2.50", "x"]))),
        (
            &texts,
            "[12345678901234567890123]",
            Some(json!(["12345678901234567890123"])),
        ),
        (&text, "true", None),
        (&text, "[1]", None),
    ];
    for (schema, sent, expected) in cases {
        assert_eq!(argument(schema, sent), expected, "{sent} for {schema}");
        assert_eq!(argument_of_mcpo(schema, sent), None, "{sent} for {schema}");
    }
    let kept = [
        (json!({"type": ["string", "integer"]}), "5", Some(json!(5))),
        (
            json!({"anyOf": [{"type": "number"}, {"type": "string"}]}),
            "1.10",
            Some(json!(1.1)),
        ),
        (
            json!({"type": "string", "enum": ["1", "2"]}),
            "2",
            Some(json!("2")),
        ),
        (json!({"type": "string", "enum": ["1", "2"]}), "3", None),
        (json!({"type": "string", "minLength": 3}), "12", None),
        (json!({"type": "integer"}), "12345678901234567890123", None),
        (json!({}), "12345678901234567890123", None),
        (
            json!({"type": ["string", "integer"]}),
            "12345678901234567890123",
            None,
        ),
    ];
    for (schema, sent, expected) in kept {
        assert_eq!(argument(&schema, sent), expected, "{sent} for {schema}");
    }
    let wrapped = accept(
        &json!({"type": "object", "properties": {"a": text}}),
        "{\"arguments\": {\"a\": 12345678901234567890123}}",
    );
    assert_eq!(wrapped, Some(json!({"a": "12345678901234567890123"})));
}

#[test]
fn an_empty_text_is_nothing_where_no_text_can_be() {
    let cases = [
        (
            json!({"anyOf": [{"type": "integer"}, {"type": "null"}]}),
            Some(json!(null)),
        ),
        (json!({"type": ["number", "null"]}), Some(json!(null))),
        (json!({"type": "integer"}), Some(json!("absent"))),
        (json!({"type": "integer", "default": 3}), Some(json!(3))),
        (json!({"type": "boolean"}), Some(json!("absent"))),
        (
            json!({"type": "array", "items": {"type": "string"}}),
            Some(json!("absent")),
        ),
        (json!({"type": "string"}), Some(json!(""))),
        (
            json!({"anyOf": [{"type": "integer"}, {"type": "string"}]}),
            Some(json!("")),
        ),
        (json!({}), Some(json!(""))),
    ];
    for (schema, expected) in cases {
        assert_eq!(argument(&schema, "\"\""), expected, "{schema}");
    }
    assert_eq!(
        argument(&json!({"type": "integer"}), "\"  \""),
        Some(json!("absent"))
    );
    assert_eq!(argument_of_mcpo(&json!({"type": "integer"}), "\"\""), None);
    for kind in ["integer", "array"] {
        let required =
            json!({"type": "object", "properties": {"a": {"type": kind}}, "required": ["a"]});
        assert_eq!(accept(&required, "{\"a\": \"\"}"), None, "{kind}");
    }
}

#[test]
fn one_value_is_a_list_of_one_where_the_items_take_it() {
    let texts = json!({"type": "array", "items": {"type": "string"}});
    let optional = json!({"anyOf": [texts, {"type": "null"}]});
    let objects = json!({"type": "array", "items": {"type": "object", "properties": {"n": {"type": "integer"}}}});
    let numbers = json!({"type": "array", "items": {"type": "integer"}});
    let cases = [
        (&texts, "\"bug\"", Some(json!(["bug"]))),
        (&optional, "\"bug\"", Some(json!(["bug"]))),
        (&texts, "\"[\\\"a\\\"]\"", Some(json!(["a"]))),
        (&texts, "\"[broken\"", None),
        (&texts, "5", Some(json!(["5"]))),
        (&texts, "{\"a\": 1}", None),
        (&objects, "{\"n\": \"1\"}", Some(json!([{"n": 1}]))),
        (&objects, "\"{\\\"n\\\": 1}\"", Some(json!([{"n": 1}]))),
        (&objects, "\"bug\"", None),
        (&numbers, "5", Some(json!([5]))),
        (&numbers, "\"5\"", None),
        (&texts, "null", Some(json!("absent"))),
    ];
    for (schema, sent, expected) in cases {
        assert_eq!(argument(schema, sent), expected, "{sent} for {schema}");
    }
    let kept = [
        (
            json!({"anyOf": [{"type": "string"}, texts]}),
            "\"a\"",
            Some(json!("a")),
        ),
        (
            json!({"type": "array", "items": {"type": "string"}, "minItems": 2}),
            "\"a\"",
            None,
        ),
        (
            json!({"type": "array", "prefixItems": [{"type": "string"}]}),
            "\"a\"",
            None,
        ),
        (
            json!({"type": "array", "items": {"enum": ["a"]}}),
            "\"b\"",
            None,
        ),
    ];
    for (schema, sent, expected) in kept {
        assert_eq!(argument(&schema, sent), expected, "{sent} for {schema}");
    }
    assert_eq!(argument_of_mcpo(&texts, "\"bug\""), None);
}

#[test]
fn published_names_come_back_as_the_servers_own() {
    let schema = json!({
        "type": "object",
        "properties": {
            "StartTime<": {"type": "string"},
            "uids[]": {"type": "array", "items": {"$ref": "#/$defs/uid"}},
            "filter": {"type": "string"},
            "$filter": {"anyOf": [{"type": "object", "properties": {"@x": {"type": "integer"}}}, {"type": "null"}]},
            "free": {"type": "object"}
        },
        "required": ["StartTime<"],
        "allOf": [{"if": {"required": ["filter"]}, "then": {"properties": {"$only": {"type": "string"}}}}],
        "$defs": {"uid": {"type": "object", "properties": {"$id$": {"type": "integer"}}, "required": ["$id$"]}}
    });
    let accept = |body: Value| accept(&schema, &body.to_string());
    let own = json!({"StartTime<": "x", "uids[]": [{"$id$": 1}], "$filter": {"@x": 2}});
    assert_eq!(accept(own.clone()), Some(own.clone()));
    let published = json!({"StartTime_lt": "x", "uids": [{"id": "1"}], "filter_2": {"x": 2}});
    assert_eq!(accept(published.clone()), Some(own.clone()));
    assert_eq!(accept(json!({"arguments": published})), Some(own));
    // Inside a JSON string, one value for a list, and a name that only a condition defines.
    assert_eq!(
        accept(
            json!({"StartTime_lt": "x", "uids": "[{\"id\": 1}]", "filter_2": "{\"x\": 2}", "only": "y"})
        ),
        Some(
            json!({"StartTime<": "x", "uids[]": [{"$id$": 1}], "$filter": {"@x": 2}, "$only": "y"})
        )
    );
    assert_eq!(
        accept(json!({"StartTime<": "x", "uids": {"id": 1}})),
        Some(json!({"StartTime<": "x", "uids[]": [{"$id$": 1}]}))
    );
    // Unpublished names stay, and the server's own name takes precedence.
    assert_eq!(
        accept(json!({"StartTime<": "x", "free": {"id": 1}, "id": 1})),
        Some(json!({"StartTime<": "x", "free": {"id": 1}, "id": 1}))
    );
    assert_eq!(
        accept(json!({"StartTime<": "x", "StartTime_lt": "y"})),
        Some(json!({"StartTime<": "x", "StartTime_lt": "y"}))
    );
}

#[test]
fn contradictions_do_not_refuse_what_the_server_takes() {
    let cases = [
        (
            json!({"type": "array", "enum": ["A", "B"], "items": {"type": "string"}}),
            "[\"A\"]",
            true,
        ),
        (
            json!({"type": "array", "enum": ["A", "B"], "items": {"type": "string"}}),
            "[\"C\"]",
            false,
        ),
        (
            json!({"anyOf": [{"type": "string", "enum": ["A"]}, {"type": "null", "enum": ["A"]}]}),
            "null",
            true,
        ),
        (
            json!({"type": "integer", "minimum": 5, "maximum": 1}),
            "3",
            true,
        ),
        (
            json!({"type": "string", "minLength": 5, "maxLength": 1}),
            "\"abc\"",
            true,
        ),
        (
            json!({"oneOf": [{"type": "string", "format": "uri"}, {"type": "string"}]}),
            "\"x\"",
            true,
        ),
    ];
    for (schema, sent, is_accepted) in cases {
        assert_eq!(
            argument(&schema, sent).is_some(),
            is_accepted,
            "{sent} for {schema}"
        );
    }
}

/// Returns the sentence that answers a rejected body.
fn told(schema: &Value, body: &str, habits: SchemaFlavor) -> Option<String> {
    let compiled = ArgumentSchema::compile(schema, &mut u64::MAX.clone(), habits).0;
    let refused = compiled.accept(body.as_bytes(), CheckEffort::Full).err()?;
    Some(refused.message().unwrap_or_default().to_owned())
}

#[test]
fn misspelt_names_are_refused_and_other_unknown_ones_pass() {
    let strict = SchemaFlavor {
        refuses_unknown: true,
        ..SchemaFlavor::NATIVE
    };
    let properties =
        json!({"max_count": {"type": "integer", "default": 3}, "path": {"type": "string"}});
    let closed = json!({"type": "object", "properties": properties});
    // The columns are: schema, body, accepted by native conventions, accepted if unknown names are rejected.
    let cases = [
        (closed.clone(), r#"{"max_cnt": 1}"#, false, false),
        (closed.clone(), r#"{"maxCount": 1}"#, false, false),
        (
            closed.clone(),
            r#"{"max_cnt": 1, "max_count": 2}"#,
            true,
            false,
        ),
        (closed.clone(), r#"{"min_count": 1}"#, true, false),
        (closed.clone(), r#"{"encoding": "x"}"#, true, false),
        (closed.clone(), r#"{"path": "x"}"#, true, true),
        (
            json!({"type": "object", "properties": properties, "additionalProperties": true}),
            r#"{"max_cnt": 1}"#,
            true,
            true,
        ),
        (
            json!({"type": "object", "properties": properties, "patternProperties": {"^m": {}}}),
            r#"{"max_cnt": 1}"#,
            true,
            true,
        ),
        (
            json!({"type": "object", "allOf": [{"properties": properties}, {"properties": {"max_cnt": {}}}]}),
            r#"{"max_cnt": 1}"#,
            true,
            true,
        ),
        (
            json!({"type": "object", "properties": {"in": {"type": "array", "items": closed}}}),
            r#"{"in": [{"max_count": 1}, {"max_cnt": 1}]}"#,
            false,
            false,
        ),
        (json!({"type": "object"}), r#"{"max_cnt": 1}"#, true, true),
        (
            json!({"type": "object", "properties": properties, "if": {"required": ["path"]}, "then": {"properties": {"max_cnt": {}}}}),
            r#"{"max_cnt": 1}"#,
            true,
            true,
        ),
    ];
    for (schema, body, passes, passes_strictly) in cases {
        assert_eq!(
            told(&schema, body, SchemaFlavor::NATIVE).is_none(),
            passes,
            "{body} for {schema}"
        );
        assert_eq!(
            told(&schema, body, strict).is_none(),
            passes_strictly,
            "{body} for {schema}"
        );
        assert_eq!(
            told(&schema, body, SchemaFlavor::MCPO),
            None,
            "{body} for {schema}"
        );
    }
}

#[test]
fn a_sentence_tells_what_was_meant_and_what_there_is() {
    let schema = json!({
        "type": "object",
        "properties": {
            "path": {"type": "string"}, "head": {"type": "number"}, "tail": {"type": "number"},
            "$tags": {"type": "array", "items": {"type": "string"}}, "any": {}
        },
        "required": ["path"]
    });
    let all = "Arguments: path (string), head, tail (optional numbers), tags (optional list of strings), any (optional any value)";
    let cases = [
        (
            r#"{"file_path": "/a"}"#,
            "`file_path` is not an argument here; did you mean `path`? path is missing (you sent file_path).",
        ),
        (
            r#"{"path": "/a", "tagz": []}"#,
            "`tagz` is not an argument here; did you mean `tags`?",
        ),
        (
            r#"{"path": "/a", "head": "ten"}"#,
            "head should be a number (you sent \"ten\").",
        ),
        (
            r#"{"path": "/a", "tags": [true]}"#,
            "tags[0] should be a string (you sent true).",
        ),
        ("[]", "Send a JSON object with `path`."),
        ("", "Send a JSON object with `path`."),
    ];
    for (body, mistakes) in cases {
        let sentence = told(&schema, body, SchemaFlavor::NATIVE).unwrap();
        assert_eq!(sentence, format!("{mistakes} {all}"), "{body}");
        assert_eq!(
            told(&schema, body, SchemaFlavor::MCPO).unwrap_or_default(),
            "",
            "{body}"
        );
    }
    let many: Map<_, _> = (0..300)
        .map(|it| (format!("argument_{it}"), json!({"type": "string"})))
        .collect();
    let wide = json!({"type": "object", "properties": many, "required": ["argument_0"]});
    let body = json!({"x".repeat(5_000): "y".repeat(5_000)}).to_string();
    let sentence = told(&wide, &body, SchemaFlavor::NATIVE).unwrap();
    assert!(sentence.chars().count() <= 500, "{sentence}");
    assert!(
        sentence.contains("argument_0 is missing") && sentence.contains(" more"),
        "{sentence}"
    );
}

#[test]
fn each_fault_is_one_line_for_people() {
    let schema = json!({"type": "object", "required": ["path"], "properties": {
        "path": {"type": "string"},
        "count": {"type": "integer", "minimum": 1, "maximum": 100},
        "low": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        "kind": {"enum": ["a", "b"]},
        "list": {"type": "array", "items": {"type": "object", "properties": {"n": {"type": "integer"}}}},
        "short": {"type": "string", "maxLength": 2},
    }});
    let compiled = ArgumentSchema::compile(&schema, &mut u64::MAX.clone(), SchemaFlavor::NATIVE).0;
    for (body, expected) in [
        (
            r#"{"path": "x", "count": 500}"#,
            &["count: should be ≤ 100, is 500"][..],
        ),
        (
            r#"{"path": "x", "count": 0}"#,
            &["count: should be ≥ 1, is 0"],
        ),
        (r#"{"path": "x", "low": 1}"#, &["low: should be < 1, is 1"]),
        (r#"{"path": "x", "low": 0}"#, &["low: should be > 0, is 0"]),
        (
            r#"{"path": "x", "count": "many"}"#,
            &[r#"count: should be an integer, is "many""#],
        ),
        (
            r#"{"path": "x", "kind": "c"}"#,
            &[r#"kind: should be 'a' or 'b', is "c""#],
        ),
        (
            r#"{"path": "x", "list": [{"n": "x"}]}"#,
            &[r#"list[0].n: should be an integer, is "x""#],
        ),
        (
            r#"{"count": 101}"#,
            &["count: should be ≤ 100, is 101", "path: is missing"],
        ),
        (
            r#"{"pth": "x"}"#,
            &[
                "path: is missing",
                "pth: is not an argument here; did you mean `path`?",
            ],
        ),
        ("[1]", &["the arguments should be a JSON object, are [1]"]),
        (
            "{",
            &["the body is not valid JSON: EOF while parsing an object at line 1 column 1"],
        ),
    ] {
        let refusal = compiled
            .accept(body.as_bytes(), CheckEffort::Full)
            .unwrap_err();
        let mut lines = refusal.lines();
        lines.sort();
        assert_eq!(lines, expected, "{body}");
    }
}
