//! [`rotate`] seals everything with the current key. [`survey`] reports what can be opened.
//!
//! What cannot be opened is left unchanged: its key may be restored later.

use std::time::Duration;

use super::{StoredGroupKey, places};
use crate::{
    secret::Secret,
    store::{AccountKey, GroupKeyRow, Store, StoreError},
    vault::{DecryptError, ValueLocation, Vault},
};

/// How many rows are read at once.
const PAGE: u32 = 200;
/// How often rows are checked again that another task was changing.
const TRIES: u32 = 10;
/// The pause between these attempts. A token renewal takes a few seconds.
const PAUSE: Duration = Duration::from_secs(1);

/// The counts of one kind.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct RotationCounts {
    /// Sealed with the current key.
    pub current: u64,
    /// Sealed with an old key, and left unchanged.
    pub old: u64,
    /// In plain text, and left unchanged.
    pub plain: u64,
    /// Sealed with the current key in this run.
    pub sealed_anew: u64,
    /// What cannot be opened, with the reason.
    pub unopened: Vec<(String, String)>,
}

/// The counts by kind.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct RotationReport {
    /// Accounts at servers.
    pub accounts: RotationCounts,
    /// Logins in progress.
    pub logins: RotationCounts,
    /// Keys of groups.
    pub group_keys: RotationCounts,
}

/// What is stored, as far as that can be seen without a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredSecrets {
    /// Whether there is data that only a key can open.
    pub has_sealed: bool,
    /// Whether there is data in plain text that a key should seal.
    pub has_plain: bool,
}

/// What to do with one row.
enum EncryptionState {
    /// Nothing.
    Current,
    /// It can be opened and must be sealed again. Contains the plain text.
    Stale(Secret),
    /// It cannot be opened.
    Unopened(DecryptError),
}

