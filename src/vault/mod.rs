//! [`Vault`]: seals the texts that stand in the database, so that the database alone gives nothing
//! away.
//!
//! A sealed text is a version byte, the id of its key (8 bytes), a random nonce (24) and what
//! XChaCha20-Poly1305 makes of the text. It is bound to its [`Place`]: moved into another row it
//! does not open. The keys are derived from the operator's texts by HKDF-SHA256.

mod key;

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::zeroize::Zeroizing;

use crate::secret::Secret;
use key::Key;

/// The first byte of a sealed text.
const VERSION: u8 = 1;
/// Length of a key's id, in bytes.
const ID: usize = 8;
/// Length of a nonce, in bytes: long enough to be drawn at random on every replica.
const NONCE: usize = 24;

/// The keys, the current one and those before it.
#[derive(Clone)]
pub struct Vault {
    /// Seals, and opens.
    current: Key,
    /// Only open.
    old: Vec<Key>,
}

/// Where a sealed text stands. It opens there and nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// What it is: `account`, `login`, `group_key`.
    pub kind: &'a str,
    /// The workspace of its row; empty where rows have none.
    pub workspace: &'a str,
    /// The bridge it is for.
    pub bridge: &'a str,
    /// Whose it is: a user, or what else tells one row of a bridge from the next.
    pub subject: &'a str,
}

/// Why a sealed text does not open. It was left as it stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsealable {
    /// None of our keys sealed it.
    #[error(
        "it is sealed under the key `{id}`, which we do not have; give that key back as \
         BRIDGE_SECRET_KEY or as an old key, nothing was lost"
    )]
    OtherKey {
        /// The id of the key that did, in hex.
        id: String,
    },
    /// The key is ours, and the text is not what was sealed at this place.
    #[error(
        "it was altered, or moved here from another row; put the row back from a backup, or store \
         the secret again"
    )]
    Tampered,
    /// Nothing that we sealed.
    #[error(
        "it is no sealed text that this version knows: cut short, or written by a newer program; \
         put the row back from a backup, or store the secret again"
    )]
    Malformed,
}

impl Vault {
    /// Derives the keys. Space around a text does not count: files end in a line break.
    pub fn new(current: &Secret, old: &[Secret]) -> Self {
        Self {
            current: Key::derive(current),
            old: old.iter().map(Key::derive).collect(),
        }
    }

    /// Seals a text for its place. Each time the result is another one.
    pub fn seal(&self, place: &Place<'_>, text: &str) -> Vec<u8> {
        let nonce: [u8; NONCE] = rand::random();
        let header = header(self.current.id());
        // The cipher refuses 256 GB and more, which nobody holds; what is empty opens to nobody.
        let Some(sealed) = self
            .current
            .seal(&nonce, text.as_bytes(), &bound(&header, place))
        else {
            return Vec::new();
        };
        [&header[..], &nonce, &sealed].concat()
    }

    /// Opens what was sealed for this place, under the current key or an old one.
    pub fn open(&self, place: &Place<'_>, sealed: &[u8]) -> Result<Secret, Unsealable> {
        let (header, rest) = sealed
            .split_first_chunk::<{ 1 + ID }>()
            .ok_or(Unsealable::Malformed)?;
        let (nonce, sealed) = rest
            .split_first_chunk::<NONCE>()
            .ok_or(Unsealable::Malformed)?;
        let id = id_of(header).ok_or(Unsealable::Malformed)?;
        let key = self
            .keys()
            .find(|key| key.id() == id)
            .ok_or_else(|| Unsealable::OtherKey { id: hex(id) })?;
        let text = key
            .open(nonce, sealed, &bound(header, place))
            .ok_or(Unsealable::Tampered)?;
        let text = Zeroizing::new(text);
        std::str::from_utf8(&text)
            .map(Secret::new)
            .map_err(|_| Unsealable::Malformed)
    }

    /// Whether it is sealed under the current key.
    pub fn is_current(&self, sealed: &[u8]) -> bool {
        sealed
            .first_chunk::<{ 1 + ID }>()
            .and_then(id_of)
            .is_some_and(|id| id == self.current.id())
    }

    /// [`Vault::seal`] as base64url, for columns of text and for URLs.
    pub fn seal_text(&self, place: &Place<'_>, text: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.seal(place, text))
    }

    /// Opens what [`Vault::seal_text`] made.
    pub fn open_text(&self, place: &Place<'_>, sealed: &str) -> Result<Secret, Unsealable> {
        let sealed = URL_SAFE_NO_PAD
            .decode(sealed)
            .map_err(|_| Unsealable::Malformed)?;
        self.open(place, &sealed)
    }

    /// [`Vault::is_current`] of what [`Vault::seal_text`] made.
    pub fn is_current_text(&self, sealed: &str) -> bool {
        URL_SAFE_NO_PAD
            .decode(sealed)
            .is_ok_and(|sealed| self.is_current(&sealed))
    }

    /// The ids of the keys in hex, the current one first. An id tells nothing of its key.
    pub fn ids(&self) -> Vec<String> {
        self.keys().map(|key| hex(key.id())).collect()
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.current).chain(&self.old)
    }
}

/// Shows the ids alone.
impl fmt::Debug for Vault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Vault")
            .field("keys", &self.ids())
            .finish()
    }
}

/// What a sealed text begins with.
fn header(id: [u8; ID]) -> [u8; 1 + ID] {
    let mut header = [VERSION; 1 + ID];
    header[1..].copy_from_slice(&id);
    header
}

/// The id in a header of our version.
fn id_of(header: &[u8; 1 + ID]) -> Option<[u8; ID]> {
    let (&version, id) = header.split_first()?;
    (version == VERSION).then(|| id.try_into().ok()).flatten()
}

/// What the seal is bound to: the header, and the place with the length before each part, so that
/// no two places read alike.
fn bound(header: &[u8], place: &Place<'_>) -> Vec<u8> {
    let mut bound = header.to_vec();
    for part in [place.kind, place.workspace, place.bridge, place.subject] {
        // The same eight bytes on every machine.
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
