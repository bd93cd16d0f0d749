//! [`StoredGroupKey`]: the format of a group's key in `key_value`.

use crate::{
    credential::{EncryptionKeyError, EncryptionKeys, places},
    secret::Secret,
    store::{ChangeActor, GroupKeyName, GroupKeyRow, Store, StoreError},
    vault::Vault,
};

/// The prefix of a sealed value. No vendor's keys start with it.
const PREFIX: &str = "sealed:v1:";

/// A row of the table, after parsing.
#[derive(Debug)]
pub enum StoredGroupKey<'a> {
    /// A plain value that the proxy stored.
    Plain(&'a Secret),
    /// A sealed value, without the prefix.
    Sealed(&'a GroupKeyName, &'a str),
}

/// Why a key was not stored.
#[derive(Debug, thiserror::Error)]
pub enum GroupKeyPutError {
    /// The value cannot be sealed.
    #[error(transparent)]
    Key(#[from] EncryptionKeyError),
    /// The database failed or rejected the value.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The value is empty or cannot be an environment variable.
    #[error("{0}")]
    Value(&'static str),
}

impl<'a> StoredGroupKey<'a> {
    /// Detects the format.
    pub fn read(row: &'a GroupKeyRow) -> Self {
        match row.stored.expose().strip_prefix(PREFIX) {
            Some(sealed) => Self::Sealed(&row.name, sealed),
            None => Self::Plain(&row.stored),
        }
    }

    /// The value, or an error that says what to do.
    pub fn open(&self, keyring: &EncryptionKeys) -> Result<Secret, String> {
        match self {
            Self::Plain(value) => Ok(Secret::clone(value)),
            Self::Sealed(name, sealed) => {
                let vault = keyring.to_open().map_err(|error| error.to_string())?;
                vault
                    .open_text(&places::group_key(name), sealed)
                    .map_err(|error| error.to_string())
            }
        }
    }

    /// The text to store for a value.
    pub fn seal(vault: &Vault, name: &GroupKeyName, value: &Secret) -> String {
        let sealed = vault.seal_text(&places::group_key(name), value.expose());
        format!("{PREFIX}{sealed}")
    }
}

/// Seals a value and stores it, replacing an earlier one.
pub async fn put_group_key(
    store: &Store,
    keyring: &EncryptionKeys,
    actor: &ChangeActor,
    name: &GroupKeyName,
    value: &Secret,
) -> Result<(), GroupKeyPutError> {
    if value.expose().trim().is_empty() {
        return Err(GroupKeyPutError::Value(
            "the value is empty; remove the key instead",
        ));
    }
    if value.expose().contains('\0') {
        return Err(GroupKeyPutError::Value(
            "the value contains a NUL byte, which a variable cannot contain",
        ));
    }
    let vault = keyring.to_seal()?;
    let stored = StoredGroupKey::seal(&vault, name, value);
    Ok(store.put_group_key(actor, name, &stored).await?)
}
