//! [`Ticket`]: permission to connect one account within a short time, in a URL that can be shown to
//! users.
//!
//! A ticket is sealed and not stored, so repeated requests of a model do not fill a table. It names
//! the user who may use it; the page compares that user with the one who opens it.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use super::key::{KeyError, Keyring};
use crate::{store::AccountKey, vault::Place};

/// How long a ticket is valid.
pub const TICKET_TTL: Duration = Duration::from_mins(10);

/// Distinguishes tickets from other sealed texts.
const PLACE: Place<'static> = Place {
    kind: "ticket",
    workspace: "",
    bridge: "",
    subject: "",
};

/// Permission to connect one account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
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
}

/// Creates and reads tickets.
#[derive(Debug, Clone)]
pub struct Tickets(Arc<Keyring>);

/// Why a ticket is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTicket {
    /// Incomplete, altered, or sealed with another key.
    #[error("this link is not complete, or was made by another bridge; ask for a new one")]
    Unknown,
    /// Expired.
    #[error("this link is over {} minutes old; ask for a new one", TICKET_TTL.as_secs() / 60)]
    Over,
}

impl Ticket {
    /// A ticket for an account, valid from now on.
    pub fn new(account: &AccountKey, caller: &str, proof: &str) -> Self {
        Self {
            bridge: account.bridge.clone(),
            workspace: account.workspace.clone(),
            subject: account.subject.clone(),
            caller: caller.to_owned(),
            proof: proof.to_owned(),
            ends_at: now() + TICKET_TTL.as_secs(),
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

impl Tickets {
    /// Tickets that are sealed with these keys.
    pub fn new(keys: Arc<Keyring>) -> Self {
        Self(keys)
    }

    /// Seals a ticket.
    pub fn write(&self, ticket: &Ticket) -> Result<String, KeyError> {
        let text = serde_json::to_string(ticket).unwrap_or_default();
        Ok(self.0.to_seal()?.seal_text(&PLACE, &text))
    }

    /// Reads a ticket and checks that it has not expired.
    pub fn read(&self, text: &str) -> Result<Ticket, BadTicket> {
        let vault = self.0.to_open().map_err(|_| BadTicket::Unknown)?;
        let opened = vault.open_text(&PLACE, text);
        let opened = opened.map_err(|_| BadTicket::Unknown)?;
        let ticket: Ticket =
            serde_json::from_str(opened.expose()).map_err(|_| BadTicket::Unknown)?;
        if ticket.ends_at < now() {
            return Err(BadTicket::Over);
        }
        Ok(ticket)
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}
