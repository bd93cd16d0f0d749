//! [`MeteredJson`]: a JSON representation for the validator that charges a step for each access to a value.
//!
//! The validator library has no budget of its own, and some schemas make it access one value 2^n times. Each
//! access passes through this representation, so the meter can stop that.

use std::{borrow::Cow, collections::HashSet};

use jsonschema::{
    JsonType,
    json::{Array, Json, Node, NodeIdentity, Object, cmp},
};
use serde_json::{Map, Number, Value, map};

use crate::schema::meter::{charge, charge_copy, charge_text, per};

/// Up to this number, the elements of an array are compared pairwise; beyond it they are hashed.
const FEW_ELEMENTS: usize = 12;

/// The representation.
#[derive(Debug)]
pub struct MeteredJson;

/// One value.
#[derive(Debug, Clone, Copy)]
pub struct MeteredValue<'a>(pub &'a Value);

/// An object.
#[derive(Debug)]
pub struct MeteredObject<'a>(&'a Map<String, Value>);

/// An array.
#[derive(Debug)]
pub struct MeteredArray<'a>(&'a [Value]);

/// The members of an object.
#[derive(Debug)]
pub struct MeteredMembers<'a>(map::Iter<'a>);

/// The elements of an array.
#[derive(Debug)]
pub struct MeteredElements<'a>(std::slice::Iter<'a, Value>);

impl Json for MeteredJson {
    type Node<'a> = MeteredValue<'a>;
    type PreparedKey = String;
    type StringBuffer = Value;

    fn prepare_key(key: &str) -> String {
        key.to_owned()
    }

    fn with_string_node<T>(
        buffer: &mut Value,
        string: &str,
        f: impl FnOnce(MeteredValue<'_>) -> T,
    ) -> T {
        charge_text(string);
        *buffer = Value::String(string.to_owned());
        f(MeteredValue(buffer))
    }
}

impl<'a> Node<'a, MeteredJson> for MeteredValue<'a> {
    type Object = MeteredObject<'a>;
    type Array = MeteredArray<'a>;
    type Number = &'a Number;

    fn as_object(&self) -> Option<MeteredObject<'a>> {
        charge(1);
        self.0.as_object().map(MeteredObject)
    }

    fn as_array(&self) -> Option<MeteredArray<'a>> {
        charge(1);
        self.0.as_array().map(|elements| MeteredArray(elements))
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        let Some(text) = self.0.as_str() else {
            charge(1);
            return None;
        };
        charge_text(text);
        Some(Cow::Borrowed(text))
    }

    fn as_number(&self) -> Option<&'a Number> {
        charge(1);
        self.0.as_number()
    }

    fn as_boolean(&self) -> Option<bool> {
        charge(1);
        self.0.as_bool()
    }

    fn is_null(&self) -> bool {
        charge(1);
        self.0.is_null()
    }

    fn is_string(&self) -> bool {
        charge(1);
        self.0.is_string()
    }

    fn json_type(&self) -> JsonType {
        charge(1);
        match self.0 {
            Value::Null => JsonType::Null,
            Value::Bool(_) => JsonType::Boolean,
            Value::Number(_) => JsonType::Number,
            Value::String(_) => JsonType::String,
            Value::Array(_) => JsonType::Array,
            Value::Object(_) => JsonType::Object,
        }
    }

    fn string_length(&self) -> Option<u64> {
        let text = self.0.as_str();
        charge(1 + per(text.map_or(0, str::len), 64));
        text.map(|text| u64::try_from(text.chars().count()).unwrap_or(u64::MAX))
    }

    fn equals_value(&self, expected: &Value) -> bool {
        equal(self.0, expected)
    }

    /// Called once for each error, which may keep a copy.
    fn to_value(&self) -> Cow<'a, Value> {
        charge_copy(self.0);
        Cow::Borrowed(self.0)
    }

    fn identity(&self) -> Option<NodeIdentity> {
        charge(1);
        Some(NodeIdentity::new(std::ptr::from_ref(self.0).addr()))
    }
}

impl<'a> Object<'a, MeteredJson> for MeteredObject<'a> {
    type Node = MeteredValue<'a>;
    type MemberName = &'a str;
    type MembersIter = MeteredMembers<'a>;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn get(&self, key: &String) -> Option<MeteredValue<'a>> {
        charge(1);
        self.0.get(key.as_str()).map(MeteredValue)
    }

    fn members(&self) -> MeteredMembers<'a> {
        MeteredMembers(self.0.iter())
    }
}

impl<'a> Iterator for MeteredMembers<'a> {
    type Item = (&'a str, MeteredValue<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, value) = self.0.next()?;
        // `patternProperties` match the names.
        charge_text(name);
        Some((name.as_str(), MeteredValue(value)))
    }
}

