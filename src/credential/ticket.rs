//! [`ConnectTicket`]: permission to connect one account within a short time, by a link that can be shown to
//! users.
//!
//! A ticket is sealed in the database under the hash of a short ID. The link carries only the ID, so every
//! replica accepts it. The ticket names the user who may use it; the page compares that user with the one
//! who opens it. It belongs to the first browser that continues with it, and it ends once an account is
//! connected. The number of tickets per account is limited, so repeated requests of a model do not fill a
//! table.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{
    key::{EncryptionKeyError, EncryptionKeys},
    places,
};
use crate::{
    secret::Secret,
    store::{AccountKey, Store, StoreError},
};

/// How long a ticket is valid.
pub const TICKET_TTL: Duration = Duration::from_mins(10);

/// The length of an id, in characters.
const ID_CHARS: usize = 22;
/// The bytes of an id that name its account, so that the tickets of one account are found.
const ACCOUNT_BYTES: usize = 4;
/// The bytes of an id that are random: 96 bits.
const RANDOM_BYTES: usize = 12;
/// How often a change of a ticket is tried if another process changes it at the same time.
const TRIES: u32 = 3;

/// Permission to connect one account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectTicket {
    /// The bridge.
    pub bridge: String,
    /// The workspace of the account.
    pub workspace: String,
    /// The subject of the account, as in [`AccountKey`]; empty for the account that all share.
    pub subject: String,
    /// The user who may use it, by their name in logs.
    pub caller: String,
    /// How they authenticated, for the audit record.
    pub proof: String,
    /// When it expires, in seconds since 1970.
    ends_at: u64,
    /// The hash of the secret that the first browser holds.
    #[serde(default)]
    browser: Option<[u8; 32]>,
}

/// Creates and reads tickets.
#[derive(Debug, Clone)]
pub struct TicketStore {
    /// The keys that seal them.
    keys: Arc<EncryptionKeys>,
    /// The database.
    store: Arc<Store>,
}

/// Why a ticket cannot be made.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TicketCreationError {
    /// The key cannot seal.
    #[error(transparent)]
    Key(#[from] EncryptionKeyError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a ticket is not valid.
#[derive(Debug, Clone, thiserror::Error)]
pub enum InvalidTicketError {
    /// The ID is unknown: the link is incomplete, expired, or used.
    #[error(
        "this link is not complete, is over {} minutes old, or an account was connected with it already; ask for a new one",
        TICKET_TTL.as_secs() / 60
    )]
    Unknown,
    /// Another browser used it first.
    #[error("this link was opened in another browser already; ask for a new one")]
    OtherBrowser,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ConnectTicket {
    /// A ticket for an account, valid from now on.
    pub fn new(account: &AccountKey, caller: &str, proof: &str) -> Self {
        Self {
            bridge: account.bridge.clone(),
            workspace: account.workspace.clone(),
            subject: account.subject.clone(),
            caller: caller.to_owned(),
            proof: proof.to_owned(),
            ends_at: now() + TICKET_TTL.as_secs(),
            browser: None,
        }
    }

    /// The account.
    pub fn account(&self) -> AccountKey {
        AccountKey {
            workspace: self.workspace.clone(),
            bridge: self.bridge.clone(),
            subject: self.subject.clone(),
        }
    }
}

impl TicketStore {
    /// Tickets in these tables, sealed with these keys.
    pub fn new(store: Arc<Store>, keys: Arc<EncryptionKeys>) -> Self {
        Self { keys, store }
    }

    /// Stores a ticket and returns the ID for its link.
    pub async fn write(&self, ticket: &ConnectTicket) -> Result<String, TicketCreationError> {
        let vault = self.keys.to_seal()?;
        let random: [u8; RANDOM_BYTES] = rand::random();
        let marker = marker(&ticket.account());
        let id = URL_SAFE_NO_PAD.encode([&marker[..], &random[..]].concat());
        let row = row(&id);
        let text = serde_json::to_string(ticket).unwrap_or_default();
        let sealed = vault.seal(&places::login(&row), &text);
        let ends_at = i64::try_from(ticket.ends_at).unwrap_or(i64::MAX);
        let ends_at = ends_at.saturating_mul(1_000_000);
        let prefix = prefix(&marker);
        self.store
            .save_ticket(&row, &prefix, &sealed, ends_at)
            .await?;
        Ok(id)
    }

