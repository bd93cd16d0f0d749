//! Property tests with absurd schemas and arguments.

use proptest::prelude::*;

use super::*;

/// Generates schemas with all keywords, some of them nonsense.
fn any_schema() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        prop::sample::select(vec![
            "string", "integer", "number", "boolean", "null", "array", "object"
        ])
        .prop_map(|kind| json!({ "type": kind })),
        prop::sample::select(vec![
            json!({}),
            json!(true),
            json!(false),
            json!({"enum": [1, "a", null]}),
            json!({"const": true}),
            json!({"enum": ["7", "true"]}),
            json!({"type": ["string", "null"]}),
            json!({"type": "integer", "minimum": 3}),
            json!({"type": "string", "pattern": "^a"}),
            json!({"type": "string", "default": null}),
            json!({"type": "integer", "default": 7}),
            json!({"type": "boolean", "default": "no"}),
            json!({"$ref": "#"}),
            json!({"$ref": "#/properties/a"}),
            json!({"$ref": "#/nowhere"}),
            json!({"type": "array", "items": [{"type": "integer"}]}),
            json!({"anyOf": []}),
        ]),
    ];
    scalar.prop_recursive(3, 24, 4, |inner| {
        let key = prop::sample::select(vec!["a", "b", "c"]);
        let properties = prop::collection::btree_map(key.clone(), inner.clone(), 0..4);
        let required = prop::collection::btree_set(key, 0..2);
        prop_oneof![
            (
                properties,
                required,
                prop::option::of(inner.clone()),
                any::<bool>()
            )
                .prop_map(|(properties, required, more, open)| {
                    let mut schema =
                        json!({"type": "object", "properties": properties, "required": required});
                    if let Some(more) = more {
                        schema["additionalProperties"] = more;
                    }
                    if open {
                        schema["maxProperties"] = json!(2);
                    }
                    schema
                }),
            inner
                .clone()
                .prop_map(|items| json!({"type": "array", "items": items})),
            prop::collection::vec(inner.clone(), 1..4)
                .prop_map(|branches| json!({ "anyOf": branches })),
            prop::collection::vec(inner.clone(), 1..4)
                .prop_map(|branches| json!({ "oneOf": branches })),
            prop::collection::vec(inner.clone(), 1..3)
                .prop_map(|branches| json!({ "allOf": branches })),
            inner.prop_map(|inner| json!({"not": inner})),
        ]
    })
}

/// Generates arguments that often fit.
fn any_arguments() -> impl Strategy<Value = Value> {
    let leaf = prop::sample::select(vec![
        json!(null),
        json!(true),
        json!(1),
        json!(3.0),
        json!(1.5),
        json!("a"),
        json!("7"),
        json!("true"),
        json!("[1]"),
        json!("{\"a\":\"1\"}"),
        json!(""),
    ]);
    let value = leaf.prop_recursive(3, 24, 4, |inner| {
        let key = prop::sample::select(vec!["a", "b", "c", "d"]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..4).prop_map(|members| json!(members)),
        ]
    });
    let key = prop::sample::select(vec!["a", "b", "c", "d"]);
    prop::collection::btree_map(key, value, 0..4).prop_map(|members| json!(members))
}

/// Whether `new` differs from `old` only by additional keys.
fn only_adds(old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => old
            .iter()
            .all(|(key, old)| new.get(key).is_some_and(|new| only_adds(old, new))),
        (Value::Array(old), Value::Array(new)) => {
            old.len() == new.len() && old.iter().zip(new).all(|(old, new)| only_adds(old, new))
        }
        _ => same(old, new),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn what_is_accepted_is_valid_and_what_is_valid_is_kept(a in any_schema(), b in any_schema(), arguments in any_arguments()) {
        let schema = json!({"type": "object", "properties": {"a": a, "b": b}});
        let (compiled, _) = compile_alone(&schema);
        let was_valid = compiled.is_valid(&arguments);
        match compiled.accept_value(arguments.clone()) {
            Ok(accepted) => {
                let accepted = Value::Object(accepted);
                prop_assert!(compiled.is_valid(&accepted));
                if was_valid {
                    prop_assert!(only_adds(&arguments, &accepted), "{arguments} became {accepted}");
                }
                // Settling settled arguments changes nothing.
                let again = compiled.accept_value(accepted.clone()).map(Value::Object);
                prop_assert_eq!(again, Ok(accepted));
            }
            Err(refusal) => {
                prop_assert!(!was_valid, "{arguments} was valid: {:?}", refusal);
                let ArgumentError::Invalid { details, .. } = refusal else { panic!("{refusal:?}") };
                prop_assert!(!details.is_empty() && details.len() <= 20);
            }
        }
    }

    #[test]
    fn any_body_is_judged(body in prop::collection::vec(any::<u8>(), 0..40)) {
        let (compiled, _) = compile_alone(&json!({"type": "object", "properties": {"a": {"type": "integer"}}}));
        drop(compiled.accept(&body, CheckEffort::Full));
    }
}