impl<'a> Array<'a, MeteredJson> for MeteredArray<'a> {
    type Node = MeteredValue<'a>;
    type ElementsIter = MeteredElements<'a>;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn elements(&self) -> MeteredElements<'a> {
        MeteredElements(self.0.iter())
    }

    /// Compares a few elements directly, and more by their canonical texts. The library's own hashes are
    /// equal for all arrays of empty arrays, and a caller can choose them for objects.
    fn is_unique(&self) -> bool {
        let elements = self.0;
        if elements.len() <= FEW_ELEMENTS {
            let mut pairs = elements
                .iter()
                .enumerate()
                .flat_map(|(place, a)| elements.iter().skip(place + 1).map(move |b| (a, b)));
            return !pairs.any(|(a, b)| equal(a, b));
        }
        let mut seen = HashSet::with_capacity(elements.len());
        elements.iter().all(|element| {
            let mut text = Vec::new();
            canonical(element, &mut text);
            seen.insert(text)
        })
    }
}

impl<'a> Iterator for MeteredElements<'a> {
    type Item = MeteredValue<'a>;

    fn next(&mut self) -> Option<MeteredValue<'a>> {
        let element = self.0.next()?;
        charge(1);
        Some(MeteredValue(element))
    }
}

/// Whether two values are equal by the rules of JSON Schema.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => {
            charge(1);
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            charge(1);
            a.len() == b.len()
                && a.iter().all(|(key, a)| {
                    charge(1 + per(key.len(), 64));
                    b.get(key).is_some_and(|b| equal(a, b))
                })
        }
        (Value::String(a), Value::String(b)) => {
            charge(1 + per(a.len().min(b.len()), 256));
            a == b
        }
        _ => {
            charge(1);
            cmp::equal(a, b)
        }
    }
}

/// Writes a value so that only equal values have the same text.
fn canonical(value: &Value, out: &mut Vec<u8>) {
    charge(4);
    match value {
        Value::Array(elements) => {
            out.push(b'[');
            for element in elements {
                canonical(element, out);
                out.push(b',');
            }
            out.push(b']');
        }
        Value::Object(members) => {
            let mut sorted: Vec<(&String, &Value)> = members.iter().collect();
            sorted.sort_unstable_by_key(|(key, _)| *key);
            out.push(b'{');
            for (key, value) in sorted {
                text(key, out);
                canonical(value, out);
            }
            out.push(b'}');
        }
        Value::String(string) => text(string, out),
        Value::Number(number) => out.extend(digits(number).into_bytes()),
        Value::Bool(true) => out.push(b't'),
        Value::Bool(false) => out.push(b'f'),
        Value::Null => out.push(b'n'),
    }
}

/// Writes a string for [`canonical`].
fn text(string: &str, out: &mut Vec<u8>) {
    charge(2 + per(string.len(), 32));
    out.push(b'"');
    out.extend(string.len().to_le_bytes());
    out.extend(string.bytes());
}

/// Writes a number so that `1`, `1.0` and `1e0` are equal.
fn digits(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() && float.fract() == 0.0 => {
            // Minus zero equals zero.
            let whole = format!("{float:.0}");
            if float == 0.0 { "0".to_owned() } else { whole }
        }
        _ => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn equality_is_that_of_the_schema_language() {
        let alike = [
            (json!(1), json!(1.0)),
            (json!(0), json!(-0.0)),
            (json!({"a": 1, "b": [2]}), json!({"b": [2.0], "a": 1})),
            (
                json!(9_007_199_254_740_992_u64),
                json!(9_007_199_254_740_992.0),
            ),
        ];
        for (a, b) in alike {
            assert!(equal(&a, &b), "{a} {b}");
            assert_eq!(canonical_of(&a), canonical_of(&b), "{a} {b}");
        }
        let apart = [
            (json!(1), json!("1")),
            (json!([]), json!([[]])),
            (json!([[], []]), json!([[[]]])),
            (json!(["a,"]), json!(["a", ""])),
            (json!({"a": {"b": 1}}), json!({"a": {}, "b": 1})),
            (json!(1.5), json!(1)),
            (json!(true), json!("t")),
            (
                json!(9_007_199_254_740_993_u64),
                json!(9_007_199_254_740_992.0),
            ),
        ];
        for (a, b) in apart {
            assert!(!equal(&a, &b), "{a} {b}");
            assert_ne!(canonical_of(&a), canonical_of(&b), "{a} {b}");
        }
    }

    fn canonical_of(value: &Value) -> Vec<u8> {
        let mut text = Vec::new();
        canonical(value, &mut text);
        text
    }

    #[test]
    fn elements_are_compared_whatever_their_number() {
        for length in [2, FEW_ELEMENTS, FEW_ELEMENTS + 1, 200] {
            let mut elements: Vec<Value> = (0..length).map(|n| json!({ "n": n })).collect();
            assert!(MeteredArray(&elements).is_unique(), "{length}");
            elements[length - 1] = json!({"n": 0.0});
            assert!(!MeteredArray(&elements).is_unique(), "{length}");
        }
    }
}
