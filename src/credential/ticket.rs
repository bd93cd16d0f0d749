//! [`Ticket`]: leave to connect one account, for a short while, in a URL that can be shown to people.
//!
//! A ticket is sealed and written down nowhere: a model that asks again and again fills no table. It
//! says who may use it; the page that takes it compares that with whoever opens it.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use super::key::{KeyError, Keyring};
use crate::{store::AccountKey, vault::Place};

/// How long a ticket counts.
pub const TICKET_TTL: Duration = Duration::from_mins(10);

/// Where tickets are told from other sealed texts.
const PLACE: Place<'static> = Place {
    kind: "ticket",
    workspace: "",
    bridge: "",
    subject: "",
};

/// Leave to connect one account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// The bridge.
    pub bridge: String,
    /// The workspace of the account.
    pub workspace: String,
    /// Whose account it becomes, as in [`AccountKey`]; empty for everybody's.
    pub subject: String,
    /// What logs and records call whoever may use it.
    pub caller: String,
    /// How they proved who they are, for the record.
    pub proof: String,
    /// Until when it counts, in seconds since 1970.
    ends_at: u64,
}

/// Makes and reads tickets.
#[derive(Debug, Clone)]
pub struct Tickets(Arc<Keyring>);

/// Why a ticket does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTicket {
    /// Cut, altered, or sealed by somebody else.
    #[error("this link is not complete, or was made by another bridge; ask for a new one")]
    Unknown,
    /// Too old.
    #[error("this link is over {} minutes old; ask for a new one", TICKET_TTL.as_secs() / 60)]
    Over,
}

impl Ticket {
    /// For an account, from now on.
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
    /// Under these keys.
    pub fn new(keys: Arc<Keyring>) -> Self {
        Self(keys)
    }

    /// Seals a ticket.
    pub fn write(&self, ticket: &Ticket) -> Result<String, KeyError> {
        let text = serde_json::to_string(ticket).unwrap_or_default();
        Ok(self.0.to_seal()?.seal_text(&PLACE, &text))
    }

    /// Reads a ticket that still counts.
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
