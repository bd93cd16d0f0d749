//! Parses YAML into JSON values, within a weight limit. Pure.
//!
//! Each use of an alias counts with the full weight of its value, so a few lines of aliases cannot become
//! gigabytes of values.

use std::{cell::Cell, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::{
    Options,
    options::{DuplicateKeyPolicy, NonFiniteFloatPolicy},
};

use crate::mcp::weight::{OBJECT_BYTES, VALUE_BYTES};

/// The maximum nesting depth; the same as for JSON.
const DEPTH_MAX: usize = 120;

/// Why a text could not be parsed.
#[derive(Debug, PartialEq, Eq)]
pub enum YamlError {
    /// Its values weigh too much.
    TooHeavy,
    /// It is not valid YAML. The reason fits on one line.
    Invalid(String),
}

/// Parses one YAML document whose values weigh at most `weight_max` bytes.
pub fn read(text: &str, weight_max: usize) -> Result<Value, YamlError> {
    let left = Cell::new(weight_max);
    let is_over = Cell::new(false);
    let node = YamlValueSeed {
        left: &left,
        is_over: &is_over,
        depth: 0,
    };
    let read =
        serde_saphyr::with_deserializer_from_str_with_options(text, options(weight_max), |yaml| {
            node.deserialize(yaml)
        });
    match read {
        Ok(_) | Err(_) if is_over.get() => Err(YamlError::TooHeavy),
        Ok(value) => Ok(value),
        Err(error) => {
            let words = error.without_snippet().to_string();
            let line = words.lines().next().unwrap_or_default();
            Err(YamlError::Invalid(line.to_owned()))
        }
    }
}

/// YAML 1.2: `on` and `yes` are texts. The values that the parser keeps for aliases are limited too.
fn options(weight_max: usize) -> Options {
    let nodes_max = weight_max / VALUE_BYTES + 1;
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: nodes_max.saturating_mul(4),
            max_nodes: nodes_max.saturating_mul(2),
            max_recorded_anchor_events: nodes_max / 4,
            max_recorded_anchor_bytes: weight_max / 4,
            max_total_scalar_bytes: weight_max,
            max_depth: DEPTH_MAX,
            max_documents: 1,
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: nodes_max.saturating_mul(4),
        },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        strict_booleans: true,
        null_as_string: true,
        underscored_numbers_as_strings: true,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        with_snippet: false,
    }
}

/// The position of one value.
#[derive(Clone, Copy)]
struct YamlValueSeed<'a> {
    /// The weight that is left, in bytes.
    left: &'a Cell<usize>,
    /// Set when the limit was exceeded.
    is_over: &'a Cell<bool>,
    /// The nesting depth.
    depth: usize,
}

impl YamlValueSeed<'_> {
    /// Takes bytes from the limit.
    fn pay<E: serde::de::Error>(&self, bytes: usize) -> Result<(), E> {
        if let Some(left) = self.left.get().checked_sub(bytes) {
            self.left.set(left);
            return Ok(());
        }
        self.is_over.set(true);
        Err(E::custom("too large"))
    }

    /// Returns the position of a nested value.
    fn inner<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth >= DEPTH_MAX {
            return Err(E::custom("lists and maps are nested too deeply"));
        }
        Ok(Self {
            depth: self.depth + 1,
            ..self
        })
    }
}

impl<'de> DeserializeSeed<'de> for YamlValueSeed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, yaml: D) -> Result<Value, D::Error> {
        self.pay(VALUE_BYTES)?;
        yaml.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for YamlValueSeed<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value that exists in JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_i128<E: serde::de::Error>(self, value: i128) -> Result<Value, E> {
        self.visit_string(value.to_string())
    }

