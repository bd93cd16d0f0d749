//! Schemas and bodies that would take for ever.

use std::time::{Duration, Instant};

use super::*;

#[test]
fn catastrophic_patterns_end() {
    let schema = json!({"type": "object", "properties": {
        "a": {"type": "string", "pattern": "^(a+)+$"}, "b": {"type": "string", "pattern": "^(?=(a+)+\\1$)(a+)+\\2b$"}
    }});
    let (compiled, _) = ArgumentSchema::compile(&schema);
    let long = "a".repeat(50_000) + "!";
    let start = Instant::now();
    assert!(
        compiled
            .accept(json!({"a": long, "b": long}).to_string().as_bytes())
            .is_err()
    );
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
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
    let (compiled, _) = ArgumentSchema::compile(&schema);
    for bottom in ["1", "\"x\"", "{}"] {
        let body = format!(
            "{{\"a\":{}{bottom}{}}}",
            "{\"n\":\"1\",\"c\":".repeat(100),
            "}".repeat(100)
        );
        let start = Instant::now();
        drop(compiled.accept(body.as_bytes()));
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "{bottom}: {:?}",
            start.elapsed()
        );
    }
}
