//! [`OwnerFailures`]: what keeps an owner from a new session for a while.

use std::time::Duration;

use moka::sync::Cache;

use super::error::CallFailure;
use crate::{credential::SessionOwner, secret::Secret};

/// A token that the server rejected is presented again after this time. The server may accept it
/// later without a new login, and this avoids frequent retries.
pub(super) const SAME_AGAIN: Duration = Duration::from_mins(5);
/// After the bridge ended a session because of what its server sent, its owner gets no new session
/// for this long.
const UNRULY_FOR: Duration = Duration::from_secs(10);
/// The maximum number of owners whose failure is remembered.
const OWNERS_MAX: u64 = 10_000;

/// Remembers why the last session of an owner failed.
#[derive(Debug)]
pub(super) struct OwnerFailures {
    /// Tokens that the server rejected although they have not expired, and what their owner was
    /// told.
    refused: Cache<SessionOwner, (Secret, CallFailure)>,
    /// Owners whose session was ended because of what its server sent, and what they are told.
    unruly: Cache<SessionOwner, CallFailure>,
}

impl OwnerFailures {
    /// Remembers nothing yet.
    pub fn new() -> Self {
        let refused = Cache::builder().max_capacity(OWNERS_MAX);
        let unruly = Cache::builder().max_capacity(OWNERS_MAX);
        Self {
            refused: refused.time_to_live(SAME_AGAIN).build(),
            unruly: unruly.time_to_live(UNRULY_FOR).build(),
        }
    }

    /// The token of an owner that the server rejected, and what the owner was told.
    pub fn refused(&self, owner: &SessionOwner) -> Option<(Secret, CallFailure)> {
        self.refused.get(owner)
    }

    /// Notes that the server rejected the token of an owner.
    pub fn note_refused(&self, owner: &SessionOwner, token: Secret, failure: CallFailure) {
        self.refused.insert(owner.clone(), (token, failure));
    }

    /// What an owner is told whose last session sent too much.
    pub fn unruly(&self, owner: &SessionOwner) -> Option<CallFailure> {
        self.unruly.get(owner)
    }

    /// Notes that the session of an owner sent too much.
    pub fn note_unruly(&self, owner: &SessionOwner, failure: CallFailure) {
        self.unruly.insert(owner.clone(), failure);
    }
}
