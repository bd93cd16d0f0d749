//! The credentials that sessions present to their servers.
//!
//! [`CredentialProvider`] answers one question of a bridge: what does a session of this [`SessionOwner`] present?
//! Tokens come from logins ([`LoginFlow`]) or from the server itself; keys of groups come from the
//! database. All of them are stored encrypted with a key of an [`EncryptionKeys`].

mod account;
mod account_store;
mod accounts;
mod group_keys;
mod key;
mod logins;
mod machine;
mod mcpo_tokens;
mod owner;
pub mod places;
mod rotation;
mod shown;
mod ticket;
mod words;

pub use accounts::AccountRegistry;
pub use group_keys::{
    GroupCredentials, GroupKeyError, GroupKeyPutError, GroupKeys, StoredGroupKey, put_group_key,
};
pub use key::{EncryptionKeyError, EncryptionKeys};
pub use logins::{
    AuthorizationResponse, ConnectedAccount, LoginError, LoginFlow, LoginRequest, oauth_of,
};
pub use owner::SessionOwner;
pub use rotation::{RotationCounts, RotationReport, rotate, stored_secrets, survey};
pub use shown::{CredentialError, CredentialProvider, Variants};
pub use ticket::{
    ConnectTicket, InvalidTicketError, TICKET_TTL, TicketCreationError, TicketStore,
    is_id as is_ticket_id,
};
pub use words::{endpoint, variable};

#[cfg(test)]
pub mod testing;
