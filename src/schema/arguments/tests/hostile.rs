//! Tests of schemas and bodies that would take forever, or all memory.

use std::{fmt::Write as _, fs};

use super::*;

/// The limit for one check: the whole time budget, and one running match. Without optimizations the same
/// steps take longer.
const CHECK_MAX: Duration = Duration::from_millis(if cfg!(debug_assertions) { 3_000 } else { 950 });

/// The limit for compiling one schema.
const COMPILE_MAX: Duration = Duration::from_secs(if cfg!(debug_assertions) { 30 } else { 4 });

/// Builds levels of definitions. `level` makes each one from the reference to the one below.
fn shared(levels: usize, leaf: Value, level: impl Fn(Value) -> Value) -> Value {
    let mut definitions = Map::new();
    definitions.insert("l0".to_owned(), leaf);
    for number in 1..=levels {
        let below = json!({"$ref": format!("#/$defs/l{}", number - 1)});
        definitions.insert(format!("l{number}"), level(below));
    }
    json!({
        "type": "object",
        "properties": {"a": {"$ref": format!("#/$defs/l{levels}")}, "b": {"type": "integer"}},
        "$defs": definitions
    })
}

/// Makes a level out of the reference to the one below.
type Level = fn(Value) -> Value;

/// Returns the outcome of a check: `ok`, or the code of the refusal.
fn outcome(schema: &ArgumentSchema, body: &str, effort: CheckEffort) -> &'static str {
    match schema.accept(body.as_bytes(), effort) {
        Ok(_) => "ok",
        Err(refusal) => refusal.code().as_str(),
    }
}

/// Returns the CPU time of this thread, which does not depend on other work on the machine.
fn cpu_time() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let spent = text.split(' ').next().and_then(|it| it.parse().ok());
    Duration::from_nanos(spent.unwrap_or_default())
}

/// Compiles and checks within the limits, on a thread with the smallest stack in use.
fn timed(name: &str, schema: &Value, body: &str) -> &'static str {
    let (name, schema, body) = (name.to_owned(), schema.clone(), body.to_owned());
    let work = move || {
        let start = cpu_time();
        let (compiled, _) = compile_alone(&schema);
        let compiling = cpu_time().saturating_sub(start);
        assert!(compiling < COMPILE_MAX, "{name} compiles in {compiling:?}");
        let start = cpu_time();
        let _light = outcome(&compiled, &body, CheckEffort::Light);
        let light = cpu_time().saturating_sub(start);
        assert!(light < CHECK_MAX / 4, "{name} takes {light:?} lightly");
        let start = cpu_time();
        let outcome = outcome(&compiled, &body, CheckEffort::Full);
        let took = cpu_time().saturating_sub(start);
        println!("{name}: {outcome}, compiled in {compiling:?}, light {light:?}, full {took:?}");
        assert!(took < CHECK_MAX, "{name} takes {took:?}");
        outcome
    };
    let thread = std::thread::Builder::new().stack_size(crate::schema::STACK_BYTES);
    thread.spawn(work).unwrap().join().unwrap()
}

