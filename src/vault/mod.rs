//! [`Vault`]: seals (encrypts) the secrets in the database, so that a copy of the database does not
//! reveal them.
//!
//! A sealed text consists of a version byte, the ID of its key (8 bytes), a random nonce (24
//! bytes), and the output of XChaCha20-Poly1305. It is bound to its [`ValueLocation`]: it cannot be opened
//! after it was moved to another row. The keys are derived from the operator's texts with
//! HKDF-SHA256.

mod key;

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::zeroize::Zeroizing;

use crate::secret::Secret;
use key::{ID, NONCE, VaultKey};

/// The first byte of a sealed text.
const VERSION: u8 = 1;

/// The current key and earlier ones.
#[derive(Clone)]
pub struct Vault {
    /// Seals and opens.
    current: VaultKey,
    /// Only open.
    old: Vec<VaultKey>,
}

/// Where a sealed text is stored. It can be opened only for the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValueLocation<'a> {
    /// The kind: `account`, `login` or `group_key`.
    pub kind: &'a str,
    /// The workspace of the row; empty if the table has no workspaces.
    pub workspace: &'a str,
    /// The bridge.
    pub bridge: &'a str,
    /// A user, or another value that distinguishes the rows of a bridge.
    pub subject: &'a str,
}

/// Why a sealed text cannot be opened. The stored text is unchanged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecryptError {
    /// It was sealed with an unknown key.
    #[error(
        "it is sealed with the key `{id}`, which is not configured; configure that key as \
         BRIDGE_SECRET_KEY or as an old key; no data was lost"
    )]
    OtherKey {
        /// The ID of that key in hex.
        id: String,
    },
    /// The key is known, but the text is not what was sealed for this place.
    #[error(
        "it was altered, or moved here from another row; restore the row from a backup, or store \
         the secret again"
    )]
    Tampered,
    /// The text does not have the format of a sealed text.
    #[error(
        "it is not a sealed text that this version can read: it was cut short or written by a newer version; \
         restore the row from a backup, or store the secret again"
    )]
    Malformed,
}

impl Vault {
    /// Derives the keys. Whitespace around a text is ignored, because files end with a line break.
    pub fn new(current: &Secret, old: &[Secret]) -> Self {
        Self {
            current: VaultKey::derive(current),
            old: old.iter().map(VaultKey::derive).collect(),
        }
    }

    /// Seals a text for its place. Each call returns a different result.
    pub fn seal(&self, place: &ValueLocation<'_>, text: &str) -> Vec<u8> {
        let nonce: [u8; NONCE] = rand::random();
        let header = header(self.current.id());
        // The cipher refuses only texts of 256 GB and more. An empty result cannot be opened.
        let Some(sealed) = self
            .current
            .seal(&nonce, text.as_bytes(), &bound(&header, place))
        else {
            return Vec::new();
        };
        [&header[..], &nonce, &sealed].concat()
    }

    /// Opens a text that was sealed for this place with the current key or an old one.
    pub fn open(&self, place: &ValueLocation<'_>, sealed: &[u8]) -> Result<Secret, DecryptError> {
        let (header, rest) = sealed
            .split_first_chunk::<{ 1 + ID }>()
            .ok_or(DecryptError::Malformed)?;
        let (nonce, sealed) = rest
            .split_first_chunk::<NONCE>()
            .ok_or(DecryptError::Malformed)?;
        let id = id_of(header).ok_or(DecryptError::Malformed)?;
        let key = self
            .keys()
            .find(|key| key.id() == id)
            .ok_or_else(|| DecryptError::OtherKey { id: hex(id) })?;
        let text = key
            .open(nonce, sealed, &bound(header, place))
            .ok_or(DecryptError::Tampered)?;
        let text = Zeroizing::new(text);
        std::str::from_utf8(&text)
            .map(Secret::new)
            .map_err(|_| DecryptError::Malformed)
    }

    /// Whether it is sealed with the current key.
    pub fn is_current(&self, sealed: &[u8]) -> bool {
        sealed
            .first_chunk::<{ 1 + ID }>()
            .and_then(id_of)
            .is_some_and(|id| id == self.current.id())
    }

    /// [`Vault::seal`] as base64url, for text columns and URLs.
    pub fn seal_text(&self, place: &ValueLocation<'_>, text: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.seal(place, text))
    }

    /// Opens a text of [`Vault::seal_text`].
    pub fn open_text(
        &self,
        place: &ValueLocation<'_>,
        sealed: &str,
    ) -> Result<Secret, DecryptError> {
        let sealed = URL_SAFE_NO_PAD
            .decode(sealed)
            .map_err(|_| DecryptError::Malformed)?;
        self.open(place, &sealed)
    }

    /// [`Vault::is_current`] for a text of [`Vault::seal_text`].
    pub fn is_current_text(&self, sealed: &str) -> bool {
        URL_SAFE_NO_PAD
            .decode(sealed)
            .is_ok_and(|sealed| self.is_current(&sealed))
    }

    /// The IDs of the keys in hex, starting with the current one. An ID reveals nothing about its
    /// key.
    pub fn ids(&self) -> Vec<String> {
        self.keys().map(|key| hex(key.id())).collect()
    }

    fn keys(&self) -> impl Iterator<Item = &VaultKey> {
        std::iter::once(&self.current).chain(&self.old)
    }
}

/// Shows only the IDs.
impl fmt::Debug for Vault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Vault")
            .field("keys", &self.ids())
            .finish()
    }
}

/// The beginning of a sealed text.
fn header(id: [u8; ID]) -> [u8; 1 + ID] {
    let mut header = [VERSION; 1 + ID];
    header[1..].copy_from_slice(&id);
    header
}

/// The ID in a header of this version.
fn id_of(header: &[u8; 1 + ID]) -> Option<[u8; ID]> {
    let (&version, id) = header.split_first()?;
    (version == VERSION).then(|| id.try_into().ok()).flatten()
}

/// The data that a seal is bound to: the header and the place. The length precedes each part, so
/// that different places never give the same bytes.
fn bound(header: &[u8], place: &ValueLocation<'_>) -> Vec<u8> {
    let mut bound = header.to_vec();
    for part in [place.kind, place.workspace, place.bridge, place.subject] {
        // The length has eight bytes on every machine.
        let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
        bound.extend(length.to_be_bytes());
        bound.extend(part.as_bytes());
    }
    bound
}

fn hex(id: [u8; ID]) -> String {
    format!("{:016x}", u64::from_be_bytes(id))
}

#[cfg(test)]
mod tests;