    /// Reads a ticket that is still valid.
    pub async fn read(&self, id: &str) -> Result<ConnectTicket, InvalidTicketError> {
        let (ticket, _sealed) = self.find(id).await?;
        Ok(ticket)
    }

    /// The same for the browser that holds this secret. From then on, the ticket is valid in that browser only.
    pub async fn claim(
        &self,
        id: &str,
        held: &Secret,
    ) -> Result<ConnectTicket, InvalidTicketError> {
        let browser: [u8; 32] = Sha256::digest(held.expose()).into();
        for _ in 0..TRIES {
            let (mut ticket, sealed) = self.find(id).await?;
            match ticket.browser {
                Some(first) if first.ct_eq(&browser).into() => return Ok(ticket),
                Some(_) => return Err(InvalidTicketError::OtherBrowser),
                None => ticket.browser = Some(browser),
            }
            let vault = self
                .keys
                .to_seal()
                .map_err(|_| InvalidTicketError::Unknown)?;
            let row = row(id);
            let text = serde_json::to_string(&ticket).unwrap_or_default();
            let new = vault.seal(&places::login(&row), &text);
            // Another process may have claimed it in the meantime.
            if self.store.reseal_login(&row, &sealed, &new).await? {
                return Ok(ticket);
            }
        }
        Err(InvalidTicketError::Unknown)
    }

    async fn find(&self, id: &str) -> Result<(ConnectTicket, Vec<u8>), InvalidTicketError> {
        if !is_id(id) {
            return Err(InvalidTicketError::Unknown);
        }
        let row = row(id);
        let sealed = self
            .store
            .ticket(&row)
            .await?
            .ok_or(InvalidTicketError::Unknown)?;
        let vault = self
            .keys
            .to_open()
            .map_err(|_| InvalidTicketError::Unknown)?;
        let opened = vault.open(&places::login(&row), &sealed);
        let opened = opened.map_err(|_| InvalidTicketError::Unknown)?;
        let ticket: ConnectTicket =
            serde_json::from_str(opened.expose()).map_err(|_| InvalidTicketError::Unknown)?;
        if ticket.ends_at < now() {
            return Err(InvalidTicketError::Unknown);
        }
        Ok((ticket, sealed))
    }
}

/// Whether a text may be the id of a ticket.
pub fn is_id(text: &str) -> bool {
    text.len() == ID_CHARS
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// What the rows of the tickets of an account begin with.
pub(super) fn prefix_of(account: &AccountKey) -> String {
    prefix(&marker(account))
}

fn prefix(marker: &[u8]) -> String {
    format!("ticket/{}/", HEXLOWER.encode(marker))
}

/// The row of an id: who reads the table cannot go on with it.
fn row(id: &str) -> String {
    let bytes = URL_SAFE_NO_PAD.decode(id).unwrap_or_default();
    let marker = bytes.get(..ACCOUNT_BYTES).unwrap_or_default();
    format!("{}{}", prefix(marker), HEXLOWER.encode(&Sha256::digest(id)))
}

/// Names an account without telling whose it is. Two accounts of one marker share their places.
fn marker(account: &AccountKey) -> [u8; ACCOUNT_BYTES] {
    let mut hash = Sha256::new();
    for part in [&account.workspace, &account.bridge, &account.subject] {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    let mut marker = [0; ACCOUNT_BYTES];
    for (to, from) in marker.iter_mut().zip(hash.finalize()) {
        *to = from;
    }
    marker
}

/// Seconds since 1970.
fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_short_and_its_row_does_not_tell_it() {
        let account = AccountKey {
            workspace: "default".to_owned(),
            bridge: "mine".to_owned(),
            subject: "user:ann".to_owned(),
        };
        let id = URL_SAFE_NO_PAD.encode([&marker(&account)[..], &[7; RANDOM_BYTES]].concat());
        assert!(is_id(&id), "{id}");
        let row = row(&id);
        assert!(
            row.starts_with(&prefix_of(&account)) && !row.contains(&id),
            "{row}"
        );
        let short = id.get(1..).unwrap();
        for bad in ["", "openapi.json", short, &format!("{short}/")] {
            assert!(!is_id(bad), "{bad}");
        }
    }
}