#[test]
fn schemas_that_look_at_a_value_exponentially_often_are_refused() {
    let leaves = [
        json!({}),
        json!(true),
        json!({"type": "integer"}),
        json!({"not": {}}),
        json!(false),
    ];
    let bodies = ["1", r#"{"x":{"x":{"x":{}}},"y":1}"#, "[[[[1]]]]"];
    let drafts = [
        "",
        "http://json-schema.org/draft-07/schema#",
        "https://json-schema.org/draft/2019-09/schema",
    ];
    let levels: [(&str, Level); 12] = [
        ("allOf", |it| json!({"allOf": [it, it]})),
        ("anyOf", |it| json!({"anyOf": [it, it]})),
        ("oneOf", |it| json!({"oneOf": [it, it]})),
        ("not", |it| json!({"allOf": [{"not": it}, {"not": it}]})),
        ("if", |it| json!({"if": it, "then": it, "else": it})),
        (
            "ref beside allOf",
            |it| json!({"$ref": it["$ref"], "allOf": [it]}),
        ),
        (
            "dependentSchemas",
            |it| json!({"dependentSchemas": {"x": it, "y": it}}),
        ),
        (
            "properties",
            |it| json!({"allOf": [{"properties": {"x": it}}, {"properties": {"x": it}}]}),
        ),
        (
            "items",
            |it| json!({"allOf": [{"items": it}, {"prefixItems": [it]}, {"contains": it}]}),
        ),
        (
            "patternProperties",
            |it| json!({"patternProperties": {"x": it, "^x": it}}),
        ),
        (
            "propertyNames",
            |it| json!({"allOf": [{"propertyNames": it}, it]}),
        ),
        (
            "unevaluated",
            |it| json!({"anyOf": [it, it], "unevaluatedProperties": false, "unevaluatedItems": false}),
        ),
    ];
    for (row, (name, level)) in levels.into_iter().enumerate() {
        for (column, draft) in drafts.into_iter().enumerate() {
            let leaf = &leaves[(row + column) % leaves.len()];
            let a = bodies[(row + column) % bodies.len()];
            let mut schema = shared(40, leaf.clone(), level);
            schema["$schema"] = json!(draft);
            let name = format!("{name} {leaf} {draft} {a}");
            timed(&name, &schema, &format!("{{\"a\":{a}}}"));
        }
    }
    let schema = shared(28, json!({}), |it| json!({"allOf": [it, it]}));
    assert_eq!(
        timed("allOf", &schema, r#"{"a":1}"#),
        "arguments_too_costly"
    );
    let schema = shared(22, json!(false), |it| json!({"anyOf": [it, it]}));
    assert_eq!(
        timed("anyOf", &schema, r#"{"a":1}"#),
        "arguments_too_costly"
    );
    let schema = json!({"type": "object", "allOf": [{"properties": {"a": {}}}], "unevaluatedProperties": false});
    assert_eq!(timed("honest", &schema, r#"{"a":1}"#), "ok");
    assert_eq!(timed("honest", &schema, r#"{"b":1}"#), "invalid_arguments");
    let schema = shared(22, json!(false), |it| json!({"anyOf": [it, it]}));
    // Arguments that do not involve the costly part are checked as usual.
    assert_eq!(timed("beside it", &schema, r#"{"b":"7"}"#), "ok");
}

#[test]
fn the_verdict_does_not_depend_on_the_machine() {
    let schema = shared(28, json!({}), |it| json!({"allOf": [it, it]}));
    let (compiled, _) = compile_alone(&schema);
    let steps = |levels: usize| {
        let schema = shared(levels, json!({}), |it| json!({"allOf": [it, it]}));
        let (compiled, _) = compile_alone(&schema);
        let budget = StepBudget::steps(u64::MAX);
        within(budget, || compiled.accept_within(br#"{"a":1}"#).is_ok()).1
    };
    assert_eq!(steps(8), steps(8));
    assert!(steps(10) > 3 * steps(8), "each path counts");
    assert_eq!(
        outcome(&compiled, r#"{"a":1}"#, CheckEffort::Light),
        "arguments_too_costly"
    );
}

#[test]
fn long_chains_of_references_do_not_overflow_the_stack() {
    for (name, level) in [
        ("ref", (|it| it) as fn(Value) -> Value),
        ("allOf", |it| json!({"allOf": [it]})),
        ("anyOf", |it| json!({"anyOf": [it, {"type": "null"}]})),
        ("properties", |it| json!({"properties": {"x": it}})),
        ("items", |it| json!({"items": it})),
    ] {
        for draft in [
            "",
            "http://json-schema.org/draft-07/schema#",
            "http://json-schema.org/draft-04/schema#",
        ] {
            let mut schema = shared(5_000, json!({"type": "integer"}), level);
            schema["$schema"] = json!(draft);
            timed(&format!("{name} {draft}"), &schema, r#"{"a":1}"#);
        }
    }
    // Eight times as deep as JSON is parsed. The library compiles this on one stack.
    let mut deep = json!({"$ref": "#/$defs/d1"});
    for _ in 0..50 {
        deep = json!({"allOf": [deep]});
    }
    let mut schema = shared(1, json!({}), |it| it);
    for number in 1..40 {
        let text = deep.to_string().replace("d1", &format!("d{}", number + 1));
        schema["$defs"][format!("d{number}")] = serde_json::from_str(&text).unwrap();
    }
    schema["$defs"]["d40"] = json!({});
    schema["properties"]["a"] = json!({"$ref": "#/$defs/d1"});
    timed("deep definitions", &schema, r#"{"a":1}"#);
}

#[test]
fn nesting_is_read_to_a_depth_and_no_deeper() {
    let schema = json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/n"}}, "$defs": {"n": {
        "anyOf": [{"type": "array", "items": {"$ref": "#/$defs/n"}}, {"type": "object", "additionalProperties": {"$ref": "#/$defs/n"}}, {"type": "integer"}]
    }}});
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(
        timed("deep", &schema, &format!("{{\"a\":{}}}", nested(100_000))),
        "invalid_json"
    );
    assert_eq!(
        timed("read", &schema, &format!("{{\"a\":{}}}", nested(120))),
        "ok"
    );
    // JSON in strings in JSON in strings.
    let mut text = nested(120);
    for _ in 0..8 {
        text = format!("{}{}{}", "[".repeat(60), Value::from(text), "]".repeat(60));
    }
    timed("strings in strings", &schema, &format!("{{\"a\":{text}}}"));
}

#[test]
fn lists_that_are_compared_take_no_squared_time() {
    let schema =
        json!({"type": "object", "properties": {"a": {"type": "array", "uniqueItems": true}}});
    // Trees of empty lists: all different, and without anything to hash.
    let mut trees = vec!["[]".to_owned()];
    let mut next = 0;
    while trees.len() < 60_000 {
        let tree = trees[next].clone();
        trees.push(format!("[{tree}]"));
        trees.push(format!("[[],{tree}]"));
        next += 1;
    }
    trees.retain(|tree| tree.len() < 60);
    let body = format!("{{\"a\":[{}]}}", trees.join(","));
    timed("trees", &schema, &body);
    let objects: Vec<String> = (0..40_000).map(|n| format!("{{\"k{n}\":{n}}}")).collect();
    let body = format!("{{\"a\":[{}]}}", objects.join(","));
    assert_eq!(timed("objects", &schema, &body), "ok");
    let choices = format!("[{}]", trees.join(","));
    let choices: Value = serde_json::from_str(&choices).unwrap();
    for key in ["enum", "required", "type"] {
        let schema = json!({"$schema": "http://json-schema.org/draft-04/schema#", "type": "object", "properties": {"a": {key: choices}}});
        timed(key, &schema, r#"{"a":[[[[]]]]}"#);
    }
    let many: Vec<String> = (0..19_000).map(|n| format!("choice {n}")).collect();
    let schema = json!({"type": "object", "properties": {"a": {"enum": many}}});
    assert_eq!(
        timed("19k choices", &schema, r#"{"a":"choice 18999"}"#),
        "ok"
    );
    assert_eq!(
        timed("none of 19k choices", &schema, r#"{"a":"x"}"#),
        "invalid_arguments"
    );
    let mixed: Vec<Value> = (0..100_000).map(|n| json!({ "n": n })).collect();
    let schema = json!({"type": "object", "properties": {"a": {"type": "array", "items": {"enum": [mixed[..60].to_vec(), 1, 2.5]}}}});
    let body = json!({ "a": mixed }).to_string();
    timed("many against choices", &schema, &body);
}

#[test]
fn patterns_end_whatever_they_are_and_however_long_the_string() {
    for pattern in [
        "^(a+)+$",
        "^(?=(a+)+\\1$)(a+)+\\2b$",
        "(?:(?=a*b)|a)*c",
        "(?:a(?!a*b))*c",
        "(?=a)a*a*a*a*a*b",
        "((?=a*b)|(?=a*c)|(?=a*d)|a)*e",
        "(a|b)*a(a|b){500}c",
        "(a|b)*a(a|b){4000}c",
        "(\\w*a){30}c",
        "(x+x+)+y",
        "(a?){20000}c",
        "\\p{L}{1,1000}",
        "(a{1000}){1000}",
        "^(([a-z])+.)+[A-Z]([a-z])+$",
        "(.*a){12}c",
    ] {
        for length in [100, 4_000, 50_000, 2_000_000] {
            let schema = json!({"type": "object", "properties": {"a": {"type": "string", "pattern": pattern}}});
            let body =
                json!({"a": "ab".repeat(length / 4) + &"a".repeat(length / 2) + "!"}).to_string();
            timed(&format!("{pattern} {length}"), &schema, &body);
            let schema =
                json!({"type": "object", "patternProperties": {pattern: {"type": "integer"}}});
            let body = json!({"ab".repeat(length / 2): 1}).to_string();
            timed(&format!("{pattern} {length} as name"), &schema, &body);
        }
    }
    let honest = json!({"type": "object", "properties": {"a": {"type": "string", "pattern": "^[A-Za-z0-9+/=]*$"}, "b": {"pattern": "^(?!.*\\.\\.).+$"}}});
    assert_eq!(timed("honest", &honest, r#"{"a":"QUJD","b":"a.b"}"#), "ok");
    assert_eq!(
        timed("honest", &honest, r#"{"a":"QUJD","b":"a..b"}"#),
        "invalid_arguments"
    );
    let honest = json!({"type": "object", "properties": {"a": {"type": "string", "pattern": "^[A-Za-z0-9+/=]*$"}}});
    let body = json!({"a": "QUJD".repeat(500_000)}).to_string();
    assert_eq!(timed("two megabytes of base64", &honest, &body), "ok");
    let many: Map<String, Value> = (0..2_000)
        .map(|n| (format!("(a|b)*a(a|b){{{n}}}"), json!({})))
        .collect();
    timed(
        "many patterns",
        &json!({"type": "object", "patternProperties": many}),
        r#"{"aba":1}"#,
    );
}

#[test]
fn large_bodies_end_against_any_schema() {
    let branches: Vec<Value> = (0..2_000)
        .map(|n| json!({"type": "object", "required": [format!("k{n}")]}))
        .collect();
    let schema = json!({"type": "object", "properties": {"a": {"type": "array", "items": {"anyOf": branches}}}});
    let body = format!("{{\"a\":[{}]}}", vec!["{}"; 60_000].join(","));
    assert_eq!(timed("branches", &schema, &body), "arguments_too_costly");
    let schema = json!({"type": "object", "properties": {"a": {"type": "array", "items": {"type": "integer"}}}});
    let body = format!("{{\"a\":[{}]}}", vec!["1"; 190_000].join(","));
    let seen = timed("many numbers", &schema, &body);
    assert!(seen == "ok" || cfg!(debug_assertions), "{seen}");
    let body = format!("{{\"a\":[{}]}}", vec!["[]"; 3_000_000].join(","));
    assert_eq!(timed("many values", &schema, &body), "body_too_large");
    let body = format!(
        "{{\"a\":{}}}",
        Value::from(format!("[{}]", vec!["[]"; 1_500_000].join(",")))
    );
    timed("many values in a string", &schema, &body);
}

#[test]
fn what_is_added_to_arguments_and_told_of_them_is_bounded() {
    let large: Vec<u32> = (0..10_000).collect();
    let schema = json!({"type": "object", "properties": {"a": {"type": "array", "items": {"type": "object", "properties": {"d": {"default": large}}}}}});
    let body = format!("{{\"a\":[{}]}}", vec!["{}"; 10_000].join(","));
    assert_eq!(timed("defaults", &schema, &body), "arguments_too_costly");
    let branches: Vec<Value> = (0..300)
        .map(|n| json!({"type": "object", "required": [format!("k{n}")]}))
        .collect();
    let schema = json!({"type": "object", "properties": {"a": {"anyOf": branches}}});
    let mut body = "{\"a\":{".to_owned();
    for n in 0..20_000 {
        write!(body, "\"m{n}\":[],").unwrap();
    }
    body.push_str("\"z\":1}}");
    timed("copies in errors", &schema, &body);
    let names: Vec<String> = (0..50_000).map(|n| format!("k{n}")).collect();
    let schema = json!({"type": "object", "properties": {"a": {"anyOf": [{"required": names}, {"required": names}]}}});
    timed("names in errors", &schema, r#"{"a":{}}"#);
}

#[test]
fn catastrophic_patterns_end() {
    let schema = json!({"type": "object", "properties": {
        "a": {"type": "string", "pattern": "^(a+)+$"}, "b": {"type": "string", "pattern": "^(?=(a+)+\\1$)(a+)+\\2b$"}
    }});
    let long = "a".repeat(50_000) + "!";
    let body = json!({"a": long, "b": long}).to_string();
    assert_eq!(timed("patterns", &schema, &body), "arguments_too_costly");
}

#[test]
fn recursive_unions_end() {
    let schema = json!({
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/Node"}},
        "$defs": {"Node": {"anyOf": [
            {"type": "object", "properties": {"c": {"$ref": "#/$defs/Node"}, "n": {"type": "integer"}}},
            {"type": "object", "properties": {"c": {"$ref": "#/$defs/Node"}, "n": {"type": "boolean"}}},
            {"type": "array", "items": {"$ref": "#/$defs/Node"}}
        ]}}
    });
    for bottom in ["1", "\"x\"", "{}"] {
        for levels in [3, 40, 100] {
            let body = format!(
                "{{\"a\":{}{bottom}{}}}",
                "{\"n\":\"1\",\"c\":".repeat(levels),
                "}".repeat(levels)
            );
            let seen = timed(&format!("{bottom} {levels}"), &schema, &body);
            let expected = if bottom == "{}" {
                "ok"
            } else {
                "invalid_arguments"
            };
            assert!(
                seen == expected || seen == "arguments_too_costly",
                "{bottom} {levels}: {seen}"
            );
        }
    }
}

#[test]
fn a_list_of_tools_has_one_budget() {
    let schema = json!({"type": "object", "properties": {"a": {"pattern": "(a|b)*a(a|b){4000}"}}});
    let mut left = 10_000_000;
    let mut warned = 0;
    for _ in 0..20 {
        let (_, warnings) = ArgumentSchema::compile(&schema, &mut left, SchemaFlavor::NATIVE);
        warned += warnings.len();
    }
    assert!(warned > 5, "{warned}");
}
