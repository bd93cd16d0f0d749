//! [`Secret`]: a text that never prints itself.

use std::{borrow::Cow, fmt};

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use subtle::ConstantTimeEq as _;

/// A key, token or password. `Debug` shows stars, the memory is wiped on drop, and the one way to
/// the text is [`Secret::expose`], which is easy to search for.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// The text itself: for a header or the environment of a child process, never for output.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Whether `text` is this secret, in time that depends on the lengths alone.
    pub fn matches(&self, text: &str) -> bool {
        self.expose().as_bytes().ct_eq(text.as_bytes()).into()
    }
}

/// Compares in constant time; a reload compares old and new configuration.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.matches(other.expose())
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// The shortest secret that is looked for in texts, in bytes: a shorter one would turn innocent
/// words into stars.
const REDACTED_BYTES_MIN: usize = 6;

/// Replaces secrets in texts that come from elsewhere: a server's stderr, its error messages.
#[derive(Debug, Clone, Default)]
pub struct Redactor {
    /// What must not show, longest first, so that a secret which contains another goes whole.
    secrets: Vec<Secret>,
}

impl Redactor {
    /// Looks for these secrets; `Bearer x` is looked for as `x`.
    pub fn new(secrets: impl IntoIterator<Item = Secret>) -> Self {
        let mut secrets: Vec<_> = secrets
            .into_iter()
            .map(|secret| match secret.expose().split_once(' ') {
                Some((_scheme, token)) if !token.is_empty() => Secret::new(token),
                _ => secret,
            })
            .filter(|secret| secret.expose().len() >= REDACTED_BYTES_MIN)
            .collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.expose().len()));
        Self { secrets }
    }

    /// Stub.
    pub fn learn(&self, _secret: Secret) {}

    /// The value with `***` for every secret in its texts.
    pub fn redact_json(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.redact(&text).into_owned()),
            Value::Array(items) => items.into_iter().map(|it| self.redact_json(it)).collect(),
            Value::Object(members) => members
                .into_iter()
                .map(|(key, value)| (key, self.redact_json(value)))
                .collect(),
            other => other,
        }
    }

    /// The text with `***` for every secret.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        for secret in &self.secrets {
            if text.contains(secret.expose()) {
                text = Cow::Owned(text.replace(secret.expose(), "***"));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_stars() {
        assert_eq!(format!("{:?}", Some(Secret::new("hunter2"))), "Some(***)");
    }

    #[test]
    fn only_the_whole_text_matches() {
        let secret = Secret::new("key");
        assert!(secret.matches("key"));
        assert!(!secret.matches("ke") && !secret.matches("keyy") && !secret.matches(""));
    }

    #[test]
    fn the_redactor_knows_a_token_without_its_scheme() {
        let redactor = Redactor::new([Secret::new("Bearer s3cret-token"), Secret::new("on")]);
        assert_eq!(
            redactor.redact("bad token s3cret-token, moving on"),
            "bad token ***, moving on"
        );
    }
}
