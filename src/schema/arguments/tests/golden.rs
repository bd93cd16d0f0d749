//! Every call recorded from mcpo 0.0.20, with the list of what we do otherwise.

use super::*;

/// Tools of the recording whose schemas were not kept: written again from what the answers show.
fn lost_tools() -> Vec<(&'static str, Value)> {
    let weird = [
        "foo-bar", "$filter", "a b", "x.y", "class", "from", "9lives", "é",
    ];
    let weird: Map<String, Value> = weird
        .iter()
        .map(|name| ((*name).to_owned(), json!({"type": "string"})))
        .collect();
    let q = json!({"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]});
    vec![
        (
            "s_prims",
            json!({
                "type": "object",
                "properties": {
                    "a": {"type": "string"}, "b": {"type": "integer"}, "c": {"type": "number"},
                    "d": {"type": "boolean"}, "e": {"type": "null"}
                },
                "required": ["a", "b", "c", "d"]
            }),
        ),
        (
            "s_anyof_mixed",
            json!({
                "type": "object",
                "properties": {"a": {"anyOf": [
                    {"type": "string"},
                    {"type": "object", "properties": {"k": {"type": "string"}}},
                    {"type": "array", "items": {"type": "number"}}
                ]}},
                "required": ["a"]
            }),
        ),
        (
            "s_weird_names",
            json!({"type": "object", "properties": weird}),
        ),
        (
            "s_constraints",
            json!({
                "type": "object",
                "properties": {
                    "a": {"type": "string", "maxLength": 5, "pattern": "^[a-y]+$"},
                    "b": {"type": "integer", "minimum": 1, "maximum": 10},
                    "c": {"type": "array", "items": {"type": "string"}, "minItems": 1}
                },
                "required": ["a"]
            }),
        ),
        (
            "s_oneof",
            json!({
                "type": "object",
                "properties": {"a": {"oneOf": [{"type": "string"}, {"type": "integer"}]}},
                "required": ["a"]
            }),
        ),
        (
            "s_prop_empty",
            json!({"type": "object", "properties": {"a": {}}, "required": ["a"]}),
        ),
        (
            "s_req_missing_prop",
            json!({
                "type": "object", "properties": {"a": {"type": "string"}}, "required": ["a", "zzz"]
            }),
        ),
        ("docs", json!({"type": "object", "properties": {}})),
        ("toolZZZ", q.clone()),
        ("tool{x}", q),
    ]
}

/// One recorded call.
struct Call {
    tool: String,
    /// As the recording prints it.
    printed: String,
    body: Vec<u8>,
    status: u16,
    answer: String,
}

/// Reads the recording up to the section that is about routes.
fn calls() -> Vec<Call> {
    let text = include_str!("../../../../tests/golden/mcpo/observed_request.txt");
    let text = text.split("-- routes").next().unwrap();
    let lines = text.lines().filter(|line| !line.starts_with("-- "));
    lines
        .map(|line| {
            let (call, answer) = line.split_once(" -> ").unwrap();
            let (status, answer) = answer.split_once(' ').unwrap();
            let (tool, printed) = call.split_once('\'').unwrap();
            let printed = printed.trim_end().trim_end_matches('\'');
            Call {
                tool: tool.trim_end_matches('b').trim_end().to_owned(),
                printed: printed.to_owned(),
                body: unquoted(printed),
                status: status.parse().unwrap(),
                answer: answer.to_owned(),
            }
        })
        .collect()
}

/// Takes the escapes of a Python literal out.
fn unquoted(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match rest.next().unwrap() {
            b'x' => {
                let hex = [rest.next().unwrap(), rest.next().unwrap()];
                let hex = std::str::from_utf8(&hex).unwrap();
                bytes.push(u8::from_str_radix(hex, 16).unwrap());
            }
            other => bytes.push(other),
        }
    }
    bytes
}

/// What we do with a recorded call, printed as the recording prints it.
fn ours(schema: &ArgumentSchema, body: &[u8]) -> (u16, String) {
    match schema.accept(body) {
        Ok(arguments) => (200, format!("ARGS {}", Value::Object(arguments))),
        Err(refusal) => (
            refusal.status(),
            json!({ "detail": refusal.detail() }).to_string(),
        ),
    }
}

/// Equal but for the order of keys and the spelling of numbers.
fn agree(a: &str, b: &str) -> bool {
    let read = |text: &str| {
        let text = text.strip_prefix("ARGS ").unwrap_or(text);
        serde_json::from_str::<Value>(text).unwrap()
    };
    same(&read(a), &read(b))
}

/// Keys that the schema does not name are passed on (B8).
const UNKNOWN_KEYS: &str = "unknown keys pass unless `additionalProperties` is false";
/// A null that the schema allows may mean something (design §3).
const ALLOWED_NULLS: &str = "a null that the schema allows is kept";
/// Models send null for what they leave out (design §3).
const OPTIONAL_NULLS: &str = "an optional null that the schema does not allow is dropped";
/// Bad JSON is 400 with the position, whatever the tool takes (design §3).
const BAD_JSON: &str = "what is no JSON is 400 `invalid_json`";
/// Clients forget the header, or send a wrong one (design §2).
const CONTENT: &str = "a body is judged by its content, not by its header";
/// mcpo names a branch by a component of its own making.
const BRANCH_NAMES: &str = "a branch goes by its title or type";
/// Models send arrays and objects as JSON in a string.
const JSON_IN_TEXT: &str = "JSON in a string stands for the array or object that is wanted";
/// The schema is checked (B7).
const CHECKED: &str = "enum, const, bounds, patterns, oneOf and additionalProperties are checked";
/// A default that the schema refuses would fail at the server.
const BAD_DEFAULTS: &str = "a default that is no valid value is not filled in";
/// What has a default need not be asked for.
const REQUIRED_DEFAULTS: &str = "a required argument with a default is filled in";

/// What we do otherwise than mcpo 0.0.20: tool, body, its status, our answer, why.
const DIFFERENCES: &[(&str, &str, u16, &str, &str)] = &[
    (
        "s_prims",
        r#"{"a": "s", "b": 1, "c": 1, "d": true, "e": null}"#,
        200,
        r#"200 ARGS {"a":"s","b":1,"c":1,"d":true,"e":null}"#,
        ALLOWED_NULLS,
    ),
    (
        "s_prims",
        r#"{"a": "s", "b": 1, "c": 1, "d": true, "extra": 1}"#,
        200,
        r#"200 ARGS {"a":"s","b":1,"c":1,"d":true,"extra":1}"#,
        UNKNOWN_KEYS,
    ),
    (
        "s_prims",
        "{bad",
        422,
        r#"400 {"detail":"the body is not valid JSON: key must be a string at line 1 column 2"}"#,
        BAD_JSON,
    ),
    (
        "s_prims",
        r#"{"a": "s", "b": 1, "c": 1, "d": true}"#,
        422,
        r#"200 ARGS {"a":"s","b":1,"c":1,"d":true}"#,
        CONTENT,
    ),
    (
        "s_prims",
        r#"{"a":"\xff","b":1,"c":1,"d":true}"#,
        400,
        r#"400 {"detail":"the body is not valid JSON: invalid unicode code point at line 1 column 7"}"#,
        BAD_JSON,
    ),
    (
        "s_prims",
        r#"{"a":"s","b":1,"c":NaN,"d":true}"#,
        200,
        r#"400 {"detail":"the body is not valid JSON: expected value at line 1 column 20"}"#,
        BAD_JSON,
    ),
    (
        "s_prims_opt",
        r#"{"a": null}"#,
        422,
        r#"200 ARGS {"b":5,"c":1,"d":false,"z":"x"}"#,
        OPTIONAL_NULLS,
    ),
    (
        "s_prims_opt",
        r#"{"b": null}"#,
        422,
        r#"200 ARGS {"b":5,"c":1,"d":false,"z":"x"}"#,
        OPTIONAL_NULLS,
    ),
    (
        "s_nullable_list",
        r#"{"a": null}"#,
        200,
        r#"200 ARGS {"a":null,"b":3}"#,
        ALLOWED_NULLS,
    ),
    (
        "s_nullable_anyof",
        r#"{"b": null}"#,
        200,
        r#"200 ARGS {"b":null}"#,
        ALLOWED_NULLS,
    ),
    (
        "s_nullable_anyof",
        r#"{"b": 1, "a": null}"#,
        200,
        r#"200 ARGS {"b":1,"a":null}"#,
        ALLOWED_NULLS,
    ),
    (
        "s_anyof_mixed",
        r#"{"a": {"k": "v", "x": 1}}"#,
        200,
        r#"200 ARGS {"a":{"k":"v","x":1}}"#,
        UNKNOWN_KEYS,
    ),
    (
        "s_anyof_mixed",
        r#"{"a": {"k": 1}}"#,
        422,
        r#"422 {"detail":[{"type":"string_type","loc":["body","a","str"],"msg":"Input should be a valid string","input":{"k":1}},{"type":"string_type","loc":["body","a","object","k"],"msg":"Input should be a valid string","input":1},{"type":"list_type","loc":["body","a","list[float]"],"msg":"Input should be a valid list","input":{"k":1}}]}"#,
        BRANCH_NAMES,
    ),
    (
        "s_anyof_mixed",
        r#"{"a": 5}"#,
        422,
        r#"422 {"detail":[{"type":"string_type","loc":["body","a","str"],"msg":"Input should be a valid string","input":5},{"type":"model_attributes_type","loc":["body","a","object"],"msg":"Input should be a valid dictionary or object to extract fields from","input":5},{"type":"list_type","loc":["body","a","list[float]"],"msg":"Input should be a valid list","input":5}]}"#,
        BRANCH_NAMES,
    ),
    (
        "s_anyof_mixed",
        r#"{"a": null}"#,
        422,
        r#"422 {"detail":[{"type":"string_type","loc":["body","a","str"],"msg":"Input should be a valid string","input":null},{"type":"model_attributes_type","loc":["body","a","object"],"msg":"Input should be a valid dictionary or object to extract fields from","input":null},{"type":"list_type","loc":["body","a","list[float]"],"msg":"Input should be a valid list","input":null}]}"#,
        BRANCH_NAMES,
    ),
    (
        "s_nested",
        r#"{"o": {"name": "n", "inner": {"x": 1}, "extra": {"z": 1}}}"#,
        200,
        r#"200 ARGS {"o":{"name":"n","inner":{"x":1,"y":7},"extra":{"z":1}}}"#,
        UNKNOWN_KEYS,
    ),
    (
        "s_nested",
        r#"{"o": {"name": "n", "inner": null}}"#,
        422,
        r#"200 ARGS {"o":{"name":"n"}}"#,
        OPTIONAL_NULLS,
    ),
    (
        "s_nested",
        r#"{"o": "{\\"name\\":\\"n\\"}"}"#,
        422,
        r#"200 ARGS {"o":{"name":"n"}}"#,
        JSON_IN_TEXT,
    ),
    (
        "s_obj_free",
        r#"{"a": {}, "b": {"x": 5}, "c": {"k": "v", "bad": 1}, "d": {"q": null}}"#,
        200,
        r#"422 {"detail":[{"type":"string_type","loc":["body","b","x"],"msg":"Input should be a valid string","input":5},{"type":"extra_forbidden","loc":["body","c","bad"],"msg":"Extra inputs are not permitted","input":1}]}"#,
        CHECKED,
    ),
    (
        "s_arrays",
        r#"{"a": [], "b": [1, null, "x"], "d": [["1"]], "e": [{"k": "v", "z": 1}], "f": ["1", 1, true]}"#,
        200,
        r#"200 ARGS {"a":[],"b":[1,null,"x"],"d":[[1]],"e":[{"k":"v","z":1}],"f":["1",1,1],"g":["q"]}"#,
        UNKNOWN_KEYS,
    ),
    (
        "s_addl_true",
        r#"{"a": "x", "more": 1}"#,
        200,
        r#"200 ARGS {"a":"x","more":1}"#,
        UNKNOWN_KEYS,
    ),
    (
        "s_enum",
        r#"{"a": "not-in-enum", "b": 7, "c": "zzz", "d": [1]}"#,
        200,
        r#"422 {"detail":[{"type":"literal_error","loc":["body","a"],"msg":"Input should be 'x' or 'y'","input":"not-in-enum","ctx":{"expected":"'x' or 'y'"}},{"type":"literal_error","loc":["body","b"],"msg":"Input should be 1 or 2","input":7,"ctx":{"expected":"1 or 2"}},{"type":"literal_error","loc":["body","c"],"msg":"Input should be 'only'","input":"zzz","ctx":{"expected":"'only'"}},{"type":"literal_error","loc":["body","d"],"msg":"Input should be 'p' or 'q'","input":[1],"ctx":{"expected":"'p' or 'q'"}}]}"#,
        CHECKED,
    ),
    (
        "s_constraints",
        r#"{"a": "zzzzzzzzz", "b": 100, "c": []}"#,
        200,
        r#"422 {"detail":[{"type":"string_too_long","loc":["body","a"],"msg":"String should have at most 5 characters","input":"zzzzzzzzz","ctx":{"max_length":5}},{"type":"string_pattern_mismatch","loc":["body","a"],"msg":"String should match pattern '^[a-y]+$'","input":"zzzzzzzzz","ctx":{"pattern":"^[a-y]+$"}},{"type":"less_than_equal","loc":["body","b"],"msg":"Input should be less than or equal to 10","input":100,"ctx":{"le":10}},{"type":"too_short","loc":["body","c"],"msg":"List should have at least 1 item after validation, not 0","input":[],"ctx":{"field_type":"List","min_length":1,"actual_length":0}}]}"#,
        CHECKED,
    ),
    ("s_bad_default", "{}", 200, "200 ARGS {}", BAD_DEFAULTS),
    (
        "s_req_default",
        "{}",
        422,
        r#"200 ARGS {"a":"dflt"}"#,
        REQUIRED_DEFAULTS,
    ),
    (
        "s_oneof",
        r#"{"a": {"any": [null]}}"#,
        200,
        r#"422 {"detail":[{"type":"string_type","loc":["body","a","str"],"msg":"Input should be a valid string","input":{"any":[null]}},{"type":"int_type","loc":["body","a","int"],"msg":"Input should be a valid integer","input":{"any":[null]}}]}"#,
        CHECKED,
    ),
    (
        "s_oneof",
        r#"{"a": null}"#,
        200,
        r#"422 {"detail":[{"type":"string_type","loc":["body","a","str"],"msg":"Input should be a valid string","input":null},{"type":"int_type","loc":["body","a","int"],"msg":"Input should be a valid integer","input":null}]}"#,
        CHECKED,
    ),
    (
        "s_noargs_addl",
        r#"{"x": 1}"#,
        200,
        r#"200 ARGS {"x":1}"#,
        UNKNOWN_KEYS,
    ),
    (
        "s_noargs_addl",
        "{bad",
        200,
        r#"400 {"detail":"the body is not valid JSON: key must be a string at line 1 column 2"}"#,
        BAD_JSON,
    ),
    (
        "s_prop_empty",
        r#"{"a": null}"#,
        200,
        r#"200 ARGS {"a":null}"#,
        ALLOWED_NULLS,
    ),
];

#[test]
fn every_call_ends_as_with_mcpo_or_differs_on_purpose() {
    let tools: Vec<Value> =
        serde_json::from_str(include_str!("../../../../tests/golden/mcpo/tools.json")).unwrap();
    let mut schemas: Vec<(String, Value)> = tools
        .iter()
        .map(|tool| {
            (
                tool["name"].as_str().unwrap().to_owned(),
                tool["inputSchema"].clone(),
            )
        })
        .collect();
    schemas.extend(
        lost_tools()
            .into_iter()
            .map(|(name, schema)| (name.to_owned(), schema)),
    );
    let mut wrong = Vec::new();
    let mut used = vec![false; DIFFERENCES.len()];
    for call in calls() {
        let (_, schema) = schemas
            .iter()
            .find(|(name, _)| *name == call.tool)
            .unwrap_or_else(|| panic!("no schema of `{}`", call.tool));
        let (schema, _) = ArgumentSchema::compile(schema);
        let (status, answer) = ours(&schema, &call.body);
        let equal = status == call.status && agree(&answer, &call.answer);
        let place = DIFFERENCES.iter().position(|(tool, body, theirs, ..)| {
            *tool == call.tool && *body == call.printed && *theirs == call.status
        });
        let shown = format!(
            "{} {}: {} {}\n    -> {status} {answer}",
            call.tool, call.printed, call.status, call.answer
        );
        match place {
            None if equal => {}
            None => wrong.push(shown),
            Some(place) => {
                used[place] = true;
                let (.., expected, _) = DIFFERENCES[place];
                if equal {
                    wrong.push(format!("no longer differs: {shown}"));
                } else if format!("{status} {answer}") != expected {
                    wrong.push(format!(
                        "differs in another way: {shown}\n    not {expected}"
                    ));
                }
            }
        }
    }
    for (difference, used) in DIFFERENCES.iter().zip(used) {
        if !used {
            wrong.push(format!("was never called: {difference:?}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
