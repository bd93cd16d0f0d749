//! [`Stored`]: how a key of a group stands in `key_value`.

use crate::{
    credential::{KeyError, Keyring, places},
    secret::Secret,
    store::{Actor, GroupKeyName, GroupKeyRow, Store, StoreError},
    vault::Vault,
};

/// What a sealed value begins with. No vendor's key does.
const PREFIX: &str = "sealed:v1:";

/// A row of the table, read.
#[derive(Debug)]
pub enum Stored<'a> {
    /// As the proxy left it.
    Plain(&'a Secret),
    /// Sealed by us, without the prefix.
    Sealed(&'a GroupKeyName, &'a str),
}

/// Why a key was not stored.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// It cannot be sealed.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The database would not have it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is nothing to store, or what no environment can hold.
    #[error("{0}")]
    Value(&'static str),
}

impl<'a> Stored<'a> {
    /// Tells which it is.
    pub fn read(row: &'a GroupKeyRow) -> Self {
        match row.stored.expose().strip_prefix(PREFIX) {
            Some(sealed) => Self::Sealed(&row.name, sealed),
            None => Self::Plain(&row.stored),
        }
    }

    /// The value itself, or what to do about it.
    pub fn open(&self, keyring: &Keyring) -> Result<Secret, String> {
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

    /// What to store for a value.
    pub fn seal(vault: &Vault, name: &GroupKeyName, value: &Secret) -> String {
        let sealed = vault.seal_text(&places::group_key(name), value.expose());
        format!("{PREFIX}{sealed}")
    }
}

/// Seals a value and stores it, over what may be there.
pub async fn put_group_key(
    store: &Store,
    keyring: &Keyring,
    actor: &Actor,
    name: &GroupKeyName,
    value: &Secret,
) -> Result<(), PutError> {
    if value.expose().trim().is_empty() {
        return Err(PutError::Value(
            "the value is empty; remove the key instead",
        ));
    }
    if value.expose().contains('\0') {
        return Err(PutError::Value(
            "the value has a NUL byte, which no variable can hold",
        ));
    }
    let vault = keyring.to_seal()?;
    let stored = Stored::seal(&vault, name, value);
    Ok(store.put_group_key(actor, name, &stored).await?)
}
