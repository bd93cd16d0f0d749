//! Writes values in the styles of OpenAPI. Pure.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::parameter::ParameterStyle;

/// The characters of a path segment that need no encoding (RFC 3986, unreserved characters).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The maximum depth of an object that is written as `a[b][c]`.
const DEPTH_MAX: usize = 8;

/// Returns a value as the pairs of a query, a form or cookies.
pub fn pairs(name: &str, style: ParameterStyle, value: &Value) -> Vec<(String, String)> {
    match (style, value) {
        (_, Value::Null) => Vec::new(),
        (ParameterStyle::Json, value) => vec![(name.to_owned(), value.to_string())],
        (ParameterStyle::Repeated, Value::Array(items)) => {
            let items = items.iter().filter_map(scalar);
            items.map(|item| (name.to_owned(), item)).collect()
        }
        (ParameterStyle::Repeated, Value::Object(fields)) => {
            let fields = fields.iter();
            fields
                .filter_map(|(key, value)| Some((key.clone(), scalar(value)?)))
                .collect()
        }
        (ParameterStyle::Deep, Value::Object(_)) => {
            let mut found = Vec::new();
            deep(name, value, 0, &mut found);
            found
        }
        (ParameterStyle::Joined(between), value) => {
            let between = between.to_string();
            vec![(name.to_owned(), joined(value, false, &between))]
        }
        (_, value) => vec![(name.to_owned(), joined(value, false, ","))],
    }
}

/// Writes `a[b]=1`, and nested values.
fn deep(name: &str, value: &Value, depth: usize, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) if depth < DEPTH_MAX => {
            for (key, value) in fields {
                deep(&format!("{name}[{key}]"), value, depth + 1, found);
            }
        }
        Value::Array(items) => {
            let items = items.iter().filter_map(scalar);
            found.extend(items.map(|item| (name.to_owned(), item)));
        }
        value => found.extend(scalar(value).map(|text| (name.to_owned(), text))),
    }
}

/// Returns a value as one text, for a header.
pub fn flat(style: ParameterStyle, value: &Value) -> Option<String> {
    match (style, value) {
        (_, Value::Null) => None,
        (ParameterStyle::Json, value) => Some(value.to_string()),
        (ParameterStyle::Simple { explode: true }, value) => Some(joined(value, true, ",")),
        (_, value) => Some(joined(value, false, ",")),
    }
}

/// Returns a value as a path segment, percent-encoded. It is never empty and cannot leave its segment.
pub fn segment(name: &str, style: ParameterStyle, value: &Value) -> Option<String> {
    if flat(style, value)?.is_empty() {
        return None;
    }
    let (first, between, explode) = match style {
        ParameterStyle::Json => return Some(encoded(&value.to_string())),
        ParameterStyle::Label { explode } => (".", if explode { "." } else { "," }, explode),
        ParameterStyle::Matrix { explode } => (";", if explode { ";" } else { "," }, explode),
        ParameterStyle::Simple { explode } => ("", ",", explode),
        ParameterStyle::Repeated | ParameterStyle::Joined(_) | ParameterStyle::Deep => {
            ("", ",", false)
        }
    };
    let mut parts: Vec<String> = words(value, explode)
        .iter()
        .map(|word| word.written(encoded))
        .collect();
    if let ParameterStyle::Matrix { explode } = style {
        let name = encoded(name);
        match parts.first_mut() {
            _ if explode && !value.is_object() => {
                for part in &mut parts {
                    *part = format!("{name}={part}");
                }
            }
            Some(part) if !explode => *part = format!("{name}={part}"),
            _ => {}
        }
    }
    Some(format!("{first}{}", parts.join(between)))
}

/// Percent-encodes characters with a meaning in a path.
fn encoded(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// Returns a single value as text; `None` for null.
pub fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Some(value.to_string())
        }
    }
}

/// A part of a value.
struct ValuePart {
    /// The key of a field that is joined to its value.
    key: Option<String>,
    /// The text.
    text: String,
}

impl ValuePart {
    fn plain(text: String) -> Self {
        Self { key: None, text }
    }

    /// `key=text`, or the text alone.
    fn written(&self, encode: impl Fn(&str) -> String) -> String {
        match &self.key {
            Some(key) => format!("{}={}", encode(key), encode(&self.text)),
            None => encode(&self.text),
        }
    }
}

