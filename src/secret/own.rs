//! [`Own`]: what a caller sent, and therefore knows.

use std::sync::OnceLock;

use bytes::Bytes;
use serde_json::Value;

use super::needles::Known;

/// What a caller sent. A secret in it is not taken out of the answer to this caller: stars in place of
/// what they wrote themselves would tell them that it is one.
#[derive(Debug)]
pub(super) struct Own {
    /// The secrets in it.
    pub(super) known: Known,
    /// The body, as it came.
    pub(super) body: Bytes,
    /// The secrets that a server can make of it with little effort, once somebody asked for them.
    pub(super) made: OnceLock<Known>,
}

impl Own {
    /// What servers often make of arguments: all texts one after the other, in small letters, in
    /// capitals.
    pub(super) fn variants(&self) -> Vec<Vec<u8>> {
        let mut joined = String::new();
        if let Ok(value) = serde_json::from_slice::<Value>(&self.body) {
            join(&value, &mut joined);
        }
        let mut variants = vec![
            self.body.to_ascii_lowercase(),
            self.body.to_ascii_uppercase(),
        ];
        if !joined.is_empty() {
            variants.push(joined.into_bytes());
        }
        variants
    }
}

/// Writes the texts of a value one after the other.
fn join(value: &Value, joined: &mut String) {
    match value {
        Value::String(text) => joined.push_str(text),
        Value::Number(number) => joined.push_str(&number.to_string()),
        Value::Array(items) => items.iter().for_each(|item| join(item, joined)),
        Value::Object(members) => members.values().for_each(|member| join(member, joined)),
        Value::Null | Value::Bool(_) => {}
    }
}
