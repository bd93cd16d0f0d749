//! [`FileId`]: the secret part of a link to a file.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

/// The length of the random bytes.
const BYTES: usize = 32;
/// The length of the text: base64url without padding (RFC 4648 §5).
const TEXT: usize = 43;

/// The id of a file: 256 random bits that cannot be guessed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileId(String);

impl FileId {
    /// A new random id.
    pub fn random() -> Self {
        let bytes: [u8; BYTES] = rand::random();
        Self(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Parses the id from a link. Returns `None` for a text that cannot be an id.
    pub fn parse(text: &str) -> Option<Self> {
        let is_ours = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        (text.len() == TEXT && text.bytes().all(is_ours)).then(|| Self(text.to_owned()))
    }

    /// The text of the id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The SHA-256 hash in hex. The store keeps the hash and never the id.
    pub fn hashed(&self) -> String {
        let hash: [u8; 32] = Sha256::digest(self.0.as_bytes()).into();
        let (high, low) = hash.split_at(16);
        let number = |half: &[u8]| u128::from_be_bytes(half.try_into().unwrap_or_default());
        format!("{:032x}{:032x}", number(high), number(low))
    }
}

/// The id opens a file, so its text stays out of logs.
impl fmt::Debug for FileId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("FileId(..)")
    }
}