/// Returns the parts of a value: the items of a list, the keys and values of an object.
fn words(value: &Value, explode: bool) -> Vec<ValuePart> {
    match value {
        Value::Array(items) => items
            .iter()
            .filter_map(scalar)
            .map(ValuePart::plain)
            .collect(),
        Value::Object(fields) => {
            let fields = fields.iter();
            let fields = fields.filter_map(|(key, value)| Some((key.clone(), scalar(value)?)));
            if explode {
                let pair = |(key, text)| ValuePart {
                    key: Some(key),
                    text,
                };
                fields.map(pair).collect()
            } else {
                let both = |(key, text)| [ValuePart::plain(key), ValuePart::plain(text)];
                fields.flat_map(both).collect()
            }
        }
        value => scalar(value).map(ValuePart::plain).into_iter().collect(),
    }
}

/// Joins the parts of a value.
fn joined(value: &Value, explode: bool, between: &str) -> String {
    let words: Vec<String> = words(value, explode)
        .iter()
        .map(|word| word.written(str::to_owned))
        .collect();
    words.join(between)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The examples of OpenAPI 3.1, style examples.
    #[test]
    fn pieces_of_a_path_are_written_in_every_style() {
        let (one, list) = (json!("blue"), json!(["blue", "black", "b,r"]));
        let object = json!({ "R": 100, "G": 200 });
        let simple = |explode| ParameterStyle::Simple { explode };
        let label = |explode| ParameterStyle::Label { explode };
        let matrix = |explode| ParameterStyle::Matrix { explode };
        for (style, value, expected) in [
            (simple(false), &one, "blue"),
            (simple(false), &list, "blue,black,b%2Cr"),
            (simple(false), &object, "R,100,G,200"),
            (simple(true), &object, "R=100,G=200"),
            (label(false), &one, ".blue"),
            (label(false), &list, ".blue,black,b%2Cr"),
            (label(true), &list, ".blue.black.b%2Cr"),
            (label(true), &object, ".R=100.G=200"),
            (matrix(false), &one, ";color=blue"),
            (matrix(true), &one, ";color=blue"),
            (matrix(false), &list, ";color=blue,black,b%2Cr"),
            (matrix(true), &list, ";color=blue;color=black;color=b%2Cr"),
            (matrix(false), &object, ";color=R,100,G,200"),
            (matrix(true), &object, ";R=100;G=200"),
            (
                ParameterStyle::Json,
                &json!({ "a": "/" }),
                "%7B%22a%22%3A%22%2F%22%7D",
            ),
        ] {
            assert_eq!(
                segment("color", style, value).as_deref(),
                Some(expected),
                "{style:?}"
            );
        }
        for value in [json!(""), json!([]), json!({}), Value::Null] {
            assert_eq!(segment("color", simple(false), &value), None, "{value}");
            assert_eq!(segment("color", matrix(true), &value), None, "{value}");
        }
        assert_eq!(
            segment("a", simple(false), &json!("../x y?#é%2e")).as_deref(),
            Some("..%2Fx%20y%3F%23%C3%A9%252e")
        );
    }

    #[test]
    fn pairs_are_written_in_every_style() {
        let list = json!(["a", 1, null]);
        let object = json!({ "b": { "c": [1, 2] }, "d": true });
        let written = |style, value: &Value| {
            let pairs = pairs("x", style, value).into_iter();
            let pairs: Vec<_> = pairs
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            pairs.join("&")
        };
        for (style, value, expected) in [
            (ParameterStyle::Repeated, &list, "x=a&x=1"),
            (ParameterStyle::Joined(','), &list, "x=a,1"),
            (ParameterStyle::Joined('|'), &list, "x=a|1"),
            (
                ParameterStyle::Joined(','),
                &object,
                "x=b,{\"c\":[1,2]},d,true",
            ),
            (ParameterStyle::Repeated, &object, "b={\"c\":[1,2]}&d=true"),
            (
                ParameterStyle::Deep,
                &object,
                "x[b][c]=1&x[b][c]=2&x[d]=true",
            ),
            (ParameterStyle::Json, &list, "x=[\"a\",1,null]"),
            (ParameterStyle::Deep, &json!(7), "x=7"),
            (ParameterStyle::Repeated, &Value::Null, ""),
        ] {
            assert_eq!(written(style, value), expected, "{style:?}");
        }
        assert_eq!(
            flat(
                ParameterStyle::Simple { explode: true },
                &json!({ "a": 1, "b": 2 })
            )
            .unwrap(),
            "a=1,b=2"
        );
    }
}
