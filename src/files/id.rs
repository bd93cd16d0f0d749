//! [`FileId`]: what stands in a link.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

/// Length of the random bytes.
const BYTES: usize = 32;
/// Length of the text: base64url without padding (RFC 4648 §5).
const TEXT: usize = 43;

/// 256 random bits, which nobody can guess.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileId(String);

impl FileId {
    /// A new one.
    pub fn random() -> Self {
        let bytes: [u8; BYTES] = rand::random();
        Self(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Reads what stands in a link; `None` for what never stood in one.
    pub fn parse(text: &str) -> Option<Self> {
        let is_ours = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        (text.len() == TEXT && text.bytes().all(is_ours)).then(|| Self(text.to_owned()))
    }

    /// The text of the link.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is stored in its place: the SHA-256 in hex.
    pub fn hashed(&self) -> String {
        let hash: [u8; 32] = Sha256::digest(self.0.as_bytes()).into();
        let (high, low) = hash.split_at(16);
        let number = |half: &[u8]| u128::from_be_bytes(half.try_into().unwrap_or_default());
        format!("{:032x}{:032x}", number(high), number(low))
    }
}

/// It opens a file, so it does not show itself.
impl fmt::Debug for FileId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("FileId(..)")
    }
}