    fn visit_u128<E: serde::de::Error>(self, value: u128) -> Result<Value, E> {
        self.visit_string(value.to_string())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        self.pay(value.len())?;
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: serde::de::Error>(self, value: String) -> Result<Value, E> {
        self.pay(value.len())?;
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, yaml: D) -> Result<Value, D::Error> {
        yaml.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        self.pay(OBJECT_BYTES)?;
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<YamlKey>()? {
            self.pay(key.0.len())?;
            let value = entries.next_value_seed(inner)?;
            map.insert(key.0, value);
        }
        Ok(Value::Object(map))
    }
}

/// A key in its source form: `200` and `null` are texts here.
struct YamlKey(String);

impl<'de> serde::Deserialize<'de> for YamlKey {
    fn deserialize<D: Deserializer<'de>>(yaml: D) -> Result<Self, D::Error> {
        String::deserialize(yaml)
            .map(Self)
            .map_err(|_| D::Error::custom("a key is not a text"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ROOM: usize = 1 << 20;

    #[test]
    fn documents_are_read_as_their_json_would_be() {
        let text = "openapi: 3.0.3\nversion: 1.0\npaths:\n  /a/{id}:\n    get:\n      responses:\n        \
                    200: {description: 'ok'}\n        default:\n          description: |\n            \
                    two\n            lines\nflags: [on, no, true, ~, 0x10, 1_000, -1, 1e3, .nan]\n\
                    date: 2020-01-01\nbig: 18446744073709551615\nnull: x\n";
        let expected = json!({
            "openapi": "3.0.3", "version": 1.0,
            "paths": { "/a/{id}": { "get": { "responses": {
                "200": { "description": "ok" },
                "default": { "description": "two\nlines\n" },
            } } } },
            "flags": ["on", "no", true, null, 16, "1_000", -1, 1000.0, null],
            "date": "2020-01-01", "big": 18_446_744_073_709_551_615_u64, "null": "x",
        });
        assert_eq!(read(text, ROOM), Ok(expected));
    }

    #[test]
    fn aliases_and_merges_stand_for_what_they_name() {
        let text = "a: &a {x: 1}\nb: *a\nc:\n  <<: *a\n  y: 2\n";
        let expected = json!({ "a": { "x": 1 }, "b": { "x": 1 }, "c": { "x": 1, "y": 2 } });
        assert_eq!(read(text, ROOM), Ok(expected));
    }

    /// Nine levels of nine aliases each: 387 million values.
    fn laughs() -> String {
        let level = |level: usize| {
            let before = format!("*a{}", level - 1);
            format!(
                "a{level}: &a{level} [{}]\n",
                [before.as_str(); 9].join(", ")
            )
        };
        let levels: Vec<String> = (1..=9).map(level).collect();
        format!("a0: &a0 [lol]\n{}", levels.concat())
    }

    #[test]
    fn a_bomb_costs_no_more_than_its_room() {
        let long = format!(
            "a: &a {}\nb: [{}]\n",
            "x".repeat(100_000),
            "*a, ".repeat(100_000)
        );
        let keys: Vec<String> = (0..1_000).map(|it| format!("k{it}: 1")).collect();
        let merged = format!(
            "a: &a {{{}}}\nb:\n{}",
            keys.join(", "),
            "  - <<: *a\n".repeat(5_000)
        );
        let begun = std::time::Instant::now();
        for text in [laughs(), long, merged] {
            assert!(read(&text, ROOM).is_err());
        }
        assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
        assert_eq!(read("[1, 2, 3]", 10), Err(YamlError::TooHeavy));
    }

    #[test]
    fn what_is_no_yaml_is_told_on_one_line() {
        let deep = format!("{}1{}", "[".repeat(500), "]".repeat(500));
        for text in ["a: [1, 2", "a: b: c", "a: *b", &deep, "? [a]\n: 1"] {
            let Err(YamlError::Invalid(words)) = read(text, ROOM) else {
                panic!("{text:?} was read");
            };
            assert!(!words.is_empty() && !words.contains('\n'), "{words:?}");
        }
    }
}
