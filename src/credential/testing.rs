//! Keys for tests.

use std::path::Path;

use super::EncryptionKeys;
use crate::{
    config::{DatabaseSettings, DatabaseUrl},
    secret::Secret,
};

/// A key that is long enough, repeating this text.
pub fn key(text: &str) -> Secret {
    Secret::new(text.repeat(32))
}

/// A keyring with these keys and without a file.
pub fn keyring(current: &str, old: &[&str]) -> EncryptionKeys {
    EncryptionKeys::new(&DatabaseSettings {
        secret_key: Some(key(current)),
        secret_keys_old: old.iter().map(|text| key(text)).collect(),
        ..DatabaseSettings::beside(Path::new("/nowhere"))
    })
}

/// A keyring without a key, as with a PostgreSQL database.
pub fn no_key() -> EncryptionKeys {
    EncryptionKeys::new(&DatabaseSettings {
        url: DatabaseUrl::Postgres(Secret::new("postgres://localhost/x")),
        ..DatabaseSettings::beside(Path::new("/nowhere"))
    })
}
