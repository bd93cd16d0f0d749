//! [`CallerInput`]: what a caller sent, and therefore already knows.

use std::sync::OnceLock;

use bytes::Bytes;
use serde_json::Value;

use super::needles::Known;

/// What a caller sent. If it contains a secret, that secret is not removed from the response to
/// this caller: stars in place of the caller's own text would reveal that it is a secret.
#[derive(Debug)]
pub(super) struct CallerInput {
    /// The secrets in it.
    pub(super) known: Known,
    /// The request body.
    pub(super) body: Bytes,
    /// Secrets that a server can produce from the body with little effort. Computed when first
    /// needed.
    pub(super) made: OnceLock<Known>,
}

impl CallerInput {
    /// What servers often produce from arguments: all texts concatenated, in lower case, in upper
    /// case.
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

/// Concatenates the texts of a value.
fn join(value: &Value, joined: &mut String) {
    match value {
        Value::String(text) => joined.push_str(text),
        Value::Number(number) => joined.push_str(&number.to_string()),
        Value::Array(items) => items.iter().for_each(|item| join(item, joined)),
        Value::Object(members) => members.values().for_each(|member| join(member, joined)),
        Value::Null | Value::Bool(_) => {}
    }
}
