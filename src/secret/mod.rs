//! [`Secret`]: a text that never prints itself. [`Redactor`]: removes secrets from texts.

mod forms;
mod memory;
mod needles;
mod own;
mod plain;
mod redactor;
mod shape;

#[cfg(test)]
mod tests;

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;

pub use memory::SecretSource;
pub use redactor::Redactor;

/// A key, token or password. `Debug` shows stars, the memory is wiped on drop, and the only way to
/// the text is [`Secret::expose`], which is easy to search for.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// The text: for a header or the environment of a child process, never for output.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Whether `text` is this secret. The time depends only on the lengths.
    pub fn matches(&self, text: &str) -> bool {
        self.expose().as_bytes().ct_eq(text.as_bytes()).into()
    }
}

/// Compares in constant time. A reload compares the old and the new configuration.
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
