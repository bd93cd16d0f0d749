//! [`VaultKey`]: an encryption key, derived from a text of the operator.

use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use hkdf::Hkdf;
use secrecy::zeroize::Zeroizing;
use sha2::Sha256;

use crate::secret::Secret;

/// The purpose of the encryption key. Another purpose gives another key from the same text.
const DOMAIN_KEY: &[u8] = b"mcp-bridge vault 1: key of XChaCha20-Poly1305";
/// The purpose of the key's ID. The ID is stored in plain text and reveals nothing about the key.
const DOMAIN_ID: &[u8] = b"mcp-bridge vault 1: id";

/// The length of a key's ID in bytes.
pub(super) const ID: usize = 8;
/// The length of a nonce in bytes: long enough to be chosen at random on every replica.
pub(super) const NONCE: usize = 24;

/// A key and its ID.
#[derive(Clone)]
pub(super) struct VaultKey {
    id: [u8; ID],
    /// Wiped on drop.
    cipher: XChaCha20Poly1305,
}

impl VaultKey {
    /// Derives both. HKDF is meant for texts that cannot be guessed; it does not make a weak
    /// password strong.
    pub(super) fn derive(text: &Secret) -> Self {
        let hkdf = Hkdf::<Sha256>::new(None, text.expose().trim().as_bytes());
        let mut key = Zeroizing::new([0; 32]);
        let mut id = [0; ID];
        // HKDF refuses only lengths above 8160 bytes. These constants are far below.
        let is_derived =
            hkdf.expand(DOMAIN_KEY, &mut *key).is_ok() && hkdf.expand(DOMAIN_ID, &mut id).is_ok();
        debug_assert!(is_derived, "32 bytes and 8 are no more than HKDF gives");
        Self {
            id,
            cipher: XChaCha20Poly1305::new((&*key).into()),
        }
    }

    /// Distinguishes it from other keys.
    pub(super) fn id(&self) -> [u8; ID] {
        self.id
    }

    /// Seals a text. Returns `None` if it is too long for the cipher.
    pub(super) fn seal(&self, nonce: &[u8; NONCE], text: &[u8], bound: &[u8]) -> Option<Vec<u8>> {
        self.cipher
            .encrypt(&XNonce::from(*nonce), payload(text, bound))
            .ok()
    }

    /// Opens a sealed text. Returns `None` if any part differs from what was sealed.
    pub(super) fn open(&self, nonce: &[u8; NONCE], text: &[u8], bound: &[u8]) -> Option<Vec<u8>> {
        self.cipher
            .decrypt(&XNonce::from(*nonce), payload(text, bound))
            .ok()
    }
}

fn payload<'a>(msg: &'a [u8], aad: &'a [u8]) -> Payload<'a, 'a> {
    Payload { msg, aad }
}
