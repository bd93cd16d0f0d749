//! The credentials that sessions present to their servers.
//!
//! [`Credentials`] answers one question of a bridge: what does a session of this [`Owner`] present?
//! Tokens come from logins ([`Logins`]) or from the server itself; keys of groups come from the
//! database. All of them are stored encrypted with a key of a [`Keyring`].

mod account;
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

pub use accounts::Accounts;
pub use group_keys::{GroupKey, GroupKeyRefusal, GroupKeys, PutError, Stored, put_group_key};
pub use key::{KeyError, Keyring};
pub use logins::{Answer, Finished, LoginError, Logins, Wish, oauth_of};
pub use owner::Owner;
pub use rotation::{Rotation, Tally, holdings, rotate, survey};
pub use shown::{Credentials, Denied, Variants};
pub use ticket::{BadTicket, NoTicket, TICKET_TTL, Ticket, Tickets, is_id as is_ticket_id};
pub use words::{endpoint, variable};

#[cfg(test)]
pub mod testing;