impl RotationReport {
    /// The counts with the names of their kinds.
    pub fn kinds(&self) -> [(&'static str, &RotationCounts); 3] {
        [
            ("accounts and registrations", &self.accounts),
            ("open logins", &self.logins),
            ("group keys", &self.group_keys),
        ]
    }

    /// Whether something must still be sealed with the current key.
    fn has_stale(&self) -> bool {
        self.kinds()
            .iter()
            .any(|(_, tally)| tally.old + tally.plain > 0)
    }

    /// Counts what an earlier pass sealed, and this pass found current, as sealed in this run.
    fn after(mut self, before: &Self) -> Self {
        for (now, before) in [
            (&mut self.accounts, &before.accounts),
            (&mut self.logins, &before.logins),
            (&mut self.group_keys, &before.group_keys),
        ] {
            now.current = now.current.saturating_sub(before.sealed_anew);
            now.sealed_anew += before.sealed_anew;
        }
        self
    }
}

impl RotationCounts {
    /// The total.
    pub fn all(&self) -> u64 {
        let unopened = u64::try_from(self.unopened.len()).unwrap_or(u64::MAX);
        self.current + self.old + self.plain + self.sealed_anew + unopened
    }
}

/// Opens everything and changes nothing.
pub async fn survey(store: &Store, vault: &Vault) -> Result<RotationReport, StoreError> {
    pass(store, vault, false).await
}

/// Seals everything that can be opened with the current key. Waits some seconds for rows that
/// others are changing. If some rows still count as `old`, run the rotation again.
pub async fn rotate(store: &Store, vault: &Vault) -> Result<RotationReport, StoreError> {
    let mut rotation = pass(store, vault, true).await?;
    for _ in 1..TRIES {
        if !rotation.has_stale() {
            break;
        }
        tokio::time::sleep(PAUSE).await;
        rotation = pass(store, vault, true).await?.after(&rotation);
    }
    Ok(rotation)
}

/// What is stored, without opening any of it.
pub async fn stored_secrets(store: &Store) -> Result<StoredSecrets, StoreError> {
    let accounts = store.sealed_accounts(&AccountKey::default(), 1).await?;
    let logins = store.sealed_logins("", 1).await?;
    let keys = store.group_keys().await?;
    let is_plain = |row| matches!(StoredGroupKey::read(row), StoredGroupKey::Plain(..));
    let has_plain = keys.iter().any(is_plain);
    let has_sealed_key = keys.iter().any(|row| !is_plain(row));
    Ok(StoredSecrets {
        has_sealed: !accounts.is_empty() || !logins.is_empty() || has_sealed_key,
        has_plain,
    })
}

/// One pass over everything.
async fn pass(store: &Store, vault: &Vault, seals: bool) -> Result<RotationReport, StoreError> {
    Ok(RotationReport {
        accounts: accounts(store, vault, seals).await?,
        logins: logins(store, vault, seals).await?,
        group_keys: group_keys(store, vault, seals).await?,
    })
}

async fn accounts(store: &Store, vault: &Vault, seals: bool) -> Result<RotationCounts, StoreError> {
    let mut tally = RotationCounts::default();
    let mut after = AccountKey::default();
    loop {
        let page = store.sealed_accounts(&after, PAGE).await?;
        let Some((last, _)) = page.last() else {
            return Ok(tally);
        };
        after = last.clone();
        for (key, sealed) in page {
            let place = places::account(&key);
            match find(vault, &place, &sealed) {
                EncryptionState::Stale(text) if seals => {
                    let new = vault.seal(&place, text.expose());
                    tally.tried(store.reseal_account(&key, &sealed, &new).await?);
                }
                other => tally.note(other, || {
                    let whose = if key.subject.is_empty() {
                        "shared by all callers"
                    } else {
                        &key.subject
                    };
                    format!("account of `{}`, {whose}", key.bridge)
                }),
            }
        }
    }
}

async fn logins(store: &Store, vault: &Vault, seals: bool) -> Result<RotationCounts, StoreError> {
    let mut tally = RotationCounts::default();
    let mut after = String::new();
    loop {
        let page = store.sealed_logins(&after, PAGE).await?;
        let Some((last, _)) = page.last() else {
            return Ok(tally);
        };
        after.clone_from(last);
        for (id, sealed) in page {
            let place = places::login(&id);
            match find(vault, &place, &sealed) {
                EncryptionState::Stale(text) if seals => {
                    let new = vault.seal(&place, text.expose());
                    tally.tried(store.reseal_login(&id, &sealed, &new).await?);
                }
                other => tally.note(other, || "a login in progress".to_owned()),
            }
        }
    }
}

async fn group_keys(
    store: &Store,
    vault: &Vault,
    seals: bool,
) -> Result<RotationCounts, StoreError> {
    let mut tally = RotationCounts::default();
    for row in store.group_keys().await? {
        let value = match StoredGroupKey::read(&row) {
            StoredGroupKey::Plain(value) => {
                if !seals {
                    tally.plain += 1;
                    continue;
                }
                value.clone()
            }
            StoredGroupKey::Sealed(name, sealed) => {
                let place = places::group_key(name);
                match find_text(vault, &place, sealed) {
                    EncryptionState::Stale(value) if seals => value,
                    other => {
                        tally.note(other, || described(&row));
                        continue;
                    }
                }
            }
        };
        let new = StoredGroupKey::seal(vault, &row.name, &value);
        let is_done = store.reseal_group_key(&row.name, &row.stored, &new).await?;
        tally.tried(is_done);
    }
    Ok(tally)
}

fn described(row: &GroupKeyRow) -> String {
    let name = &row.name;
    format!(
        "`{}` of group `{}` for `{}`",
        name.variable, name.group, name.bridge
    )
}

fn find(vault: &Vault, place: &ValueLocation<'_>, sealed: &[u8]) -> EncryptionState {
    match vault.open(place, sealed) {
        Ok(_) if vault.is_current(sealed) => EncryptionState::Current,
        Ok(text) => EncryptionState::Stale(text),
        Err(why) => EncryptionState::Unopened(why),
    }
}

fn find_text(vault: &Vault, place: &ValueLocation<'_>, sealed: &str) -> EncryptionState {
    match vault.open_text(place, sealed) {
        Ok(_) if vault.is_current_text(sealed) => EncryptionState::Current,
        Ok(text) => EncryptionState::Stale(text),
        Err(why) => EncryptionState::Unopened(why),
    }
}

impl RotationCounts {
    /// Counts a row that is left unchanged.
    fn note(&mut self, finding: EncryptionState, what: impl FnOnce() -> String) {
        match finding {
            EncryptionState::Current => self.current += 1,
            EncryptionState::Stale(_) => self.old += 1,
            EncryptionState::Unopened(why) => self.unopened.push((what(), why.to_string())),
        }
    }

    /// Counts a row that was sealed, or that another task changed at the same time.
    fn tried(&mut self, is_done: bool) {
        if is_done {
            self.sealed_anew += 1;
        } else {
            self.old += 1;
        }
    }
}

#[cfg(test)]
mod tests;
